/* SPDX-License-Identifier: MIT */
/* An open VFIO device, whatever transport it came by. */
#ifndef VFIOCORE_DEVICE_H
#define VFIOCORE_DEVICE_H

#include <stdbool.h>

#include "abi.h"
#include "bus.h"
#include "iommu.h"

/* What the name of a region or interrupt type has room for. */
#define VFC_NAME 32

struct vfc_device;

enum vfc_device_flags {
	VFC_DEVICE_RESET = 1 << 0, /* vfc_device_reset() can work */
	VFC_DEVICE_PCI = 1 << 1,   /* it has a PCI config space */
	VFC_DEVICE_RELEASED = 1 << 2, /* the host has it back, see vfc_device_release() */
	/*
	 * Another process uses the device, too. Closing it here leaves its DMA on and the device
	 * attached. The kernel stops it when the last process has closed it.
	 */
	VFC_DEVICE_SHARED = 1 << 3,
};

/*
 * What a device is, as the kernel's driver says. What an index of a region or interrupt means
 * depends on it.
 */
enum vfc_device_kind {
	VFC_DEVICE_KIND_OTHER = 0,
	VFC_DEVICE_KIND_PCI = 1,      /* also a mediated device that looks like one */
	VFC_DEVICE_KIND_PLATFORM = 2,
	VFC_DEVICE_KIND_AMBA = 3,
	VFC_DEVICE_KIND_CCW = 4,      /* channel I/O of s390x */
	VFC_DEVICE_KIND_AP = 5,       /* a crypto adapter of s390x */
	VFC_DEVICE_KIND_FSL_MC = 6,
	VFC_DEVICE_KIND_CDX = 7,
};

struct vfc_device_opts {
	uint32_t size;  /* sizeof(struct vfc_device_opts) */
	uint32_t flags; /* vfc_device_adopt(): VFC_DEVICE_SHARED or 0 */
	struct vfc_iommu *iommu; /* attach to this space; NULL: one of its own, closed with it */
	const char *transport;   /* of its own space, see struct vfc_iommu_opts; else NULL */
	const uint8_t *vf_token; /* VFC_VF_TOKEN bytes, see vfiocore/sriov.h; NULL: none */
};

/* One of the devices that a hot reset resets. */
struct vfc_reset_device {
	char name[16];   /* its BDF */
	int32_t group;   /* its IOMMU group; -1: none */
	int32_t id;      /* its id in the iommufd; 0: it is not open; -1: not ours, or no iommufd */
	uint32_t owned;  /* 1: ours to reset */
	uint32_t reserved;
};

struct vfc_device_info {
	uint32_t size; /* in: sizeof(struct vfc_device_info) */
	uint32_t flags; /* enum vfc_device_flags */
	uint32_t regions;
	uint32_t irqs;
	int32_t group; /* IOMMU group; -1: none */
	uint32_t kind; /* enum vfc_device_kind */
	char name[VFC_BUS_NAME];
	char transport[16];
};

VFC_BEGIN_DECLS

/*
 * vfc_device_open() - open a device and attach it to an address space.
 * @name: a BDF, "0000:01:00.0"; the UUID of a mediated device, the name that another bus has for
 * its device, or a path in sysfs, see vfc_bus_info(); or "fake:MODEL" for the in-process model, see
 * vfiocore/fake.h. What is PCI's alone fails with -EOPNOTSUPP on another device: config space and
 * capabilities, bus mastering, hot reset, power states, NICs.
 * Without a transport it is the descriptor that `vfio run` handed over for @name, if there is one
 * (vfiocore/handover.h), unless @opts->iommu was opened otherwise.
 * Bus mastering is off until vfc_device_bus_master() or a driver turns it on.
 * Of a virtual function whose physical function is bound to vfio-pci, @opts->vf_token is the token
 * that was set on the physical function. Of a physical function it sets the token; while virtual
 * functions are open it must be the one that is set already.
 * The kernel resets the device, here and in vfc_device_close(), which takes a tenth of a second or
 * more. Other threads can open, close and map in the same address space meanwhile.
 * Errors: -ENODEV (no such device, or bound to no VFIO driver), -ENOENT (module missing), -EACCES
 * (also: no token, or another), -EBUSY (open already, here or elsewhere), -EPERM (group not
 * viable), -EINVAL (also: a token for a device that has none). Thread-safe.
 */
VFC_API int vfc_device_open(const char *name, const struct vfc_device_opts *opts,
			    struct vfc_device **device);

/*
 * vfc_device_adopt() - a device of a descriptor that somebody else opened.
 * @fd: of /dev/vfio/devices/vfioN, not bound yet or bound to the iommufd of @opts->iommu; or of
 * VFIO_GROUP_GET_DEVICE_FD, with its group in the container of @opts->iommu (that it is in this one
 * and not another the kernel does not tell). See vfc_iommu_adopt().
 * @name: its BDF or name; NULL: as the kernel tells it, which for a group's device Linux 7.2 does.
 * @opts: iommu NULL: a new address space, for a vfioN where the caller may open /dev/iommu.
 * On success the library has closed @fd and works with a duplicate, which is close-on-exec. On
 * failure @fd is still open, but the device may be bound to the iommufd, or attached to nothing.
 * Errors: -EBADF (not open), -EINVAL (another kind of descriptor, another device than @name, bound
 * to another iommufd, no group in the container, no name), -EBUSY, those of vfc_device_open().
 */
VFC_API int vfc_device_adopt(int fd, const char *name, const struct vfc_device_opts *opts,
			     struct vfc_device **device);

/*
 * vfc_device_close() - stop the device's DMA, close the device and detach it. A shared one is only
 * closed. Mapped regions become invalid. A stream of events that watches the device stops watching
 * it.
 * Errors: -EBUSY (an interrupt set or a NIC of it is open; or, of a device with an address space of
 * its own, a DMA buffer lives or another device is attached there), -ECHILD (in a child of fork(),
 * which shares the descriptor: nothing is done).
 */
VFC_API int vfc_device_close(struct vfc_device *device);

/*
 * vfc_device_release() - give the device back to the host, now, while the object stays.
 * This answers the host's request (VFC_EVENT_REQUEST), since the host waits without end until it
 * has the device. In this order:
 *  - DMA is turned off and interrupts are disarmed;
 *  - everything in the device's address space is unmapped, if no other device is attached there;
 *  - mapped regions become memory of this process that reads as all ones (beyond the first 16 MiB
 *    of a region: as zero), and other devices no longer reach its BARs (vfc_iommu_map_region());
 *  - the descriptor is closed, of a group with its last device.
 * From then on, every call on the device or on an object of it fails with -ENODEV or finds all
 * ones, and threads that wait for an interrupt are woken. The objects are still to be closed. Other
 * threads may use the device meanwhile, but until the kernel has closed it, nobody else can map in
 * its address space. A second call does nothing.
 * Of an adopted device the library closes its duplicate, and the device leaves the address spaces
 * that it was attached to, for all processes that share it. The host has the device when they have
 * closed their descriptors. A group that another process attached stays in its container until that
 * process lets go.
 * Errors: -ENOMEM, -EMFILE, -EBUSY (another thread is making a mapping, with progress): the device
 * is still open, its DMA and interrupts are off; try again.
 * Thread-safe, but for vfc_device_close(), attach and detach.
 */
VFC_API int vfc_device_release(struct vfc_device *device);

/* vfc_device_info() - what the device is. Thread-safe. */
VFC_API int vfc_device_info(struct vfc_device *device, struct vfc_device_info *info);

/*
 * vfc_device_iommu() - the address space it is, or was last, attached to; never NULL. Thread-safe.
 */
VFC_API struct vfc_iommu *vfc_device_iommu(struct vfc_device *device);

/*
 * vfc_device_attach() - attach to another address space, in place of the one it is attached to.
 * There is no moment at which it is attached to neither. It does not reach the old space any more.
 * Errors: -EOPNOTSUPP (group, compat, noiommu: a group has its container for as long as it is
 * open), -EINVAL (a space that does not share the iommufd, see vfc_iommu_opts.beside), -EBUSY (a
 * NIC of the device is open, with rings in the old space), else the kernel's (something is mapped
 * there that this device's IOMMU cannot map), -ECHILD (a child of fork(), as for all four functions
 * here). One thread, or the caller's lock.
 * Source: VFIO_DEVICE_ATTACH_IOMMUFD_PT.
 */
VFC_API int vfc_device_attach(struct vfc_device *device, struct vfc_iommu *iommu);

/*
 * vfc_device_detach() - let the device reach nothing. A second call does nothing.
 * Errors: -EOPNOTSUPP, -EBUSY as for vfc_device_attach(). One thread, or the caller's lock.
 * Source: VFIO_DEVICE_DETACH_IOMMUFD_PT.
 */
VFC_API int vfc_device_detach(struct vfc_device *device);

/*
 * vfc_device_attach_pasid() / vfc_device_detach_pasid() - attach the accesses that the device makes
 * with a PASID (process address space id) to a space of their own. Accesses without a PASID stay
 * where they are.
 * @pasid: 1 to 2^20-1. One that is attached already moves. Closing the device detaches all.
 * Errors: -EOPNOTSUPP (transport, kernel before 6.15, or device without PASIDs), -EINVAL; to
 * detach: -ENOENT (it is not attached).
 * One thread, or the caller's lock. Source: VFIO_DEVICE_ATTACH_PASID.
 */
VFC_API int vfc_device_attach_pasid(struct vfc_device *device, uint32_t pasid,
				    struct vfc_iommu *iommu);
VFC_API int vfc_device_detach_pasid(struct vfc_device *device, uint32_t pasid);

/*
 * vfc_device_iommufd_id() - the device's id in its iommufd, for the functions of
 * vfiocore/iommufd.h.
 * Errors: -EOPNOTSUPP (the transport has none). Thread-safe. Source: VFIO_DEVICE_BIND_IOMMUFD.
 */
VFC_API int vfc_device_iommufd_id(struct vfc_device *device, uint32_t *id);

/*
 * vfc_device_reset() - reset the function.
 * Quiesce it first. DMA is turned off before, and stays off: vfc_device_bus_master() turns it on.
 * Interrupts must be armed again (vfc_irq_rearm) and the rest of config space is restored by the
 * kernel. Errors: -EOPNOTSUPP (no reset method), else the kernel's.
 * Source: VFIO_DEVICE_RESET.
 */
VFC_API int vfc_device_reset(struct vfc_device *device);

/*
 * vfc_device_hot_reset_info() - what vfc_device_hot_reset() would reset.
 * @devices: room for @count; may be NULL when @count is 0. The device itself is among them.
 * Return: how many there are, which may be more than @count. Errors: -EOPNOTSUPP (it cannot be).
 * Thread-safe. Source: VFIO_DEVICE_GET_PCI_HOT_RESET_INFO.
 */
VFC_API int vfc_device_hot_reset_info(struct vfc_device *device, struct vfc_reset_device *devices,
				      size_t count);

/*
 * vfc_device_hot_reset() - reset the device's slot or bus, with all functions on it.
 * Quiesce them all first; what vfc_device_reset() says of DMA, interrupts and config space holds.
 * It is refused, with a list, unless each function there is ours. By group and compat, that is a
 * function of a group that is attached to the device's address space; by cdev, one of the same
 * iommufd, or one whose group has such a function. So open them all in one address space
 * (vfc_device_opts.iommu).
 * Errors: -EBUSY (others are hit), -EOPNOTSUPP (on a root bus; behind a port that does not report
 * its link), else the kernel's. Source: VFIO_DEVICE_PCI_HOT_RESET.
 */
VFC_API int vfc_device_hot_reset(struct vfc_device *device);

/*
 * vfc_device_bus_master() - allow or forbid DMA (and MSI) by the device.
 * Source: PCI Command register bit 2, PCI Local Bus 3.0 section 6.2.2.
 */
VFC_API int vfc_device_bus_master(struct vfc_device *device, bool on);

/*
 * vfc_device_fd() - the device's descriptor, for requests that this library does not make and to
 * pass it to another process by means of your own. It stays the device's.
 * Return: the descriptor. Errors: -EOPNOTSUPP (transports fake and noiommu), -ENODEV (given back to
 * the host). Thread-safe.
 */
VFC_API int vfc_device_fd(struct vfc_device *device);

/*
 * vfc_device_feature() - a VFIO_DEVICE_FEATURE of linux/vfio.h that no other function here is for.
 * @flags: the feature's number with VFIO_DEVICE_FEATURE_GET, _SET or _PROBE. @data: @length bytes
 * of the feature's own structure, read and written by the kernel; NULL when @length is 0.
 * What the kernel makes by it (a descriptor, say) is the caller's, and the library knows nothing of
 * it.
 * Errors: -EOPNOTSUPP (the device, the kernel or the transport does not have it), -EINVAL (more
 * than 64 KiB, no @data; a feature of
 * low power, which vfc_power_low_enter() is for: checked accesses must know of it), -ENODEV (given
 * back), else the kernel's. Thread-safe. Source: VFIO_DEVICE_FEATURE, since Linux 5.7.
 */
VFC_API int vfc_device_feature(struct vfc_device *device, uint32_t flags, void *data, size_t length);

VFC_END_DECLS
#endif
