/* SPDX-License-Identifier: MIT */
/* Devices that no IOMMU translates for, by iommufd and by their group. */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 1030 /* more than are looked at in one read of pagemap */

static uint8_t memory[PAGES * 4096] __attribute__((aligned(4096)));

static void machine(bool cdev)
{
	mock_start();
	mock.types |= 1u << VFIO_NOIOMMU_IOMMU;
	mock_write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	mock_add((struct mock_device){.name = FIRST, .group = 3, .noiommu = true, .cdev = cdev});
	mock_add((struct mock_device){.name = SECOND, .group = 7, .cdev = cdev});
}

static uint64_t physical(uintptr_t va)
{
	return (va / PAGE + 0x100000) * PAGE;
}

static void group_lifetime(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0, second = 0;

	machine(false);
	space = open_space("noiommu-group");
	device = open_in(space, FIRST);
	MOCK_EXPECT("open 3;join 3;type 8;device 0000:01:00.0;");
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.flags, VFC_IOMMU_PHYSICAL | VFC_IOMMU_UNPINNED);
	CHECK_EQ(vfc_iommu_map(space, memory, sizeof(memory), NULL, &iova), 0);
	CHECK_EQ(iova, physical((uintptr_t)memory));
	CHECK_EQ(mock.locked, sizeof(memory));
	/* Locks do not add up, so the same memory is not taken twice. */
	REFUSED(vfc_iommu_map(space, memory + PAGE, PAGE, NULL, &second), EEXIST, VFC_REASON_IOVA,
		"this memory is mapped already");
	REFUSED(vfc_iommu_copy(space, space, iova, sizeof(memory), NULL, &second), EEXIST, VFC_REASON_IOVA,
		"");
	CHECK_EQ(vfc_device_close(device), 0); /* the group stays with the mapping */
	CHECK(mock.groups[0].opened);
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_unmap(space, iova, sizeof(memory)), 0);
	CHECK_EQ(mock.locked, 0);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0); /* unlocks what is left */
	CHECK_EQ(mock.locked, 0);
	mock_end();
}

/* A file's memory is mapped here for as long as the device may reach it. */
static void group_files(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0, other = 0;
	int64_t before;
	int fd = memfd_create("unit", MFD_CLOEXEC);

	CHECK_EQ(ftruncate(fd, 2 * 4096), 0);
	machine(false);
	space = open_space("noiommu-group");
	device = open_in(space, FIRST);
	before = mock.mapped;
	CHECK_EQ(vfc_iommu_map_file(space, fd, 0, 2 * PAGE, NULL, &iova), 0);
	CHECK_EQ(mock.locked, 2 * PAGE);
	CHECK_EQ(mock.mapped, before + (int64_t)(2 * PAGE));
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	CHECK_EQ(mock.mapped, before);
	CHECK_EQ(mock.locked, 0);
	mock.memlock = PAGE;
	REFUSED(vfc_iommu_map_file(space, fd, 0, 2 * PAGE, NULL, &other), ENOMEM, VFC_REASON_MEMLOCK,
		"the limit is 4 KiB");
	REFUSED(vfc_iommu_map_file(space, -1, 0, PAGE, NULL, &other), EBADF, VFC_REASON_BAD_MEMORY,
		"descriptor -1");
	CHECK_EQ(mock.mapped, before);
	mock.memlock = UINT64_MAX;
	CHECK_EQ(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0); /* with the mapping */
	mock_end();
	close(fd);
}

static uint64_t apart(uintptr_t va)
{
	return va / PAGE * 2;
}

static uint64_t apart_later(uintptr_t va)
{
	uint64_t frame = va / PAGE, first = (uintptr_t)memory / PAGE;

	return frame - first < 600 ? frame : frame + 1;
}

static uint64_t hidden(uintptr_t va)
{
	(void)va;
	return 0;
}

static void group_refusals(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;

	machine(false);
	space = open_space("noiommu-group");
	device = open_in(space, FIRST);
	mock.frame = apart;
	REFUSED(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), EINVAL, VFC_REASON_BAD_MEMORY,
		"only the first 4 KiB of this memory lie together");
	mock.frame = apart_later;
	REFUSED(vfc_iommu_map(space, memory, sizeof(memory), NULL, &iova), EINVAL, VFC_REASON_BAD_MEMORY,
		"only the first 2400 KiB");
	mock.frame = hidden;
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), EPERM, VFC_REASON_PERMISSION,
		"for CAP_SYS_ADMIN only");
	mock.frame = NULL;
	mock_fail_open("/proc/self/pagemap", EACCES);
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), EACCES, VFC_REASON_PERMISSION,
		"nothing tells physical addresses");
	REFUSED(vfc_iommu_map(space, (void *)0x1000, PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY,
		"is not mapped in this process");
	mock.memlock = PAGE;
	REFUSED(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), ENOMEM, VFC_REASON_MEMLOCK,
		"the limit is 4 KiB");
	mock.memlock = 0;
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), ENOMEM, VFC_REASON_MEMLOCK,
		"the limit is 0 KiB");
	mock.memlock = UINT64_MAX;
	CHECK_EQ(mock.locked, 0);
	REFUSED(vfc_iommu_unmap(space, 0x1000, PAGE), ENOENT, VFC_REASON_IOVA, "");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);

	mock_fail_open("/dev/vfio/noiommu-3", EPERM);
	REFUSED(try_alone("noiommu-group", FIRST, &device), EPERM, VFC_REASON_PERMISSION,
		"for CAP_SYS_RAWIO only");
	REFUSED(try_alone("noiommu-group", SECOND, &device), EINVAL, VFC_REASON_UNSUPPORTED,
		"an IOMMU translates for the device (group 7)");
	/* And the others do not take it, not even where a node would let them. */
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_IOMMU, "the transport \"noiommu\"");
	mock_end();
}

/* Nobody chooses an address; what was locked before that was known is unlocked again. */
static void no_choice(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	struct vfc_mapcache *cache;
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0x10000;

	machine(false);
	space = open_space("noiommu-group");
	device = open_in(space, FIRST);
	REFUSED(vfc_iommu_map(space, memory, PAGE, &opts, &iova), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"which nobody can choose");
	opts = (struct vfc_map_opts){.size = sizeof(opts), .guard = PAGE};
	REFUSED(vfc_iommu_map(space, memory, PAGE, &opts, &iova), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"which nobody can choose");
	opts = (struct vfc_map_opts){.size = sizeof(opts), .highest = 0xfffffff};
	REFUSED(vfc_iommu_map(space, memory, PAGE, &opts, &iova), ENOSPC, VFC_REASON_OUT_OF_IOVA,
		"the memory lies above 0xfffffff");
	opts = (struct vfc_map_opts){.size = sizeof(opts), .align = UINT64_C(1) << 50};
	REFUSED(vfc_iommu_map(space, memory, PAGE, &opts, &iova), ENOSPC, VFC_REASON_OUT_OF_IOVA,
		"the memory is not aligned to");
	CHECK_EQ(mock.locked, 0);
	REFUSED(vfc_iommu_dirty_start(space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"cannot track dirty pages");
	REFUSED(vfc_mapcache_open(space, NULL, &cache), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "");
	REFUSED(vfc_device_detach(device), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "noiommu-group cannot move");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* iommufd pins the memory and tells where it is; its own IOVAs are names that are never used again. */
static void iommufd(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0, second = 0;

	machine(true);
	space = open_space("noiommu");
	device = open_in(space, FIRST);
	MOCK_EXPECT("ioas 1;open vfio0;bind vfio0;attach vfio0 to 1;");
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.flags, VFC_IOMMU_PHYSICAL);
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), 0);
	CHECK_EQ(iova, ((uintptr_t)memory & 0xffffffffff) + 0x100000000000);
	CHECK_EQ(vfc_iommu_map(space, memory + 2 * PAGE, PAGE, NULL, &second), 0);
	MOCK_EXPECT("map 1 0+2000;map 1 2000+1000;");
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	MOCK_EXPECT("unmap 1 0+2000;");
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	MOCK_EXPECT("map 1 3000+1000;");
	CHECK_EQ(vfc_iommu_unmap(space, second, PAGE), 0);

	mock.together = PAGE;
	mock.log[0] = '\0';
	REFUSED(vfc_iommu_map(space, memory + 4 * PAGE, 2 * PAGE, NULL, &second), EINVAL,
		VFC_REASON_BAD_MEMORY, "only the first 4 KiB");
	MOCK_EXPECT("map 1 4000+2000;unmap 1 4000+2000;");
	mock.together = 0;
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_NOIOMMU_GET_PA, EPERM);
	REFUSED(vfc_iommu_map(space, memory + 4 * PAGE, PAGE, NULL, &second), EPERM, VFC_REASON_PERMISSION,
		"for CAP_SYS_RAWIO only");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP, EFAULT);
	REFUSED(vfc_iommu_map(space, memory + 4 * PAGE, PAGE, NULL, &second), EFAULT, VFC_REASON_BAD_MEMORY,
		"the kernel cannot pin all of the memory");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_UNMAP, EBUSY);
	REFUSED(vfc_iommu_unmap(space, iova, PAGE), EBUSY, VFC_REASON_BUSY, "");
	CHECK_EQ(mock.pinned, PAGE);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	CHECK_EQ(mock.pinned, 0);
	mock_end();
}

/* Which of the two is taken, and why neither is. */
static void chosen(void)
{
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_device *device;
	struct vfc_iommu_info space_info = {.size = sizeof(space_info)};
	struct vfc_iommu *space;

	machine(true);
	space = open_space("noiommu"); /* some device has such a node */
	CHECK_EQ(vfc_iommu_info(space, &space_info), 0);
	CHECK(!strcmp(space_info.transport, "noiommu"));
	CHECK_EQ(vfc_iommu_close(space), 0);
	REFUSED(try_alone("noiommu", SECOND, &device), EINVAL, VFC_REASON_UNSUPPORTED,
		"an IOMMU translates for the device (group 7)");
	mock_write("dev/vfio/devices/noiommu-vfio0", NULL);
	space = open_space("noiommu");
	CHECK_EQ(vfc_iommu_info(space, &space_info), 0);
	CHECK(!strcmp(space_info.transport, "noiommu-group"));
	CHECK_EQ(vfc_iommu_close(space), 0);
	CHECK_EQ(try_alone("noiommu", FIRST, &device), 0);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!strcmp(info.transport, "noiommu-group"));
	CHECK_EQ(vfc_device_close(device), 0);
	REFUSED(try_alone("noiommu", "0000:05:00.0", &device), ENODEV, VFC_REASON_NO_DEVICE, "no such");
	mock_end();

	/* Without a group of its making the mode was off when the device was bound, or is. */
	mock_start();
	mock.types |= 1u << VFIO_NOIOMMU_IOMMU;
	mock_add((struct mock_device){.name = FIRST, .group = -1});
	REFUSED(try_alone("noiommu-group", FIRST, &device), ENODEV, VFC_REASON_UNSUPPORTED,
		"CONFIG_VFIO_NOIOMMU is off");
	mock_write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	REFUSED(try_alone("noiommu-group", FIRST, &device), ENODEV, VFC_REASON_UNSUPPORTED,
		"the mode is off: as root, echo Y");
	mock_write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	REFUSED(try_alone("noiommu-group", FIRST, &device), ENODEV, VFC_REASON_UNSUPPORTED,
		"bind the device to vfio-pci again");
	mock_link("sys/bus/pci/devices/" FIRST "/driver", "../../drivers/e1000e");
	REFUSED(try_alone("noiommu-group", FIRST, &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to e1000e, and VFIO needs it");
	mock_end();
}

/* A container without an IOMMU is another's type, and has nothing to ask. */
static void adopted(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "noiommu-group"};
	struct vfc_device_opts device_opts = {.size = sizeof(device_opts)};
	struct vfc_iommu *space;
	struct vfc_device *device;
	int container, group, fd;

	machine(false);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open("/dev/vfio/noiommu-3", O_RDWR | O_CLOEXEC);
	CHECK_EQ(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	CHECK_EQ(vfc_iommu_adopt(dup(container), &opts, &space), 0); /* has no type yet */
	CHECK_EQ(vfc_iommu_close(space), 0);
	CHECK_EQ(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), 0);
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST);
	CHECK(fd >= 0);
	REFUSED(vfc_iommu_adopt(container, NULL, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"another IOMMU type than the transport group wants");
	CHECK_EQ(vfc_iommu_adopt(container, &opts, &space), 0);
	device_opts.iommu = space;
	CHECK_EQ(vfc_device_adopt(fd, FIRST, &device_opts, &device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(group);
	mock_end();
}

/* A kernel before 5.14 does not populate on request; what it can tell is whether memory is there. */
static bool populates;
static int madvise_error;

int madvise(void *address, size_t length, int advice)
{
	if (advice == MADV_NORMAL)
		return mock_present((uintptr_t)address, length) ? 0 : (errno = ENOMEM, -1);
	if (!populates || madvise_error) {
		errno = madvise_error && length > 1 ? madvise_error : EINVAL;
		return populates && length == 1 ? 0 : -1;
	}
	return mock_present((uintptr_t)address, length) ? 0 : (errno = ENOMEM, -1);
}

static void touch(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;

	machine(false);
	space = open_space("noiommu-group");
	device = open_in(space, FIRST);
	populates = false;
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	REFUSED(vfc_iommu_map(space, (void *)0x1000, PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY, "");
	/* One that does says EINVAL of what may not be accessed so: a device's memory. */
	populates = true;
	madvise_error = EINVAL;
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY, "");
	madvise_error = 0;
	CHECK_EQ(mock.locked, 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

int main(void)
{
	populates = true;
	group_lifetime();
	group_files();
	group_refusals();
	no_choice();
	iommufd();
	chosen();
	adopted();
	touch();
	return 0;
}
