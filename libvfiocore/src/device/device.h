/* SPDX-License-Identifier: MIT */
/* How an open device is made from descriptors, for the layers that hand devices over. */
#ifndef VFC_DEVICE_H
#define VFC_DEVICE_H

#include <vfiocore/iommu.h>

#include "device/object.h"

/* As vfc_device_adopt(), but @fd stays open. */
int device_take(int fd, const char *name, const struct vfc_device_opts *opts,
		struct vfc_device **device);
/*
 * As device_take(), and take the address space of descriptor @space too. The device owns that
 * space.
 */
int device_take_both(int space, int fd, const char *name, const struct vfc_iommu_opts *opts,
		     uint32_t flags, struct vfc_device **device);

#endif
