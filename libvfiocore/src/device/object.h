/* SPDX-License-Identifier: MIT */
/*
 * The open device as an object: its fields, its references and its watchers. It knows nothing of
 * the layers above it. Interrupt sets, event streams and virtual machines know the device. When
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
	struct vfc_iommu *iommu; /* its space; a detached device holds the one it was in */
	struct vfc_iommu *own;   /* opened for this device and closed with it, or NULL */
	struct pasid *pasids;    /* PASIDs attached to spaces of their own, see device/attach.c */
	struct peer *peers;      /* spaces in which its BARs are mapped, see device/peer.c */
	struct region *regions;
	uint32_t region_count;
	uint32_t irq_count;
	uint32_t flags; /* enum vfc_device_flags */
	uint32_t kind;  /* enum vfc_device_kind */
	uint32_t power; /* offset of PMCSR in config space; 0: none */
	bool decodes;   /* atomic: mapped BARs answer */
	bool attached;
	int pid;        /* the process that opened it */
	bool released;  /* atomic: given back to the host, see vfc_device_release() */
	bool shared;    /* atomic: shared with another process, see VFC_DEVICE_SHARED */
	bool low_power; /* atomic: mapped BARs do not answer, whatever the registers say */
	bool nofault;   /* atomic: checked accesses do not end in SIGBUS, see device/nofault.c */
	char name[VFC_BUS_NAME];

	pthread_mutex_t release_lock; /* held while the device is given back; taken first */
	pthread_mutex_t watch_lock;   /* guards @watchers */
	struct device_watcher *watchers;

	pthread_mutex_t lock; /* guards region mappings and what follows; taken last */
	uint32_t children;    /* open interrupt sets and NICs */
	bool *irqs_open;      /* by index: a set of this type is open */
	bool nic;             /* a NIC is open, or is being opened */
};

/* Set up and tear down the locks of a device whose memory is zeroed. */
void device_init(struct vfc_device *device);
void device_destroy(struct vfc_device *device);

/* True once the device was given back to the host. */
bool device_is_released(const struct vfc_device *device);
/*
 * Return: 0; -ENODEV with a record if the host has the device back. Nothing will come from it then.
 */
int device_present(struct vfc_device *device);
/* Is a NIC open on the device? The registers and rings of its driver live in the device. */
bool device_has_nic(struct vfc_device *device);
/*
 * Return: 0; -EOPNOTSUPP with a record if this is not a PCI device. @what is what only those have.
 */
int device_check_pci(const struct vfc_device *device, const char *what);

/* INTx, MSI and MSI-X of a PCI device exclude one another. Is this type one of the three? */
bool device_irq_excludes(const struct vfc_device *device, uint32_t index);
/* Is a set of one of the three open? The caller holds the lock. */
bool device_irqs_busy(const struct vfc_device *device);

/* References: every open interrupt set and NIC keeps its device open. */
void device_hold(struct vfc_device *device);
void device_put(struct vfc_device *device);

/*
 * What a device tells its watchers. A function that is NULL is not called.
 *
 * leaving() and closing() run without any lock of the device, so they may take the owner's lock.
 * The device holds the owner during the call, so another thread may close the owner meanwhile.
 *
 * was_reset() and suspect() run under watch_lock, which keeps the watcher on the list. They must
 * not take the owner's lock, because device_watch() and device_unwatch() are called under it.
 */
struct device_watcher_ops {
	void (*hold)(void *owner);
	void (*put)(void *owner);
	/* The device is about to be closed or given back. An error with a record refuses this. */
	int (*leaving)(void *owner, struct vfc_device *device);
	/* The device is being closed. The owner must unwatch it. */
	void (*closing)(void *owner, struct vfc_device *device);
	/* The device was reset, and the kernel may have forgotten what was armed. */
	void (*was_reset)(struct device_watcher *watcher);
	/* The device answered with all ones or reported an error. It may be gone. */
	void (*suspect)(struct device_watcher *watcher);
};

struct device_watcher {
	struct device_watcher *next;
	const struct device_watcher_ops *ops;
	void *owner;
	uint32_t children; /* the device's interrupt sets that end with this watcher */
};

/*
 * Add a watcher. A device has at most one with the same @ops. Return: 0; -EBUSY without a record if
 * there is one already.
 */
int device_watch(struct vfc_device *device, struct device_watcher *watcher);
void device_unwatch(struct vfc_device *device, struct device_watcher *watcher);
/*
 * The owner of the watcher with these @ops, or NULL. Compare it and do not use it: the owner may be
 * gone by then.
 */
const void *device_watched_by(struct vfc_device *device, const struct device_watcher_ops *ops);

/* Tell the watchers. device_leaving() stops at the first one that refuses. */
int device_leaving(struct vfc_device *device);
void device_closing(struct vfc_device *device);
void device_was_reset(struct vfc_device *device);
void device_suspect(struct vfc_device *device);
/* The number of open interrupt sets and NICs that do not belong to a watcher. */
uint32_t device_children(struct vfc_device *device);

#endif
