/* SPDX-License-Identifier: MIT */
/*
 * Devices that are opened by their own character device, for transports whose address space is an
 * IOAS.
 */
#ifndef VFC_TRANSPORT_CDEV_H
#define VFC_TRANSPORT_CDEV_H

#include "transport/transport.h"

#define CDEV_NODES "/dev/vfio/devices"
#define CDEV_NOIOMMU "noiommu-" /* prefix of names without an IOMMU (vfio_main.c) */

/* Does the device have a node of its own? @physical asks for the kind without an IOMMU. */
bool cdev_offered(struct candidate *device, bool physical);
/* Likewise, with a record that says why if it has none. */
int cdev_check(struct candidate *device, bool physical);
int cdev_open(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
	      struct transport_device **device);
int cdev_adopt(int fd, struct candidate *wanted, const uint8_t *token, struct transport_space *space,
	       struct transport_device **device);
void cdev_close(struct transport_device *device);
int cdev_give_back(struct transport_device *device);
int cdev_id(struct transport_device *device, uint32_t *id);
int cdev_group(struct transport_device *device);

#endif
