/* SPDX-License-Identifier: MIT */
/*
 * The newest mappings, which were placed one behind another and are not in the tree yet. A mapping
 * that is soon unmapped never gets there. Nothing else lies between the first of them and @next.
 */
#ifndef VFC_IOMMU_IOVA_RUN_H
#define VFC_IOMMU_IOVA_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <vfiocore/iommu.h>

#define RUN_LENGTH 64

struct iova_run {
	uint64_t next;	/* where the search for a gap starts */
	uint64_t room;	/* free bytes from there on, in a window and in no guard; 0: unknown */
	uint64_t taken; /* the IOVA that was given out last, if its mapping may be added; 0: it may not */
	unsigned count; /* includes those that were unmapped, but not at the end */
	struct vfc_mapping made[RUN_LENGTH]; /* ascending; length 0: taken back */
};

/* The lowest place from @next on, if that is where it would be found. */
static inline bool run_take(struct iova_run *run, uint64_t length, uint64_t align, uint64_t highest,
			    uint64_t *iova)
{
	uint64_t skip = -run->next & (align - 1), at = run->next + skip;

	if (skip >= run->room || length > run->room - skip || at + (length - 1) > highest)
		return false;
	run->room -= skip + length;
	run->next = at + length;
	run->taken = *iova = at;
	return true;
}

/* False: it is not the place that was given out last, or the array is full. */
static inline bool run_add(struct iova_run *run, const struct vfc_mapping *mapping)
{
	if (mapping->iova != run->taken || !run->taken || run->count == RUN_LENGTH)
		return false;
	run->made[run->count++] = *mapping;
	run->taken = 0;
	return true;
}

/* The last mapping that begins at or below @iova, or the first. It may have been unmapped. */
static inline struct vfc_mapping *run_floor(struct iova_run *run, uint64_t iova)
{
	struct vfc_mapping *low = run->made;

	for (size_t n = run->count; n > 1; n -= n / 2)
		low += low[n / 2].iova <= iova ? n / 2 : 0;
	return low;
}

/* The mapping that holds @iova; NULL: none of these. */
static inline struct vfc_mapping *run_find(struct iova_run *run, uint64_t iova)
{
	struct vfc_mapping *made;

	if (!run->count || iova < run->made->iova)
		return NULL;
	made = &run->made[run->count - 1];
	if (made->iova > iova)
		made = run_floor(run, iova);
	return iova - made->iova < made->length ? made : NULL;
}

static inline void run_remove(struct iova_run *run, struct vfc_mapping *mapping)
{
	mapping->length = 0;
	while (run->count && !run->made[run->count - 1].length)
		run->count--;
}

/* Only live mappings are visited. */
static inline void run_compact(struct iova_run *run)
{
	unsigned live = 0;

	for (unsigned i = 0; i < run->count; i++)
		if (run->made[i].length)
			run->made[live++] = run->made[i];
	run->count = live;
}

#endif
