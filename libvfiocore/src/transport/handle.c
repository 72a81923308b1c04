/* SPDX-License-Identifier: MIT */
/*
 * Find out what kind a descriptor is. No request is tried on it, because the same number means one
 * thing to a container and another to a device (112 is an example). sysfs knows character devices
 * by their number, and /proc knows what has no node.
 */
#include "transport/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

#define SYSPATH "vfio-device-syspath:" /* since Linux 7.2 (vfio_device_show_fdinfo()) */

static const char *const nodes[] = {
	[HANDLE_IOMMUFD] = "/dev/iommu",
	[HANDLE_CONTAINER] = "a container, /dev/vfio/vfio",
	[HANDLE_GROUP] = "a group, /dev/vfio/GROUP",
	[HANDLE_CDEV] = "a device, /dev/vfio/devices/vfioN",
	[HANDLE_DEVICE] = "a device's of VFIO_GROUP_GET_DEVICE_FD",
};

static bool ends(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

/* Copy the last component of the first @length bytes of @path. */
static void copy_component(const char *path, size_t length, char *name, size_t size)
{
	size_t start = length;

	while (start && path[start - 1] != '/')
		start--;
	if (length - start >= size)
		return;
	memcpy(name, path + start, length - start);
	name[length - start] = '\0';
}

/* @path: where /sys/dev/char/MAJOR:MINOR points. */
static void of_node(const char *path, struct handle *handle)
{
	const char *device = strstr(path, "/vfio-dev/");
	const char *last = strrchr(path, '/');

	if (device) {
		handle->kind = HANDLE_CDEV;
		copy_component(path, (size_t)(device - path), handle->name, sizeof(handle->name));
	} else if (ends(path, "/misc/iommu")) {
		handle->kind = HANDLE_IOMMUFD;
	} else if (ends(path, "/misc/vfio")) {
		handle->kind = HANDLE_CONTAINER;
	} else if (last && last - path >= 5 && !strncmp(last - 5, "/vfio", 5)) {
		handle->kind = HANDLE_GROUP;
	}
}

static void read_name(int fd, struct handle *handle)
{
	char path[40], text[1024], *line;
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = sys_open(path, O_RDONLY);
	if (info < 0)
		return;
	n = sys_read(info, text, sizeof(text) - 1);
	sys_close(info);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, SYSPATH);
	if (line)
		copy_component(line, strcspn(line, "\n"), handle->name, sizeof(handle->name));
}

int handle_find(int fd, struct handle *handle)
{
	char path[SYSFS_PATH], target[SYSFS_PATH] = "";
	unsigned major, minor;
	int rc = sys_character_device(fd, &major, &minor);

	*handle = (struct handle){0};
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_ARGUMENT, WHERE("fstat"), "descriptor %d is not open", fd);
	if (rc) {
		sysfs_path(path, "dev/char/%u:%u", major, minor);
		if (sys_readlink(path, target, sizeof(target)) == 0)
			of_node(target, handle);
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (sys_readlink(path, target, sizeof(target)) == 0 &&
		    !strcmp(target, "anon_inode:[vfio-device]")) {
			handle->kind = HANDLE_DEVICE;
			read_name(fd, handle);
		}
	}
	if (handle->kind)
		snprintf(handle->text, sizeof(handle->text), "%s", nodes[handle->kind]);
	else if (rc) /* "../../devices/virtual/mem/null" */
		snprintf(handle->text, sizeof(handle->text), "a character device, %.150s",
			 target[0] ? target + strspn(target, "./") : "which sysfs does not know");
	else
		snprintf(handle->text, sizeof(handle->text), "%.190s", target[0] ? target : "unknown");
	return 0;
}

int handle_refuse(int fd, const struct handle *handle, const char *wanted)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "descriptor %d is %s: %s", fd, handle->text,
			wanted);
}
