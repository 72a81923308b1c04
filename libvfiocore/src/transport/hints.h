/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel said no: each looks at the system's state, records the failure with a hint that
 * was computed, and returns the code.
 */
#ifndef VFC_TRANSPORT_HINTS_H
#define VFC_TRANSPORT_HINTS_H

#include <stdint.h>

int hint_node(int rc, const char *node);                     /* open() of a VFIO node */
int hint_no_iommu(const char *device);                       /* no group: -ENODEV */
int hint_no_driver(const char *device, const char *driver);  /* not with VFIO: -ENODEV */
int hint_map(int rc, const char *call, const void *va, uint64_t iova, uint64_t length);

#endif
