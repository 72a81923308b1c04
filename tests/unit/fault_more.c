/* SPDX-License-Identifier: MIT */
/*
 * All or nothing, as tests/unit/fault.c, for the functions that its sequences leave out. What a
 * sequence needs is prepared while no call fails, and is what it was when one has failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "sweep.h"
#include "test.h"

#define PAGE 4096
#define PAGES 16
#define SECOND INT64_C(1000000000)

static const struct vfc_ring_layout layout = {.style = VFC_RING_SPLIT, .size = 16, .control = 8,
					      .length_bits = 32};
static uint8_t *memory;
static struct vfc_device *device;
static struct vfc_iommu *iommu;

static void plug(void)
{
	unsigned made = sweep_pause();

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	sweep_resume(made);
}

static void unplug(void)
{
	unsigned made = sweep_pause();
	uint64_t left;

	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &left), 0);
	CHECK_EQ(left, 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_PINNED, &left), 0);
	CHECK_EQ(left, 0);
	CHECK_EQ(vfc_device_close(device), 0);
	sweep_resume(made);
}

/* A ring that could not be resized is the one that it was, and works. */
static int rings(void)
{
	struct vfc_ring ring, before;
	uint32_t doorbell = 0;
	int rc = 0;

	plug();
	if (note(&rc, vfc_ring_init(&ring, &layout, iommu, 64, &doorbell)) == 0) {
		for (uint32_t entries = 256; entries >= 16; entries /= 4) {
			before = ring;
			if (note(&rc, vfc_ring_resize(&ring, &layout, entries)) < 0)
				CHECK(!memcmp(&ring, &before, sizeof(ring)));
			else
				CHECK_EQ(ring.entries, entries);
		}
		if (note(&rc, vfc_ring_destroy(&ring)) < 0)
			CHECK_EQ(vfc_ring_destroy(&ring), 0);
	}
	unplug();
	return rc;
}

/* The tree by address is made by the first who asks; if it cannot be made, the next one tries again. */
static int addresses(void)
{
	struct vfc_iova_range ranges[8];
	struct vfc_mapping found;
	uint64_t iova[PAGES];
	unsigned made;
	int rc = 0;

	plug();
	made = sweep_pause();
	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(vfc_iommu_map(iommu, memory + PAGE * i, PAGE, NULL, &iova[i]), 0);
	sweep_resume(made);
	if (note(&rc, vfc_iommu_find_va(iommu, memory + PAGE * 3 + 5, &found)) == 0)
		CHECK(found.va == memory + PAGE * 3);
	CHECK_EQ(vfc_iommu_find_iova(iommu, iova[5] + 7, &found), 0);
	CHECK(found.va == memory + PAGE * 5);
	note(&rc, vfc_iommu_ranges(iommu, ranges, 8));
	made = sweep_pause();
	CHECK_EQ(vfc_iommu_find_va(iommu, memory + PAGE * 9, &found), 0);
	CHECK_EQ(found.iova, iova[9]);
	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(vfc_iommu_unmap(iommu, iova[i], PAGE), 0);
	sweep_resume(made);
	unplug();
	return rc;
}

static void registers(int *rc)
{
	struct vfc_region_area areas[4];
	struct vfc_region_info region = {.size = sizeof(region)};
	struct vfc_device_info info = {.size = sizeof(info)};
	uint8_t block[16];

	note(rc, vfc_device_info(device, &info));
	note(rc, vfc_region_info(device, 3, &region));
	if (note(rc, vfc_region_areas(device, 3, areas, 4)) >= 0)
		CHECK_EQ(areas[0].offset, 0x1000);
	note(rc, (int)vfc_region_load(device, VFC_REGION_BAR0, 8, 4) < 0 ? -vfc_error_last()->code : 0);
	note(rc, vfc_region_read_block(device, VFC_REGION_CONFIG, 0, block, sizeof(block)));
	note(rc, vfc_region_write_block(device, VFC_REGION_CONFIG, 4, block + 4, 2));
	CHECK_EQ(vfc_region_find(device, "nothing"), -ENOENT);
	CHECK_EQ(vfc_irq_find(device, "nothing"), -ENOENT);
}

static void power(int *rc)
{
	struct vfc_reset_device devices[4];

	if (note(rc, vfc_device_hot_reset_info(device, devices, 4)) >= 0)
		CHECK(devices[0].owned);
	if (note(rc, vfc_power_get(device)) >= 0)
		CHECK_EQ(vfc_power_get(device) & ~3, 0);
	if (note(rc, vfc_power_low_enter(device, -1)) == 0)
		if (note(rc, vfc_power_low_exit(device)) < 0)
			CHECK_EQ(vfc_power_low_exit(device), 0);
	if (note(rc, vfc_nofault_begin()) == 0)
		CHECK_EQ(vfc_nofault_end(), 0);
	else
		CHECK_EQ(vfc_nofault_end(), -EINVAL);
	note(rc, vfc_nofault_device(device));
}

static int whole_device(void)
{
	int rc = 0;

	plug();
	registers(&rc);
	power(&rc);
	unplug();
	return rc;
}

static int cached(void)
{
	struct vfc_mapcache_stats stats = {.size = sizeof(stats)};
	struct vfc_mapcache_opts opts = {.size = sizeof(opts), .entries = 2};
	struct vfc_mapcache *cache;
	struct vfc_reach reach;
	int rc = 0;

	plug();
	if (note(&rc, vfc_mapcache_open(iommu, &opts, &cache)) == 0) {
		for (int i = 0; i < 6; i++) /* which drops what was there before */
			if (note(&rc, vfc_mapcache_miss(cache, memory + 2 * PAGE * i, PAGE, &reach)) == 0)
				vfc_mapcache_put(cache, &reach); /* by vfc_mapcache_idle() */
		CHECK_EQ(vfc_mapcache_stats(cache, &stats), 0);
		CHECK_EQ(stats.live_entries, 0);
		note(&rc, vfc_mapcache_flush(cache));
		if (note(&rc, vfc_mapcache_close(cache)) < 0)
			CHECK_EQ(vfc_mapcache_close(cache), 0);
	}
	unplug();
	return rc;
}

static int pooled(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = 16, .tx_entries = 16};
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct vfc_packet packets[4];
	struct vfc_pool pool;
	struct vfc_nic *nic;
	int rc = 0;

	plug();
	if (note(&rc, vfc_nic_pool_init(&pool, iommu, 64)) == 0) {
		opts.pool = &pool;
		if (note(&rc, vfc_nic_open(device, &opts, &nic)) == 0) {
			CHECK_EQ(vfc_nic_alloc_copies(nic, packets, 4, frame, sizeof(frame)), 4);
			vfc_nic_free(nic, packets, 4);
			note(&rc, vfc_nic_rx_fd(nic, 0));
			note(&rc, vfc_nic_rx_arm(nic, 0));
			CHECK_EQ(vfc_nic_close(nic), 0);
		}
		CHECK_EQ(pool.free, 64);
		if (note(&rc, vfc_pool_destroy(&pool)) < 0)
			CHECK_EQ(vfc_pool_destroy(&pool), 0);
	}
	unplug();
	return rc;
}

static void ignore(void *argument, uint32_t vector, uint64_t count)
{
	(void)argument, (void)vector, (void)count;
}

/* A device that resets while its events are watched, and is given back in the end. */
static int watched(void)
{
	struct vfc_irq_thread_stats stats = {.size = sizeof(stats)};
	struct vfc_irq_thread *thread;
	struct vfc_events *events;
	struct vfc_irq *irq;
	int rc = 0;

	plug();
	if (note(&rc, vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq)) == 0) {
		if (note(&rc, vfc_irq_thread_start(irq, ignore, NULL, NULL, &thread)) == 0) {
			CHECK_EQ(vfc_irq_thread_stats(thread, &stats), 0);
			CHECK_EQ(vfc_irq_thread_stop(thread), 0);
		}
		CHECK_EQ(vfc_irq_close(irq), 0);
	}
	if (note(&rc, vfc_events_open(NULL, &events)) == 0) {
		note(&rc, vfc_events_fd(events));
		note(&rc, vfc_events_watch(events, device, 0));
		note(&rc, vfc_device_reset(device));
		note(&rc, vfc_device_hot_reset(device));
		if (note(&rc, vfc_device_release(device)) < 0)
			CHECK_EQ(vfc_device_release(device), 0);
		vfc_events_close(events);
	}
	unplug();
	return rc;
}

int main(void)
{
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	sweep("rings", rings);
	sweep_least("addresses", addresses, 1);
	sweep_least("device", whole_device, 5);
	sweep("cache", cached);
	sweep("pool", pooled);
	sweep("watched", watched);
	CHECK_EQ(munmap(memory, PAGES * PAGE), 0);
	return 0;
}
