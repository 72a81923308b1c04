/* SPDX-License-Identifier: MIT */
#include "iommu/mapcache_entries.h"

#include <stdlib.h>
#include <vfiocore/iommu.h>
#include <vfiocore/mapcache.h>

#include "base/error.h"

#define SLOT_PAGE UINT64_C(4096) /* of VFC_MAPCACHE_SLOT() */

static void unlink_entry(struct entry *entry)
{
	entry->link.prev->next = entry->link.next;
	entry->link.next->prev = entry->link.prev;
}

static void append(struct link *list, struct entry *entry)
{
	entry->link.prev = list->prev;
	entry->link.next = list;
	list->prev->next = &entry->link;
	list->prev = &entry->link;
}

static void move(struct link *list, struct entry *entry)
{
	unlink_entry(entry);
	append(list, entry);
}

struct entry *entry_of(struct link *link)
{
	return (struct entry *)(void *)((char *)link - offsetof(struct entry, link));
}

static struct entry *indexed(const struct mapcache *cache)
{
	return (struct entry *)(uintptr_t)tree_get(&cache->index).tie;
}

struct entry *entries_at(struct mapcache *cache, uint64_t va)
{
	struct entry *entry;

	if (!tree_floor(&cache->index, va, UINT64_MAX))
		return NULL;
	entry = indexed(cache);
	return va - entry->hot.va < entry->hot.length ? entry : NULL;
}

bool entry_overlaps(const struct entry *entry, struct span span)
{
	return entry->hot.va < span.end && entry->hot.va + entry->hot.length > span.first;
}

struct entry *entries_overlapping(struct mapcache *cache, struct span span)
{
	struct entry *entry;

	if (!tree_floor(&cache->index, span.end - 1, UINT64_MAX))
		return NULL;
	entry = indexed(cache);
	return entry_overlaps(entry, span) ? entry : NULL;
}

/* A thread that empties the address space clears slots as well. */
static void clear_slot(struct vfc_mapcache_entry **slot, const struct vfc_mapcache_entry *hot)
{
	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == hot)
		__atomic_store_n(slot, NULL, __ATOMIC_RELAXED);
}

/* No look-up finds it any more. */
static void hide(struct mapcache *cache, const struct entry *entry)
{
	const struct vfc_mapcache_entry *hot = &entry->hot;
	struct vfc_mapcache_entry **slots = cache->hot.slots;

	if (entry->stale)
		return;
	tree_floor(&cache->index, hot->va, UINT64_MAX);
	tree_remove(&cache->index);
	if (hot->length / SLOT_PAGE <= cache->hot.mask) {
		for (uint64_t va = hot->va; va - hot->va < hot->length; va += SLOT_PAGE)
			clear_slot(&slots[VFC_MAPCACHE_SLOT(&cache->hot, va)], hot);
		return;
	}
	for (uint64_t i = 0; i <= cache->hot.mask; i++)
		clear_slot(&slots[i], hot);
}

/* The mapping may have been unmapped by others, and its place may belong to another mapping now. */
static bool is_mapped(struct mapcache *cache, const struct vfc_mapcache_entry *hot)
{
	struct vfc_mapping there;
	int rc;

	error_quiet_begin();
	rc = vfc_iommu_find_iova(cache->iommu, hot->iova, &there);
	error_quiet_end();
	return rc == 0 && there.iova == hot->iova && (uintptr_t)there.va == hot->va &&
	       there.length == hot->length;
}

static int unmap(struct mapcache *cache, const struct vfc_mapcache_entry *hot)
{
	return is_mapped(cache, hot) ? vfc_iommu_unmap(cache->iommu, hot->iova, hot->length) : 0;
}

int entries_drop(struct mapcache *cache, struct entry *entry)
{
	int rc = unmap(cache, &entry->hot);

	if (rc < 0)
		return rc;
	hide(cache, entry);
	unlink_entry(entry);
	cache->entries--;
	cache->bytes -= entry->hot.length;
	if (cache->opts.dropped)
		cache->opts.dropped(cache->opts.context, &entry->hot);
	free(entry);
	return 0;
}

bool entries_try_drop(struct mapcache *cache, struct entry *entry)
{
	int rc;

	error_quiet_begin();
	rc = entries_drop(cache, entry);
	error_quiet_end();
	return rc == 0;
}

uint64_t entries_evict(struct mapcache *cache)
{
	while (cache->queue.next != &cache->queue) {
		struct entry *entry = entry_of(cache->queue.next);
		uint64_t length = entry->hot.length;

		if (entry->hot.refs) {
			entry->hot.queued = 0;
			move(&cache->busy, entry);
		} else if (entry->hot.used) {
			entry->hot.used = 0;
			move(&cache->queue, entry);
		} else if (entries_try_drop(cache, entry)) {
			cache->evictions++;
			return length;
		} else {
			move(&cache->queue, entry);
			return 0;
		}
	}
	return 0;
}

void entries_trim(struct mapcache *cache)
{
	while (cache->entries > cache->opts.entries || cache->bytes > cache->opts.limit)
		if (!entries_evict(cache))
			return;
}

/* The entry goes now, or with its last put. */
static void retire(struct mapcache *cache, struct entry *entry)
{
	if (!entry->hot.refs && entries_try_drop(cache, entry))
		return;
	hide(cache, entry);
	entry->stale = true;
	entry->hot.queued = 0; /* makes the last put take the slow path */
	move(&cache->stale, entry);
}

void entries_insert(struct mapcache *cache, struct entry *entry, struct span span)
{
	struct entry *old;

	while ((old = entries_overlapping(cache, span))) {
		cache->merges++; /* a larger mapping takes its place */
		retire(cache, old);
	}
	entry->hot.va = span.first;
	entry->hot.length = span.end - span.first;
	tree_insert(&cache->index, !tree_floor(&cache->index, span.first, UINT64_MAX),
		    &(struct tree_range){.key = span.first, .tie = (uintptr_t)entry,
					 .length = entry->hot.length});
	append(&cache->busy, entry);
	cache->entries++;
	cache->bytes += entry->hot.length;
}

void entries_idle(struct mapcache *cache, struct entry *entry)
{
	if (entry->stale) {
		entries_try_drop(cache, entry);
		return;
	}
	entry->hot.queued = 1;
	move(&cache->queue, entry);
	entries_trim(cache);
}

int entries_drop_idle(struct mapcache *cache, struct link *list)
{
	struct link *next;
	int rc = 0;

	for (struct link *link = list->next; link != list && rc == 0; link = next) {
		next = link->next;
		if (!entry_of(link)->hot.refs)
			rc = entries_drop(cache, entry_of(link));
	}
	return rc;
}

static void review(struct mapcache *cache, struct link *list)
{
	struct link *next;

	for (struct link *link = list->next; link != list; link = next) {
		next = link->next;
		if (!is_mapped(cache, &entry_of(link)->hot))
			retire(cache, entry_of(link));
	}
}

void entries_review(struct mapcache *cache)
{
	unsigned left = __atomic_load_n(&cache->left, __ATOMIC_SEQ_CST);

	if (left != cache->seen) {
		review(cache, &cache->queue);
		review(cache, &cache->busy);
		cache->seen = left;
	}
}

static void free_list(struct link *list)
{
	while (list->next != list) {
		struct entry *entry = entry_of(list->next);

		unlink_entry(entry);
		free(entry);
	}
}

void entries_free(struct mapcache *cache)
{
	free_list(&cache->queue);
	free_list(&cache->busy);
	free_list(&cache->stale);
	tree_destroy(&cache->index);
}
