/* SPDX-License-Identifier: MIT */
/* What a device needs of its address space. */
#ifndef VFC_IOMMU_IOMMU_H
#define VFC_IOMMU_IOMMU_H

#include <stdbool.h>
#include <vfiocore/iommu.h>

#include "transport/transport.h"

/* What devices can be taken over by descriptor into it: enum handle_kind. */
enum handle_kind iommu_device_handle(struct vfc_iommu *iommu);

/*
 * Open @wanted through the space's transport, or take its descriptor @fd (-1: none) over, attach it,
 * read the windows again; and back.
 */
int iommu_open_device(struct vfc_iommu *iommu, struct candidate *wanted, int fd, const uint8_t *token,
		      struct transport_device **device);
void iommu_close_device(struct vfc_iommu *iommu, struct transport_device *device, bool attached);
/*
 * Give it back to the kernel; if it is all that is attached to the space, @attached times, unmap
 * everything before. The space counts it until iommu_forget().
 */
int iommu_give_back(struct vfc_iommu *iommu, struct transport_device *device,
			 uint32_t attached);

/*
 * An open device comes to @iommu, which is related to @from where it is; it leaves @from, if that
 * is not NULL, and stays open. @pasid 0: its own requests; else those of that PASID.
 * @home: where the device itself is or was, on another page table with its first PASID.
 */
int iommu_attach(struct vfc_iommu *iommu, struct vfc_iommu *from, struct vfc_iommu *home,
		 struct transport_device *device, const char *name, uint32_t pasid);
int iommu_detach(struct vfc_iommu *iommu, struct transport_device *device, uint32_t pasid);
/* Can a device of @iommu move to @to (NULL: nowhere)? Else a record says why not. */
int iommu_movable(struct vfc_iommu *iommu, struct vfc_iommu *to, bool pasid);
/* A device, or a PASID of it, left with its descriptor. */
void iommu_forget(struct vfc_iommu *iommu);

/*
 * DMA buffers, map caches and detached devices hold the space open: vfc_iommu_close() answers -EBUSY
 * while there are any.
 */
void iommu_hold(struct vfc_iommu *iommu);
void iommu_put(struct vfc_iommu *iommu);

/* Who remembers mappings is told, by any thread, before others take any of them away. */
struct iommu_watcher {
	struct iommu_watcher *next;
	void (*leaving)(struct iommu_watcher *watcher);
};

/* Hold the space, and watch. */
void iommu_watch(struct vfc_iommu *iommu, struct iommu_watcher *watcher);
void iommu_unwatch(struct vfc_iommu *iommu, struct iommu_watcher *watcher);

/*
 * Keep the object, though not the space open: once the space is closed, the object is empty, and nothing
 * of it may be used but what says so.
 */
void iommu_ref(struct vfc_iommu *iommu);
void iommu_unref(struct vfc_iommu *iommu);
bool iommu_is_closed(struct vfc_iommu *iommu);
/* Unmap whatever reaches that memory. A space that is closed has no such mapping. */
int iommu_unmap_memory(struct vfc_iommu *iommu, const void *va, uint64_t length);

/* Unmap a DMA buffer. It may be unmapped already: vfc_iommu_unmap_all() asks nobody. */
int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova);

/* vfc_iommu_adopt(), but @fd stays open. */
int iommu_take(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu);
/* Was its descriptor passed? */
bool iommu_is_adopted(struct vfc_iommu *iommu);
/* Its descriptor is passed on: from here on others map there, too. */
void iommu_share(struct vfc_iommu *iommu);

int iommu_check_process(const struct vfc_iommu *iommu); /* see fork.h */

struct iommu_state {
	uint32_t devices, holders;
	bool physical;
};

struct iommu_state iommu_look(struct vfc_iommu *iommu);

#endif
