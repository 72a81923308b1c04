/* SPDX-License-Identifier: MIT */
/*
 * The map cache on the fake transport: random gets, puts, forgets and flushes against an oracle
 * that has an owner for each page and plain loops; then each system call of a sequence failing.
 */
#include <errno.h>

#include "kernel/sys.h"
#include "mapcache_test.h"

static uint64_t state = 4711;

static uint64_t below(uint64_t n)
{
	return test_random(&state) % n;
}

/* Mappings by number; the index is an owner for each page. */

#define NOBODY (-1)
#define MAPPINGS 20000
#define REFERENCES 12

static struct {
	uint64_t first, end; /* pages */
	unsigned refs;
} mapping[MAPPINGS];
static int owner[PAGES], mapping_count;
static struct held {
	struct vfc_reach reach;
	uint64_t offset, length;
	int mapping;
} held[REFERENCES];
static unsigned held_count;
static uint64_t hits, misses;

static void set_owner(uint64_t first, uint64_t end, int who)
{
	for (uint64_t i = first; i < end; i++)
		owner[i] = who;
}

static int oracle_get(uint64_t first, uint64_t end)
{
	int who = owner[first], last = owner[end - 1];

	if (who != NOBODY && mapping[who].end >= end) {
		hits++;
		mapping[who].refs++;
		return who;
	}
	misses++;
	if (who != NOBODY)
		first = mapping[who].first;
	if (last != NOBODY)
		end = mapping[last].end;
	CHECK(mapping_count < MAPPINGS);
	mapping[mapping_count].first = first;
	mapping[mapping_count].end = end;
	mapping[mapping_count].refs = 1;
	set_owner(first, end, mapping_count);
	return mapping_count++;
}

static bool is_indexed(int who)
{
	return owner[mapping[who].first] == who;
}

static void random_get(bool exact)
{
	struct held *h = &held[held_count];
	uint64_t pages = 1 + below(below(4) ? 3 : 12), page = below(PAGES - pages);

	if (held_count == REFERENCES)
		return;
	h->offset = page * PAGE + below(PAGE);
	h->length = 1 + below(pages * PAGE - h->offset % PAGE);
	h->reach = get(memory + h->offset, h->length);
	if (exact)
		h->mapping = oracle_get(page, (h->offset + h->length + PAGE - 1) / PAGE);
	held_count++;
}

static void random_put(bool exact)
{
	struct held *h;

	if (!held_count)
		return;
	h = &held[below(held_count)];
	if (exact)
		mapping[h->mapping].refs--;
	put(h->reach);
	*h = held[--held_count];
}

static void random_forget(bool exact)
{
	uint64_t first = below(PAGES), end = first + 1 + below(8);
	bool busy = false;
	int rc = vfc_mapcache_forget(cache, memory + first * PAGE, (end - first) * PAGE);

	if (end > PAGES)
		end = PAGES;
	if (!exact) {
		CHECK(rc == 0 || rc == -EBUSY);
		return;
	}
	for (int i = 0; i < mapping_count; i++)
		busy |= mapping[i].refs && mapping[i].first < end && mapping[i].end > first;
	CHECK_EQ(rc, busy ? -EBUSY : 0);
	for (uint64_t i = first; rc == 0 && i < end; i++)
		if (owner[i] != NOBODY)
			set_owner(mapping[owner[i]].first, mapping[owner[i]].end, NOBODY);
}

static void random_flush(void)
{
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	for (int i = 0; i < mapping_count; i++)
		if (!mapping[i].refs && is_indexed(i))
			set_owner(mapping[i].first, mapping[i].end, NOBODY);
}

static void compare(bool exact, const struct vfc_mapcache_opts *opts)
{
	uint64_t live = 0, idle = 0, pages = 0;
	struct vfc_mapcache_stats now = stats();

	for (unsigned i = 0; i < held_count; i++)
		is_reached(&held[i].reach, memory + held[i].offset, held[i].length);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), now.live_entries + now.idle_entries);
	CHECK_EQ(knob(VFC_FAKE_PINNED), now.live_bytes + now.idle_bytes);
	if (!exact) {
		CHECK(now.live_entries + now.idle_entries <= opts->entries || !now.idle_entries);
		CHECK(now.live_bytes + now.idle_bytes <= opts->limit || !now.idle_entries);
		CHECK(!held_count == !now.live_entries);
		return;
	}
	for (int i = 0; i < mapping_count; i++) {
		bool is_idle = !mapping[i].refs && is_indexed(i);

		live += mapping[i].refs > 0;
		idle += is_idle;
		if (mapping[i].refs || is_idle)
			pages += mapping[i].end - mapping[i].first;
	}
	counts(live, idle, pages);
	hits_and_misses(hits, misses);
}

static void random_run(const struct vfc_mapcache_opts *opts, unsigned steps)
{
	bool exact = !opts->limit;

	open_cache(*opts);
	set_owner(0, PAGES, NOBODY);
	mapping_count = 0;
	hits = misses = 0;
	for (unsigned i = 0; i < steps; i++) {
		uint64_t what = below(100);

		if (what < 50)
			random_get(exact);
		else if (what < 92)
			random_put(exact);
		else if (what < 99)
			random_forget(exact);
		else
			random_flush();
		compare(exact, opts);
	}
	while (held_count)
		random_put(exact);
	close_cache();
}

static void random_runs(void)
{
	struct vfc_mapcache_opts opts = {.limit = 0};

	random_run(&opts, 20000);
	opts = (struct vfc_mapcache_opts){.limit = 20 * PAGE, .entries = 6};
	random_run(&opts, 40000);
	opts.granule = 4 * PAGE;
	random_run(&opts, 40000);
	/* The kernel's limits: as many as are referenced at once and what replaces them. */
	opts = (struct vfc_mapcache_opts){.limit = PAGES * PAGE, .entries = 100};
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, REFERENCES), 0);
	random_run(&opts, 40000);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 65535), 0);
}

/* Whatever fails must say so and leave nothing; what works in spite of it must be right. */
static int sequence(void)
{
	struct vfc_mapcache_opts opts = {.size = sizeof(opts), .limit = 8 * PAGE, .granule = 2 * PAGE};
	static const uint8_t pages[][2] = {{0, 1}, {3, 2}, {8, 4}, {4, 1}, {1, 5}, {20, 3}};
	struct vfc_reach reach[6];
	int rc = vfc_mapcache_open(iommu, &opts, &cache), now, got[6];

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < 6; i++) {
		uint8_t *va = memory + pages[i][0] * PAGE + 1;

		got[i] = vfc_mapcache_get(cache, va, pages[i][1] * PAGE - 2, &reach[i]);
		if (got[i] == 0)
			is_reached(&reach[i], va, pages[i][1] * PAGE - 2);
		else
			CHECK_EQ(vfc_error_last()->code, -(rc = got[i]));
		if (i % 2 && got[i] == 0)
			put(reach[i]);
	}
	for (unsigned i = 0; i < 6; i += 2)
		if (got[i] == 0)
			put(reach[i]);
	if ((now = vfc_mapcache_forget(cache, memory, 4 * PAGE)) < 0) {
		rc = now;
		CHECK_EQ(vfc_mapcache_forget(cache, memory, 4 * PAGE), 0);
	}
	if ((now = vfc_mapcache_close(cache)) < 0) {
		rc = now;
		CHECK_EQ(vfc_mapcache_close(cache), 0);
	}
	return rc;
}

static void each_call_fails(void)
{
	unsigned n = 0, calls, harmless = 0;
	int rc;

	do {
		sys_fault_arm(++n);
		rc = sequence();
		calls = sys_fault_count();
		sys_fault_arm(0);
		CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
		CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
		harmless += calls >= n && rc == 0;
	} while (calls >= n);
	CHECK_EQ(rc, 0);
	CHECK(n > 20);
	fprintf(stderr, "map cache: %u points of failure, %u of them without harm\n", n - 1, harmless);
}

int main(void)
{
	open_device();
	random_runs();
	each_call_fails();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
