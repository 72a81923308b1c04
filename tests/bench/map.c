/* SPDX-License-Identifier: MIT */
/*
 * What the library adds to a mapping: its map and unmap against the bare ioctls, on the same
 * descriptor, of the same memory, in turn. And what a batch saves.
 *
 * bench-map NAME DEVICE TRANSPORT, in a guest of the lab; prints a line of JSON.
 *   4k, 2m            map + unmap of that much, ns; baseline: the ioctls
 *   arena, scattered  100,000 buffers of 4 KiB that follow one another, or do not: one call of
 *                     vfc_iommu_map_batch(), ns a buffer; baseline: vfc_iommu_map() of each
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/iommufd.h"
#include "kernel/uapi.h"

#define PAGE UINT64_C(4096)
#define HUGE (UINT64_C(2) << 20)
#define BUFFERS 100000

/* Far from where the library begins to place its own. */
#define BARE_IOVA (UINT64_C(1) << 36)

static struct vfc_iommu *iommu;
static int descriptor; /* the iommufd, or the container */
static uint32_t ioas;

static void die(const char *what, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *what, ...)
{
	char text[600];
	va_list args;

	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "\n%s\n", text);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The library keeps the container's descriptor to itself, but the kernel knows it. */
static int find_container(void)
{
	for (int fd = 3; fd < 64; fd++) {
		char link[32], target[32];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strcmp(target, "/dev/vfio/vfio"))
			return fd;
	}
	die("no container is open");
}

static void bare_iommufd(void *va, uint64_t length, uint64_t iova)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = length,
		.iova = iova,
	};
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas, .iova = iova, .length = length};

	if (ioctl(descriptor, IOMMU_IOAS_MAP, &map) || ioctl(descriptor, IOMMU_IOAS_UNMAP, &unmap))
		die("IOMMU_IOAS_MAP or _UNMAP: %s", strerror(errno));
}

static void bare_type1(void *va, uint64_t length, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = length,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = length};

	if (ioctl(descriptor, VFIO_IOMMU_MAP_DMA, &map) ||
	    ioctl(descriptor, VFIO_IOMMU_UNMAP_DMA, &unmap))
		die("VFIO_IOMMU_MAP_DMA or _UNMAP_DMA: %s", strerror(errno));
}

static void ours(void *va, uint64_t length)
{
	uint64_t iova = 0;

	if (vfc_iommu_map(iommu, va, length, NULL, &iova) || vfc_iommu_unmap(iommu, iova, length))
		die("vfc_iommu_map");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return times[count / 2];
}

static void *memory(uint64_t length)
{
	uint8_t *p = mmap(NULL, length + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %llu bytes", (unsigned long long)length);
	p += -(uintptr_t)p % HUGE;
	madvise(p, length, MADV_HUGEPAGE);
	memset(p, 1, length);
	return p;
}

/* The bare one goes from IOVA to IOVA, too, as the library does: page tables have to be made. */
static void one(uint64_t length, size_t pairs, bool group)
{
	uint64_t *theirs = calloc(pairs, sizeof(*theirs)), *mine = calloc(pairs, sizeof(*mine));
	void *va = memory(length);

	if (!theirs || !mine)
		die("no memory");
	for (size_t i = 0; i < pairs; i++) {
		uint64_t iova = BARE_IOVA + (i * length) % (UINT64_C(1) << 32), start, between, end;
		bool first = i % 2;

		start = now();
		if (first)
			ours(va, length);
		else
			(group ? bare_type1 : bare_iommufd)(va, length, iova);
		between = now();
		if (first)
			(group ? bare_type1 : bare_iommufd)(va, length, iova);
		else
			ours(va, length);
		end = now();
		mine[i] = first ? between - start : end - between;
		theirs[i] = first ? end - between : between - start;
	}
	printf("{\"value\": %llu, \"baseline_value\": %llu}\n",
	       (unsigned long long)median(mine, pairs), (unsigned long long)median(theirs, pairs));
	free(theirs);
	free(mine);
}

static void shuffle(struct vfc_mapping *vector)
{
	uint64_t state = 88172645463325252;

	for (size_t i = BUFFERS - 1; i; i--) {
		struct vfc_mapping swap = vector[i];
		size_t other;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		other = state % (i + 1);
		vector[i] = vector[other];
		vector[other] = swap;
	}
}

static uint64_t one_by_one(struct vfc_mapping *vector)
{
	uint64_t start = now(), end;

	for (size_t i = 0; i < BUFFERS; i++)
		if (vfc_iommu_map(iommu, vector[i].va, vector[i].length, NULL, &vector[i].iova))
			die("vfc_iommu_map");
	end = now();
	if (vfc_iommu_unmap_all(iommu) < 0)
		die("vfc_iommu_unmap_all");
	return end - start;
}

static uint64_t at_once(struct vfc_mapping *vector)
{
	uint64_t start = now(), end;

	if (vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL))
		die("vfc_iommu_map_batch");
	end = now();
	if (vfc_iommu_unmap_batch(iommu, vector, BUFFERS))
		die("vfc_iommu_unmap_batch");
	return end - start;
}

static void batch(bool scattered)
{
	enum { ROUNDS = 6 };
	struct vfc_mapping *vector = calloc(BUFFERS, sizeof(*vector));
	uint64_t theirs[ROUNDS], mine[ROUNDS];
	uint8_t *arena = memory(BUFFERS * PAGE);

	if (!vector)
		die("no memory");
	for (size_t i = 0; i < BUFFERS; i++)
		vector[i] = (struct vfc_mapping){.va = arena + i * PAGE, .length = PAGE};
	if (scattered)
		shuffle(vector);
	/* Each as often first. */
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			theirs[i] = one_by_one(vector);
		mine[i] = at_once(vector);
		if (!(i % 2))
			theirs[i] = one_by_one(vector);
	}
	printf("{\"value\": %.1f, \"baseline_value\": %.1f}\n",
	       (double)median(mine, ROUNDS) / BUFFERS, (double)median(theirs, ROUNDS) / BUFFERS);
	free(vector);
}

int main(int argc, char **argv)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *device;
	bool group;

	if (argc != 4) {
		fprintf(stderr, "bench-map 4k|2m|arena|scattered DEVICE group|cdev\n");
		return 2;
	}
	opts.transport = argv[3];
	group = !strcmp(argv[3], "group");
	if (vfc_iommu_open(&opts, &iommu))
		die("vfc_iommu_open");
	in.iommu = iommu;
	if (vfc_device_open(argv[2], &in, &device))
		die("vfc_device_open");
	descriptor = group ? find_container() : vfc_iommu_iommufd(iommu, &ioas);
	if (!strcmp(argv[1], "4k"))
		one(PAGE, 20000, group);
	else if (!strcmp(argv[1], "2m"))
		one(HUGE, 2000, group);
	else
		batch(!strcmp(argv[1], "scattered"));
	vfc_device_close(device);
	vfc_iommu_close(iommu);
	return 0;
}
