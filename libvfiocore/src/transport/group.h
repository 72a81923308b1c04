/* SPDX-License-Identifier: MIT */
/* Devices that are opened by their group, for transports whose address space is a container. */
#ifndef VFC_TRANSPORT_GROUP_H
#define VFC_TRANSPORT_GROUP_H

#include "transport/transport.h"

/* @physical: the device must be one that no IOMMU translates for. */
int group_check(struct candidate *device, bool physical);
int group_device_open(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
		      struct transport_device **device);
int group_device_adopt(int fd, struct candidate *wanted, const uint8_t *token,
		       struct transport_space *space, struct transport_device **device);
void group_device_close(struct transport_device *device);
int group_device_give_back(struct transport_device *device);
bool group_device_owns(struct transport_device *device, const struct vfio_pci_hot_reset_info *info,
		       uint32_t element);
int group_device_hot_reset(struct transport_device *device);
int group_device_group(struct transport_device *device);
int group_device_file(struct transport_device *device);

#endif
