/* SPDX-License-Identifier: MIT */
/* Devices by their own character device, for the transports whose address space is an IOAS. */
#ifndef VFC_TRANSPORT_CDEV_H
#define VFC_TRANSPORT_CDEV_H

#include "transport/transport.h"

#define CDEV_NODES "/dev/vfio/devices"
#define CDEV_NOIOMMU "noiommu-" /* how the names begin where no IOMMU translates (vfio_main.c) */

/* Has the device a node of its own? @physical: one for devices that no IOMMU translates for. */
bool cdev_offered(struct candidate *device, bool physical);
/* Likewise, and if it has none a record says why. */
int cdev_check(struct candidate *device, bool physical);
int cdev_open(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
	      struct transport_device **device);
int cdev_adopt(int fd, struct candidate *wanted, const uint8_t *token, struct transport_space *space,
	       struct transport_device **device);
void cdev_close(struct transport_device *device);
int cdev_release(struct transport_device *device);
int cdev_id(struct transport_device *device, uint32_t *id);
int cdev_group(struct transport_device *device);

#endif
