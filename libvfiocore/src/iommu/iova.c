/* SPDX-License-Identifier: MIT */
#include "iova.h"

#include <stdlib.h>
#include <string.h>

/*
 * The weight of a mapping, by IOVA: the order of the gap behind it, that is 1 + log2 of the largest
 * block of 2^n bytes, aligned to 2^n, that the gap holds; 0: no gap. It tells what fits where a
 * size does not (a gap of 3 MiB need not hold 2 MiB aligned to 2 MiB), and it seldom changes, so
 * that the levels above a leaf are seldom written.
 *
 * The weight of a mapping, by address: the address of its last byte.
 */

static uint64_t last_of(const struct tree_range *range)
{
	return range->key + (range->length - 1);
}

static unsigned log2_floor(uint64_t value)
{
	return 63 - (unsigned)__builtin_clzll(value);
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

/* The lowest place in [first, last]. */
static bool fits(uint64_t first, uint64_t last, uint64_t length, uint64_t align, uint64_t *iova)
{
	if (!align_up(&first, align) || first > last || length - 1 > last - first)
		return false;
	*iova = first;
	return true;
}

/* Of the gap [first, last], which is less than 2^64 bytes. */
static uint64_t order_of(uint64_t first, uint64_t last)
{
	uint64_t place;
	unsigned order;

	if (last - first == UINT64_MAX) /* empty */
		return 0;
	order = log2_floor(last - first + 1);
	/* Half as large a block fits wherever the gap begins. */
	if (order && !fits(first, last, UINT64_C(1) << order, UINT64_C(1) << order, &place))
		order--;
	return 1 + order;
}

void iova_destroy(struct iova_map *map)
{
	tree_destroy(&map->by_iova);
	tree_destroy(&map->by_va);
	free(map->windows);
	memset(map, 0, sizeof(*map));
}

void iova_set_windows(struct iova_map *map, struct vfio_iova_range *windows, size_t count)
{
	free(map->windows);
	map->windows = windows;
	map->window_count = count;
}

bool iova_last_in(struct iova_map *map, uint64_t first, uint64_t last, uint64_t *iova,
		  uint64_t *length)
{
	struct tree_range range;

	if (!tree_floor(&map->by_iova, last, UINT64_MAX))
		return false;
	range = tree_get(&map->by_iova);
	*iova = range.key;
	*length = range.length;
	return range.key >= first || first - range.key < range.length;
}

int iova_reserve(struct iova_map *map)
{
	int rc = tree_reserve(&map->by_iova);

	return rc < 0 ? rc : tree_reserve(&map->by_va);
}

bool iova_in_window(const struct iova_map *map, uint64_t iova, uint64_t length)
{
	uint64_t last = iova + (length - 1);

	for (size_t i = 0; i < map->window_count; i++)
		if (iova >= map->windows[i].start && last <= map->windows[i].end && last >= iova)
			return true;
	return false;
}

bool iova_overlaps(struct iova_map *map, uint64_t iova, uint64_t length)
{
	struct tree_range range;

	if (!tree_floor(&map->by_iova, iova + (length - 1), UINT64_MAX))
		return false;
	range = tree_get(&map->by_iova);
	return last_of(&range) >= iova;
}

struct request {
	uint64_t length, align;
	uint64_t order; /* of the gaps to look at */
};

/* The last IOVA before the next mapping; without one, that of the space. */
static uint64_t gap_end(const struct tree *tree)
{
	uint64_t next;

	return tree_next_key(tree, &next) ? next - 1 : UINT64_MAX;
}

/* In the gap behind the mapping that the cursor is at, as far as it is in [first, last]. */
static bool fits_behind(const struct tree *tree, uint64_t first, uint64_t last,
			const struct request *request, uint64_t *iova)
{
	struct tree_range range = tree_get(tree);
	uint64_t before = last_of(&range), end = gap_end(tree);

	if (before >= last)
		return false;
	return fits(first > before ? first : before + 1, end < last ? end : last, request->length,
		    request->align, iova);
}

/* In the gap that @first lies in, then in those of the order asked for, within [first, last]. */
static bool search(struct tree *tree, uint64_t first, uint64_t last, const struct request *request,
		   uint64_t *iova)
{
	if (tree_floor(tree, first, UINT64_MAX)) {
		if (fits_behind(tree, first, last, request, iova))
			return true;
		if (!tree_next(tree))
			return false;
	} else {
		uint64_t end = tree->levels ? tree_get(tree).key - 1 : UINT64_MAX;

		if (fits(first, end < last ? end : last, request->length, request->align, iova))
			return true;
		if (!tree->levels)
			return false;
	}
	while (tree_heavy(tree, request->order) && tree_get(tree).key <= last) {
		if (fits_behind(tree, first, last, request, iova))
			return true;
		if (!tree_next(tree))
			return false;
	}
	return false;
}

static bool search_windows(struct iova_map *map, uint64_t from, uint64_t highest,
			   const struct request *request, uint64_t *iova)
{
	for (size_t i = 0; i < map->window_count; i++) {
		uint64_t first = map->windows[i].start, last = map->windows[i].end;

		if (first < from)
			first = from;
		if (last > highest)
			last = highest;
		if (first <= last && search(&map->by_iova, first, last, request, iova))
			return true;
	}
	return false;
}

bool iova_allocate(struct iova_map *map, uint64_t length, uint64_t align, uint64_t highest,
		   uint64_t *iova)
{
	uint64_t most = length > align ? length : align, least = length < align ? length : align;
	struct request request = {length, align, 2 + log2_floor(most)};
	bool found;

	if (!(most & (most - 1)))
		request.order--;
	/*
	 * Any gap that holds a block of 2^n bytes for both length and alignment will do. Without
	 * one, a smaller gap may yet, which only a look at each can tell; a length that is a power
	 * of two and its own alignment, the common case, never needs that.
	 * From 1: many devices take address 0 for "none".
	 */
	found = search_windows(map, map->next ? map->next : 1, highest, &request, iova) ||
		search_windows(map, 1, highest, &request, iova);
	if (!found && 1 + log2_floor(least) < request.order) {
		request.order = 1 + log2_floor(least);
		found = search_windows(map, 1, highest, &request, iova);
	}
	/* A request that could not use the place does not move it. */
	if (found && highest >= map->next)
		map->next = *iova + length;
	return found;
}

static void insert_by_iova(struct tree *tree, const struct vfc_mapping *mapping)
{
	struct tree_range before, range = {.key = mapping->iova, .tie = (uintptr_t)mapping->va,
					   .length = mapping->length, .flags = mapping->flags};
	bool behind = tree_floor(tree, mapping->iova, UINT64_MAX);
	uint64_t end = UINT64_MAX;

	if (behind) {
		before = tree_get(tree);
		end = gap_end(tree);
	} else if (tree->levels) {
		end = tree_get(tree).key - 1;
	}
	range.weight = order_of(last_of(&range) + 1, end);
	tree_insert(tree, !behind, &range);
	if (behind) {
		/* After the new one, which mostly has the gap's old order: the parents keep it. */
		tree_floor(tree, before.key, UINT64_MAX);
		tree_set_weight(tree, order_of(last_of(&before) + 1, mapping->iova - 1));
	}
}

static void insert_by_va(struct tree *tree, const struct vfc_mapping *mapping)
{
	struct tree_range range = {.key = (uintptr_t)mapping->va, .tie = mapping->iova,
				   .length = mapping->length, .flags = mapping->flags};
	bool behind = tree_floor(tree, range.key, range.tie);

	range.weight = last_of(&range);
	tree_insert(tree, !behind, &range);
}

void iova_insert(struct iova_map *map, const struct vfc_mapping *mapping)
{
	insert_by_iova(&map->by_iova, mapping);
	insert_by_va(&map->by_va, mapping);
	map->count++;
	map->bytes += mapping->length;
}

void iova_remove(struct iova_map *map, uint64_t iova)
{
	struct tree *tree = &map->by_iova;
	struct tree_range range, before;
	uint64_t end;

	tree_floor(tree, iova, UINT64_MAX);
	range = tree_get(tree);
	end = gap_end(tree);
	/* Before the removal, for the same reason. */
	if (iova && tree_floor(tree, iova - 1, UINT64_MAX)) {
		before = tree_get(tree);
		tree_set_weight(tree, order_of(last_of(&before) + 1, end));
	}
	tree_floor(tree, iova, UINT64_MAX);
	tree_remove(tree);
	tree_floor(&map->by_va, range.tie, iova);
	tree_remove(&map->by_va);
	map->count--;
	map->bytes -= range.length;
}

/* What the cursor of by_iova is at. */
static struct vfc_mapping current(const struct iova_map *map)
{
	struct tree_range range = tree_get(&map->by_iova);

	return (struct vfc_mapping){.iova = range.key, .length = range.length,
				    .va = (void *)(uintptr_t)range.tie, .flags = range.flags};
}

bool iova_first(struct iova_map *map, struct vfc_mapping *mapping)
{
	if (!map->count)
		return false;
	tree_first(&map->by_iova);
	*mapping = current(map);
	return true;
}

bool iova_find(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping)
{
	struct vfc_mapping at;

	if (!tree_floor(&map->by_iova, iova, UINT64_MAX))
		return false;
	at = current(map);
	if (iova - at.iova >= at.length)
		return false;
	*mapping = at;
	return true;
}

bool iova_find_va(struct iova_map *map, const void *va, struct vfc_mapping *mapping)
{
	struct tree_range range;

	/* The first that ends at or above it holds it, or begins above it and so do all after. */
	if (!map->count)
		return false;
	tree_first(&map->by_va);
	if (!tree_heavy(&map->by_va, (uintptr_t)va))
		return false;
	range = tree_get(&map->by_va);
	if (range.key > (uintptr_t)va)
		return false;
	*mapping = (struct vfc_mapping){.iova = range.tie, .length = range.length,
					.va = (void *)(uintptr_t)range.key, .flags = range.flags};
	return true;
}
