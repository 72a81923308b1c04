/* SPDX-License-Identifier: MIT */
/*
 * All that a driver of a PCI device needs, and nothing else: the nine headers below. A program for
 * network interfaces wants vfiocore/nic.h besides, and whoever watches devices or hands them out
 * wants <vfiocore.h>, which has everything.
 *
 * The order below is a good one to read them in:
 *  error.h    what a failure leaves behind
 *  device.h   open a device, let it do DMA, reset it
 *  region.h   its registers and its config space
 *  mmio.h     registers without checks, one instruction each
 *  irq.h      its interrupts
 *  iommu.h    which memory it reaches, and at which address
 *  dma.h      memory for it
 *  barrier.h  what is ordered between the CPU and the device, and what is not
 *  ring.h     descriptor rings
 */
#ifndef VFIOCORE_DRIVER_H
#define VFIOCORE_DRIVER_H

#include "abi.h"
#include "barrier.h"
#include "device.h"
#include "dma.h"
#include "error.h"
#include "iommu.h"
#include "irq.h"
#include "mmio.h"
#include "region.h"
#include "ring.h"

#endif
