/* SPDX-License-Identifier: MIT */
/* What devices need from their address space. */
#ifndef VFC_IOMMU_IOMMU_H
#define VFC_IOMMU_IOMMU_H

#include <stdbool.h>
#include <vfiocore/iommu.h>

#include "transport/transport.h"

/* The kind of descriptor by which a device can be adopted into the space. */
enum handle_kind iommu_device_handle(struct vfc_iommu *iommu);

/*
 * Open @wanted through the space's transport, or take over its descriptor @fd (-1: none). Attach
 * it, and read the windows again. The second function undoes this.
 */
int iommu_open_device(struct vfc_iommu *iommu, struct candidate *wanted, int fd, const uint8_t *token,
		      struct transport_device **device);
void iommu_close_device(struct vfc_iommu *iommu, struct transport_device *device, bool attached);
/*
 * Give the device back to the kernel. It is attached @attached times; if nothing else is attached
 * to the space, everything is unmapped first. The space counts the device until iommu_forget().
 */
int iommu_give_back(struct vfc_iommu *iommu, struct transport_device *device,
			 uint32_t attached);

/*
 * Attach an open device to @iommu, which is related to @from. The device leaves @from, unless that
 * is NULL, and stays open. @pasid 0 stands for its own requests, another for those of that PASID.
 * @home: the space in which the device itself is or was, where its first PASID changes its page
 * table.
 */
int iommu_attach(struct vfc_iommu *iommu, struct vfc_iommu *from, struct vfc_iommu *home,
		 struct transport_device *device, const char *name, uint32_t pasid);
int iommu_detach(struct vfc_iommu *iommu, struct transport_device *device, uint32_t pasid);
/* 0 if a device of @iommu can move to @to (NULL: be detached), else an error with a record. */
int iommu_movable(struct vfc_iommu *iommu, struct vfc_iommu *to, bool pasid);
/* A device, or a PASID of it, has left because its descriptor was closed. */
void iommu_forget(struct vfc_iommu *iommu);

/*
 * DMA buffers, map caches and detached devices hold the space open: vfc_iommu_close() answers -EBUSY
 * while there are any.
 */
void iommu_hold(struct vfc_iommu *iommu);
void iommu_put(struct vfc_iommu *iommu);

/* A watcher remembers mappings. It is told, in any thread, before others unmap any of them. */
struct iommu_watcher {
	struct iommu_watcher *next;
	void (*leaving)(struct iommu_watcher *watcher);
};

/* Hold the space open, and watch it. */
void iommu_watch(struct vfc_iommu *iommu, struct iommu_watcher *watcher);
void iommu_unwatch(struct vfc_iommu *iommu, struct iommu_watcher *watcher);

/*
 * Keep the object, but not the space open. Once the space is closed the object is empty, and only
 * the next two functions may be called.
 */
void iommu_ref(struct vfc_iommu *iommu);
void iommu_unref(struct vfc_iommu *iommu);
bool iommu_is_closed(struct vfc_iommu *iommu);
/* Unmap every mapping that reaches that memory. A closed space has none. */
int iommu_unmap_memory(struct vfc_iommu *iommu, const void *va, uint64_t length);

/* Unmap a DMA buffer, unless vfc_iommu_unmap_all() or the like has done so already. */
int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova);

/* vfc_iommu_adopt(), but @fd stays open. */
int iommu_take(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu);
/* Was its descriptor passed to us, or by us? */
bool iommu_is_adopted(struct vfc_iommu *iommu);
/* The descriptor is passed on, so from here on others map there as well. */
void iommu_share(struct vfc_iommu *iommu);

int iommu_check_process(const struct vfc_iommu *iommu); /* see fork.h */

struct iommu_state {
	uint32_t devices, holders;
	bool physical;
};

struct iommu_state iommu_look(struct vfc_iommu *iommu);

#endif
