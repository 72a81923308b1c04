/* SPDX-License-Identifier: MIT */
/*
 * Who has a device open through VFIO? Unbinding waits for whoever has it, without a timeout and
 * without letting a signal through (vfio_unregister_group_dev()). So ask before unbinding.
 *
 * Opening the group's node fails with EBUSY if it is open, or if a device of the group is bound to
 * an iommufd. A device's own node can be opened any number of times. Each open file keeps the
 * device, even while it is not bound to an iommufd yet. Only /proc tells which files are open. It
 * tells this for the processes that we may look into; for root these are all in its PID namespace.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/pci.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

struct node {
	unsigned major;
	unsigned minor;
};

bool pci_is_vfio_driver(const char *driver)
{
	return strstr(driver, "vfio");
}

static bool has_vfio_driver(const char *name)
{
	char path[SYSFS_PATH], driver[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/driver", name);
	sysfs_link(path, driver, sizeof(driver));
	return pci_is_vfio_driver(driver);
}

static bool group_is_open(const char *name, char node[PCI_GROUP_NODE])
{
	char path[SYSFS_PATH], group[16];
	int fd;

	sysfs_path(path, "bus/pci/devices/%s/iommu_group", name);
	sysfs_link(path, group, sizeof(group));
	if (!group[0])
		return false;
	pci_group_node(atoi(group), node);
	fd = sys_open(node, O_RDWR);
	sys_close(fd);
	return fd == -EBUSY;
}

/* Find the name ("vfio3") and the number of the device's own node. False: the kernel has none. */
static bool find_cdev(const char *name, char cdev[32], struct node *node)
{
	char path[SYSFS_PATH], number[32];

	sysfs_path(path, "bus/pci/devices/%s/vfio-dev", name);
	sysfs_entry(path, cdev, 32);
	sysfs_path(path, "bus/pci/devices/%s/vfio-dev/%s/dev", name, cdev);
	return cdev[0] && sysfs_read(path, number, sizeof(number)) == 0 &&
	       sscanf(number, "%u:%u", &node->major, &node->minor) == 2;
}

static bool is_node(const char *path, const struct node *node)
{
	unsigned major, minor;

	return sys_character_node(path, &major, &minor) == 1 && major == node->major &&
	       minor == node->minor;
}

static bool process_has(const char *pid, const struct node *node)
{
	char folder[SYSFS_PATH], path[SYSFS_PATH];
	struct dirent **entries;
	bool found = false;
	int n;

	proc_path(folder, "%s/fd", pid);
	n = sys_folder(folder, &entries);
	for (int i = 0; i < n && !found; i++) {
		proc_path(path, "%s/fd/%s", pid, entries[i]->d_name);
		found = is_node(path, node);
	}
	sys_folder_free(entries, n);
	return found;
}

/* Return the number of a process that has the node open; 0: none is known. */
static int find_process(const struct node *node)
{
	struct dirent **entries;
	int pid = 0, n = sys_folder(proc_root(), &entries);

	for (int i = 0; i < n && !pid; i++)
		if (isdigit((unsigned char)entries[i]->d_name[0]) &&
		    process_has(entries[i]->d_name, node))
			pid = atoi(entries[i]->d_name);
	sys_folder_free(entries, n);
	return pid;
}

static int cdev_is_open(const char *name, const char *cdev, const struct node *node)
{
	char path[SYSFS_PATH], command[32];
	int pid = find_process(node);

	if (!pid)
		return 0;
	proc_path(path, "%d/comm", pid);
	sysfs_read(path, command, sizeof(command));
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = name),
			"process %d (%s)%s has /dev/vfio/devices/%s open: it must close it "
			"first",
			pid, command, pid == sys_pid() ? ", which is this one," : "", cdev);
}

int pci_check_closed(const char *name)
{
	char node[PCI_GROUP_NODE], cdev[32];
	struct node number;

	if (!has_vfio_driver(name))
		return 0;
	if (group_is_open(name, node))
		return vfc_fail(
			EBUSY, VFC_REASON_BUSY, WHERE("open", node),
			"a process (maybe this one) has the device, or another of its group, open; "
			"`fuser -v %s /dev/vfio/devices/*` shows which",
			node);
	return find_cdev(name, cdev, &number) ? cdev_is_open(name, cdev, &number) : 0;
}

bool pci_is_open(const char *name)
{
	bool open;

	error_quiet_begin();
	open = pci_check_closed(name) < 0;
	error_quiet_end();
	return open;
}
