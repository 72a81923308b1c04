/* SPDX-License-Identifier: MIT */
/*
 * Binding uses driver_override, which touches only this device. new_id would grab every device of
 * the same id (Documentation/ABI/testing/sysfs-bus-pci).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sized.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

#define NO_DRIVER "none" /* in the state file: the device had no driver */

/* Room for a driver's name. The kernel sets no limit, but a module's name has 56 bytes. */
#define DRIVER_NAME 128

/* linux/pci_regs.h: PCI_HEADER_TYPE and its mask. */
#define HEADER_TYPE 0x0e
#define HEADER_KIND 0x7f

/*
 * How long the kernel may take to match a device with its driver and then to make its nodes, and
 * how long to pause between two looks.
 */
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

	return vfc_fail(
		rc, permission ? VFC_REASON_PERMISSION : VFC_REASON_NONE, WHERE(call, path), "%s",
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

static void current_driver(const char *name, char driver[DRIVER_NAME])
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/driver", name);
	sysfs_link(path, driver, DRIVER_NAME);
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

static int take_from_driver(const char *name)
{
	char driver[DRIVER_NAME];

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

/*
 * Give the device back to @driver after a failure. That failure is the one to report, so nothing is
 * recorded here. A device that somebody has opened meanwhile stays bound, because releasing it
 * would wait for them.
 */
static void put_back(const char *name, const char *override, const char *driver)
{
	char now[DRIVER_NAME];

	error_quiet_begin();
	write_attribute(name, "driver_override", override[0] ? override : "\n");
	current_driver(name, now);
	if (strcmp(now, driver) && pci_check_closed(name) == 0) {
		take_from_driver(name);
		if (driver[0])
			probe(name);
	}
	error_quiet_end();
}

/*
 * Find a loaded driver that differs only in dashes and underscores. The module "vfio_pci" has the
 * driver "vfio-pci", and people mix them up.
 */
static bool other_spelling(const char *driver, char spelling[DRIVER_NAME])
{
	char path[SYSFS_PATH];
	char from = strchr(driver, '_') ? '_' : '-';

	snprintf(spelling, DRIVER_NAME, "%s", driver);
	for (char *at = spelling; *at; at++)
		*at = *at == from ? (char)('_' + '-' - from) : *at;
	sysfs_path(path, "bus/pci/drivers/%s", spelling);
	return strcmp(spelling, driver) && sys_exists(path);
}

static int require_driver(const char *name, const char *driver)
{
	char path[SYSFS_PATH], spelling[DRIVER_NAME];

	if (!*driver || *driver == '.' || driver[strcspn(driver, "/\n")] ||
	    strlen(driver) >= DRIVER_NAME)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"\"%.40s\" is no driver's name; /sys/bus/pci/drivers has them",
				driver);
	sysfs_path(path, "bus/pci/drivers/%s", driver);
	if (sys_exists(path))
		return 0;
	if (other_spelling(driver, spelling))
		return vfc_fail(ENOENT, VFC_REASON_NO_DRIVER, WHERE(.object = name),
				"there is no driver %s; %s is loaded", driver, spelling);
	return vfc_fail(ENOENT, VFC_REASON_NO_DRIVER, WHERE(.object = name),
			"the driver %s is not loaded: modprobe %s", driver, driver);
}

/* vfio_pci_probe() refuses every header type but that of an ordinary function. */
static int refuse_bridge(const char *name, const char *driver)
{
	char path[SYSFS_PATH];
	uint8_t type = 0;
	int fd;

	if (!pci_is_vfio_driver(driver))
		return 0;
	sysfs_path(path, "bus/pci/devices/%s/config", name);
	fd = sys_open(path, O_RDONLY);
	if (fd >= 0 && sys_pread(fd, &type, 1, HEADER_TYPE) != 1)
		type = 0; /* the kernel will judge */
	sys_close(fd);
	if (!(type & HEADER_KIND))
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = name),
			"it is a bridge, and VFIO drives none; it may keep its driver, which is in "
			"no device's "
			"way that it leads to");
}

/* A device that the host uses is taken away from it only on request. */
static int refuse_used(const char *name, const char *driver, const char *verb, uint32_t flags)
{
	char why[200];
	int rc;

	if ((flags & VFC_PCI_FORCE) || !driver[0] || pci_is_vfio_driver(driver))
		return 0;
	rc = pci_in_use(name, NULL, why, sizeof(why));
	if (rc <= 0)
		return rc;
	return vfc_fail(
		EBUSY, VFC_REASON_BUSY, WHERE(.object = name),
		"the host uses it: %s. Stop using it first, or take it away from the host by "
		"`vfio %s --force` (VFC_PCI_FORCE)",
		why, verb);
}

static int check_flags(uint32_t flags)
{
	if (!(flags & ~(uint32_t)(VFC_PCI_FORCE | VFC_PCI_DRY_RUN)))
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"flags 0x%x: there are VFC_PCI_FORCE and VFC_PCI_DRY_RUN", flags);
}

static int verify(const char *name, const char *driver)
{
	char now[DRIVER_NAME], path[SYSFS_PATH], hint[96] = "";

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
				WHERE("chown", node), "the node could not be handed over");
	return 0;
}

/*
 * Hand over both nodes or none. If the second cannot be given, the group's node gets its former
 * owner back.
 */
static int give_both(const char *group, const char *cdev, int uid, int gid)
{
	int rc, former_uid, former_gid;

	rc = sys_owner(group, &former_uid, &former_gid);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("stat", group),
				"the node could not be handed over");
	rc = give(group, uid, gid);
	if (rc == 0 && cdev[0])
		rc = give(cdev, uid, gid);
	if (rc < 0)
		sys_chown(group, former_uid, former_gid);
	return rc;
}

/* Hand over the group's node, and the device's own if the kernel makes one. */
static int give_nodes(const char *name, int uid, int gid)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	char group[PCI_GROUP_NODE], cdev[64] = "";
	int rc;

	if (uid < 0 && gid < 0)
		return 0;
	rc = vfc_pci_info(name, &info);
	if (rc < 0)
		return rc;
	if (info.iommu_group < 0)
		return vfc_fail(
			ENODEV, VFC_REASON_NO_IOMMU, WHERE(.object = name),
			"the device is in no IOMMU group, so there is no node that could be handed "
			"over");
	pci_group_node(info.iommu_group, group);
	for (int64_t end = sys_now() + WAIT_NS; !sys_exists(group) && sys_now() < end;)
		sys_sleep(LOOK_NS);
	if (info.vfio_cdev[0])
		snprintf(cdev, sizeof(cdev), "/dev/vfio/devices/%.31s", info.vfio_cdev);
	if (!sys_exists(cdev))
		cdev[0] = '\0';
	return give_both(group, cdev, uid, gid);
}

static bool has_driver(const char *name, const char *driver)
{
	char now[DRIVER_NAME];

	current_driver(name, now);
	return !strcmp(now, driver);
}

/*
 * A device that was just plugged in appears in sysfs before the kernel lets any driver match it.
 * Its usual driver may then be faster than we are (pci_bus_add_device(), drivers/pci/bus.c). So
 * offer the device again for a while if our driver did not get it.
 */
static int offer(const char *name, const char *driver)
{
	int rc = 0;

	for (int64_t pause = LOOK_NS; !has_driver(name, driver) && pause < WAIT_NS; pause *= 2) {
		rc = take_from_driver(name);
		if (rc == 0)
			rc = probe(name);
		if (rc < 0)
			break;
		if (!has_driver(name, driver))
			sys_sleep(pause);
	}
	return rc < 0 ? rc : verify(name, driver);
}

/* What a device had before, so that it can be put back after a failure. */
struct before {
	char driver[DRIVER_NAME];
	char override[DRIVER_NAME];
	bool again; /* bound by us to another driver; what it had before is remembered */
};

static void look_before(const char *name, struct before *before)
{
	char path[SYSFS_PATH];

	current_driver(name, before->driver);
	pci_override(name, before->override, sizeof(before->override));
	state_path(name, path);
	before->again = before->override[0] && !strcmp(before->override, before->driver) &&
			sys_exists(path);
}

static void undo(const char *name, const struct before *before)
{
	put_back(name, before->override, before->driver);
	if (!before->again)
		pci_bind_forget(name);
}

static int bind_to(const char *name, const char *driver, const struct before *before)
{
	int rc = 0;

	if (!before->again)
		rc = remember(name, before->driver[0] ? before->driver : NO_DRIVER);
	if (rc < 0)
		return rc;
	rc = write_attribute(name, "driver_override", driver);
	if (rc == 0)
		rc = offer(name, driver);
	if (rc < 0)
		undo(name, before);
	return rc;
}

/* Check what can be checked before anything is changed. */
static int check_bind(const char *name, const char *driver, const struct before *before,
		      uint32_t flags)
{
	int rc = require_driver(name, driver);

	if (rc == 0)
		rc = refuse_bridge(name, driver);
	if (rc < 0 || !strcmp(before->driver, driver))
		return rc;
	rc = refuse_used(name, before->driver, "bind", flags);
	return rc < 0 ? rc : pci_check_closed(name);
}

static int bind_and_give(const char *name, const char *driver, const struct vfc_pci_bind_opts *opts)
{
	struct before before;
	bool bound;
	int rc;

	look_before(name, &before);
	bound = !strcmp(before.driver, driver);
	rc = check_bind(name, driver, &before, opts->flags);
	if (rc < 0 || (opts->flags & VFC_PCI_DRY_RUN))
		return rc;
	if (!bound)
		rc = bind_to(name, driver, &before);
	if (rc < 0)
		return rc;
	rc = give_nodes(name, opts->uid, opts->gid);
	if (rc < 0 && !bound)
		undo(name, &before);
	return rc;
}

int vfc_pci_bind(const char *name, const struct vfc_pci_bind_opts *opts)
{
	static const struct vfc_pci_bind_opts defaults = {
		.size = sizeof(defaults), .uid = -1, .gid = -1};
	char canonical[VFC_PCI_NAME] = "";
	struct vfc_pci_bind_opts own;
	int rc;

	opts = opts ? OPTIONS_OF(offsetof(struct vfc_pci_bind_opts, flags), vfc_pci_bind_opts, opts,
				 &own)
		    : &defaults;
	if (!opts)
		return vfc_done(OPTIONS_REFUSED);
	rc = check_flags(opts->flags);
	if (rc == 0)
		rc = pci_find(name, canonical);
	if (rc == 0)
		rc = bind_and_give(canonical, opts->driver ? opts->driver : "vfio-pci", opts);
	return vfc_done(rc);
}

/*
 * Find the driver that vfc_pci_bind() displaced. It is "" if there was none or we did not bind the
 * device.
 */
static void recall(const char *name, char driver[DRIVER_NAME])
{
	char path[SYSFS_PATH];

	state_path(name, path);
	if (sysfs_read(path, driver, DRIVER_NAME) < 0 || !strcmp(driver, NO_DRIVER))
		driver[0] = '\0';
}

/* A typo in the device's name must not cost the host one of its devices. */
static int refuse_hosts(const char *name, const char *driver, bool bound_by_us, uint32_t flags)
{
	int rc = refuse_used(name, driver, "unbind", flags);

	if (rc < 0 || (flags & VFC_PCI_FORCE) || !driver[0] || bound_by_us ||
	    pci_is_vfio_driver(driver))
		return rc;
	return vfc_fail(
		EBUSY, VFC_REASON_BUSY, WHERE(.object = name),
		"the host's driver %s has it, and there is no bind to be undone. `vfio unbind "
		"--force` (VFC_PCI_FORCE) takes it away from that driver",
		driver);
}

static int unbind(const char *name, uint32_t flags)
{
	char path[SYSFS_PATH], former[DRIVER_NAME], now[DRIVER_NAME];
	bool bound_by_us;
	int rc;

	state_path(name, path);
	bound_by_us = sys_exists(path);
	recall(name, former);
	current_driver(name, now);
	rc = refuse_hosts(name, now, bound_by_us, flags);
	if (rc == 0)
		rc = pci_check_closed(name);
	if (rc < 0 || (flags & VFC_PCI_DRY_RUN))
		return rc;
	rc = write_attribute(name, "driver_override", "\n");
	if (rc == 0)
		rc = take_from_driver(name);
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

int vfc_pci_unbind_with(const char *name, uint32_t flags)
{
	char canonical[VFC_PCI_NAME] = "";
	int rc = check_flags(flags);

	if (rc == 0)
		rc = pci_find(name, canonical);
	return vfc_done(rc < 0 ? rc : unbind(canonical, flags));
}

int vfc_pci_unbind(const char *name)
{
	return vfc_done(vfc_pci_unbind_with(name, 0));
}
