/* SPDX-License-Identifier: MIT */
/* Devices of any bus as sysfs shows them: what one is called, and which ones VFIO has. */
#ifndef VFIOCORE_BUS_H
#define VFIOCORE_BUS_H

#include "abi.h"

/* A BDF, the UUID of a mediated device, a platform device's name. */
#define VFC_BUS_NAME 64

struct vfc_bus_info {
	uint32_t size;       /* in: sizeof(struct vfc_bus_info) */
	int32_t iommu_group; /* -1: none */
	char name[VFC_BUS_NAME];
	char bus[16];       /* "pci", "mdev", "platform", "amba", "css", "fsl-mc", "cdx" */
	char driver[32];    /* "" when unbound */
	char vfio_cdev[32]; /* "vfio3" when VFIO has the device (Linux 6.1 and later), else "" */
};

VFC_BEGIN_DECLS

/*
 * vfc_bus_info() - where a device is.
 * @name: a BDF, as for vfc_pci_info(); a name that some bus knows, such as the UUID of a mediated
 * device or "a003e00.virtio_mmio"; or, where two buses know one of that name, its path in sysfs.
 * Errors: -EINVAL (no bus knows such a name, or two do), -ENODEV (a BDF, a UUID or a path, and
 * there is no such device). Thread-safe. Source: /sys/bus/BUS/devices/NAME.
 */
VFC_API int vfc_bus_info(const char *name, struct vfc_bus_info *info);

/*
 * vfc_bus_list() - names of all devices that VFIO has, of whatever bus, sorted.
 * @names: room for @count names; may be NULL when @count is 0.
 * Return: how many there are, which may be more than @count; before Linux 6.1: 0. Thread-safe.
 * Source: /sys/class/vfio-dev.
 */
VFC_API int vfc_bus_list(char (*names)[VFC_BUS_NAME], size_t count);

VFC_END_DECLS
#endif
