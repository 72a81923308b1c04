/* SPDX-License-Identifier: MIT */
/*
 * Binding and unbinding on a tree in place of sysfs: what is refused, and what a failure leaves. No
 * kernel is behind it, so no driver takes a device but where a thread plays the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <vfiocore.h>

#include "pci/sysfs.h"
#include "sweep.h"
#include "tree.h"

#define DEVICES "bus/pci/devices/"
#define DRIVERS "bus/pci/drivers/"
#define NIC	DEVICES "0000:01:00.0"
#define NEW	DEVICES "0000:03:00.0"
#define DISK	DEVICES "0000:02:00.0"
#define BRIDGE	DEVICES "0000:00:1c.0"
#define LONG	"a_vfio_driver_whose_name_has_more_than_32_bytes"

static void add(const char *path, const char *driver)
{
	char name[TREE_PATH], target[TREE_PATH];

	folder(path);
	snprintf(name, sizeof(name), "%s/driver_override", path);
	file(name, "(null)\n");
	snprintf(name, sizeof(name), "%s/driver", path);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	link_to(name, *driver ? target : NULL);
}

static void make_tree(void)
{
	folder(DRIVERS "e1000e");
	folder(DRIVERS "nvme");
	folder("proc/self");
	folder("proc/net");
	file(DRIVERS "e1000e/unbind", "");
	file(DRIVERS "nvme/unbind", "");
	add(NIC, "e1000e");
	add(DISK, "nvme");
	add(BRIDGE, "");
	file("bus/pci/drivers_probe", "");
	file("proc/net/route", "Iface\tDestination\n");
}

static int bind_by(const char *name, const char *driver, uint32_t flags)
{
	const struct vfc_pci_bind_opts opts = {
		.size = sizeof(opts), .uid = -1, .gid = -1, .flags = flags, .driver = driver};

	return vfc_pci_bind(name, &opts);
}

/* It failed in that way, and said why. */
static void says(int rc, int code, enum vfc_reason reason, const char *hint)
{
	CHECK_EQ(rc, -code);
	CHECK_EQ(vfc_error_last()->reason, reason);
	CHECK(strstr(vfc_error_last()->hint, hint));
}

static void nothing_was_written(void)
{
	holds(DRIVERS "e1000e/unbind", "");
	holds(DRIVERS "nvme/unbind", "");
	holds("bus/pci/drivers_probe", "");
	holds(NIC "/driver_override", "(null)\n");
	CHECK(!is_there("state/0000:01:00.0"));
}

static void drivers(void)
{
	char longest[200];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	says(vfc_pci_bind("01:00.0", NULL), ENOENT, VFC_REASON_NO_DRIVER, "modprobe vfio-pci");
	for (const char *const *bad = (const char *[]){"", ".", "..", "a/b", "a\nb", longest, NULL};
	     *bad; bad++)
		says(bind_by("01:00.0", *bad, 0), EINVAL, VFC_REASON_ARGUMENT,
		     "is no driver's name");
	folder(DRIVERS "vfio-pci");
	file(DRIVERS "vfio-pci/unbind", "");
	says(bind_by("01:00.0", "vfio_pci", 0), ENOENT, VFC_REASON_NO_DRIVER, "vfio-pci is loaded");
	says(bind_by("01:00.0", NULL, 4), EINVAL, VFC_REASON_ARGUMENT, "flags 0x4");
	CHECK_EQ(vfc_pci_unbind_with("01:00.0", 4), -EINVAL);
	nothing_was_written();
}

static void bridges(void)
{
	char config[64] = {[0x0e] = (char)0x81}; /* of several functions */
	char path[TREE_PATH];
	FILE *f;

	path_of(path, BRIDGE "/config");
	f = fopen(path, "w");
	CHECK(f);
	CHECK_EQ(fwrite(config, 1, sizeof(config), f), sizeof(config));
	CHECK_EQ(fclose(f), 0);
	says(vfc_pci_bind("00:1c.0", NULL), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "it is a bridge");
	CHECK_EQ(bind_by("00:1c.0", "e1000e", VFC_PCI_DRY_RUN), 0); /* a driver of the host's may */
	nothing_was_written();
}

static void use_nic(bool use)
{
	folder(NIC "/net/eth0");
	folder("class/net");
	link_to("class/net/eth0", use ? "../../" NIC "/net/eth0" : NULL);
	file("proc/net/route", "Iface\tDestination\n"
			       "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
}

static void what_the_host_uses(void)
{
	char why[8];

	use_nic(true);
	CHECK_EQ(vfc_pci_in_use("1:0.0", NULL, why, sizeof(why)),
		 strlen("the route to 192.168.1.0/24 goes through it, by eth0"));
	CHECK(!strcmp(why, "the rou"));
	CHECK(vfc_pci_in_use("1:0.0", NULL, NULL, 0) > 0);
	says(vfc_pci_bind("01:00.0", NULL), EBUSY, VFC_REASON_BUSY,
	     "192.168.1.0/24 goes through it");
	says(bind_by("01:00.0", NULL, VFC_PCI_DRY_RUN), EBUSY, VFC_REASON_BUSY,
	     "vfio bind --force");
	says(vfc_pci_unbind("01:00.0"), EBUSY, VFC_REASON_BUSY, "vfio unbind --force");
	says(vfc_pci_unbind_with("01:00.0", VFC_PCI_DRY_RUN), EBUSY, VFC_REASON_BUSY, "by eth0");
	CHECK_EQ(bind_by("01:00.0", NULL, VFC_PCI_DRY_RUN | VFC_PCI_FORCE), 0);
	CHECK_EQ(bind_by("01:00.0", "e1000e", 0), 0); /* it has that driver already */
	nothing_was_written();
	use_nic(false);
	CHECK_EQ(bind_by("01:00.0", NULL, VFC_PCI_DRY_RUN), 0);
	CHECK_EQ(vfc_pci_in_use("0000:07:00.0", NULL, why, sizeof(why)), -ENODEV);
	nothing_was_written();
}

static void what_the_host_has(void)
{
	says(vfc_pci_unbind("02:00.0"), EBUSY, VFC_REASON_BUSY, "the host's driver nvme has it");
	says(vfc_pci_unbind_with("02:00.0", VFC_PCI_DRY_RUN), EBUSY, VFC_REASON_BUSY, "no bind");
	nothing_was_written();
	CHECK_EQ(vfc_pci_unbind_with("02:00.0", VFC_PCI_FORCE | VFC_PCI_DRY_RUN), 0);
	nothing_was_written();
	CHECK_EQ(vfc_pci_unbind_with("02:00.0", VFC_PCI_FORCE), 0);
	holds(DRIVERS "nvme/unbind", "0000:02:00.0");
	holds("bus/pci/drivers_probe", "0000:02:00.0");
	file(DRIVERS "nvme/unbind", "");
	file("bus/pci/drivers_probe", "");
	/* Bound by us to a driver of the host's: that can be undone, unless it is in use by now. */
	folder("state");
	file("state/0000:01:00.0", "none");
	use_nic(true);
	says(vfc_pci_unbind("01:00.0"), EBUSY, VFC_REASON_BUSY, "the host uses it");
	use_nic(false);
	CHECK_EQ(vfc_pci_unbind("01:00.0"), 0);
	holds(DRIVERS "e1000e/unbind", "0000:01:00.0");
	CHECK(!is_there("state/0000:01:00.0"));
	file(DRIVERS "e1000e/unbind", "");
	file(NIC "/driver_override", "(null)\n");
	link_to(NIC "/driver", "../../drivers/e1000e");
	/* No driver at all: there is nothing to lose. */
	CHECK_EQ(vfc_pci_unbind("00:1c.0"), 0);
	holds("bus/pci/drivers_probe", "0000:00:1c.0");
	file("bus/pci/drivers_probe", "");
}

/* No kernel is behind this tree, so no driver ever takes the device: what was, is put back. */
static void bind_that_fails(void)
{
	struct vfc_pci_bind_opts opts = {.size = sizeof(opts), .uid = 1, .gid = -1};

	says(vfc_pci_bind("01:00.0", NULL), EBUSY, VFC_REASON_NO_IOMMU,
	     "vfio-pci did not take the device");
	CHECK(!is_there("state/0000:01:00.0"));
	holds(NIC "/driver_override", "\n");

	/* It was bound here before, from igb: that is not forgotten. */
	file("state/0000:01:00.0", "igb");
	file(NIC "/driver_override", "e1000e\n");
	CHECK_EQ(vfc_pci_bind("01:00.0", NULL), -EBUSY);
	holds("state/0000:01:00.0", "igb");
	holds(NIC "/driver_override", "e1000e");

	/* Bound already, but there is no node to hand over: it stays bound. */
	link_to(DISK "/driver", "../../drivers/vfio-pci");
	says(vfc_pci_bind("02:00.0", &opts), ENODEV, VFC_REASON_NO_IOMMU, "in no IOMMU group");
	holds(DRIVERS "vfio-pci/unbind", "");
}

/* Names that are equal in their first 31 bytes are not one driver's. */
static void long_names(void)
{
	folder(DRIVERS LONG);
	folder(DRIVERS LONG "_2");
	file(DRIVERS LONG "/unbind", "");
	link_to(DISK "/driver", "../../drivers/" LONG);
	CHECK_EQ(bind_by("02:00.0", LONG, 0), 0);
	holds(DRIVERS LONG "/unbind", "");
	says(bind_by("02:00.0", LONG "_2", 0), EBUSY, VFC_REASON_NO_IOMMU, LONG "_2 did not take");
	holds(DRIVERS LONG "/unbind", "0000:02:00.0");
	holds(DISK "/driver_override", "\n");
}

/* What was just plugged in matches no driver yet: nobody takes it when it is offered first. */
static void *takes_the_second_offer(void *unused)
{
	char path[TREE_PATH], offer[64];

	path_of(path, "bus/pci/drivers_probe");
	for (int offers = 0; offers < 2;) {
		usleep(1000);
		if (sysfs_read(path, offer, sizeof(offer)) < 0 || strcmp(offer, "0000:03:00.0"))
			continue;
		CHECK_EQ(truncate(path, 0), 0);
		offers++;
	}
	link_to(NEW "/driver", "../../drivers/vfio-pci");
	return unused;
}

static int bind_new(const struct vfc_pci_bind_opts *opts)
{
	pthread_t kernel;
	int rc;

	add(NEW, "");
	CHECK_EQ(pthread_create(&kernel, NULL, takes_the_second_offer, NULL), 0);
	rc = vfc_pci_bind("03:00.0", opts);
	CHECK_EQ(pthread_join(kernel, NULL), 0);
	return rc;
}

static void bind_of_what_is_new(void)
{
	CHECK_EQ(bind_new(NULL), 0);
	holds(NEW "/driver_override", "vfio-pci");
	holds("state/0000:03:00.0", "none");
}

/* All or nothing: it was bound, and its node could not be handed over. */
static void bind_without_a_node(void)
{
	const struct vfc_pci_bind_opts opts = {.size = sizeof(opts), .uid = 1, .gid = -1};

	file(DRIVERS "vfio-pci/unbind", "");
	says(bind_new(&opts), ENODEV, VFC_REASON_NO_IOMMU, "in no IOMMU group");
	holds(NEW "/driver_override", "\n");
	holds(DRIVERS "vfio-pci/unbind", "0000:03:00.0");
	CHECK(!is_there("state/0000:03:00.0"));
}

/* A terminal stands in for the device's own node, which anyone may open any number of times. */
static void what_is_open(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char text[64], number[32], path[TREE_PATH];
	struct stat status;

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(slave >= 0);
	CHECK_EQ(fstat(slave, &status), 0);
	snprintf(number, sizeof(number), "%u:%u\n", (unsigned)(status.st_rdev >> 8 & 0xfff),
		 (unsigned)(status.st_rdev & 0xff));
	link_to(DISK "/driver", "../../drivers/vfio-pci");
	folder(DISK "/vfio-dev/vfio7");
	file(DISK "/vfio-dev/vfio7/dev", number);
	CHECK_EQ(setenv("VFIOCORE_PROC", "/proc", 1), 0);
	CHECK(pci_is_open("0000:02:00.0"));
	snprintf(text, sizeof(text), "process %d (unit-bind), which is this one,", getpid());
	says(vfc_pci_unbind("02:00.0"), EBUSY, VFC_REASON_BUSY, text);
	says(vfc_pci_unbind_with("02:00.0", VFC_PCI_FORCE), EBUSY, VFC_REASON_BUSY, "vfio7 open");
	says(bind_by("02:00.0", LONG, VFC_PCI_FORCE), EBUSY, VFC_REASON_BUSY, "vfio7 open");
	holds(DRIVERS "vfio-pci/unbind", "0000:03:00.0"); /* from before */
	CHECK_EQ(close(slave), 0);
	CHECK(!pci_is_open("0000:02:00.0"));
	CHECK_EQ(close(master), 0);
	path_of(path, "proc");
	CHECK_EQ(setenv("VFIOCORE_PROC", path, 1), 0);
	CHECK_EQ(vfc_pci_unbind_with("02:00.0", VFC_PCI_DRY_RUN), 0);
}

/* A use that could not be looked for is no "not in use". */
static int refusals(void)
{
	int rc = 0, now;

	errno = ESTALE;
	now = vfc_pci_in_use("01:00.0", NULL, NULL, 0);
	CHECK(now != 0);
	note(&rc, now);
	CHECK(vfc_pci_unbind("01:00.0") < 0); /* also when nothing fails */
	CHECK_EQ(errno, ESTALE);
	return rc;
}

int main(void)
{
	tree_begin();
	make_tree();
	drivers();
	bridges();
	what_the_host_uses();
	what_the_host_has();
	bind_that_fails();
	long_names();
	bind_of_what_is_new();
	bind_without_a_node();
	what_is_open();
	file(NIC "/driver_override", "(null)\n");
	use_nic(true);
	sweep("refusals", refusals);
	tree_end();
	return 0;
}
