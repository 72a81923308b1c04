/* SPDX-License-Identifier: MIT */
/* The map cache on the fake transport, rule by rule. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mapcache_test.h"

static void touch(uint64_t page, uint64_t pages)
{
	put(get(memory + page * PAGE, pages * PAGE));
}

static void refused(int rc, int code, enum vfc_reason reason)
{
	CHECK_EQ(rc, -code);
	CHECK_EQ(vfc_error_last()->code, code);
	CHECK_EQ(vfc_error_last()->reason, reason);
	CHECK(vfc_error_last()->hint[0]);
	CHECK(!strncmp(vfc_error_last()->operation, "vfc_mapcache_", 13));
}

static void any_address_and_length(void)
{
	struct vfc_reach reach, same;

	open_cache((struct vfc_mapcache_opts){0});
	reach = get(memory + PAGE + 100, 3); /* in a page */
	counts(1, 0, 1);
	same = get(memory + PAGE, PAGE);
	CHECK_EQ(reach.iova - same.iova, 100);
	CHECK(reach.entry == same.entry);
	hits_and_misses(1, 1);
	put(reach);
	counts(1, 0, 1);
	put(same);
	counts(0, 1, 1);
	put(get(memory + 2 * PAGE - 1, 2)); /* of two pages */
	hits_and_misses(1, 2);
	counts(0, 1, 2); /* the union */
	CHECK_EQ(stats().merges, 1);
	put(get(memory + 2 * PAGE, 1)); /* a hit, not yet in the table */
	put(get(memory + 2 * PAGE, 1)); /* and in the table */
	hits_and_misses(3, 2);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	counts(0, 0, 0);
	put(get(memory + 2 * PAGE, 1));
	hits_and_misses(3, 3);
	close_cache();
}

static void a_union_leaves_what_is_referenced(void)
{
	struct vfc_reach low, high, all;

	open_cache((struct vfc_mapcache_opts){0});
	low = get(memory, 4 * PAGE);
	high = get(memory + 6 * PAGE, 2 * PAGE);
	all = get(memory + 3 * PAGE, 4 * PAGE);
	CHECK_EQ(all.entry->length, 8 * PAGE);
	counts(3, 0, 4 + 2 + 8);
	is_reached(&low, memory, 4 * PAGE);
	put(low); /* a mapping that was replaced goes with its last put */
	counts(2, 0, 2 + 8);
	CHECK(get(memory, PAGE).entry == all.entry);
	put(all);
	put(all);
	counts(1, 1, 2 + 8);
	refused(vfc_mapcache_forget(cache, memory + 7 * PAGE, 1), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(vfc_error_last()->length, 2 * PAGE);
	CHECK_EQ(vfc_error_last()->iova, high.entry->iova);
	refused(vfc_mapcache_close(cache), EBUSY, VFC_REASON_BUSY);
	CHECK(strstr(vfc_error_last()->hint, "1 reference to 1 mapping "));
	put(high);
	counts(0, 1, 8);
	close_cache();
}

static void what_is_idle_goes_by_age(void)
{
	open_cache((struct vfc_mapcache_opts){.limit = 4 * PAGE});
	for (uint64_t i = 0; i < 4; i++)
		touch(2 * i, 1);
	counts(0, 4, 4);
	touch(0, 1); /* again: it gets a second chance */
	touch(10, 1);
	counts(0, 4, 4);
	CHECK_EQ(stats().evictions, 1);
	hits_and_misses(1, 5);
	touch(0, 1);
	hits_and_misses(2, 5);
	touch(2, 1); /* the oldest that was not used again */
	hits_and_misses(2, 6);
	close_cache();
	open_cache((struct vfc_mapcache_opts){.entries = 2});
	for (uint64_t i = 0; i < 4; i++)
		touch(2 * i, 1);
	counts(0, 2, 2);
	close_cache();
}

static void what_is_referenced_stays(void)
{
	struct vfc_reach reach[8];

	open_cache((struct vfc_mapcache_opts){.entries = 3});
	touch(30, 1);
	for (uint64_t i = 0; i < 8; i++)
		reach[i] = get(memory + 2 * i * PAGE, PAGE);
	counts(8, 0, 8);
	for (uint64_t i = 0; i < 8; i++) {
		put(reach[i]);
		CHECK_EQ(knob(VFC_FAKE_MAPPINGS), i < 5 ? 7 - i : 3);
	}
	close_cache();
}

static void the_kernels_limits(void)
{
	struct vfc_reach reach, other;

	open_cache((struct vfc_mapcache_opts){0});
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 4), 0);
	for (uint64_t i = 0; i < 8; i++)
		touch(2 * i, 1); /* no neighbours: evicted */
	counts(0, 4, 4);
	CHECK_EQ(stats().evictions, 4);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	for (uint64_t i = 0; i < 8; i++)
		touch(i, 1); /* neighbours: merged */
	counts(0, 4, 8);
	CHECK_EQ(stats().evictions, 4);
	CHECK_EQ(stats().merges, 4);
	for (uint64_t i = 0; i < 8; i++)
		touch(i, 1);
	hits_and_misses(8, 16);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 1), 0);
	reach = get(memory, PAGE);
	refused(vfc_mapcache_get(cache, memory + 8 * PAGE, 1, &other), ENOSPC,
		VFC_REASON_ENTRY_LIMIT);
	counts(1, 0, 1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 65535), 0);

	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, 4 * PAGE), 0);
	touch(10, 1);
	touch(12, 2);
	counts(1, 2, 4);
	touch(20, 2); /* makes room of two pages and no more */
	counts(1, 1, 3);
	refused(vfc_mapcache_get(cache, memory + 8 * PAGE, 4 * PAGE, &other), ENOMEM,
		VFC_REASON_MEMLOCK);
	counts(1, 0, 1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, UINT64_MAX), 0);
	put(reach);
	close_cache();
}

static void no_iova_left(void)
{
	struct vfc_reach reach;

	open_cache((struct vfc_mapcache_opts){.highest = 5 * PAGE - 1}); /* 4 pages: not the first */
	for (uint64_t i = 0; i < 8; i++)
		touch(2 * i, 1);
	counts(0, 4, 4);
	refused(vfc_mapcache_get(cache, memory, 5 * PAGE, &reach), ENOSPC, VFC_REASON_OUT_OF_IOVA);
	close_cache();
}

static void the_granule(void)
{
	uint64_t granule = 8 * PAGE, into = (granule - (uintptr_t)memory % granule) / PAGE % 8;
	struct vfc_reach held, reach;

	open_cache((struct vfc_mapcache_opts){.granule = granule});
	touch(into + 11, 1);
	counts(0, 1, 8);
	touch(into + 8, 8);
	hits_and_misses(1, 1);
	touch(into + 15, 2); /* of two granules */
	counts(0, 1, 16);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	/* A hole in the granule: exact pages, and those that are there already stay. */
	CHECK_EQ(mprotect(memory + (into + 9) * PAGE, PAGE, PROT_NONE), 0);
	held = get(memory + (into + 11) * PAGE, PAGE);
	touch(into + 13, 1);
	counts(1, 1, 2);
	refused(vfc_mapcache_get(cache, memory + (into + 9) * PAGE, 1, &reach), EFAULT,
		VFC_REASON_BAD_MEMORY);
	counts(1, 1, 2);
	CHECK_EQ(mprotect(memory + (into + 9) * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	touch(into + 9, 1);
	counts(1, 1, 1 + 8);
	put(held);
	counts(0, 1, 8);
	close_cache();
}

/* Memory that went without a word: the union cannot be mapped, the request can. */
static void a_union_that_is_gone(void)
{
	struct vfc_reach held;

	open_cache((struct vfc_mapcache_opts){0});
	held = get(memory, 4 * PAGE);
	CHECK_EQ(mprotect(memory, PAGE, PROT_NONE), 0);
	touch(3, 3);
	counts(1, 1, 4 + 3);
	put(held);
	counts(0, 1, 3);
	CHECK_EQ(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
	close_cache();
}

static void memory_that_goes_away(void)
{
	uint8_t *block = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfc_reach reach;

	CHECK(block != MAP_FAILED);
	open_cache((struct vfc_mapcache_opts){0});
	reach = get(block, 4 * PAGE);
	refused(vfc_mapcache_forget(cache, block, 4 * PAGE), EBUSY, VFC_REASON_BUSY);
	put(reach);
	touch(0, 1);
	CHECK_EQ(vfc_mapcache_forget(cache, block + 3 * PAGE, 1), 0); /* mappings go whole */
	counts(0, 1, 1);
	CHECK_EQ(munmap(block, 4 * PAGE), 0);
	refused(vfc_mapcache_get(cache, block, 1, &reach), EFAULT, VFC_REASON_BAD_MEMORY);
	refused(vfc_mapcache_forget(cache, block, 0), EINVAL, VFC_REASON_ARGUMENT);
	CHECK_EQ(vfc_mapcache_forget(cache, NULL, UINT64_MAX), 0);
	counts(0, 0, 0);
	close_cache();
}

/* What was referenced then goes with its last put; what is got after is mapped anew. */
static void emptied(int64_t (*empty)(void))
{
	struct vfc_reach before, after;

	open_cache((struct vfc_mapcache_opts){0});
	before = get(memory, PAGE);
	touch(4, 2);
	CHECK_EQ(empty(), 3 * PAGE);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(stats().live_entries, 1);
	CHECK_EQ(stats().idle_entries, 0);
	after = get(memory, PAGE);
	CHECK(after.iova != before.iova);
	put(before);
	counts(1, 0, 1);
	put(after);
	hits_and_misses(0, 3);
	close_cache();
}

static int64_t empty_all(void)
{
	return vfc_iommu_unmap_all(iommu);
}

static int64_t empty_range(void)
{
	return vfc_iommu_unmap_range(iommu, 0, UINT64_C(1) << 39);
}

/* One of two mappings is in the range: the other is hit again, at the second get. */
static void emptied_in_part(void)
{
	struct vfc_reach low, high;

	open_cache((struct vfc_mapcache_opts){0});
	low = get(memory, PAGE);
	high = get(memory + 4 * PAGE, PAGE);
	put(low);
	put(high);
	CHECK_EQ(vfc_iommu_unmap_range(iommu, low.iova, PAGE), PAGE);
	counts(0, 1, 1);
	touch(4, 1);
	touch(4, 1);
	hits_and_misses(2, 2);
	touch(0, 1);
	hits_and_misses(2, 3);
	close_cache();
}

/* The device was given back to the host: no IOVA is handed out for what is mapped no more. */
static void released(void)
{
	struct vfc_device *own = device;
	struct vfc_iommu *space = iommu;
	struct vfc_reach reach;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	open_cache((struct vfc_mapcache_opts){0});
	touch(0, 1);
	reach = get(memory, PAGE);
	CHECK_EQ(vfc_device_release(device), 0);
	refused(vfc_mapcache_get(cache, memory, PAGE, &reach), ENODEV, VFC_REASON_NO_DEVICE);
	CHECK(strstr(vfc_error_last()->hint, "no device is attached"));
	put(reach);
	CHECK_EQ(vfc_mapcache_close(cache), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	device = own;
	iommu = space;
}

/* vfc_iommu_unmap_all() asks nobody, and somebody else gets the place. */
static void unmapped_behind_its_back(void)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_reach reach;
	uint64_t iova;

	open_cache((struct vfc_mapcache_opts){0});
	reach = get(memory, PAGE);
	iova = reach.iova;
	put(reach);
	touch(4, 2);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 3 * PAGE);
	CHECK_EQ(vfc_iommu_map(iommu, memory + 8 * PAGE, PAGE, &fixed, &iova), 0);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	CHECK_EQ(stats().idle_entries, 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 1); /* the other's is not touched */
	touch(0, 1);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);
	close_cache();
}

/* The model is not asked: its thread, which is not here, may have had its lock at the fork. */
static void child(struct vfc_reach held)
{
	struct vfc_mapping mapping;
	struct vfc_reach reach;

	refused(vfc_mapcache_get(cache, memory, 1, &reach), ECHILD, VFC_REASON_NONE);
	CHECK(strstr(vfc_error_last()->hint, "parent process"));
	refused(vfc_mapcache_flush(cache), ECHILD, VFC_REASON_NONE);
	refused(vfc_mapcache_forget(cache, memory, 1), ECHILD, VFC_REASON_NONE);
	put(held);
	CHECK_EQ(vfc_mapcache_close(cache), 0);
	CHECK_EQ(vfc_iommu_find_va(iommu, memory, &mapping), -ECHILD);
	refused(vfc_mapcache_open(iommu, NULL, &cache), ECHILD, VFC_REASON_NONE);
	_exit(0);
}

static void a_child_of_fork(void)
{
	struct vfc_reach held;
	pid_t pid;
	int status;

	open_cache((struct vfc_mapcache_opts){0});
	held = get(memory, PAGE);
	touch(4, 2);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(held);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	touch(0, 1);
	hits_and_misses(1, 2);
	put(held);
	counts(0, 2, 3);
	close_cache();
}

static void bad_arguments(void)
{
	struct vfc_mapcache_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	struct vfc_mapcache_stats none = {0};
	struct vfc_reach reach;

	refused(vfc_mapcache_open(iommu, &opts, &cache), EINVAL, VFC_REASON_ARGUMENT);
	opts = (struct vfc_mapcache_opts){.size = 4};
	refused(vfc_mapcache_open(iommu, &opts, &cache), EINVAL, VFC_REASON_ARGUMENT);
	opts = (struct vfc_mapcache_opts){.size = sizeof(opts), .granule = 3 * PAGE};
	refused(vfc_mapcache_open(iommu, &opts, &cache), EINVAL, VFC_REASON_ALIGNMENT);
	opts.granule = 2048;
	refused(vfc_mapcache_open(iommu, &opts, &cache), EINVAL, VFC_REASON_ALIGNMENT);
	CHECK_EQ(vfc_mapcache_open(iommu, NULL, &cache), 0);
	touch(0, 1);
	refused(vfc_mapcache_stats(cache, &none), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_mapcache_get(cache, memory, 0, &reach), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_mapcache_get(cache, memory, UINT64_MAX, &reach), EINVAL, VFC_REASON_BAD_MEMORY);
	refused(vfc_mapcache_get(cache, (void *)-PAGE, PAGE, &reach), EINVAL, VFC_REASON_BAD_MEMORY);
	counts(0, 1, 1);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	CHECK_EQ(vfc_mapcache_close(NULL), 0);
	close_cache();
}

static void it_holds_the_space(void)
{
	open_cache((struct vfc_mapcache_opts){0});
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK(strstr(vfc_error_last()->hint, "map caches live"));
	close_cache();
}

static void access_rights(void)
{
	const void *constant = "constant";
	struct vfc_mapping found;
	struct vfc_reach reach;

	open_cache((struct vfc_mapcache_opts){.flags = VFC_MAP_READ});
	reach = get(constant, 9); /* which nobody may write */
	CHECK_EQ(vfc_iommu_find_iova(iommu, reach.iova, &found), 0);
	CHECK_EQ(found.flags, VFC_MAP_READ);
	put(reach);
	close_cache();
}

static uint64_t dropped_bytes;

static void dropped(void *context, const struct vfc_mapcache_entry *entry)
{
	CHECK(context == &dropped_bytes);
	CHECK_EQ(entry->refs, 0);
	dropped_bytes += entry->length;
}

static void who_keeps_memory_is_told(void)
{
	struct vfc_reach held;

	open_cache((struct vfc_mapcache_opts){.dropped = dropped, .context = &dropped_bytes});
	held = get(memory, PAGE);
	touch(0, 3);
	CHECK_EQ(dropped_bytes, 0);
	put(held);
	CHECK_EQ(dropped_bytes, PAGE);
	CHECK_EQ(vfc_mapcache_flush(cache), 0);
	CHECK_EQ(dropped_bytes, 4 * PAGE);
	touch(0, 3);
	close_cache();
	CHECK_EQ(dropped_bytes, 7 * PAGE);
}

int main(void)
{
	open_device();
	any_address_and_length();
	a_union_leaves_what_is_referenced();
	what_is_idle_goes_by_age();
	what_is_referenced_stays();
	the_kernels_limits();
	no_iova_left();
	the_granule();
	a_union_that_is_gone();
	memory_that_goes_away();
	unmapped_behind_its_back();
	emptied(empty_all);
	emptied(empty_range);
	emptied_in_part();
	released();
	a_child_of_fork();
	bad_arguments();
	it_holds_the_space();
	access_rights();
	who_keeps_memory_is_told();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
