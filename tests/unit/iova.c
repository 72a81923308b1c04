/* SPDX-License-Identifier: MIT */
/* The IOVA map against an oracle: an owner for each page, and plain loops. */
#include <string.h>
#include <vfiocore.h>

#include "iommu/iova.h"
#include "kernel/sys.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define PAGES 3072
#define VA_PAGES 64 /* few, so that the same memory is mapped many times over */
#define NOBODY -1
#define MANY UINT64_C(40000)

struct live {
	uint64_t page, pages; /* IOVA */
	uint64_t va_page;
	uint32_t flags;
};

static struct live live[PAGES];
static int owner[PAGES]; /* an index into live[] */
static size_t live_count;
static bool allowed[PAGES]; /* by the windows */
static uint64_t base;       /* the IOVA of page 0: 0, or so that the last page ends at 2^64-1 */
static uint64_t state = 12345;
static uint8_t *const memory = (uint8_t *)(UINT64_C(1) << 40); /* never touched */

static uint64_t random_below(uint64_t n)
{
	return test_random(&state) % n;
}

/* One to four windows with holes; what lives in a hole stays. */
static void change_windows(struct iova_map *map)
{
	struct vfio_iova_range *windows = calloc(4, sizeof(*windows));
	size_t count = 0;
	uint64_t page = random_below(3) * 10;

	CHECK(windows);
	memset(allowed, 0, sizeof(allowed));
	while (count < 4 && page < PAGES) {
		uint64_t last = page + 20 + random_below(1600);

		if (last >= PAGES)
			last = PAGES - 1;
		for (uint64_t i = page; i <= last; i++)
			allowed[i] = true;
		windows[count++] = (struct vfio_iova_range){base + page * PAGE,
							    base + last * PAGE + (PAGE - 1)};
		page = last + 2 + random_below(30);
	}
	iova_set_windows(map, windows, count);
}

static bool in_windows(uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++)
		if (i >= PAGES || !allowed[i])
			return false;
	return true;
}

static bool is_free(uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages && i < PAGES; i++)
		if (owner[i] != NOBODY)
			return false;
	return true;
}

/* Is there any place at all that satisfies the request? */
static bool possible(uint64_t pages, uint64_t align, uint64_t highest)
{
	for (uint64_t first = 0; first < PAGES; first++) {
		uint64_t iova = base + first * PAGE;

		if (iova && iova % (align * PAGE) == 0 && in_windows(first, pages) &&
		    is_free(first, pages) && iova + (pages * PAGE - 1) <= highest)
			return true;
	}
	return false;
}

static void set_owner(const struct live *l, int who)
{
	for (uint64_t i = l->page; i < l->page + l->pages; i++)
		owner[i] = who;
}

static void add(struct iova_map *map, uint64_t page, uint64_t pages)
{
	struct live *l = &live[live_count];
	uint64_t before = map->bytes;

	*l = (struct live){page, pages, random_below(VA_PAGES), 1 + (uint32_t)random_below(3)};
	set_owner(l, (int)live_count++);
	CHECK_EQ(iova_reserve(map), 0);
	iova_insert(map, &(struct vfc_mapping){.iova = base + page * PAGE,
					       .length = pages * PAGE,
					       .va = memory + l->va_page * PAGE,
					       .flags = l->flags});
	CHECK_EQ(map->bytes, before + pages * PAGE);
	CHECK_EQ(map->count, live_count);
}

static void allocate(struct iova_map *map)
{
	uint64_t pages = 1 + random_below(random_below(8) ? 12 : 60), iova = 0;
	uint64_t align = UINT64_C(1) << random_below(5);
	uint64_t highest = random_below(3) ? UINT64_MAX : base + (random_below(PAGES) * PAGE - 1);
	bool expected;

	if (highest == base - 1)
		highest = base;
	if (random_below(2)) /* as most are: a power of two, naturally aligned */
		pages = align;
	expected = possible(pages, align, highest);
	CHECK_EQ(iova_allocate(map, pages * PAGE, align * PAGE, highest, &iova), expected);
	if (!expected)
		return;
	CHECK_EQ(iova % (align * PAGE), 0);
	CHECK(iova != 0 && iova >= base);
	CHECK(iova + (pages * PAGE - 1) <= highest);
	CHECK(in_windows((iova - base) / PAGE, pages));
	CHECK(is_free((iova - base) / PAGE, pages));
	add(map, (iova - base) / PAGE, pages);
}

static void insert_fixed(struct iova_map *map)
{
	uint64_t page = random_below(PAGES), pages = 1 + random_below(12);
	bool good = page + pages <= PAGES && in_windows(page, pages);

	CHECK_EQ(iova_in_window(map, base + page * PAGE, pages * PAGE), good);
	if (page + pages > PAGES)
		return;
	CHECK_EQ(iova_overlaps(map, base + page * PAGE, pages * PAGE), !is_free(page, pages));
	if (good && is_free(page, pages))
		add(map, page, pages);
}

static void release(struct iova_map *map)
{
	size_t i;

	if (!live_count)
		return;
	i = random_below(live_count);
	iova_remove(map, base + live[i].page * PAGE);
	set_owner(&live[i], NOBODY);
	live[i] = live[--live_count];
	if (i < live_count)
		set_owner(&live[i], (int)i);
	CHECK_EQ(map->count, live_count);
}

static void same(const struct vfc_mapping *found, const struct live *l)
{
	CHECK_EQ(found->iova, base + l->page * PAGE);
	CHECK_EQ(found->length, l->pages * PAGE);
	CHECK(found->va == memory + l->va_page * PAGE);
	CHECK_EQ(found->flags, l->flags);
}

static void look_up(struct iova_map *map)
{
	uint64_t page = random_below(PAGES), at = random_below(VA_PAGES + 70);
	const struct live *best = NULL;
	struct vfc_mapping found;
	bool is = iova_find(map, base + page * PAGE + random_below(PAGE), &found);

	CHECK_EQ(is, owner[page] != NOBODY);
	if (is)
		same(&found, &live[owner[page]]);
	for (size_t i = 0; i < live_count; i++) {
		const struct live *l = &live[i];

		if (at < l->va_page || at >= l->va_page + l->pages)
			continue;
		if (!best || l->va_page < best->va_page ||
		    (l->va_page == best->va_page && l->page < best->page))
			best = l;
	}
	is = iova_find_va(map, memory + at * PAGE + random_below(PAGE), &found);
	CHECK_EQ(is, best != NULL);
	if (is)
		same(&found, best);
}

static void empty(struct iova_map *map)
{
	struct vfc_mapping lowest;

	while (iova_first(map, &lowest)) {
		for (uint64_t i = 0; i < (lowest.iova - base) / PAGE; i++)
			CHECK_EQ(owner[i], NOBODY);
		CHECK_EQ(owner[(lowest.iova - base) / PAGE] == NOBODY, false);
		set_owner(&live[owner[(lowest.iova - base) / PAGE]], NOBODY);
		iova_remove(map, lowest.iova);
	}
	CHECK_EQ(map->count, 0);
	CHECK_EQ(map->bytes, 0);
	live_count = 0;
}

/* Phases in which the map fills and in which it drains, so that nodes split, merge and go. */
static void against_the_oracle(uint64_t from, int steps)
{
	struct iova_map map = {0};

	base = from;
	memset(owner, 0xff, sizeof(owner));
	live_count = 0;
	change_windows(&map);
	for (int step = 0; step < steps; step++) {
		uint64_t adding = step / 4000 % 2 ? 50 : 70;

		if (random_below(100) >= adding)
			release(&map);
		else if (random_below(4))
			allocate(&map);
		else
			insert_fixed(&map);
		look_up(&map);
		if (!random_below(500))
			change_windows(&map);
		if (step % 20000 == 19999)
			empty(&map);
	}
	iova_destroy(&map);
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
	iova_insert(&map, &(struct vfc_mapping){.iova = last, .length = PAGE});
	CHECK(iova_overlaps(&map, last - PAGE, 2 * PAGE));
	CHECK(iova_find(&map, UINT64_MAX, &found));
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, &iova));
	CHECK_EQ(iova, last - PAGE);
	CHECK(!iova_allocate(&map, 2 * PAGE, PAGE, UINT64_MAX, &iova));
	CHECK(!iova_allocate(&map, UINT64_MAX - PAGE + 1, PAGE, UINT64_MAX, &iova));
	CHECK(!iova_allocate(&map, PAGE, UINT64_C(1) << 63, UINT64_MAX, &iova));
	iova_destroy(&map);

	/* All of 64 bits; IOVA 0 on request only. */
	iova_set_windows(&map, one_window(0, UINT64_MAX), 1);
	CHECK(iova_allocate(&map, PAGE, UINT64_C(1) << 63, UINT64_MAX, &iova));
	CHECK_EQ(iova, INT64_MIN);
	CHECK_EQ(iova_reserve(&map), 0);
	iova_insert(&map, &(struct vfc_mapping){.iova = 0, .length = UINT64_MAX - PAGE + 1});
	CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, &iova));
	CHECK_EQ(iova, last);
	CHECK(!iova_allocate(&map, PAGE, PAGE, UINT64_MAX - 1, &iova));
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

		CHECK(iova_allocate(&map, PAGE, PAGE, i % 5 ? UINT64_MAX : highest, &iova));
		CHECK(iova > 0 && (i % 5 || iova + (PAGE - 1) <= highest));
		CHECK_EQ(iova_reserve(&map), 0);
		iova_insert(&map, &(struct vfc_mapping){.iova = iova, .length = PAGE});
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
							.va = memory + shuffled[i] * PAGE});
		check_many(&map, i + 1, true);
	}
	CHECK(!iova_allocate(&map, PAGE, PAGE, UINT64_MAX, &iova)); /* but page 0 all are taken */
	shuffle();
	for (uint64_t i = 0; i < MANY; i++) {
		iova_remove(&map, (shuffled[i] + 1) * PAGE);
		check_many(&map, i + 1, false);
		if (i == 0) {
			CHECK(iova_allocate(&map, PAGE, PAGE, UINT64_MAX, &iova));
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
	unsigned refused = 0;

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
							.va = memory + i * 1733 % 5000 * PAGE});
		CHECK_EQ(sys_fault_count(), 0);
		sys_fault_arm(0);
	}
	CHECK(refused > 100);
	iova_destroy(&map);
}

int main(void)
{
	out_of_memory();
	many();
	against_the_oracle(0, 60000);
	against_the_oracle(UINT64_MAX - PAGES * PAGE + 1, 60000);
	end_of_the_space();
	narrow_engines();
	return 0;
}
