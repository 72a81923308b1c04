/* SPDX-License-Identifier: MIT */
/* The spaces in which a device's BARs are mapped, for other devices to reach. */
#ifndef VFC_DEVICE_PEER_H
#define VFC_DEVICE_PEER_H

#include "device/object.h"

/*
 * Unmap the BARs from every space in which they are mapped, so that no device reaches them. An
 * error leaves some of them mapped, and the call can be repeated.
 */
int peers_leave(struct vfc_device *device);
/* The same for a device that is being closed. The list of spaces is dropped as well. */
void peers_close(struct vfc_device *device);

#endif
