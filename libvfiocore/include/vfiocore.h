/* SPDX-License-Identifier: MIT */
/*
 * libvfiocore: drive a PCI device from userspace through Linux VFIO.
 *
 * This header brings everything. The author of a driver needs <vfiocore/driver.h> alone.
 *
 * These rules hold for every function declared below, unless it says otherwise:
 *  - It returns 0 or another value that is not negative, or -errno. errno itself is left alone.
 *  - A failure also leaves a record for the calling thread, see vfiocore/error.h.
 *  - A call that fails has changed nothing: no descriptor, IOVA, pin or mapping is left behind.
 *  - Sizes, lengths and offsets are in bytes, times in nanoseconds. A negative timeout has no end.
 *  - An options struct starts with its size. NULL means "all defaults".
 *  - Parameters come in this order: the object, what is asked for, options, outputs. Of an output
 *    "out" says that it is only written, and "in" that the caller sets it before.
 *
 * What makes an object says how it ends, and whose memory it is:
 *  - open / close: the library allocates the object and gives a pointer to it. It stands for
 *    something of the kernel's. close frees the object. Closing one that others stand on is refused
 *    (-EBUSY), and the object is as before.
 *  - init / destroy: the struct is the caller's, and the library fills it in: a ring, a pool.
 *    destroy gives back what is behind it. A struct of zeros, or one that was destroyed, is
 *    destroyed without effect.
 *  - alloc / free: memory for a device, with a struct of the caller's that says where it is. The
 *    struct may be copied, and only one copy is freed. A struct of zeros is freed without effect.
 *  - get / put: a thing out of a store that has it before and after: a chunk of a pool, a mapping
 *    of a cache. Nothing is allocated.
 *  - "release" gives a device back to the host (vfc_device_release()) while the object stays: it is
 *    still to be closed.
 */
#ifndef VFIOCORE_H
#define VFIOCORE_H

#include "vfiocore/abi.h"
#include "vfiocore/barrier.h"
#include "vfiocore/bus.h"
#include "vfiocore/device.h"
#include "vfiocore/dma.h"
#include "vfiocore/driver.h"
#include "vfiocore/error.h"
#include "vfiocore/event.h"
#include "vfiocore/fake.h"
#include "vfiocore/handover.h"
#include "vfiocore/iommu.h"
#include "vfiocore/iommufd.h"
#include "vfiocore/iova.h"
#include "vfiocore/irq.h"
#include "vfiocore/kvm.h"
#include "vfiocore/mapcache.h"
#include "vfiocore/mmio.h"
#include "vfiocore/nic.h"
#include "vfiocore/nic_vf.h"
#include "vfiocore/nofault.h"
#include "vfiocore/pci.h"
#include "vfiocore/power.h"
#include "vfiocore/region.h"
#include "vfiocore/ring.h"
#include "vfiocore/sriov.h"

#endif
