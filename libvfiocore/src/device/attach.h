/* SPDX-License-Identifier: MIT */
/* The address spaces that a device and its PASIDs are attached to. */
#ifndef VFC_DEVICE_ATTACH_H
#define VFC_DEVICE_ATTACH_H

#include "device/object.h"

/* How often the device is attached there, itself and by its PASIDs. */
uint32_t attach_count(const struct vfc_device *device, const struct vfc_iommu *iommu);
/* Detach the PASIDs, each with its space locked. Closing the descriptor would not lock. */
void attach_leave(struct vfc_device *device);
/* The descriptor was closed: the device leaves all its spaces. */
void attach_close(struct vfc_device *device);
/* Likewise, but the device holds the space that it was in for as long as it is open. */
void attach_give_back(struct vfc_device *device);

#endif
