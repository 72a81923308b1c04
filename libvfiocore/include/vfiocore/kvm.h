/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine of KVM that is given a device: its interrupts go straight into the guest, and
 * the guest's writes straight into a register, with no thread of this process in between. For
 * authors of virtual machine monitors, who make the machine and its interrupt controller.
 */
#ifndef VFIOCORE_KVM_H
#define VFIOCORE_KVM_H

#include "abi.h"
#include "device.h"
#include "irq.h"

struct vfc_kvm;

/* Where a GSI, the number by which KVM knows an interrupt, leads. */
enum vfc_kvm_route_kind {
	VFC_KVM_ROUTE_PIN = 1, /* to a pin of an interrupt controller in the kernel */
	VFC_KVM_ROUTE_MSI = 2, /* a message, as the guest has written it into the device's table */
};

struct vfc_kvm_route {
	uint32_t gsi;
	uint32_t kind;    /* enum vfc_kvm_route_kind */
	uint32_t chip;    /* PIN: KVM_IRQCHIP_*; x86: 0 and 1 are the PICs, 2 is the IOAPIC */
	uint32_t pin;     /* PIN */
	uint64_t address; /* MSI */
	uint32_t data;    /* MSI */
	uint32_t reserved;
};

enum vfc_kvm_io_flags {
	VFC_KVM_IO_PORT = 1 << 0, /* the address is an I/O port's, and not in memory */
};

VFC_BEGIN_DECLS

/*
 * vfc_kvm_open() - work with a virtual machine.
 * @vm: the descriptor of KVM_CREATE_VM, which stays the caller's: the library keeps a duplicate,
 * and so the machine lives until vfc_kvm_close(), too.
 * Belongs to the process that opened it: a child of fork() gets -ECHILD of all that follows.
 * Errors: -EINVAL (another kind of descriptor), -EBADF (not open), -EMFILE.
 */
VFC_API int vfc_kvm_open(int vm, struct vfc_kvm **kvm);

/* vfc_kvm_close() - Errors: -EBUSY (a vector is bound, or a device added). */
VFC_API int vfc_kvm_close(struct vfc_kvm *kvm);

/*
 * vfc_kvm_add() / vfc_kvm_remove() - tell KVM that the guest has the device: then it honours the
 * guest's cache attributes where the IOMMU does not enforce coherence, and drivers that need to
 * know the machine are told. vfc_device_close() and vfc_device_release() remove it.
 * Such a driver (mediated devices; AP and PCI on s390x) asks when the device is opened, before
 * this can be called. There, register the descriptor first and then vfc_device_adopt() it.
 * Errors: -EALREADY (it is added here, or is not), -EBUSY (it is added to another machine, or the
 * machine has a VFIO device of KVM that others made), -EOPNOTSUPP (the transport or kernel has no
 * such thing), the kernel's. Thread-safe. Source: KVM_DEV_VFIO_FILE_ADD, virt/kvm/vfio.c.
 */
VFC_API int vfc_kvm_add(struct vfc_kvm *kvm, struct vfc_device *device);
VFC_API int vfc_kvm_remove(struct vfc_kvm *kvm, struct vfc_device *device);

/*
 * vfc_kvm_set_routes() - replace the machine's whole table of GSIs.
 * KVM takes the table as a whole and never gives it back. So it belongs to the monitor, which knows
 * what else is in it, and the library keeps no copy. KVM_CREATE_IRQCHIP makes a first table, of
 * pins only. A monitor that makes the request by itself does not need this function.
 * Errors: -EINVAL (a kind, a GSI or a pin that there is not, no interrupt controller in the
 * kernel), -ENOMEM. Thread-safe. Source: KVM_SET_GSI_ROUTING.
 */
VFC_API int vfc_kvm_set_routes(struct vfc_kvm *kvm, const struct vfc_kvm_route *routes,
			       uint32_t count);

/*
 * vfc_kvm_bind() - deliver a vector of @irq to the guest, as an interrupt of that GSI.
 * MSI and MSI-X: the GSI's route is a message. INTx: a pin; the kernel masks it when it fires, and
 * the guest's end-of-interrupt unmasks it (the resampling irqfd).
 * From then on the vector does not fire here. Waits for it answer -EBUSY, also those that sleep
 * already; waits for any or all vectors go by the others; vfc_irq_stats() counts nothing. If it had
 * fired before and nobody had consumed that, one interrupt is delivered to the guest, and INTx is
 * unmasked. The other functions of the set work as before; a resize that would remove the vector
 * answers -EBUSY. Closing the set unbinds it.
 * Errors: -EINVAL (no such vector; no interrupt controller in the kernel, or for INTx a split one),
 * -EBUSY (it is bound), the kernel's. Thread-safe. Source: KVM_IRQFD, virt/kvm/eventfd.c.
 */
VFC_API int vfc_kvm_bind(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t vector, uint32_t gsi);

/*
 * vfc_kvm_unbind() - the reverse: it fires here again. What the guest was told already stays with
 * it; INTx is unmasked, and so fires here if the device still asserts it.
 * Errors: -EINVAL (no such vector), -EALREADY (it is not bound to @kvm), the kernel's. Thread-safe.
 */
VFC_API int vfc_kvm_unbind(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_kvm_ioeventfd_add() / vfc_kvm_ioeventfd_remove() - when the guest writes @value, of @width
 * bytes, to @address, raise the eventfd @fd, and do not leave the guest. With
 * vfc_region_ioeventfd() of the same eventfd, value and width the kernel does that write to the
 * device.
 * @address: guest-physical, or with VFC_KVM_IO_PORT a port. @flags: enum vfc_kvm_io_flags.
 * The eventfd is the caller's. To remove, the same arguments.
 * Errors: -EINVAL (width, flags, value), -EEXIST (there is one), -ENOENT (there is none), -ENOSPC.
 * Thread-safe. Source: KVM_IOEVENTFD.
 */
VFC_API int vfc_kvm_ioeventfd_add(struct vfc_kvm *kvm, uint64_t address, uint32_t width,
				  uint64_t value, uint32_t flags, int fd);
VFC_API int vfc_kvm_ioeventfd_remove(struct vfc_kvm *kvm, uint64_t address, uint32_t width,
				     uint64_t value, uint32_t flags, int fd);

VFC_END_DECLS
#endif
