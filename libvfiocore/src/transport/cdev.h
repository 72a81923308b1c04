/* SPDX-License-Identifier: MIT */
/* Devices by their own character device, for the transports whose address space is an IOAS. */
#ifndef VFC_TRANSPORT_CDEV_H
#define VFC_TRANSPORT_CDEV_H

#include <vfiocore/bus.h>

#include "transport/transport.h"

#define CDEV_NODES "/dev/vfio/devices"
#define CDEV_NOIOMMU "noiommu-" /* how the names begin where no IOMMU translates (vfio_main.c) */

void cdev_node(const struct vfc_bus_info *info, char node[64]);
/* @physical: it is to be one that no IOMMU translates for. */
bool cdev_offered(const char *name, bool physical, struct vfc_bus_info *info, char node[64]);
int cdev_check(const char *name, bool physical);
int cdev_open(const char *name, const uint8_t *token, struct transport_space *space,
	      struct transport_device **device);
int cdev_adopt(int fd, const char *name, const uint8_t *token, struct transport_space *space,
	       struct transport_device **device);
void cdev_close(struct transport_device *device);
int cdev_release(struct transport_device *device);
int cdev_id(struct transport_device *device, uint32_t *id);
int cdev_group(struct transport_device *device);

#endif
