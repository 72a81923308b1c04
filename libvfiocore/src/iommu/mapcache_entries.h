/* SPDX-License-Identifier: MIT */
/*
 * The mappings of a map cache, and which of them go first.
 *
 * Three lists hold them: `queue` for eviction, oldest first; `busy` those that eviction need not
 * look at; `stale` those that a larger one has replaced. The first two are in the index, by
 * address, and never overlap there.
 *
 * So that a hit and a put write to the mapping alone, the queue is put in order lazily: eviction
 * moves to `busy` what it finds referenced, and to the end what was used again. A mapping that is
 * not queued comes to the queue by its next last put.
 */
#ifndef VFC_IOMMU_MAPCACHE_ENTRIES_H
#define VFC_IOMMU_MAPCACHE_ENTRIES_H

#include <stdbool.h>
#include <vfiocore/mapcache.h>

#include "iommu/iommu.h"
#include "iommu/iova_tree.h"

struct link {
	struct link *next, *prev;
};

struct entry {
	struct vfc_mapcache_entry hot;
	struct link link;
	bool stale;
};

struct span {
	uint64_t first, end; /* end > first */
};

struct mapcache {
	struct vfc_mapcache hot;
	struct vfc_iommu *iommu;
	struct iommu_watcher watcher;
	unsigned left; /* atomic: how often others have unmapped mappings of the space */
	unsigned seen; /* the value of left up to which the entries were checked */
	/*
	 * Stands beside the table, in memory that fork() wipes, so only the process that opened the
	 * cache finds it.
	 */
	uint64_t *magic;
	struct vfc_mapcache_opts opts; /* defaults filled in */
	uint64_t page;                 /* the least that is mapped at once; 0: not known yet */
	struct tree index;             /* key: address, tie: struct entry */
	struct link queue, busy, stale;
	uint64_t entries, bytes;
	uint64_t misses, evictions, merges;
};

struct entry *entry_of(struct link *link);
bool entry_overlaps(const struct entry *entry, struct span span);

/* In the index: the mapping that holds an address, and the highest one that overlaps; or NULL. */
struct entry *entries_at(struct mapcache *cache, uint64_t va);
struct entry *entries_overlapping(struct mapcache *cache, struct span span);

/*
 * Insert a new entry, whose IOVA is known, in place of those that it overlaps. tree_reserve() comes
 * first.
 */
void entries_insert(struct mapcache *cache, struct entry *entry, struct span span);

/* The last put of an entry, see the top. */
void entries_idle(struct mapcache *cache, struct entry *entry);

/* Unmap an idle mapping. If that fails all stays as it was. */
int entries_drop(struct mapcache *cache, struct entry *entry);
/* The same, but a failure is not reported, because it will be tried again. */
bool entries_try_drop(struct mapcache *cache, struct entry *entry);
int entries_drop_idle(struct mapcache *cache, struct link *list);

/* Unmap the oldest idle mapping. Return: its bytes; 0: there is none, or the kernel did not. */
uint64_t entries_evict(struct mapcache *cache);
/* Keep to the limits, as far as that is possible by unmapping idle mappings. */
void entries_trim(struct mapcache *cache);

/* Drop the entries that others have unmapped. A referenced entry goes with its last put. */
void entries_review(struct mapcache *cache);

/* Forget all entries and leave them mapped. */
void entries_free(struct mapcache *cache);

#endif
