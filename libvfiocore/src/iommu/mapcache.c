/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>
#include <vfiocore/mapcache.h>

#include "base/error.h"
#include "base/fork.h"
#include "kernel/sys.h"
#include "base/sized.h"
#include "iommu/iommu.h"
#include "iommu/mapcache_entries.h"

#define SLOTS 8192 /* 64 KiB, of which the hot part stays in a level 2 cache */
#define GRANULE_MIN 4096
#define TABLE (SLOTS * sizeof(struct vfc_mapcache_entry *) + sizeof(uint64_t))
#define MAGIC UINT64_C(0x6d61706361636865)
#define DEFAULT_LIMIT (UINT64_C(1) << 30)
#define DEFAULT_ENTRIES 32768 /* half of the mappings that type1 allows */

static struct mapcache *inner(struct vfc_mapcache *cache)
{
	return (struct mapcache *)cache;
}

static bool is_ours(const struct mapcache *cache)
{
	return *cache->magic == MAGIC;
}

void vfc_mapcache_idle(struct vfc_mapcache *public, struct vfc_mapcache_entry *hot)
{
	struct mapcache *cache = inner(public);

	if (is_ours(cache))
		entries_idle(cache, (struct entry *)hot);
}

/*
 * How much is mapped for a request. The greatest span is tried first, and a smaller one if its
 * memory is not all there.
 */
enum width {
	WIDE,   /* the granule */
	UNITED, /* with the mappings that overlap */
	EXACT,
};

static struct span united(struct mapcache *cache, struct span span)
{
	struct entry *first = entries_at(cache, span.first), *last = entries_at(cache, span.end - 1);

	if (first)
		span.first = first->hot.va;
	if (last)
		span.end = last->hot.va + last->hot.length;
	return span;
}

static struct span span_of(struct mapcache *cache, struct span request, enum width width)
{
	uint64_t mask = cache->opts.granule - 1;

	if (width == WIDE && (request.end + mask) > request.end) {
		request.first &= ~mask;
		request.end = (request.end + mask) & ~mask;
	}
	return width == EXACT ? request : united(cache, request);
}

/* Unmap the idle mappings that touch @span, and widen it by them. False: there was none. */
static bool merge(struct mapcache *cache, struct span *span)
{
	uint64_t before = cache->entries, most = cache->opts.limit, va;
	struct entry *entry;

	while (span->first && (entry = entries_at(cache, span->first - 1)) && !entry->hot.refs &&
	       span->end - entry->hot.va <= most)
		span->first = entry->hot.va;
	while ((entry = entries_at(cache, span->end)) && !entry->hot.refs &&
	       entry->hot.va + entry->hot.length - span->first <= most)
		span->end = entry->hot.va + entry->hot.length;
	for (va = span->end; (entry = entries_overlapping(cache, (struct span){span->first, va}));) {
		va = entry->hot.va;
		if (!entry->hot.refs && entries_try_drop(cache, entry))
			cache->merges++;
	}
	return cache->entries < before;
}

static bool make_room(struct mapcache *cache, uint64_t length)
{
	uint64_t freed = 0, n;

	while (freed < length && (n = entries_evict(cache)))
		freed += n;
	return freed > 0;
}

/* The kernel or the IOVA space is full. Return whether it is worth trying again. */
static bool relieve(struct mapcache *cache, struct span *span, enum width width)
{
	if (vfc_error_last()->reason == VFC_REASON_ENTRY_LIMIT)
		return (width != EXACT && merge(cache, span)) || entries_evict(cache);
	return width != WIDE && make_room(cache, span->end - span->first);
}

static int map_span(struct mapcache *cache, struct span *span, enum width width, uint64_t *iova)
{
	const struct vfc_map_opts opts = {.size = sizeof(opts), .flags = cache->opts.flags,
					  .highest = cache->opts.highest};
	int rc;

	if (cache->entries >= cache->opts.entries && width != EXACT)
		merge(cache, span);
	do
		rc = vfc_iommu_map(cache->iommu, (void *)(uintptr_t)span->first,
				   span->end - span->first, &opts, iova);
	while ((rc == -ENOSPC || rc == -ENOMEM) && relieve(cache, span, width));
	return rc;
}

static int map_new(struct mapcache *cache, struct span request, struct entry **out)
{
	struct entry *entry = sys_alloc(sizeof(*entry));
	struct span span = request;
	int rc = entry ? tree_reserve(&cache->index, 1) : vfc_no_memory();

	for (enum width width = cache->opts.granule ? WIDE : UNITED; rc == 0; width++) {
		span = span_of(cache, request, width);
		rc = map_span(cache, &span, width, &entry->hot.iova);
		if (rc == 0 || width == EXACT || (width == UNITED && rc != -EFAULT))
			break;
		rc = 0;
	}
	if (rc < 0) {
		free(entry);
		return rc;
	}
	entries_insert(cache, entry, span);
	*out = entry;
	return 0;
}

/*
 * The page size is the processor's, since such pages are pinned, or the IOMMU's, whichever is
 * larger.
 */
static uint64_t page_of(struct mapcache *cache)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	uint64_t page = sys_page_size();

	if (cache->page)
		return cache->page;
	if (vfc_iommu_info(cache->iommu, &info) < 0 || !info.page_sizes)
		return page; /* no device yet: the kernel will say so */
	if ((info.page_sizes & -info.page_sizes) > page)
		page = info.page_sizes & -info.page_sizes;
	return cache->page = page;
}

static int to_pages(struct mapcache *cache, const void *va, uint64_t length, struct span *span)
{
	uint64_t address = (uintptr_t)va, mask = page_of(cache) - 1;

	if (!length)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "0 bytes were asked for");
	if (length > UINT64_MAX - mask - address)
		return vfc_fail(EINVAL, VFC_REASON_BAD_MEMORY, WHERE(.length = length),
				"the memory at %p runs past the end of the address space", va);
	span->first = address & ~mask;
	span->end = (address + length + mask) & ~mask;
	return 0;
}

/* Called by the thread that is about to empty the address space. From now on each get misses. */
static void leaving(struct iommu_watcher *watcher)
{
	struct mapcache *cache = (struct mapcache *)(void *)((char *)watcher -
							     offsetof(struct mapcache, watcher));

	__atomic_add_fetch(&cache->left, 1, __ATOMIC_SEQ_CST);
	for (uint64_t i = 0; i < SLOTS; i++)
		__atomic_store_n(&cache->hot.slots[i], NULL, __ATOMIC_SEQ_CST);
}

/* Either leaving() clears the slot behind us, or we see that it was called. */
static void set_slot(struct mapcache *cache, const void *va, struct entry *entry)
{
	struct vfc_mapcache_entry **slot =
		&cache->hot.slots[VFC_MAPCACHE_SLOT(&cache->hot, (uint64_t)(uintptr_t)va)];

	__atomic_store_n(slot, &entry->hot, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&cache->left, __ATOMIC_SEQ_CST) != cache->seen)
		__atomic_store_n(slot, NULL, __ATOMIC_SEQ_CST);
}

static int miss(struct mapcache *cache, const void *va, uint64_t length, struct vfc_reach *reach)
{
	struct span request = {0, 0};
	struct entry *entry;
	int rc;

	if (!is_ours(cache))
		return fork_failed(NULL);
	rc = to_pages(cache, va, length, &request);
	if (rc < 0)
		return rc;
	entries_review(cache);
	entry = entries_at(cache, request.first);
	if (entry && request.end <= entry->hot.va + entry->hot.length) {
		entry->hot.used = 1;
		cache->hot.hits++;
	} else {
		cache->misses++;
		rc = map_new(cache, request, &entry);
		if (rc < 0)
			return rc;
	}
	entry->hot.refs++;
	entries_trim(cache);
	set_slot(cache, va, entry);
	*reach = (struct vfc_reach){entry->hot.iova + ((uintptr_t)va - entry->hot.va), &entry->hot};
	return 0;
}

int vfc_mapcache_miss(struct vfc_mapcache *cache, const void *va, uint64_t length,
		      struct vfc_reach *reach)
{
	struct vfc_error before = *vfc_error_last();
	int rc = miss(inner(cache), va, length, reach);

	if (rc == 0)
		vfc_error_restore(&before);
	return vfc_done_in("vfc_mapcache_get", rc); /* which is what was called */
}

/* Giving up. */

static int flush(struct mapcache *cache)
{
	int rc;

	entries_review(cache);
	rc = entries_drop_idle(cache, &cache->queue);
	return rc < 0 ? rc : entries_drop_idle(cache, &cache->stale);
}

int vfc_mapcache_flush(struct vfc_mapcache *public)
{
	struct mapcache *cache = inner(public);

	return vfc_done(is_ours(cache) ? flush(cache) : fork_failed(NULL));
}

static struct entry *referenced(struct mapcache *cache, struct span span)
{
	struct entry *entry;
	uint64_t end = span.end;

	while ((entry = entries_overlapping(cache, (struct span){span.first, end}))) {
		if (entry->hot.refs)
			return entry;
		end = entry->hot.va;
	}
	for (struct link *link = cache->stale.next; link != &cache->stale; link = link->next)
		if (entry_of(link)->hot.refs && entry_overlaps(entry_of(link), span))
			return entry_of(link);
	return NULL;
}

static int forget(struct mapcache *cache, struct span span)
{
	struct entry *entry = referenced(cache, span);
	int rc = 0;

	if (entry)
		return vfc_fail(EBUSY, VFC_REASON_BUSY,
				WHERE(AT_IOVA(entry->hot.iova, entry->hot.length)),
				"the mapping of 0x%" PRIx64 "-0x%" PRIx64
				" has %u reference%s: put first what was got",
				entry->hot.va, entry->hot.va + entry->hot.length - 1, entry->hot.refs,
				PLURAL(entry->hot.refs));
	while (rc == 0 && (entry = entries_overlapping(cache, span)))
		rc = entries_drop(cache, entry);
	/* Whatever is there could not be unmapped before, and is to be unmapped now. */
	return rc < 0 ? rc : entries_drop_idle(cache, &cache->stale);
}

int vfc_mapcache_forget(struct vfc_mapcache *public, const void *va, uint64_t length)
{
	struct mapcache *cache = inner(public);
	uint64_t first = (uintptr_t)va;
	struct span span = {first, length > UINT64_MAX - first ? UINT64_MAX : first + length};

	if (!is_ours(cache))
		return vfc_done(fork_failed(NULL));
	if (!length)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "0 bytes were given to forget"));
	return vfc_done(forget(cache, span));
}

static void count(const struct link *list, struct vfc_mapcache_stats *stats, uint64_t *refs)
{
	for (struct link *link = list->next; link != list; link = link->next) {
		const struct vfc_mapcache_entry *hot = &entry_of(link)->hot;

		*refs += hot->refs;
		*(hot->refs ? &stats->live_entries : &stats->idle_entries) += 1;
		*(hot->refs ? &stats->live_bytes : &stats->idle_bytes) += hot->length;
	}
}

/* Fill in the figures of what is mapped. Return: how many references there are. */
static uint64_t survey(const struct mapcache *cache, struct vfc_mapcache_stats *stats)
{
	uint64_t refs = 0;

	*stats = (struct vfc_mapcache_stats){.hits = cache->hot.hits,
					     .misses = cache->misses,
					     .evictions = cache->evictions,
					     .merges = cache->merges};
	count(&cache->queue, stats, &refs);
	count(&cache->busy, stats, &refs);
	count(&cache->stale, stats, &refs);
	return refs;
}

int vfc_mapcache_stats(struct vfc_mapcache *cache, struct vfc_mapcache_stats *stats)
{
	struct vfc_mapcache_stats now;
	int rc = ANSWER_CHECK(vfc_mapcache_stats, stats);

	if (rc < 0)
		return vfc_done(rc);
	entries_review(inner(cache));
	survey(inner(cache), &now);
	sized_answer(stats, &now, sizeof(now));
	return 0;
}

/* Opening and closing. */

static int check_opts(const struct vfc_mapcache_opts *opts)
{
	if (!opts)
		return OPTIONS_REFUSED;
	if (opts->flags & ~(uint32_t)(VFC_MAP_READ | VFC_MAP_WRITE))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->flags is 0x%x and may be VFC_MAP_READ and VFC_MAP_WRITE",
				opts->flags);
	if (opts->granule & (opts->granule - 1) || (opts->granule && opts->granule < GRANULE_MIN))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, NOWHERE,
				"opts->granule is %" PRIu64
				" and must be 0, or a power of two of at least 4096", opts->granule);
	return 0;
}

/* In a child of fork() the table is empty, so its look-ups miss, and MAGIC is gone. */
static int get_table(struct mapcache *cache)
{
	void *table;
	int rc = fork_alloc(TABLE, &table);

	if (rc < 0)
		return rc;
	cache->hot.slots = table;
	cache->hot.mask = SLOTS - 1;
	cache->magic = (uint64_t *)&cache->hot.slots[SLOTS];
	*cache->magic = MAGIC;
	return 0;
}

static int open_cache(struct vfc_iommu *iommu, const struct vfc_mapcache_opts *opts,
		      struct vfc_mapcache **out)
{
	struct vfc_mapcache_opts own;
	struct mapcache *cache;
	int rc;

	opts = OPTIONS(vfc_mapcache_opts, opts, &own);
	rc = check_opts(opts);
	if (rc == 0)
		rc = iommu_check_process(iommu);
	if (rc == 0 && iommu_look(iommu).physical)
		rc = vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
			      "no IOMMU translates here, so memory that lies apart cannot be made to "
			      "look like one piece: use DMA buffers");
	if (rc < 0)
		return rc;
	cache = sys_alloc(sizeof(*cache));
	if (!cache)
		return vfc_no_memory();
	rc = get_table(cache);
	if (rc < 0) {
		free(cache);
		return rc;
	}
	cache->opts = *opts;
	cache->opts.limit = opts->limit ? opts->limit : DEFAULT_LIMIT;
	cache->opts.entries = opts->entries ? opts->entries : DEFAULT_ENTRIES;
	cache->queue = (struct link){&cache->queue, &cache->queue};
	cache->busy = (struct link){&cache->busy, &cache->busy};
	cache->stale = (struct link){&cache->stale, &cache->stale};
	cache->iommu = iommu;
	cache->watcher.leaving = leaving;
	iommu_watch(iommu, &cache->watcher);
	*out = &cache->hot;
	return 0;
}

int vfc_mapcache_open(struct vfc_iommu *iommu, const struct vfc_mapcache_opts *opts,
		      struct vfc_mapcache **cache)
{
	return vfc_done(open_cache(iommu, opts, cache));
}

static int unmap_all(struct mapcache *cache)
{
	struct vfc_mapcache_stats stats;
	uint64_t refs = survey(cache, &stats);

	if (refs)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
				"%" PRIu64 " reference%s to %" PRIu64
				" mapping%s not put yet: put first what was got", refs, PLURAL(refs),
				stats.live_entries, PLURAL(stats.live_entries));
	return flush(cache);
}

int vfc_mapcache_close(struct vfc_mapcache *public)
{
	struct mapcache *cache = inner(public);
	int rc;

	if (!cache)
		return 0;
	if (is_ours(cache)) {
		rc = unmap_all(cache);
		if (rc < 0)
			return vfc_done(rc);
		iommu_unwatch(cache->iommu, &cache->watcher);
	}
	entries_free(cache);
	fork_free(cache->hot.slots, TABLE);
	free(cache);
	return 0;
}
