/* SPDX-License-Identifier: MIT */
/* An interrupt set: INTx, MSI or MSI-X vectors of a device, each delivered to an eventfd. */
#ifndef VFIOCORE_IRQ_H
#define VFIOCORE_IRQ_H

#include "abi.h"
#include "device.h"

struct vfc_irq;

/* Indices of a PCI device's interrupt types (linux/vfio.h). */
enum vfc_irq_index {
	VFC_IRQ_INTX = 0,
	VFC_IRQ_MSI = 1,
	VFC_IRQ_MSIX = 2,
	VFC_IRQ_ERR = 3,
	VFC_IRQ_REQ = 4,
};

enum vfc_irq_flags {
	VFC_IRQ_EVENTFD = 1 << 0,
	VFC_IRQ_MASKABLE = 1 << 1,
	VFC_IRQ_AUTOMASKED = 1 << 2, /* masked by the kernel each time it fires */
	VFC_IRQ_NORESIZE = 1 << 3,
};

struct vfc_irq_info {
	uint32_t size; /* in: sizeof(struct vfc_irq_info) */
	uint32_t index;
	uint32_t flags; /* enum vfc_irq_flags */
	uint32_t count; /* vectors; 0: the device has none of this type */
};

VFC_BEGIN_DECLS

/* vfc_irq_info() - what the device offers of one type. Errors: -EINVAL (no such index). */
VFC_API int vfc_irq_info(struct vfc_device *device, uint32_t index, struct vfc_irq_info *info);

/*
 * vfc_irq_open() - arm vectors 0 to @count-1 of one type.
 * A device has one of INTx, MSI and MSI-X armed at a time. MSI and MSI-X messages are writes by
 * the device: they need vfc_device_bus_master().
 * Errors: -EINVAL (more than the device has), -EBUSY (another set is open), -EMFILE, the kernel's.
 */
VFC_API int vfc_irq_open(struct vfc_device *device, uint32_t index, uint32_t count,
			 struct vfc_irq **irq);

/* vfc_irq_close() - disarm, turn the type off, close the eventfds. */
VFC_API int vfc_irq_close(struct vfc_irq *irq);

/* vfc_irq_fd() - the eventfd of a vector, non-blocking, owned by the set. -EINVAL: no such vector. */
VFC_API int vfc_irq_fd(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_wait() - wait until a vector fires, and consume what it counted.
 * @timeout: nanoseconds; 0: only look; negative: without end.
 * @count: out, interrupts since the last wait (the kernel may merge some); may be NULL.
 * Errors: -ETIMEDOUT, -EINTR (a signal came), -EINVAL. Thread-safe.
 */
VFC_API int vfc_irq_wait(struct vfc_irq *irq, uint32_t vector, int64_t timeout, uint64_t *count);

/* vfc_irq_rearm() - arm the same eventfds again, as is needed after vfc_device_reset(). */
VFC_API int vfc_irq_rearm(struct vfc_irq *irq);

/* vfc_irq_unmask() - let INTx, which the kernel masked when it fired, fire again. */
VFC_API int vfc_irq_unmask(struct vfc_irq *irq);

/* vfc_irq_trigger() - have the kernel raise a vector, as if the device had (for tests). */
VFC_API int vfc_irq_trigger(struct vfc_irq *irq, uint32_t vector);

VFC_END_DECLS
#endif
