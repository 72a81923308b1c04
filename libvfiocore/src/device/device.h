/* SPDX-License-Identifier: MIT */
/* The inside of an open device, for the nouns that hang on it. */
#ifndef VFC_DEVICE_H
#define VFC_DEVICE_H

#include <pthread.h>
#include <vfiocore/device.h>
#include <vfiocore/irq.h>
#include <vfiocore/region.h>

#include "transport/transport.h"

/* A part of a region that the kernel lets be mapped; mapped as a whole on first use. */
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

struct vfc_device {
	const struct transport *ops;
	struct transport_device *transport;
	struct vfc_iommu *iommu; /* that it is attached to; detached: that it was, which it holds */
	struct vfc_iommu *own;   /* opened for it, closed with it; or NULL */
	struct pasid *pasids;    /* attached to spaces of their own, src/device/attach.c */
	struct peer *peers;      /* spaces in which its BARs were mapped, device/peer.c */
	struct region *regions;
	uint32_t region_count;
	uint32_t irq_count;
	uint32_t flags; /* enum vfc_device_flags */
	uint32_t kind;  /* enum vfc_device_kind */
	uint32_t power; /* offset of PMCSR in config space; 0: none */
	bool decodes;   /* atomic: mapped BARs answer */
	bool attached;
	int pid; /* that opened it */
	bool released;  /* atomic: the descriptor is closed, see vfc_device_release() */
	bool shared;    /* with another process, see VFC_DEVICE_SHARED */
	bool low_power; /* atomic: mapped BARs do not answer, whatever the registers say */
	bool nofault;   /* atomic: its checked accesses do not end in SIGBUS, src/device/nofault.c */
	bool suspect;   /* atomic: whoever watches it asks whether it is gone */
	char name[VFC_BUS_NAME];
	pthread_mutex_t lock; /* mappings of regions, and what follows */
	uint32_t children;    /* open interrupt sets and NICs, */
	uint32_t watch_sets;  /* these of them for the stream that watches it: */
	struct vfc_events *events; /* or NULL */
	struct vfc_kvm *kvm; /* the virtual machine that it was added to, or NULL; atomic */
	bool *irqs_open;      /* by index: a set of it is open */
	bool nic;             /* a NIC is open, or being opened */
};

/* -EOPNOTSUPP with a record where it is none: @what is PCI's alone. */
int device_check_pci(const struct vfc_device *device, const char *what);

/* Of a PCI device INTx, MSI and MSI-X exclude one another. Is this one, and one of them open? */
bool device_irq_excludes(const struct vfc_device *device, uint32_t index);
bool device_irqs_busy(const struct vfc_device *device);

/* vfc_device_adopt(), but @fd stays open. */
int device_take(int fd, const char *name, const struct vfc_device_opts *opts,
		struct vfc_device **device);

struct transport_device *device_transport(struct vfc_device *device);

/* -ENODEV with a record when it was let go of: for those who wait for what cannot come any more. */
int device_present(struct vfc_device *device);

/* An interrupt set or NIC keeps its device open. */
void device_hold(struct vfc_device *device);
void device_release(struct vfc_device *device);

/* src/device/attach.c: how often the device, or a PASID of it, is attached there. */
uint32_t attach_count(const struct vfc_device *device, const struct vfc_iommu *iommu);
/* PASIDs are detached, each with its space locked, which closing the descriptor would not do. */
void attach_leave(struct vfc_device *device);
/* The device leaves all its spaces; its descriptor was closed. */
void attach_close(struct vfc_device *device);
/* Likewise, but it holds the one that it was in for as long as it is open. */
void attach_release(struct vfc_device *device);

/*
 * device/peer.c: no device reaches the BARs any more, in whatever space they are mapped. An error leaves
 * some mapped, and the call can be made again.
 */
int peers_leave(struct vfc_device *device);
/* The device is being closed: the same, and the spaces are forgotten. */
void peers_close(struct vfc_device *device);

/* src/device/region.c: read what regions there are; release mappings. */
int regions_open(struct vfc_device *device);
void regions_close(struct vfc_device *device);
/* What is mapped becomes memory of this process that reads as all ones; all or nothing is not. */
int regions_release(struct vfc_device *device);

/* PCI config space; NULL: the device has none. */
const struct region *region_config(struct vfc_device *device);

/* The region, if [@offset, @offset + @length) lies in it and it allows @access. */
int region_check(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		 uint32_t access, struct region **region);

/* Where that part of the region is mapped, which is done first; NULL: it cannot be mapped. */
int region_address(struct vfc_device *device, struct region *region, uint64_t offset,
		   uint64_t length, volatile void **address);

/* src/device/access.c: learn whether the device decodes accesses to its BARs, at first and again. */
void access_open(struct vfc_device *device);
void access_follow(struct vfc_device *device);
/* Does config space answer with all ones: was it pulled, or is it in reset? */
bool access_gone(struct vfc_device *device);

#endif
