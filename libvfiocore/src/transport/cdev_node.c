/* SPDX-License-Identifier: MIT */
/* Which node in /dev/vfio/devices a device has, and why it may have none. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/bus.h"
#include "transport/cdev.h"
#include "transport/hints.h"

void cdev_node(const struct vfc_bus_info *info, char node[64])
{
	snprintf(node, 64, CDEV_NODES "/%.31s", info->vfio_cdev);
}

/* Where nothing translates an IOAS is a list of addresses, which mean nothing to the device. */
static bool is_physical(const struct vfc_bus_info *info)
{
	return !strncmp(info->vfio_cdev, CDEV_NOIOMMU, strlen(CDEV_NOIOMMU));
}

/* Nothing is recorded. */
bool cdev_offered(const char *name, bool physical, struct vfc_bus_info *info, char node[64])
{
	struct vfc_error before = *vfc_error_last();

	info->size = sizeof(*info);
	if (vfc_bus_info(name, info) < 0) {
		vfc_error_restore(&before);
		return false;
	}
	cdev_node(info, node);
	return info->vfio_cdev[0] && is_physical(info) == physical && sys_exists(node);
}

int cdev_check(const char *name, bool physical)
{
	struct vfc_bus_info info = {.size = sizeof(info)};
	char node[64];
	int rc = vfc_bus_info(name, &info);

	if (rc < 0 || cdev_offered(name, physical, &info, node))
		return rc;
	rc = hint_translation(&info, physical);
	if (rc < 0)
		return rc;
	if (!bus_has_vfio(&info))
		return hint_no_driver(&info);
	return vfc_fail(ENODEV, VFC_REASON_UNSUPPORTED, WHERE(.object = info.name),
			"the kernel makes no character device of it (CONFIG_VFIO_DEVICE_CDEV is off, "
			"or before Linux %s): use the transport \"%s\"",
			physical ? "7.3" : "6.6", physical ? "noiommu-group" : "group");
}
