/* SPDX-License-Identifier: MIT */
#include "hints.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../kernel/sys.h"
#include "../memlock.h"
#include "../pci/sysfs.h"

int hint_node(int rc, const char *node)
{
	switch (rc) {
	case -EACCES:
	case -EPERM:
		return vfc_fail(rc, VFC_REASON_PERMISSION, WHERE("open", node),
				"the node is not yours; as root: `vfio bind --user NAME BDF`, or chown %s",
				node);
	case -EBUSY:
		return vfc_fail(rc, VFC_REASON_BUSY, WHERE("open", node),
				"a process (maybe this one) has it open; `fuser -v %s` shows which",
				node);
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		if (!strcmp(node, "/dev/iommu"))
			return vfc_fail(rc, VFC_REASON_UNSUPPORTED, WHERE("open", node),
					"the kernel has no iommufd (CONFIG_IOMMUFD is off, or modprobe "
					"iommufd): use the transport \"group\"");
		return vfc_fail(rc, VFC_REASON_NO_DRIVER, WHERE("open", node),
				"the kernel's VFIO driver is not loaded: modprobe vfio-pci");
	default:
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("open", node), "%s", "");
	}
}

/* The kernel command line, with a blank on both sides so that whole words can be looked for. */
static void command_line(char *text, size_t size)
{
	text[0] = ' ';
	if (sysfs_read("/proc/cmdline", text + 1, size - 2) < 0)
		text[1] = '\0';
	strcat(text, " ");
}

int hint_no_iommu(const char *device)
{
	char dmar[SYSFS_PATH], ivrs[SYSFS_PATH], groups[SYSFS_PATH], cmdline[2048];
	const char *why;

	sysfs_path(dmar, "firmware/acpi/tables/DMAR");
	sysfs_path(ivrs, "firmware/acpi/tables/IVRS");
	sysfs_path(groups, "kernel/iommu_groups/0");
	command_line(cmdline, sizeof(cmdline));
	if (sys_exists(groups))
		why = "other devices have IOMMU groups, but no IOMMU translates for this one";
	else if (strstr(cmdline, " intel_iommu=off ") || strstr(cmdline, " amd_iommu=off ") ||
		 strstr(cmdline, " iommu=off "))
		why = "the IOMMU is switched off on the kernel command line (intel_iommu=off, "
		      "amd_iommu=off or iommu=off): remove that and boot again";
	else if (sys_exists(dmar) && !strstr(cmdline, "intel_iommu=on"))
		why = "intel_iommu=on is missing from the kernel command line";
	else if (sys_exists(dmar) || sys_exists(ivrs))
		why = "the firmware describes an IOMMU, but the kernel does not use it; the kernel log "
		      "(dmesg | grep -e DMAR -e AMD-Vi) says why";
	else
		why = "this machine has no IOMMU, or the firmware hides it: enable VT-d or AMD-Vi in the "
		      "firmware setup (in QEMU: -device intel-iommu)";
	return vfc_fail(ENODEV, VFC_REASON_NO_IOMMU, WHERE(.object = device),
			"the device is in no IOMMU group: %s", why);
}

int hint_no_driver(const char *device, const char *driver)
{
	char path[SYSFS_PATH];

	sysfs_path(path, "bus/pci/drivers/vfio-pci");
	return vfc_fail(ENODEV, VFC_REASON_NO_DRIVER, WHERE(.object = device),
			"the device is bound to %s, and VFIO needs it bound to vfio-pci: %s"
			"`vfio bind %s`",
			driver[0] ? driver : "no driver",
			sys_exists(path) ? "" : "modprobe vfio-pci, then ", device);
}

static int entry_limit(int rc, struct error_where where)
{
	char path[SYSFS_PATH], figure[40] = "";
	int64_t limit;

	sysfs_path(path, "module/vfio_iommu_type1/parameters/dma_entry_limit");
	limit = sysfs_number(path, -1);
	if (limit >= 0)
		snprintf(figure, sizeof(figure), " than %" PRId64, limit);
	return vfc_fail(rc, VFC_REASON_ENTRY_LIMIT, where,
			"the kernel takes no more mappings%s: use fewer and larger ones, or raise the "
			"limit (module parameter vfio_iommu_type1.dma_entry_limit)",
			figure);
}

int hint_map(int rc, const char *call, const void *va, uint64_t iova, uint64_t length)
{
	struct error_where where = WHERE(call, NULL, iova, length);

	switch (rc) {
	case -EFAULT:
		return vfc_fail(rc, VFC_REASON_BAD_MEMORY, where,
				"some of the memory at 0x%" PRIxPTR " is not mapped in this process, or "
				"not writable (see /proc/self/maps)",
				(uintptr_t)va);
	case -ENOMEM:
		return memlock_failed(rc, where, length);
	case -ENOSPC:
		return entry_limit(rc, where);
	case -EEXIST:
		return vfc_fail(rc, VFC_REASON_IOVA, where, "a mapping is there already");
	case -EINVAL:
		return vfc_fail(rc, VFC_REASON_IOVA, where,
				"the kernel does not take this range (reserved, or unaligned?)");
	default:
		return vfc_fail(rc, VFC_REASON_NONE, where, "%s", "");
	}
}
