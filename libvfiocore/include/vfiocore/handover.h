/* SPDX-License-Identifier: MIT */
/*
 * Hand a device over to another process, which needs no right to open it.
 *
 * By inheritance: `vfio run BDF... -- COMMAND` opens devices and an address space and names their
 * descriptors in the environment of the command,
 *	VFIOCORE_FDS=iommu=3,0000:01:00.0=4,0000:02:00.0=5
 * numbered from 3 in the order of the command line. vfc_iommu_open() and vfc_device_open() take a
 * duplicate of them in place of the nodes, when the caller names no transport; setuid programs do
 * not. They stay open, so a device can be opened again, but are close-on-exec from then on:
 * programs that this process runs do not inherit the device. One process at a time: to share, send
 * it.
 *
 * By a Unix socket, also to use the device together: vfc_device_send(), vfc_device_receive(). Of a
 * shared device
 *  - there is one address space. Each process maps, finds and unmaps what is its own; a place that
 *    the library chooses is one that nobody has. Who closes the space takes its mappings back;
 *    those of a process that was killed stay, and their memory, until the last one has closed it;
 *  - there is one of each interrupt type, of which one process opens a set, and one set of
 *    registers: who writes to them when is between the processes.
 */
#ifndef VFIOCORE_HANDOVER_H
#define VFIOCORE_HANDOVER_H

#include "device.h"

VFC_BEGIN_DECLS

/*
 * vfc_device_send() - pass the device and the address space that it is attached to over a socket.
 * @socket: a connected Unix socket, of any type. The device is shared from here on
 * (VFC_DEVICE_SHARED), also if nobody receives it.
 * Errors: -EOPNOTSUPP (transports fake and noiommu), -ENODEV (given back to the host), those of
 * sendmsg(2): -EPIPE, -EAGAIN (a non-blocking socket that is full). One thread, or the caller's
 * lock.
 */
VFC_API int vfc_device_send(struct vfc_device *device, int socket);

/*
 * vfc_device_receive() - wait for a device that somebody sends, and open it.
 * @opts: iommu: the space of a device that came from the same space before, see vfc_device_iommu();
 * else it is the device's own, and closed with it. NULL: that.
 * @timeout: ns; 0: look once; negative: no end.
 * The sender is not trusted: what is no device with its space is refused, and its descriptors are
 * closed. It cannot choose a transport without an IOMMU. The socket may pass credentials, pidfds
 * and security labels.
 * Thread-safe. When several threads wait on one socket, each message wakes one of them.
 * Errors: -ETIMEDOUT, -EINTR, -EBADMSG (another message, or descriptors are missing or too many),
 * -ECONNRESET (the other side closed the socket), those of vfc_iommu_adopt() and
 * vfc_device_adopt().
 */
VFC_API int vfc_device_receive(int socket, const struct vfc_device_opts *opts, int64_t timeout,
			       struct vfc_device **device);

VFC_END_DECLS
#endif
