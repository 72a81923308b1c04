/* SPDX-License-Identifier: MIT */
/* Rings that are filled from a pool, in all styles. */
#include <vfiocore.h>

#include "ring_device.h"

static struct vfc_device *device;
static struct vfc_iommu *iommu;

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
		uint32_t index = pool.stack[i] / 64; /* its page */

		CHECK(!(seen >> index & 1));
		seen |= UINT64_C(1) << index;
	}
	/* No more than the pool has. */
	pool.free = 3;
	CHECK_EQ(vfc_ring_fill(&ring, layout, &pool, 64, 2048, 0), 3);
	CHECK_EQ(vfc_ring_cancel(&ring, layout, cookies), 3);
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

/* Fills that wrap, of any length: each posted descriptor has the address of its chunk. */
static void fill_around(const struct vfc_ring_layout *layout)
{
	const uint32_t entries = 16;
	struct ring_device chip;
	struct vfc_pool pool;
	struct vfc_ring ring;

	CHECK_EQ(vfc_pool_init(&pool, iommu, 2112, 40), 0);
	ring_device_open(&chip, &ring, layout, iommu, entries);
	for (uint32_t lap = 0; lap < 200; lap++) {
		uint32_t done = lap * 5 % 14, n;

		vfc_ring_fill(&ring, layout, &pool, 64, 2048, 0);
		CHECK_EQ(vfc_ring_space(&ring), 0);
		vfc_ring_kick(&ring, layout);
		ring_device_take(&chip);
		for (uint32_t i = 0; vfc_ring_in_order(layout) && i < chip.taken; i++)
			CHECK_EQ(VFC_RING_LOAD64(ring.descriptors + chip.slots[i] * layout->size +
						 layout->address),
				 vfc_pool_iova(&pool, ring.cookies[chip.slots[i]]) + 64);
		for (uint32_t i = 0; i < done && chip.taken; i++)
			ring_device_finish(&chip, i, 1);
		n = vfc_ring_reclaim(&ring, layout, pool.stack + pool.free, 40 - pool.free);
		CHECK((layout->report && layout->style == VFC_RING_DONE) || n == done);
		pool.free += n;
		CHECK_EQ(pool.free + vfc_ring_used(&ring), 40);
	}
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	for (unsigned i = 0; i < sizeof(ring_layouts) / sizeof(*ring_layouts); i++) {
		fill_from_pool(&ring_layouts[i]);
		fill_around(&ring_layouts[i]);
	}
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
