/* SPDX-License-Identifier: MIT */
/* Descriptors that `vfio run` left open, and named in the environment. */
#ifndef VFC_HANDOVER_H
#define VFC_HANDOVER_H

#include <vfiocore/device.h>

#define HANDOVER_IOMMU "iommu"

/* Of that name: 1: there is one; 0: there is none. Whether it is open nobody looked. */
int handover_find(const char *name, int *fd);
/* Open the device by its descriptor: 0; 1: there is none. */
int handover_open(const char *name, const struct vfc_device_opts *opts, struct vfc_device **device);

#endif
