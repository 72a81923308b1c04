/* SPDX-License-Identifier: MIT */
/* Power: the states of a PCI function, and the low power of the kernel's runtime management. */
#ifndef VFIOCORE_POWER_H
#define VFIOCORE_POWER_H

#include "abi.h"
#include "device.h"

/* PCI Bus Power Management Interface 1.2, section 3.2.4. */
enum vfc_power_state {
	VFC_POWER_D0 = 0, /* works */
	VFC_POWER_D1 = 1, /* optional */
	VFC_POWER_D2 = 2, /* optional */
	VFC_POWER_D3HOT = 3, /* sleeps: config space answers, BARs do not */
};

VFC_BEGIN_DECLS

/*
 * vfc_power_get() - the function's state, enum vfc_power_state.
 * Errors: -EOPNOTSUPP (no power management), -ENODEV (gone). Thread-safe. Source: PMCSR.
 */
VFC_API int vfc_power_get(struct vfc_device *device);

/*
 * vfc_power_set() - bring the function into a state.
 * Quiesce it first. In D3hot the checked accessors of BARs say -EIO; an access through a pointer of
 * vfc_region_map() is a SIGBUS. On the way back most functions have lost what was in their
 * registers; the kernel restores config space, and interrupts have to be armed again
 * (vfc_irq_rearm()).
 * Errors: -EOPNOTSUPP (no power management, or no such state), -EBUSY (a NIC of it is open),
 * -EINVAL. One thread. Source: PMCSR, drivers/vfio/pci/vfio_pci_config.c.
 */
VFC_API int vfc_power_set(struct vfc_device *device, uint32_t state);

/*
 * vfc_power_low_enter() - let the kernel put the device into the lowest state that the platform
 * has. Quiesce it first. Checked accesses go through the kernel from then on, which wakes the
 * device for as long as they take; an access through a pointer of vfc_region_map() is a SIGBUS.
 * @wakeup: an eventfd of the caller's that is raised, and low power over, at the first access (or
 * when the device wakes itself); it may be closed after vfc_power_low_exit(). -1: none, and only
 * vfc_power_low_exit() ends it.
 * Errors: -EOPNOTSUPP (kernel before 6.1, or its driver), -EBUSY (a NIC of it is open),
 * -EINVAL (it is in low power). One thread. Source: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
 * VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP.
 */
VFC_API int vfc_power_low_enter(struct vfc_device *device, int wakeup);

/*
 * vfc_power_low_exit() - the reverse, also after a wake-up: from then on mappings are used again.
 * Errors: the kernel's. One thread. Source: VFIO_DEVICE_FEATURE_LOW_POWER_EXIT.
 */
VFC_API int vfc_power_low_exit(struct vfc_device *device);

VFC_END_DECLS
#endif
