/* SPDX-License-Identifier: MIT */
/*
 * Virtio-net over PCI: virtio 1.2; sections are of that. Modern devices only, whose rings are split
 * (section 2.7) or packed (2.8). What a device offers and is not named here is not accepted.
 *
 * A buffer is one descriptor: the device's header of 12 bytes stands before the frame, in the room
 * that every chunk has there. Nothing is offloaded, so that the header we send is 0, and none of
 * those received says anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vfiocore/device.h>
#include <vfiocore/mmio.h>

#include "device/object.h"
#include "base/error.h"
#include "nic/virtio/virtio.h"

#define FRAME_MAX 1518 /* with a VLAN tag; less where the device says so */
#define MTU_MAX (65535 - VFC_NIC_HEADER)
#define QUEUES_MAX 64
#define ENTRIES_MIN 8
#define MS 1000000

/* The device is told in a descriptor's flags, which each style has elsewhere, that it may write. */
#define SPLIT_RECEIVE (VIRTIO_WRITE << VIRTIO_SPLIT_FLAGS)
#define PACKED_RECEIVE (VIRTIO_WRITE << VIRTIO_PACKED_FLAGS)

static const struct vfc_ring_layout split = {
	.style = VFC_RING_SPLIT, .size = 16, .control = 8, .length_bits = 32,
};

static const struct vfc_ring_layout packed = {
	.style = VFC_RING_PACKED, .size = 16, .control = 8, .length_bits = 32,
};

static uint8_t status(const struct vfc_nic *nic)
{
	return vfc_mmio_read8(nic->registers + VIRTIO_STATUS);
}

static void set_status(struct vfc_nic *nic, uint8_t value)
{
	vfc_mmio_write8(nic->registers + VIRTIO_STATUS, value);
}

static void set16(struct vfc_nic *nic, uint32_t offset, uint16_t value)
{
	vfc_mmio_write16(nic->registers + offset, value);
}

static uint16_t get16(const struct vfc_nic *nic, uint32_t offset)
{
	return vfc_mmio_read16(nic->registers + offset);
}

/* Section 4.1.3.1: 64 bits are accessed as two halves. */
static void set64(struct vfc_nic *nic, uint32_t offset, uint64_t value)
{
	vfc_mmio_write32(nic->registers + offset, (uint32_t)value);
	vfc_mmio_write32(nic->registers + offset + 4, (uint32_t)(value >> 32));
}

static bool gone(const struct vfc_nic *nic)
{
	return status(nic) == UINT8_MAX;
}

/* Section 2.4.1: the device has stopped when its status reads as 0. */
static void stop(struct vfc_nic *nic)
{
	int64_t end = sys_now() + 1000 * (int64_t)MS;

	set_status(nic, 0);
	while (status(nic) != 0 && !gone(nic) && sys_now() < end)
		sys_sleep(MS / 50);
	vfc_from_register(); /* it writes to no ring any more */
}

static uint16_t config16(const struct vfc_nic *nic, uint32_t offset)
{
	return vfc_mmio_read16(virtio_of(nic)->config.base + offset);
}

/* Section 2.5.1: what has several fields is read again when the device changed it meanwhile. */
static void read_mac(struct vfc_nic *nic)
{
	volatile uint8_t *config = virtio_of(nic)->config.base;
	uint8_t before;
	int tries = 10;

	do {
		before = vfc_mmio_read8(nic->registers + VIRTIO_GENERATION);
		for (uint32_t i = 0; i < sizeof(nic->mac); i++)
			nic->mac[i] = vfc_mmio_read8(config + VIRTIO_NET_MAC + i);
	} while (before != vfc_mmio_read8(nic->registers + VIRTIO_GENERATION) && --tries);
}

/* Section 5.1.4.1: nothing longer than what the device says is to be sent to it. */
static int limit_mtu(struct vfc_nic *nic)
{
	uint32_t most = virtio_has(nic, VIRTIO_NET_F_MTU) ? config16(nic, VIRTIO_NET_MTU) : 0;

	if (!most || most + VFC_NIC_HEADER >= nic->frame_max)
		return 0;
	if (nic->mtu)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"an MTU of %u bytes: the device says %u at most (VIRTIO_NET_F_MTU)",
				nic->mtu, most);
	nic->frame_max = most + VFC_NIC_HEADER;
	return 0;
}

static int read_config(struct vfc_nic *nic)
{
	struct virtio *virtio = virtio_of(nic);

	read_mac(nic);
	virtio->pairs = virtio_has(nic, VIRTIO_NET_F_MQ) ? config16(nic, VIRTIO_NET_PAIRS) : 1;
	if (nic->queues > virtio->pairs)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"%u queues were asked for, the device has %u", nic->queues,
				virtio->pairs);
	return limit_mtu(nic);
}

/* A ring cannot have more entries than the device says, which need not be a power of two. */
static int limit(struct vfc_nic *nic, uint32_t queue, uint32_t *entries)
{
	uint32_t most;

	set16(nic, VIRTIO_QUEUE_SELECT, (uint16_t)queue);
	most = get16(nic, VIRTIO_QUEUE_SIZE);
	if (most < ENTRIES_MIN)
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(.object = nic->device->name),
				"queue %u of the device has %u entries, which is too few", queue, most);
	while (*entries > most)
		*entries /= 2;
	return virtio_doorbell(nic, queue) ? 0 : -EBADMSG;
}

static int look_at_queues(struct vfc_nic *nic)
{
	int rc = 0;

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		rc = limit(nic, 2 * q, &nic->rx_entries);
		if (rc == 0)
			rc = limit(nic, 2 * q + 1, &nic->tx_entries);
	}
	if (rc == 0 && virtio_has(nic, VIRTIO_NET_F_CTRL_VQ)) /* after all pairs (section 5.1.2) */
		rc = virtio_control_init(nic, 2 * virtio_of(nic)->pairs);
	return rc;
}

static int attach(struct vfc_nic *nic)
{
	int rc;

	nic->state = sys_alloc(sizeof(struct virtio));
	if (!nic->state)
		return vfc_no_memory();
	rc = virtio_map(nic);
	if (rc < 0)
		return rc;
	nic->registers = virtio_of(nic)->common.base;
	if (gone(nic))
		return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = nic->device->name),
				"the device status reads as all ones: the device was pulled, or sleeps "
				"in D3");
	stop(nic);
	if (status(nic))
		return vfc_fail(EIO, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
				"the device status did not become 0: it does not come out of reset");
	set_status(nic, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	rc = virtio_choose(nic);
	if (rc == 0 && virtio_has(nic, VIRTIO_F_RING_PACKED))
		nic->driver = &nic_virtio_packed;
	if (rc == 0)
		rc = read_config(nic);
	return rc < 0 ? rc : look_at_queues(nic);
}

static int detach(struct vfc_nic *nic)
{
	int rc = nic->state ? virtio_control_destroy(nic) : 0;

	if (rc < 0)
		return rc;
	free(nic->state);
	nic->state = NULL;
	return 0;
}

static uint32_t vectors(uint32_t queues)
{
	return queues; /* a look at the ring tells what was sent, and one at the status of the link */
}

static volatile void *rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return virtio_doorbell(nic, 2 * queue);
}

static volatile void *tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return virtio_doorbell(nic, 2 * queue + 1);
}

/* Section 4.1.5.1.3. */
static int start_queue(struct vfc_nic *nic, uint32_t queue, struct vfc_ring *ring, uint16_t vector)
{
	const struct vfc_ring_layout *layout = nic->driver->rx_layout;

	ring->queue = (uint16_t)queue;
	ring->event_index = virtio_has(nic, VIRTIO_F_EVENT_IDX);
	vfc_ring_disarm(ring, layout);
	set16(nic, VIRTIO_QUEUE_SELECT, (uint16_t)queue);
	set16(nic, VIRTIO_QUEUE_SIZE, (uint16_t)ring->entries);
	set64(nic, VIRTIO_QUEUE_DESCRIPTORS, ring->memory.iova);
	set64(nic, VIRTIO_QUEUE_DRIVER, vfc_ring_iova(ring, ring->available));
	set64(nic, VIRTIO_QUEUE_DEVICE, vfc_ring_iova(ring, ring->completions));
	set16(nic, VIRTIO_QUEUE_VECTOR, vector);
	if (get16(nic, VIRTIO_QUEUE_VECTOR) != vector)
		return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
				"the device does not take vector %u for queue %u", vector, queue);
	set16(nic, VIRTIO_QUEUE_ENABLE, 1);
	return 0;
}

static int start_queues(struct vfc_nic *nic)
{
	struct virtio *virtio = virtio_of(nic);
	int rc = 0;

	set16(nic, VIRTIO_CONFIG_VECTOR, VIRTIO_NO_VECTOR);
	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		nic->rx[q].armed = false;
		rc = start_queue(nic, 2 * q, &nic->rx[q].ring, (uint16_t)q);
		if (rc == 0)
			rc = start_queue(nic, 2 * q + 1, &nic->tx[q].ring, VIRTIO_NO_VECTOR);
	}
	if (rc < 0 || !virtio_has(nic, VIRTIO_NET_F_CTRL_VQ))
		return rc;
	virtio_control_cancel(nic);
	return start_queue(nic, 2 * virtio->pairs, &virtio->control.ring, VIRTIO_NO_VECTOR);
}

static int set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	if (!virtio_has(nic, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return virtio_lacks(nic, "VIRTIO_NET_F_CTRL_MAC_ADDR: its address cannot be changed");
	return virtio_command(nic, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6);
}

/* Without that feature the device may hand over any frame as it is. */
static int set_promisc(struct vfc_nic *nic, bool on)
{
	uint8_t value = on;

	if (!virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return on ? virtio_lacks(nic, "VIRTIO_NET_F_CTRL_RX: it cannot be told to be promiscuous") : 0;
	return virtio_command(nic, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &value, 1);
}

/* What the device receives, before it has buffers for it: all multicast, as the other drivers do. */
static int start_filters(struct vfc_nic *nic)
{
	static const uint8_t on = 1;
	int rc = set_promisc(nic, nic->promisc);

	if (rc < 0 || !virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return rc;
	return virtio_command(nic, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1);
}

static int start(struct vfc_nic *nic)
{
	uint16_t pairs = VFC_LE16((uint16_t)nic->queues);
	int rc;

	stop(nic);
	rc = virtio_negotiate(nic);
	if (rc == 0)
		rc = start_queues(nic);
	if (rc < 0)
		return rc;
	set_status(nic, status(nic) | VIRTIO_STATUS_DRIVER_OK);
	rc = start_filters(nic);
	if (rc == 0 && nic->queues > 1)
		rc = virtio_command(nic, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_PAIRS_SET, &pairs, 2);
	if (rc == 0 && status(nic) & VIRTIO_STATUS_NEEDS_RESET)
		rc = vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
			      "the device met an error at once and wants to be reset (status 0x%x)",
			      status(nic));
	return rc;
}

/* Of a device that has no such field the link is up (section 5.1.4.2). */
static void link_state(struct vfc_nic *nic, struct vfc_nic_link *link)
{
	const volatile uint8_t *config = virtio_of(nic)->config.base;
	uint32_t speed;

	memset(link, 0, sizeof(*link));
	link->up = !gone(nic) && (!virtio_has(nic, VIRTIO_NET_F_STATUS) ||
				  config16(nic, VIRTIO_NET_LINK) & VIRTIO_NET_LINK_UP);
	if (!link->up || !virtio_has(nic, VIRTIO_NET_F_SPEED_DUPLEX))
		return;
	speed = vfc_mmio_read32(config + VIRTIO_NET_SPEED);
	link->speed = speed > INT32_MAX ? 0 : speed;
	link->full_duplex = vfc_mmio_read8(config + VIRTIO_NET_DUPLEX) == 1;
}

/* The device counts nothing. */
static void read_counters(struct vfc_nic *nic)
{
	(void)nic;
}

static __attribute__((cold, noinline)) void rx_drop(struct nic_receiving *receiving, uint32_t length,
						    uint32_t chunk)
{
	struct nic_rx *rx = receiving->rx;

	receiving->dropped++;
	if (length - 1 < rx->nic->room) /* too long a frame for what was asked */
		nic_count(&rx->errors, 1);
	else
		nic_count(&rx->malformed, 1);
	nic_drop(rx, chunk);
}

/* What of a completion is a frame: nothing that the device says is believed. */
VFC_TEMPLATE void rx_take(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;
	struct vfc_completion frame = *done;

	frame.length -= VIRTIO_NET_HEADER;
	if (__builtin_expect(frame.length - 1 < receiving->frame_max, 1))
		nic_hand_over(receiving, &frame);
	else
		rx_drop(receiving, frame.length, done->cookie);
}

/* The header is written where the packet says that its frame begins: that must be in its chunk. */
VFC_TEMPLATE bool tx_give(void *context, struct vfc_buffer *buffer)
{
	struct nic_sending *sending = (struct nic_sending *)context;
	const struct vfc_packet *packet = sending->next;
	const struct vfc_pool *pool = sending->pool;
	uint64_t offset = packet->iova - vfc_pool_iova(pool, packet->chunk);

	if (offset < VIRTIO_NET_HEADER || offset > pool->chunk ||
	    offset + packet->length > pool->chunk || !nic_give(context, buffer))
		return false;
	__builtin_memset((uint8_t *)vfc_pool_va(pool, packet->chunk) + offset - VIRTIO_NET_HEADER, 0,
			 VIRTIO_NET_HEADER);
	buffer->iova -= VIRTIO_NET_HEADER;
	buffer->length += VIRTIO_NET_HEADER;
	return true;
}

VFC_TEMPLATE uint32_t receive(struct nic_rx *rx, const struct vfc_ring_layout *layout,
			      uint64_t command, struct vfc_packet *packets, uint32_t count)
{
	static const uint64_t nothing;
	const vfc_ring_sieve sieve = {0, &nothing, rx_take, rx_take};

	if (rx->armed) /* who polls wants no interrupts */
		vfc_ring_disarm(&rx->ring, layout);
	rx->armed = false;
	return nic_receive(rx, layout, command, &sieve, packets, count);
}

/* The device's table for each style of ring, and what is compiled with its layout. */
#define DRIVER(table, style, receive_command)                                                      \
	static void style##_rx_arm(struct vfc_nic *nic, uint32_t queue)                            \
	{                                                                                          \
		nic->rx[queue].armed = true;                                                       \
		vfc_ring_arm(&nic->rx[queue].ring, &style);                                        \
	}                                                                                          \
	static uint32_t style##_rx_burst(struct nic_rx *rx, struct vfc_packet *packets,            \
					 uint32_t count)                                           \
	{                                                                                          \
		return receive(rx, &style, receive_command, packets, count);                       \
	}                                                                                          \
	static int style##_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets,           \
				    uint32_t count)                                                \
	{                                                                                          \
		return nic_send_by(tx, &style, tx_give, 0, tx->nic->frame_max, packets, count);    \
	}                                                                                          \
	static void style##_rx_refill(struct nic_rx *rx)                                           \
	{                                                                                          \
		nic_refill_room(rx, &style, receive_command, rx->nic->room);                       \
	}                                                                                          \
	static void style##_tx_clean(struct nic_tx *tx) { nic_clean(tx, &style); }                 \
	static bool style##_rx_ready(struct nic_rx *rx)                                            \
	{                                                                                          \
		return vfc_ring_ready(&rx->ring, &style);                                          \
	}                                                                                          \
	const struct nic_driver table = {                                                          \
		.name = "virtio-net",                                                              \
		.vendor = VIRTIO_VENDOR,                                                           \
		.device = VIRTIO_NET_DEVICE,                                                       \
		.queues_max = QUEUES_MAX,                                                          \
		.frame_max = FRAME_MAX,                                                            \
		.mtu_max = MTU_MAX,                                                                \
		.flags = VFC_NIC_PACKED,                                                           \
		.header = VIRTIO_NET_HEADER,                                                       \
		.rx_layout = &style,                                                               \
		.tx_layout = &style,                                                               \
		.vectors = vectors,                                                                \
		.attach = attach,                                                                  \
		.detach = detach,                                                                  \
		.rx_doorbell = rx_doorbell,                                                        \
		.tx_doorbell = tx_doorbell,                                                        \
		.start = start,                                                                    \
		.stop = stop,                                                                      \
		.link = link_state,                                                                \
		.set_mac = set_mac,                                                                \
		.set_promisc = set_promisc,                                                        \
		.read_counters = read_counters,                                                    \
		.rx_arm = style##_rx_arm,                                                          \
		.rx_burst = style##_rx_burst,                                                      \
		.tx_burst = style##_tx_burst,                                                      \
		.rx_refill = style##_rx_refill,                                                    \
		.tx_clean = style##_tx_clean,                                                      \
		.rx_ready = style##_rx_ready,                                                      \
	};

DRIVER(nic_virtio, split, SPLIT_RECEIVE)
DRIVER(nic_virtio_packed, packed, PACKED_RECEIVE)
