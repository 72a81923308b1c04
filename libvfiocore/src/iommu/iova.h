/* SPDX-License-Identifier: MIT */
/*
 * Which IOVAs are in use, and by what. The live mappings of a space are found by IOVA and by
 * address, and the gaps between them by size. Each takes O(log n).
 *
 * Windows are the usable ranges. An IOVA outside of them is never given out or accepted. They only
 * bound a search, so they may change at any time. A mapping that is outside then stays until it is
 * removed.
 *
 * A guard is a number of bytes on either side of a mapping in which no other mapping may be. Guards
 * may overlap each other, and the border of a window. Two mappings are thus as far apart as the
 * larger of their guards, and no guard reaches beyond the next mapping. So placing a mapping takes
 * a look at its two neighbours only.
 */
#ifndef VFC_IOMMU_IOVA_H
#define VFC_IOMMU_IOVA_H

#include <stdbool.h>
#include <stddef.h>
#include <vfiocore/iommu.h>

#include "kernel/uapi.h"
#include "iommu/iova_run.h"
#include "iommu/iova_tree.h"

/* Guards are multiples of it, and below 2^32 of it; IOMMUs have no smaller pages. */
#define IOVA_GUARD_UNIT UINT64_C(4096)
#define IOVA_GUARD_MAX (UINT32_MAX * IOVA_GUARD_UNIT)

struct iova_map {
	struct tree by_iova, by_va;
	bool va_known; /* by_va has all mappings; until then it has none */
	size_t count;
	uint64_t bytes;
	struct vfio_iova_range *windows; /* ascending, disjoint; owned */
	size_t window_count;
	struct iova_run run; /* what is not in the trees yet */
};

void iova_destroy(struct iova_map *map);
/* Takes ownership of @windows. */
void iova_set_windows(struct iova_map *map, struct vfio_iova_range *windows, size_t count);
/* Find the highest mapping that lies in [@first, @last], at least in part. False: there is none. */
bool iova_last_in(struct iova_map *map, uint64_t first, uint64_t last, uint64_t *iova,
		  uint64_t *length);
/* Room for one more mapping, so that iova_insert() cannot fail. */
int iova_make_room(struct iova_map *map);
static inline int iova_reserve(struct iova_map *map)
{
	if (map->run.count < RUN_LENGTH && tree_holds(&map->by_iova, RUN_LENGTH) && !map->va_known)
		return 0;
	return iova_make_room(map);
}

/*
 * A free IOVA above 0 for @length bytes, none of them above @highest, with @guard bytes free on both
 * sides; false: there is none.
 * The search goes up from where the last one ended, then from the bottom: an IOVA is used again
 * late, so that a device which still writes to an old one meets a fault and not the next owner's
 * memory.
 */
bool iova_search(struct iova_map *map, uint64_t length, uint64_t align, uint64_t highest,
		 uint64_t guard, uint64_t *iova);
static inline bool iova_allocate(struct iova_map *map, uint64_t length, uint64_t align,
				 uint64_t highest, uint64_t guard, uint64_t *iova)
{
	return (!guard && run_take(&map->run, length, align, highest, iova)) ||
	       iova_search(map, length, align, highest, guard, iova);
}

/* The next search starts at @iova. */
void iova_search_from(struct iova_map *map, uint64_t iova);

bool iova_in_window(const struct iova_map *map, uint64_t iova, uint64_t length);
/*
 * Whether a mapping is in the way of this one, with @guard bytes on both sides: it overlaps, or
 * either is within the other's guard.
 */
bool iova_conflicts(struct iova_map *map, uint64_t iova, uint64_t length, uint64_t guard,
		    struct vfc_mapping *with);
/* There must be no conflict. A mapping whose va is NULL is not found by address. */
void iova_insert_apart(struct iova_map *map, const struct vfc_mapping *mapping, uint64_t guard);
static inline void iova_insert(struct iova_map *map, const struct vfc_mapping *mapping,
			       uint64_t guard)
{
	struct vfc_mapping copy;

	if (!guard && !map->va_known && run_add(&map->run, mapping)) {
		map->count++;
		map->bytes += mapping->length;
		return;
	}
	copy = *mapping; /* a copy, so that the caller's structure need not be in memory */
	iova_insert_apart(map, &copy, guard);
}

/* Remove what run_find() found. */
static inline void iova_forget(struct iova_map *map, struct vfc_mapping *made)
{
	map->count--;
	map->bytes -= made->length;
	run_remove(&map->run, made);
}

/* The mapping that starts at @iova, which there must be. */
void iova_remove_settled(struct iova_map *map, uint64_t iova);
static inline void iova_remove(struct iova_map *map, uint64_t iova)
{
	struct vfc_mapping *made = run_find(&map->run, iova);

	if (made)
		iova_forget(map, made);
	else
		iova_remove_settled(map, iova);
}

/* The mapping with the lowest IOVA; false: there is none. */
bool iova_first(struct iova_map *map, struct vfc_mapping *mapping);
/* The mapping with the lowest IOVA of those that end at @iova or above. */
bool iova_next(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping);
/* The mapping that holds @iova. */
bool iova_find_settled(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping);
static inline bool iova_find(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping)
{
	const struct vfc_mapping *made = run_find(&map->run, iova);

	if (!made)
		return iova_find_settled(map, iova, mapping);
	*mapping = *made;
	return true;
}

/*
 * A mapping that holds the address. Of several it is the one whose memory begins lowest, and of
 * those the one with the lowest IOVA. Return: 1; 0: none; -ENOMEM.
 * The first call makes the index that it needs: most spaces never ask, and to keep the index would
 * double what it costs to map and unmap.
 */
int iova_find_va(struct iova_map *map, const void *va, struct vfc_mapping *mapping);

#endif
