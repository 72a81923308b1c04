/* SPDX-License-Identifier: MIT */
/* The names of regions and interrupt types, wherever they come from. */
#ifndef VFC_NAMES_H
#define VFC_NAMES_H

#include <stddef.h>

#include "device/object.h"

/* "BAR0", "config", "edid", or the name in the device tree. Without one it is "region 9". */
void region_name(const struct vfc_device *device, uint32_t index, char *name, size_t size);
/* "msix", "io", or the name in the device tree. Without one it is "irq 9". */
void irq_name(const struct vfc_device *device, uint32_t index, char *name, size_t size);

/*
 * Return the index of the one called @wanted, or -ENOENT with a record that lists the names. @what
 * is what the record calls them: "region" or "interrupt type".
 */
typedef void name_of(const struct vfc_device *device, uint32_t index, char *name, size_t size);
int names_find(const struct vfc_device *device, const char *wanted, uint32_t count, name_of *call,
	       const char *what);

/* The interrupt types that report errors of the device and the host's request for it; -1: none. */
int irq_error_index(const struct vfc_device *device);
int irq_request_index(const struct vfc_device *device);

#endif
