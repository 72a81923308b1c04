/* SPDX-License-Identifier: MIT */
#include "device/feature.h"

#include <errno.h>
#include <stdio.h>
#include <vfiocore/device.h>

#include "base/error.h"

#define LENGTH_MOST 65536

int device_feature(struct vfc_device *device, uint32_t flags, void *data, size_t length,
		   const char *call, const char *missing)
{
	struct error_where where = WHERE(call, device->name);
	int rc = device->ops->feature ? device->ops->feature(device->transport, flags, data, length)
				      : -ENOTTY;

	if (rc == -ENOTTY || rc == -EOPNOTSUPP)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where, "%s", missing);
	if (rc == -EBADF)
		return vfc_fail(ENODEV, VFC_REASON_GONE, where,
				"the device was given back to the host (vfc_device_release): close it");
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, where, "%s", "") : 0;
}

/*
 * Low power is refused here, because the library follows that state and must know of each change.
 */
static bool of_low_power(uint32_t flags)
{
	uint32_t number = flags & VFIO_DEVICE_FEATURE_MASK;

	return flags & VFIO_DEVICE_FEATURE_SET && (number == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY ||
						   number == VFIO_DEVICE_FEATURE_LOW_POWER_EXIT ||
						   number == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);
}

static int feature(struct vfc_device *device, uint32_t flags, void *data, size_t length)
{
	static const char call[] = "VFIO_DEVICE_FEATURE";
	struct error_where where = WHERE(call, device->name);
	uint32_t number = flags & VFIO_DEVICE_FEATURE_MASK;
	char missing[80];

	if (of_low_power(flags))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where,
				"feature %u is one of low power: use vfc_power_low_enter() and "
				"vfc_power_low_exit()", number);
	if (length > LENGTH_MOST || (length && !data))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where,
				"%zu bytes at %p: a feature has at most %d, and data is not NULL", length,
				data, LENGTH_MOST);
	snprintf(missing, sizeof(missing), "neither the device nor this kernel's driver has feature %u",
		 number);
	return device_feature(device, flags, data, length, call, missing);
}

int vfc_device_feature(struct vfc_device *device, uint32_t flags, void *data, size_t length)
{
	return vfc_done(feature(device, flags, data, length));
}
