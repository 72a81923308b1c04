/* SPDX-License-Identifier: MIT */
/*
 * The open device as an object: its fields, its references, and those who watch it. It knows nothing
 * of what stands on it. Interrupt sets, streams of events and virtual machines know the device; when
 * something happens to it, the device calls them through the list of watchers.
 */
#ifndef VFC_DEVICE_OBJECT_H
#define VFC_DEVICE_OBJECT_H

#include <pthread.h>
#include <vfiocore/device.h>

#include "transport/transport.h"

/* A part of a region that the kernel lets us map. It is mapped as a whole on first use. */
struct region_area {
	uint64_t offset;
	uint64_t length;
	void *address; /* NULL: not mapped yet */
};

struct region {
	uint64_t position; /* the region's opaque offset on the descriptor */
	uint64_t length;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* */
	uint32_t type, subtype; /* 0: none */
	uint32_t area_count;
	struct region_area *areas;
};

struct device_watcher;

struct vfc_device {
	const struct transport *ops;
	struct transport_device *transport;
	struct vfc_iommu *iommu; /* its space; a detached device holds the space that it was in */
	struct vfc_iommu *own;   /* opened for this device and closed with it, or NULL */
	struct pasid *pasids;    /* PASIDs that are attached to spaces of their own, device/attach.c */
	struct peer *peers;      /* spaces in which its BARs were mapped, device/peer.c */
	struct region *regions;
	uint32_t region_count;
	uint32_t irq_count;
	uint32_t flags; /* enum vfc_device_flags */
	uint32_t kind;  /* enum vfc_device_kind */
	uint32_t power; /* offset of PMCSR in config space; 0: none */
	bool decodes;   /* atomic: mapped BARs answer */
	bool attached;
	int pid;        /* of the process that opened it */
	bool released;  /* atomic: the host has it back, see vfc_device_release() */
	bool shared;    /* atomic: with another process, see VFC_DEVICE_SHARED */
	bool low_power; /* atomic: mapped BARs do not answer, whatever the registers say */
	bool nofault;   /* atomic: its checked accesses do not end in SIGBUS, device/nofault.c */
	char name[VFC_BUS_NAME];

	pthread_mutex_t release_lock; /* only one thread gives the device back; the first to be taken */
	pthread_mutex_t watch_lock;   /* guards @watchers */
	struct device_watcher *watchers;

	pthread_mutex_t lock; /* guards the mappings of regions and what follows; the last to be taken */
	uint32_t children;    /* open interrupt sets and NICs */
	bool *irqs_open;      /* by index: a set of this type is open */
	bool nic;             /* a NIC is open, or is being opened */
};

/* Set up and tear down the locks of a device whose memory is zeroed. */
void device_init(struct vfc_device *device);
void device_destroy(struct vfc_device *device);

/* Did the host get it back? */
bool device_is_released(const struct vfc_device *device);
/* 0, or -ENODEV with a record if the host has it back: nothing that is waited for will come. */
int device_present(struct vfc_device *device);
/* For drivers, whose registers and rings live in the device: is a NIC open on it? */
bool device_has_nic(struct vfc_device *device);
/* 0, or -EOPNOTSUPP with a record if it is no PCI device. @what only PCI devices have. */
int device_check_pci(const struct vfc_device *device, const char *what);

/* INTx, MSI and MSI-X of a PCI device exclude one another. Is this type one of the three? */
bool device_irq_excludes(const struct vfc_device *device, uint32_t index);
/* Is a set of one of the three open? The caller holds the lock. */
bool device_irqs_busy(const struct vfc_device *device);

/* References: an interrupt set and a NIC keep their device open. */
void device_hold(struct vfc_device *device);
void device_put(struct vfc_device *device);

/*
 * What those who watch a device are told. A function that is NULL is not called.
 *
 * leaving() and closing() run without a lock of the device, so they may take the owner's. The
 * device holds the owner meanwhile, so it may be closed by another thread at the same time.
 * was_reset() and suspect() run under the watch_lock, which keeps the watcher where it is: they must
 * not take the owner's lock, under which others call device_watch() and device_unwatch().
 */
struct device_watcher_ops {
	void (*hold)(void *owner);
	void (*put)(void *owner);
	/* The device is about to be closed or given back. An error, with a record, refuses that. */
	int (*leaving)(void *owner, struct vfc_device *device);
	/* The device is being closed. The owner unwatches it. */
	void (*closing)(void *owner, struct vfc_device *device);
	/* The device was reset, and the kernel may have forgotten what was armed. */
	void (*was_reset)(struct device_watcher *watcher);
	/* The device answered with all ones, or told of an error: is it still there? */
	void (*suspect)(struct device_watcher *watcher);
};

struct device_watcher {
	struct device_watcher *next;
	const struct device_watcher_ops *ops;
	void *owner;
	uint32_t children; /* interrupt sets among the device's children that end with the watcher */
};

/* One watcher of each kind of @ops. 0, or -EBUSY without a record: there is one already. */
int device_watch(struct vfc_device *device, struct device_watcher *watcher);
void device_unwatch(struct vfc_device *device, struct device_watcher *watcher);
/* The owner of the watcher of this kind, or NULL. It may be gone by the time that it is looked at. */
const void *device_watched_by(struct vfc_device *device, const struct device_watcher_ops *ops);

/* Tell the watchers. device_leaving() stops at the first that refuses. */
int device_leaving(struct vfc_device *device);
void device_closing(struct vfc_device *device);
void device_was_reset(struct vfc_device *device);
void device_suspect(struct vfc_device *device);
/* Open interrupt sets and NICs that are not a watcher's. */
uint32_t device_children(struct vfc_device *device);

#endif
