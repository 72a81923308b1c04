/* SPDX-License-Identifier: MIT */
/* The regions of a device and their mappings. */
#ifndef VFC_DEVICE_REGION_H
#define VFC_DEVICE_REGION_H

#include <vfiocore/region.h>

#include "device/object.h"

/* Read the list of regions from the kernel. */
int regions_open(struct vfc_device *device);
void regions_close(struct vfc_device *device);
/*
 * Replace all mappings by memory of this process that reads as all ones. After a failure only some
 * are replaced, and the next call does the rest.
 */
int regions_give_back(struct vfc_device *device);

/* PCI config space, or NULL if the device has none. */
const struct region *region_config(struct vfc_device *device);

/* Find the region. It must contain [@offset, @offset + @length) and allow @access. */
int region_check(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		 uint32_t access, struct region **region);

/*
 * The address of that part of the region, which is mapped if necessary. NULL: it cannot be mapped.
 */
int region_address(struct vfc_device *device, struct region *region, uint64_t offset,
		   uint64_t length, volatile void **address);

#endif
