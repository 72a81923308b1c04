/* SPDX-License-Identifier: MIT */
/* PCI devices as sysfs shows them: discovery, details, driver binding. Needs no VFIO. */
#ifndef VFIOCORE_PCI_H
#define VFIOCORE_PCI_H

#include "abi.h"

#define VFC_PCI_BARS 6

/* "DDDD:BB:DD.F"; a domain may be wider than four digits (Intel VMD uses five). */
#define VFC_PCI_NAME 16

enum vfc_pci_bar_flags {
	VFC_PCI_BAR_IO = 1 << 0,
	VFC_PCI_BAR_64 = 1 << 1,
	VFC_PCI_BAR_PREFETCH = 1 << 2,
};

struct vfc_pci_bar {
	uint64_t address; /* bus address; 0 when unassigned */
	uint64_t size;    /* bytes; 0: not implemented */
	uint32_t flags;   /* enum vfc_pci_bar_flags */
	uint32_t reserved;
};

struct vfc_pci_info {
	uint32_t size; /* in: sizeof(struct vfc_pci_info) */
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem_device;
	uint32_t class_code; /* 24 bits: base class, subclass, programming interface */
	uint32_t revision;
	int32_t numa_node;   /* -1: none or unknown */
	int32_t iommu_group; /* -1: no IOMMU translates for this device */
	uint32_t sriov_total; /* virtual functions that it can have */
	uint32_t sriov_count; /* virtual functions that it has now */
	uint32_t reserved;
	char name[VFC_PCI_NAME];     /* the canonical BDF */
	char physfn[VFC_PCI_NAME];   /* for a virtual function its physical function, else "" */
	char driver[32];             /* "" when unbound */
	char driver_override[32];    /* "" when unset */
	char iommu[32];              /* the IOMMU in /sys/class/iommu, "dmar0"; "" when none */
	char vfio_cdev[32];          /* "vfio3" when the kernel offers a character device, else "" */
	struct vfc_pci_bar bars[VFC_PCI_BARS];
	uint64_t rom_size;
};

/* How vfc_pci_bind() and vfc_pci_unbind_with() go about it. */
enum vfc_pci_bind_flags {
	VFC_PCI_FORCE = 1 << 0,   /* take the device away though the host uses it */
	VFC_PCI_DRY_RUN = 1 << 1, /* check what can be checked beforehand, and change nothing */
};

struct vfc_pci_bind_opts {
	uint32_t size;      /* sizeof(struct vfc_pci_bind_opts) */
	int32_t uid;        /* give the device's VFIO nodes to this user; -1: leave them */
	int32_t gid;        /* likewise for the group; -1: leave it */
	uint32_t flags;     /* enum vfc_pci_bind_flags */
	const char *driver; /* NULL: "vfio-pci" */
};

/* A capability of config space; offset 0 with an id of 0 never occurs. */
struct vfc_pci_cap {
	uint16_t id;
	uint16_t offset;
	uint8_t version;  /* extended capabilities only */
	uint8_t extended; /* 1: in extended config space */
	uint16_t reserved;
};

struct vfc_pci_use_opts {
	uint32_t size;     /* sizeof(struct vfc_pci_use_opts) */
	uint32_t reserved;
	const char *sysfs; /* where it is mounted; NULL: VFIOCORE_SYSFS of the environment, or /sys */
	const char *proc;  /* likewise; NULL: VFIOCORE_PROC of the environment, or /proc */
};

VFC_BEGIN_DECLS

/*
 * vfc_pci_list() - names of all PCI devices, sorted.
 * @names: room for @count names; may be NULL when @count is 0.
 * Return: how many there are, which may be more than @count. Thread-safe.
 * Source: /sys/bus/pci/devices.
 */
VFC_API int vfc_pci_list(char (*names)[VFC_PCI_NAME], size_t count);

/*
 * vfc_pci_info() - details of one device.
 * @name: "0000:01:00.0", or "01:00.0" in domain 0.
 * Errors: -EINVAL (not a BDF), -ENODEV (no such device). Thread-safe.
 * Source: /sys/bus/pci/devices/NAME, Documentation/ABI/testing/sysfs-bus-pci.
 */
VFC_API int vfc_pci_info(const char *name, struct vfc_pci_info *info);

/*
 * vfc_pci_group() - names of the devices in an IOMMU group, sorted.
 * Return: how many there are, as vfc_pci_list(); -ENOENT: no such group. Thread-safe.
 * Source: /sys/kernel/iommu_groups/N/devices.
 */
VFC_API int vfc_pci_group(int group, char (*names)[VFC_PCI_NAME], size_t count);

/*
 * vfc_pci_in_use() - does the host need the device right now?
 *
 * It does when a route goes through one of the device's network interfaces (those apart that every
 * interface of IPv6 has), when one of its disks is mounted, swap, or claimed by a file system or a
 * program, and when an interface or a disk has others stacked on it: VLANs, bridges, bonds, device
 * mapper, md. What is stacked is followed. What only another network namespace or another routing
 * table knows is not seen, and of claimed disks only those whose node the caller may open.
 * @opts: NULL: the system's sysfs and /proc.
 * @why: out, "its disk nvme0n1p2 is mounted on /"; "" when the device is not in use.
 * Return: the length that the whole text has; 0: not in use. Errors: -EINVAL, -ENODEV, -ENOMEM; any
 * of open(2) and read(2), because what could not be looked at is not called unused. Thread-safe.
 * Source: /proc/net/route, /proc/net/ipv6_route, /proc/self/mountinfo, /proc/swaps, /sys/class/net,
 * /sys/class/block, /sys/fs/btrfs.
 */
VFC_API int vfc_pci_in_use(const char *name, const struct vfc_pci_use_opts *opts, char *why, size_t size);

/*
 * vfc_pci_bind() - bind a device to a VFIO driver, remembering what it was bound to.
 *
 * Uses driver_override and drivers_probe and verifies the result. A driver that does not take the
 * device is asked again for 2.6 s, because a device that was just plugged in matches no driver at
 * first. All or nothing: on failure, also of handing the nodes over, the former driver is bound
 * again and the nodes have their former owner. The former driver is kept in /run/vfiocore/NAME, so
 * that vfc_pci_unbind() finds it from another process. Binding a device that is bound to
 * @opts->driver already only changes the nodes' owner.
 * Errors: -ENODEV; -ENOENT (driver not loaded); -EACCES; -EBUSY when the host uses the device
 * (vfc_pci_in_use(), unless VFC_PCI_FORCE), or when it, or another of its group, is open through
 * VFIO; -EOPNOTSUPP (a bridge, which VFIO drives none of); -EINVAL (@opts->driver is no name).
 * Needs root, except with VFC_PCI_DRY_RUN. Not safe against other processes that bind the same
 * device.
 */
VFC_API int vfc_pci_bind(const char *name, const struct vfc_pci_bind_opts *opts);

/*
 * vfc_pci_unbind() - undo vfc_pci_bind(): clear driver_override and bind the former driver.
 * vfc_pci_unbind_with() - the same. @flags: enum vfc_pci_bind_flags.
 *
 * A device that a VFIO driver has although vfc_pci_bind() did not bind it, or that has no driver,
 * is handed to whatever driver the kernel chooses. One that a driver of the host's has stays there,
 * unless vfc_pci_bind() bound it to that or VFC_PCI_FORCE is given.
 * Errors: -ENODEV; -EACCES; -EBUSY when a driver of the host's has it, or the host uses it
 * (vfc_pci_in_use()); -EBUSY, whatever the flags, when it, or another of its group, is open through
 * VFIO. Needs root, except with VFC_PCI_DRY_RUN. Not safe against other processes that bind the
 * same device.
 */
VFC_API int vfc_pci_unbind(const char *name);
VFC_API int vfc_pci_unbind_with(const char *name, uint32_t flags);

/*
 * vfc_pci_reset_methods() - the ways in which the kernel can reset a function, in its order.
 * @methods: out, words such as "flr pm bus" with blanks between; "" when there are none.
 * Return: the length that the whole text has. Errors: -EINVAL, -ENODEV, and those of a file that is
 * there and cannot be read, such as -EMFILE. Thread-safe.
 * Source: /sys/bus/pci/devices/NAME/reset_method, since Linux 5.15.
 */
VFC_API int vfc_pci_reset_methods(const char *name, char *methods, size_t size);

/*
 * vfc_pci_wait_for() - wait until a device is there: plugged in, or already.
 * @device: its address, "0000:01:00.0", or its ids, "8086:10d3".
 * @timeout: ns; 0: only look; negative: without end.
 * @name: out, its address. Errors: -ETIMEDOUT, -EINTR, -EINVAL, those of vfc_events_open().
 * Thread-safe. Source: netlink(7) NETLINK_KOBJECT_UEVENT.
 */
VFC_API int vfc_pci_wait_for(const char *device, int64_t timeout, char name[VFC_PCI_NAME]);

/*
 * vfc_pci_caps_of() - as vfc_pci_caps() (vfiocore/region.h), in a copy of config space, such as
 * sysfs gives.
 * @space: its bytes. @length: 64 to 4096. A list that the copy does not hold is empty: sysfs gives
 * an ordinary user 64 bytes, and a device that is not PCI Express has 256.
 * Errors: -EBADMSG as there, -EINVAL (@length). Thread-safe.
 */
VFC_API int vfc_pci_caps_of(const void *space, size_t length, struct vfc_pci_cap *caps,
			    size_t count);

VFC_END_DECLS
#endif
