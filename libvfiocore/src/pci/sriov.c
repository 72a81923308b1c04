/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions through sysfs.
 * Source: Documentation/ABI/testing/sysfs-bus-pci, drivers/pci/iov.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vfiocore/pci.h>
#include <vfiocore/sriov.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

static int look(const char *name, struct vfc_pci_info *info)
{
	int rc = vfc_pci_info(name, info);

	if (rc < 0 || info->sriov_total)
		return rc;
	if (info->physfn[0])
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = info->name),
				"it is itself a virtual function, of %s", info->physfn);
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = info->name),
			"the device has no SR-IOV capability (`vfio config %s --caps` shows which it has), "
			"or the kernel is built without CONFIG_PCI_IOV",
			info->name);
}

static int check_count(const struct vfc_pci_info *info, uint32_t count)
{
	if (count < 1 || count > info->sriov_total)
		return vfc_fail(ERANGE, VFC_REASON_RANGE, WHERE(.object = info->name),
				"%u virtual functions: it can have 1 to %u", count, info->sriov_total);
	if (info->sriov_count && info->sriov_count != count)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = info->name),
				"it has %u virtual functions already, and their number cannot change: "
				"remove them first",
				info->sriov_count);
	return 0;
}

/*
 * vfio_pci.c refuses with ENOENT, as the kernel does for drivers without SR-IOV. Tell the cause
 * before that happens.
 */
static int refuse_driver(const struct vfc_pci_info *info)
{
	char path[SYSFS_PATH], allowed[4];

	if (!info->driver[0])
		return vfc_fail(ENODEV, VFC_REASON_NO_DRIVER, WHERE(.object = info->name),
				"the device is bound to no driver, and a driver must make its virtual "
				"functions: `vfio bind %s`",
				info->name);
	sysfs_path(path, "module/vfio_pci/parameters/enable_sriov");
	if (!strcmp(info->driver, "vfio-pci") && sysfs_read(path, allowed, sizeof(allowed)) == 0 &&
	    allowed[0] == 'N')
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = info->name),
				"vfio-pci does not make virtual functions unless it is told to: as root, "
				"echo Y > %s, or modprobe vfio-pci enable_sriov=1",
				path);
	return 0;
}

static int count_refused(int rc, const struct vfc_pci_info *info, const char *path)
{
	struct error_where where = WHERE("write", path);

	switch (rc) {
	case -EACCES:
	case -EPERM:
		return vfc_fail(rc, VFC_REASON_PERMISSION, where,
				"virtual functions are made and removed by root");
	case -ENOENT:
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the driver %s makes no virtual functions", info->driver);
	case -ENOMEM:
		return vfc_fail(rc, VFC_REASON_NONE, where,
				"no memory, bus numbers or address space are left for them (the kernel log "
				"tells which; pci=realloc or pci=assign-busses may help)");
	default:
		return vfc_fail(rc, VFC_REASON_NONE, where, "the kernel log may say why");
	}
}

static int write_count(const struct vfc_pci_info *info, uint32_t count)
{
	char path[SYSFS_PATH], text[12];
	int rc;

	sysfs_path(path, "bus/pci/devices/%s/sriov_numvfs", info->name);
	snprintf(text, sizeof(text), "%u", count);
	rc = sysfs_write(path, text);
	return rc < 0 ? count_refused(rc, info, path) : 0;
}

static void function_name(const char *name, uint32_t number, char function[VFC_PCI_NAME])
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/devices/%s/virtfn%u", name, number);
	sysfs_link(path, function, VFC_PCI_NAME);
}

static int bind_all(const char *name, uint32_t count, const struct vfc_pci_bind_opts *opts)
{
	char function[VFC_PCI_NAME];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		function_name(name, i, function);
		rc = function[0] ? vfc_pci_bind(function, opts)
				 : vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, WHERE(.object = name),
					    "the kernel made %u virtual functions of the %u", i, count);
	}
	return rc;
}

/*
 * Forget the former drivers of functions that go away, because the next ones have the same names.
 */
static int remove_all(const struct vfc_pci_info *info, uint32_t count)
{
	char function[VFC_PCI_NAME];

	for (uint32_t i = 0; i < count; i++) {
		function_name(info->name, i, function);
		if (function[0])
			pci_bind_forget(function);
	}
	return write_count(info, 0);
}

static int sriov_enable(const char *name, uint32_t count, const struct vfc_pci_bind_opts *opts)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	int rc = look(name, &info);

	if (rc == 0)
		rc = check_count(&info, count);
	if (rc == 0 && !info.sriov_count) {
		rc = refuse_driver(&info);
		if (rc == 0)
			rc = write_count(&info, count);
	}
	if (rc < 0)
		return rc;
	rc = bind_all(info.name, count, opts);
	if (rc < 0 && !info.sriov_count) {
		error_quiet_begin();
		remove_all(&info, count);
		error_quiet_end();
	}
	return rc;
}

int vfc_sriov_enable(const char *name, uint32_t count, const struct vfc_pci_bind_opts *opts)
{
	return vfc_done(sriov_enable(name, count, opts));
}

static int refuse_open(const struct vfc_pci_info *info)
{
	char function[VFC_PCI_NAME], list[200] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < info->sriov_count && used < sizeof(list); i++) {
		function_name(info->name, i, function);
		if (function[0] && pci_is_open(function))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
						 function);
	}
	if (!used)
		return 0;
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = info->name),
			"of its virtual functions, open somewhere (maybe here): %s; close them first "
			"(`fuser -v /dev/vfio/* /dev/vfio/devices/*` shows who has them)",
			list);
}

static int sriov_disable(const char *name)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	int rc = look(name, &info);

	if (rc < 0 || !info.sriov_count)
		return rc;
	rc = refuse_open(&info);
	return rc < 0 ? rc : remove_all(&info, info.sriov_count);
}

int vfc_sriov_disable(const char *name)
{
	return vfc_done(sriov_disable(name));
}

static int sriov_functions(const char *name, char (*names)[VFC_PCI_NAME], size_t count)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	char function[VFC_PCI_NAME];
	uint32_t found = 0;
	int rc = vfc_pci_info(name, &info);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < info.sriov_count; i++) {
		function_name(info.name, i, function);
		if (!function[0])
			continue;
		if (names && found < count)
			memcpy(names[found], function, VFC_PCI_NAME);
		found++;
	}
	return (int)found;
}

int vfc_sriov_functions(const char *name, char (*names)[VFC_PCI_NAME], size_t count)
{
	return vfc_done(sriov_functions(name, names, count));
}
