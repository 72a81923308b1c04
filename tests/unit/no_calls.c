/* SPDX-License-Identifier: MIT */
/*
 * The public functions that make no system call and allocate nothing, so that none of their calls can
 * fail: each runs here while the first call would fail, and none is made. They are the hot paths, what
 * is answered from memory, and single instructions. tests/unit/swept.py counts a function of the symbol
 * map as looked after when it stands here or in a program that sweeps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define NO_CALLS(...)                            \
	do {                                     \
		sys_fault_arm(1);                \
		__VA_ARGS__;                     \
		CHECK_EQ(sys_fault_count(), 0);  \
		sys_fault_arm(0);                \
	} while (0)

/* Constants, the thread's own record, a copy of config space that the caller has. */
static void answers_from_memory(void)
{
	uint8_t config[256] = {0};
	struct vfc_pci_cap caps[4];
	char text[200];

	NO_CALLS(CHECK_EQ(vfc_abi(), VFC_ABI));
	NO_CALLS(CHECK(strlen(vfc_version()) > 0));
	NO_CALLS(CHECK(vfc_error_last()));
	NO_CALLS(vfc_error_text(text, sizeof(text)));
	NO_CALLS(CHECK_EQ(vfc_pci_caps_of(config, sizeof(config), caps, 4), 0));
}

/* Single instructions. */
static void barriers(void)
{
	NO_CALLS(vfc_to_device());
	NO_CALLS(vfc_from_device());
	NO_CALLS(vfc_from_register());
	NO_CALLS(vfc_to_memory());
	NO_CALLS(vfc_store_load());
	NO_CALLS(vfc_flush_wc());
	NO_CALLS(vfc_relax());
}

static void registers(void)
{
	uint64_t memory = 0;
	volatile void *at = &memory;

	NO_CALLS(vfc_mmio_write8(at, 1));
	NO_CALLS(CHECK_EQ(vfc_mmio_read8(at), 1));
	NO_CALLS(vfc_mmio_write16(at, 2));
	NO_CALLS(CHECK_EQ(vfc_mmio_read16(at), 2));
	NO_CALLS(vfc_mmio_write32(at, 3));
	NO_CALLS(CHECK_EQ(vfc_mmio_read32(at), 3));
	NO_CALLS(vfc_mmio_write64(at, 4));
	NO_CALLS(CHECK_EQ(vfc_mmio_read64(at), 4));
	NO_CALLS(CHECK(vfc_mmio_wait32(at, UINT32_MAX, 4, 0) > 0));
}

/* Hot paths of rings: posting, kicking and reaping are memory only. */
static void rings(struct vfc_iommu *iommu)
{
	static const struct vfc_ring_layout layout = {.done = UINT64_C(1) << 32, .report = UINT64_C(1) << 27, .size = 16,
						      .control = 8, .length_bits = 16};
	static const struct vfc_ring_layout split = {.style = VFC_RING_SPLIT, .size = 16, .control = 8,
						     .length_bits = 32};
	struct vfc_buffer buffers[2] = {{.iova = 4096, .length = 1}, {.iova = 8192, .length = 1}};
	struct vfc_completion done[2];
	uint32_t doorbell = 0, cookies[16];
	struct vfc_ring ring;
	struct vfc_pool pool;

	CHECK_EQ(vfc_pool_init(&pool, iommu, 2048, 16), 0);
	CHECK_EQ(vfc_ring_init(&ring, &layout, iommu, 16, &doorbell), 0);
	NO_CALLS(vfc_ring_post(&ring, &layout, buffers));
	NO_CALLS(CHECK_EQ(vfc_ring_post_many(&ring, &layout, buffers, 2), 2));
	NO_CALLS(vfc_ring_report(&ring, &layout));
	NO_CALLS(vfc_ring_kick(&ring, &layout));
	NO_CALLS(CHECK_EQ(vfc_ring_used(&ring), 3));
	NO_CALLS(CHECK_EQ(vfc_ring_space(&ring), ring.entries - 1 - 3));
	NO_CALLS(CHECK_EQ(vfc_ring_ready(&ring, &layout), 0));
	NO_CALLS(CHECK_EQ(vfc_ring_reap(&ring, &layout, done, 2), 0));
	NO_CALLS(CHECK_EQ(vfc_ring_reclaim(&ring, &layout, cookies, 2), 0));
	NO_CALLS(CHECK_EQ(vfc_ring_cancel(&ring, &layout, cookies), 3));
	NO_CALLS(CHECK(vfc_ring_fill(&ring, &layout, &pool, 0, 2048, 0) > 0));
	NO_CALLS(vfc_ring_cancel(&ring, &layout, cookies));
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_ring_init(&ring, &split, iommu, 16, &doorbell), 0);
	NO_CALLS(vfc_ring_arm(&ring, &split));
	NO_CALLS(vfc_ring_disarm(&ring, &split));
	CHECK_EQ(vfc_ring_destroy(&ring), 0);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

static void pools(struct vfc_iommu *iommu)
{
	struct vfc_pool pool;
	int32_t chunk = -1;

	CHECK_EQ(vfc_pool_init(&pool, iommu, 2048, 4), 0);
	NO_CALLS(vfc_pool_lock(&pool));
	NO_CALLS(chunk = vfc_pool_get(&pool));
	CHECK(chunk >= 0);
	NO_CALLS(CHECK(vfc_pool_has(&pool, (uint32_t)chunk)));
	NO_CALLS(vfc_pool_put(&pool, (uint32_t)chunk));
	NO_CALLS(vfc_pool_unlock(&pool));
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

/* Bursts are posted and reaped, packets are taken from the pool and go back. */
static void frames(struct vfc_device *device)
{
	struct vfc_nic_info info = {.size = sizeof(info)};
	struct vfc_nic_link link = {.size = sizeof(link)};
	struct vfc_packet packets[4];
	uint8_t frame[60] = {0xff};
	struct vfc_nic *nic;

	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	NO_CALLS(CHECK(vfc_nic_pool(nic)));
	NO_CALLS(CHECK_EQ(vfc_nic_alloc_copies(nic, packets, 4, frame, sizeof(frame)), 4));
	NO_CALLS(vfc_nic_pool_free(vfc_nic_pool(nic), packets, 4));
	NO_CALLS(CHECK_EQ(vfc_nic_alloc(nic, packets, 4), 4));
	NO_CALLS(vfc_nic_free(nic, packets, 4));
	NO_CALLS(CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, 0), 0));
	NO_CALLS(CHECK_EQ(vfc_nic_rx_burst(nic, 0, packets, 4), 0));
	NO_CALLS(vfc_nic_link(nic, &link));
	NO_CALLS(CHECK_EQ(vfc_nic_info(nic, &info), 0));
	CHECK_EQ(vfc_nic_close(nic), 0);
}

/* What the library's own books know. */
static void books(struct vfc_device *device, struct vfc_iommu *iommu)
{
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_region_info region = {.size = sizeof(region)};
	struct vfc_mapcache_stats stats = {.size = sizeof(stats)};
	struct vfc_region_area areas[4];
	struct vfc_mapcache *cache;
	struct vfc_reach reach;
	void *page;

	NO_CALLS(CHECK(vfc_device_iommu(device) == iommu));
	NO_CALLS(CHECK_EQ(vfc_device_info(device, &info), 0));
	NO_CALLS(CHECK_EQ(vfc_region_info(device, 3, &region), 0));
	NO_CALLS(CHECK_EQ(vfc_region_areas(device, 3, areas, 4), 2));
	CHECK_EQ(posix_memalign(&page, 4096, 4096), 0);
	CHECK_EQ(vfc_mapcache_open(iommu, NULL, &cache), 0);
	CHECK_EQ(vfc_mapcache_get(cache, page, 4096, &reach), 0);
	NO_CALLS(vfc_mapcache_put(cache, &reach));
	NO_CALLS(CHECK_EQ(vfc_mapcache_get(cache, page, 4096, &reach), 0));
	NO_CALLS(reach.entry->refs = 0, vfc_mapcache_idle(cache, reach.entry));
	NO_CALLS(CHECK_EQ(vfc_mapcache_stats(cache, &stats), 0));
	CHECK_EQ(vfc_mapcache_close(cache), 0);
	free(page);
}

int main(void)
{
	struct vfc_device *device;

	answers_from_memory();
	barriers();
	registers();
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	rings(vfc_device_iommu(device));
	pools(vfc_device_iommu(device));
	frames(device);
	books(device, vfc_device_iommu(device));
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
