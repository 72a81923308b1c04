/* SPDX-License-Identifier: MIT */
/*
 * Devices by their own nodes, attached to address spaces of iommufd. Page tables of their own kinds are
 * in ioas.c; here is what happens to descriptors and ids, and what each refusal says.
 */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define THIRD "0000:03:00.0"

static uint8_t memory[4 * 4096] __attribute__((aligned(4096)));

static const uint8_t token[16] = {1};

static void machine(void)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	mock_add((struct mock_device){.name = SECOND, .group = 7, .cdev = true});
	mock_add((struct mock_device){.name = THIRD, .group = 8});
}

static int open_beside(struct vfc_iommu *beside, uint32_t flags, struct vfc_iommu **space)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .flags = flags, .transport = "cdev",
				      .beside = beside};

	return vfc_iommu_open(&opts, space);
}

static void lifetimes(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_device_info device_info = {.size = sizeof(device_info)};
	struct vfc_iommu *space, *beside;
	struct vfc_device *device;
	uint32_t id = 0;

	machine();
	space = open_space("cdev");
	device = open_in(space, FIRST);
	MOCK_EXPECT("ioas 1;open vfio0;bind vfio0;attach vfio0 to 1;");
	CHECK_EQ(vfc_device_iommufd_id(device, &id), 0);
	CHECK_EQ(id, 2);
	CHECK_EQ(vfc_device_info(device, &device_info), 0);
	CHECK_EQ(device_info.group, 7);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(info.page_sizes, PAGE);
	CHECK_EQ(info.entries_left, UINT64_MAX);
	/* A space beside it lives in the same iommufd, and either may be closed first. */
	CHECK_EQ(open_beside(space, 0, &beside), 0);
	CHECK_EQ(vfc_device_attach(device, beside), 0);
	MOCK_EXPECT("ioas 4;attach vfio0 to 4;");
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_detach(device), 0);
	MOCK_EXPECT("detach vfio0;");
	CHECK_EQ(vfc_iommu_close(space), 0);
	MOCK_EXPECT("destroy 1;");
	CHECK_EQ(vfc_device_attach(device, beside), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(beside), 0);
	MOCK_EXPECT("attach vfio0 to 4;close vfio0;destroy 4;");
	mock_end();
}

static void mappings(void)
{
	struct vfc_iommu *space, *beside, *other;
	struct vfc_device *device, *second;
	uint64_t iova = 0, copy = 0;
	int fd;

	machine();
	fd = memfd_create("unit", MFD_CLOEXEC);
	space = open_space("cdev");
	device = open_in(space, FIRST);
	CHECK_EQ(open_beside(space, 0, &beside), 0);
	second = open_in(beside, SECOND);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_copy(beside, space, iova, 2 * PAGE, NULL, &copy), 0);
	MOCK_EXPECT("map 1 2000+2000;map file 4 2000+2000;");
	CHECK_EQ(vfc_iommu_unmap(beside, copy, 2 * PAGE), 0);
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	MOCK_EXPECT("unmap 4 2000+2000;unmap 1 2000+2000;");
	CHECK_EQ(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);

	REFUSED(vfc_iommu_map(space, (void *)0x1000, PAGE, NULL, &iova), EFAULT, VFC_REASON_BAD_MEMORY,
		"the memory at 0x1000 is not mapped in this process");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP, EEXIST);
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), EEXIST, VFC_REASON_IOVA, "already");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP, EINVAL);
	REFUSED(vfc_iommu_map(space, memory, PAGE, NULL, &iova), EINVAL, VFC_REASON_BAD_MEMORY,
		"does not take this memory");
	mock.memlock = PAGE;
	REFUSED(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), ENOMEM, VFC_REASON_MEMLOCK,
		"the limit is 4 KiB");
	mock.memlock = UINT64_MAX;
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP_FILE, ENOTTY);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"Linux 6.13");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP_FILE, EINVAL);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), EINVAL, VFC_REASON_BAD_MEMORY,
		"is no memfd or dma-buf");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP_FILE, EBADF);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), EBADF, VFC_REASON_BAD_MEMORY,
		"is no memfd or dma-buf");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP_FILE, ENODEV);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), ENODEV, VFC_REASON_NONE,
		"does not decode memory");
	CHECK_EQ(mock.pinned, 0);

	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_UNMAP, EBUSY);
	REFUSED(vfc_iommu_unmap(space, iova, PAGE), EBUSY, VFC_REASON_BUSY, "a hardware queue lies there");
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	/* Spaces of two iommufds know nothing of each other. */
	other = open_space("cdev");
	REFUSED(vfc_device_attach(device, other), EINVAL, VFC_REASON_ARGUMENT, "does not share");
	CHECK_EQ(vfc_iommu_close(other), 0);
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(beside), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(fd);
	mock_end();
}

static int unmap_less(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_ioas_unmap *unmap = argument;

	if (file->kind != MOCK_IOMMUFD || request != IOMMU_IOAS_UNMAP)
		return MOCK_ASIDE;
	unmap->length = PAGE;
	return 0;
}

/* What no kernel says, but would make our books wrong. */
static int many_ranges(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_ioas_iova_ranges *ranges = argument;

	if (file->kind != MOCK_IOMMUFD || request != IOMMU_IOAS_IOVA_RANGES)
		return MOCK_ASIDE;
	ranges->num_iovas = 100000;
	return -EMSGSIZE;
}

/* Fewer the second time: a device came in between. */
static int fewer_ranges(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_ioas_iova_ranges *ranges = argument;
	struct iommu_iova_range *out;

	if (file->kind != MOCK_IOMMUFD || request != IOMMU_IOAS_IOVA_RANGES)
		return MOCK_ASIDE;
	ranges->out_iova_alignment = PAGE;
	out = (struct iommu_iova_range *)(uintptr_t)ranges->allowed_iovas;
	if (ranges->num_iovas)
		out[0] = (struct iommu_iova_range){0x10000, 0xfffff};
	ranges->num_iovas = ranges->num_iovas ? 1 : 2;
	return ranges->num_iovas == 2 ? -EMSGSIZE : 0;
}

static void answers(void)
{
	struct vfc_iova_range range = {0};
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;

	machine();
	space = open_space("cdev");
	mock.answer = many_ranges;
	REFUSED(try_open(space, FIRST, &device), EMSGSIZE, VFC_REASON_MALFORMED, "speaks of 100000 ranges");
	mock.answer = NULL;
	mock_fail_nth(MOCK_IOMMUFD, IOMMU_IOAS_IOVA_RANGES, 1, ENOENT);
	CHECK_EQ(try_open(space, FIRST, &device), -ENOENT);
	mock.answer = fewer_ranges;
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_ranges(space, &range, 1), 1);
	CHECK_EQ(range.first, 0x10000);
	mock.answer = NULL;
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova), 0);
	mock.answer = unmap_less;
	REFUSED(vfc_iommu_unmap(space, iova, 2 * PAGE), EIO, VFC_REASON_MALFORMED, "unmapped 4096 bytes");
	mock.answer = NULL;
	CHECK_EQ(vfc_iommu_unmap(space, iova, 2 * PAGE), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

static void failures(void)
{
	struct vfc_iommu *space, *other;
	struct vfc_device *device;
	struct vfc_device_opts opts = {.size = sizeof(opts), .transport = "cdev", .vf_token = token};
	struct vfc_iommu_opts space_opts = {.size = sizeof(space_opts), .transport = "cdev"};

	machine();
	mock_fail_open("/dev/iommu", ENOENT);
	REFUSED(vfc_iommu_open(&space_opts, &space), ENOENT, VFC_REASON_UNSUPPORTED, "CONFIG_IOMMUFD is off");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_ALLOC, ENOMEM);
	REFUSED(vfc_iommu_open(&space_opts, &space), ENOMEM, VFC_REASON_NONE, "the kernel is out of memory");
	space = open_space("cdev");
	mock_fail_open("/dev/vfio/devices/vfio0", EACCES);
	REFUSED(try_open(space, FIRST, &device), EACCES, VFC_REASON_PERMISSION, "the node is not yours");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_BIND_IOMMUFD, ENOMEM);
	REFUSED(try_open(space, FIRST, &device), ENOMEM, VFC_REASON_NONE, "");
	CHECK(!strcmp(vfc_error_last()->object, FIRST));
	mock_fail(MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, EADDRINUSE);
	REFUSED(try_open(space, FIRST, &device), EADDRINUSE, VFC_REASON_IOVA, "cannot use");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, ENOMEM);
	REFUSED(try_open(space, FIRST, &device), ENOMEM, VFC_REASON_NONE, "out of memory");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, EINVAL);
	REFUSED(try_open(space, FIRST, &device), EINVAL, VFC_REASON_ARGUMENT, "does not fit this device");
	CHECK(!mock.devices[0].opened);

	/* Open elsewhere; and by somebody who shows in the group. */
	device = open_in(space, FIRST);
	other = open_space("cdev");
	REFUSED(try_open(other, FIRST, &device), EBUSY, VFC_REASON_BUSY,
		"fuser -v /dev/vfio/devices/vfio0 /dev/vfio/7");
	CHECK_EQ(vfc_iommu_close(other), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock.groups[0].unviable = true;
	REFUSED(try_alone("cdev", FIRST, &device), EBUSY, VFC_REASON_BUSY, "open already");
	mock_link("sys/bus/pci/devices/" SECOND "/driver", "../../drivers/nvme");
	REFUSED(try_alone("cdev", FIRST, &device), EPERM, VFC_REASON_NOT_VIABLE,
		"group 7 is not viable: 0000:02:00.0 is bound to nvme");
	mock.groups[0].unviable = false;

	/* Tokens go with the bind. */
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_open(FIRST, &opts, &device), 0);
	MOCK_EXPECT("ioas 1;open vfio0;bind vfio0 by token;attach vfio0 to 1;");
	CHECK_EQ(vfc_device_close(device), 0);
	mock_link("sys/bus/pci/devices/" FIRST "/physfn", "../" THIRD);
	mock_fail(MOCK_CDEV, VFIO_DEVICE_BIND_IOMMUFD, EACCES);
	REFUSED(vfc_device_open(FIRST, &opts, &device), EACCES, VFC_REASON_PERMISSION, "not the token");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_BIND_IOMMUFD, EINVAL);
	REFUSED(vfc_device_open(FIRST, &opts, &device), EBUSY, VFC_REASON_BUSY, "before Linux 6.17");
	mock_end();
}

/* What is there and what is not, before anything is opened. */
static void checks(void)
{
	struct vfc_device *device;

	machine();
	REFUSED(try_alone("cdev", THIRD, &device), ENODEV, VFC_REASON_UNSUPPORTED,
		"CONFIG_VFIO_DEVICE_CDEV is off, or before Linux 6.6): use the transport \"group\"");
	mock_link("sys/bus/pci/devices/" THIRD "/driver", NULL);
	REFUSED(try_alone("cdev", THIRD, &device), ENODEV, VFC_REASON_NO_DRIVER, "bound to no driver");
	mock_link("sys/bus/pci/devices/" THIRD "/iommu_group", NULL);
	REFUSED(try_alone("cdev", THIRD, &device), ENODEV, VFC_REASON_NO_IOMMU, "no IOMMU");
	REFUSED(try_alone("cdev", "0000:05:00.0", &device), ENODEV, VFC_REASON_NO_DEVICE, "no such");
	MOCK_EXPECT("");
	mock_end();
}

/* The transport that is taken without a word: cdev where both nodes are the caller's, else group. */
static void found(void)
{
	struct vfc_device *device;
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_iommu_info space_info = {.size = sizeof(space_info)};
	struct vfc_iommu *space;

	machine();
	unsetenv("VFIOCORE_TRANSPORT");
	CHECK_EQ(vfc_device_open(FIRST, NULL, &device), 0);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!strcmp(info.transport, "cdev"));
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_device_open(THIRD, NULL, &device), 0); /* has no node of its own */
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!strcmp(info.transport, "group"));
	CHECK_EQ(vfc_device_close(device), 0);
	space = open_space(NULL);
	CHECK_EQ(vfc_iommu_info(space, &space_info), 0);
	CHECK(!strcmp(space_info.transport, "cdev"));
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_write("dev/iommu", NULL);
	space = open_space(NULL);
	CHECK_EQ(vfc_iommu_info(space, &space_info), 0);
	CHECK(!strcmp(space_info.transport, "group"));
	CHECK_EQ(vfc_iommu_close(space), 0);
	CHECK_EQ(setenv("VFIOCORE_TRANSPORT", "group-v1", 1), 0);
	CHECK_EQ(vfc_device_open(FIRST, NULL, &device), 0);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!strcmp(info.transport, "group-v1"));
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(setenv("VFIOCORE_TRANSPORT", "pigeon", 1), 0);
	REFUSED(vfc_device_open(FIRST, NULL, &device), EINVAL, VFC_REASON_ARGUMENT,
		"there is no transport \"pigeon\"; there are cdev, group, compat, fake, group-v1, noiommu and "
		"noiommu-group");
	unsetenv("VFIOCORE_TRANSPORT");
	/* Of nothing that can be used the group's errors say what is missing. */
	mock_write("dev/vfio/vfio", NULL);
	CHECK_EQ(vfc_device_open("0000:05:00.0", NULL, &device), -ENODEV);
	mock_end();
}

static int adopt_space(int fd, uint32_t ioas, struct vfc_iommu **space)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .ioas = ioas};

	return vfc_iommu_adopt(fd, &opts, space);
}

static int adopt(int fd, const char *name, struct vfc_iommu *space, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};

	return vfc_device_adopt(fd, name, &opts, device);
}

/* Passed unbound: it is bound and attached here, and closing lets others who have it see a detached one. */
static void adopted_unbound(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	int fd, kept, iommufd;

	machine();
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	fd = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	kept = dup(fd);
	CHECK_EQ(adopt_space(dup(iommufd), 0, &space), 0);
	mock.log[0] = '\0';
	CHECK_EQ(adopt(fd, NULL, space, &device), 0);
	MOCK_EXPECT("bind vfio0;attach vfio0 to 1;");
	CHECK_EQ(vfc_device_close(device), 0);
	MOCK_EXPECT("detach vfio0;");
	CHECK_EQ(mock.devices[0].opened, 1);
	CHECK_EQ(vfc_iommu_close(space), 0);
	MOCK_EXPECT("destroy 1;");

	/* Released: the caller's duplicate finds it attached to nothing; ours is closed. */
	close(kept);
	CHECK_EQ(adopt_space(dup(iommufd), 0, &space), 0);
	fd = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	kept = dup(fd);
	CHECK_EQ(adopt(fd, NULL, space, &device), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_release(device), 0);
	MOCK_EXPECT("detach vfio0;");
	CHECK_EQ(mock.devices[0].opened, 1);
	close(kept);
	MOCK_EXPECT("close vfio0;");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(iommufd);
	mock_end();
}

/* Bound by another process to this iommufd: an empty IOAS that becomes busy is the proof. */
static int bound(int iommufd, const char *node)
{
	struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommufd};
	int fd = open(node, O_RDWR | O_CLOEXEC);

	CHECK_EQ(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
	mock.log[0] = '\0';
	return fd;
}

static void adopted_bound(void)
{
	struct vfc_iommu *space, *tracks;
	struct vfc_device *device;
	struct vfc_iommu_opts dirty = {.size = sizeof(dirty), .flags = VFC_IOMMU_DIRTY};
	int iommufd, fd;
	uint32_t id;

	machine();
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	fd = bound(iommufd, "/dev/vfio/devices/vfio0");
	CHECK_EQ(adopt_space(dup(iommufd), 0, &space), 0);
	mock.log[0] = '\0';
	CHECK_EQ(adopt(fd, FIRST, space, &device), 0);
	MOCK_EXPECT("ioas 3;attach vfio0 to 3;attach vfio0 to 2;destroy 3;");
	REFUSED(vfc_device_iommufd_id(device, &id), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"whoever bound it was told the id");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);

	/* Its id is not known, which page tables of its own need. */
	fd = bound(iommufd, "/dev/vfio/devices/vfio0");
	CHECK_EQ(vfc_iommu_adopt(dup(iommufd), &dirty, &tracks), 0);
	REFUSED(adopt(fd, FIRST, tracks, &device), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "have it passed unbound");
	CHECK_EQ(vfc_iommu_close(tracks), 0);

	/* In an IOAS that is shared it is attached at once: where it is, that changes nothing. */
	CHECK_EQ(adopt_space(dup(iommufd), 0, &space), 0);
	CHECK_EQ(vfc_iommu_iommufd(space, &id) >= 0, 1);
	CHECK_EQ(adopt_space(dup(iommufd), id, &tracks), 0);
	mock.log[0] = '\0';
	CHECK_EQ(adopt(fd, FIRST, tracks, &device), 0);
	MOCK_EXPECT("attach vfio0 to 2;");
	CHECK_EQ(vfc_device_close(device), 0);
	MOCK_EXPECT("close vfio0;");
	CHECK_EQ(vfc_iommu_close(tracks), 0); /* somebody else made the IOAS */
	MOCK_EXPECT("");
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(iommufd);
	mock_end();
}

static void adoption_fails(void)
{
	struct vfc_iommu *space, *none;
	struct vfc_device *device;
	int iommufd, foreign, fd, group;

	machine();
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	foreign = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	REFUSED(adopt_space(iommufd, 9, &none), ENOENT, VFC_REASON_ARGUMENT, "no IOAS 9 in the iommufd");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_IOVA_RANGES, EFAULT);
	CHECK_EQ(adopt_space(iommufd, 9, &none), -EFAULT);
	CHECK_EQ(adopt_space(dup(iommufd), 0, &space), 0);

	/* Bound to another iommufd: no device is in ours, or the probe does not become busy. */
	fd = bound(foreign, "/dev/vfio/devices/vfio0");
	REFUSED(adopt(fd, FIRST, space, &device), EINVAL, VFC_REASON_ARGUMENT, "bound to another iommufd");
	MOCK_EXPECT("");
	device = open_in(space, SECOND);
	REFUSED(adopt(fd, FIRST, space, &(struct vfc_device *){NULL}), EINVAL, VFC_REASON_ARGUMENT,
		"bound to another iommufd");
	CHECK_EQ(vfc_device_close(device), 0);
	group = bound(iommufd, "/dev/vfio/devices/vfio1"); /* a stranger in ours, but not this one */
	REFUSED(adopt(fd, FIRST, space, &device), EINVAL, VFC_REASON_ARGUMENT, "bound to another iommufd");
	MOCK_EXPECT("ioas 3;destroy 3;");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_ALLOC, ENOMEM);
	CHECK_EQ(adopt(group, SECOND, space, &device), -ENOMEM);
	mock_fail_nth(MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, EINVAL);
	CHECK_EQ(adopt(group, SECOND, space, &device), -EINVAL);
	MOCK_EXPECT("ioas 3;attach vfio1 to 3;detach vfio1;destroy 3;");
	close(group);
	close(fd);

	fd = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	mock_fail(MOCK_CDEV, VFIO_DEVICE_BIND_IOMMUFD, EBUSY);
	REFUSED(adopt(fd, FIRST, space, &device), EBUSY, VFC_REASON_BUSY, "open already");
	mock_link("sys/bus/pci/devices/" FIRST "/driver", NULL);
	mock_write("dev/vfio/devices/vfio0", NULL);
	REFUSED(adopt(fd, FIRST, space, &device), ENODEV, VFC_REASON_NO_DRIVER, "bound to no driver");
	close(fd);
	group = open("/dev/vfio/7", O_RDWR | O_CLOEXEC);
	REFUSED(adopt(group, SECOND, space, &device), EINVAL, VFC_REASON_ARGUMENT,
		"wanted is a device's, of /dev/vfio/devices/vfioN");
	close(group);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(foreign);
	close(iommufd);
	mock_end();
}

/* Ids and not groups say what a hot reset hits; being bound is the proof. */
static void hot_reset(void)
{
	struct vfc_reset_device devices[4];
	struct vfc_iommu *space;
	struct vfc_device *first, *second;

	machine();
	space = open_space("cdev");
	first = open_in(space, FIRST);
	CHECK_EQ(vfc_device_hot_reset_info(first, devices, 4), 3);
	CHECK(devices[0].owned && !devices[1].owned && !devices[2].owned);
	CHECK_EQ(devices[0].id, 2);
	CHECK_EQ(devices[0].group, 7);
	CHECK_EQ(devices[1].id, -1);
	REFUSED(vfc_device_hot_reset(first), EBUSY, VFC_REASON_BUSY,
		"0000:02:00.0 (group 7), 0000:03:00.0 (group 8)");
	second = open_in(space, SECOND);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	CHECK_EQ(try_alone("cdev", FIRST, &first), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_hot_reset(first), 0);
	MOCK_EXPECT("hot reset;");
	CHECK_EQ(vfc_device_close(first), 0);
	mock_end();
}

/* A part of a BAR as a dma-buf, for other devices. */
static void shared_region(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;

	machine();
	space = open_space("cdev");
	device = open_in(space, FIRST);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommu_map_region(space, device, 0, 0, PAGE, NULL, &iova), 0);
	MOCK_EXPECT("dma-buf;map file 1 1000+1000;");
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	mock_fail(MOCK_CDEV, VFIO_DEVICE_FEATURE, ENOTTY);
	REFUSED(vfc_iommu_map_region(space, device, 0, 0, PAGE, NULL, &iova), EOPNOTSUPP,
		VFC_REASON_UNSUPPORTED, "it wants Linux 6.19 with CONFIG_VFIO_PCI_DMABUF");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_FEATURE, ENODEV);
	REFUSED(vfc_iommu_map_region(space, device, 0, 0, PAGE, NULL, &iova), ENODEV, VFC_REASON_NONE,
		"memory decoding");
	mock_fail(MOCK_CDEV, VFIO_DEVICE_FEATURE, EINVAL);
	REFUSED(vfc_iommu_map_region(space, device, 0, 0, PAGE, NULL, &iova), EINVAL, VFC_REASON_NONE, "");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* A page table that no device was attached to has noted nothing, so nothing is lost with it. */
static void tracked_while_another_fails(void)
{
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *device, *none;
	struct vfc_iommu *space;
	uint64_t iova = 0, bitmap = 0;

	machine();
	CHECK_EQ(open_beside(NULL, VFC_IOMMU_DIRTY, &space), 0);
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_map(space, memory, 4 * PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	mock_fail(MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, EINVAL);
	mock_fail(MOCK_IOMMUFD, IOMMU_HWPT_SET_DIRTY_TRACKING, EOPNOTSUPP);
	in.iommu = space;
	CHECK(vfc_device_open(SECOND, &in, &none) < 0);
	CHECK(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap) >= 0);
	CHECK_EQ(bitmap, 1);
	CHECK_EQ(vfc_iommu_dirty_stop(space), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

int main(void)
{
	lifetimes();
	mappings();
	answers();
	failures();
	checks();
	found();
	adopted_unbound();
	adopted_bound();
	adoption_fails();
	hot_reset();
	shared_region();
	tracked_while_another_fails();
	return 0;
}
