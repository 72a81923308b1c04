/* SPDX-License-Identifier: MIT */
/* A map cache on the fake transport, memory for it, and what is mapped by both sides' books. */
#ifndef VFC_MAPCACHE_TEST_H
#define VFC_MAPCACHE_TEST_H

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "test.h"

#define PAGE UINT64_C(4096)
#define PAGES 64

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static struct vfc_mapcache *cache;
static uint8_t *memory; /* PAGES, with a page on both sides that is not there */
static inline uint64_t knob(uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

static inline struct vfc_mapcache_stats stats(void)
{
	struct vfc_mapcache_stats now = {.size = sizeof(now)};

	CHECK_EQ(vfc_mapcache_stats(cache, &now), 0);
	return now;
}

static inline void open_cache(struct vfc_mapcache_opts opts)
{
	opts.size = sizeof(opts);
	CHECK_EQ(vfc_mapcache_open(iommu, &opts, &cache), 0);
}

static inline void close_cache(void)
{
	CHECK_EQ(vfc_mapcache_close(cache), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
}

/* Devices find @length bytes at @va where @reach says. */
static inline void is_reached(const struct vfc_reach *reach, const uint8_t *va, uint64_t length)
{
	struct vfc_mapping found;

	CHECK_EQ(vfc_iommu_find_iova(iommu, reach->iova, &found), 0);
	CHECK((uint8_t *)found.va + (reach->iova - found.iova) == va);
	CHECK(length <= found.length - (reach->iova - found.iova));
}

static inline struct vfc_reach get(const void *va, uint64_t length)
{
	struct vfc_reach reach;

	CHECK_EQ(vfc_mapcache_get(cache, va, length, &reach), 0);
	is_reached(&reach, va, length);
	return reach;
}

static inline void put(struct vfc_reach reach)
{
	vfc_mapcache_put(cache, &reach);
}

/* What is mapped, and that our books and the kernel's side agree. */
static inline void counts(uint64_t live, uint64_t idle, uint64_t pages)
{
	struct vfc_mapcache_stats now = stats();

	CHECK_EQ(now.live_entries, live);
	CHECK_EQ(now.idle_entries, idle);
	CHECK_EQ(now.live_bytes + now.idle_bytes, pages * PAGE);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), live + idle);
	CHECK_EQ(knob(VFC_FAKE_PINNED), pages * PAGE);
}

static inline void hits_and_misses(uint64_t hits, uint64_t misses)
{
	CHECK_EQ(stats().hits, hits);
	CHECK_EQ(stats().misses, misses);
}

static inline void open_device(void)
{
	memory = mmap(NULL, (PAGES + 2) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_EQ(munmap(memory, PAGE), 0);
	memory += PAGE;
	CHECK_EQ(munmap(memory + PAGES * PAGE, PAGE), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
}

#endif
