/* SPDX-License-Identifier: MIT */
/*
 * What it costs to make a buffer reachable that was so before, in ns of the thread: a get and its
 * put by the map cache, beside what one would do without it. One JSON line for the figure that is
 * given, or for each. Both do the same in turn; medians of the rounds are printed.
 *
 *   translate.cached         one buffer; beside vfc_iommu_find_va()
 *   translate.cached.256     as many buffers, each a mapping, in turn; beside the same
 *   translate.cached.4096
 *   translate.cached.map     one buffer; beside vfc_iommu_map() and vfc_iommu_unmap() on the model
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <vfiocore.h>

#define ROUNDS 9
#define PAGE 4096
#define BUFFERS 4096

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static struct vfc_mapcache *cache;
static uint8_t *memory;
static uint64_t sum; /* so that the compiler keeps the answers */

static void check(bool good, const char *what)
{
	char text[600];

	if (good)
		return;
	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "bench-mapcache: %s: %s\n", what, text);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void cached(unsigned buffers, unsigned times)
{
	struct vfc_reach reach;

	for (unsigned i = 0; i < times; i++) {
		check(vfc_mapcache_get(cache, memory + (uint64_t)(i & (buffers - 1)) * PAGE, 2048,
				       &reach) == 0, "get");
		sum += reach.iova;
		vfc_mapcache_put(cache, &reach);
	}
}

static void find_va(unsigned buffers, unsigned times)
{
	struct vfc_mapping found;

	for (unsigned i = 0; i < times; i++) {
		check(vfc_iommu_find_va(iommu, memory + (uint64_t)(i & (buffers - 1)) * PAGE,
					&found) == 0, "find");
		sum += found.iova;
	}
}

static void map_and_unmap(unsigned buffers, unsigned times)
{
	uint64_t iova;

	(void)buffers;
	for (unsigned i = 0; i < times; i++) {
		check(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova) == 0, "map");
		check(vfc_iommu_unmap(iommu, iova, PAGE) == 0, "unmap");
	}
}

static const struct figure {
	const char *name;
	void (*theirs)(unsigned buffers, unsigned times);
	unsigned buffers, times;
} figures[] = {
	{"translate.cached", find_va, 1, 200000},
	{"translate.cached.256", find_va, 256, 200000},
	{"translate.cached.4096", find_va, 4096, 200000},
	{"translate.cached.map", map_and_unmap, 1, 5000},
};

static double measure(void (*run)(unsigned, unsigned), unsigned buffers, unsigned times)
{
	double start = now();

	run(buffers, times);
	return (now() - start) / times;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(const struct figure *figure)
{
	double ours[ROUNDS], theirs[ROUNDS];

	check(vfc_mapcache_open(iommu, NULL, &cache) == 0, "open");
	cached(figure->buffers, 2 * figure->buffers); /* map them, warm up */
	for (int round = 0; round < ROUNDS; round++) {
		ours[round] = measure(cached, figure->buffers, 1000000);
		theirs[round] = measure(figure->theirs, figure->buffers, figure->times);
	}
	check(vfc_mapcache_close(cache) == 0, "close");
	qsort(ours, ROUNDS, sizeof(*ours), compare);
	qsort(theirs, ROUNDS, sizeof(*theirs), compare);
	printf("{\"name\": \"%s\", \"value\": %.2f, \"baseline_value\": %.2f}\n", figure->name,
	       ours[ROUNDS / 2], theirs[ROUNDS / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	check(vfc_device_open("fake:e1000e", NULL, &device) == 0, "device");
	iommu = vfc_device_iommu(device);
	memory = mmap(NULL, BUFFERS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED, "memory");
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		if (argc < 2 || !strcmp(argv[1], figures[i].name))
			run(&figures[i]);
	check(vfc_device_close(device) == 0, "close");
	return sum == 0;
}
