/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/device.h>
#include <vfiocore/pci.h>

#include "device/access.h"
#include "base/error.h"

/* A reset cuts off what the device is doing. That must not be a write to memory. */
static int stop_dma(struct vfc_device *device)
{
	return device->flags & VFC_DEVICE_PCI ? vfc_device_bus_master(device, false) : 0;
}

static int device_reset(struct vfc_device *device)
{
	int rc;

	/* The kernel would answer EINVAL, which does not tell the cause. */
	if (!(device->flags & VFC_DEVICE_RESET))
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
				WHERE("VFIO_DEVICE_RESET", device->name),
				"the device has no way to be reset (no FLR, no PM reset, no bus of its "
				"own)");
	rc = stop_dma(device);
	if (rc < 0)
		return rc;
	rc = device->ops->reset(device->transport);
	access_follow(device); /* it may have slept before, or be gone now */
	device_was_reset(device);
	return rc;
}

int vfc_device_reset(struct vfc_device *device)
{
	return vfc_done(device_reset(device));
}

static void describe(const struct vfio_pci_hot_reset_info *info, uint32_t element, bool owned,
		     struct vfc_reset_device *out)
{
	const struct vfio_pci_dependent_device *it = &info->devices[element];
	struct vfc_pci_info found = {.size = sizeof(found)};

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%04x:%02x:%02x.%x", it->segment, it->bus,
		 it->devfn >> 3, it->devfn & 7);
	out->owned = owned;
	out->id = -1;
	out->group = -1;
	if (!(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID)) {
		out->group = (int32_t)it->group_id;
		return;
	}
	out->id = (int32_t)it->devid;
	error_quiet_begin();
	if (vfc_pci_info(out->name, &found) == 0)
		out->group = found.iommu_group;
	error_quiet_end();
}

static int read_info(struct vfc_device *device, struct vfio_pci_hot_reset_info **info)
{
	int rc = device_check_pci(device, "hot reset");

	if (rc < 0)
		return rc;
	if (!device->ops->hot_reset_info)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the transport %s has no hot reset", device->ops->name);
	return device->ops->hot_reset_info(device->transport, info);
}

int vfc_device_hot_reset_info(struct vfc_device *device, struct vfc_reset_device *devices,
			      size_t count)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	int rc = read_info(device, &info);

	if (rc < 0)
		return vfc_done(rc);
	for (uint32_t i = 0; i < info->count && i < count; i++)
		describe(info, i, device->ops->owns(device->transport, info, i), &devices[i]);
	rc = (int)info->count;
	free(info);
	return rc;
}

/* The kernel would answer EINVAL, which does not tell which devices are in the way. */
static int check_owned(struct vfc_device *device, const struct vfio_pci_hot_reset_info *info)
{
	struct vfc_reset_device other;
	char list[200] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < info->count; i++) {
		if (device->ops->owns(device->transport, info, i))
			continue;
		describe(info, i, false, &other);
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s (group %d)",
						 used ? ", " : "", other.name, other.group);
	}
	if (!used)
		return 0;
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE("VFIO_DEVICE_PCI_HOT_RESET", device->name),
			"it would reset %s, too, which is not ours: bind it to vfio-pci and open it in "
			"the device's address space", list);
}

static int hot_reset(struct vfc_device *device)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	int rc = read_info(device, &info);

	if (rc < 0)
		return rc;
	rc = check_owned(device, info);
	free(info);
	if (rc == 0)
		rc = stop_dma(device);
	if (rc < 0)
		return rc;
	rc = device->ops->hot_reset(device->transport);
	access_follow(device);
	device_was_reset(device);
	return rc;
}

int vfc_device_hot_reset(struct vfc_device *device)
{
	return vfc_done(hot_reset(device));
}
