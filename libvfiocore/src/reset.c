/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <vfiocore.h>

#include "device.h"
#include "error.h"
#include "event.h"

/* What a device does while it is reset is its last act: it must not be a write to memory. */
static int stop_dma(struct vfc_device *device)
{
	return device->flags & VFC_DEVICE_PCI ? vfc_device_bus_master(device, false) : 0;
}

static int device_reset(struct vfc_device *device)
{
	int rc;

	/* The kernel answers EINVAL, which would not tell the cause. */
	if (!(device->flags & VFC_DEVICE_RESET))
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
				WHERE("VFIO_DEVICE_RESET", device->name),
				"the device has no way to be reset (no FLR, no PM reset, no bus of its "
				"own)");
	rc = stop_dma(device);
	if (rc < 0)
		return rc;
	rc = device->ops->reset(device->transport);
	access_follow(device); /* it may have slept before, or be gone */
	events_rearm(device);
	return rc;
}

int vfc_device_reset(struct vfc_device *device)
{
	return vfc_done(device_reset(device));
}
