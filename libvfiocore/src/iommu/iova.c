/* SPDX-License-Identifier: MIT */
#include "iova.h"

#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../kernel/sys.h"

static uint64_t last_of(const struct vfc_mapping *mapping)
{
	return mapping->iova + (mapping->length - 1);
}

void iova_destroy(struct iova_map *map)
{
	free(map->mappings);
	free(map->windows);
	memset(map, 0, sizeof(*map));
}

void iova_set_windows(struct iova_map *map, struct vfio_iova_range *windows, size_t count)
{
	free(map->windows);
	map->windows = windows;
	map->window_count = count;
}

int iova_reserve(struct iova_map *map)
{
	size_t room = map->room ? 2 * map->room : 16;
	struct vfc_mapping *grown;

	if (map->count < map->room)
		return 0;
	grown = sys_alloc(room * sizeof(*grown));
	if (!grown)
		return vfc_no_memory();
	if (map->count)
		memcpy(grown, map->mappings, map->count * sizeof(*grown));
	free(map->mappings);
	map->mappings = grown;
	map->room = room;
	return 0;
}

size_t iova_search(const struct iova_map *map, uint64_t iova)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (last_of(&map->mappings[middle]) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool iova_overlaps(const struct iova_map *map, uint64_t iova, uint64_t length)
{
	size_t i = iova_search(map, iova);

	return i < map->count && map->mappings[i].iova <= iova + (length - 1);
}

bool iova_in_window(const struct iova_map *map, uint64_t iova, uint64_t length)
{
	uint64_t last = iova + (length - 1);

	for (size_t i = 0; i < map->window_count; i++)
		if (iova >= map->windows[i].start && last <= map->windows[i].end && last >= iova)
			return true;
	return false;
}

/* Round up; false when that leaves 64 bits. */
static bool align_up(uint64_t *value, uint64_t align)
{
	uint64_t up = (*value + (align - 1)) & ~(align - 1);

	if (up < *value)
		return false;
	*value = up;
	return true;
}

/* The lowest free place in [first, last]. */
static bool find_gap(const struct iova_map *map, uint64_t first, uint64_t last, uint64_t length,
		     uint64_t align, uint64_t *iova)
{
	size_t i = iova_search(map, first);

	for (;; i++) {
		uint64_t end = last;

		if (!align_up(&first, align) || first > last)
			return false;
		if (i < map->count && map->mappings[i].iova <= last) {
			const struct vfc_mapping *mapping = &map->mappings[i];

			if (mapping->iova <= first) {
				if (last_of(mapping) >= last)
					return false;
				if (last_of(mapping) >= first)
					first = last_of(mapping) + 1;
				continue;
			}
			end = mapping->iova - 1;
		}
		if (length - 1 <= end - first) {
			*iova = first;
			return true;
		}
		if (end == last)
			return false;
		first = last_of(&map->mappings[i]) + 1;
		if (first == 0)
			return false;
	}
}

static bool find_from(const struct iova_map *map, uint64_t from, uint64_t length, uint64_t align,
		      uint64_t highest, uint64_t *iova)
{
	for (size_t i = 0; i < map->window_count; i++) {
		uint64_t first = map->windows[i].start, last = map->windows[i].end;

		if (first < from)
			first = from;
		if (last > highest)
			last = highest;
		if (first <= last && find_gap(map, first, last, length, align, iova))
			return true;
	}
	return false;
}

bool iova_allocate(struct iova_map *map, uint64_t length, uint64_t align, uint64_t highest,
		   uint64_t *iova)
{
	/* Many devices take address 0 for "none". */
	if (!find_from(map, map->next > align ? map->next : align, length, align, highest, iova) &&
	    !find_from(map, align, length, align, highest, iova))
		return false;
	map->next = *iova + length;
	return true;
}

void iova_insert(struct iova_map *map, const struct vfc_mapping *mapping)
{
	size_t i = iova_search(map, mapping->iova);

	memmove(&map->mappings[i + 1], &map->mappings[i], (map->count - i) * sizeof(*mapping));
	map->mappings[i] = *mapping;
	map->count++;
	map->bytes += mapping->length;
}

void iova_remove(struct iova_map *map, size_t index)
{
	map->bytes -= map->mappings[index].length;
	map->count--;
	memmove(&map->mappings[index], &map->mappings[index + 1],
		(map->count - index) * sizeof(*map->mappings));
}
