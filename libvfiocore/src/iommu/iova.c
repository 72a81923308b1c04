/* SPDX-License-Identifier: MIT */
#include "iommu/iova.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The weight of a mapping, by IOVA: the order of the gap behind it, that is 1 + log2 of the largest
 * block of 2^n bytes, aligned to 2^n, that the gap holds; 0: no gap. It tells what fits where a
 * size does not (a gap of 3 MiB need not hold 2 MiB aligned to 2 MiB), and it seldom changes, so
 * that the levels above a leaf are seldom written. A gap is what the guards beside it leave.
 *
 * The weight of a mapping, by address: the address of its last byte.
 */

static uint64_t last_of(const struct tree_range *range)
{
	return range->key + (range->length - 1);
}

static uint64_t guard_of(const struct tree_range *range)
{
	return range->guard * IOVA_GUARD_UNIT;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static unsigned log2_floor(uint64_t value)
{
	return 63 - (unsigned)__builtin_clzll(value);
}

/* Round up. False if the result does not fit in 64 bits. */
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

/*
 * Where a mapping with a guard of @guard bytes may be between two others. NULL stands for the end
 * of the space. False: there is no such place.
 */
static bool between(const struct tree_range *before, const struct tree_range *after, uint64_t guard,
		    uint64_t *first, uint64_t *last)
{
	uint64_t low = before ? larger(guard_of(before), guard) : 0;
	uint64_t high = after ? larger(guard_of(after), guard) : 0;

	*first = 0;
	*last = UINT64_MAX;
	if (before) {
		if (low >= UINT64_MAX - last_of(before))
			return false;
		*first = last_of(before) + 1 + low;
	}
	if (after) {
		if (high >= after->key)
			return false;
		*last = after->key - 1 - high;
	}
	return *first <= *last;
}

/*
 * The order of the gap between the two. At least one of them exists, so the gap is less than 2^64
 * bytes.
 */
static uint64_t order_between(const struct tree_range *before, const struct tree_range *after)
{
	uint64_t first, last, place;
	unsigned order;

	if (!between(before, after, 0, &first, &last))
		return 0;
	order = log2_floor(last - first + 1);
	/* Half as large a block fits wherever the gap begins. */
	if (order && !fits(first, last, UINT64_C(1) << order, UINT64_C(1) << order, &place))
		order--;
	return 1 + order;
}

static struct vfc_mapping mapping_of(const struct tree_range *range)
{
	return (struct vfc_mapping){.iova = range->key, .length = range->length,
				    .va = (void *)(uintptr_t)range->tie, .flags = range->flags};
}

static struct tree_range range_of(const struct vfc_mapping *mapping, uint64_t guard)
{
	return (struct tree_range){.key = mapping->iova, .tie = (uintptr_t)mapping->va,
				   .length = mapping->length, .flags = mapping->flags,
				   .guard = (uint32_t)(guard / IOVA_GUARD_UNIT)};
}

/* The mappings at or below @iova, where the cursor then is, and above; NULL: there is none. */
struct neighbours {
	struct tree_range range[2];
	struct tree_range *before, *after;
};

static void find_neighbours(struct tree *tree, uint64_t iova, struct neighbours *n)
{
	bool after;

	n->before = n->after = NULL;
	if (tree_floor(tree, iova, UINT64_MAX)) {
		n->range[0] = tree_get(tree);
		n->before = &n->range[0];
		after = tree_peek(tree, &n->range[1]);
	} else {
		after = tree->levels;
		if (after)
			n->range[1] = tree_get(tree);
	}
	if (after)
		n->after = &n->range[1];
}

static void insert_by_iova(struct tree *tree, const struct vfc_mapping *mapping, uint64_t guard)
{
	struct tree_range range = range_of(mapping, guard);
	struct neighbours n;

	find_neighbours(tree, mapping->iova, &n);
	range.weight = order_between(&range, n.after);
	tree_insert(tree, !n.before, &range);
	if (n.before) {
		/*
		 * This comes after the new mapping, which mostly has the gap's old order, so that
		 * the parents stay as they are.
		 */
		tree_floor(tree, n.before->key, UINT64_MAX);
		tree_set_weight(tree, order_between(n.before, &range));
	}
}

/* The mappings of the run, between which nothing lies. */
static void insert_run(struct tree *tree, const struct vfc_mapping *made, unsigned count)
{
	struct tree_range range = range_of(&made[0], 0), next;
	struct neighbours n;

	find_neighbours(tree, range.key, &n);
	if (n.before)
		tree_set_weight(tree, order_between(n.before, &range));
	for (unsigned i = 0; i < count; i++, range = next) {
		if (i + 1 < count)
			next = range_of(&made[i + 1], 0);
		range.weight = order_between(&range, i + 1 < count ? &next : n.after);
		if (i)
			tree_floor(tree, made[i - 1].iova, UINT64_MAX);
		tree_insert(tree, !i && !n.before, &range);
	}
}

/* Move all mappings into the tree, for a function that looks at gaps or neighbours. */
static void settle(struct iova_map *map)
{
	run_compact(&map->run);
	if (map->run.count)
		insert_run(&map->by_iova, map->run.made, map->run.count);
	map->run.count = 0;
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
	map->run.room = 0;
}

bool iova_last_in(struct iova_map *map, uint64_t first, uint64_t last, uint64_t *iova,
		  uint64_t *length)
{
	struct tree_range range;

	settle(map);
	if (!tree_floor(&map->by_iova, last, UINT64_MAX))
		return false;
	range = tree_get(&map->by_iova);
	*iova = range.key;
	*length = range.length;
	return range.key >= first || first - range.key < range.length;
}

bool iova_in_window(const struct iova_map *map, uint64_t iova, uint64_t length)
{
	uint64_t last = iova + (length - 1);

	for (size_t i = 0; i < map->window_count; i++)
		if (iova >= map->windows[i].start && last <= map->windows[i].end && last >= iova)
			return true;
	return false;
}

bool iova_conflicts(struct iova_map *map, uint64_t iova, uint64_t length, uint64_t guard,
		    struct vfc_mapping *with)
{
	uint64_t first, last, end = iova + (length - 1);
	struct neighbours n;

	settle(map);
	map->run.taken = 0; /* what is asked for may begin there, and reach beyond it */
	find_neighbours(&map->by_iova, end, &n);
	if (n.before && (!between(n.before, NULL, guard, &first, &last) || iova < first))
		*with = mapping_of(n.before);
	else if (n.after && (!between(NULL, n.after, guard, &first, &last) || end > last))
		*with = mapping_of(n.after);
	else
		return false;
	return true;
}

struct request {
	uint64_t length, align, guard;
	uint64_t order; /* of the gaps to look at */
	uint64_t last;	/* out: of the bytes that could have been had */
};

/* Between the two, as far as that is in [first, last]. */
static bool fits_between(const struct tree_range *before, const struct tree_range *after,
			 uint64_t first, uint64_t last, struct request *request, uint64_t *iova)
{
	uint64_t low, high;

	if (!between(before, after, request->guard, &low, &high))
		return false;
	request->last = high < last ? high : last;
	return fits(larger(first, low), request->last, request->length, request->align, iova);
}

/* In the gap behind the mapping that the cursor is at. */
static bool fits_behind(const struct tree *tree, uint64_t first, uint64_t last,
			struct request *request, uint64_t *iova)
{
	struct tree_range before = tree_get(tree), after;

	return fits_between(&before, tree_peek(tree, &after) ? &after : NULL, first, last, request,
			    iova);
}

/* In the gap that @first lies in, then in those of the order asked for, within [first, last]. */
static bool search(struct tree *tree, uint64_t first, uint64_t last, struct request *request,
		   uint64_t *iova)
{
	struct neighbours n;

	find_neighbours(tree, first, &n);
	if (fits_between(n.before, n.after, first, last, request, iova))
		return true;
	if (!n.after || (n.before && !tree_next(tree)))
		return false;
	while (tree_heavy(tree, request->order) && tree_get(tree).key <= last) {
		if (fits_behind(tree, first, last, request, iova))
			return true;
		if (!tree_next(tree))
			return false;
	}
	return false;
}

static bool search_windows(struct iova_map *map, uint64_t from, uint64_t highest,
			   struct request *request, uint64_t *iova)
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

void iova_search_from(struct iova_map *map, uint64_t iova)
{
	settle(map);
	map->run.next = iova;
	map->run.room = 0;
}

bool iova_search(struct iova_map *map, uint64_t length, uint64_t align, uint64_t highest,
		 uint64_t guard, uint64_t *iova)
{
	uint64_t most = larger(length, align), least = length < align ? length : align;
	uint64_t guards = guard; /* in front of it, aligned, and behind */
	struct request request = {length, align, guard, 0, 0};
	struct iova_run *run = &map->run;
	bool found;

	settle(map);
	align_up(&guards, align);
	guards += guard;
	most = most > UINT64_MAX - guards ? UINT64_MAX : most + guards;
	request.order = 1 + log2_floor(most) + ((most & (most - 1)) != 0);
	/*
	 * Any gap that holds a block of 2^n bytes for both length and alignment will do. Without
	 * one, a smaller gap may yet, which only a look at each can tell; a length that is a power
	 * of two and its own alignment, the common case, never needs that without a guard.
	 * From 1: many devices take address 0 for "none".
	 */
	found = search_windows(map, run->next ? run->next : 1, highest, &request, iova) ||
		search_windows(map, 1, highest, &request, iova);
	if (!found && 1 + log2_floor(least) < request.order) {
		request.order = 1 + log2_floor(least);
		found = search_windows(map, 1, highest, &request, iova);
	}
	/* A request that could not use the place leaves the search where it is. */
	if (!found || highest < run->next)
		return found;
	run->next = *iova + length;
	run->room = guard ? 0 : request.last + 1 - run->next;
	run->taken = guard ? 0 : *iova;
	return true;
}

static void insert_by_va(struct tree *tree, const struct vfc_mapping *mapping)
{
	struct tree_range range = {.key = (uintptr_t)mapping->va, .tie = mapping->iova,
				   .length = mapping->length, .flags = mapping->flags};
	bool behind = tree_floor(tree, range.key, range.tie);

	range.weight = last_of(&range);
	tree_insert(tree, !behind, &range);
}

void iova_insert_apart(struct iova_map *map, const struct vfc_mapping *mapping, uint64_t guard)
{
	settle(map);
	map->run.taken = 0;
	/* The run must not extend into this mapping or its guard. */
	if (guard || mapping->iova + (mapping->length - 1) >= map->run.next)
		map->run.room = 0;
	insert_by_iova(&map->by_iova, mapping, guard);
	if (map->va_known && mapping->va)
		insert_by_va(&map->by_va, mapping);
	map->count++;
	map->bytes += mapping->length;
}

int iova_make_room(struct iova_map *map)
{
	int rc;

	run_compact(&map->run);
	if (map->run.count > RUN_LENGTH * 3 / 4)
		settle(map);
	rc = tree_reserve(&map->by_iova, RUN_LENGTH);
	return rc < 0 || !map->va_known ? rc : tree_reserve(&map->by_va, 1);
}

void iova_remove_settled(struct iova_map *map, uint64_t iova)
{
	struct tree *tree = &map->by_iova;
	struct tree_range range, before, after;
	bool is_after;

	tree_floor(tree, iova, UINT64_MAX);
	range = tree_get(tree);
	is_after = tree_peek(tree, &after);
	/* This comes before the removal, for the same reason. */
	if (tree_prev(tree)) {
		before = tree_get(tree);
		tree_set_weight(tree, order_between(&before, is_after ? &after : NULL));
		tree_next(tree);
	}
	tree_remove(tree);
	if (map->va_known && range.tie) {
		tree_floor(&map->by_va, range.tie, iova);
		tree_remove(&map->by_va);
	}
	map->count--;
	map->bytes -= range.length;
}

bool iova_first(struct iova_map *map, struct vfc_mapping *mapping)
{
	struct tree_range range;

	if (!map->count)
		return false;
	settle(map);
	tree_first(&map->by_iova);
	range = tree_get(&map->by_iova);
	*mapping = mapping_of(&range);
	return true;
}

bool iova_next(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping)
{
	struct neighbours n;

	settle(map);
	find_neighbours(&map->by_iova, iova, &n);
	if (n.before && last_of(n.before) >= iova)
		n.after = n.before;
	if (n.after)
		*mapping = mapping_of(n.after);
	return n.after;
}

bool iova_find_settled(struct iova_map *map, uint64_t iova, struct vfc_mapping *mapping)
{
	struct tree_range range;

	if (!tree_floor(&map->by_iova, iova, UINT64_MAX))
		return false;
	range = tree_get(&map->by_iova);
	if (iova - range.key >= range.length)
		return false;
	*mapping = mapping_of(&range);
	return true;
}

static int index_va(struct iova_map *map)
{
	bool more = map->count > 0;
	int rc;

	settle(map);
	if (more)
		tree_first(&map->by_iova);
	/* Room for one more stays reserved, for a caller that reserved it before. */
	while ((rc = tree_reserve(&map->by_va, 1)) == 0 && more) {
		struct tree_range range = tree_get(&map->by_iova);
		struct vfc_mapping mapping = mapping_of(&range);

		if (mapping.va)
			insert_by_va(&map->by_va, &mapping);
		more = tree_next(&map->by_iova);
	}
	map->va_known = rc == 0;
	if (rc < 0)
		tree_destroy(&map->by_va);
	return rc;
}

int iova_find_va(struct iova_map *map, const void *va, struct vfc_mapping *mapping)
{
	struct tree_range range;
	int rc = map->va_known ? 0 : index_va(map);

	if (rc < 0 || !map->by_va.levels)
		return rc;
	/*
	 * The first mapping that ends at or above the address holds it, or begins above it, and
	 * then so do all later ones.
	 */
	tree_first(&map->by_va);
	if (!tree_heavy(&map->by_va, (uintptr_t)va))
		return 0;
	range = tree_get(&map->by_va);
	if (range.key > (uintptr_t)va)
		return 0;
	*mapping = (struct vfc_mapping){.iova = range.tie, .length = range.length,
					.va = (void *)(uintptr_t)range.key, .flags = range.flags};
	return 1;
}
