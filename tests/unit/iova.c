/* SPDX-License-Identifier: MIT */
/* The IOVA map at its edges; tests/fuzz/iova.c compares it with an oracle. */
#include <errno.h>
#include <vfiocore.h>

#include "iommu/iova.h"
#include "kernel/sys.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define MANY UINT64_C(40000)

static uint64_t state = 12345;
static uint8_t *const memory = (uint8_t *)(UINT64_C(1) << 40); /* never touched */

static uint64_t random_below(uint64_t n)
{
	return test_random(&state) % n;
}

static struct vfio_iova_range *one_window(uint64_t first, uint64_t last)
{
	struct vfio_iova_range *window = calloc(1, sizeof(*window));

	CHECK(window);
	*window = (struct vfio_iova_range){first, last};
	return window;
}

/* A space may end at 2^64-1: nothing may wrap round. */
static void end_of_the_space(void)
{
	struct iova_map map = {0};
	struct vfc_mapping found;
	uint64_t iova, last = UINT64_MAX - PAGE + 1;

	iova_set_windows(&map, one_window(UINT64_MAX - 2 * PAGE + 1, UINT64_MAX), 1);
	CHECK_EQ(iova_reserve(&map), 0);
	CHECK(iova_in_window(&map, last, PAGE));
	CHECK(!iova_in_window(&map, last, 2 * PAGE));
	iova_insert(&map, &(struct vfc_mapping){.iova = last, .length = PAGE}, 0);
	CHECK(iova_conflicts(&map, last - PAGE, 2 * PAGE, 0, &found));
	CHECK(iova_find(&map, UINT64_MAX, &found));
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova));
	CHECK_EQ(iova, last - PAGE);
	CHECK(!iova_allocate(&map, 2 * PAGE, PAGE, UINT64_MAX, 0, &iova));
	CHECK(!iova_allocate(&map, UINT64_MAX - PAGE + 1, PAGE, UINT64_MAX, 0, &iova));
	CHECK(!iova_allocate(&map, PAGE, UINT64_C(1) << 63, UINT64_MAX, 0, &iova));
	iova_destroy(&map);

	/* All of 64 bits; IOVA 0 on request only. */
	iova_set_windows(&map, one_window(0, UINT64_MAX), 1);
	CHECK(iova_allocate(&map, PAGE, UINT64_C(1) << 63, UINT64_MAX, 0, &iova));
	CHECK_EQ(iova, INT64_MIN);
	CHECK_EQ(iova_reserve(&map), 0);
	iova_insert(&map, &(struct vfc_mapping){.iova = 0, .length = UINT64_MAX - PAGE + 1}, 0);
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova));
	CHECK_EQ(iova, last);
	CHECK(!iova_allocate(&map, PAGE, PAGE, UINT64_MAX - 1, 0, &iova));
	iova_destroy(&map);
}

/* Engines of different reach in one space, each within its own. */
static void narrow_engines(void)
{
	static const unsigned bits[] = {24, 28, 32, 39};
	struct iova_map map = {0};
	uint64_t iova;

	iova_set_windows(&map, one_window(0, (UINT64_C(1) << 48) - 1), 1);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t highest = (UINT64_C(1) << bits[i % 4]) - 1;

		CHECK(iova_allocate(&map, PAGE, PAGE, i % 5 ? UINT64_MAX : highest, 0, &iova));
		CHECK(iova > 0 && (i % 5 || iova + (PAGE - 1) <= highest));
		CHECK_EQ(iova_reserve(&map), 0);
		iova_insert(&map, &(struct vfc_mapping){.iova = iova, .length = PAGE}, 0);
	}
	CHECK_EQ(map.count, 3000);
	iova_destroy(&map);
}

static uint64_t shuffled[MANY];

static void shuffle(void)
{
	for (uint64_t i = 0; i < MANY; i++)
		shuffled[i] = i;
	for (uint64_t i = MANY - 1; i > 0; i--) {
		uint64_t j = random_below(i + 1), other = shuffled[j];

		shuffled[j] = shuffled[i];
		shuffled[i] = other;
	}
}

/* Page i of memory at the IOVA of page i + 1; look at those of the last ones that came or went. */
static void check_many(struct iova_map *map, uint64_t at, bool live_before)
{
	struct vfc_mapping found;

	for (uint64_t i = at > 3 ? at - 3 : 0; i < at + 3 && i < MANY; i++) {
		uint64_t page = shuffled[i];
		bool expected = (i < at) == live_before;

		CHECK_EQ(iova_find(map, (page + 1) * PAGE, &found), expected);
		if (expected)
			CHECK(found.va == memory + page * PAGE);
		CHECK_EQ(iova_find_va(map, memory + page * PAGE + 1, &found), expected);
		if (expected)
			CHECK_EQ(found.iova, (page + 1) * PAGE);
	}
}

/* Deep enough for inner nodes to split and merge, in random order, in both trees. */
static void many(void)
{
	struct iova_map map = {0};
	uint64_t iova;

	iova_set_windows(&map, one_window(0, MANY * PAGE + (PAGE - 1)), 1);
	shuffle();
	for (uint64_t i = 0; i < MANY; i++) {
		CHECK_EQ(iova_reserve(&map), 0);
		iova_insert(&map, &(struct vfc_mapping){.iova = (shuffled[i] + 1) * PAGE,
							.length = PAGE,
							.va = memory + shuffled[i] * PAGE},
			    0);
		check_many(&map, i + 1, true);
	}
	CHECK(!iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova)); /* but page 0 all are taken */
	shuffle();
	for (uint64_t i = 0; i < MANY; i++) {
		iova_remove(&map, (shuffled[i] + 1) * PAGE);
		check_many(&map, i + 1, false);
		if (i == 0) {
			CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova));
			CHECK_EQ(iova, (shuffled[0] + 1) * PAGE);
		}
	}
	CHECK_EQ(map.count, 0);
	iova_destroy(&map);
}

/* Without memory the reservation says so; with it the insertion asks for none. */
static void out_of_memory(void)
{
	struct iova_map map = {0};
	struct vfc_mapping found;
	unsigned refused = 0;

	CHECK_EQ(iova_find_va(&map, memory, &found), 0); /* from here on by address, too */
	for (uint64_t i = 0; i < 5000; i++) {
		sys_fault_arm(1);
		if (iova_reserve(&map) < 0)
			refused++;
		CHECK_EQ(map.count, i);
		sys_fault_arm(0);
		CHECK_EQ(iova_reserve(&map), 0);
		sys_fault_arm(1);
		iova_insert(&map, &(struct vfc_mapping){.iova = (i * 3001 % 5000 + 1) * PAGE,
							.length = PAGE,
							.va = memory + i * 1733 % 5000 * PAGE},
			    0);
		CHECK_EQ(sys_fault_count(), 0);
		sys_fault_arm(0);
	}
	CHECK(refused > 100);
	iova_destroy(&map);
}

/* The index by address is made by the first who asks, whole or not at all. */
static void index_without_memory(void)
{
	struct iova_map map = {0};
	struct vfc_mapping found;
	unsigned n = 0;
	int rc;

	for (uint64_t i = 0; i < 3000; i++) {
		CHECK_EQ(iova_reserve(&map), 0);
		iova_insert(&map, &(struct vfc_mapping){.iova = i * PAGE, .length = PAGE,
							.va = i % 3 ? memory + i * PAGE : NULL}, 0);
	}
	do {
		sys_fault_arm(++n);
		rc = iova_find_va(&map, memory + 2999 * PAGE, &found);
		sys_fault_arm(0);
		CHECK(rc == -ENOMEM || rc == 1);
		CHECK(rc == 1 || (!map.by_va.levels && !map.by_va.spares));
	} while (rc < 0);
	CHECK(n > 50);
	CHECK_EQ(found.iova, 2999 * PAGE);
	CHECK_EQ(iova_find_va(&map, memory + 2997 * PAGE, &found), 0); /* it has none */
	CHECK_EQ(iova_find_va(&map, NULL, &found), 0);
	iova_destroy(&map);
}

static bool fixed(struct iova_map *map, uint64_t page, uint64_t pages, uint64_t guard)
{
	struct vfc_mapping with;

	if (iova_conflicts(map, page * PAGE, pages * PAGE, guard, &with))
		return false;
	CHECK_EQ(iova_reserve(map), 0);
	iova_insert(map, &(struct vfc_mapping){.iova = page * PAGE, .length = pages * PAGE}, guard);
	return true;
}

static void guards(void)
{
	struct iova_map map = {0};
	uint64_t iova;

	iova_set_windows(&map, one_window(0, 100 * PAGE - 1), 1);
	CHECK(fixed(&map, 50, 2, 3 * PAGE));
	for (uint64_t page = 45; page < 57; page++) /* not in it, not around it, not across it */
		CHECK_EQ(fixed(&map, page, 1, 0) ? 0 : 1, page >= 47 && page <= 54);
	CHECK(!fixed(&map, 40, 20, 0));
	CHECK_EQ(map.count, 5);
	/* Guards may overlap: the larger of the two counts. */
	CHECK(!fixed(&map, 60, 1, 4 * PAGE));
	CHECK(fixed(&map, 60, 1, 3 * PAGE));
	/* They are gone with their mapping. */
	iova_remove(&map, 50 * PAGE);
	CHECK(fixed(&map, 47, 1, 0) && fixed(&map, 54, 1, 0));
	iova_destroy(&map);

	/* All that is left has neighbours too near; a guard may reach over both ends of the space. */
	iova_set_windows(&map, one_window(0, 100 * PAGE - 1), 1);
	CHECK(fixed(&map, 33, 1, 0) && fixed(&map, 66, 1, 0));
	CHECK(!iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 33 * PAGE, &iova));
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 32 * PAGE, &iova));
	CHECK_EQ(iova, 99 * PAGE);
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 31 * PAGE, &iova)); /* from the bottom again */
	CHECK_EQ(iova, PAGE);
	iova_destroy(&map);
	iova_set_windows(&map, one_window(0, UINT64_MAX), 1);
	CHECK(fixed(&map, 0, 1, IOVA_GUARD_MAX));
	CHECK(fixed(&map, UINT64_MAX / PAGE, 1, IOVA_GUARD_MAX));
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova));
	CHECK_EQ(iova, IOVA_GUARD_MAX + PAGE);
	CHECK(!iova_allocate(&map, PAGE, PAGE, IOVA_GUARD_MAX, 0, &iova));
	iova_destroy(&map);
}

static uint64_t take(struct iova_map *map, uint64_t length)
{
	uint64_t iova;

	CHECK(iova_allocate(map, length, PAGE, UINT64_MAX, 0, &iova));
	CHECK_EQ(iova_reserve(map), 0);
	iova_insert(map, &(struct vfc_mapping){.iova = iova, .length = length,
					       .va = memory + iova}, 0);
	return iova;
}

/* So many in flight, the oldest of which goes first. Return: the levels of the tree then. */
static unsigned in_flight(uint64_t depth)
{
	uint64_t iova[RUN_LENGTH * 2], count = 10 * depth;
	struct iova_map map = {0};
	struct vfc_mapping found;
	unsigned levels;

	iova_set_windows(&map, one_window(0, UINT64_MAX), 1);
	for (uint64_t i = 0; i < count; i++) {
		if (i >= depth) {
			CHECK(iova_find(&map, iova[i % depth] + PAGE - 1, &found));
			CHECK(found.va == memory + iova[i % depth]);
			iova_remove(&map, iova[i % depth]);
			CHECK(!iova_find(&map, iova[i % depth], &found));
		}
		iova[i % depth] = take(&map, PAGE);
		CHECK_EQ(iova[i % depth], (i + 1) * PAGE); /* none is used again */
	}
	CHECK_EQ(map.count, depth);
	CHECK_EQ(map.bytes, depth * PAGE);
	levels = map.by_iova.levels;
	for (uint64_t i = 0; i < depth; i++) {
		CHECK(iova_first(&map, &found));
		CHECK_EQ(found.iova, (count - depth + i + 1) * PAGE);
		iova_remove(&map, found.iova);
	}
	CHECK(!iova_first(&map, &found));
	iova_destroy(&map);
	return levels;
}

/* The newest are not in the tree until they are many, or somebody asks what the tree knows. */
static void runs(void)
{
	struct iova_map map = {0};
	struct vfc_mapping found;
	uint64_t first, second;

	CHECK_EQ(in_flight(1), 0);
	CHECK_EQ(in_flight(RUN_LENGTH / 2), 0);
	CHECK(in_flight(RUN_LENGTH * 2) > 0);

	iova_set_windows(&map, one_window(0, 100 * PAGE - 1), 1);
	first = take(&map, PAGE);
	second = take(&map, PAGE);
	iova_remove(&map, first);
	CHECK(iova_conflicts(&map, second, PAGE, 0, &found));
	CHECK_EQ(found.iova, second);
	CHECK(!iova_conflicts(&map, first, PAGE, 0, &found));
	/* Something in its way; a guard reaches into it; the windows change; it comes to their end. */
	CHECK(fixed(&map, 4, 2, 0));
	CHECK_EQ(take(&map, 2 * PAGE), 6 * PAGE);
	CHECK(fixed(&map, 12, 1, 2 * PAGE));
	CHECK_EQ(take(&map, 2 * PAGE), 8 * PAGE);
	CHECK_EQ(take(&map, 2 * PAGE), 15 * PAGE);
	iova_set_windows(&map, one_window(0, 20 * PAGE - 1), 1);
	CHECK_EQ(take(&map, 3 * PAGE), 17 * PAGE);
	CHECK_EQ(take(&map, PAGE), PAGE);
	/* What was given out and not inserted is free. */
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &first));
	CHECK(!iova_conflicts(&map, first, PAGE, 0, &found));
	iova_destroy(&map);
}

int main(void)
{
	runs();
	out_of_memory();
	many();
	index_without_memory();
	guards();
	end_of_the_space();
	narrow_engines();
	return 0;
}
