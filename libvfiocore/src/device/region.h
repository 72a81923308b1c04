/* SPDX-License-Identifier: MIT */
/* The regions of a device, and where they are mapped. */
#ifndef VFC_DEVICE_REGION_H
#define VFC_DEVICE_REGION_H

#include <vfiocore/region.h>

#include "device/object.h"

/* Read which regions there are. */
int regions_open(struct vfc_device *device);
void regions_close(struct vfc_device *device);
/*
 * Replace what is mapped by memory of this process that reads as all ones. A failure leaves a part
 * replaced; the next call does the rest.
 */
int regions_give_back(struct vfc_device *device);

/* PCI config space, or NULL: the device has none. */
const struct region *region_config(struct vfc_device *device);

/* The region, if [@offset, @offset + @length) lies in it and it allows @access. */
int region_check(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		 uint32_t access, struct region **region);

/* Where that part of the region is mapped. It is mapped if need be. NULL: it cannot be mapped. */
int region_address(struct vfc_device *device, struct region *region, uint64_t offset,
		   uint64_t length, volatile void **address);

#endif
