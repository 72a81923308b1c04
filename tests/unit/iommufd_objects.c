/* SPDX-License-Identifier: MIT */
/*
 * iommufd's objects by its own functions, on a kernel that has all of them: what is asked for, what
 * comes back, and what each refusal of the kernel's becomes. Arguments and queues' records: iommufd.c.
 */
#include "transport_test.h"

#include <fcntl.h>
#include <unistd.h>

static uint8_t memory[4 * 4096] __attribute__((aligned(4096)));

static int iommufd, device;
static uint32_t ioas, id; /* an address space, and the device's id */

static void start(void)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	iommufd = vfc_iommufd_open();
	CHECK(iommufd >= 0);
	device = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	CHECK_EQ(vfc_iommufd_ioas_alloc(iommufd, &ioas), 0);
	CHECK_EQ(vfc_iommufd_bind(device, iommufd, NULL, &id), 0);
	mock.log[0] = '\0';
}

static void stop(void)
{
	close(device);
	close(iommufd);
	mock_end();
}

/* The next such request fails, and the record says this. */
#define FAILS(request, error, made, wanted, why)                  \
	do {                                                      \
		mock_fail(MOCK_IOMMUFD, request, error);          \
		REFUSED(made, error, wanted, why);                \
		CHECK(!strcmp(vfc_error_last()->call, #request)); \
	} while (0)

static void opening(void)
{
	mock_start();
	mock_fail_open("/dev/iommu", EACCES);
	REFUSED(vfc_iommufd_open(), EACCES, VFC_REASON_PERMISSION, "chown USER /dev/iommu");
	mock_fail_open("/dev/iommu", EPERM);
	REFUSED(vfc_iommufd_open(), EPERM, VFC_REASON_PERMISSION, "chown USER /dev/iommu");
	mock_fail_open("/dev/iommu", EMFILE);
	REFUSED(vfc_iommufd_open(), EMFILE, VFC_REASON_NONE, "ulimit -n");
	mock_fail_open("/dev/iommu", ENOENT);
	REFUSED(vfc_iommufd_open(), ENOENT, VFC_REASON_UNSUPPORTED, "modprobe iommufd");
	mock_end();
}

/* What every request may say, told by one of them. */
static void common(void)
{
	uint32_t other;

	start();
	FAILS(IOMMU_IOAS_ALLOC, E2BIG, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_UNSUPPORTED,
	      "older than something that was asked for");
	FAILS(IOMMU_IOAS_ALLOC, EOPNOTSUPP, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_UNSUPPORTED,
	      "does not know a flag");
	FAILS(IOMMU_IOAS_ALLOC, ENOMEM, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_NONE,
	      "out of memory");
	FAILS(IOMMU_IOAS_ALLOC, EFAULT, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_BAD_MEMORY,
	      "handed over");
	FAILS(IOMMU_IOAS_ALLOC, EINTR, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_NONE, "");
	FAILS(IOMMU_IOAS_ALLOC, ENOTTY, vfc_iommufd_ioas_alloc(iommufd, &other), VFC_REASON_UNSUPPORTED,
	      "this kernel does not know IOMMU_IOAS_ALLOC, which came with Linux 6.2");
	FAILS(IOMMU_DESTROY, ENOENT, vfc_iommufd_destroy(iommufd, 50), VFC_REASON_NONE, "no such object");
	FAILS(IOMMU_DESTROY, EBUSY, vfc_iommufd_destroy(iommufd, ioas), VFC_REASON_BUSY, "in use");
	CHECK_EQ(vfc_iommufd_destroy(iommufd, ioas), 0);
	stop();
}

static void settings(void)
{
	uint64_t value = 9;
	uint32_t found = 0;

	start();
	CHECK_EQ(vfc_iommufd_option_get(iommufd, VFC_IOMMUFD_OPTION_HUGE_PAGES, ioas, &value), 0);
	CHECK_EQ(value, 1);
	CHECK_EQ(vfc_iommufd_option_set(iommufd, VFC_IOMMUFD_OPTION_HUGE_PAGES, ioas, 0), 0);
	CHECK_EQ(vfc_iommufd_option_set(iommufd, VFC_IOMMUFD_OPTION_RLIMIT_MODE, 0, 1), 0);
	MOCK_EXPECT("option 1 of 1 = 0;option 0 of 0 = 1;");
	FAILS(IOMMU_OPTION, EBUSY, vfc_iommufd_option_set(iommufd, 0, 0, 1), VFC_REASON_BUSY,
	      "before there is any object");
	CHECK(!strcmp(vfc_error_last()->object, "/dev/iommu"));
	FAILS(IOMMU_OPTION, EPERM, vfc_iommufd_option_set(iommufd, 0, 0, 1), VFC_REASON_PERMISSION,
	      "CAP_SYS_RESOURCE");
	FAILS(IOMMU_OPTION, EINVAL, vfc_iommufd_option_set(iommufd, 1, ioas, 1), VFC_REASON_ARGUMENT,
	      "huge pages cannot be turned off");
	CHECK(!strcmp(vfc_error_last()->object, "ioas 1"));
	FAILS(IOMMU_VFIO_IOAS, ENODEV, vfc_iommufd_compat_get(iommufd, &found), VFC_REASON_NONE,
	      "no compatibility address space");
	CHECK_EQ(vfc_iommufd_compat_set(iommufd, ioas), 0);
	CHECK_EQ(vfc_iommufd_compat_get(iommufd, &found), 0);
	CHECK_EQ(found, ioas);
	CHECK_EQ(vfc_iommufd_compat_clear(iommufd), 0);
	REFUSED(vfc_iommufd_compat_get(iommufd, &found), ENODEV, VFC_REASON_NONE, "set one");
	REFUSED(vfc_iommufd_compat_set(iommufd, 60), ENOENT, VFC_REASON_NONE, "kind and id");
	CHECK_EQ(vfc_iommufd_change_process(iommufd), 0);
	FAILS(IOMMU_IOAS_CHANGE_PROCESS, EINVAL, vfc_iommufd_change_process(iommufd), VFC_REASON_ARGUMENT,
	      "memory of the former process");
	FAILS(IOMMU_IOAS_CHANGE_PROCESS, ENOMEM, vfc_iommufd_change_process(iommufd), VFC_REASON_MEMLOCK,
	      "ulimit -l");
	stop();
}

static int map_at(uint64_t iova, uint64_t length)
{
	return vfc_iommufd_ioas_map(iommufd, ioas, memory, length, VFC_MAP_FIXED, &iova);
}

static void mapping(void)
{
	struct vfc_iova_range ranges[3];
	uint64_t iova = 0, align = 0;
	uint32_t other;

	start();
	mock.range_count = 2;
	mock.ranges[0] = (struct vfio_iova_range){0, 0xffff};
	mock.ranges[1] = (struct vfio_iova_range){0x20000, 0xfffff};
	CHECK_EQ(vfc_iommufd_ioas_ranges(iommufd, ioas, ranges, 1, &align), 2);
	CHECK_EQ(ranges[0].last, 0xffff);
	CHECK_EQ(align, PAGE);
	CHECK_EQ(vfc_iommufd_ioas_ranges(iommufd, ioas, ranges, 3, NULL), 2);
	CHECK_EQ(ranges[1].first, 0x20000);
	REFUSED(vfc_iommufd_ioas_ranges(iommufd, id, ranges, 3, NULL), ENOENT, VFC_REASON_NONE, "kind and id");
	CHECK_EQ(vfc_iommufd_ioas_allow(iommufd, ioas, ranges, 2), 0);
	FAILS(IOMMU_IOAS_ALLOW_IOVAS, EADDRINUSE, vfc_iommufd_ioas_allow(iommufd, ioas, ranges, 2),
	      VFC_REASON_IOVA, "an attached device cannot use");
	FAILS(IOMMU_IOAS_ALLOW_IOVAS, EINVAL, vfc_iommufd_ioas_allow(iommufd, ioas, ranges, 2),
	      VFC_REASON_ARGUMENT, "overlaps another");
	mock.log[0] = '\0';

	/* Without a fixed place the kernel's; with one, that. */
	CHECK_EQ(vfc_iommufd_ioas_map(iommufd, ioas, memory, PAGE, VFC_MAP_READ, &iova), 0);
	CHECK_EQ(iova, PAGE);
	CHECK_EQ(map_at(0x20000, 2 * PAGE), 0);
	MOCK_EXPECT("map 1 1000+1000;map 1 20000+2000;");
	REFUSED(map_at(0x21000, PAGE), EEXIST, VFC_REASON_IOVA, "mapped there already");
	/* EINVAL says nothing; the ranges do. */
	REFUSED(map_at(0x10000, PAGE), EINVAL, VFC_REASON_IOVA, "every attached device can use");
	REFUSED(map_at(0x30000, 0), EINVAL, VFC_REASON_ARGUMENT, "the length is 0");
	REFUSED(map_at(0x30010, PAGE), EINVAL, VFC_REASON_ALIGNMENT, "multiples of 4096 bytes");
	REFUSED(map_at(0x30000, PAGE + 1), EINVAL, VFC_REASON_ALIGNMENT, "multiples of 4096 bytes");
	iova = 0x30000;
	REFUSED(vfc_iommufd_ioas_map(iommufd, ioas, memory + 1, PAGE, VFC_MAP_FIXED, &iova), EINVAL,
		VFC_REASON_BAD_MEMORY, "its address must be a multiple of 4096");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_IOVA_RANGES, EMSGSIZE); /* more than are looked at */
	REFUSED(map_at(0x10000, PAGE), EINVAL, VFC_REASON_BAD_MEMORY, "does not take this memory");
	FAILS(IOMMU_IOAS_MAP, ENOSPC, map_at(0x30000, PAGE), VFC_REASON_OUT_OF_IOVA, "no free range");
	FAILS(IOMMU_IOAS_MAP, EPERM, map_at(0x30000, PAGE), VFC_REASON_PERMISSION, "mapped for reading only");
	FAILS(IOMMU_IOAS_MAP, EFAULT, map_at(0x30000, PAGE), VFC_REASON_BAD_MEMORY, "not mapped in this process");
	FAILS(IOMMU_IOAS_MAP, EOVERFLOW, map_at(0x30000, PAGE), VFC_REASON_IOVA, "past the end");

	CHECK_EQ(vfc_iommufd_ioas_alloc(iommufd, &other), 0);
	iova = 0;
	CHECK_EQ(vfc_iommufd_ioas_copy(iommufd, other, ioas, 0x20000, PAGE, 0, &iova), 0);
	CHECK_EQ(iova, PAGE);
	iova = 0x40000;
	CHECK_EQ(vfc_iommufd_ioas_copy(iommufd, other, ioas, 0x21000, PAGE, VFC_MAP_FIXED, &iova), 0);
	REFUSED(vfc_iommufd_ioas_copy(iommufd, other, ioas, 0x50000, PAGE, 0, &iova), ENOENT,
		VFC_REASON_IOVA, "not all of the source is mapped");
	REFUSED(vfc_iommufd_ioas_copy(iommufd, other, ioas, 0x20000, PAGE, VFC_MAP_FIXED, &iova), EEXIST,
		VFC_REASON_IOVA, "already");
	mock.memlock = mock.pinned;
	REFUSED(vfc_iommufd_ioas_copy(iommufd, other, ioas, 0x20000, PAGE, 0, &iova), ENOMEM, VFC_REASON_NONE,
		"out of memory");
	mock.memlock = UINT64_MAX;
	CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, other, 0x40000, PAGE), PAGE);
	REFUSED(vfc_iommufd_ioas_unmap(iommufd, ioas, 0x20000, PAGE), ENOENT, VFC_REASON_IOVA,
		"only part of a mapping");
	REFUSED(vfc_iommufd_ioas_unmap(iommufd, ioas, 0x20000, 0), EINVAL, VFC_REASON_ARGUMENT, "length is 0");
	CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, ioas, 0, UINT64_MAX), 3 * PAGE);
	CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, ioas, 0, UINT64_MAX), 0);
	CHECK_EQ(vfc_iommufd_destroy(iommufd, other), 0);
	CHECK_EQ(mock.pinned, 0);
	stop();
}

static int large_answer(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_ioas_unmap *unmap = argument;
	struct iommu_ioas_iova_ranges *ranges = argument;

	(void)file;
	if (request == IOMMU_IOAS_UNMAP)
		unmap->length = UINT64_MAX;
	else if (request == IOMMU_IOAS_IOVA_RANGES)
		ranges->num_iovas = UINT32_MAX;
	else
		return MOCK_ASIDE;
	return 0;
}

static void large_answers(void)
{
	start();
	mock.answer = large_answer;
	CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, ioas, 0, UINT64_MAX), INT64_MAX);
	REFUSED(vfc_iommufd_ioas_ranges(iommufd, ioas, NULL, 0, NULL), EBADMSG, VFC_REASON_MALFORMED,
		"speaks of 4294967295 ranges");
	mock.answer = NULL;
	stop();
}

static void physical(void)
{
	uint64_t length = PAGE, address = 0;

	start();
	CHECK_EQ(map_at(0x10000, 2 * PAGE), 0);
	mock.together = PAGE;
	length = 2 * PAGE;
	CHECK_EQ(vfc_iommufd_ioas_physical(iommufd, ioas, 0x10000, &length, &address), 0);
	CHECK_EQ(length, PAGE);
	CHECK_EQ(address, ((uintptr_t)memory & 0xffffffffff) + 0x100000000000);
	REFUSED(vfc_iommufd_ioas_physical(iommufd, ioas, 0x20000, &length, &address), ENOENT, VFC_REASON_IOVA,
		"nothing is mapped there");
	FAILS(IOMMU_IOAS_NOIOMMU_GET_PA, EOPNOTSUPP,
	      vfc_iommufd_ioas_physical(iommufd, ioas, 0x10000, &length, &address), VFC_REASON_UNSUPPORTED,
	      "an IOMMU translates here");
	stop();
}

static void files(void)
{
	uint64_t iova = 0;

	start();
	CHECK_EQ(vfc_iommufd_ioas_map_file(iommufd, ioas, 3, 0, PAGE, 0, &iova), 0);
	CHECK_EQ(iova, PAGE);
	FAILS(IOMMU_IOAS_MAP_FILE, EINVAL, vfc_iommufd_ioas_map_file(iommufd, ioas, 3, 0, PAGE, 0, &iova),
	      VFC_REASON_BAD_MEMORY, "a file a memfd or a VFIO device's dma-buf");
	FAILS(IOMMU_IOAS_MAP_FILE, EBADF, vfc_iommufd_ioas_map_file(iommufd, ioas, 99, 0, PAGE, 0, &iova),
	      VFC_REASON_ARGUMENT, "or 99 is closed");
	FAILS(IOMMU_IOAS_MAP_FILE, ENOTTY, vfc_iommufd_ioas_map_file(iommufd, ioas, 3, 0, PAGE, 0, &iova),
	      VFC_REASON_UNSUPPORTED, "came with Linux 6.13");
	stop();
}

static int alloc(uint32_t flags, uint32_t fault, uint32_t type, uint32_t *table)
{
	static const uint64_t data = 1;
	struct vfc_iommufd_hwpt_opts opts = {.size = sizeof(opts), .flags = flags, .fault = fault,
					     .data_type = type, .data = &data,
					     .data_length = type ? sizeof(data) : 0};

	return vfc_iommufd_hwpt_alloc(iommufd, id, ioas, &opts, table);
}

static uint64_t capabilities;

static int hw_answer(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_hw_info *info = argument;

	(void)file;
	if (request == IOMMU_HWPT_ALLOC)
		return -EOPNOTSUPP;
	if (request != IOMMU_GET_HW_INFO)
		return MOCK_ASIDE;
	info->out_capabilities = capabilities;
	return 0;
}

/* EOPNOTSUPP does not say of what, so the IOMMU is asked. */
static void tables(void)
{
	struct vfc_iommufd_hw_info info = {.size = sizeof(info)};
	uint32_t table = 0;

	start();
	CHECK_EQ(vfc_iommufd_hw_info(iommufd, id, &info, NULL, 0), 0);
	CHECK_EQ(info.type, VFC_IOMMUFD_HW_INTEL_VTD);
	CHECK_EQ(info.capabilities, VFC_IOMMUFD_CAP_DIRTY_TRACKING);
	CHECK_EQ(info.pasid_bits, 20);
	CHECK_EQ(info.data_length, 16);
	REFUSED(vfc_iommufd_hw_info(iommufd, ioas, &info, NULL, 0), ENOENT, VFC_REASON_NONE, "no device");
	FAILS(IOMMU_GET_HW_INFO, EOPNOTSUPP, vfc_iommufd_hw_info(iommufd, id, &info, NULL, 0),
	      VFC_REASON_UNSUPPORTED, "no IOMMU translates");
	CHECK_EQ(alloc(VFC_IOMMUFD_HWPT_NEST_PARENT, 5, 0, &table), 0);
	MOCK_EXPECT("table 3 flags 5;");
	CHECK_EQ(table, 3);
	REFUSED(vfc_iommufd_hwpt_alloc(iommufd, id, 60, NULL, &table), ENOENT, VFC_REASON_NONE,
		"no such device or fault queue");
	FAILS(IOMMU_HWPT_ALLOC, EINVAL, alloc(0, 0, 1, &table), VFC_REASON_ARGUMENT, "data without a type");
	FAILS(IOMMU_HWPT_ALLOC, ENOMEM, alloc(0, 0, 0, &table), VFC_REASON_NONE, "out of memory");
	mock.answer = hw_answer;
	REFUSED(alloc(VFC_IOMMUFD_HWPT_DIRTY_TRACKING, 0, 0, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"cannot track what devices write");
	capabilities = IOMMU_HW_CAP_DIRTY_TRACKING;
	REFUSED(alloc(VFC_IOMMUFD_HWPT_DIRTY_TRACKING | VFC_IOMMUFD_HWPT_PASID, 0, 0, &table), EOPNOTSUPP,
		VFC_REASON_UNSUPPORTED, "no page tables for PASIDs");
	REFUSED(alloc(VFC_IOMMUFD_HWPT_NEST_PARENT, 1, 0, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"a nest parent has no fault queue");
	REFUSED(alloc(VFC_IOMMUFD_HWPT_NEST_PARENT, 0, 0, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"cannot nest page tables");
	REFUSED(alloc(0, 0, VFC_IOMMUFD_HWPT_DATA_VTD_S1, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"nested page tables of that data type");
	REFUSED(alloc(0, 0, 0, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "does not know one of the flags");
	mock.answer = NULL;
	mock_fail(MOCK_IOMMUFD, IOMMU_GET_HW_INFO, EOPNOTSUPP);
	mock_fail(MOCK_IOMMUFD, IOMMU_HWPT_ALLOC, EOPNOTSUPP);
	REFUSED(alloc(VFC_IOMMUFD_HWPT_PASID, 0, 0, &table), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"its page tables have no flags");
	stop();
}

static void dirty(void)
{
	struct vfc_iommufd_dirty range = {.size = sizeof(range), .length = 4 * PAGE, .page_size = PAGE};
	uint64_t bitmap = 0;
	uint32_t plain, tracked;

	start();
	CHECK_EQ(alloc(0, 0, 0, &plain), 0);
	CHECK_EQ(alloc(VFC_IOMMUFD_HWPT_DIRTY_TRACKING, 0, 0, &tracked), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommufd_hwpt_dirty(iommufd, tracked, true), 0);
	CHECK_EQ(vfc_iommufd_hwpt_dirty_bitmap(iommufd, tracked, &range, &bitmap), 0);
	range.flags = VFC_IOMMUFD_DIRTY_KEEP;
	CHECK_EQ(vfc_iommufd_hwpt_dirty_bitmap(iommufd, tracked, &range, &bitmap), 0);
	CHECK_EQ(bitmap, 1);
	CHECK_EQ(vfc_iommufd_hwpt_dirty(iommufd, tracked, false), 0);
	MOCK_EXPECT("track 4 1;bitmap 4 flags 0;bitmap 4 flags 1;track 4 0;");
	REFUSED(vfc_iommufd_hwpt_dirty(iommufd, plain, true), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"not made with DIRTY_TRACKING");
	REFUSED(vfc_iommufd_hwpt_dirty(iommufd, ioas, true), ENOENT, VFC_REASON_NONE, "no such page table");
	FAILS(IOMMU_HWPT_GET_DIRTY_BITMAP, EINVAL,
	      vfc_iommufd_hwpt_dirty_bitmap(iommufd, tracked, &range, &bitmap), VFC_REASON_ALIGNMENT,
	      "no multiples of the IOMMU's page");
	stop();
}

static struct {
	int rc;
	uint32_t done;
} invalidated;

static int invalidate_answer(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_hwpt_invalidate *it = argument;

	(void)file;
	if (request != IOMMU_HWPT_INVALIDATE)
		return MOCK_ASIDE;
	CHECK(it->hwpt_id == 4 && it->data_type == 1 && it->entry_len == 16);
	it->entry_num = invalidated.done;
	return invalidated.rc;
}

static int invalidate(int rc, uint32_t done, uint32_t *count)
{
	*count = 3;
	invalidated.rc = rc;
	invalidated.done = done;
	return vfc_iommufd_invalidate(iommufd, 4, 1, memory, 16, count);
}

/* How many were dealt with is told after a failure, too; what the kernel did not look at is none. */
static void invalidation(void)
{
	uint32_t count;

	start();
	mock.answer = invalidate_answer;
	CHECK_EQ(invalidate(0, 3, &count), 0);
	CHECK_EQ(count, 3);
	REFUSED(invalidate(-EIO, 2, &count), EIO, VFC_REASON_ARGUMENT, "entry 2 of 3 was refused");
	CHECK_EQ(count, 2);
	REFUSED(invalidate(-EOPNOTSUPP, 3, &count), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "entry 0 of 3");
	CHECK_EQ(count, 0);
	REFUSED(invalidate(-ENOENT, 3, &count), ENOENT, VFC_REASON_NONE, "kind and id");
	REFUSED(invalidate(0, 9, &count), EBADMSG, VFC_REASON_MALFORMED, "dealt with 9 entries of 3");
	CHECK_EQ(count, 0);
	mock.answer = NULL;
	stop();
}

static int no_descriptor(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_fault_alloc *fault = argument;
	struct iommu_veventq_alloc *events = argument;

	if (request == IOMMU_FAULT_QUEUE_ALLOC) {
		fault->out_fault_id = mock_object(file, (uint32_t)request, 0);
		fault->out_fault_fd = UINT32_MAX;
	} else if (request == IOMMU_VEVENTQ_ALLOC) {
		events->out_veventq_id = mock_object(file, (uint32_t)request, 0);
		events->out_veventq_fd = 1u << 31;
	} else {
		return MOCK_ASIDE;
	}
	return 0;
}

/* What a virtual machine gets: a vIOMMU on a nest parent, its devices, events and queues. */
static void virtual(void)
{
	uint32_t parent, viommu = 0, vdevice = 0, queue = 0;
	uint64_t data = 0;
	int fd = -1;

	start();
	CHECK_EQ(vfc_iommufd_fault_queue_alloc(iommufd, &queue, &fd), 0);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(vfc_iommufd_destroy(iommufd, queue), 0);
	CHECK_EQ(alloc(VFC_IOMMUFD_HWPT_NEST_PARENT, 0, 0, &parent), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommufd_viommu_alloc(iommufd, id, parent, 1, &data, sizeof(data), &viommu), 0);
	CHECK_EQ(vfc_iommufd_vdevice_alloc(iommufd, viommu, id, 0x123, &vdevice), 0);
	CHECK_EQ(vfc_iommufd_event_queue_alloc(iommufd, viommu, 1, 64, &queue, &fd), 0);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(vfc_iommufd_destroy(iommufd, queue), 0);
	CHECK_EQ(vfc_iommufd_hw_queue_alloc(iommufd, viommu, 1, 0, 0x1000, PAGE, &queue), 0);
	MOCK_EXPECT("vdevice 123;events 1 deep 64;destroy 6;queue 0 at 1000+1000;");
	REFUSED(vfc_iommufd_destroy(iommufd, viommu), EBUSY, VFC_REASON_BUSY, "destroy those made from it");

	FAILS(IOMMU_VIOMMU_ALLOC, EOPNOTSUPP,
	      vfc_iommufd_viommu_alloc(iommufd, id, parent, 2, NULL, 0, &viommu), VFC_REASON_UNSUPPORTED,
	      "no vIOMMU of that type");
	FAILS(IOMMU_VDEVICE_ALLOC, EEXIST, vfc_iommufd_vdevice_alloc(iommufd, viommu, id, 1, &vdevice),
	      VFC_REASON_BUSY, "has a vDEVICE already");
	FAILS(IOMMU_VEVENTQ_ALLOC, EINVAL,
	      vfc_iommufd_event_queue_alloc(iommufd, viommu, 1, 0, &queue, &fd), VFC_REASON_ARGUMENT,
	      "the depth is 1 to 524288");
	FAILS(IOMMU_HW_QUEUE_ALLOC, EIO,
	      vfc_iommufd_hw_queue_alloc(iommufd, viommu, 1, 3, 0x1000, PAGE, &queue), VFC_REASON_ARGUMENT,
	      "lower indices come first");
	FAILS(IOMMU_FAULT_QUEUE_ALLOC, ENOMEM, vfc_iommufd_fault_queue_alloc(iommufd, &queue, &fd),
	      VFC_REASON_NONE, "out of memory");
	/* A queue is its object and a descriptor: both or none. */
	mock.log[0] = '\0';
	mock.answer = no_descriptor;
	queue = 99;
	REFUSED(vfc_iommufd_fault_queue_alloc(iommufd, &queue, &fd), EBADMSG, VFC_REASON_MALFORMED,
		"4294967295 as a descriptor");
	REFUSED(vfc_iommufd_event_queue_alloc(iommufd, viommu, 1, 64, &queue, &fd), EBADMSG,
		VFC_REASON_MALFORMED, "as a descriptor");
	CHECK_EQ(queue, 99);
	MOCK_EXPECT("destroy 7;destroy 7;");
	mock.answer = NULL;
	stop();
}

#define DEVICE_FAILS(request, error, made, wanted, why) \
	do {                                            \
		mock_fail(MOCK_CDEV, request, error);   \
		REFUSED(made, error, wanted, why);      \
	} while (0)

static void devices(void)
{
	uint32_t table, other;

	start();
	table = ioas;
	CHECK_EQ(vfc_iommufd_attach(device, &table, -1), 0);
	CHECK_EQ(table, 3); /* the page table that the kernel made */
	table = ioas;
	CHECK_EQ(vfc_iommufd_attach(device, &table, 5), 0);
	CHECK_EQ(mock.devices[0].pasid, 5);
	CHECK_EQ(vfc_iommufd_detach(device, 5), 0);
	CHECK_EQ(vfc_iommufd_detach(device, -1), 0);
	MOCK_EXPECT("attach vfio0 to 1;attach vfio0.pasid to 1;detach vfio0.pasid;detach vfio0;");
	table = 60;
	REFUSED(vfc_iommufd_attach(device, &table, -1), ENOENT, VFC_REASON_NONE, "no such address space");
	CHECK_EQ(table, 60);
	DEVICE_FAILS(VFIO_DEVICE_ATTACH_IOMMUFD_PT, EBUSY, vfc_iommufd_attach(device, &table, -1),
		     VFC_REASON_BUSY, "is being reset");
	mock.memlock = 0;
	DEVICE_FAILS(VFIO_DEVICE_ATTACH_IOMMUFD_PT, ENOMEM, vfc_iommufd_attach(device, &table, -1),
		     VFC_REASON_NONE, "");
	mock.memlock = UINT64_MAX;
	DEVICE_FAILS(VFIO_DEVICE_DETACH_IOMMUFD_PT, EINVAL, vfc_iommufd_detach(device, 5),
		     VFC_REASON_ARGUMENT, "does not know PASIDs");
	REFUSED(vfc_iommufd_bind(device, iommufd, NULL, &other), EINVAL, VFC_REASON_ARGUMENT, "bound already");
	DEVICE_FAILS(VFIO_DEVICE_BIND_IOMMUFD, EACCES, vfc_iommufd_bind(device, iommufd, memory, &other),
		     VFC_REASON_PERMISSION, "a token guards this virtual function");
	DEVICE_FAILS(VFIO_DEVICE_BIND_IOMMUFD, EPERM, vfc_iommufd_bind(device, iommufd, NULL, &other),
		     VFC_REASON_PERMISSION, "allow_unsafe_interrupts=1");
	DEVICE_FAILS(VFIO_DEVICE_BIND_IOMMUFD, ENOTTY, vfc_iommufd_bind(device, iommufd, NULL, &other),
		     VFC_REASON_UNSUPPORTED, "which came with Linux 6.6");
	stop();
}

int main(void)
{
	opening();
	common();
	settings();
	mapping();
	large_answers();
	physical();
	files();
	tables();
	dirty();
	invalidation();
	virtual();
	devices();
	return 0;
}
