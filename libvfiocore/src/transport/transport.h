/* SPDX-License-Identifier: MIT */
/*
 * The seam. Everything above it reaches a device and its address space through this table,
 * whichever way the kernel or the model of it is reached. Each transport is one file.
 *
 * All functions return 0 or a non-negative value, or -errno with the error record filled in. Those
 * of a space are called with its lock held; a transport has no lock of its own. What a platform
 * needs before a mapping (POWER registers memory first) belongs inside map().
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
 * The caller, which holds the lock of a space. The kernel resets a function when it is opened and
 * when it is closed, which takes a tenth of a second or more. A transport gives the lock up
 * meanwhile, at a point where all that it knows of the space is consistent.
 */
struct space_owner {
	void (*pause)(struct space_owner *owner); /* give the lock up */
	void (*resume)(struct space_owner *owner);
	/*
	 * The windows of the space may have changed, and must be read again before the lock is
	 * given up.
	 */
	int (*changed)(struct space_owner *owner);
};

/* A transport embeds these at the start of its own objects. */
struct transport_space {
	const struct transport *ops;
	struct space_owner *owner; /* set by the owner after space_open() */
};

struct transport_device {
	const struct transport *ops;
};

struct transport_space_info {
	uint64_t page_sizes;
	uint64_t entries_left; /* UINT64_MAX: the kernel does not say */
	struct vfio_iova_range *ranges; /* ascending; free() it */
	size_t range_count;
	bool physical; /* nothing translates: map() returns the address instead of taking it */
	bool unpinned; /* pages are only locked, and may be moved */
};

/* What is mapped: memory of this process, or of a file. */
struct transport_memory {
	void *va; /* NULL: memory of the file */
	int fd;
	uint64_t offset;
};

/* Addresses that a device cannot use. */
struct transport_reserved {
	uint64_t start, end;
	char type[24];
};

/* Optional functions may be NULL. The caller then reports that the transport cannot do it. */

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
	bool by_name; /* taken only if it is named */
	/*
	 * The transport to take if this one is named but not usable(). NULL: opening fails and says
	 * why.
	 */
	const struct transport *otherwise;

	/* Would opening @device (NULL: some device) work for this caller, as far as can be seen? */
	bool (*usable)(struct candidate *device);
	/*
	 * @beside: a space of this transport to share an iommufd with, or NULL. @dirty: the space
	 * must be able to track dirty pages (VFC_IOMMU_DIRTY). @fd: an open descriptor, of which
	 * the space gets a duplicate, or -1.
	 */
	int (*space_open)(struct transport_space *beside, bool dirty, int fd,
			  struct transport_space **space);
	/*
	 * Open the IOAS @ioas of the iommufd @fd, of which the space gets a duplicate. Others use
	 * that IOAS as well.
	 */
	int (*space_join)(int fd, uint32_t ioas, struct transport_space **space);
	/*
	 * Return the descriptor, which remains the space's. NULL: it must not be passed on. @ioas:
	 * 0 if it has none.
	 */
	int (*space_fd)(struct transport_space *space, uint32_t *ioas);
	void (*space_close)(struct transport_space *space);
	/* Only while a device is attached. Read again after each attach. */
	int (*space_info)(struct transport_space *space, struct transport_space_info *info);
	/* @flags: VFIO_DMA_MAP_FLAG_*. @iova: in; out where the space is physical. */
	int (*map)(struct transport_space *space, const struct transport_memory *memory,
		   uint64_t *iova, uint64_t length, uint32_t flags);
	/* The range is one mapping, or several without a gap between them. */
	int (*unmap)(struct transport_space *space, uint64_t iova, uint64_t length);
	/* Do copy() and attach() work between the two spaces? */
	bool (*related)(struct transport_space *space, struct transport_space *other);
	int (*copy)(struct transport_space *to, struct transport_space *from, uint64_t at,
		    uint64_t iova, uint64_t length, uint32_t flags);
	int (*dirty_track)(struct transport_space *space, bool on);
	/* The range is one mapping. Bits are added to those that are set in @bitmap. */
	int (*dirty_read)(struct transport_space *space, uint64_t iova, uint64_t length,
			  uint64_t page, uint64_t *bitmap);
	/* The descriptor. */
	int (*iommufd)(struct transport_space *space, uint32_t *ioas);

	/*
	 * Check, before anything is opened, that there is such a device with a driver for this
	 * transport.
	 */
	int (*check)(struct candidate *device);
	/*
	 * Open a device and attach it. On the group path one is not possible without the other.
	 * @token: of a virtual function, or NULL.
	 */
	int (*open)(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
		    struct transport_device **device);
	/*
	 * As open(), for a descriptor of the kind device_handle. The device gets a duplicate of it.
	 */
	int (*adopt)(int fd, struct candidate *wanted, const uint8_t *token,
		     struct transport_space *space, struct transport_device **device);
	void (*close)(struct transport_device *device);
	/*
	 * The ranges in which the device @name can have no mapping, at most @room of them. Return:
	 * how many.
	 */
	int (*reserved)(struct transport_space *space, const char *name,
			struct transport_reserved *ranges, int room);
	/*
	 * Give the device back to the kernel while the object stays. Calls on it fail from then on,
	 * also those of other threads. All or nothing.
	 */
	int (*give_back)(struct transport_device *device);
	/* Attach the device to a space that is related to its own. */
	int (*attach)(struct transport_device *device, struct transport_space *space);
	int (*detach)(struct transport_device *device);
	/* @space: NULL detaches. */
	int (*attach_pasid)(struct transport_device *device, uint32_t pasid,
			    struct transport_space *space);
	int (*iommufd_id)(struct transport_device *device, uint32_t *id);
	int (*device_fd)(struct transport_device *device); /* the descriptor remains the device's */
	/* Return the descriptor of a dma-buf of a part of a region. */
	int (*share_region)(struct transport_device *device, uint32_t index, uint64_t offset,
			    uint64_t length);
	int (*group)(struct transport_device *device); /* number; -1: none */
	/* Return the descriptor that KVM is told about, or -1 if another process has it. */
	int (*kvm_file)(struct transport_device *device);
	/* VFIO_DEVICE_IOEVENTFD. Return -errno without a record. @fd: -1 ends it. */
	int (*ioeventfd)(struct transport_device *device, uint64_t position, uint32_t width,
			 uint64_t value, int fd);
	int (*device_info)(struct transport_device *device, struct vfio_device_info *info);
	/* The information has its chain of capabilities. The caller calls free(). */
	int (*region_info)(struct transport_device *device, uint32_t index,
			   struct vfio_region_info **info);
	int (*irq_info)(struct transport_device *device, uint32_t index,
			struct vfio_irq_info *info);
	int (*set_irqs)(struct transport_device *device, const struct vfio_irq_set *set);
	int (*reset)(struct transport_device *device);
	/*
	 * The devices that a hot reset affects. All @count elements are there. The caller calls
	 * free().
	 */
	int (*hot_reset_info)(struct transport_device *device,
			      struct vfio_pci_hot_reset_info **info);
	/* Is that element ours to reset? */
	bool (*owns)(struct transport_device *device, const struct vfio_pci_hot_reset_info *info,
		     uint32_t element);
	int (*hot_reset)(struct transport_device *device);
	/* VFIO_DEVICE_FEATURE. Return -errno without a record. */
	int (*feature)(struct transport_device *device, uint32_t flags, void *data, size_t length);
	/*
	 * @position: the region's opaque offset plus the offset in it. All of @length is
	 * transferred, or it is an error.
	 */
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
 * Find the transport called @name. If that is NULL, it is the one that VFIOCORE_TRANSPORT names, or
 * else the best that can be used for @device (NULL: for some device).
 */
int transport_find(const char *name, struct candidate *device, const struct transport **transport);

#endif
