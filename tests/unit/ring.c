/* SPDX-License-Identifier: MIT */
/* The ring engine against an oracle, with a device that is played here, honestly and not. */
#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "test.h"

static const struct vfc_ring_layout layouts[] = {
	{.done = 1, .size = 16, .address = 0, .control = 8, .length_shift = 32},
	{.done = UINT64_C(1) << 32, .size = 16, .address = 0, .control = 8, .length_shift = 0},
	{.done = UINT64_C(3) << 62, .size = 32, .address = 16, .control = 24, .length_shift = 16},
};

static struct vfc_device *device;
static uint32_t tail; /* the doorbell */

static uint64_t *control(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint32_t slot)
{
	return (uint64_t *)(void *)(ring->descriptors + slot * layout->size + layout->control);
}

/* The device completes a descriptor. */
static void complete(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint32_t slot,
		     uint16_t length)
{
	*control(ring, layout, slot) =
		VFC_LE64(layout->done | (uint64_t)length << layout->length_shift);
}

static void init(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint32_t entries)
{
	CHECK_EQ(vfc_ring_init(ring, layout, vfc_device_iommu(device), entries, &tail), 0);
	tail = 0;
}

static void bad_arguments(void)
{
	static const uint32_t entries[] = {0, 1, 4, 9, 100, 65536};
	struct vfc_iommu *iommu = vfc_device_iommu(device);
	struct vfc_ring_layout bad = layouts[0];
	struct vfc_ring ring;

	for (unsigned i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		CHECK_EQ(vfc_ring_init(&ring, &bad, iommu, entries[i], &tail), -EINVAL);
	CHECK_EQ(vfc_ring_init(&ring, &bad, iommu, 8, NULL), -EINVAL);
	bad.control = 12;
	CHECK_EQ(vfc_ring_init(&ring, &bad, iommu, 8, &tail), -EINVAL);
	bad.control = 16;
	CHECK_EQ(vfc_ring_init(&ring, &bad, iommu, 8, &tail), -EINVAL);
	bad = layouts[0];
	bad.length_shift = 49;
	CHECK_EQ(vfc_ring_init(&ring, &bad, iommu, 8, &tail), -EINVAL);
}

static void full_and_empty(const struct vfc_ring_layout *layout)
{
	struct vfc_completion done[8];
	struct vfc_ring ring;

	init(&ring, layout, 8);
	CHECK_EQ(vfc_ring_used(&ring), 0);
	CHECK_EQ(vfc_ring_space(&ring), 7);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 8), 0);
	for (uint32_t i = 0; i < 7; i++)
		vfc_ring_post(&ring, layout, 0x1000 * i, 100 + i, 0, i);
	CHECK_EQ(vfc_ring_space(&ring), 0);
	CHECK_EQ(ring.doorbells, 0);
	/* Announced is announced: what the device could not have seen is not looked at. */
	complete(&ring, layout, 0, 1);
	CHECK_EQ(vfc_ring_ready(&ring, layout), 0);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 8), 0);
	vfc_ring_kick(&ring);
	vfc_ring_kick(&ring);
	CHECK_EQ(ring.doorbells, 1);
	CHECK_EQ(VFC_LE32(tail), 7);
	CHECK_EQ(vfc_ring_ready(&ring, layout), 1);
	/* In order: a later one that is done waits for the earlier ones. */
	complete(&ring, layout, 2, 3);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 8), 1);
	CHECK_EQ(done[0].length, 1);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 8), 0);
	complete(&ring, layout, 1, 0xffff);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 1), 1);
	CHECK_EQ(done[0].cookie, 1);
	CHECK_EQ(done[0].length, 0xffff);
	CHECK_EQ(vfc_ring_reap(&ring, layout, done, 8), 1);
	CHECK_EQ(done[0].cookie, 2);
	vfc_ring_reset(&ring);
	CHECK_EQ(vfc_ring_used(&ring), 0);
	CHECK_EQ(*control(&ring, layout, 2), 0);
	CHECK_EQ(ring.doorbells, 1);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* What a descriptor looks like to the device. */
static void descriptor(void)
{
	struct vfc_ring ring;

	init(&ring, &layouts[2], 8);
	vfc_ring_post(&ring, &layouts[2], UINT64_C(0x123456789abc), 0x5ee, 0xab, 9);
	CHECK_EQ(VFC_LE64(*(uint64_t *)(void *)(ring.descriptors + 16)), 0x123456789abc);
	CHECK_EQ(VFC_LE64(*control(&ring, &layouts[2], 0)), 0x5ee00ab);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/*
 * Random steps of both sides. The oracle is a plain count of what was posted, kicked, completed and
 * reaped; the hostile device also scribbles over descriptors that it does not own, which may give
 * wrong lengths, but never cookies or counts that the driver did not put there.
 */
static void model(const struct vfc_ring_layout *layout, bool hostile, uint64_t seed)
{
	uint32_t posted = 0, kicked = 0, completed = 0, reaped = 0, bells = 0;
	struct vfc_completion done[16];
	struct vfc_ring ring;

	init(&ring, layout, 16);
	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)test_random(&seed) % 8;

		switch (test_random(&seed) % 4) {
		case 0:
			for (; n && vfc_ring_space(&ring); n--, posted++)
				vfc_ring_post(&ring, layout, 4096, 60, 0, posted);
			break;
		case 1:
			bells += kicked != posted;
			vfc_ring_kick(&ring);
			kicked = posted;
			CHECK_EQ(VFC_LE32(tail), kicked % 16);
			break;
		case 2:
			for (; n && completed != kicked; n--, completed++)
				complete(&ring, layout, completed % 16, (uint16_t)completed);
			if (hostile && n)
				complete(&ring, layout, (uint32_t)test_random(&seed) % 16, 0xdead);
			break;
		default:
			n = vfc_ring_reap(&ring, layout, done, 1 + n);
			for (uint32_t k = 0; k < n; k++, reaped++) {
				CHECK_EQ(done[k].cookie, reaped);
				if (!hostile)
					CHECK_EQ(done[k].length, reaped & 0xffff);
			}
			if (hostile && (int32_t)(completed - reaped) < 0)
				completed = reaped; /* it completed some before their time */
			CHECK((int32_t)(completed - reaped) >= 0);
			CHECK((int32_t)(kicked - reaped) >= 0);
		}
		CHECK_EQ(vfc_ring_used(&ring), posted - reaped);
		CHECK_EQ(vfc_ring_space(&ring), 15 - (posted - reaped));
		CHECK_EQ(ring.doorbells, bells);
	}
	CHECK(reaped > 1000);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* The free-running indices pass 2^32. */
static void wrap(void)
{
	struct vfc_completion done;
	struct vfc_ring ring;

	init(&ring, &layouts[0], 8);
	ring.head = ring.tail = ring.kicked = UINT32_MAX - 2;
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t slot = ring.tail & ring.mask;

		vfc_ring_post(&ring, &layouts[0], 0, 0, 0, i);
		vfc_ring_kick(&ring);
		CHECK_EQ(vfc_ring_used(&ring), 1);
		CHECK_EQ(VFC_LE32(tail), (slot + 1) % 8);
		complete(&ring, &layouts[0], slot, 64);
		CHECK_EQ(vfc_ring_reap(&ring, &layouts[0], &done, 1), 1);
		CHECK_EQ(done.cookie, i);
	}
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	bad_arguments();
	descriptor();
	wrap();
	for (unsigned i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
		full_and_empty(&layouts[i]);
		model(&layouts[i], false, 88172645463325252 + i);
		model(&layouts[i], true, 4101842887655102017 + i);
	}
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
