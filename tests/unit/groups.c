/* SPDX-License-Identifier: MIT */
/* Devices by their groups: what is opened, attached, shared, let go of, and what each refusal says. */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t memory[4096] __attribute__((aligned(4096)));

/* Two in one group, one in another. */
static void machine(void)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	mock_add((struct mock_device){.name = SECOND, .group = 7});
	mock_add((struct mock_device){.name = "0000:03:00.0", .group = 8});
}

/* A group is opened once, the type is set once, and the last to go takes the group along. */
static void lifetimes(const char *transport, const char *type)
{
	struct vfc_iommu *space;
	struct vfc_device *first, *second, *third;
	struct vfc_device_info info = {.size = sizeof(info)};
	char expected[200];

	machine();
	space = open_space(transport);
	first = open_in(space, FIRST);
	snprintf(expected, sizeof(expected), "open 7;join 7;%sdevice 0000:01:00.0;", type);
	MOCK_EXPECT(expected);
	CHECK_EQ(vfc_device_info(first, &info), 0);
	CHECK_EQ(info.group, 7);
	CHECK(!strcmp(info.transport, transport));
	CHECK_EQ(info.flags, VFC_DEVICE_PCI | VFC_DEVICE_RESET);
	second = open_in(space, SECOND);
	MOCK_EXPECT("device 0000:02:00.0;");
	third = open_in(space, "0000:03:00.0");
	MOCK_EXPECT("open 8;join 8;device 0000:03:00.0;");
	CHECK_EQ(vfc_iommu_close(space), -EBUSY);
	CHECK_EQ(vfc_device_close(first), 0);
	MOCK_EXPECT("close 0000:01:00.0;");
	CHECK_EQ(vfc_device_close(third), 0);
	MOCK_EXPECT("close 0000:03:00.0;leave 8;");
	CHECK_EQ(vfc_device_close(second), 0);
	MOCK_EXPECT("close 0000:02:00.0;leave 7;");
	/* The container has no type any more, and gets one again. */
	first = open_in(space, FIRST);
	MOCK_EXPECT(expected);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* A container that loses its last group loses its mappings, so the group stays while there are any. */
static void mappings_hold_the_group(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;

	machine();
	space = open_space("group");
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(mock.pinned, PAGE);
	mock.log[0] = '\0';
	device = open_in(space, FIRST);
	MOCK_EXPECT("device 0000:01:00.0;");
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), -ENODEV);
	CHECK_EQ(vfc_iommu_close(space), 0);

	/* Closing the space lets go of a group that has nothing but mappings. */
	space = open_space("group");
	device = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* Whatever fails, nothing stays open. */
static void failures(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device, *other;

	machine();
	space = open_space("group");
	mock_fail_open("/dev/vfio/7", EACCES);
	REFUSED(try_open(space, FIRST, &device), EACCES, VFC_REASON_PERMISSION, "chown /dev/vfio/7");
	mock_fail_open("/dev/vfio/7", EBUSY);
	REFUSED(try_open(space, FIRST, &device), EBUSY, VFC_REASON_BUSY, "fuser -v /dev/vfio/7");
	mock_fail_open("/dev/vfio/7", ENOENT);
	REFUSED(try_open(space, FIRST, &device), ENOENT, VFC_REASON_NO_DRIVER, "modprobe vfio-pci");
	mock_fail_open("/dev/vfio/7", EMFILE);
	REFUSED(try_open(space, FIRST, &device), EMFILE, VFC_REASON_NONE, "");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_STATUS, EIO);
	REFUSED(try_open(space, FIRST, &device), EIO, VFC_REASON_NONE, "");
	mock_fail(MOCK_GROUP, VFIO_GROUP_SET_CONTAINER, EINVAL);
	REFUSED(try_open(space, FIRST, &device), EINVAL, VFC_REASON_NONE, "does not fit with those");
	mock_fail(MOCK_CONTAINER, VFIO_SET_IOMMU, EPERM);
	REFUSED(try_open(space, FIRST, &device), EPERM, VFC_REASON_NONE, "allow_unsafe_interrupts=1");
	mock_fail(MOCK_CONTAINER, VFIO_SET_IOMMU, ENOMEM);
	REFUSED(try_open(space, FIRST, &device), ENOMEM, VFC_REASON_NONE, "refused a domain");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EBUSY);
	REFUSED(try_open(space, FIRST, &device), EBUSY, VFC_REASON_BUSY, "open already");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EIO);
	REFUSED(try_open(space, FIRST, &device), EIO, VFC_REASON_NONE, "would not open it");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_GET_INFO, EIO);
	REFUSED(try_open(space, FIRST, &device), EIO, VFC_REASON_NONE, "");
	mock_fail(MOCK_DEVICE, VFIO_DEVICE_GET_INFO, ENODEV);
	REFUSED(try_open(space, FIRST, &device), ENODEV, VFC_REASON_GONE, "has been removed");
	for (int i = 0; i < 2; i++)
		CHECK(!mock.groups[i].opened);
	/* It is the space's first group that sets the type, also after a second one failed. */
	device = open_in(space, FIRST);
	mock_fail(MOCK_GROUP, VFIO_GROUP_SET_CONTAINER, EINVAL);
	REFUSED(try_open(space, "0000:03:00.0", &other), EINVAL, VFC_REASON_NONE, "does not fit");
	mock.log[0] = '\0';
	other = open_in(space, "0000:03:00.0");
	MOCK_EXPECT("open 8;join 8;device 0000:03:00.0;");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* Who keeps the group from being viable is looked up; where nobody shows, that is said. */
static void not_viable(void)
{
	struct vfc_device *device;

	machine();
	mock.groups[0].unviable = true;
	REFUSED(try_alone("group", FIRST, &device), EPERM, VFC_REASON_NOT_VIABLE,
		"a member has a host driver");
	mock_link("sys/bus/pci/devices/" SECOND "/driver", "../../drivers/ahci");
	REFUSED(try_alone("group", FIRST, &device), EPERM, VFC_REASON_NOT_VIABLE,
		"group 7 is not viable: 0000:02:00.0 is bound to ahci; bind or unbind");
	mock_end();
}

/* What the device or its driver is, before anything is opened. */
static void checks(void)
{
	struct vfc_device *device;

	machine();
	mock_add((struct mock_device){.name = "0000:04:00.0", .group = -1});
	REFUSED(try_alone("group", "0000:09:00.0", &device), ENODEV, VFC_REASON_NO_DEVICE, "no such");
	mock_link("sys/bus/pci/devices/" FIRST "/driver", "../../drivers/e1000e");
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to e1000e, and VFIO needs it bound to vfio-pci: `vfio bind 0000:01:00.0`");
	mock_link("sys/bus/pci/devices/" FIRST "/driver", NULL);
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_DRIVER, "bound to no driver");
	mock_write("sys/kernel/iommu_groups/0/type", "DMA\n");
	REFUSED(try_alone("group", "0000:04:00.0", &device), ENODEV, VFC_REASON_NO_IOMMU,
		"other devices have IOMMU groups, but no IOMMU translates for this one");
	MOCK_EXPECT("");
	mock_end();
}

static void containers(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "group"};
	struct vfc_iommu *space;

	machine();
	mock_fail_open("/dev/vfio/vfio", ENODEV);
	REFUSED(vfc_iommu_open(&opts, &space), ENODEV, VFC_REASON_NO_DRIVER, "modprobe vfio-pci");
	mock_fail_open("/dev/vfio/vfio", EACCES);
	REFUSED(vfc_iommu_open(&opts, &space), EACCES, VFC_REASON_PERMISSION, "the node is not yours");
	mock_fail(MOCK_CONTAINER, VFIO_GET_API_VERSION, EIO);
	REFUSED(vfc_iommu_open(&opts, &space), EIO, VFC_REASON_UNSUPPORTED, "modprobe vfio_iommu_type1");
	mock.types = 0;
	REFUSED(vfc_iommu_open(&opts, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"modprobe vfio_iommu_type1");
	opts.transport = "noiommu-group";
	REFUSED(vfc_iommu_open(&opts, &space), ENODEV, VFC_REASON_UNSUPPORTED, "CONFIG_VFIO_NOIOMMU is off");
	mock_end();
}

/* Where the kernel has only version 1, "group" takes that. */
static void falls_back(void)
{
	struct vfc_device *device;

	machine();
	mock.types = 1u << VFIO_TYPE1_IOMMU;
	CHECK_EQ(try_alone("group", FIRST, &device), 0);
	MOCK_EXPECT("open 7;join 7;type 1;device 0000:01:00.0;");
	REFUSED(vfc_iommu_dirty_start(vfc_device_iommu(device)), EACCES, VFC_REASON_NONE, "version 1");
	CHECK_EQ(vfc_device_close(device), 0);
	mock_end();
}

static const uint8_t token[16] = {0x2a, 0xb7, 0x49, 0x24, 0xc3, 0x35, 0x45, 0xf4,
				  0x9b, 0x16, 0x85, 0x69, 0xe5, 0xb0, 0x82, 0x58};

static int open_by_token(const uint8_t *with, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .transport = "group", .vf_token = with};

	return vfc_device_open(FIRST, &opts, device);
}

/* The kernel says EACCES to a token that is wrong or missing, and EINVAL to one that nobody asked for. */
static void tokens(void)
{
	const char *physfn = "sys/bus/pci/devices/" FIRST "/physfn";
	struct vfc_device *device;

	machine();
	CHECK_EQ(open_by_token(token, &device), 0);
	MOCK_EXPECT("open 7;join 7;type 3;"
		    "device 0000:01:00.0 vf_token=2ab74924-c335-45f4-9b16-8569e5b08258;");
	CHECK_EQ(vfc_device_close(device), 0);

	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EINVAL);
	REFUSED(open_by_token(token, &device), EINVAL, VFC_REASON_ARGUMENT, "no virtual functions and is none");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EACCES); /* neither: not about a token */
	REFUSED(open_by_token(NULL, &device), EACCES, VFC_REASON_NONE, "would not open it");
	mock_link(physfn, "../" SECOND);
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EACCES);
	REFUSED(open_by_token(NULL, &device), EACCES, VFC_REASON_PERMISSION,
		"guards the virtual functions of 0000:02:00.0: give the UUID");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EACCES);
	REFUSED(open_by_token(token, &device), EACCES, VFC_REASON_PERMISSION, "it is not the token");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EINVAL); /* its PF is with vfio-pci: not about it */
	REFUSED(open_by_token(token, &device), EINVAL, VFC_REASON_NONE, "would not open it");
	mock_link("sys/bus/pci/devices/" SECOND "/driver", NULL);
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EINVAL);
	REFUSED(open_by_token(token, &device), EINVAL, VFC_REASON_ARGUMENT,
		"0000:02:00.0 is bound to no driver and not to vfio-pci");
	mock_link("sys/bus/pci/devices/" SECOND "/driver", "../../drivers/igb");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EINVAL);
	REFUSED(open_by_token(token, &device), EINVAL, VFC_REASON_ARGUMENT, "is bound to igb");
	/* A physical function whose virtual ones are open. */
	mock_link(physfn, NULL);
	mock_write("sys/bus/pci/devices/" FIRST "/sriov_totalvfs", "4\n");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EACCES);
	REFUSED(open_by_token(NULL, &device), EACCES, VFC_REASON_PERMISSION,
		"virtual functions of 0000:01:00.0 are open");
	mock_fail(MOCK_GROUP, VFIO_GROUP_GET_DEVICE_FD, EINVAL);
	REFUSED(open_by_token(token, &device), EINVAL, VFC_REASON_NONE, "would not open it");
	mock_end();
}

/* Descriptors of all groups of the space are the proof, and what is not ours is named. */
static void hot_reset(void)
{
	struct vfc_reset_device devices[4];
	struct vfc_iommu *space;
	struct vfc_device *first, *third;

	machine();
	space = open_space("group");
	first = open_in(space, FIRST);
	CHECK_EQ(vfc_device_hot_reset_info(first, devices, 4), 3);
	CHECK(devices[0].owned && devices[1].owned && !devices[2].owned);
	CHECK_EQ(devices[2].group, 8);
	CHECK_EQ(devices[2].id, -1);
	REFUSED(vfc_device_hot_reset(first), EBUSY, VFC_REASON_BUSY, "0000:03:00.0 (group 8)");
	third = open_in(space, "0000:03:00.0");
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_hot_reset(first), 0);
	MOCK_EXPECT("with 8;with 7;hot reset;");
	CHECK_EQ(vfc_device_close(third), 0);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* A group goes with its last live device, also while the objects stay; the space can be used again. */
static void release(void)
{
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_iommu *space;
	struct vfc_device *first, *second, *again;
	uint64_t iova = 0;

	machine();
	space = open_space("group");
	first = open_in(space, FIRST);
	second = open_in(space, SECOND);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_device_release(first), 0);
	MOCK_EXPECT("close 0000:01:00.0;");
	CHECK_EQ(mock.pinned, PAGE);
	CHECK_EQ(vfc_device_info(first, &info), 0);
	CHECK_EQ(info.flags & VFC_DEVICE_RELEASED, VFC_DEVICE_RELEASED);
	REFUSED(vfc_device_reset(first), ENODEV, VFC_REASON_GONE, "given back to the host");
	CHECK_EQ(vfc_device_release(first), 0);
	CHECK_EQ(vfc_device_release(second), 0);
	MOCK_EXPECT("unmap 1000+1000;close 0000:02:00.0;leave 7;");
	CHECK_EQ(mock.pinned, 0);
	again = open_in(space, FIRST);
	MOCK_EXPECT("open 7;join 7;type 3;device 0000:01:00.0;");
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_device_close(again), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* A container and a device that another process opened: here the test itself is that process. */
struct owner {
	int container, group, device;
};

static struct owner own(const char *node, uint32_t type)
{
	struct owner owner = {.container = open(node, O_RDWR | O_CLOEXEC),
			      .group = open("/dev/vfio/7", O_RDWR | O_CLOEXEC)};

	CHECK_EQ(ioctl(owner.group, VFIO_GROUP_SET_CONTAINER, &owner.container), 0);
	CHECK_EQ(ioctl(owner.container, VFIO_SET_IOMMU, type), 0);
	owner.device = ioctl(owner.group, VFIO_GROUP_GET_DEVICE_FD, FIRST);
	CHECK(owner.device >= 0);
	return owner;
}

static void disown(struct owner owner)
{
	close(owner.device);
	close(owner.group);
	close(owner.container);
}

static int adopt_space(int fd, const char *transport, struct vfc_iommu **space)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = transport};

	return vfc_iommu_adopt(fd, &opts, space);
}

static int adopt_device(int fd, const char *name, struct vfc_iommu *space, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};

	return vfc_device_adopt(fd, name, &opts, device);
}

static void adopted(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device, *third;
	struct owner owner;
	uint64_t iova = 0;

	machine();
	owner = own("/dev/vfio/vfio", VFIO_TYPE1v2_IOMMU);
	CHECK_EQ(adopt_space(dup(owner.container), NULL, &space), 0);
	mock.log[0] = '\0';
	CHECK_EQ(adopt_device(dup(owner.device), FIRST, space, &device), 0);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	MOCK_EXPECT("map 1000+1000;");
	/* A further group, which needs no type, joins. */
	third = open_in(space, "0000:03:00.0");
	MOCK_EXPECT("open 8;join 8;device 0000:03:00.0;");
	CHECK_EQ(vfc_device_close(third), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0); /* takes back what it mapped: others have the container */
	CHECK_EQ(mock.pinned, 0);
	MOCK_EXPECT("close 0000:03:00.0;leave 8;unmap 1000+1000;");
	disown(owner);
	mock_end();
}

/* The caller's descriptor stays open and as it was. */
static void adoption_fails(void)
{
	struct vfc_iommu *space, *empty;
	struct vfc_device *device;
	struct owner owner;
	int fd;

	machine();
	owner = own("/dev/vfio/vfio", VFIO_TYPE1v2_IOMMU);
	REFUSED(adopt_space(owner.group, NULL, &space), EINVAL, VFC_REASON_ARGUMENT, "a group, /dev/vfio/GROUP");
	REFUSED(adopt_space(owner.container, "cdev", &space), EINVAL, VFC_REASON_ARGUMENT,
		"not what the named transport uses");
	REFUSED(adopt_space(1000, NULL, &space), EBADF, VFC_REASON_ARGUMENT, "descriptor 1000 is not open");
	mock.types |= 1u << VFIO_NOIOMMU_IOMMU;
	REFUSED(adopt_space(owner.container, "noiommu-group", &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"the transport noiommu-group wants");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_GET_INFO, ENOTTY);
	REFUSED(adopt_space(owner.container, NULL, &space), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"another IOMMU type than the transport group wants");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_GET_INFO, EIO);
	REFUSED(adopt_space(owner.container, NULL, &space), EIO, VFC_REASON_NONE, "");

	fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	CHECK_EQ(adopt_space(fd, NULL, &empty), 0);
	REFUSED(adopt_device(owner.device, FIRST, empty, &device), EINVAL, VFC_REASON_ARGUMENT,
		"no group is attached to the container");
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_GET_INFO, EIO);
	CHECK_EQ(adopt_device(owner.device, FIRST, empty, &device), -EIO);
	CHECK_EQ(vfc_iommu_close(empty), 0);

	CHECK_EQ(adopt_space(dup(owner.container), NULL, &space), 0);
	REFUSED(adopt_device(owner.group, FIRST, space, &device), EINVAL, VFC_REASON_ARGUMENT,
		"wanted is a device's, of VFIO_GROUP_GET_DEVICE_FD");
	REFUSED(adopt_device(owner.device, NULL, space, &device), EINVAL, VFC_REASON_ARGUMENT,
		"does not tell which device");
	mock.fdinfo = true;
	REFUSED(adopt_device(owner.device, SECOND, space, &device), EINVAL, VFC_REASON_ARGUMENT,
		"the descriptor is of 0000:01:00.0");
	REFUSED(vfc_device_adopt(owner.device, NULL, NULL, &device), EINVAL, VFC_REASON_ARGUMENT,
		"give opts->iommu");
	mock_fail(MOCK_DEVICE, VFIO_DEVICE_GET_INFO, EIO);
	CHECK_EQ(adopt_device(owner.device, NULL, space, &device), -EIO);
	CHECK_EQ(adopt_device(dup(owner.device), NULL, space, &device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	disown(owner);
	mock_end();
}

/* While mappings live the device's descriptor keeps the other process's group in the container. */
static void adopted_device_holds(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	struct owner owner;
	uint64_t iova = 0;

	machine();
	owner = own("/dev/vfio/vfio", VFIO_TYPE1v2_IOMMU);
	CHECK_EQ(adopt_space(owner.container, NULL, &space), 0);
	CHECK_EQ(adopt_device(owner.device, FIRST, space, &device), 0);
	close(owner.group);
	CHECK(mock.groups[0].opened); /* the device's descriptor holds it */
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(mock.pinned, PAGE);
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);

	/* Given back to the host, nothing of ours holds it any more. */
	owner = own("/dev/vfio/vfio", VFIO_TYPE1v2_IOMMU);
	CHECK_EQ(adopt_space(owner.container, NULL, &space), 0);
	CHECK_EQ(adopt_device(owner.device, FIRST, space, &device), 0);
	close(owner.group);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK(!mock.groups[0].opened);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/* iommufd plays the container; a file is mapped by its own request, for it has no address that lasts. */
static void compat(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	struct owner owner;
	uint64_t iova = 0;
	uint32_t ioas = 0;
	int fd;

	machine();
	fd = memfd_create("unit", MFD_CLOEXEC);
	space = open_space("compat");
	device = open_in(space, FIRST);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &iova), 0);
	MOCK_EXPECT("map file 1 1000+1000;");
	CHECK(vfc_iommu_iommufd(space, &ioas) >= 0 && ioas == 1);
	mock_fail(MOCK_IOMMUFD, IOMMU_VFIO_IOAS, ENODEV);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &(uint64_t){0}), ENODEV, VFC_REASON_NONE,
		"no compatibility address space");
	mock_fail(MOCK_IOMMUFD, IOMMU_IOAS_MAP_FILE, ENOTTY);
	REFUSED(vfc_iommu_map_file(space, fd, 0, PAGE, NULL, &(uint64_t){0}), EOPNOTSUPP,
		VFC_REASON_UNSUPPORTED, "Linux 6.13");
	CHECK_EQ(vfc_device_close(device), 0); /* the group stays: what is mapped holds it */
	CHECK_EQ(mock.pinned, PAGE);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(fd);

	/* An iommufd in which nothing is yet, and one with a group. */
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	CHECK_EQ(adopt_space(fd, "compat", &space), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	owner = own("/dev/iommu", VFIO_TYPE1v2_IOMMU);
	CHECK_EQ(adopt_space(owner.container, "compat", &space), 0);
	CHECK_EQ(adopt_device(owner.device, FIRST, space, &device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(owner.group);
	mock_end();
}

int main(void)
{
	lifetimes("group", "type 3;");
	lifetimes("group-v1", "type 1;");
	mappings_hold_the_group();
	failures();
	not_viable();
	checks();
	containers();
	falls_back();
	tokens();
	hot_reset();
	release();
	adopted();
	adoption_fails();
	adopted_device_holds();
	compat();
	return 0;
}
