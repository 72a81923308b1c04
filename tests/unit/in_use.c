/* SPDX-License-Identifier: MIT */
/* Whether the host needs a device: its interfaces and disks, what is stacked on them, and bad files. */
#include <errno.h>
#include <stdio.h>
#include <vfiocore.h>

#include "sweep.h"
#include "tree.h"

#define NAME "0000:01:00.0"
#define DEVICE "devices/pci0000:00/" NAME
#define ETH "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

static char why[300];

static int in_use(void)
{
	return vfc_pci_in_use(NAME, NULL, why, sizeof(why));
}

static void unused(void)
{
	CHECK_EQ(in_use(), 0);
	CHECK(!why[0]);
}

static void used(const char *text)
{
	CHECK_EQ(in_use(), strlen(text));
	CHECK(!strcmp(why, text));
}

static void make_tree(void)
{
	folder(DEVICE "/net/eth0");
	folder(DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2");
	folder("bus/pci/devices");
	folder("class/net");
	folder("class/block");
	folder("devices/virtual/net/bond0");
	folder("devices/virtual/net/lo");
	folder("devices/virtual/block/dm-0/slaves");
	folder("devices/virtual/block/loop0");
	folder("proc/net");
	folder("proc/self");
	link_to("bus/pci/devices/" NAME, "../../../" DEVICE);
	link_to("class/net/eth0", "../../" DEVICE "/net/eth0");
	link_to("class/net/bond0", "../../devices/virtual/net/bond0");
	link_to("class/net/lo", "../../devices/virtual/net/lo");
	link_to("class/block/nvme0n1", "../../" DEVICE "/nvme/nvme0/nvme0n1");
	link_to("class/block/nvme0n1p2", "../../" DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2");
	link_to("class/block/dm-0", "../../devices/virtual/block/dm-0");
	link_to("class/block/loop0", "../../devices/virtual/block/loop0");
	file(DEVICE "/nvme/nvme0/nvme0n1/dev", "259:0\n");
	file(DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2/dev", "259:2\n");
	file("devices/virtual/block/dm-0/dev", "253:0\n");
}

static void no_routes(void)
{
	file("proc/net/route", "");
	file("proc/net/ipv6_route", "");
}

static void routes(void)
{
	unused(); /* there is no /proc/net yet */
	file("proc/net/route", ETH "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	used("the default route goes through it, by eth0");
	file("proc/net/route", ETH "lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
				   "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n");
	used("the route to 192.168.0.0/16 goes through it, by eth0");
	/* One that is down, one of another interface, and what is no route. */
	file("proc/net/route", ETH "eth0\t0000A8C0\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
				   "eth00\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
				   "eth0\neth0 1 2 3\n\n   \neth0");
	unused();
	file("proc/net/ipv6_route",
	     "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
	     "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
	     "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 "
	     "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
	     "zz000000000000000000000000000000 08 00000000000000000000000000000000 00 "
	     "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n");
	unused(); /* each interface that is up has these */
	file("proc/net/ipv6_route",
	     "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
	     "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n");
	used("the route to 2001:db8::/32 goes through it, by eth0");
	no_routes();
	unused();
}

/* The route goes through a bond that stands on the interface; then a bridge that has no route. */
static void stacked_interfaces(void)
{
	link_to("devices/virtual/net/bond0/lower_eth0", "../../../../" DEVICE "/net/eth0");
	file("proc/net/route", ETH "bond0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	used("the default route goes through it, by bond0");
	no_routes();
	unused();
	link_to(DEVICE "/net/eth0/upper_br0", "../../../virtual/net/br0");
	used("br0 stands on its interface eth0");
	link_to(DEVICE "/net/eth0/upper_br0", NULL);
	/* Links that form a loop end; one that leads nowhere is passed over. */
	link_to("devices/virtual/net/lo/lower_lo", ".");
	link_to("devices/virtual/net/lo/lower_gone", "../nowhere");
	unused();
}

static void storage(void)
{
	file("proc/self/mountinfo", "22 1 259:1 / / rw - ext4 /dev/root rw\n24 1 259 / /x rw\n\n24\n");
	unused();
	file("proc/self/mountinfo", "22 1 259:1 / / rw - ext4 /dev/root rw\n"
				    "23 22 259:2 / /my\\040files rw - ext4 /dev/other rw\n");
	used("its disk nvme0n1p2 is mounted on /my files");
	link_to("devices/virtual/block/dm-0/slaves/nvme0n1p2",
		"../../../../../" DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2");
	file("proc/self/mountinfo", "23 22 253:0 / /broken\\0 rw - ext4 /dev/mapper/x rw\n");
	used("its disk dm-0 is mounted on /broken\\0");
	file("proc/self/mountinfo", "");
	file("proc/swaps", "Filename Type Size Used Priority\n/swapfile file 1 0 -2\n"
			   "/dev/nvme0n1p2 partition 1 0 -2\n");
	used("its disk nvme0n1p2 is swap");
	file("proc/swaps", "");
	folder(DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2/holders/md0");
	used("md0 stands on its disk nvme0n1p2");
}

static void clear_storage(void)
{
	char path[TREE_PATH];

	path_of(path, DEVICE "/nvme/nvme0/nvme0n1/nvme0n1p2/holders/md0");
	CHECK_EQ(rmdir(path), 0);
	unused();
	folder("fs/btrfs/11111111-2222/devices/nvme0n1");
	used("its disk nvme0n1 belongs to a mounted btrfs");
	path_of(path, "fs/btrfs/11111111-2222/devices/nvme0n1");
	CHECK_EQ(rmdir(path), 0);
	unused();
}

/* A multipath namespace lies in no controller's folder, but its subsystem's links lead to each. */
static void multipath(void)
{
	folder("devices/virtual/nvme-subsystem/nvme-subsys0/nvme1n1");
	link_to("class/block/nvme1n1", "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme1n1");
	file("devices/virtual/nvme-subsystem/nvme-subsys0/nvme1n1/dev", "259:9\n");
	file("proc/self/mountinfo", "23 22 259:9 / /home rw - ext4 /dev/nvme1n1 rw\n");
	unused();
	link_to("devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", "../../../../" DEVICE "/nvme/nvme0");
	used("its disk nvme1n1 is mounted on /home");
	file("proc/self/mountinfo", "");
	unused();
}

/* Cut off, but never past the end; and what cannot be asked is refused. */
static void arguments(void)
{
	struct vfc_pci_use_opts opts = {.size = sizeof(opts), .sysfs = "/nowhere"}, small = {.size = 1};
	char cut[8];

	file("proc/net/route", ETH "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	memset(cut, 'x', sizeof(cut));
	CHECK_EQ(vfc_pci_in_use(NAME, NULL, cut, 4), strlen("the default route goes through it, by eth0"));
	CHECK(!memcmp(cut, "the\0xxxx", 8));
	CHECK(vfc_pci_in_use(NAME, NULL, NULL, 0) > 0);
	no_routes();
	CHECK_EQ(vfc_pci_in_use(NAME, &opts, cut, sizeof(cut)), -ENODEV);
	CHECK_EQ(vfc_pci_in_use(NAME, &small, cut, sizeof(cut)), -EINVAL);
	CHECK_EQ(vfc_pci_in_use("1:2", NULL, cut, sizeof(cut)), -EINVAL);
	CHECK_EQ(vfc_pci_in_use("0000:09:00.0", NULL, cut, sizeof(cut)), -ENODEV);
	opts = (struct vfc_pci_use_opts){.size = sizeof(opts), .proc = "/nowhere"};
	CHECK_EQ(vfc_pci_in_use(NAME, &opts, cut, sizeof(cut)), 0);
}

/* What could not be looked at is not called unused. */
static int unused_or_not(void)
{
	int rc = 0;

	if (note(&rc, in_use()) == 0)
		CHECK(!why[0]);
	return rc;
}

/* Nor is what is in use, whichever call fails. */
static void never_called_unused(void)
{
	unsigned n = 0, calls;
	int rc;

	do {
		sys_fault_arm(++n);
		rc = in_use();
		calls = sys_fault_count();
		sys_fault_arm(0);
		CHECK(rc != 0);
	} while (calls >= n);
	CHECK(n > 10);
}

static void never_unused(void)
{
	char path[TREE_PATH];

	file("proc/net/route", ETH "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	never_called_unused();
	no_routes();
	file("proc/self/mountinfo", "23 22 259:2 / /home rw - ext4 /dev/other rw\n");
	never_called_unused();
	file("proc/self/mountinfo", "");
	file("proc/swaps", "/dev/nvme0n1p2 partition 1 0 -2\n");
	never_called_unused();
	file("proc/swaps", "");
	folder("fs/btrfs/11111111-2222/devices/nvme0n1");
	never_called_unused();
	path_of(path, "fs/btrfs/11111111-2222/devices/nvme0n1");
	CHECK_EQ(rmdir(path), 0);
	unused();
}

int main(void)
{
	tree_begin();
	make_tree();
	routes();
	stacked_interfaces();
	storage();
	clear_storage();
	multipath();
	arguments();
	sweep("in use", unused_or_not);
	never_unused();
	tree_end();
	return 0;
}
