/* SPDX-License-Identifier: MIT */
/* The spaces in which a device's BARs are mapped, for other devices to reach. */
#ifndef VFC_DEVICE_PEER_H
#define VFC_DEVICE_PEER_H

#include "device/object.h"

/*
 * No device reaches the BARs any more, in whatever space they are mapped. An error leaves some of them
 * mapped, and the call can be made again.
 */
int peers_leave(struct vfc_device *device);
/* The device is being closed: the same, and the spaces are forgotten. */
void peers_close(struct vfc_device *device);

#endif
