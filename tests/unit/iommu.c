/* SPDX-License-Identifier: MIT */
/* Mapping rules on the fake transport: what is refused, with which record, and that nothing leaks. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfiocore.h>

#include "test.h"

#define PAGE UINT64_C(4096)

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static uint8_t *memory;

static uint64_t mappings(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	uint64_t fake;

	CHECK_EQ(vfc_iommu_info(iommu, &info), 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &fake), 0);
	CHECK_EQ(info.mappings, fake); /* our books and the kernel's side agree */
	return info.mappings;
}

/* @rc failed with this errno and reason, and changed nothing. */
static void refused(int rc, int code, enum vfc_reason reason, uint64_t before)
{
	CHECK_EQ(rc, -code);
	CHECK_EQ(vfc_error_last()->code, code);
	CHECK_EQ(vfc_error_last()->reason, reason);
	CHECK(vfc_error_last()->hint[0]);
	CHECK_EQ(mappings(), before);
}

static int map_at(void *va, uint64_t length, uint64_t iova)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};

	return vfc_iommu_map(iommu, va, length, &opts, &iova);
}

static void map_and_find(void)
{
	struct vfc_mapping found;
	uint64_t iova = 0;

	CHECK_EQ(vfc_iommu_map(iommu, memory, 4 * PAGE, NULL, &iova), 0);
	CHECK(iova != 0);
	CHECK_EQ(iova % (4 * PAGE), 0); /* natural alignment */
	CHECK_EQ(vfc_iommu_find_iova(iommu, iova + 2 * PAGE + 1, &found), 0);
	CHECK(found.va == memory && found.length == 4 * PAGE);
	CHECK_EQ(found.flags, VFC_MAP_READ | VFC_MAP_WRITE);
	CHECK_EQ(vfc_iommu_find_va(iommu, memory + 4 * PAGE - 1, &found), 0);
	CHECK_EQ(found.iova, iova);
	CHECK_EQ(vfc_iommu_find_va(iommu, memory + 4 * PAGE, &found), -ENOENT);
	CHECK_EQ(vfc_iommu_find_iova(iommu, iova + 4 * PAGE, &found), -ENOENT);

	refused(vfc_iommu_unmap(iommu, iova, PAGE), EINVAL, VFC_REASON_IOVA, 1);
	refused(vfc_iommu_unmap(iommu, iova + PAGE, 3 * PAGE), EINVAL, VFC_REASON_IOVA, 1);
	refused(vfc_iommu_unmap(iommu, iova + 4 * PAGE, PAGE), ENOENT, VFC_REASON_IOVA, 1);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, 4 * PAGE), 0);
	CHECK_EQ(mappings(), 0);
}

static void bad_memory(void)
{
	uint64_t iova = 0;
	void *hole = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(hole != MAP_FAILED);
	CHECK_EQ(munmap(hole, PAGE), 0);
	refused(vfc_iommu_map(iommu, memory, 0, NULL, &iova), EINVAL, VFC_REASON_ARGUMENT, 0);
	refused(vfc_iommu_map(iommu, memory + 1, PAGE, NULL, &iova), EINVAL, VFC_REASON_ALIGNMENT, 0);
	refused(vfc_iommu_map(iommu, memory, PAGE + 1, NULL, &iova), EINVAL, VFC_REASON_ALIGNMENT, 0);
	refused(vfc_iommu_map(iommu, hole, PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY, 0);
	refused(vfc_iommu_map(iommu, (void *)-PAGE, 2 * PAGE, NULL, &iova), EINVAL,
		VFC_REASON_BAD_MEMORY, 0);
}

static void bad_iova(void)
{
	uint64_t iova = 0;

	CHECK_EQ(map_at(memory, PAGE, 0x10000), 0);
	refused(map_at(memory, PAGE, 0x10000), EEXIST, VFC_REASON_IOVA, 1);
	refused(map_at(memory, 2 * PAGE, 0xf000), EEXIST, VFC_REASON_IOVA, 1);
	refused(map_at(memory, PAGE, 0x10001), EINVAL, VFC_REASON_ALIGNMENT, 1);
	refused(map_at(memory, PAGE, 0xfee00000), EINVAL, VFC_REASON_IOVA, 1);
	CHECK(strstr(vfc_error_last()->hint, "0xfedfffff"));
	refused(map_at(memory, 2 * PAGE, 0xfedff000), EINVAL, VFC_REASON_IOVA, 1);
	refused(map_at(memory, PAGE, UINT64_C(1) << 39), EINVAL, VFC_REASON_IOVA, 1);
	refused(map_at(memory, PAGE, UINT64_MAX - PAGE + 1), EINVAL, VFC_REASON_IOVA, 1);
	CHECK_EQ(map_at(memory, PAGE, 0), 0); /* on request only */
	CHECK_EQ(map_at(memory, PAGE, (UINT64_C(1) << 39) - PAGE), 0);
	CHECK_EQ(map_at(memory, PAGE, 0xfedff000), 0);
	CHECK_EQ(map_at(memory, PAGE, 0xfef00000), 0);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 5 * PAGE);
	CHECK_EQ(mappings(), 0);
	(void)iova;
}

static void highest_address(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .highest = 4 * PAGE - 1, .align = PAGE};
	uint64_t iova = 0;

	for (int i = 0; i < 3; i++) { /* pages 1 to 3: page 0 is never given out */
		CHECK_EQ(vfc_iommu_map(iommu, memory + i * PAGE, PAGE, &opts, &iova), 0);
		CHECK(iova > 0 && iova + PAGE - 1 <= opts.highest);
	}
	refused(vfc_iommu_map(iommu, memory + 3 * PAGE, PAGE, &opts, &iova), ENOSPC,
		VFC_REASON_OUT_OF_IOVA, 3);
	opts.align = 3;
	refused(vfc_iommu_map(iommu, memory + 3 * PAGE, PAGE, &opts, &iova), EINVAL,
		VFC_REASON_ALIGNMENT, 3);
	/* With a place that was asked for they hold, too. */
	opts = (struct vfc_map_opts){.size = sizeof(opts), .flags = VFC_MAP_FIXED, .align = 2 * PAGE,
				     .highest = 9 * PAGE - 1};
	iova = 7 * PAGE;
	refused(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), EINVAL, VFC_REASON_ALIGNMENT, 3);
	iova = 8 * PAGE;
	refused(vfc_iommu_map(iommu, memory, 2 * PAGE, &opts, &iova), EINVAL, VFC_REASON_IOVA, 3);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), 0);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 4 * PAGE);
}

static int map_guarded(void *va, uint64_t iova, uint64_t guard)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED, .guard = guard};

	return vfc_iommu_map(iommu, va, PAGE, &opts, &iova);
}

static void guards(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .guard = PAGE + 1, .highest = 6 * PAGE - 1};
	uint64_t iova = 0, first;

	/* Pages 1 and 4: two pages of guard each, after rounding, and they overlap. */
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts, &first), 0);
	CHECK_EQ(first, PAGE);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), 0);
	CHECK_EQ(iova, 4 * PAGE);
	refused(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), ENOSPC, VFC_REASON_OUT_OF_IOVA, 2);
	refused(map_at(memory, PAGE, 2 * PAGE), EEXIST, VFC_REASON_IOVA, 2);
	CHECK(strstr(vfc_error_last()->hint, "guard"));
	refused(map_at(memory, PAGE, 4 * PAGE), EEXIST, VFC_REASON_IOVA, 2);
	CHECK(!strstr(vfc_error_last()->hint, "guard"));
	refused(map_guarded(memory, 9 * PAGE, 5 * PAGE), EEXIST, VFC_REASON_IOVA, 2);
	CHECK(strstr(vfc_error_last()->hint, "0x4000-0x4fff"));
	refused(map_guarded(memory, 9 * PAGE, UINT64_C(1) << 44), EINVAL, VFC_REASON_ARGUMENT, 2);
	CHECK_EQ(vfc_iommu_unmap(iommu, first, PAGE), 0);
	CHECK_EQ(map_at(memory, PAGE, PAGE), 0);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 2 * PAGE);
}

static void limits(void)
{
	uint64_t iova = 0, left = 4;

	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, left), 0);
	for (uint64_t i = 0; i < left; i++)
		CHECK_EQ(vfc_iommu_map(iommu, memory + i * PAGE, PAGE, NULL, &iova), 0);
	refused(vfc_iommu_map(iommu, memory + left * PAGE, PAGE, NULL, &iova), ENOSPC,
		VFC_REASON_ENTRY_LIMIT, left);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova), 0); /* recovers */
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 65535), 0);

	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, 5 * PAGE), 0);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova), 0);
	refused(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova), ENOMEM, VFC_REASON_MEMLOCK, 5);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, UINT64_MAX), 0);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 5 * PAGE);
}

/* IOVA = address: with 39 bits only where the memory lies low enough, else with the reason. */
static void identity(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_IDENTITY};
	void *low = mmap((void *)UINT64_C(0x50000000), PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint64_t iova = 0;

	CHECK(low == (void *)UINT64_C(0x50000000));
	CHECK_EQ(vfc_iommu_map(iommu, low, PAGE, &opts, &iova), 0);
	CHECK_EQ(iova, (uintptr_t)low);
	refused(vfc_iommu_map(iommu, low, PAGE, &opts, &iova), EEXIST, VFC_REASON_IOVA, 1);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);
	opts.highest = 0xfffffff;
	refused(vfc_iommu_map(iommu, low, PAGE, &opts, &iova), EINVAL, VFC_REASON_IOVA, 0);
	opts.highest = 0;
	CHECK((uintptr_t)memory >> 39);
	refused(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), EINVAL, VFC_REASON_IOVA, 0);
	CHECK(strstr(vfc_error_last()->hint, "0xfef00000-0x7fffffffff"));
	opts.flags |= 16;
	refused(vfc_iommu_map(iommu, low, PAGE, &opts, &iova), EINVAL, VFC_REASON_ARGUMENT, 0);
	CHECK_EQ(munmap(low, PAGE), 0);
}

#define LARGE ((UINT64_C(2) * 64 << 20) + PAGE)

struct told {
	uint64_t at[4];
	int times, stop_at;
	bool try_others;
};

/* Called with no lock held: the mapping is there already, but not to be taken back yet. */
static int progress(void *argument, uint64_t done, uint64_t length)
{
	struct told *told = argument;
	uint64_t iova = 0;

	CHECK_EQ(length, LARGE);
	CHECK(told->times < 4);
	told->at[told->times++] = done;
	if (told->try_others) {
		struct vfc_iommu_info info = {.size = sizeof(info)};
		struct vfc_mapping first;

		CHECK_EQ(vfc_iommu_info(iommu, &info), 0);
		CHECK_EQ(info.mappings, 1);
		CHECK_EQ(vfc_iommu_find_iova(iommu, 0x40000000, &first), 0);
		CHECK_EQ(vfc_iommu_unmap(iommu, 0x40000000, LARGE), -EBUSY);
		CHECK_EQ(vfc_iommu_unmap_all(iommu), -EBUSY);
		CHECK_EQ(map_at(memory, PAGE, 0x40000000 + LARGE - PAGE), -EEXIST);
		CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova), 0);
		CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);
	}
	return told->times == told->stop_at;
}

/* Stopped after any piece, the last one too, nothing is left. */
static void in_pieces(void)
{
	struct told told = {.try_others = true};
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED | VFC_MAP_READ,
				    .progress = progress, .progress_argument = &told};
	/* To be read only, or 128 MiB would be needed behind it. */
	uint8_t *large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t iova = 0x40000000, entries;

	CHECK(large != MAP_FAILED);
	CHECK_EQ(vfc_iommu_map(iommu, large, LARGE, &opts, &iova), 0);
	CHECK_EQ(told.times, 3);
	CHECK_EQ(told.at[0], UINT64_C(64) << 20);
	CHECK_EQ(told.at[1], LARGE - PAGE);
	CHECK_EQ(told.at[2], LARGE);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &entries), 0);
	CHECK_EQ(entries, 3);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, LARGE), 0);
	CHECK_EQ(mappings(), 0);
	for (int stop = 1; stop <= 3; stop++) {
		told = (struct told){.stop_at = stop};
		refused(vfc_iommu_map(iommu, large, LARGE, &opts, &iova), ECANCELED, VFC_REASON_NONE, 0);
		CHECK_EQ(told.times, stop);
	}
	/* The second piece is not there. */
	CHECK_EQ(munmap(large + (UINT64_C(64) << 20), PAGE), 0);
	told = (struct told){0};
	refused(vfc_iommu_map(iommu, large, LARGE, &opts, &iova), EFAULT, VFC_REASON_BAD_MEMORY, 0);
	CHECK_EQ(told.times, 1);
	CHECK_EQ(munmap(large, LARGE), 0);
}

/* 512 live mappings, so that the table grows, unmapped in another order. */
static void many(void)
{
	static uint64_t iova[512];

	for (size_t i = 0; i < 512; i++)
		CHECK_EQ(vfc_iommu_map(iommu, memory + i % 8 * PAGE, PAGE, NULL, &iova[i]), 0);
	CHECK_EQ(mappings(), 512);
	for (size_t i = 0; i < 512; i++)
		CHECK_EQ(vfc_iommu_unmap(iommu, iova[i * 7 % 512], PAGE), 0);
	CHECK_EQ(mappings(), 0);
}

static void shared_space(void)
{
	struct vfc_iommu_opts options = {.size = sizeof(options), .transport = "fake"};
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *first, *second;
	uint64_t iova = 0;

	CHECK_EQ(vfc_iommu_open(&options, &in.iommu), 0);
	CHECK_EQ(vfc_iommu_map(in.iommu, memory, PAGE, NULL, &iova), -ENODEV); /* no device yet */
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &first), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	CHECK(vfc_device_iommu(first) == vfc_device_iommu(second));
	CHECK_EQ(vfc_iommu_map(in.iommu, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_close(in.iommu), -EBUSY);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_iommu_unmap(in.iommu, iova, PAGE), 0);
	CHECK_EQ(vfc_iommu_map(in.iommu, memory, PAGE, NULL, &iova), -ENODEV); /* no more device */
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DEVICE);
	CHECK_EQ(vfc_iommu_close(in.iommu), 0);
}

/* A device's own space goes with it, so nobody else may be in there then. */
static void guest_in_an_own_space(void)
{
	struct vfc_device_opts in = {.size = sizeof(in), .iommu = iommu};
	struct vfc_device *second;

	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BUSY);
	CHECK_EQ(vfc_device_close(second), 0);
}

/* "Unmap everything" takes buffers along, and one may be where another was: each is freed still. */
static void buffers_unmapped(void)
{
	struct vfc_dma first, second;
	uint64_t at;

	CHECK_EQ(vfc_dma_alloc(iommu, PAGE, NULL, &first), 0);
	CHECK_EQ(vfc_dma_alloc(iommu, PAGE, NULL, &second), 0);
	at = second.iova;
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 2 * PAGE);
	CHECK_EQ(vfc_dma_free(&first), 0);
	CHECK_EQ(map_at(memory, PAGE, at), 0);
	CHECK_EQ(vfc_dma_free(&second), 0);
	CHECK_EQ(mappings(), 1);
	CHECK_EQ(vfc_iommu_unmap(iommu, at, PAGE), 0);
}

static void buffers(void)
{
	struct vfc_pool pool;
	struct vfc_dma dma;
	int32_t chunk;

	CHECK_EQ(vfc_dma_alloc(iommu, 5000, NULL, &dma), 0);
	CHECK_EQ(dma.length, 2 * PAGE);
	CHECK(((uint8_t *)dma.va)[4999] == 0);
	CHECK_EQ(vfc_device_close(device), -EBUSY); /* a device may still write there */
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_dma_free(&dma), 0); /* of a zeroed one */
	CHECK_EQ(vfc_dma_alloc(iommu, 0, NULL, &dma), -EINVAL);

	CHECK_EQ(vfc_pool_init(&pool, iommu, 100, 4), -EINVAL);
	CHECK_EQ(vfc_pool_init(&pool, iommu, 64, UINT32_C(1) << 31), -EINVAL);
	CHECK_EQ(vfc_pool_init(&pool, iommu, 0xffffffc0, UINT32_MAX), -EINVAL); /* 2^64 bytes and more */
	CHECK_EQ(vfc_pool_init(&pool, iommu, 2048, 4), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(vfc_pool_get(&pool), i * 2048 / VFC_POOL_UNIT);
	CHECK_EQ(vfc_pool_get(&pool), -1);
	vfc_pool_put(&pool, 64);
	chunk = vfc_pool_get(&pool);
	CHECK_EQ(chunk, 64);
	CHECK(vfc_pool_iova(&pool, 64) == pool.memory.iova + 4096);
	CHECK(vfc_pool_va(&pool, 64) == (uint8_t *)pool.memory.va + 4096);
	CHECK(vfc_pool_has(&pool, 96) && !vfc_pool_has(&pool, 97)); /* all of a chunk is within */
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
	CHECK_EQ(mappings(), 0);
}

/* Where huge pages can be, and where the IOMMU's can be as large; what was too much is given back. */
static void large_buffers(void)
{
	const uint64_t large = UINT64_C(2) << 20;
	struct vfc_dma dma;

	CHECK_EQ(vfc_dma_alloc(iommu, large + PAGE, NULL, &dma), 0);
	CHECK_EQ(dma.length, large + PAGE);
	CHECK_EQ((uintptr_t)dma.va % large, 0);
	CHECK_EQ(dma.iova % large, 0);
	((volatile uint8_t *)dma.va)[large] = 1;
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_dma_alloc(iommu, UINT64_MAX - PAGE, NULL, &dma), -ENOMEM);
}

static void the_model_has_no_descriptors(void)
{
	struct vfc_iommu_opts fake = {.size = sizeof(fake), .transport = "fake"}, wrong = {.size = 1};
	struct vfc_device_opts in = {.size = sizeof(in), .iommu = iommu};
	struct vfc_device *none;
	struct vfc_iommu *space;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	refused(vfc_iommu_adopt(fd, NULL, &space), EINVAL, VFC_REASON_ARGUMENT, 0);
	refused(vfc_iommu_adopt(fd, &fake, &space), EINVAL, VFC_REASON_ARGUMENT, 0);
	refused(vfc_iommu_adopt(fd, &wrong, &space), EINVAL, VFC_REASON_ARGUMENT, 0);
	refused(vfc_iommu_adopt(-1, NULL, &space), EBADF, VFC_REASON_ARGUMENT, 0);
	refused(vfc_device_adopt(fd, "0000:01:00.0", &in, &none), EINVAL, VFC_REASON_ARGUMENT, 0);
	refused(vfc_device_adopt(fd, NULL, NULL, &none), EINVAL, VFC_REASON_ARGUMENT, 0);
	CHECK_EQ(close(fd), 0);
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	map_and_find();
	bad_memory();
	bad_iova();
	highest_address();
	guards();
	limits();
	identity();
	in_pieces();
	many();
	shared_space();
	guest_in_an_own_space();
	buffers();
	large_buffers();
	buffers_unmapped();
	the_model_has_no_descriptors();
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(memory, 16 * PAGE), 0);
	return 0;
}
