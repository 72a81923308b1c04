/* SPDX-License-Identifier: MIT */
/* A device of whatever bus, for the floors above. */
#ifndef VFC_PCI_BUS_H
#define VFC_PCI_BUS_H

#include <stdbool.h>
#include <vfiocore/bus.h>

/* Is the driver it is bound to one of VFIO's, as far as sysfs tells? */
bool bus_has_vfio(const struct vfc_bus_info *info);
/* The name without the path that it may have been given by. */
void bus_name(const char *given, char name[VFC_BUS_NAME]);
/* The @index-th of the strings that the device tree has in @property of the device; "": none. */
void bus_of_string(const struct vfc_bus_info *info, const char *property, uint32_t index, char *text,
		   size_t size);

#endif
