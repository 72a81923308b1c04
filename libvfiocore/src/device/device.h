/* SPDX-License-Identifier: MIT */
/* How an open device comes to be, for the floors that hand it over. */
#ifndef VFC_DEVICE_H
#define VFC_DEVICE_H

#include <vfiocore/iommu.h>

#include "device/object.h"

/* vfc_device_adopt(), but @fd stays open. */
int device_take(int fd, const char *name, const struct vfc_device_opts *opts,
		struct vfc_device **device);
/* Likewise with its space, of the descriptor @space, which is the device's own then. */
int device_take_both(int space, int fd, const char *name, const struct vfc_iommu_opts *opts,
		     uint32_t flags, struct vfc_device **device);

#endif
