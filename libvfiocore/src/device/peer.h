/* SPDX-License-Identifier: MIT */
/* The BARs of a device as memory that other devices reach. */
#ifndef VFC_DEVICE_PEER_H
#define VFC_DEVICE_PEER_H

#include "device/object.h"

/*
 * The device is given back: no device reaches its BARs any more, in whatever space they are mapped. An
 * error leaves some mapped, and the call can be made again.
 */
int peers_leave(struct vfc_device *device);
/* The device is closed: the same, and the spaces are forgotten. */
void peers_close(struct vfc_device *device);

#endif
