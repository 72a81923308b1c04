/* SPDX-License-Identifier: MIT */
/* What regions and interrupt types are called, where anybody gives them a name. */
#ifndef VFC_NAMES_H
#define VFC_NAMES_H

#include <stddef.h>

#include "device/object.h"

/* "BAR0", "config", "edid", what the device tree says; else "region 9". */
void region_name(const struct vfc_device *device, uint32_t index, char *name, size_t size);
/* "msix", "io", what the device tree says; else "irq 9". */
void irq_name(const struct vfc_device *device, uint32_t index, char *name, size_t size);

/* The index that is called @wanted; -ENOENT with a record that lists the names. @what: "region" ... */
typedef void name_of(const struct vfc_device *device, uint32_t index, char *name, size_t size);
int names_find(const struct vfc_device *device, const char *wanted, uint32_t count, name_of *call,
	       const char *what);

/* The interrupt types by which a device tells of errors, and the host of its wish; -1: none. */
int irq_error_index(const struct vfc_device *device);
int irq_request_index(const struct vfc_device *device);

#endif
