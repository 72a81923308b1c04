/* SPDX-License-Identifier: MIT */
/* Memory of files, of other devices and of other spaces; huge pages. */
#include <fcntl.h>
#include <unistd.h>

#include "iommu/space.h"
#include "kernel/sys.h"
#include "space_test.h"

#define LENGTH (4 * PAGE)

static struct vfc_device *device;
static struct vfc_iommu *iommu;

static int memfd(uint64_t length)
{
	int fd = sys_memfd("test", length);

	CHECK(fd >= 0);
	return fd;
}

/* The file's memory is what devices reach, at the offset that was asked for, without its descriptor. */
static void a_file(void)
{
	struct vfc_mapping found;
	uint64_t iova = 0;
	char text[4] = "";
	int fd = memfd(LENGTH), other = dup(fd);

	CHECK_EQ(vfc_iommu_map_file(iommu, fd, PAGE, 2 * PAGE, &iova, NULL), 0);
	close(fd);
	CHECK_EQ(vfc_iommu_find_iova(iommu, iova, &found), 0);
	CHECK(!found.va);
	CHECK_EQ(found.length, 2 * PAGE);
	CHECK(dma_write(device, iova + PAGE, "abc", 3));
	CHECK_EQ(pread(other, text, 3, 2 * PAGE), 3);
	CHECK(!strcmp(text, "abc"));
	CHECK_EQ(pwrite(other, "xyz", 3, PAGE), 3);
	CHECK(dma_read(device, iova, text, 3));
	CHECK(!strcmp(text, "xyz"));
	CHECK(!dma_write(device, iova + 2 * PAGE, "a", 1));
	/* It has no address, so none leads to it. */
	for (uintptr_t va = 0; va < 3 * PAGE; va += PAGE)
		CHECK_EQ(vfc_iommu_find_va(iommu, (void *)va, &found), -ENOENT);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, 2 * PAGE), 0);
	CHECK_EQ(live(device), 0);
	close(other);
}

static void two_files(void)
{
	uint64_t first = 0, second = 0;
	int fd = memfd(LENGTH);

	CHECK_EQ(vfc_iommu_map_file(iommu, fd, 0, LENGTH, &first, NULL), 0);
	CHECK_EQ(vfc_iommu_map_file(iommu, fd, 0, LENGTH, &second, NULL), 0);
	CHECK_EQ(live(device), 2);
	CHECK_EQ(vfc_iommu_unmap(iommu, first, LENGTH), 0);
	CHECK(dma_write(device, second, "a", 1));
	CHECK_EQ(vfc_iommu_unmap_all(iommu), LENGTH);
	close(fd);
}

static void bad_files(void)
{
	struct vfc_map_opts identity = {.size = sizeof(identity), .flags = VFC_MAP_IDENTITY};
	uint64_t iova = 0;
	int fd = memfd(LENGTH), event = sys_eventfd(), reading;
	char path[64];

	refused(vfc_iommu_map_file(iommu, fd, 0, 0, &iova, NULL), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_map_file(iommu, fd, 1, PAGE, &iova, NULL), EINVAL, VFC_REASON_ALIGNMENT);
	refused(vfc_iommu_map_file(iommu, fd, 0, 100, &iova, NULL), EINVAL, VFC_REASON_ALIGNMENT);
	refused(vfc_iommu_map_file(iommu, fd, -PAGE, 2 * PAGE, &iova, NULL), EINVAL,
		VFC_REASON_BAD_MEMORY);
	refused(vfc_iommu_map_file(iommu, fd, 0, LENGTH, &iova, &identity), EINVAL,
		VFC_REASON_ARGUMENT);
	refused(vfc_iommu_map_file(iommu, -1, 0, PAGE, &iova, NULL), EBADF, VFC_REASON_BAD_MEMORY);
	refused(vfc_iommu_map_file(iommu, fd, LENGTH, PAGE, &iova, NULL), EFAULT,
		VFC_REASON_BAD_MEMORY);
	CHECK(event >= 0);
	refused(vfc_iommu_map_file(iommu, event, 0, PAGE, &iova, NULL), EOPNOTSUPP,
		VFC_REASON_BAD_MEMORY);
	/* What is open for reading only cannot be written by a device. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reading = open(path, O_RDONLY);
	CHECK(reading >= 0);
	refused(vfc_iommu_map_file(iommu, reading, 0, LENGTH, &iova, NULL), EACCES,
		VFC_REASON_BAD_MEMORY);
	CHECK(strstr(vfc_error_last()->hint, "for writing"));
	identity.flags = VFC_MAP_READ;
	CHECK_EQ(vfc_iommu_map_file(iommu, reading, 0, LENGTH, &iova, &identity), 0);
	CHECK(!dma_write(device, iova, "a", 1));
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, LENGTH), 0);
	CHECK_EQ(live(device), 0);
	close(reading);
	close(event);
	close(fd);
}

/* Into the other device's BAR: the model's BAR 1 is memory. */
static void a_region(void)
{
	struct vfc_map_opts identity = {.size = sizeof(identity), .flags = VFC_MAP_IDENTITY};
	struct vfc_device *peer = open_in(NULL);
	uint64_t iova = 0, value;

	CHECK_EQ(vfc_iommu_map_region(iommu, peer, 1, PAGE, 2 * PAGE, &iova, NULL), 0);
	CHECK(dma_write(device, iova + 8, "\x78\x56\x34\x12", 4));
	CHECK_EQ(vfc_region_read(peer, 1, PAGE + 8, 4, &value), 0);
	CHECK_EQ(value, 0x12345678);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, 2 * PAGE), 0);

	refused(vfc_iommu_map_region(iommu, peer, 1, 0, 0, &iova, NULL), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_map_region(iommu, peer, 1, 8, PAGE, &iova, NULL), EINVAL,
		VFC_REASON_ALIGNMENT);
	refused(vfc_iommu_map_region(iommu, peer, 1, 0x20000, PAGE, &iova, NULL), EINVAL,
		VFC_REASON_RANGE);
	refused(vfc_iommu_map_region(iommu, peer, 4, 0, PAGE, &iova, NULL), EINVAL, VFC_REASON_RANGE);
	refused(vfc_iommu_map_region(iommu, peer, 99, 0, PAGE, &iova, NULL), EINVAL,
		VFC_REASON_RANGE);
	refused(vfc_iommu_map_region(iommu, peer, VFC_REGION_CONFIG, 0, PAGE, &iova, NULL),
		EOPNOTSUPP, VFC_REASON_UNSUPPORTED);
	/* The page with the MSI-X table cannot be mapped, the one beside it can. */
	refused(vfc_iommu_map_region(iommu, peer, 3, 0, PAGE, &iova, NULL), EOPNOTSUPP,
		VFC_REASON_UNSUPPORTED);
	CHECK_EQ(vfc_iommu_map_region(iommu, peer, 3, PAGE, PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);
	refused(vfc_iommu_map_region(iommu, peer, 1, 0, PAGE, &iova, &identity), EINVAL,
		VFC_REASON_ARGUMENT);
	CHECK_EQ(live(device), 0);
	CHECK_EQ(vfc_device_close(peer), 0);
}

static int unmap_fails(struct transport_space *space, uint64_t iova_, uint64_t length)
{
	(void)space;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.iova = iova_, .length = length), "as told");
}

/* Other devices reach a BAR for as long as its own device is open, in whatever space they are. */
static void a_region_whose_device_leaves(int (*leaves)(struct vfc_device *))
{
	struct vfc_iommu *beside = open_space(NULL), *closed = open_space(NULL);
	struct vfc_device *peer = open_in(NULL), *near = open_in(vfc_device_iommu(peer));
	struct vfc_device *third = open_in(beside), *gone = open_in(closed);
	const struct transport *real = beside->ops;
	struct transport deaf = *real;
	uint8_t *memory = get_memory(PAGE);
	uint64_t iova = 0, mine = 0, other = 0, last = 0;
	volatile void *bar;

	/* This space is closed before the device is. */
	CHECK_EQ(vfc_iommu_map_region(closed, peer, 1, 0, PAGE, &last, NULL), 0);
	CHECK_EQ(vfc_device_close(gone) | vfc_iommu_close(closed), 0);

	CHECK_EQ(vfc_iommu_map_region(iommu, peer, 1, PAGE, 2 * PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_map_region(iommu, peer, 1, 0, PAGE, &last, NULL), 0);
	CHECK_EQ(vfc_iommu_map_region(beside, peer, 3, PAGE, PAGE, &other, NULL), 0);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &mine, NULL), 0);
	if (leaves == vfc_device_release) { /* by hand, which only a release asks for */
		CHECK_EQ(vfc_region_map(peer, 1, 0, PAGE, &bar), 0);
		last = 0;
		CHECK_EQ(vfc_iommu_map(vfc_device_iommu(peer), (void *)(uintptr_t)bar, PAGE, &last, NULL), 0);
		deaf.unmap = unmap_fails;
		beside->ops = &deaf;
		CHECK_EQ(vfc_device_release(peer), -EIO);
		beside->ops = real;
		CHECK(dma_write(third, other, "a", 1));
	}
	CHECK_EQ(vfc_device_close(leaves == vfc_device_close ? near : NULL), 0);
	CHECK_EQ(leaves(peer), 0);
	CHECK(!dma_write(device, iova, "a", 1));
	CHECK(!dma_write(third, other, "a", 1));
	CHECK(dma_write(device, mine, "a", 1));
	CHECK_EQ(live(third), 0);
	CHECK_EQ(live(device), 1);
	refused(vfc_iommu_unmap(iommu, iova, 2 * PAGE), ENOENT, VFC_REASON_IOVA);
	if (leaves == vfc_device_release) {
		CHECK_EQ(live(near), 0);
		CHECK_EQ(vfc_device_close(near) | vfc_device_close(peer), 0);
	}
	CHECK_EQ(vfc_iommu_unmap(iommu, mine, PAGE), 0);
	CHECK_EQ(vfc_device_close(third) | vfc_iommu_close(beside) | munmap(memory, PAGE), 0);
}

static void copies(struct vfc_iommu *to)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_device *there = open_in(to);
	uint8_t *memory = get_memory(LENGTH);
	uint64_t source = 0, iova = 0;
	struct vfc_mapping found;
	int fd = memfd(PAGE);

	CHECK_EQ(vfc_iommu_map(iommu, memory, LENGTH, &source, NULL), 0);
	CHECK_EQ(vfc_iommu_copy(to, iommu, source + PAGE, 2 * PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_find_iova(to, iova, &found), 0);
	CHECK(found.va == memory + PAGE && found.length == 2 * PAGE);
	CHECK(dma_write(there, iova, "a", 1));
	CHECK_EQ(memory[PAGE], 'a');
	CHECK(!dma_write(there, iova + 2 * PAGE, "a", 1));
	/* It stays when its source goes. */
	refused(vfc_iommu_copy(to, iommu, source, LENGTH + PAGE, &iova, NULL), EINVAL,
		VFC_REASON_IOVA);
	refused(vfc_iommu_copy(to, iommu, source + PAGE, LENGTH, &iova, NULL), EINVAL,
		VFC_REASON_IOVA);
	refused(vfc_iommu_copy(to, iommu, source, 0, &iova, NULL), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_copy(to, iommu, source + 1, PAGE, &iova, NULL), EINVAL,
		VFC_REASON_ALIGNMENT);
	fixed.flags = VFC_MAP_IDENTITY;
	refused(vfc_iommu_copy(to, iommu, source, PAGE, &iova, &fixed), EINVAL, VFC_REASON_ARGUMENT);
	fixed.flags = VFC_MAP_FIXED;
	refused(vfc_iommu_copy(to, iommu, source, PAGE, &iova, &fixed), EEXIST, VFC_REASON_IOVA);
	CHECK_EQ(vfc_iommu_unmap(iommu, source, LENGTH), 0);
	refused(vfc_iommu_copy(to, iommu, source, PAGE, &iova, NULL), ENOENT, VFC_REASON_IOVA);
	CHECK(dma_write(there, iova, "b", 1));
	CHECK_EQ(live(there), 1);
	CHECK_EQ(vfc_iommu_unmap(to, iova, 2 * PAGE), 0);

	CHECK_EQ(vfc_iommu_map_file(iommu, fd, 0, PAGE, &source, NULL), 0);
	refused(vfc_iommu_copy(to, iommu, source, PAGE, &iova, NULL), EOPNOTSUPP,
		VFC_REASON_UNSUPPORTED);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
	CHECK_EQ(vfc_device_close(there), 0);
	CHECK_EQ(vfc_iommu_close(to), 0);
	CHECK_EQ(munmap(memory, LENGTH), 0);
	close(fd);
}

/* NULL is no file. */
static void nowhere(void)
{
	struct vfc_mapping vector = {.length = PAGE};
	uint64_t iova = 0;

	refused(vfc_iommu_map(iommu, NULL, PAGE, &iova, NULL), EFAULT, VFC_REASON_BAD_MEMORY);
	refused(vfc_iommu_map_batch(iommu, &vector, 1, NULL), EFAULT, VFC_REASON_BAD_MEMORY);
}

/* As if nothing translated: what went wrong first is what is told. */
static void physical(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .page = PAGE};
	const struct transport *real = iommu->ops;
	struct transport deaf = *real;
	uint8_t *memory = get_memory(PAGE);
	uint64_t at = PAGE;
	struct vfc_dma dma;
	int rc;

	iommu->physical = true;
	refused(vfc_dma_alloc(iommu, UINT64_C(1) << 60, &opts, &dma), ENOMEM, VFC_REASON_NONE);
	CHECK_EQ(vfc_error_last()->length, UINT64_C(1) << 60);
	opts.page = 0; /* of so many huge pages there are too few, or none at all */
	rc = vfc_dma_alloc(iommu, UINT64_C(1) << 60, &opts, &dma);
	CHECK(rc < 0);
	CHECK_EQ(vfc_error_last()->code, -rc);

	/* The model maps where it is told; that is not aligned as it should be. */
	opts.align = UINT64_C(1) << 40;
	deaf.unmap = unmap_fails;
	iommu->ops = &deaf;
	refused(vfc_iommu_map(iommu, memory, PAGE, &at, &opts), ENOSPC, VFC_REASON_OUT_OF_IOVA);
	iommu->ops = real;
	CHECK_EQ(real->unmap(iommu->space, at, PAGE), 0);
	iommu->physical = false;
	CHECK_EQ(munmap(memory, PAGE), 0);
	CHECK_EQ(live(device), 0);
}

/* Whatever this machine has of them: what was taken is told, and the IOVA is aligned to it. */
static void huge_pages(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts)};
	const uint64_t sizes[] = {UINT64_C(2) << 20, UINT64_C(1) << 30};
	struct vfc_dma dma;

	for (size_t i = 0; i < 2; i++) {
		opts.page = sizes[i];
		CHECK_EQ(vfc_dma_alloc(iommu, 3 * PAGE, &opts, &dma), 0);
		CHECK(dma.page <= sizes[i]);
		CHECK_EQ(dma.iova % dma.page, 0);
		CHECK_EQ(dma.length, dma.page > PAGE ? dma.page : 3 * PAGE);
		if (dma.page < sizes[i]) { /* no failure, but told */
			CHECK_EQ(vfc_error_last()->code, ENOMEM);
			CHECK(strstr(vfc_error_last()->hint, "nr_hugepages"));
		}
		CHECK_EQ(vfc_dma_free(&dma), 0);
	}
	for (uint64_t page = 1; page; page <<= 1) {
		if (page == PAGE || page == sizes[0] || page == sizes[1])
			continue;
		opts.page = page;
		refused(vfc_dma_alloc(iommu, PAGE, &opts, &dma), EINVAL, VFC_REASON_ARGUMENT);
	}
	opts.page = PAGE;
	CHECK_EQ(vfc_dma_alloc(iommu, PAGE, &opts, &dma), 0);
	CHECK_EQ(dma.page, PAGE);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	refused(vfc_dma_alloc(iommu, UINT64_MAX, NULL, &dma), ENOMEM, VFC_REASON_NONE);
	refused(vfc_dma_alloc(iommu, UINT64_C(1) << 60, NULL, &dma), ENOMEM, VFC_REASON_NONE);
	CHECK_EQ(live(device), 0);
}

int main(void)
{
	device = open_in(NULL);
	iommu = vfc_device_iommu(device);
	a_file();
	two_files();
	bad_files();
	a_region();
	a_region_whose_device_leaves(vfc_device_close);
	a_region_whose_device_leaves(vfc_device_release);
	copies(open_space(iommu)); /* that shares what an iommufd is to real ones */
	copies(open_space(NULL));
	huge_pages();
	nowhere();
	physical();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
