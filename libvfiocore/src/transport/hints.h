/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel refused a request. Each function looks at the state of the system, records the
 * failure with a hint that is computed from it, and returns the code.
 */
#ifndef VFC_TRANSPORT_HINTS_H
#define VFC_TRANSPORT_HINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <vfiocore/bus.h>

#include "base/error.h"
#include "transport/transport.h"

int hint_node(int rc, const char *node);                     /* open() of a VFIO node */
/* -ENODEV unless an IOMMU translates for the device. With @physical it is the other way round. */
int hint_translation(const struct vfc_bus_info *info, bool physical);
int hint_noiommu_off(const char *object);                    /* the mode is not on */
int hint_no_driver(const struct vfc_bus_info *info);         /* -ENODEV: no VFIO driver has it */
/*
 * A device could not be opened with @token (NULL: none). 0, with no record, if the failure has
 * nothing to do with tokens.
 */
int hint_token(int rc, const char *call, const char *name, const uint8_t *token);
/* The kernel did not map memory of this process. @flags: VFIO_DMA_MAP_FLAG_*, as requested. */
int hint_map(int rc, struct error_where where, const void *va, uint32_t flags);
/* Likewise, with -EFAULT. @device: what to do if the memory is a device's. */
int hint_fault(struct error_where where, const void *va, uint32_t flags, const char *device);

/*
 * The ranges that the kernel reserves from the group's devices. Ranges that it would give up are
 * left out.
 */
int hint_reserved(struct transport_space *space, const char *device,
		  struct transport_reserved *ranges, int room);

#endif
