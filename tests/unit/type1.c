/* SPDX-License-Identifier: MIT */
/* What is asked of a container of IOMMU type1, and what its answers become. */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t memory[8 * 4096] __attribute__((aligned(4096)));

static struct vfc_iommu *space;
static struct vfc_device *device;

static void start(const char *transport)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	space = open_space(transport);
	device = open_in(space, FIRST);
	mock.log[0] = '\0';
}

static void stop(void)
{
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

static int map(uint64_t pages, uint64_t *iova)
{
	return vfc_iommu_map(space, memory, pages * PAGE, NULL, iova);
}

/* The windows, page sizes and entries that the chain tells, aligned or not. */
static void windows(bool unaligned)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_iova_range ranges[4];

	mock_start();
	mock.unaligned = unaligned;
	mock.entry_limit = 3;
	mock.page_sizes = 0x201000;
	mock.range_count = 2;
	mock.ranges[0] = (struct vfio_iova_range){0, 0xfedfffff};
	mock.ranges[1] = (struct vfio_iova_range){0xfef00000, 0xffffffffffff};
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	space = open_space("group");
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_ranges(space, ranges, 4), 2);
	CHECK_EQ(ranges[0].first, 0);
	CHECK_EQ(ranges[0].last, 0xfedfffff);
	CHECK_EQ(ranges[1].first, 0xfef00000);
	CHECK_EQ(ranges[1].last, 0xffffffffffff);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.page_sizes, 0x201000);
	CHECK_EQ(info.entries_left, 3);
	stop();
}

/* Before Linux 5.4 the kernel tells no windows: all but the last page, and it may refuse. */
static void no_windows(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_iova_range range;

	mock_start();
	mock.no_caps = true;
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	space = open_space("group");
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_ranges(space, &range, 1), 1);
	CHECK_EQ(range.first, 0);
	CHECK_EQ(range.last, UINT64_MAX - PAGE);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.entries_left, UINT64_MAX);
	stop();
}

/* The kernel's answer as a test wants it: what follows the structure, and how much there is. */
static struct {
	uint32_t flags, cap_offset, argsz;
	uint8_t caps[64];
} chain;

static int answer_info(struct mock_file *file, unsigned long request, void *argument)
{
	struct vfio_iommu_type1_info *info = argument;
	uint32_t room;

	if (file->kind != MOCK_CONTAINER || request != VFIO_IOMMU_GET_INFO)
		return MOCK_ASIDE;
	room = info->argsz;
	info->flags = chain.flags;
	info->iova_pgsizes = PAGE;
	info->argsz = chain.argsz;
	info->cap_offset = room < chain.argsz ? 0 : chain.cap_offset;
	if (room >= sizeof(*info) + sizeof(chain.caps))
		memcpy(info + 1, chain.caps, sizeof(chain.caps));
	return 0;
}

static int open_with_chain(uint32_t cap_offset, const void *caps, size_t length)
{
	chain.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	chain.cap_offset = cap_offset;
	chain.argsz = sizeof(struct vfio_iommu_type1_info) + sizeof(chain.caps);
	memset(chain.caps, 0, sizeof(chain.caps));
	memcpy(chain.caps, caps, length);
	return try_open(space, FIRST, &device);
}

#define HEAD ((uint32_t)sizeof(struct vfio_iommu_type1_info))

static void hostile_chains(void)
{
	struct {
		struct vfio_iommu_type1_info_cap_iova_range cap;
		struct vfio_iova_range range;
	} windows = {{{VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0}, 1, 0}, {0, 0xffffff}};
	struct vfio_iommu_type1_info_dma_avail avail = {{VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, 0}, 9};
	struct vfc_iommu_info info = {.size = sizeof(info)};

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	space = open_space("group");
	mock.answer = answer_info;

	/* More ranges than there is room for. */
	windows.cap.nr_iovas = 4;
	REFUSED(open_with_chain(HEAD, &windows, sizeof(windows)), EBADMSG, VFC_REASON_MALFORMED,
		"does not fit into its structure");
	/* The capability itself ends behind the structure. */
	REFUSED(open_with_chain(HEAD + sizeof(chain.caps) - 8, (uint64_t[8]){[7] = 0x10001}, 64), EBADMSG,
		VFC_REASON_MALFORMED, "does not fit into its structure");
	/* A chain that loops, one that leaves, and one that begins in the structure: all of it ends. */
	windows.cap.nr_iovas = 1;
	windows.cap.header.next = HEAD;
	CHECK_EQ(open_with_chain(HEAD, &windows, sizeof(windows)), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	windows.cap.header.next = 0xfffffff0;
	CHECK_EQ(open_with_chain(HEAD, &windows, sizeof(windows)), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(open_with_chain(4, &windows, sizeof(windows)), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	/* An entry limit that is cut off is none, and so is iommufd's "all ones". */
	CHECK_EQ(open_with_chain(HEAD + sizeof(chain.caps) - 8, (uint64_t[8]){[7] = 0x10003}, 64), 0);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.entries_left, UINT64_MAX);
	CHECK_EQ(vfc_device_close(device), 0);
	avail.avail = UINT32_MAX;
	CHECK_EQ(open_with_chain(HEAD, &avail, sizeof(avail)), 0);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.entries_left, UINT64_MAX);
	CHECK_EQ(vfc_device_close(device), 0);
	/* No windows at all: nothing can be mapped, and nothing breaks. */
	windows.cap.header.next = windows.cap.nr_iovas = 0;
	CHECK_EQ(open_with_chain(HEAD, &windows, sizeof(windows)), 0);
	CHECK_EQ(map(1, &(uint64_t){0}), -ENOSPC);
	CHECK_EQ(vfc_device_close(device), 0);
	/* A size that nobody believes: what came is taken as it is. */
	chain.argsz = UINT32_MAX;
	chain.flags = 0;
	CHECK_EQ(try_open(space, FIRST, &device), 0);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.page_sizes, 0x1000);
	CHECK_EQ(vfc_device_close(device), 0);
	/* An IOMMU without a page size. */
	mock.answer = NULL;
	mock.page_sizes = 0;
	REFUSED(try_open(space, FIRST, &device), EBADMSG, VFC_REASON_MALFORMED, "no page size");
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

static void mappings(const char *transport)
{
	uint64_t iova = 0x100000, none = 0;
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED | VFC_MAP_READ};

	start(transport);
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, &fixed, &iova), 0);
	MOCK_EXPECT("map 100000+2000;");
	CHECK_EQ(mock.pinned, 2 * PAGE);
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	MOCK_EXPECT("unmap 100000+2000;");
	CHECK_EQ(mock.pinned, 0);

	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, EEXIST);
	REFUSED(vfc_iommu_map(space, memory, PAGE, &fixed, &iova), EEXIST, VFC_REASON_IOVA,
		"a mapping is there already");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, EINVAL);
	REFUSED(vfc_iommu_map(space, memory, PAGE, &fixed, &iova), EINVAL, VFC_REASON_IOVA,
		"does not take this range");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, ENODEV);
	REFUSED(map(1, &none), ENODEV, VFC_REASON_NONE, "");
	CHECK(!strcmp(vfc_error_last()->call, "VFIO_IOMMU_MAP_DMA"));
	REFUSED(vfc_iommu_map(space, (void *)0x1000, PAGE, NULL, &none), EFAULT, VFC_REASON_BAD_MEMORY,
		"not mapped in this process");

	mock.entry_limit = 0;
	REFUSED(map(1, &none), ENOSPC, VFC_REASON_ENTRY_LIMIT, "takes no more mappings: use fewer");
	mock_write("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "64\n");
	REFUSED(map(1, &none), ENOSPC, VFC_REASON_ENTRY_LIMIT, "no more mappings than 64");
	MOCK_EXPECT("");
	mock.entry_limit = 65535;
	CHECK_EQ(mock.pinned, 0);
	stop();
}

/* What the limit leaves is told; where it is not the limit, that. */
static void memlock(void)
{
	uint64_t none = 0;

	start("group");
	mock.memlock = 3 * PAGE;
	CHECK_EQ(map(2, &none), 0);
	mock_write("proc/self/status", "Name:\tunit\nVmLck:\t       8 kB\nVmPin:\t       0 kB\n");
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_MEMLOCK,
		"needs 8 KiB locked memory beside 8 KiB locked already, the limit is 12 KiB");
	/* iommufd's counts as pinned; both of them count. */
	mock_write("proc/self/status", "VmLck:\t       4 kB\nVmPin:\t       4 kB\n");
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_MEMLOCK, "beside 8 KiB locked already");
	/* More is locked than is allowed, which root may have done. */
	mock_write("proc/self/status", "VmLck:\t       800 kB\n");
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_MEMLOCK, "beside 800 KiB locked already");
	/* By these figures it would fit. */
	mock_write("proc/self/status", "Name:\tunit\n");
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_NONE, "this user's other processes");
	mock_fail_open("/proc/self/status", EMFILE);
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_NONE, "this user's other processes");
	mock.memlock = UINT64_MAX;
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, ENOMEM);
	REFUSED(map(2, &none), ENOMEM, VFC_REASON_NONE, "the kernel is out of memory");
	CHECK(!strstr(vfc_error_last()->hint, "processes"));
	stop();
}

static int unmap_less(struct mock_file *file, unsigned long request, void *argument)
{
	struct vfio_iommu_type1_dma_unmap *unmap = argument;

	if (file->kind != MOCK_CONTAINER || request != VFIO_IOMMU_UNMAP_DMA)
		return MOCK_ASIDE;
	unmap->size = 0; /* what type1 says of a range that has no mapping */
	return 0;
}

/* After a failure the mapping is as it was, and can be unmapped. */
static void unmap_fails(void)
{
	uint64_t iova = 0;

	start("group");
	CHECK_EQ(map(4, &iova), 0);
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_UNMAP_DMA, EINVAL);
	REFUSED(vfc_iommu_unmap(space, iova, 4 * PAGE), EINVAL, VFC_REASON_NONE,
		"the kernel kept the mapping");
	mock.answer = unmap_less;
	REFUSED(vfc_iommu_unmap(space, iova, 4 * PAGE), EIO, VFC_REASON_MALFORMED,
		"unmapped 0 bytes instead");
	mock.answer = NULL;
	CHECK_EQ(vfc_iommu_unmap(space, iova, 4 * PAGE), 0);
	CHECK_EQ(mock.pinned, 0);
	stop();
}

static void dirty(void)
{
	uint64_t iova = 0, bitmap = 0;

	start("group");
	CHECK_EQ(map(3, &iova), 0);
	mock.log[0] = '\0';
	REFUSED(vfc_iommu_dirty_read(space, iova, 3 * PAGE, PAGE, &bitmap), EINVAL, VFC_REASON_ARGUMENT,
		"was vfc_iommu_dirty_start() called?");
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	CHECK_EQ(vfc_iommu_dirty_read(space, iova, 3 * PAGE, PAGE, &bitmap), 3);
	CHECK_EQ(bitmap, 7);
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_DIRTY_PAGES, EFAULT);
	REFUSED(vfc_iommu_dirty_read(space, iova, 3 * PAGE, PAGE, &bitmap), EFAULT, VFC_REASON_NONE, "");
	CHECK_EQ(vfc_iommu_dirty_stop(space), 0);
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_DIRTY_PAGES, ENOTTY);
	REFUSED(vfc_iommu_dirty_start(space), ENOTTY, VFC_REASON_NONE, "before Linux 5.8");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_DIRTY_PAGES, EACCES);
	REFUSED(vfc_iommu_dirty_start(space), EACCES, VFC_REASON_NONE, "type1 version 1");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_DIRTY_PAGES, EIO);
	REFUSED(vfc_iommu_dirty_start(space), EIO, VFC_REASON_NONE, "");
	/* With its last group the kernel's tracking went: there is nothing to stop. */
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	CHECK_EQ(vfc_iommu_unmap(space, iova, 3 * PAGE), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommu_dirty_stop(space), 0);
	MOCK_EXPECT("");
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* What only page tables of iommufd's can, or only type1 version 2. */
static void no_dirty(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .flags = VFC_IOMMU_DIRTY};

	mock_start();
	opts.transport = "group-v1";
	REFUSED(vfc_iommu_open(&opts, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "use cdev or group");
	opts.transport = "compat";
	REFUSED(vfc_iommu_open(&opts, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "use cdev or group");
	opts.transport = "noiommu";
	REFUSED(vfc_iommu_open(&opts, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "without an IOMMU");
	mock.types |= 1u << VFIO_NOIOMMU_IOMMU;
	opts.transport = "noiommu-group";
	REFUSED(vfc_iommu_open(&opts, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "without an IOMMU");
	opts.transport = "group";
	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* type1 keeps the address, so the file stays mapped here for as long as the mapping lives. */
static void files(void)
{
	int fd, null, readable;
	uint64_t iova = 0;
	int64_t before;

	start("group");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	readable = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("unit", MFD_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, 4 * 4096), 0);
	before = mock.mapped;
	CHECK_EQ(vfc_iommu_map_file(space, fd, PAGE, 2 * PAGE, NULL, &iova), 0);
	CHECK_EQ(mock.pinned, 2 * PAGE);
	CHECK_EQ(mock.mapped, before + (int64_t)(2 * PAGE));
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	CHECK_EQ(mock.mapped, before);

	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, EFAULT);
	REFUSED(vfc_iommu_map_file(space, fd, PAGE, 8 * PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY,
		"is shorter than offset 0x1000");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, EEXIST);
	REFUSED(vfc_iommu_map_file(space, fd, PAGE, PAGE, NULL, &iova), EEXIST, VFC_REASON_IOVA,
		"already");
	CHECK_EQ(mock.mapped, before);
	REFUSED(vfc_iommu_map_file(space, null, 0, PAGE, NULL, &iova), EOPNOTSUPP, VFC_REASON_BAD_MEMORY,
		"cannot be mapped here");
	REFUSED(vfc_iommu_map_file(space, readable, 0, PAGE, NULL, &iova), EACCES, VFC_REASON_BAD_MEMORY,
		"and for writing, which the device may do");
	close(null);
	close(readable);
	close(fd);
	stop();
}

int main(void)
{
	windows(false);
	windows(true);
	no_windows();
	hostile_chains();
	mappings("group");
	mappings("group-v1");
	memlock();
	unmap_fails();
	dirty();
	no_dirty();
	files();
	return 0;
}
