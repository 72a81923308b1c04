/* SPDX-License-Identifier: MIT */
/* Devices of any bus, for the floors above. */
#ifndef VFC_PCI_BUS_H
#define VFC_PCI_BUS_H

#include <stdbool.h>
#include <vfiocore/bus.h>

/* Is the device bound to one of VFIO's drivers, as far as sysfs tells? */
bool bus_has_vfio(const struct vfc_bus_info *info);
/* Get the device's name from a name or a path. */
void bus_name(const char *given, char name[VFC_BUS_NAME]);
/* Get string @index of @property from the device's node in the device tree; "": there is none. */
void bus_of_string(const struct vfc_bus_info *info, const char *property, uint32_t index, char *text,
		   size_t size);

#endif
