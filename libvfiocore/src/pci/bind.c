/* SPDX-License-Identifier: MIT */
/*
 * Binding by driver_override: only this device is touched, unlike new_id, which grabs every device
 * of the same id (Documentation/ABI/testing/sysfs-bus-pci).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "base/sized.h"
#include "pci/sysfs.h"

#define NO_DRIVER "none" /* in the state file: the device had no driver */

/* How long the kernel may take to match a device with its driver, and then to make its nodes. */
#define WAIT_NS INT64_C(2000000000)
#define LOOK_NS INT64_C(10000000)

static const char *state_root(void)
{
	const char *root = secure_getenv("VFIOCORE_STATE");

	return root && *root ? root : "/run/vfiocore";
}

static void state_path(const char *name, char path[SYSFS_PATH])
{
	snprintf(path, SYSFS_PATH, "%s/%s", state_root(), name);
}

static int refused(int rc, const char *call, const char *path, const char *what)
{
	bool permission = rc == -EACCES || rc == -EPERM;

	return vfc_fail(rc, permission ? VFC_REASON_PERMISSION : VFC_REASON_NONE, WHERE(call, path),
			"%s",
			permission ? "binding drivers needs root; `vfio bind --user NAME` then hands "
				     "the device to a user"
				   : what);
}

static int remember(const char *name, const char *driver)
{
	static const char what[] = "the former driver is remembered there";
	char path[SYSFS_PATH];
	ssize_t n;
	int fd, rc = sys_mkdir(state_root(), 0755);

	state_path(name, path);
	if (rc < 0)
		return refused(rc, "mkdir", state_root(), what);
	fd = sys_create(path, 0644);
	if (fd < 0)
		return refused(fd, "open", path, what);
	n = sys_write(fd, driver, strlen(driver));
	sys_close(fd);
	if (n >= 0)
		return 0;
	sys_unlink(path);
	return refused((int)n, "write", path, what);
}

static void current_driver(const char *name, char driver[32])
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/driver", name);
	sysfs_link(path, driver, 32);
}

static int write_attribute(const char *name, const char *file, const char *text)
{
	char path[SYSFS_PATH];
	int rc;

	sysfs_path(path, "bus/pci/devices/%s/%s", name, file);
	rc = sysfs_write(path, text);
	return rc < 0 ? refused(rc, "write", path, "the kernel refused it") : 0;
}

void pci_bind_forget(const char *name)
{
	char path[SYSFS_PATH];

	state_path(name, path);
	sys_unlink(path);
}

static void group_node(const char *name, char node[PCI_GROUP_NODE])
{
	char path[SYSFS_PATH], group[16];

	sysfs_path(path, "bus/pci/devices/%s/iommu_group", name);
	sysfs_link(path, group, sizeof(group));
	node[0] = '\0';
	if (group[0])
		pci_group_node(atoi(group), node);
}

bool pci_is_open(const char *name)
{
	char driver[32], node[PCI_GROUP_NODE];
	int fd;

	current_driver(name, driver);
	group_node(name, node);
	if (!strstr(driver, "vfio") || !node[0])
		return false;
	fd = sys_open(node, O_RDWR);
	sys_close(fd);
	return fd == -EBUSY;
}

/*
 * The kernel would wait for whoever has the device open, without end and without a signal's getting
 * through (vfio_unregister_group_dev()).
 */
static int check_unused(const char *name)
{
	char node[PCI_GROUP_NODE];

	if (!pci_is_open(name))
		return 0;
	group_node(name, node);
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE("open", node),
			"a process (maybe this one) has the device, or another of its group, open; "
			"`fuser -v %s /dev/vfio/devices/*` shows which", node);
}

static int release(const char *name)
{
	char driver[32];

	current_driver(name, driver);
	return driver[0] ? write_attribute(name, "driver/unbind", name) : 0;
}

static int probe(const char *name)
{
	char path[SYSFS_PATH];
	int rc;

	sysfs_path(path, "bus/pci/drivers_probe");
	rc = sysfs_write(path, name);
	return rc < 0 ? refused(rc, "write", path, "the kernel refused it") : 0;
}

/* Best effort on the way out of a failure: the first error is the one to report. */
static void put_back(const char *name, const char *override, const char *driver)
{
	struct vfc_error first = *vfc_error_last();

	write_attribute(name, "driver_override", override[0] ? override : "\n");
	if (driver[0])
		probe(name);
	vfc_error_restore(&first);
}

static int require_driver(const char *name, const char *driver)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/drivers/%s", driver);
	if (sys_exists(path))
		return 0;
	return vfc_fail(ENOENT, VFC_REASON_NO_DRIVER, WHERE(.object = name),
			"the driver %s is not loaded: modprobe %s", driver, driver);
}

static int verify(const char *name, const char *driver)
{
	char now[32], path[SYSFS_PATH], hint[96] = "";

	current_driver(name, now);
	if (!strcmp(now, driver))
		return 0;
	/* drivers_probe reports success even when no driver took the device. */
	sysfs_path(path, "bus/pci/devices/%s/iommu_group", name);
	if (!sys_exists(path))
		snprintf(hint, sizeof(hint),
			 "; the device is in no IOMMU group, is the IOMMU off? see `vfio doctor`");
	return vfc_fail(now[0] ? EBUSY : ENODEV,
			hint[0] ? VFC_REASON_NO_IOMMU : VFC_REASON_NO_DRIVER, WHERE(.object = name),
			"%s did not take the device, %s has it (the kernel log may say why)%s",
			driver, now[0] ? now : "no driver", hint);
}

static int give(const char *node, int uid, int gid)
{
	int rc = sys_chown(node, uid, gid);

	if (rc < 0)
		return vfc_fail(rc, rc == -EPERM ? VFC_REASON_PERMISSION : VFC_REASON_NONE,
				WHERE("chown", node),
				"the device is bound, but its node could not be handed over");
	return 0;
}

/* The group's node, and the device's own where the kernel makes one. */
static int give_nodes(const char *name, int uid, int gid)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	char node[64];
	int rc;

	if (uid < 0 && gid < 0)
		return 0;
	rc = vfc_pci_info(name, &info);
	if (rc < 0)
		return rc;
	if (info.iommu_group < 0)
		return vfc_fail(ENODEV, VFC_REASON_NO_IOMMU, WHERE(.object = name),
				"the device is bound, but it is in no IOMMU group: there is no node that "
				"could be handed over");
	pci_group_node(info.iommu_group, node);
	for (int64_t end = sys_now() + WAIT_NS; !sys_exists(node) && sys_now() < end;)
		sys_sleep(LOOK_NS);
	rc = give(node, uid, gid);
	snprintf(node, sizeof(node), "/dev/vfio/devices/%.31s", info.vfio_cdev);
	if (rc == 0 && info.vfio_cdev[0] && sys_exists(node))
		rc = give(node, uid, gid);
	return rc;
}

static bool has_driver(const char *name, const char *driver)
{
	char now[32];

	current_driver(name, now);
	return !strcmp(now, driver);
}

/*
 * A device that was just plugged in is seen in sysfs before the kernel lets any driver match it, and
 * then its usual driver may be faster than we are (pci_bus_add_device(), drivers/pci/bus.c): so what
 * was not taken is offered again for a while.
 */
static int offer(const char *name, const char *driver)
{
	int rc = 0;

	for (int64_t pause = LOOK_NS; !has_driver(name, driver) && pause < WAIT_NS; pause *= 2) {
		rc = release(name);
		if (rc == 0)
			rc = probe(name);
		if (rc < 0)
			break;
		if (!has_driver(name, driver))
			sys_sleep(pause);
	}
	return rc < 0 ? rc : verify(name, driver);
}

static int bind_to(const char *name, const char *driver, const char *former, const char *override)
{
	char path[SYSFS_PATH];
	bool again;
	int rc = check_unused(name);

	if (rc < 0)
		return rc;
	/* Bound by us to another driver: what it had before that is remembered already. */
	state_path(name, path);
	again = override[0] && !strcmp(override, former) && sys_exists(path);
	if (!again)
		rc = remember(name, former[0] ? former : NO_DRIVER);
	if (rc < 0)
		return rc;
	rc = write_attribute(name, "driver_override", driver);
	if (rc == 0)
		rc = offer(name, driver);
	if (rc < 0) {
		put_back(name, override, former);
		if (!again)
			sys_unlink(path);
	}
	return rc;
}

int vfc_pci_bind(const char *name, const struct vfc_pci_bind_opts *opts)
{
	static const struct vfc_pci_bind_opts defaults = {.size = sizeof(defaults), .uid = -1, .gid = -1};
	struct vfc_pci_info info = {.size = sizeof(info)};
	struct vfc_pci_bind_opts own;
	const char *driver;
	int rc;

	opts = opts ? OPTIONS_OF(offsetof(struct vfc_pci_bind_opts, reserved), vfc_pci_bind_opts, opts, &own)
		    : &defaults;
	if (!opts)
		return vfc_done(OPTIONS_REFUSED);
	driver = opts->driver ? opts->driver : "vfio-pci";
	rc = vfc_pci_info(name, &info);
	if (rc == 0)
		rc = require_driver(info.name, driver);
	if (rc == 0 && strcmp(info.driver, driver))
		rc = bind_to(info.name, driver, info.driver, info.driver_override);
	if (rc == 0)
		rc = give_nodes(info.name, opts->uid, opts->gid);
	return vfc_done(rc);
}

/* The driver that vfc_pci_bind() displaced; "" when it displaced none or did not bind at all. */
static void recall(const char *name, char driver[32])
{
	char path[SYSFS_PATH];

	state_path(name, path);
	if (sysfs_read(path, driver, 32) < 0 || !strcmp(driver, NO_DRIVER))
		driver[0] = '\0';
}

static int unbind(const char *name)
{
	char path[SYSFS_PATH], former[32], now[32];
	bool bound_by_us;
	int rc;

	state_path(name, path);
	bound_by_us = sys_exists(path);
	recall(name, former);
	rc = check_unused(name);
	if (rc == 0)
		rc = write_attribute(name, "driver_override", "\n");
	if (rc == 0)
		rc = release(name);
	/* A device that had no driver before gets none now. */
	if (rc == 0 && (former[0] || !bound_by_us))
		rc = probe(name);
	if (rc < 0)
		return rc;
	current_driver(name, now);
	if (former[0] && strcmp(now, former))
		return vfc_fail(ENODEV, VFC_REASON_NO_DRIVER, WHERE(.object = name),
				"the former driver %s did not take the device back; is it loaded?",
				former);
	if (bound_by_us)
		sys_unlink(path);
	return 0;
}

int vfc_pci_unbind(const char *name)
{
	char canonical[VFC_PCI_NAME] = "";
	int rc = pci_find(name, canonical);

	return vfc_done(rc < 0 ? rc : unbind(canonical));
}
