/* SPDX-License-Identifier: MIT */
/* VFIO_DEVICE_FEATURE, by which the kernel's driver offers whatever has no request of its own. */
#ifndef VFC_DEVICE_FEATURE_H
#define VFC_DEVICE_FEATURE_H

#include "device/object.h"

/*
 * Make the request. @call is its name in the record. @missing is the hint if the device or the
 * kernel does not know the feature, which is -EOPNOTSUPP.
 */
int device_feature(struct vfc_device *device, uint32_t flags, void *data, size_t length,
		   const char *call, const char *missing);

#endif
