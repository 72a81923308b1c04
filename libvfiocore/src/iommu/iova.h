/* SPDX-License-Identifier: MIT */
/*
 * Which IOVAs are in use, and by what: the live mappings of a space in order of IOVA.
 *
 * An array kept sorted: both look-ups by IOVA are binary searches, insertion moves what lies above,
 * allocation is a walk over the gaps that starts where the last one ended. Windows are the usable
 * ranges, so that an IOVA outside of them is never given out or accepted.
 */
#ifndef VFC_IOMMU_IOVA_H
#define VFC_IOMMU_IOVA_H

#include <stdbool.h>
#include <vfiocore/iommu.h>

#include "../kernel/uapi.h"

struct iova_map {
	struct vfc_mapping *mappings; /* ascending, disjoint */
	size_t count, room;
	struct vfio_iova_range *windows; /* ascending, disjoint; owned */
	size_t window_count;
	uint64_t next; /* where the search for a gap starts */
	uint64_t bytes;
};

void iova_destroy(struct iova_map *map);
/* Takes @windows over. */
void iova_set_windows(struct iova_map *map, struct vfio_iova_range *windows, size_t count);
/* Room for one more mapping, so that iova_insert() cannot fail. */
int iova_reserve(struct iova_map *map);
/* The lowest free IOVA from map->next on, then from the bottom; false: there is none. */
bool iova_allocate(struct iova_map *map, uint64_t length, uint64_t align, uint64_t highest,
		   uint64_t *iova);
bool iova_in_window(const struct iova_map *map, uint64_t iova, uint64_t length);
/* The mapping that holds @iova, or the first one above: an index, count when there is none. */
size_t iova_search(const struct iova_map *map, uint64_t iova);
bool iova_overlaps(const struct iova_map *map, uint64_t iova, uint64_t length);
void iova_insert(struct iova_map *map, const struct vfc_mapping *mapping);
void iova_remove(struct iova_map *map, size_t index);

#endif
