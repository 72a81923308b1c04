/* SPDX-License-Identifier: MIT */
/*
 * What the map of IOVAs costs, in ns of the thread, beside the plain one: an array kept sorted, a
 * walk over its gaps to allocate, a walk over all of it to find an address. One JSON line a figure
 * whose name begins with the argument. Both maps do the same in turn; medians of the rounds are
 * printed. The plain one cannot find an address fast, so it saves what the second index costs.
 *
 * Ranges are 4 KiB to 2 MiB, naturally aligned, in a space of 2^48. To allocate and free is to
 * replace one live range by another, of another size and in the same 2 MiB of memory:
 *   alloc_free  the one that was made last: a buffer that is mapped, used and unmapped
 *   alloc_free_oldest  the one that was made first: a queue of them
 *   alloc_free_random  any: what is not in the cache is waited for. Which one is known an operation
 *               ahead, so that its IOVA, which a caller has at hand, is not waited for
 *   alloc_free_random_va  the same in a space where somebody asks for addresses, too
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iommu/iova.h"

#define ROUNDS 7
#define SIZE_MAX_LOG2 21
#define VA_BASE (UINT64_C(1) << 40)
#define SPACE_LAST ((UINT64_C(1) << 48) - 1)

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "bench-iova: %s\n", what);
		exit(1);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* The plain map. */

struct plain {
	struct vfc_mapping *mappings;
	size_t count;
	uint64_t next;
};

static size_t plain_search(const struct plain *map, uint64_t iova)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->mappings[middle].iova + (map->mappings[middle].length - 1) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool plain_allocate(struct plain *map, uint64_t length, uint64_t *iova)
{
	uint64_t first = map->next ? map->next : length;

	for (size_t i = plain_search(map, first);; i++) {
		first = (first + length - 1) & ~(length - 1);
		if (first > SPACE_LAST || length - 1 > SPACE_LAST - first)
			return false;
		if (i == map->count || first + length <= map->mappings[i].iova)
			break;
		if (first < map->mappings[i].iova + map->mappings[i].length)
			first = map->mappings[i].iova + map->mappings[i].length;
	}
	*iova = first;
	map->next = first + length;
	return true;
}

static void plain_insert(struct plain *map, const struct vfc_mapping *mapping)
{
	size_t i = plain_search(map, mapping->iova);

	memmove(&map->mappings[i + 1], &map->mappings[i], (map->count - i) * sizeof(*mapping));
	map->mappings[i] = *mapping;
	map->count++;
}

static void plain_remove(struct plain *map, size_t i)
{
	map->count--;
	memmove(&map->mappings[i], &map->mappings[i + 1],
		(map->count - i) * sizeof(*map->mappings));
}

static const struct vfc_mapping *plain_find_va(const struct plain *map, uint64_t va)
{
	for (size_t i = 0; i < map->count; i++)
		if (va - (uintptr_t)map->mappings[i].va < map->mappings[i].length)
			return &map->mappings[i];
	return NULL;
}

/* Both maps, each with the IOVAs that it gave out: slot i's memory is at VA_BASE + i * 2 MiB. */

struct bench {
	size_t live;
	bool is_plain;
	struct iova_map map;
	struct plain plain;
	uint64_t *iovas;
	size_t oldest, chosen;
};

static size_t random_slot(struct bench *b)
{
	size_t slot = b->chosen;

	b->chosen = rnd() % b->live;
	__builtin_prefetch(&b->iovas[b->chosen]);
	return slot;
}

static void add(struct bench *b, size_t slot)
{
	uint64_t length = UINT64_C(4096) << rnd() % (SIZE_MAX_LOG2 - 11);
	struct vfc_mapping mapping = {.length = length,
				      .va = (void *)(VA_BASE + (slot << SIZE_MAX_LOG2))};

	if (b->is_plain) {
		check(plain_allocate(&b->plain, length, &mapping.iova), "no IOVA");
		plain_insert(&b->plain, &mapping);
	} else {
		check(iova_allocate(&b->map, length, length, UINT64_MAX, 0, &mapping.iova), "no IOVA");
		check(iova_reserve(&b->map) == 0, "no memory");
		iova_insert(&b->map, &mapping, 0);
	}
	b->iovas[slot] = mapping.iova;
}

/* As vfc_iommu_unmap() does: find it, check it, remove it. */
static void del(struct bench *b, size_t slot)
{
	struct vfc_mapping found;
	size_t i;

	if (b->is_plain) {
		i = plain_search(&b->plain, b->iovas[slot]);
		check(i < b->plain.count && b->plain.mappings[i].iova == b->iovas[slot], "lost");
		plain_remove(&b->plain, i);
	} else {
		check(iova_find(&b->map, b->iovas[slot], &found) && found.iova == b->iovas[slot],
		      "lost");
		iova_remove(&b->map, b->iovas[slot]);
	}
}

static void setup(struct bench *b, size_t live, bool is_plain, bool by_va)
{
	struct vfio_iova_range *windows = calloc(2, sizeof(*windows));
	struct vfc_mapping found;

	*b = (struct bench){.live = live, .is_plain = is_plain};
	b->iovas = calloc(live, sizeof(*b->iovas));
	check(windows && b->iovas, "no memory");
	if (is_plain) {
		b->plain.mappings = calloc(live + 1, sizeof(*b->plain.mappings));
		check(b->plain.mappings, "no memory");
		free(windows);
	} else {
		windows[0] = (struct vfio_iova_range){0, 0xfedfffff};
		windows[1] = (struct vfio_iova_range){0xfef00000, SPACE_LAST};
		iova_set_windows(&b->map, windows, 2);
		check(!by_va || iova_find_va(&b->map, windows, &found) == 0, "found in nothing");
	}
	for (size_t i = 0; i < live; i++)
		add(b, i);
}

static void teardown(struct bench *b)
{
	iova_destroy(&b->map);
	free(b->plain.mappings);
	free(b->iovas);
}

static void replace_random(struct bench *b)
{
	size_t slot = random_slot(b);

	del(b, slot);
	add(b, slot);
}

static void replace_last(struct bench *b)
{
	del(b, 0);
	add(b, 0);
}

static void replace_first(struct bench *b)
{
	b->oldest = (b->oldest + 1) % b->live;
	del(b, b->oldest);
	add(b, b->oldest);
}

static void find_iova(struct bench *b)
{
	uint64_t iova = b->iovas[random_slot(b)] + 5;
	struct vfc_mapping found;

	if (b->is_plain)
		check(plain_search(&b->plain, iova) < b->live, "lost");
	else
		check(iova_find(&b->map, iova, &found), "lost");
}

static void find_va(struct bench *b)
{
	uint64_t va = VA_BASE + ((rnd() % b->live) << SIZE_MAX_LOG2) + 5;
	struct vfc_mapping found;

	if (b->is_plain)
		check(plain_find_va(&b->plain, va), "lost");
	else
		check(iova_find_va(&b->map, (void *)va, &found) == 1, "lost");
}

static const struct figure {
	const char *name;
	void (*once)(struct bench *);
	size_t live;
	unsigned ours, theirs; /* operations a round: the plain map may need milliseconds for one */
	bool by_va;
} figures[] = {
	{"iova.alloc_free_random.1k", replace_random, 1000, 200000, 20000},
	{"iova.alloc_free_random.100k", replace_random, 100000, 200000, 100},
	{"iova.alloc_free_random.1m", replace_random, 1000000, 200000, 6},
	{"iova.alloc_free_random_va.1k", replace_random, 1000, 200000, 20000, true},
	{"iova.alloc_free_random_va.100k", replace_random, 100000, 200000, 100, true},
	{"iova.alloc_free_random_va.1m", replace_random, 1000000, 200000, 6, true},
	{"iova.alloc_free.1k", replace_last, 1000, 200000, 20000},
	{"iova.alloc_free.100k", replace_last, 100000, 200000, 100},
	{"iova.alloc_free.1m", replace_last, 1000000, 200000, 6},
	{"iova.alloc_free_oldest.1k", replace_first, 1000, 200000, 20000},
	{"iova.alloc_free_oldest.100k", replace_first, 100000, 200000, 100},
	{"iova.alloc_free_oldest.1m", replace_first, 1000000, 200000, 6},
	{"iova.find_iova.1k", find_iova, 1000, 200000, 200000},
	{"iova.find_iova.100k", find_iova, 100000, 200000, 200000},
	{"iova.find_iova.1m", find_iova, 1000000, 200000, 200000},
	{"iova.find_va.1k", find_va, 1000, 200000, 2000},
	{"iova.find_va.100k", find_va, 100000, 200000, 100},
	{"iova.find_va.1m", find_va, 1000000, 200000, 10},
};

static double measure(struct bench *b, void (*once)(struct bench *), unsigned times)
{
	double start = now();

	for (unsigned i = 0; i < times; i++)
		once(b);
	return (now() - start) / times;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(const struct figure *figure)
{
	double value[2][ROUNDS];
	struct bench b[2];

	for (int i = 0; i < 2; i++)
		setup(&b[i], figure->live, i, figure->by_va);
	measure(&b[0], figure->once, figure->ours); /* warm up */
	for (int round = 0; round < ROUNDS; round++) {
		value[0][round] = measure(&b[0], figure->once, figure->ours);
		value[1][round] = measure(&b[1], figure->once, figure->theirs);
	}
	for (int i = 0; i < 2; i++) {
		qsort(value[i], ROUNDS, sizeof(**value), compare);
		teardown(&b[i]);
	}
	printf("{\"name\": \"%s\", \"value\": %.1f, \"baseline_value\": %.1f}\n", figure->name,
	       value[0][ROUNDS / 2], value[1][ROUNDS / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *prefix = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		if (!strncmp(figures[i].name, prefix, strlen(prefix)))
			run(&figures[i]);
	return 0;
}
