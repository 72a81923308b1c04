/* SPDX-License-Identifier: MIT */
/*
 * The IOVA map against an oracle: an owner for each page, and plain loops. The input says what is
 * done; after each step both must agree.
 */
#include <string.h>
#include <vfiocore.h>

#include "../unit/test.h"
#include "input.h"
#include "iommu/iova.h"

#define PAGE UINT64_C(4096)
#define PAGES 1536
#define VA_PAGES 64 /* few, so that the same memory is mapped many times over */
#define NOBODY -1

struct live {
	uint64_t page, pages, guard; /* IOVA */
	uint64_t va_page;            /* 0: no address */
	uint32_t flags;
};

static struct live live[PAGES];
static int owner[PAGES]; /* an index into live[] */
static size_t live_count;
static bool allowed[PAGES]; /* by the windows */
static bool blocked[PAGES]; /* by mappings and guards, for the guard at hand */
static bool asks_va;        /* from then on all are in the trees at once */
static uint64_t base;       /* the IOVA of page 0: 0, or so that the last page ends at 2^64-1 */
static uint8_t *const memory = (uint8_t *)(UINT64_C(1) << 40); /* never touched */
static struct input in;
static struct iova_map map;

static uint8_t *va_of(const struct live *l)
{
	return l->va_page ? memory + l->va_page * PAGE : NULL;
}

/* Up to four windows with holes; what lives in a hole stays. */
static void change_windows(void)
{
	struct vfio_iova_range *windows = calloc(4, sizeof(*windows));
	size_t count = 0, most = 1 + input_below(&in, 4);
	uint64_t page = input_below(&in, 3) * 10;

	CHECK(windows);
	memset(allowed, 0, sizeof(allowed));
	while (count < most && page < PAGES) {
		uint64_t last = page + input_below(&in, PAGES);

		if (last >= PAGES)
			last = PAGES - 1;
		for (uint64_t i = page; i <= last; i++)
			allowed[i] = true;
		windows[count++] = (struct vfio_iova_range){base + page * PAGE,
							    base + last * PAGE + (PAGE - 1)};
		page = last + 2 + input_below(&in, 30);
	}
	iova_set_windows(&map, windows, count);
}

static bool in_windows(uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++)
		if (i >= PAGES || !allowed[i])
			return false;
	return true;
}

/* Where a mapping with @guard pages of guard cannot have a page. */
static void block(uint64_t guard)
{
	memset(blocked, 0, sizeof(blocked));
	for (size_t i = 0; i < live_count; i++) {
		uint64_t keep = guard > live[i].guard ? guard : live[i].guard;
		uint64_t first = live[i].page > keep ? live[i].page - keep : 0;

		for (uint64_t j = first; j < live[i].page + live[i].pages + keep && j < PAGES; j++)
			blocked[j] = true;
	}
}

static bool is_free(uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++)
		if (blocked[i])
			return false;
	return true;
}

/* Is there any place at all that satisfies the request? */
static bool possible(uint64_t pages, uint64_t align, uint64_t highest)
{
	uint64_t run = 0; /* usable pages that end here */

	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t iova = base + (i + 1 - pages) * PAGE;

		run = allowed[i] && !blocked[i] && base + i * PAGE ? run + 1 : 0;
		if (run >= pages && iova % (align * PAGE) == 0 &&
		    iova + (pages * PAGE - 1) <= highest)
			return true;
	}
	return false;
}

static void set_owner(const struct live *l, int who)
{
	for (uint64_t i = l->page; i < l->page + l->pages; i++)
		owner[i] = who;
}

static void same(const struct vfc_mapping *found, const struct live *l)
{
	CHECK_EQ(found->iova, base + l->page * PAGE);
	CHECK_EQ(found->length, l->pages * PAGE);
	CHECK(found->va == va_of(l));
	CHECK_EQ(found->flags, l->flags);
}

static void look_up_va(void)
{
	uint64_t at = input_below(&in, VA_PAGES + 70);
	const struct live *best = NULL;
	struct vfc_mapping found;

	if (!asks_va)
		return;
	for (size_t i = 0; i < live_count; i++) {
		const struct live *l = &live[i];

		if (!l->va_page || at < l->va_page || at >= l->va_page + l->pages)
			continue;
		if (!best || l->va_page < best->va_page ||
		    (l->va_page == best->va_page && l->page < best->page))
			best = l;
	}
	CHECK_EQ(iova_find_va(&map, memory + at * PAGE + input_below(&in, PAGE), &found),
		 best != NULL);
	if (best)
		same(&found, best);
	CHECK_EQ(iova_find_va(&map, NULL, &found), 0);
}

static void add(uint64_t page, uint64_t pages, uint64_t guard)
{
	struct live *l = &live[live_count];
	uint64_t before = map.bytes;

	CHECK_EQ(iova_reserve(&map), 0);
	if (input_byte(&in) < 16)
		look_up_va(); /* which may make the index meanwhile */
	/* Bits of the flags that mean nothing here are kept. */
	*l = (struct live){page, pages, guard, input_below(&in, VA_PAGES),
			   (uint32_t)(input_byte(&in) * 0x01010101)};
	set_owner(l, (int)live_count++);
	iova_insert(&map,
		    &(struct vfc_mapping){.iova = base + page * PAGE, .length = pages * PAGE,
					  .va = va_of(l), .flags = l->flags},
		    guard * PAGE);
	CHECK_EQ(map.bytes, before + pages * PAGE);
	CHECK_EQ(map.count, live_count);
}

/* Most have none, few are larger than the space: those leave no room for much else. */
static uint64_t some_guard(void)
{
	uint64_t value = input_byte(&in);

	if (value < 200)
		return 0;
	if (value < 255)
		return value % 4;
	value = input_byte(&in);
	return value < 255 ? value : IOVA_GUARD_MAX / PAGE;
}

static void allocate(void)
{
	uint64_t shape = input_byte(&in), pages = 1 + input_below(&in, shape % 32 ? 4 : 60);
	uint64_t align = UINT64_C(1) << shape % 8 % 5, iova = 0, guard = some_guard();
	uint64_t highest = shape < 85 ? base + input_below(&in, PAGES) * PAGE + (PAGE - 1)
				      : UINT64_MAX;
	bool expected;

	if (shape & 16) /* as most are: a power of two, naturally aligned */
		pages = align;
	block(guard);
	expected = possible(pages, align, highest);
	CHECK_EQ(iova_allocate(&map, pages * PAGE, align * PAGE, highest, guard * PAGE, &iova),
		 expected);
	if (!expected)
		return;
	CHECK_EQ(iova % (align * PAGE), 0);
	CHECK(iova != 0 && iova >= base);
	CHECK(iova + (pages * PAGE - 1) <= highest);
	CHECK(in_windows((iova - base) / PAGE, pages));
	CHECK(is_free((iova - base) / PAGE, pages));
	if (guard == 0 && shape % 64 == 63) /* the kernel refused it */
		return;
	add((iova - base) / PAGE, pages, guard);
}

static void insert_fixed(void)
{
	uint64_t page = input_below(&in, PAGES), pages = 1 + input_below(&in, 6);
	uint64_t guard = some_guard();
	bool good = in_windows(page, pages);
	struct vfc_mapping with;

	CHECK_EQ(iova_in_window(&map, base + page * PAGE, pages * PAGE), good);
	if (page + pages > PAGES)
		return;
	block(guard);
	CHECK_EQ(iova_conflicts(&map, base + page * PAGE, pages * PAGE, guard * PAGE, &with),
		 !is_free(page, pages));
	if (!is_free(page, pages))
		CHECK(owner[(with.iova - base) / PAGE] != NOBODY);
	else if (good)
		add(page, pages, guard);
}

static void release(size_t i)
{
	iova_remove(&map, base + live[i].page * PAGE);
	set_owner(&live[i], NOBODY);
	live[i] = live[--live_count];
	if (i < live_count)
		set_owner(&live[i], (int)i);
	CHECK_EQ(map.count, live_count);
}

static void release_any(void)
{
	if (live_count)
		release(input_below(&in, live_count));
}

/* Many come, and few go, of which most are new: what is not in the tree yet grows and is settled. */
static void burst(void)
{
	for (uint64_t n = input_below(&in, 200); n; n--) {
		uint64_t what = input_byte(&in), iova;

		if (what < 90 && live_count) {
			release(live_count - 1 - what % 8 % live_count);
			continue;
		}
		if (!iova_allocate(&map, PAGE, PAGE, UINT64_MAX, 0, &iova))
			return;
		block(0);
		CHECK(iova > 0 && iova >= base && is_free((iova - base) / PAGE, 1));
		CHECK(in_windows((iova - base) / PAGE, 1));
		add((iova - base) / PAGE, 1, 0);
	}
}

static void look_up_iova(void)
{
	uint64_t page = input_below(&in, PAGES);
	struct vfc_mapping found;
	bool is = iova_find(&map, base + page * PAGE + input_below(&in, PAGE), &found);

	CHECK_EQ(is, owner[page] != NOBODY);
	if (is)
		same(&found, &live[owner[page]]);
}

static void empty(void)
{
	struct vfc_mapping lowest;

	while (iova_first(&map, &lowest)) {
		uint64_t page = (lowest.iova - base) / PAGE;

		for (uint64_t i = 0; i < page; i++)
			CHECK_EQ(owner[i], NOBODY);
		CHECK(owner[page] != NOBODY);
		same(&lowest, &live[owner[page]]);
		set_owner(&live[owner[page]], NOBODY);
		iova_remove(&map, lowest.iova);
	}
	CHECK_EQ(map.count, 0);
	CHECK_EQ(map.bytes, 0);
	live_count = 0;
}

/* @adding: of 16 steps, how many put something in. It changes, so that nodes split, merge and go. */
static void step(uint64_t *adding)
{
	uint64_t what = input_byte(&in);

	if (what == 255 && input_byte(&in) < 16)
		empty();
	else if (what >= 254)
		change_windows();
	else if (what == 253)
		*adding = 6 + input_below(&in, 8);
	else if (what == 252)
		burst();
	else if (what >= 236)
		look_up_va();
	else if (what >= 220)
		look_up_iova();
	else if (what % 16 >= *adding)
		release_any();
	else if (what % 3)
		allocate();
	else
		insert_fixed();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t adding = 11;

	in = (struct input){data, size};
	asks_va = input_byte(&in) % 2;
	base = input_byte(&in) % 2 ? UINT64_MAX - PAGES * PAGE + 1 : 0;
	memset(owner, 0xff, sizeof(owner));
	live_count = 0;
	change_windows();
	while (in.left)
		step(&adding);
	for (uint64_t page = 0; page < PAGES; page += 7) {
		struct vfc_mapping found;

		CHECK_EQ(iova_find(&map, base + page * PAGE, &found), owner[page] != NOBODY);
	}
	if (size % 2) /* else it is destroyed with what it has */
		empty();
	iova_destroy(&map);
	return 0;
}
