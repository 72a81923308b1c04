/* SPDX-License-Identifier: MIT */
/* The ring engine in all styles against an oracle, with a device that is played, honestly and not. */
#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "ring_device.h"

#define LAYOUTS (sizeof(ring_layouts) / sizeof(*ring_layouts))

static struct vfc_device *device;
static struct vfc_iommu *iommu;

static void post(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint64_t iova,
		 uint32_t length, uint64_t command, uint32_t cookie)
{
	struct vfc_buffer buffer = {
		.iova = iova, .length = length, .command = command, .cookie = cookie};

	vfc_ring_post(ring, layout, &buffer);
}

static bool covered(const struct vfc_ring_layout *layout)
{
	return layout->report || layout->style == VFC_RING_HEAD;
}

static bool has_length(const struct vfc_ring_layout *layout)
{
	return !covered(layout);
}

static void refused(struct vfc_ring_layout layout, uint32_t entries, volatile void *doorbell,
		    const char *why)
{
	char text[600];
	struct vfc_ring ring;

	memset(&ring, 0x5a, sizeof(ring));
	CHECK_EQ(vfc_ring_init(&ring, &layout, iommu, entries, doorbell), -EINVAL);
	vfc_error_text(text, sizeof(text));
	CHECK(strstr(text, why));
}

static void bad_arguments(void)
{
	static const uint32_t entries[] = {0, 1, 32769, 65536, UINT32_MAX};
	struct vfc_ring_layout bad = ring_layouts[0];
	uint32_t bell[2];

	for (unsigned i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		refused(bad, entries[i], bell, "a ring has 2 to 32768");
	refused(ring_layouts[7], 24, bell, "power of two");
	refused(bad, 8, NULL, "doorbell");
	refused(bad, 8, (uint8_t *)bell + 2, "doorbell");
	bad.control = 12;
	refused(bad, 8, bell, "64-bit words");
	bad.control = 16;
	refused(bad, 8, bell, "64-bit words");
	bad = ring_layouts[0];
	bad.length_shift = 49;
	refused(bad, 8, bell, "above bit 63");
	bad = ring_layouts[0];
	bad.length_bits = 7;
	refused(bad, 8, bell, "0, 16 or 32");
	bad = ring_layouts[0];
	bad.done = UINT64_C(1) << 33;
	refused(bad, 8, bell, "done bit");
	bad.done = 0;
	refused(bad, 8, bell, "done bit");
	bad.style = 5;
	refused(bad, 8, bell, "style");
	bad = ring_layouts[6];
	bad.id_shift = 49;
	refused(bad, 8, bell, "command id");
	bad = ring_layouts[8];
	bad.size = 32;
	refused(bad, 8, bell, "virtio");
}

static void full_and_empty(const struct vfc_ring_layout *layout, uint32_t entries)
{
	struct vfc_completion done[16];
	struct ring_device chip;
	struct vfc_ring ring;
	uint32_t room;

	ring_device_open(&chip, &ring, layout, iommu, entries);
	room = vfc_ring_space(&ring);
	CHECK_EQ(room, layout->style >= VFC_RING_SPLIT ? entries : entries - 1);
	for (int lap = 0; lap < 5; lap++) {
		CHECK_EQ(vfc_ring_used(&ring), 0);
		CHECK_EQ(vfc_ring_reap(&ring, layout, done, 16), 0);
		for (uint32_t i = 0; i < room; i++)
			post(&ring, layout, 0x1000 * (uint64_t)i, 100 + i, 0, i);
		CHECK_EQ(vfc_ring_space(&ring), 0);
		CHECK_EQ(ring.doorbells, lap);
		/* Nothing can be seen before it is announced. */
		CHECK_EQ(ring_device_take(&chip), 0);
		CHECK_EQ(vfc_ring_ready(&ring, layout), 0);
		vfc_ring_kick(&ring, layout);
		vfc_ring_kick(&ring, layout);
		CHECK_EQ(ring.doorbells, lap + 1);
		CHECK_EQ(ring_device_take(&chip), room);
		CHECK_EQ(vfc_ring_ready(&ring, layout), 0);
		for (uint32_t i = 0; i < room; i++)
			ring_device_finish(&chip, 0, 200 + i);
		CHECK_EQ(vfc_ring_ready(&ring, layout), 1);
		for (uint32_t i = 0; i < room; i++) {
			CHECK_EQ(vfc_ring_reap(&ring, layout, done, 1), 1);
			CHECK_EQ(done[0].cookie, i);
			if (has_length(layout))
				CHECK_EQ(done[0].length, 200 + i);
		}
	}
	if (layout->style == VFC_RING_PHASE)
		CHECK_EQ(VFC_LE32(chip.consumed), ring.head);
	CHECK_EQ(ring.malformed, 0);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* What a descriptor looks like to the device. */
static void descriptor(void)
{
	struct ring_device chip;
	struct vfc_ring ring;

	for (unsigned i = 0; i < LAYOUTS; i++) {
		const struct vfc_ring_layout *layout = &ring_layouts[i];

		ring_device_open(&chip, &ring, layout, iommu, 8);
		memset(vfc_ring_next(&ring, layout), 0x77, 8);
		post(&ring, layout, UINT64_C(0x123456789abc), 0x5ee, 0, 9);
		vfc_ring_kick(&ring, layout);
		CHECK_EQ(VFC_RING_LOAD64(ring.descriptors + layout->address), 0x123456789abc);
		CHECK_EQ(ring_device_take(&chip), 1);
		if (layout->length_bits)
			CHECK_EQ((ring_device_control(&chip, 0) >> layout->length_shift) & 0xffff, 0x5ee);
		if (layout->report)
			CHECK_EQ(ring_device_control(&chip, 0) & layout->report, layout->report);
		CHECK_EQ(vfc_ring_iova(&ring, ring.completions) % 64, 0);
		CHECK_EQ(vfc_ring_destroy(&ring), 0);
	}
}

struct oracle {
	uint32_t posted, kicked, reaped, bells;
	uint8_t state[1 << 16]; /* of a cookie: 1 posted, 0 not */
	uint32_t length[1 << 16];
};

static void expect(struct oracle *oracle, const struct vfc_ring_layout *layout,
		   const struct vfc_completion *done, bool hostile)
{
	uint32_t cookie = done->cookie;

	/* Whatever the device writes: a cookie comes back once, and only one that was posted. */
	CHECK(cookie < 1 << 16);
	CHECK_EQ(oracle->state[cookie], 1);
	oracle->state[cookie] = 0;
	if (layout->style <= VFC_RING_HEAD)
		CHECK_EQ(cookie, oracle->reaped & 0xffff);
	if (!hostile && has_length(layout))
		CHECK_EQ(done->length, oracle->length[cookie]);
	oracle->reaped++;
}

static void reap(struct oracle *oracle, struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		 uint32_t count, bool hostile, bool cookies_only)
{
	struct vfc_completion done[16];
	uint32_t cookies[16], n;

	if (cookies_only && !has_length(layout)) {
		n = vfc_ring_reclaim(ring, layout, cookies, count);
		for (uint32_t i = 0; i < n; i++)
			expect(oracle, layout, &(struct vfc_completion){.cookie = cookies[i]}, hostile);
		return;
	}
	n = vfc_ring_reap(ring, layout, done, count);
	CHECK(n <= count);
	for (uint32_t i = 0; i < n; i++)
		expect(oracle, layout, &done[i], hostile);
}

/* Anything, anywhere in the ring's memory. */
static void scribble(struct vfc_ring *ring, uint64_t *seed)
{
	uint64_t at = test_random(seed) % (ring->memory.length / 8) * 8;
	uint64_t value = test_random(seed);

	/* Often nearly right, which is worse. */
	if (value & 1)
		at = (uint64_t)(ring->completions - ring->descriptors) + (value >> 1) % 16 * 8;
	if (at + 8 > ring->memory.length)
		return;
	value = test_random(seed);
	if (value & 2)
		value &= UINT64_C(0x8081001f0000001f);
	memcpy(ring->descriptors + at, &value, sizeof(value));
}

/*
 * Random steps of both sides. The hostile device also scribbles over all that it can reach, which
 * may give wrong lengths, or make the ring stand still, but never a cookie that is not posted.
 */
static void model(const struct vfc_ring_layout *layout, uint32_t entries, bool hostile, uint64_t seed)
{
	static struct oracle oracle;
	struct ring_device chip;
	struct vfc_ring ring;

	memset(&oracle, 0, sizeof(oracle));
	ring_device_open(&chip, &ring, layout, iommu, entries);
	for (int i = 0; i < 100000; i++) {
		uint32_t n = (uint32_t)test_random(&seed) % 12;

		switch (test_random(&seed) % 5) {
		case 0:
			for (; n && vfc_ring_space(&ring); n--, oracle.posted++) {
				CHECK_EQ(oracle.state[oracle.posted & 0xffff], 0);
				oracle.state[oracle.posted & 0xffff] = 1;
				post(&ring, layout, 4096, 60, 0, oracle.posted & 0xffff);
			}
			if (n == 3)
				vfc_ring_report(&ring, layout);
			break;
		case 1:
			oracle.bells += ring.pending != 0;
			vfc_ring_kick(&ring, layout);
			CHECK_EQ(ring.pending, 0);
			break;
		case 2:
			if (!hostile)
				ring_device_take(&chip);
			else
				scribble(&ring, &seed);
			break;
		case 3:
			for (; n && chip.taken; n--) {
				uint32_t which = (uint32_t)test_random(&seed) % chip.taken;
				uint32_t length = (uint32_t)test_random(&seed) & 0xffff;
				/* The oracle knows what it posted under each id. */
				uint32_t id = chip.ids[layout->style <= VFC_RING_HEAD ? 0 : which];

				if (!hostile)
					oracle.length[ring.cookies[id]] = length;
				ring_device_finish(&chip, which, length);
			}
			break;
		default:
			reap(&oracle, &ring, layout, 1 + n, hostile, n & 1);
		}
		if (hostile && !(i % 64))
			ring_device_take(&chip);
		CHECK_EQ(vfc_ring_used(&ring), oracle.posted - oracle.reaped);
		CHECK(vfc_ring_used(&ring) <= ring.room);
		if (!hostile)
			CHECK_EQ(ring.doorbells, oracle.bells);
		/* A device that went mad is stopped and started again: nothing is lost by that. */
		if (hostile && i % 1000 == 999) {
			uint32_t cookies[RING_DEVICE_MAX], back = vfc_ring_cancel(&ring, layout, cookies);

			CHECK_EQ(back, oracle.posted - oracle.reaped);
			for (uint32_t k = 0; k < back; k++) {
				CHECK_EQ(oracle.state[cookies[k]], 1);
				oracle.state[cookies[k]] = 0;
			}
			oracle.reaped = oracle.posted;
			ring_device_start(&chip, &ring, layout);
			chip.doorbell = 0;
		}
	}
	if (!hostile) {
		CHECK(oracle.reaped > 1000);
		CHECK_EQ(ring.malformed, 0);
	}
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* Stop, take back what is posted, go on; and with more entries. */
static void cancel_and_resize(const struct vfc_ring_layout *layout)
{
	uint32_t cookies[32], doorbell = 0;
	struct ring_device chip;
	struct vfc_ring ring;

	ring_device_open(&chip, &ring, layout, iommu, 16);
	for (uint32_t i = 0; i < 9; i++)
		post(&ring, layout, 0, 1, 0, 100 + i);
	vfc_ring_kick(&ring, layout);
	CHECK_EQ(vfc_ring_resize(&ring, layout, 32), -EBUSY);
	CHECK_EQ(ring_device_take(&chip), 9);
	ring_device_finish(&chip, 0, 5);
	CHECK_EQ(vfc_ring_reap(&ring, layout, (struct vfc_completion[16]){0}, 16),
		 layout->report && layout->style == VFC_RING_DONE ? 0 : 1);
	CHECK_EQ(vfc_ring_cancel(&ring, layout, cookies), vfc_ring_space(&ring) == 0 ? 0 :
		 layout->report && layout->style == VFC_RING_DONE ? 9 : 8);
	CHECK_EQ(vfc_ring_used(&ring), 0);
	CHECK_EQ(vfc_ring_resize(&ring, layout, 1), -EINVAL);
	CHECK_EQ(ring.entries, 16);
	CHECK_EQ(vfc_ring_resize(&ring, layout, 64), 0);
	CHECK_EQ(ring.doorbells, 1);
	ring_device_start(&chip, &ring, layout);
	chip.doorbell = doorbell;
	for (uint32_t i = 0; i < 60; i++)
		post(&ring, layout, 0, 1, 0, i);
	vfc_ring_kick(&ring, layout);
	CHECK_EQ(ring_device_take(&chip), 60);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* One completion for a burst; the descriptors between have no report bit. */
static void reports(void)
{
	const struct vfc_ring_layout *layout = &ring_layouts[3];
	uint32_t cookies[64];
	struct ring_device chip;
	struct vfc_ring ring;

	ring_device_open(&chip, &ring, layout, iommu, 64);
	for (uint32_t i = 0; i < 10; i++)
		post(&ring, layout, 0, 1, 0, i);
	vfc_ring_report(&ring, layout);
	for (uint32_t i = 10; i < 30; i++)
		post(&ring, layout, 0, 1, 0, i);
	vfc_ring_kick(&ring, layout);
	CHECK_EQ(ring_device_take(&chip), 30);
	for (uint32_t i = 0; i < 30; i++)
		CHECK_EQ(!!(ring_device_control(&chip, i) & layout->report), i == 9 || i == 29);
	for (uint32_t i = 0; i < 9; i++)
		ring_device_finish(&chip, 0, 0);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, cookies, 64), 0);
	for (uint32_t i = 0; i < 15; i++)
		ring_device_finish(&chip, 0, 0);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, cookies, 4), 4);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, cookies, 64), 6);
	CHECK_EQ(cookies[5], 9);
	for (uint32_t i = 0; i < 6; i++)
		ring_device_finish(&chip, 0, 0);
	VFC_RING_STORE64(ring.descriptors + 29 * 16 + 8, layout->done | layout->errors);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, cookies, 64), 20);
	CHECK_EQ(ring.errors, 1);
	/* Done before it was announced: not believed. */
	post(&ring, layout, 0, 1, 0, 1);
	vfc_ring_report(&ring, layout);
	VFC_RING_STORE64(ring.descriptors + 30 * 16 + 8, layout->done);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, cookies, 64), 0);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* The chunks of a pool, and back. */
static void fill_from_pool(const struct vfc_ring_layout *layout)
{
	uint32_t cookies[64];
	struct vfc_pool pool;
	struct ring_device chip;
	struct vfc_ring ring;

	CHECK_EQ(vfc_pool_init(&pool, iommu, 2112, 12), 0);
	ring_device_open(&chip, &ring, layout, iommu, 8);
	CHECK_EQ(vfc_ring_fill(&ring, layout, &pool, 64, 2048, 0), ring.room);
	CHECK_EQ(vfc_ring_fill(&ring, layout, &pool, 64, 2048, 0), 0);
	CHECK_EQ(pool.free, 12 - ring.room);
	vfc_ring_kick(&ring, layout);
	CHECK_EQ(ring_device_take(&chip), ring.room);
	for (uint32_t i = 0; i < ring.room; i++)
		CHECK((VFC_RING_LOAD64(ring.descriptors + i * layout->size + layout->address) - 64) % 4096 +
		      2112 <= 4096); /* in one page */
	for (uint32_t i = 0; i < ring.room; i++)
		ring_device_finish(&chip, i, 1);
	CHECK_EQ(vfc_ring_reclaim(&ring, layout, pool.stack + pool.free, 64), ring.room);
	for (uint64_t i = 0, seen = 0; i < 12; i++) {
		CHECK(!(seen >> pool.stack[i] / 64 & 1));
		seen |= UINT64_C(1) << pool.stack[i] / 64;
	}
	/* No more than the pool has. */
	pool.free = 3;
	CHECK_EQ(vfc_ring_fill(&ring, layout, &pool, 64, 2048, 0), 3);
	CHECK_EQ(vfc_ring_cancel(&ring, layout, cookies), 3);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

/* Virtio: the doorbell is rung when the device wants it, and the interrupt when we do. */
static void virtio_events(void)
{
	const struct vfc_ring_layout *split = &ring_layouts[7], *packed = &ring_layouts[8];
	struct ring_device chip;
	struct vfc_ring ring;

	ring_device_open(&chip, &ring, split, iommu, 8);
	ring.queue = 3;
	VFC_RING_STORE16(ring.completions, 1); /* VIRTQ_USED_F_NO_NOTIFY */
	post(&ring, split, 0, 1, 0, 1);
	vfc_ring_kick(&ring, split);
	CHECK_EQ(ring.doorbells, 0);
	CHECK_EQ(ring_device_take(&chip), 1);
	VFC_RING_STORE16(ring.completions, 0);
	post(&ring, split, 0, 1, 0, 2);
	vfc_ring_kick(&ring, split);
	CHECK_EQ(ring.doorbells, 1);
	CHECK_EQ(chip.doorbell & 0xffff, VFC_LE16(3));
	CHECK_EQ(vfc_ring_arm(&ring, split), 0);
	CHECK_EQ(VFC_RING_LOAD16(ring.available), 0);
	vfc_ring_disarm(&ring, split);
	CHECK_EQ(VFC_RING_LOAD16(ring.available), 1);
	ring.event_index = 1;
	VFC_RING_STORE16(ring.completions + 4 + 64, 3); /* tell me after the fourth */
	for (uint32_t i = 0; i < 3; i++) {
		post(&ring, split, 0, 1, 0, i);
		vfc_ring_kick(&ring, split);
		CHECK_EQ(ring.doorbells, 1 + (i >= 1));
	}
	CHECK_EQ(ring_device_take(&chip), 4);
	ring_device_finish(&chip, 0, 1);
	CHECK_EQ(vfc_ring_arm(&ring, split), 1);
	CHECK_EQ(VFC_RING_LOAD16(ring.available + 4 + 16), 0);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);

	ring_device_open(&chip, &ring, packed, iommu, 6);
	for (uint32_t lap = 0; lap < 7; lap++) {
		uint32_t at = lap * 4 % 6;

		/* Tell me when the third of the next four is there; then never; then always. */
		VFC_RING_STORE16(ring.completions, (uint16_t)((at + 2) % 6 |
							      (at + 2 >= 6 ? !ring.wrap : ring.wrap) << 15));
		VFC_RING_STORE16(ring.completions + 2, 2);
		for (uint32_t i = 0; i < 4; i++) {
			uint64_t before = ring.doorbells;

			post(&ring, packed, 0, 1, 0, i);
			vfc_ring_kick(&ring, packed);
			CHECK_EQ(ring.doorbells - before, i == 2);
		}
		CHECK_EQ(ring_device_take(&chip), 4);
		for (uint32_t i = 0; i < 4; i++)
			ring_device_finish(&chip, 0, 1);
		CHECK_EQ(vfc_ring_reap(&ring, packed, (struct vfc_completion[8]){0}, 8), 4);
	}
	VFC_RING_STORE16(ring.completions + 2, 1);
	post(&ring, packed, 0, 1, 0, 0);
	vfc_ring_kick(&ring, packed);
	CHECK_EQ(ring.doorbells, 7);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
}

/* A ring of 24 of an NVMe kind device and the like: sizes that are no power of two. */
static const uint32_t sizes[] = {2, 3, 8, 24, 100, 256};

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	bad_arguments();
	descriptor();
	reports();
	virtio_events();
	for (unsigned i = 0; i < LAYOUTS; i++) {
		const struct vfc_ring_layout *layout = &ring_layouts[i];

		cancel_and_resize(layout);
		fill_from_pool(layout);
		for (unsigned k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			uint32_t entries = sizes[k];

			if (layout->style == VFC_RING_SPLIT && entries & (entries - 1))
				continue;
			full_and_empty(layout, entries);
			model(layout, entries, false, 88172645463325252 + i);
			model(layout, entries, true, 4101842887655102017 + i);
		}
	}
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
