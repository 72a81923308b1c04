/* SPDX-License-Identifier: MIT */
/* The inside of an open device, for the nouns that hang on it. */
#ifndef VFC_DEVICE_H
#define VFC_DEVICE_H

#include <pthread.h>
#include <vfiocore/device.h>
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
	uint32_t area_count;
	struct region_area *areas;
};

struct vfc_device {
	const struct transport *ops;
	struct transport_device *transport;
	struct vfc_iommu *iommu;
	struct region *regions;
	uint32_t region_count;
	uint32_t irq_count;
	uint32_t flags; /* enum vfc_device_flags */
	bool own_iommu;
	char name[32];
	pthread_mutex_t lock; /* mappings of regions, and what follows */
	uint32_t children;    /* open interrupt sets and NICs */
	uint32_t irqs_open;   /* bit n: a set of index n is open */
};

struct transport_device *device_transport(struct vfc_device *device);

/* An interrupt set or NIC keeps its device open. */
void device_hold(struct vfc_device *device);
void device_release(struct vfc_device *device);

/* src/region.c: read what regions there are; release mappings. */
int regions_open(struct vfc_device *device);
void regions_close(struct vfc_device *device);

#endif
