/* SPDX-License-Identifier: MIT */
/*
 * libvfiocore: drive a PCI device from userspace through Linux VFIO.
 *
 * Conventions that hold for every function declared below, unless it says otherwise:
 *  - it returns 0 or a non-negative value, or -errno; errno itself is left alone;
 *  - a failure also leaves a record for the calling thread, see vfiocore/error.h;
 *  - a call that fails has changed nothing: no descriptor, IOVA, pin or mapping is left behind;
 *  - sizes, lengths and offsets are bytes, times are nanoseconds;
 *  - options structs start with their size; NULL means "all defaults".
 */
#ifndef VFIOCORE_H
#define VFIOCORE_H

#include "vfiocore/abi.h"
#include "vfiocore/barrier.h"
#include "vfiocore/bus.h"
#include "vfiocore/device.h"
#include "vfiocore/dma.h"
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
