/* SPDX-License-Identifier: MIT */
/* The inside of virtio-net: where its registers are (pci.c), and its control queue (control.c). */
#ifndef VFC_NIC_VIRTIO_H
#define VFC_NIC_VIRTIO_H

#include "hw/virtio.h"
#include "nic/nic.h"

/* A structure of registers that a capability points to, mapped. */
struct virtio_area {
	volatile uint8_t *base;
	uint32_t length;
};

/* One page has both commands and answers. There is one command at a time. */
struct virtio_control {
	struct vfc_ring ring;
	struct vfc_dma memory;
};

struct virtio {
	struct virtio_area common, notify, config;
	uint32_t multiplier; /* bytes that a queue's notification offset counts in */
	uint32_t pairs;      /* how many pairs of queues the device has */
	uint64_t features;   /* what was offered and is wanted */
	struct virtio_control control;
};

/* The table that attach() puts in place of nic_virtio where the rings are packed. */
extern const struct nic_driver nic_virtio_packed;

static inline struct virtio *virtio_of(const struct vfc_nic *nic)
{
	return nic->state;
}

static inline bool virtio_has(const struct vfc_nic *nic, uint64_t features)
{
	return (virtio_of(nic)->features & features) == features;
}

/* pci.c: find the structures and map them. */
int virtio_map(struct vfc_nic *nic);
/* Select @queue. Return: the register that notifies the device, or NULL with a record. */
volatile void *virtio_doorbell(struct vfc_nic *nic, uint32_t queue);

/*
 * control.c: allocate the ring and the memory for commands. @queue: the index of the control queue.
 */
int virtio_control_init(struct vfc_nic *nic, uint32_t queue);
int virtio_control_destroy(struct vfc_nic *nic);
/* Forget a command that is under way. The device is stopped. */
void virtio_control_cancel(struct vfc_nic *nic);
/*
 * Send a command with @length bytes of data and wait for the answer. Errors: -ETIMEDOUT, -EBUSY (an
 * earlier command was never answered), -EIO (the device refuses).
 */
int virtio_command(struct vfc_nic *nic, uint8_t class, uint8_t command, const void *data,
		   uint32_t length);

#endif
