/* SPDX-License-Identifier: MIT */
/* The inside of the virtio-net driver: its registers, and its control queue. */
#ifndef VFC_NIC_VIRTIO_H
#define VFC_NIC_VIRTIO_H

#include "hw/virtio.h"
#include "nic/nic.h"

/* A structure of the device's, told by a capability and mapped. */
struct virtio_area {
	volatile uint8_t *base;
	uint32_t length;
};

/* The device's answers lie beside the questions in one page; a ring holds one command at a time. */
struct virtio_control {
	struct vfc_ring ring;
	struct vfc_dma memory;
};

struct virtio {
	struct virtio_area common, notify, config;
	uint32_t multiplier; /* of a queue's notification offset */
	uint32_t pairs;      /* of queues, that the device has at most */
	uint64_t features;   /* offered, understood and wanted */
	struct virtio_control control;
};

/* What nic_virtio becomes when the rings are packed ones. */
extern const struct nic_driver nic_virtio_packed;

static inline struct virtio *virtio_of(const struct vfc_nic *nic)
{
	return nic->state;
}

static inline bool virtio_has(const struct vfc_nic *nic, uint64_t features)
{
	return (virtio_of(nic)->features & features) == features;
}

/* src/nic/virtio/pci.c: find the structures and map them. */
int virtio_map(struct vfc_nic *nic);
/* Where to write that a queue, which is selected, has something new; NULL with a record. */
volatile void *virtio_doorbell(struct vfc_nic *nic, uint32_t queue);

/* src/nic/virtio/features.c: what of that offered is taken, into virtio->features. */
int virtio_choose(struct vfc_nic *nic);
/* Tell the device, which was reset, and see that it agrees. */
int virtio_negotiate(struct vfc_nic *nic);
/* -EOPNOTSUPP with a record: the device does not offer @what. */
int virtio_lacks(const struct vfc_nic *nic, const char *what);

/* src/nic/virtio/control.c: queue @queue is for commands. Both rings and memory, or an error. */
int virtio_control_init(struct vfc_nic *nic, uint32_t queue);
int virtio_control_destroy(struct vfc_nic *nic);
/* The device is stopped: nothing is under way any more. */
void virtio_control_cancel(struct vfc_nic *nic);
/* Tell the device @length bytes and wait until it agrees. */
int virtio_command(struct vfc_nic *nic, uint8_t class, uint8_t command, const void *data,
		   uint32_t length);

#endif
