/* SPDX-License-Identifier: MIT */
/* Whether the device answers. This decides how its registers are reached. */
#ifndef VFC_DEVICE_ACCESS_H
#define VFC_DEVICE_ACCESS_H

#include "device/object.h"

/* Learn whether the device decodes accesses to its BARs: when it is opened, and again later. */
void access_open(struct vfc_device *device);
void access_follow(struct vfc_device *device);
/* True if config space reads as all ones: the device was pulled, or is in reset. */
bool access_gone(struct vfc_device *device);

#endif
