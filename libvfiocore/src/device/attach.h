/* SPDX-License-Identifier: MIT */
/* The address spaces that a device and its PASIDs are attached to. */
#ifndef VFC_DEVICE_ATTACH_H
#define VFC_DEVICE_ATTACH_H

#include "device/object.h"

/* How many times the device is attached to @iommu: by itself and by its PASIDs. */
uint32_t attach_count(const struct vfc_device *device, const struct vfc_iommu *iommu);
/*
 * Detach each PASID under the lock of its space. Closing the descriptor would not take that lock.
 */
void attach_leave(struct vfc_device *device);
/* The descriptor was closed, so the device leaves all its spaces. */
void attach_close(struct vfc_device *device);
/* As attach_close(), but the device holds the space that it was in for as long as it is open. */
void attach_give_back(struct vfc_device *device);

#endif
