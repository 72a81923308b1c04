/* SPDX-License-Identifier: MIT */
#include "pci/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/pci.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "base/sized.h"

/* The third column of a device's "resource" file (linux/ioport.h), and the line of the ROM. */
#define RESOURCE_IO 0x00000100
#define RESOURCE_PREFETCH 0x00002000
#define RESOURCE_MEM_64 0x00100000
#define RESOURCE_ROM 6

const char *sysfs_root(void)
{
	const char *root = secure_getenv("VFIOCORE_SYSFS");

	return root && *root ? root : "/sys";
}

const char *proc_root(void)
{
	const char *root = secure_getenv("VFIOCORE_PROC");

	return root && *root ? root : "/proc";
}

static void path_in(const char *root, char path[SYSFS_PATH], const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void path_in(const char *root, char path[SYSFS_PATH], const char *format, va_list args)
{
	int n = snprintf(path, SYSFS_PATH, "%s/", root);

	if (n >= SYSFS_PATH)
		n = SYSFS_PATH - 1;
	vsnprintf(path + n, (size_t)(SYSFS_PATH - n), format, args);
}

void sysfs_path(char path[SYSFS_PATH], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	path_in(sysfs_root(), path, format, args);
	va_end(args);
}

void proc_path(char path[SYSFS_PATH], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	path_in(proc_root(), path, format, args);
	va_end(args);
}

int sysfs_text(const char *path, char *text, size_t size)
{
	int fd = sys_open(path, O_RDONLY);
	ssize_t n;

	text[0] = '\0';
	if (fd < 0)
		return fd;
	n = sys_read(fd, text, size - 1);
	sys_close(fd);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return 0;
}

/* Read @fd to its end, after the @used bytes that are in @text. This takes over @text. */
static int read_on(int fd, char *text, size_t used, size_t size, char **whole)
{
	ssize_t n;

	do {
		if (used + 1 == size) {
			char *larger = sys_alloc(size *= 2);

			if (larger)
				memcpy(larger, text, used);
			free(text);
			text = larger;
		}
		n = text ? sys_read(fd, text + used, size - used - 1) : -ENOMEM;
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n < 0) {
		free(text);
		return (int)n;
	}
	*whole = text; /* sys_alloc() zeroed it, so it ends with a NUL */
	return 0;
}

int sysfs_whole(const char *path, char **text)
{
	int rc, fd = sys_open(path, O_RDONLY);

	if (fd < 0)
		return fd;
	rc = read_on(fd, sys_alloc(4096), 0, 4096, text);
	sys_close(fd);
	return rc;
}

int sysfs_read(const char *path, char *text, size_t size)
{
	int rc = sysfs_text(path, text, size);

	text[strcspn(text, "\n")] = '\0';
	return rc;
}

int64_t sysfs_number(const char *path, int64_t otherwise)
{
	char text[64], *end;
	int64_t value;

	if (sysfs_read(path, text, sizeof(text)) < 0)
		return otherwise;
	value = strtoll(text, &end, 0);
	return end == text ? otherwise : value;
}

int sysfs_write(const char *path, const char *text)
{
	int fd = sys_open(path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sys_write(fd, text, strlen(text));
	sys_close(fd);
	return n < 0 ? (int)n : 0;
}

void sysfs_link(const char *path, char *name, size_t size)
{
	char target[SYSFS_PATH], *slash;
	const char *last;
	size_t length;

	name[0] = '\0';
	if (sys_readlink(path, target, sizeof(target)) < 0)
		return;
	slash = strrchr(target, '/');
	last = slash ? slash + 1 : target;
	length = strnlen(last, size - 1);
	memcpy(name, last, length);
	name[length] = '\0';
}

void sysfs_entry(const char *path, char *name, size_t size)
{
	struct dirent **entries;
	int n = sys_folder(path, &entries);

	snprintf(name, size, "%.31s", n > 0 ? entries[0]->d_name : "");
	sys_folder_free(entries, n);
}

int pci_canonical(const char *given, char canonical[VFC_PCI_NAME])
{
	unsigned domain = 0, bus, slot, function;
	const char *name = given;
	int end = 0, saved = errno; /* sscanf() sets errno at the end of the text */

	if (!name)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "the device's name is NULL");
	/* %x alone would also accept blanks, signs and 0x, and wrap numbers that are too long. */
	if (name[strspn(name, "0123456789abcdefABCDEF:.")])
		name = "";
	if (sscanf(name, "%7x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 || name[end]) {
		domain = 0;
		end = 0;
		if (sscanf(name, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || name[end])
			end = 0;
	}
	errno = saved;
	if (!end || bus > 0xff || slot > 0x1f || function > 7)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"\"%.40s\" is not a PCI address; they look like 0000:01:00.0", given);
	snprintf(canonical, VFC_PCI_NAME, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return 0;
}

int pci_find(const char *name, char canonical[VFC_PCI_NAME])
{
	char path[SYSFS_PATH];
	int rc = pci_canonical(name, canonical);

	if (rc < 0)
		return rc;
	sysfs_path(path, "bus/pci/devices/%s", canonical);
	if (!sys_exists(path))
		return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, WHERE(.object = canonical),
				"no such PCI device in %s/bus/pci/devices; `vfio list` shows what there is",
				sysfs_root());
	return 0;
}

/* Put the first @count PCI names of a directory into @names. The names are sorted. */
static int list_names(const char *path, char (*names)[VFC_PCI_NAME], size_t count)
{
	struct dirent **entries;
	int found = 0, n = sys_folder(path, &entries);

	for (int i = 0; i < n; i++) {
		size_t length = strlen(entries[i]->d_name);

		if (length >= VFC_PCI_NAME)
			continue;
		if ((size_t)found < count) {
			memset(names[found], 0, VFC_PCI_NAME);
			memcpy(names[found], entries[i]->d_name, length);
		}
		found++;
	}
	sys_folder_free(entries, n);
	return n < 0 ? n : found;
}

static int public_list(const char *path, char (*names)[VFC_PCI_NAME], size_t count,
		       const char *hint)
{
	int rc = list_names(path, names, count);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE(.object = path), "%s", hint);
	return rc;
}

int vfc_pci_list(char (*names)[VFC_PCI_NAME], size_t count)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices");
	return vfc_done(public_list(path, names, count, "is sysfs mounted, and has this machine PCI?"));
}

int vfc_pci_group(int group, char (*names)[VFC_PCI_NAME], size_t count)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "kernel/iommu_groups/%d/devices", group);
	return vfc_done(public_list(path, names, count, "there is no IOMMU group of that number"));
}

void pci_group_holders(int group, char *text, size_t size)
{
	char names[64][VFC_PCI_NAME], path[SYSFS_PATH], driver[32];
	size_t used = 0;
	int n;

	text[0] = '\0';
	sysfs_path(path, "kernel/iommu_groups/%d/devices", group);
	n = list_names(path, names, 64);
	for (int i = 0; i < n && i < 64 && used < size; i++) {
		sysfs_path(path, "bus/pci/devices/%s/driver", names[i]);
		sysfs_link(path, driver, sizeof(driver));
		/*
		 * Bridges may keep pcieport. The kernel's own list (vfio_main.c) allows stubs as
		 * well.
		 */
		if (!driver[0] || strstr(driver, "vfio") || !strcmp(driver, "pci-stub") ||
		    !strcmp(driver, "pcieport"))
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s is bound to %s",
					 used ? ", " : "", names[i], driver);
	}
}

bool pci_group_unsafe(int group)
{
	char path[SYSFS_PATH], name[32];

	sysfs_path(path, "kernel/iommu_groups/%d/name", group);
	if (sysfs_read(path, name, sizeof(name)) < 0 || strcmp(name, "vfio-noiommu"))
		return false;
	/* Groups of mediated devices have this name too, but their nodes are not "noiommu-". */
	sysfs_path(path, "class/vfio/%d", group);
	return !sys_exists(path);
}

void pci_group_node(int group, char node[PCI_GROUP_NODE])
{
	snprintf(node, PCI_GROUP_NODE, "/dev/vfio/%s%d", pci_group_unsafe(group) ? "noiommu-" : "",
		 group);
}

static void read_bars(const char *name, struct vfc_pci_info *info)
{
	char path[SYSFS_PATH], text[1024]; /* seven lines of 57 bytes; a bridge has more */
	uint64_t first, last, flags;
	const char *line = text;
	int used;

	sysfs_path(path, "bus/pci/devices/%s/resource", name);
	sysfs_text(path, text, sizeof(text)); /* a device without resources has zero BARs */
	for (int i = 0; i <= RESOURCE_ROM; i++, line += used) {
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64 "%n", &first, &last, &flags, &used) != 3)
			break;
		if (!flags || last < first)
			continue;
		if (i == RESOURCE_ROM) {
			info->rom_size = last - first + 1;
			break;
		}
		info->bars[i].address = first;
		info->bars[i].size = last - first + 1;
		info->bars[i].flags = (flags & RESOURCE_IO ? VFC_PCI_BAR_IO : 0) |
				      (flags & RESOURCE_MEM_64 ? VFC_PCI_BAR_64 : 0) |
				      (flags & RESOURCE_PREFETCH ? VFC_PCI_BAR_PREFETCH : 0);
	}
}

static int64_t attribute(const char *name, const char *file, int64_t otherwise)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/%s", name, file);
	return sysfs_number(path, otherwise);
}

static void link_of(const char *name, const char *file, char *text, size_t size)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/%s", name, file);
	sysfs_link(path, text, size);
}

void pci_override(const char *name, char *text, size_t size)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/driver_override", name);
	/* The kernel prints a null pointer as this word (drivers/base/driver.c). */
	if (sysfs_read(path, text, size) < 0 || !strcmp(text, "(null)"))
		text[0] = '\0';
}

static void read_info(const char *name, struct vfc_pci_info *info)
{
	char group[16], path[SYSFS_PATH];
	int saved = errno;

	memset((char *)info + sizeof(info->size), 0, sizeof(*info) - sizeof(info->size));
	memcpy(info->name, name, VFC_PCI_NAME);
	info->vendor = (uint16_t)attribute(name, "vendor", 0);
	info->device = (uint16_t)attribute(name, "device", 0);
	info->subsystem_vendor = (uint16_t)attribute(name, "subsystem_vendor", 0);
	info->subsystem_device = (uint16_t)attribute(name, "subsystem_device", 0);
	info->class_code = (uint32_t)attribute(name, "class", 0);
	info->revision = (uint32_t)attribute(name, "revision", 0);
	info->numa_node = (int32_t)attribute(name, "numa_node", -1);
	info->sriov_total = (uint32_t)attribute(name, "sriov_totalvfs", 0);
	info->sriov_count = (uint32_t)attribute(name, "sriov_numvfs", 0);
	link_of(name, "iommu_group", group, sizeof(group));
	info->iommu_group = group[0] ? atoi(group) : -1;
	link_of(name, "iommu", info->iommu, sizeof(info->iommu));
	link_of(name, "driver", info->driver, sizeof(info->driver));
	link_of(name, "physfn", info->physfn, sizeof(info->physfn));
	pci_override(name, info->driver_override, sizeof(info->driver_override));
	sysfs_path(path, "bus/pci/devices/%s/vfio-dev", name);
	sysfs_entry(path, info->vfio_cdev, sizeof(info->vfio_cdev));
	read_bars(name, info);
	errno = saved;
}

static int reset_methods(const char *given, char *methods, size_t size)
{
	char name[VFC_PCI_NAME] = "", path[SYSFS_PATH], text[128];
	int rc = pci_find(given, name);

	if (rc < 0)
		return rc;
	sysfs_path(path, "bus/pci/devices/%s/reset_method", name);
	rc = sysfs_read(path, text, sizeof(text));
	if (rc < 0 && rc != -ENOENT) /* a function without a method has no such file */
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("read", path), "%s", "");
	return snprintf(methods, size, "%s", text);
}

int vfc_pci_reset_methods(const char *name, char *methods, size_t size)
{
	return vfc_done(reset_methods(name, methods, size));
}

int vfc_pci_info(const char *name, struct vfc_pci_info *info)
{
	struct vfc_pci_info now = {0};
	char canonical[VFC_PCI_NAME] = "";
	int rc = ANSWER_CHECK(vfc_pci_info, info);

	if (rc == 0)
		rc = pci_find(name, canonical);
	if (rc == 0) {
		read_info(canonical, &now);
		sized_answer(info, &now, sizeof(now));
	}
	return vfc_done(rc);
}
