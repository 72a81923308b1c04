/* SPDX-License-Identifier: MIT */
/*
 * Every bus has a folder in sysfs with a link to each of its devices
 * (Documentation/driver-api/driver-model/bus.rst). So a name is looked for in all of them.
 */
#include "pci/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/pci.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "base/sized.h"
#include "pci/sysfs.h"

#define UUID_CHARS 36

static bool is_uuid(const char *name)
{
	return strlen(name) == UUID_CHARS && name[strspn(name, "0123456789abcdefABCDEF-")] == '\0';
}

void bus_name(const char *given, char name[VFC_BUS_NAME])
{
	size_t end = strlen(given), start;

	while (end > 1 && given[end - 1] == '/')
		end--;
	for (start = end; start && given[start - 1] != '/';)
		start--;
	snprintf(name, VFC_BUS_NAME, "%.*s", (int)(end - start), given + start);
}

static bool on_bus(const char *bus, const char *name)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/%s/devices/%s", bus, name);
	return sys_exists(path);
}

static int no_device(const char *name, const char *where)
{
	return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, WHERE(.object = name),
			"no such %s; `vfio list` shows what there is", where);
}

/* The link "subsystem" in a device's folder leads to its bus. */
static int find_path(const char *given, struct vfc_bus_info *info)
{
	char path[SYSFS_PATH];

	bus_name(given, info->name);
	if (snprintf(path, sizeof(path), "%s/subsystem", given) < (int)sizeof(path))
		sysfs_link(path, info->bus, sizeof(info->bus));
	return info->bus[0] && on_bus(info->bus, info->name) ? 0
							     : no_device(given, "device's folder in sysfs");
}

static int find_pci(const char *name, struct vfc_bus_info *info)
{
	snprintf(info->bus, sizeof(info->bus), "pci");
	return pci_find(name, info->name);
}

/*
 * List the entries of a folder in sysfs. An older kernel may not have the folder. It counts as
 * empty then.
 */
static int folder(const char *name, struct dirent ***entries)
{
	char path[SYSFS_PATH];
	int n;

	*entries = NULL;
	sysfs_path(path, "%s", name);
	n = sys_folder(path, entries);
	if (n < 0 && n != -ENOENT)
		return vfc_fail(n, VFC_REASON_NONE, WHERE("open", path),
				"the folder could not be read, so what is in it is not known");
	return n == -ENOENT ? 0 : n;
}

/* Count the buses that have a device of that name. @info gets the last of them. */
static int search(const char *name, struct vfc_bus_info *info)
{
	struct dirent **entries;
	int found = 0, n = folder("bus", &entries);

	for (int i = 0; i < n; i++) {
		const char *bus = entries[i]->d_name;

		if (strlen(bus) >= sizeof(info->bus) || !on_bus(bus, name))
			continue;
		snprintf(info->bus, sizeof(info->bus), "%s", bus);
		found++;
	}
	sys_folder_free(entries, n);
	return n < 0 ? n : found;
}

static int find_name(const char *name, struct vfc_bus_info *info)
{
	int found;

	if (!*name || name[0] == '.' || strlen(name) >= sizeof(info->name))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"\"%.40s\" is not a PCI address; they look like 0000:01:00.0", name);
	found = search(name, info);
	if (found < 0)
		return found;
	snprintf(info->name, sizeof(info->name), "%s", name);
	if (found == 1)
		return 0;
	if (found)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"%d buses have a device of that name: give its path in sysfs, "
				"/sys/bus/%s/devices/%s", found, info->bus, name);
	if (is_uuid(name))
		return no_device(name, "mediated device in /sys/bus/mdev/devices");
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"\"%.40s\" is not a PCI address; they look like 0000:01:00.0. Nor has any other "
			"bus a device of that name (/sys/bus/*/devices)", name);
}

static int find(const char *name, struct vfc_bus_info *info)
{
	char canonical[VFC_PCI_NAME];
	int rc;

	if (!name)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "the device's name is NULL");
	if (strchr(name, '/'))
		return find_path(name, info);
	error_quiet_begin();
	rc = pci_canonical(name, canonical);
	error_quiet_end();
	return rc == 0 ? find_pci(name, info) : find_name(name, info);
}

static void link_of(const struct vfc_bus_info *info, const char *file, char *text, size_t size)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/%s/devices/%s/%s", info->bus, info->name, file);
	sysfs_link(path, text, size);
}

static void read_info(struct vfc_bus_info *info)
{
	char path[SYSFS_PATH], group[16];

	link_of(info, "driver", info->driver, sizeof(info->driver));
	link_of(info, "iommu_group", group, sizeof(group));
	info->iommu_group = group[0] ? atoi(group) : -1;
	sysfs_path(path, "bus/%s/devices/%s/vfio-dev", info->bus, info->name);
	sysfs_entry(path, info->vfio_cdev, sizeof(info->vfio_cdev));
}

int vfc_bus_info(const char *name, struct vfc_bus_info *info)
{
	struct vfc_bus_info now = {.size = sizeof(now)};
	int rc = ANSWER_CHECK(vfc_bus_info, info);

	if (rc == 0)
		rc = find(name, &now);
	if (rc == 0) {
		read_info(&now);
		sized_answer(info, &now, sizeof(now));
	}
	return vfc_done(rc);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Find the name of the device behind /sys/class/vfio-dev/@entry. */
static bool device_of(const char *entry, char name[VFC_BUS_NAME])
{
	char path[SYSFS_PATH];

	sysfs_path(path, "class/vfio-dev/%.31s/device", entry);
	sysfs_link(path, name, VFC_BUS_NAME);
	return name[0];
}

static int list(char (*names)[VFC_BUS_NAME], size_t count)
{
	char(*all)[VFC_BUS_NAME];
	struct dirent **entries;
	size_t found = 0;
	int n = folder("class/vfio-dev", &entries);

	if (n < 0)
		return n;
	all = sys_alloc((size_t)(n + 1) * sizeof(*all));
	for (int i = 0; all && i < n; i++)
		found += device_of(entries[i]->d_name, all[found]);
	sys_folder_free(entries, n);
	if (!all)
		return vfc_no_memory();
	if (found)
		qsort(all, found, sizeof(*all), by_name);
	if (found && count && names)
		memcpy(names, all, (found < count ? found : count) * sizeof(*all));
	free(all);
	return (int)found;
}

int vfc_bus_list(char (*names)[VFC_BUS_NAME], size_t count)
{
	return vfc_done(list(names, count));
}

/* A mediated device always belongs to VFIO, whatever its driver is called. */
bool bus_has_vfio(const struct vfc_bus_info *info)
{
	if (strstr(info->driver, "vfio") || !strcmp(info->bus, "mdev"))
		return true;
	return strcmp(info->bus, "pci") && info->vfio_cdev[0];
}

void bus_of_string(const struct vfc_bus_info *info, const char *property, uint32_t index, char *text,
		   size_t size)
{
	char path[SYSFS_PATH], strings[1024];
	ssize_t n = -1;
	size_t at = 0;
	int fd;

	sysfs_path(path, "bus/%s/devices/%s/of_node/%s", info->bus, info->name, property);
	fd = sys_open(path, O_RDONLY);
	if (fd >= 0)
		n = sys_read(fd, strings, sizeof(strings) - 1);
	sys_close(fd);
	strings[n > 0 ? n : 0] = '\0';
	for (; index && n > 0 && at < (size_t)n; index--)
		at += strlen(strings + at) + 1;
	snprintf(text, size, "%s", n > 0 && at < (size_t)n ? strings + at : "");
}
