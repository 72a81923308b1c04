/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything above speaks to a device and its address space through this table, whatever
 * way the kernel (or the model of it) is reached. One file a transport.
 *
 * All functions return 0 or a non-negative value, or -errno with the error record filled in.
 * They are called with the noun's lock held where the noun says so; they keep no lock themselves.
 * What a platform needs before a mapping (POWER registers memory first) stays inside of map().
 */
#ifndef VFC_TRANSPORT_H
#define VFC_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/uapi.h"

struct candidate;
struct transport;

/*
 * The caller, who holds the lock of a space. The kernel resets a function when it is opened and when it is
 * closed, which takes a tenth of a second and more. A transport lets others use the space meanwhile, at a
 * point where all that it keeps of the space is in order.
 */
struct space_owner {
	void (*pause)(struct space_owner *owner); /* give the lock up */
	void (*resume)(struct space_owner *owner);
	/* The space may have other windows than before. They are to be known before the lock is given up. */
	int (*changed)(struct space_owner *owner);
};

/* A transport embeds these at the start of its own objects. */
struct transport_space {
	const struct transport *ops;
	struct space_owner *owner; /* who sets it after space_open() */
};

struct transport_device {
	const struct transport *ops;
};

struct transport_space_info {
	uint64_t page_sizes;
	uint64_t entries_left; /* UINT64_MAX: the kernel does not say */
	struct vfio_iova_range *ranges; /* ascending; free() it */
	size_t range_count;
	bool physical; /* nothing translates: map() tells the address, and takes none */
	bool unpinned; /* pages are locked only, and may be moved */
};

/* What is mapped: memory of this process, or of a file. */
struct transport_memory {
	void *va; /* NULL: it is the file's */
	int fd;
	uint64_t offset;
};

/* Addresses that a device cannot use. */
struct transport_reserved {
	uint64_t start, end;
	char type[24];
};

/* What can be left out is NULL, and the caller says that the transport cannot do it. */

/* What a descriptor is: handle.c. */
enum handle_kind {
	HANDLE_NONE,      /* none of these */
	HANDLE_IOMMUFD,   /* /dev/iommu */
	HANDLE_CONTAINER, /* /dev/vfio/vfio */
	HANDLE_GROUP,     /* /dev/vfio/GROUP */
	HANDLE_CDEV,      /* /dev/vfio/devices/vfioN */
	HANDLE_DEVICE,    /* of VFIO_GROUP_GET_DEVICE_FD */
};

struct transport {
	const char *name;
	enum handle_kind space_handle, device_handle; /* HANDLE_NONE: there are no descriptors */
	bool by_name; /* never taken unless it is named */
	/* Taken in its place, when that was named and is not usable(); NULL: it fails and says why. */
	const struct transport *otherwise;

	/* Would opening @device (NULL: some device) work for this caller, as far as can be seen? */
	bool (*usable)(struct candidate *device);
	/*
	 * @beside: a space of this transport to share an iommufd with, or NULL. @dirty: it shall tell what is written to (VFC_IOMMU_DIRTY).
	 * @fd: its descriptor that is open already, of which the space gets a duplicate; -1: none.
	 */
	int (*space_open)(struct transport_space *beside, bool dirty, int fd,
			  struct transport_space **space);
	/* The IOAS @ioas of the iommufd @fd, of which the space gets a duplicate; others have it, too. */
	int (*space_join)(int fd, uint32_t ioas, struct transport_space **space);
	/* The descriptor, which stays the space's. NULL: it may not be passed on. @ioas: 0: it has none. */
	int (*space_fd)(struct transport_space *space, uint32_t *ioas);
	void (*space_close)(struct transport_space *space);
	/* Only while a device is attached. Read again after each attach. */
	int (*space_info)(struct transport_space *space, struct transport_space_info *info);
	/* @flags: VFIO_DMA_MAP_FLAG_*. @iova: in; out where the space is physical. */
	int (*map)(struct transport_space *space, const struct transport_memory *memory,
		   uint64_t *iova, uint64_t length, uint32_t flags);
	/* The range is one that was mapped, or several that lie one after another. */
	int (*unmap)(struct transport_space *space, uint64_t iova, uint64_t length);
	/* Whether copy() and attach() work between the two. */
	bool (*related)(struct transport_space *space, struct transport_space *other);
	int (*copy)(struct transport_space *to, struct transport_space *from, uint64_t at,
		    uint64_t iova, uint64_t length, uint32_t flags);
	int (*dirty_track)(struct transport_space *space, bool on);
	/* One mapping. Bits are added to those set in @bitmap. */
	int (*dirty_read)(struct transport_space *space, uint64_t iova, uint64_t length,
			  uint64_t page, uint64_t *bitmap);
	/* The descriptor. */
	int (*iommufd)(struct transport_space *space, uint32_t *ioas);

	/* Is there such a device, and with a driver for this transport? Before anything is opened. */
	int (*check)(struct candidate *device);
	/*
	 * Open and attach in one: the group path cannot do the one without the other. @token: of a
	 * virtual function, or NULL.
	 */
	int (*open)(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
		    struct transport_device **device);
	/* As open(), of a descriptor of that kind, of which the device gets a duplicate. */
	int (*adopt)(int fd, struct candidate *wanted, const uint8_t *token,
		     struct transport_space *space, struct transport_device **device);
	void (*close)(struct transport_device *device);
	/* Where the device @name can have no mapping, at most @room of it. Return: how many. */
	int (*reserved)(struct transport_space *space, const char *name,
			struct transport_reserved *ranges, int room);
	/*
	 * Give the device back to the kernel while the object stays: what is called from then on,
	 * or in another thread meanwhile, fails. All or nothing.
	 */
	int (*release)(struct transport_device *device);
	/* To a space that is related to its own. */
	int (*attach)(struct transport_device *device, struct transport_space *space);
	int (*detach)(struct transport_device *device);
	/* @space: NULL detaches. */
	int (*attach_pasid)(struct transport_device *device, uint32_t pasid,
			    struct transport_space *space);
	int (*iommufd_id)(struct transport_device *device, uint32_t *id);
	int (*device_fd)(struct transport_device *device); /* which stays the device's */
	/* A dma-buf of a part of a region; the descriptor. */
	int (*share_region)(struct transport_device *device, uint32_t index, uint64_t offset,
			    uint64_t length);
	int (*group)(struct transport_device *device); /* number; -1: none */
	/* The descriptor that KVM is told of; -1: another process has it. */
	int (*kvm_file)(struct transport_device *device);
	/* VFIO_DEVICE_IOEVENTFD: the bare -errno, and no record. @fd: -1 ends it. */
	int (*ioeventfd)(struct transport_device *device, uint64_t position, uint32_t width,
			 uint64_t value, int fd);
	int (*device_info)(struct transport_device *device, struct vfio_device_info *info);
	/* With its chain of capabilities; free() it. */
	int (*region_info)(struct transport_device *device, uint32_t index,
			   struct vfio_region_info **info);
	int (*irq_info)(struct transport_device *device, uint32_t index,
			struct vfio_irq_info *info);
	int (*set_irqs)(struct transport_device *device, const struct vfio_irq_set *set);
	int (*reset)(struct transport_device *device);
	/* What a hot reset hits; @count elements were checked to be there; free() it. */
	int (*hot_reset_info)(struct transport_device *device,
			      struct vfio_pci_hot_reset_info **info);
	/* Is that element ours to reset? */
	bool (*owns)(struct transport_device *device, const struct vfio_pci_hot_reset_info *info,
		     uint32_t element);
	int (*hot_reset)(struct transport_device *device);
	/* VFIO_DEVICE_FEATURE: the bare -errno, and no record. */
	int (*feature)(struct transport_device *device, uint32_t flags, void *data, size_t length);
	/* @position: the region's opaque offset plus the offset in it. All of @length, or an error. */
	int (*read)(struct transport_device *device, uint64_t position, void *data, size_t length);
	int (*write)(struct transport_device *device, uint64_t position, const void *data,
		     size_t length);
	int (*mmap)(struct transport_device *device, uint64_t position, size_t length,
		    int protection, void **address);
};

extern const struct transport transport_cdev;
extern const struct transport transport_compat;
extern const struct transport transport_group;
extern const struct transport transport_group_v1;
extern const struct transport transport_noiommu;
extern const struct transport transport_noiommu_group;
extern const struct transport transport_fake;

/*
 * The transport called @name; NULL: the one that VFIOCORE_TRANSPORT names, else the best that can be
 * used for @device (NULL: for some device).
 */
int transport_find(const char *name, struct candidate *device, const struct transport **transport);

#endif
