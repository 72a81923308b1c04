/* SPDX-License-Identifier: MIT */
/* The address space that is an IOAS of an iommufd, and the page tables of devices attached to it. */
#ifndef VFC_TRANSPORT_IOAS_H
#define VFC_TRANSPORT_IOAS_H

#include "transport/transport.h"

#define IOMMUFD "/dev/iommu"

/* The descriptor, which all spaces share that were opened beside one another. */
struct iommufd {
	unsigned spaces;  /* atomic */
	unsigned devices; /* atomic: devices that were bound here and are open */
	int fd;
};

/*
 * A page table of a kind that has to be requested. It is made for the first device that needs it.
 */
struct hwpt {
	struct hwpt *next;
	uint32_t id;
	uint32_t flags; /* enum vfc_iommufd_hwpt_flags */
	unsigned devices; /* including PASIDs of devices */
};

struct ioas {
	struct transport_space base;
	struct iommufd *iommufd;
	struct physical *physical; /* mappings where nothing translates, see noiommu.c */
	uint64_t next;             /* the IOVA of the next such mapping */
	struct hwpt *hwpts; /* only where dirty pages are tracked, or for PASIDs */
	uint32_t ioas;
	bool joined;   /* another process made it, and uses it */
	bool dirty;    /* opened to track dirty pages */
	bool tracking; /* tracking is on */
	bool lost;     /* tracking is on, but a page table was destroyed with what it had noted */
};

/* As space_open() and space_join(), for the transport @ops. */
int ioas_open(const struct transport *ops, struct transport_space *beside, bool dirty, int fd,
	      struct transport_space **space);
int ioas_join(const struct transport *ops, int fd, uint32_t ioas, struct transport_space **space);
void ioas_close(struct transport_space *space);
int ioas_info(struct transport_space *space, struct transport_space_info *info);
int ioas_map(struct transport_space *space, const struct transport_memory *memory, uint64_t *iova,
	     uint64_t length, uint32_t flags);
/* Map a file's memory in any IOAS. */
int ioas_map_file(int iommufd, uint32_t ioas, const struct transport_memory *memory, uint64_t iova,
		  uint64_t length, uint32_t flags);
int ioas_unmap(struct transport_space *space, uint64_t iova, uint64_t length);
bool ioas_related(struct transport_space *space, struct transport_space *other);
int ioas_copy(struct transport_space *to, struct transport_space *from, uint64_t at, uint64_t iova,
	      uint64_t length, uint32_t flags);
int ioas_dirty_track(struct transport_space *space, bool on);
int ioas_dirty_read(struct transport_space *space, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap);
int ioas_iommufd(struct transport_space *space, uint32_t *id);

/* A device that is bound to the iommufd. */
struct ioas_client {
	int fd;
	uint32_t id; /* in the iommufd */
	const char *name;
};

/*
 * Attach a device, or a PASID of it: to the IOAS, and *@hwpt is NULL, or to a page table that was
 * asked for. @pasids: to one that PASIDs can be attached to, and a device beside its PASIDs
 * (iommufd_hwpt_pasid_compat() in drivers/iommu/iommufd/device.c).
 */
int ioas_attach(struct ioas *space, const struct ioas_client *client, uint32_t pasid, bool pasids,
		struct hwpt **hwpt);
/* A device has left the page table. */
void ioas_put(struct ioas *space, struct hwpt *hwpt);

/*
 * Count one device more or less as ours in the iommufd; and ask whether it has devices that are not
 * ours.
 */
void ioas_count_device(struct ioas *space, int change);
int ioas_strangers(struct ioas *space);
/* Destroy an object of the iommufd. No failure is recorded. */
int ioas_destroy(struct ioas *space, uint32_t id);

#endif
