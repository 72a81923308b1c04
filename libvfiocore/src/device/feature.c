/* SPDX-License-Identifier: MIT */
/* Features of the kernel's driver that the library does not keep track of; see device.h. */
#include <errno.h>
#include <vfiocore/device.h>

#include "base/error.h"
#include "device/object.h"

#define LENGTH_MOST 65536

static bool of_low_power(uint32_t flags)
{
	uint32_t number = flags & VFIO_DEVICE_FEATURE_MASK;

	return flags & VFIO_DEVICE_FEATURE_SET && (number == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY ||
						   number == VFIO_DEVICE_FEATURE_LOW_POWER_EXIT ||
						   number == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);
}

static int feature(struct vfc_device *device, uint32_t flags, void *data, size_t length)
{
	struct error_where where = WHERE("VFIO_DEVICE_FEATURE", device->name);
	int rc = -ENOTTY;

	if (of_low_power(flags))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where,
				"feature %u is one of low power: use vfc_power_low_enter() and "
				"vfc_power_low_exit()", flags & VFIO_DEVICE_FEATURE_MASK);
	if (length > LENGTH_MOST || (length && !data))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where,
				"%zu bytes at %p: a feature has at most %d, and they are somewhere", length,
				data, LENGTH_MOST);
	if (device->ops->feature)
		rc = device->ops->feature(device->transport, flags, data, length);
	if (rc == -ENOTTY || rc == -EOPNOTSUPP)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"neither the device nor this kernel's driver has feature %u",
				flags & VFIO_DEVICE_FEATURE_MASK);
	if (rc == -EBADF)
		return vfc_fail(ENODEV, VFC_REASON_GONE, where,
				"the device was given back to the host (vfc_device_release): close it");
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, where, "%s", "") : 0;
}

int vfc_device_feature(struct vfc_device *device, uint32_t flags, void *data, size_t length)
{
	return vfc_done(feature(device, flags, data, length));
}
