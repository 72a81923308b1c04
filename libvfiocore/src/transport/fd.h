/* SPDX-License-Identifier: MIT */
/* The device half of every transport whose device is a kernel descriptor, however it was opened. */
#ifndef VFC_TRANSPORT_FD_H
#define VFC_TRANSPORT_FD_H

#include <vfiocore/bus.h>

#include "transport/transport.h"

struct fd_device {
	struct transport_device base;
	int fd;
	char name[VFC_BUS_NAME];
};

int fd_descriptor(struct transport_device *device);
int fd_device_info(struct transport_device *device, struct vfio_device_info *info);
int fd_region_info(struct transport_device *device, uint32_t index,
		   struct vfio_region_info **info);
int fd_irq_info(struct transport_device *device, uint32_t index, struct vfio_irq_info *info);
int fd_set_irqs(struct transport_device *device, const struct vfio_irq_set *set);
int fd_reset(struct transport_device *device);
int fd_hot_reset_info(struct transport_device *device, struct vfio_pci_hot_reset_info **info);
/* @groups: the descriptors of all our groups, or none for a device that has its own node. */
int fd_hot_reset(struct transport_device *device, const int32_t *groups, uint32_t count);
/* Likewise, for a device that is bound to an iommufd. The binding is the proof of ownership. */
bool fd_bound_owns(struct transport_device *device, const struct vfio_pci_hot_reset_info *info,
		   uint32_t element);
int fd_bound_hot_reset(struct transport_device *device);
int fd_feature(struct transport_device *device, uint32_t flags, void *data, size_t length);
/* Close both descriptors (-1: none) for good. Their numbers stay in use. */
int fd_give_back(struct transport_device *device, int other);
int fd_ioeventfd(struct transport_device *device, uint64_t position, uint32_t width, uint64_t value,
		 int eventfd);
int fd_itself(struct transport_device *device); /* the descriptor */
int fd_read(struct transport_device *device, uint64_t position, void *data, size_t length);
int fd_write(struct transport_device *device, uint64_t position, const void *data, size_t length);
int fd_mmap(struct transport_device *device, uint64_t position, size_t length, int protection,
	    void **address);
/* The part of a transport's table that is the same for all whose device is a descriptor. */
#define FD_DEVICE                             \
	.device_fd = fd_descriptor,           \
	.device_info = fd_device_info,        \
	.region_info = fd_region_info,        \
	.irq_info = fd_irq_info,              \
	.set_irqs = fd_set_irqs,              \
	.reset = fd_reset,                    \
	.hot_reset_info = fd_hot_reset_info,  \
	.feature = fd_feature,                \
	.ioeventfd = fd_ioeventfd,            \
	.read = fd_read,                      \
	.write = fd_write,                    \
	.mmap = fd_mmap

/* Return the descriptor of a dma-buf of a part of a region. */
int fd_share_region(struct transport_device *device, uint32_t index, uint64_t offset,
		    uint64_t length);

/* Map a file's memory in this process, because type1 takes an address and no file. */
int fd_map_file(const struct transport_memory *memory, uint64_t length, uint32_t flags, void **va);
/* Record that the file could be mapped, but does not have all of the memory. */
int fd_file_fault(const struct transport_memory *memory, uint64_t iova, uint64_t length);

#endif
