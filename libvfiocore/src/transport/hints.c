/* SPDX-License-Identifier: MIT */
#include "transport/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "base/memlock.h"
#include "pci/sysfs.h"
#include "transport/maps.h"

int hint_node(int rc, const char *node)
{
	switch (rc) {
	case -EACCES:
	case -EPERM:
		if (strstr(node, "/noiommu-"))
			return vfc_fail(rc, VFC_REASON_PERMISSION, WHERE("open", node),
					"VFIO without an IOMMU is for CAP_SYS_RAWIO only: run it as root");
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

/*
 * Read the kernel command line, with a blank on both sides so that whole words can be searched for.
 */
static void command_line(char *text, size_t size)
{
	text[0] = ' ';
	if (sysfs_read("/proc/cmdline", text + 1, size - 2) < 0)
		text[1] = '\0';
	strcat(text, " ");
}

/* 'Y', 'N'; "": the kernel was built without it, or has not loaded vfio. */
static void noiommu_mode(char mode[4])
{
	char path[SYSFS_PATH];

	sysfs_path(path, "module/vfio/parameters/enable_unsafe_noiommu_mode");
	sysfs_read(path, mode, 4);
}

int hint_noiommu_off(const char *object)
{
	char mode[4];

	noiommu_mode(mode);
	return vfc_fail(ENODEV, VFC_REASON_UNSUPPORTED, WHERE(.object = object), "%s",
			mode[0] == 'N' ? "the mode is off: as root, echo Y > "
					 "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, then bind "
					 "the device again; it lets the device reach all memory"
			: mode[0]      ? "the kernel does not offer the mode here: bind the device to "
					 "vfio-pci again"
				       : "the kernel has no such mode (CONFIG_VFIO_NOIOMMU is off), or the "
					 "module vfio is not loaded");
}

static int no_iommu(const char *device)
{
	char mode[4], dmar[SYSFS_PATH], ivrs[SYSFS_PATH], groups[SYSFS_PATH], cmdline[2048];
	const char *why;

	sysfs_path(dmar, "firmware/acpi/tables/DMAR");
	sysfs_path(ivrs, "firmware/acpi/tables/IVRS");
	sysfs_path(groups, "kernel/iommu_groups/0");
	command_line(cmdline, sizeof(cmdline));
	noiommu_mode(mode);
	if (sys_exists(groups) && !pci_group_unsafe(0))
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
			"the device is in no IOMMU group: %s%s", why,
			mode[0] != 'Y' ? "" : "; the kernel allows its use without one, which is unsafe: "
					      "the transport \"noiommu\" does that, if it is named");
}

int hint_translation(const struct vfc_bus_info *info, bool physical)
{
	bool unsafe = info->iommu_group >= 0 && pci_group_unsafe(info->iommu_group);
	char mode[4];

	if (!physical)
		return info->iommu_group < 0 || unsafe ? no_iommu(info->name) : 0;
	if (unsafe)
		return 0;
	if (info->iommu_group >= 0)
		return vfc_fail(EINVAL, VFC_REASON_UNSUPPORTED, WHERE(.object = info->name),
				"an IOMMU translates for the device (group %d): use the transport cdev or "
				"group",
				info->iommu_group);
	noiommu_mode(mode);
	return mode[0] == 'Y' && !strstr(info->driver, "vfio") ? hint_no_driver(info)
							      : hint_noiommu_off(info->name);
}

/* The VFIO driver of such a bus is vfio-platform, vfio-amba, vfio_ccw, vfio-fsl-mc or vfio-cdx. */
static int no_bus_driver(const struct vfc_bus_info *info)
{
	return vfc_fail(ENODEV, VFC_REASON_NO_DRIVER, WHERE(.object = info->name),
			"the device is bound to %s, and VFIO needs it bound to VFIO's driver for the bus "
			"%s: as root, unbind it, write that driver's name to "
			"/sys/bus/%s/devices/%s/driver_override and its own to /sys/bus/%s/drivers_probe",
			info->driver[0] ? info->driver : "no driver", info->bus, info->bus, info->name,
			info->bus);
}

int hint_no_driver(const struct vfc_bus_info *info)
{
	char path[SYSFS_PATH];

	if (strcmp(info->bus, "pci"))
		return no_bus_driver(info);
	sysfs_path(path, "bus/pci/drivers/vfio-pci");
	return vfc_fail(ENODEV, VFC_REASON_NO_DRIVER, WHERE(.object = info->name),
			"the device is bound to %s, and VFIO needs it bound to vfio-pci: %s"
			"`vfio bind %s`",
			info->driver[0] ? info->driver : "no driver",
			sys_exists(path) ? "" : "modprobe vfio-pci, then ", info->name);
}

static int token_not_wanted(int rc, struct error_where where, const struct vfc_pci_info *info,
			    const char *driver)
{
	if (info->physfn[0])
		return vfc_fail(rc, VFC_REASON_ARGUMENT, where,
				"no token guards this virtual function, because %s is bound to %s and not to "
				"vfio-pci: open it without",
				info->physfn, driver[0] ? driver : "no driver");
	return vfc_fail(rc, VFC_REASON_ARGUMENT, where,
			"no token guards the device, which has no virtual functions and is none: open it "
			"without");
}

static int token_wanted(int rc, struct error_where where, const struct vfc_pci_info *info,
			const char *pf, bool given)
{
	if (given)
		return vfc_fail(rc, VFC_REASON_PERMISSION, where,
				"it is not the token that guards the virtual functions of %s: give the one "
				"that was set last (vfc_sriov_set_token)",
				pf);
	return vfc_fail(rc, VFC_REASON_PERMISSION, where,
			info->physfn[0] ? "a token guards the virtual functions of %s: give the UUID that "
					  "its owner set as vf_token (vfc_sriov_set_token sets it)"
					: "virtual functions of %s are open, so it is opened with the token "
					  "that guards them: give it as vf_token",
			pf);
}

/* vfio_pci_validate_vf_token(). */
int hint_token(int rc, const char *call, const char *name, const uint8_t *token)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	char path[SYSFS_PATH], driver[32] = "";
	struct error_where where = WHERE(call, name);
	int found;

	if (rc != -EACCES && !(rc == -EINVAL && token))
		return 0;
	error_quiet_begin();
	found = vfc_pci_info(name, &info);
	error_quiet_end();
	if (found < 0)
		return 0;
	sysfs_path(path, "bus/pci/devices/%s/physfn/driver", name);
	sysfs_link(path, driver, sizeof(driver));
	if (rc == -EACCES && (info.physfn[0] || info.sriov_total))
		return token_wanted(rc, where, &info, info.physfn[0] ? info.physfn : info.name, token);
	if (rc == -EINVAL && (info.physfn[0] ? !strstr(driver, "vfio") : !info.sriov_total))
		return token_not_wanted(rc, where, &info, driver);
	return 0;
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

int hint_fault(struct error_where where, const void *va, uint32_t flags, const char *device)
{
	char text[300];

	maps_explain(text, sizeof(text), va, where.length, flags, device);
	return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY, where, "%s (see /proc/self/maps)", text);
}

int hint_map(int rc, struct error_where where, const void *va, uint32_t flags)
{
	switch (rc) {
	case -EFAULT:
		return hint_fault(where, va, flags,
				  "vfc_iommu_map_region() lets other devices reach a BAR");
	case -ENOMEM:
		return memlock_failed(rc, where, where.length);
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

/* Documentation/ABI/testing/sysfs-kernel-iommu_groups. */
int hint_reserved(struct transport_space *space, const char *device,
		  struct transport_reserved *ranges, int room)
{
	struct vfc_bus_info info = {.size = sizeof(info)};
	char path[SYSFS_PATH], text[4096]; /* sysfs tells no more */
	const char *line = text;
	int count = 0, used, saved = errno;

	(void)space;
	error_quiet_begin();
	vfc_bus_info(device, &info);
	error_quiet_end();
	sysfs_path(path, "bus/%s/devices/%s/iommu_group/reserved_regions", info.bus, info.name);
	sysfs_text(path, text, sizeof(text));
	for (; count < room && sscanf(line, "%" SCNx64 " %" SCNx64 " %23s%n", &ranges[count].start,
				      &ranges[count].end, ranges[count].type, &used) == 3;
	     line += used)
		count += strcmp(ranges[count].type, "direct-relaxable") != 0;
	errno = saved; /* sscanf() sets it at the end of the text */
	return count;
}
