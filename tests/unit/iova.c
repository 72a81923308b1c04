/* SPDX-License-Identifier: MIT */
/* The IOVA map against an oracle: a bitmap with one bit a page, and plain loops. */
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "iommu/iova.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define PAGES 512

static bool taken[PAGES];
static uint32_t seed = 12345;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Two windows with a hole, as the MSI window makes one. */
static bool in_window(uint64_t page)
{
	return (page < 200) || (page >= 220 && page < PAGES);
}

static void set_windows(struct iova_map *map)
{
	struct vfio_iova_range *windows = calloc(2, sizeof(*windows));

	CHECK(windows);
	windows[0] = (struct vfio_iova_range){0, 200 * PAGE - 1};
	windows[1] = (struct vfio_iova_range){220 * PAGE, PAGES * PAGE - 1};
	iova_set_windows(map, windows, 2);
}

static bool fits(uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++)
		if (i >= PAGES || taken[i] || !in_window(i))
			return false;
	/* A mapping may not reach over the hole, which fits() has seen page by page. */
	return true;
}

/* Is there any place at all that satisfies the request? */
static bool possible(uint64_t pages, uint64_t align, uint64_t highest)
{
	for (uint64_t first = align; first < PAGES; first += align)
		if (fits(first, pages) && (first + pages) * PAGE - 1 <= highest)
			return true;
	return false;
}

static void mark(uint64_t iova, uint64_t length, bool value)
{
	for (uint64_t i = iova / PAGE; i < (iova + length) / PAGE; i++)
		taken[i] = value;
}

static void allocate(struct iova_map *map)
{
	uint64_t pages = 1 + random_below(12), align = UINT64_C(1) << random_below(4), iova = 0;
	uint64_t highest = random_below(4) ? UINT64_MAX : (50 + random_below(400)) * PAGE - 1;
	bool expected = possible(pages, align, highest);

	CHECK_EQ(iova_allocate(map, pages * PAGE, align * PAGE, highest, &iova), expected);
	if (!expected)
		return;
	CHECK_EQ(iova % (align * PAGE), 0);
	CHECK(iova >= PAGE);
	CHECK(iova + pages * PAGE - 1 <= highest);
	CHECK(fits(iova / PAGE, pages));
	CHECK(iova_in_window(map, iova, pages * PAGE));
	CHECK(!iova_overlaps(map, iova, pages * PAGE));
	CHECK_EQ(iova_reserve(map), 0);
	iova_insert(map, &(struct vfc_mapping){.iova = iova, .length = pages * PAGE});
	mark(iova, pages * PAGE, true);
}

static void release(struct iova_map *map)
{
	size_t i;

	if (!map->count)
		return;
	i = random_below((uint32_t)map->count);
	mark(map->mappings[i].iova, map->mappings[i].length, false);
	iova_remove(map, i);
}

static void look_up(const struct iova_map *map)
{
	uint64_t page = random_below(PAGES), bytes = 0;
	size_t i = iova_search(map, page * PAGE);
	bool found = i < map->count && map->mappings[i].iova <= page * PAGE;

	CHECK_EQ(found, taken[page]);
	CHECK_EQ(iova_overlaps(map, page * PAGE, PAGE), taken[page]);
	CHECK_EQ(iova_in_window(map, page * PAGE, PAGE), in_window(page));
	for (size_t p = 0; p < PAGES; p++)
		bytes += taken[p] ? PAGE : 0;
	CHECK_EQ(map->bytes, bytes);
}

static void against_the_oracle(void)
{
	struct iova_map map = {0};

	set_windows(&map);
	for (int step = 0; step < 20000; step++) {
		if (random_below(5) < 3)
			allocate(&map);
		else
			release(&map);
		look_up(&map);
	}
	iova_destroy(&map);
}

/* A space may end at 2^64-1: nothing may wrap round. */
static void end_of_the_space(void)
{
	struct vfio_iova_range *windows = calloc(1, sizeof(*windows));
	struct iova_map map = {0};
	uint64_t iova, last = UINT64_MAX - PAGE + 1;

	CHECK(windows);
	windows[0] = (struct vfio_iova_range){UINT64_MAX - 2 * PAGE + 1, UINT64_MAX};
	iova_set_windows(&map, windows, 1);
	CHECK_EQ(iova_reserve(&map), 0);
	CHECK(iova_in_window(&map, last, PAGE));
	CHECK(!iova_in_window(&map, last, 2 * PAGE));
	iova_insert(&map, &(struct vfc_mapping){.iova = last, .length = PAGE});
	CHECK(iova_overlaps(&map, last - PAGE, 2 * PAGE));
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, &iova));
	CHECK_EQ(iova, last - PAGE);
	CHECK(!iova_allocate(&map, 2 * PAGE, PAGE, UINT64_MAX, &iova));
	CHECK(!iova_allocate(&map, UINT64_MAX - PAGE + 1, PAGE, UINT64_MAX, &iova));
	iova_destroy(&map);
}

int main(void)
{
	against_the_oracle();
	end_of_the_space();
	return 0;
}
