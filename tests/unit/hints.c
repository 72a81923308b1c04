/* SPDX-License-Identifier: MIT */
/*
 * Why there is no IOMMU for a device, why it does not fit beside a mapping, and what a descriptor is:
 * all of it is looked up in sysfs and /proc, which are fabricated here.
 */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t memory[4096] __attribute__((aligned(4096)));

static void no_iommu(const char *hint)
{
	struct vfc_device *device;

	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_IOMMU, hint);
}

static void why_no_iommu(void)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = -1});
	no_iommu("this machine has no IOMMU, or the firmware hides it");
	CHECK(!strstr(vfc_error_last()->hint, "unsafe"));
	mock_write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	no_iommu("the transport \"noiommu\" does that, if it is named");
	mock_write("sys/firmware/acpi/tables/DMAR", "DMAR");
	no_iommu("intel_iommu=on is missing from the kernel command line");
	mock_write("proc/cmdline", "BOOT_IMAGE=/vmlinuz intel_iommu=on quiet\n");
	no_iommu("the firmware describes an IOMMU, but the kernel does not use it");
	mock_write("sys/firmware/acpi/tables/DMAR", NULL);
	mock_write("sys/firmware/acpi/tables/IVRS", "IVRS");
	no_iommu("the firmware describes an IOMMU, but the kernel does not use it");
	mock_write("proc/cmdline", "iommu=off\n");
	no_iommu("switched off on the kernel command line");
	mock_write("proc/cmdline", "quiet amd_iommu=off\n");
	no_iommu("switched off on the kernel command line");
	mock_write("proc/cmdline", "intel_iommu=off");
	no_iommu("switched off on the kernel command line");
	mock_write("proc/cmdline", "intel_iommu=offset\n"); /* another word */
	no_iommu("the firmware describes an IOMMU");
	mock_fail_open("/proc/cmdline", EACCES);
	no_iommu("the firmware describes an IOMMU");
	mock_write("sys/kernel/iommu_groups/0/type", "DMA\n");
	no_iommu("other devices have IOMMU groups");
	mock_end();
}

/* Of other buses the driver's name is not known. */
static void other_buses(void)
{
	struct vfc_device *device;

	mock_start();
	mock_link("sys/bus/platform/devices/fff51000.ethernet/iommu_group", "../../../../kernel/iommu_groups/2");
	REFUSED(try_alone("group", "fff51000.ethernet", &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to no driver, and VFIO needs it bound to VFIO's driver for the bus platform");
	mock_link("sys/bus/platform/devices/fff51000.ethernet/driver", "../../drivers/xgmac");
	REFUSED(try_alone("group", "fff51000.ethernet", &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to xgmac");
	mock_end();

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .driver = ""});
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to vfio-pci: `vfio bind 0000:01:00.0`");
	mock_write("sys/bus/pci/drivers/vfio-pci/module", NULL);
	mock_write("sys/bus/pci/drivers/vfio-pci", NULL);
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_NO_DRIVER,
		"bound to vfio-pci: modprobe vfio-pci, then `vfio bind 0000:01:00.0`");
	mock_end();
}

/* A second device cannot use addresses where the first has a mapping: which, says sysfs. */
static void reserved(const char *transport, uint32_t kind, unsigned long request, int error)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_device *first, *second;
	struct vfc_iommu *space;
	uint64_t iova = 0xfee00000;

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	mock_add((struct mock_device){.name = SECOND, .group = 8, .cdev = true});
	mock_write("sys/kernel/iommu_groups/8/reserved_regions",
		   "0x00000000fee00000 0x00000000feefffff msi\n"
		   "0x000000fd00000000 0x000000ffffffffff reserved\n");
	space = open_space(transport);
	first = open_in(space, FIRST);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, &fixed, &iova), 0);
	mock_fail_nth(kind, request, 0, error);
	REFUSED(try_open(space, SECOND, &second), error, VFC_REASON_IOVA,
		"the device cannot use 0xfee00000-0xfeefffff (msi), where 0xfee00000-0xfee00fff is mapped");
	/* What the kernel would give up, and what nothing is mapped at, are no reason. */
	mock_write("sys/kernel/iommu_groups/8/reserved_regions",
		   "0x00000000fee00000 0x00000000feefffff direct-relaxable\n"
		   "0x000000fd00000000 0x000000ffffffffff reserved\nrubbish\n");
	mock_fail_nth(kind, request, 0, error);
	CHECK_EQ(try_open(space, SECOND, &second), -error);
	CHECK(!strstr(vfc_error_last()->hint, "is mapped already: unmap that"));
	/* The device may be gone by then. */
	mock_fail_nth(kind, request, 0, error);
	mock_write("sys/kernel/iommu_groups/8/reserved_regions", NULL);
	CHECK_EQ(try_open(space, SECOND, &second), -error);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

/*
 * Two pages of memory in a process whose maps are these lines, of which the first argument is the first
 * page's address, the second the second's, and the third their end.
 */
static void cannot_pin(const char *format, uint32_t flags, const char *hint)
{
	static uint8_t pages[2 * 4096] __attribute__((aligned(4096)));
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = flags};
	struct vfc_device *device;
	char text[9000], expected[300];
	uint64_t iova = 0;

	snprintf(text, sizeof(text), format, (uintptr_t)pages, (uintptr_t)pages + PAGE,
		 (uintptr_t)pages + 2 * PAGE);
	snprintf(expected, sizeof(expected), hint, (uintptr_t)pages, (uintptr_t)pages + PAGE);
	mock_write("proc/self/maps", text);
	CHECK_EQ(try_alone("group", FIRST, &device), 0);
	mock_fail(MOCK_CONTAINER, VFIO_IOMMU_MAP_DMA, EFAULT);
	REFUSED(vfc_iommu_map(vfc_device_iommu(device), pages, sizeof(pages), &opts, &iova), EFAULT,
		VFC_REASON_BAD_MEMORY, expected);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* EFAULT does not say what is wrong with the memory; the process's maps do. */
static void memory_that_cannot_be_pinned(void)
{
	char path[5000];

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	cannot_pin("1000-2000 rw-p 00000000 00:00 0\n", 0, "the memory at 0x%" PRIxPTR " is not mapped");
	cannot_pin("%1$" PRIxPTR "-%2$" PRIxPTR " rw-p 00000000 00:00 0\n", 0,
		   "the memory at 0x%2$" PRIxPTR " is not mapped");
	cannot_pin("%2$" PRIxPTR "-%3$" PRIxPTR " rw-p 00000000 00:00 0\n", 0,
		   "the memory at 0x%" PRIxPTR " is not mapped");
	cannot_pin("%1$" PRIxPTR "-%3$" PRIxPTR " r--p 00000000 00:00 0\n", 0,
		   "the memory at 0x%" PRIxPTR " (anonymous) is not writable");
	cannot_pin("%1$" PRIxPTR "-%2$" PRIxPTR " rw-p 00000000 00:00 0 [stack]\n"
		   "%2$" PRIxPTR "-%3$" PRIxPTR " -w-p 00000000 fe:01 77 /usr/lib/x.so\n", VFC_MAP_READ,
		   "the memory at 0x%2$" PRIxPTR " (/usr/lib/x.so) is not readable");
	cannot_pin("%1$" PRIxPTR "-%3$" PRIxPTR " rw-s 00000000 00:0d 1043 anon_inode:[vfio-device]\n", 0,
		   "the memory at 0x%" PRIxPTR " is a device's (anon_inode:[vfio-device])");
	cannot_pin("%1$" PRIxPTR "-%3$" PRIxPTR " rw-s 00000000 00:05 9 /dev/vfio/devices/vfio0\n", 0,
		   "the memory at 0x%" PRIxPTR " is a device's (/dev/vfio/devices/vfio0)");
	/* Nothing is wrong with it that shows: a device may read what is not writable. */
	cannot_pin("%1$" PRIxPTR "-%3$" PRIxPTR " r--p 00000000 00:00 0\n", VFC_MAP_READ,
		   "the kernel cannot pin all of the memory at 0x%" PRIxPTR);
	cannot_pin("rubbish\n", 0, "the kernel cannot pin all of the memory at 0x%" PRIxPTR);
	/* A path as long as the kernel lets one be, before the line that counts. */
	memset(path, 'x', 4095);
	strcpy(path, "1000-2000 r--p 00000000 fe:01 77 /");
	path[strlen(path)] = 'x';
	strcpy(path + 4095, "\n%1$" PRIxPTR "-%3$" PRIxPTR " r--p 00000000 00:00 0\n");
	cannot_pin(path, 0, "the memory at 0x%" PRIxPTR " (anonymous) is not writable");
	mock_fail_open("/proc/self/maps", EACCES);
	cannot_pin("", 0, "the kernel cannot pin all of the memory at 0x%" PRIxPTR);
	mock_end();
}

static int adopt(int fd)
{
	struct vfc_iommu *space;
	int rc = vfc_iommu_adopt(fd, NULL, &space);

	close(fd);
	return rc;
}

/* What a descriptor is not, it is told as. */
static void descriptors(void)
{
	int fds[2];

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	REFUSED(adopt(open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC)), EINVAL, VFC_REASON_ARGUMENT,
		"is a device, /dev/vfio/devices/vfioN: an address space is /dev/iommu or /dev/vfio/vfio");
	REFUSED(adopt(open("/dev/null", O_RDWR | O_CLOEXEC)), EINVAL, VFC_REASON_ARGUMENT,
		"a character device, which sysfs does not know");
	mock_link("sys/dev/char/1:3", "../../devices/virtual/mem/null");
	REFUSED(adopt(open("/dev/null", O_RDWR | O_CLOEXEC)), EINVAL, VFC_REASON_ARGUMENT,
		"a character device, devices/virtual/mem/null");
	mock_link("sys/dev/char/1:3", "null"); /* no folder at all */
	REFUSED(adopt(open("/dev/null", O_RDWR | O_CLOEXEC)), EINVAL, VFC_REASON_ARGUMENT, "device, null");
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	REFUSED(adopt(fds[0]), EINVAL, VFC_REASON_ARGUMENT, "is socket:[");
	close(fds[1]);
	REFUSED(adopt(-1), EBADF, VFC_REASON_ARGUMENT, "descriptor -1 is not open");
	mock_end();
}

/* A device's descriptor tells its name only where the kernel has that, and where it can be asked. */
static void names(void)
{
	struct vfc_device_opts opts = {.size = sizeof(opts)};
	struct vfc_iommu *space;
	struct vfc_device *device;
	struct vfc_device_info info = {.size = sizeof(info)};
	int container, group, fd;
	char path[40];

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7});
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open("/dev/vfio/7", O_RDWR | O_CLOEXEC);
	CHECK_EQ(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	CHECK_EQ(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST);
	CHECK(fd >= 0);
	CHECK_EQ(vfc_iommu_adopt(container, NULL, &space), 0);
	opts.iommu = space;
	mock.fdinfo = true;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	mock_fail_open(path, EACCES);
	REFUSED(vfc_device_adopt(fd, NULL, &opts, &device), EINVAL, VFC_REASON_ARGUMENT,
		"the kernel does not tell which device");
	mock.devices[0].name = "0000:01:00.0-and-a-name-that-no-bus-gives-because-it-is-longer-than-any";
	REFUSED(vfc_device_adopt(fd, NULL, &opts, &device), EINVAL, VFC_REASON_ARGUMENT,
		"the kernel does not tell which device");
	mock.devices[0].name = FIRST;
	CHECK_EQ(vfc_device_adopt(fd, NULL, &opts, &device), 0);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!strcmp(info.name, FIRST));
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	close(group);
	mock_end();
}

int main(void)
{
	why_no_iommu();
	other_buses();
	reserved("group", MOCK_GROUP, VFIO_GROUP_SET_CONTAINER, EINVAL);
	reserved("cdev", MOCK_CDEV, VFIO_DEVICE_ATTACH_IOMMUFD_PT, EADDRINUSE);
	memory_that_cannot_be_pinned();
	descriptors();
	names();
	return 0;
}
