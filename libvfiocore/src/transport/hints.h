/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel said no: each looks at the system's state, records the failure with a hint that
 * was computed, and returns the code.
 */
#ifndef VFC_TRANSPORT_HINTS_H
#define VFC_TRANSPORT_HINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <vfiocore/bus.h>

#include "base/error.h"
#include "transport/transport.h"

int hint_node(int rc, const char *node);                     /* open() of a VFIO node */
/* Is the device one that an IOMMU translates for, or, if @physical, one that none does? -ENODEV. */
int hint_translation(const struct vfc_bus_info *info, bool physical);
int hint_noiommu_off(const char *object);                    /* the kernel has no such mode on */
int hint_no_driver(const struct vfc_bus_info *info);         /* not with VFIO: -ENODEV */
/*
 * A device was not opened with that token (NULL: none): 0, with nothing recorded, if it is not about
 * a token.
 */
int hint_token(int rc, const char *call, const char *name, const uint8_t *token);
/* Memory was not mapped for devices. @flags: VFIO_DMA_MAP_FLAG_*, as was asked for. */
int hint_map(int rc, struct error_where where, const void *va, uint32_t flags);
/* Likewise, with -EFAULT. @device: what to do if the memory is a device's. */
int hint_fault(struct error_where where, const void *va, uint32_t flags, const char *device);

/* What the kernel keeps from the group's devices for itself; what it would give up is left out. */
int hint_reserved(struct transport_space *space, const char *device,
		  struct transport_reserved *ranges, int room);

#endif
