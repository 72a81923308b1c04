/* SPDX-License-Identifier: MIT */
/* Discovery and hints on a sysfs tree made by the test. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vfiocore.h>

#include "pci/bus.h"
#include "pci/sysfs.h"
#include "sweep.h"
#include "test.h"
#include "transport/handle.h"
#include "transport/hints.h"
#include "tree.h"

#define DEV "bus/pci/devices/0000:01:00.0"
#define VF "bus/pci/devices/10000:02:00.1"

static void make_tree(void)
{
	static const char *const folders[] = {
		"bus", "bus/pci", "bus/pci/devices", DEV, DEV "/vfio-dev", DEV "/vfio-dev/vfio3", VF,
		"bus/pci/drivers", "bus/pci/drivers/e1000e", "kernel", "kernel/iommu_groups",
		"kernel/iommu_groups/7", "kernel/iommu_groups/7/devices"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		folder(folders[i]);
	file(DEV "/vendor", "0x8086\n");
	file(DEV "/device", "0x10d3\n");
	file(DEV "/class", "0x020000\n");
	file(DEV "/numa_node", "1\n");
	file(DEV "/driver_override", "(null)\n");
	file(DEV "/sriov_totalvfs", "8\n");
	file(DEV "/resource",
	     "0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200\n"
	     "0x0000000800000000 0x00000008ffffffff 0x000000000014220c\n"
	     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	     "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n"
	     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	     "0x00000000fe040000 0x00000000fe07ffff 0x0000000000046200\n");
	link_to(DEV "/iommu_group", "../../../../kernel/iommu_groups/7");
	link_to(DEV "/driver", "../../drivers/e1000e");
	link_to("kernel/iommu_groups/7/devices/0000:01:00.0", "../../../../" DEV);
	link_to("kernel/iommu_groups/7/devices/10000:02:00.1", "../../../../" VF);
	link_to(VF "/physfn", "../0000:01:00.0");
}

static void details(void)
{
	struct vfc_pci_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_pci_info("1:0.0", &info), 0); /* the short form */
	CHECK(!strcmp(info.name, "0000:01:00.0"));
	CHECK_EQ(info.vendor, 0x8086);
	CHECK_EQ(info.device, 0x10d3);
	CHECK_EQ(info.class_code, 0x020000);
	CHECK_EQ(info.numa_node, 1);
	CHECK_EQ(info.iommu_group, 7);
	CHECK_EQ(info.sriov_total, 8);
	CHECK(!strcmp(info.driver, "e1000e"));
	CHECK(!strcmp(info.driver_override, ""));
	CHECK(!strcmp(info.vfio_cdev, "vfio3"));
	CHECK_EQ(info.bars[0].size, 0x20000);
	CHECK_EQ(info.bars[0].flags, 0);
	CHECK_EQ(info.bars[1].size, UINT64_C(0x100000000));
	CHECK_EQ(info.bars[1].flags, VFC_PCI_BAR_64 | VFC_PCI_BAR_PREFETCH);
	CHECK_EQ(info.bars[2].size, 0);
	CHECK_EQ(info.bars[3].flags, VFC_PCI_BAR_IO);
	CHECK_EQ(info.bars[3].size, 32);
	CHECK_EQ(info.rom_size, 0x40000);

	CHECK_EQ(vfc_pci_info("10000:02:00.1", &info), 0);
	CHECK(!strcmp(info.physfn, "0000:01:00.0"));
	CHECK_EQ(info.iommu_group, -1);
	CHECK_EQ(info.numa_node, -1);
	CHECK_EQ(info.driver[0], 0);
	info.size = 4;
	CHECK_EQ(vfc_pci_info("01:00.0", &info), -EINVAL);
}

static void lists(void)
{
	char names[4][VFC_PCI_NAME];

	CHECK_EQ(vfc_pci_list(NULL, 0), 2);
	CHECK_EQ(vfc_pci_list(names, 1), 2);
	CHECK_EQ(vfc_pci_list(names, 4), 2);
	CHECK(!strcmp(names[0], "0000:01:00.0"));
	CHECK_EQ(vfc_pci_group(7, names, 4), 2);
	CHECK(!strcmp(names[1], "10000:02:00.1"));
	CHECK_EQ(vfc_pci_group(8, names, 4), -ENOENT);
}

static void hints(void)
{
	char holders[200];

	pci_group_holders(7, holders, sizeof(holders));
	CHECK(!strcmp(holders, "0000:01:00.0 is bound to e1000e"));
}

static void not_bound_to_vfio(void)
{
	struct vfc_device *device;

	CHECK_EQ(vfc_device_open("01:00.0", NULL, &device), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DRIVER);
	CHECK(strstr(vfc_error_last()->hint, "bound to e1000e"));
	CHECK_EQ(vfc_device_open("10000:02:00.1", NULL, &device), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_IOMMU);
	CHECK_EQ(vfc_device_open("0000:7f:00.0", NULL, &device), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DEVICE);
	CHECK_EQ(vfc_device_open("fake:x", NULL, &device), -ENODEV);
	CHECK_EQ(vfc_device_open("x", NULL, &device), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ARGUMENT);
}

/* /dev/null stands in for whatever sysfs says that it is. */
static void what_a_descriptor_is(void)
{
	static const struct {
		const char *target;
		enum handle_kind kind;
		const char *name;
	} nodes[] = {
		{"../../devices/virtual/misc/iommu", HANDLE_IOMMUFD, ""},
		{"../../devices/virtual/misc/vfio", HANDLE_CONTAINER, ""},
		{"../../devices/virtual/vfio/7", HANDLE_GROUP, ""},
		{"../../devices/virtual/vfio/noiommu-0", HANDLE_GROUP, ""},
		{"../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/vfio-dev/vfio3", HANDLE_CDEV,
		 "0000:01:00.0"},
		{"../../devices/virtual/mem/null", HANDLE_NONE, ""},
		{"vfio", HANDLE_NONE, ""},
	};
	struct handle handle;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK_EQ(handle_find(null, &handle), 0);
	CHECK_EQ(handle.kind, HANDLE_NONE); /* sysfs knows nothing of it */
	folder("dev");
	folder("dev/char");
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		char path[256];

		link_to("dev/char/1:3", nodes[i].target);
		CHECK_EQ(handle_find(null, &handle), 0);
		CHECK_EQ(handle.kind, nodes[i].kind);
		CHECK(!strcmp(handle.name, nodes[i].name));
		path_of(path, "dev/char/1:3");
		CHECK_EQ(unlink(path), 0);
	}
	CHECK_EQ(close(null), 0);
	CHECK_EQ(handle_find(null, &handle), -EBADF);
	CHECK(strstr(vfc_error_last()->hint, "is not open"));
}

static void reserved_ranges(void)
{
	struct transport_reserved ranges[4];

	CHECK_EQ(hint_reserved(NULL, "0000:01:00.0", ranges, 4), 0); /* before Linux 4.11 */
	file("kernel/iommu_groups/7/reserved_regions",
	     "0x0000000000000000 0x00000000000fffff direct-relaxable\n"
	     "0x00000000bf800000 0x00000000bf9fffff direct\n"
	     "0x00000000fee00000 0x00000000feefffff msi\n"
	     "0x000000fd00000000 0x000000ffffffffff reserved\n");
	CHECK_EQ(hint_reserved(NULL, "0000:01:00.0", ranges, 4), 3);
	CHECK_EQ(ranges[0].start, 0xbf800000);
	CHECK_EQ(ranges[2].end, UINT64_C(0xffffffffff));
	CHECK(!strcmp(ranges[1].type, "msi"));
	CHECK_EQ(hint_reserved(NULL, "0000:01:00.0", ranges, 1), 1);
}

#define MDEV "bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define UART "bus/platform/devices/9000000.uart"

static void make_other_buses(void)
{
	static const char *const folders[] = {
		"bus/mdev", "bus/mdev/devices", MDEV, MDEV "/vfio-dev", MDEV "/vfio-dev/vfio4",
		"bus/platform", "bus/platform/devices", UART, UART "/of_node",
		"bus/platform/devices/twin", "bus/mdev/devices/twin", "kernel/iommu_groups/8",
		"class", "class/vfio", "class/vfio-dev", "class/vfio-dev/vfio4"};
	char path[256];
	FILE *f;

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		folder(folders[i]);
	link_to(MDEV "/subsystem", "../../../../bus/mdev");
	link_to(MDEV "/iommu_group", "../../../kernel/iommu_groups/8");
	link_to(MDEV "/driver", "../../drivers/vfc_device");
	link_to("bus/platform/devices/twin/subsystem", "../../../../bus/platform");
	link_to("class/vfio-dev/vfio4/device", "../../../" MDEV);
	link_to(UART "/driver", "../../drivers/uart-pl011");
	file("kernel/iommu_groups/8/name", "vfio-noiommu\n");
	path_of(path, UART "/of_node/reg-names");
	f = fopen(path, "w");
	CHECK(f);
	CHECK_EQ(fwrite("control\0fifo", 1, 13, f), 13);
	CHECK_EQ(fclose(f), 0);
}

static void other_buses(void)
{
	struct vfc_bus_info info = {.size = sizeof(info)}, small = {.size = 4};
	char path[256], names[2][VFC_BUS_NAME], text[32];
	struct vfc_device *device;

	make_other_buses();
	CHECK_EQ(vfc_bus_info("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", &info), 0);
	CHECK(!strcmp(info.bus, "mdev") && !strcmp(info.driver, "vfc_device"));
	CHECK(!strcmp(info.vfio_cdev, "vfio4") && bus_has_vfio(&info));
	CHECK_EQ(info.iommu_group, 8);
	path_of(path, MDEV "//");
	CHECK_EQ(vfc_bus_info(path, &info), 0);
	CHECK(!strcmp(info.name, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"));
	CHECK_EQ(vfc_bus_info("1:0.0", &info), 0);
	CHECK(!strcmp(info.bus, "pci") && !strcmp(info.name, "0000:01:00.0"));
	CHECK_EQ(vfc_bus_info("twin", &info), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "2 buses"));
	path_of(path, "bus/platform/devices/twin");
	CHECK_EQ(vfc_bus_info(path, &info), 0);
	CHECK(!strcmp(info.bus, "platform") && !bus_has_vfio(&info));
	CHECK_EQ(vfc_bus_info("00000000-0000-0000-0000-000000000000", &info), -ENODEV);
	CHECK_EQ(vfc_bus_info("/nowhere", &info), -ENODEV);
	CHECK_EQ(vfc_bus_info("/", &info), -ENODEV);
	CHECK_EQ(vfc_bus_info("..", &info), -EINVAL);
	CHECK_EQ(vfc_bus_info("", &info), -EINVAL);
	CHECK_EQ(vfc_bus_info(NULL, &info), -EINVAL);
	CHECK_EQ(vfc_bus_info("twin", &small), -EINVAL);
	CHECK_EQ(vfc_bus_list(NULL, 0), 1);
	CHECK_EQ(vfc_bus_list(names, 2), 1);
	CHECK(!strcmp(names[0], "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"));

	CHECK_EQ(vfc_bus_info("9000000.uart", &info), 0);
	bus_of_string(&info, "reg-names", 1, text, sizeof(text));
	CHECK(!strcmp(text, "fifo"));
	bus_of_string(&info, "reg-names", 2, text, sizeof(text));
	CHECK(!strcmp(text, ""));
	bus_of_string(&info, "interrupt-names", 0, text, sizeof(text));
	CHECK(!strcmp(text, ""));
	CHECK_EQ(vfc_device_open("9000000.uart", NULL, &device), -ENODEV);

	/* A group of that name has no IOMMU, unless it is a mediated device's. */
	CHECK(pci_group_unsafe(8));
	folder("class/vfio/8");
	CHECK(!pci_group_unsafe(8));
}

/* A list that could not be made is no empty list. */
static int discovery(void)
{
	struct vfc_bus_info where = {.size = sizeof(where)};
	char pci[4][VFC_PCI_NAME], all[2][VFC_BUS_NAME];
	struct vfc_pci_info info = {.size = sizeof(info)};
	int rc = 0;

	errno = ESTALE; /* our caller's */
	if (note(&rc, vfc_pci_list(pci, 4)) >= 0)
		CHECK(!strcmp(pci[0], "0000:01:00.0"));
	if (note(&rc, vfc_pci_group(7, pci, 4)) >= 0)
		CHECK(!strcmp(pci[1], "10000:02:00.1"));
	if (note(&rc, vfc_bus_list(all, 2)) > 0)
		CHECK(!strcmp(all[0], "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"));
	note(&rc, vfc_bus_info("9000000.uart", &where));
	note(&rc, vfc_pci_info("01:00.0", &info));
	CHECK_EQ(errno, ESTALE);
	return rc;
}

int main(void)
{
	tree_begin();
	make_tree();
	details();
	lists();
	hints();
	not_bound_to_vfio();
	what_a_descriptor_is();
	reserved_ranges();
	other_buses();
	sweep("discovery", discovery);
	tree_end();
	return 0;
}
