/* SPDX-License-Identifier: MIT */
/*
 * Virtio-net over PCI: virtio 1.2; sections are of that. Modern devices only, with split rings
 * (section 2.7) or packed ones (section 2.8). Of the features that a device offers, those that are
 * named here are accepted and no others.
 *
 * A buffer is one descriptor. The device's header of 12 bytes stands before the frame, in the room
 * that every chunk has there. Nothing is offloaded, so the header that we send is all zeros, and
 * the headers that we receive say nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vfiocore/device.h>
#include <vfiocore/mmio.h>

#include "base/deadline.h"
#include "base/error.h"
#include "device/object.h"
#include "nic/burst.h"
#include "nic/virtio/virtio.h"

#define FRAME_MAX 1518 /* with a VLAN tag; less where the device says so */
#define MTU_MAX (65535 - VFC_NIC_HEADER) /* frames of 64 KiB with the header at most */
#define QUEUES_MAX 64
#define ENTRIES_MIN 8
#define MS 1000000

/*
 * What is accepted wherever it is offered. VERSION_1 means a modern device. ACCESS_PLATFORM means
 * that its addresses are translated by the IOMMU, and ORDER_PLATFORM that it wants the barriers of
 * a real device, which we use anyway. EVENT_IDX lets each side say at which index of a ring it
 * wants to be notified. MAC gives the device a station address.
 */
#define UNDERSTOOD (VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM | \
		    VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC)

/*
 * The flag that lets the device write to a buffer. Each style has a descriptor's flags elsewhere.
 */
#define SPLIT_RECEIVE (VIRTIO_WRITE << VIRTIO_SPLIT_FLAGS)
#define PACKED_RECEIVE (VIRTIO_WRITE << VIRTIO_PACKED_FLAGS)

/* The two styles of ring. Everything that depends on the style follows from these. */
static const struct vfc_ring_layout split = {
	.style = VFC_RING_SPLIT, .size = 16, .control = 8, .length_bits = 32,
};

static const struct vfc_ring_layout packed = {
	.style = VFC_RING_PACKED, .size = 16, .control = 8, .length_bits = 32,
};

/* -- registers: the common configuration, section 4.1.4.3 -- */

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

/* Section 4.1.3.1: a field of 64 bits is written in two halves. */
static void set64(struct vfc_nic *nic, uint32_t offset, uint64_t value)
{
	vfc_mmio_write32(nic->registers + offset, (uint32_t)value);
	vfc_mmio_write32(nic->registers + offset + 4, (uint32_t)(value >> 32));
}

/* A device that was pulled reads as all ones, which is no status that a device can have. */
static bool gone(const struct vfc_nic *nic)
{
	return status(nic) == UINT8_MAX;
}

/* Section 2.4.1: writing 0 resets the device, and it has stopped when its status reads as 0. */
static void virtio_stop(struct vfc_nic *nic)
{
	int64_t end = deadline_in(1000 * (int64_t)MS);

	set_status(nic, 0);
	while (status(nic) != 0 && !gone(nic) && !deadline_passed(end))
		sys_sleep(MS / 50);
	vfc_from_register(); /* it writes to no ring any more */
}

/* -- features, sections 2.2, 5.1.3 and 6 -- */

/* Section 4.1.4.3: the 64 bits of features are read in two halves. */
static uint64_t offered(struct vfc_nic *nic)
{
	uint64_t features;

	vfc_mmio_write32(nic->registers + VIRTIO_DEVICE_FEATURE_SELECT, 0);
	features = vfc_mmio_read32(nic->registers + VIRTIO_DEVICE_FEATURE);
	vfc_mmio_write32(nic->registers + VIRTIO_DEVICE_FEATURE_SELECT, 1);
	return features | (uint64_t)vfc_mmio_read32(nic->registers + VIRTIO_DEVICE_FEATURE) << 32;
}

/*
 * What we can use: the link's state, a control queue for the receive filter and the address, the
 * largest MTU, the link's speed, several queues, packed rings. A feature is not taken if the
 * device's configuration is too short for the field that goes with it.
 */
static uint64_t wanted(const struct vfc_nic *nic)
{
	uint32_t length = virtio_of(nic)->config.length;
	uint64_t features = UNDERSTOOD | VIRTIO_NET_F_STATUS | VIRTIO_F_INDIRECT_DESC |
			    VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR;

	if (length >= VIRTIO_NET_SPEED)
		features |= VIRTIO_NET_F_MTU;
	if (length > VIRTIO_NET_DUPLEX)
		features |= VIRTIO_NET_F_SPEED_DUPLEX;
	if (nic->queues > 1 && length >= VIRTIO_NET_MTU)
		features |= VIRTIO_NET_F_MQ;
	if (nic->flags & VFC_NIC_PACKED)
		features |= VIRTIO_F_RING_PACKED;
	return features;
}

static int lacks(const struct vfc_nic *nic, const char *what)
{
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"the device does not offer %s", what);
}

/* Does an IOMMU stand between the device and memory? */
static bool translated(struct vfc_nic *nic)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};

	return vfc_iommu_info(vfc_device_iommu(nic->device), &info) == 0 &&
	       !(info.flags & VFC_IOMMU_PHYSICAL);
}

/*
 * What we cannot do without. A device without ACCESS_PLATFORM takes our IOVAs for physical
 * addresses and would write into foreign memory, unless no IOMMU translates them at all.
 */
static int check_features(struct vfc_nic *nic)
{
	if (!virtio_has(nic, VIRTIO_F_VERSION_1))
		return lacks(nic, "VIRTIO_F_VERSION_1: only modern devices (virtio 1.0 or later) are "
				  "driven");
	if (!virtio_has(nic, VIRTIO_F_ACCESS_PLATFORM) && translated(nic))
		return lacks(nic, "VIRTIO_F_ACCESS_PLATFORM: it would pass by the IOMMU and access "
				  "physical memory (QEMU: iommu_platform=on)");
	if (!virtio_has(nic, VIRTIO_NET_F_MAC))
		return lacks(nic, "VIRTIO_NET_F_MAC: it has no station address");
	if (nic->flags & VFC_NIC_PACKED && !virtio_has(nic, VIRTIO_F_RING_PACKED))
		return lacks(nic, "VIRTIO_F_RING_PACKED (QEMU: packed=on): open it without "
				  "VFC_NIC_PACKED");
	if (nic->queues > 1 && !virtio_has(nic, VIRTIO_NET_F_MQ))
		return lacks(nic, "VIRTIO_NET_F_MQ: it has one queue");
	if (nic->promisc && !virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return lacks(nic, "VIRTIO_NET_F_CTRL_RX: it cannot be told to be promiscuous");
	return 0;
}

/* What is offered and wanted, without what needs a control queue where there is none. */
static int choose_features(struct vfc_nic *nic)
{
	struct virtio *virtio = virtio_of(nic);
	uint64_t control = VIRTIO_NET_F_CTRL_VQ | VIRTIO_F_INDIRECT_DESC;

	virtio->features = offered(nic) & wanted(nic);
	if (!virtio_has(nic, control)) /* a command needs an indirect table, see control.c */
		virtio->features &= ~(control | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR |
				      VIRTIO_NET_F_MQ);
	return check_features(nic);
}

/*
 * Section 3.1.1, steps 1 to 6: ACKNOWLEDGE and DRIVER, then our features, then FEATURES_OK, which
 * the device keeps if it agrees.
 */
static int negotiate(struct vfc_nic *nic)
{
	uint64_t features = virtio_of(nic)->features;
	uint8_t so_far = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER, accepted;

	set_status(nic, so_far); /* steps 2 and 3 */
	for (uint32_t half = 0; half < 2; half++) { /* step 4 */
		vfc_mmio_write32(nic->registers + VIRTIO_DRIVER_FEATURE_SELECT, half);
		vfc_mmio_write32(nic->registers + VIRTIO_DRIVER_FEATURE,
				 (uint32_t)(features >> 32 * half));
	}
	set_status(nic, so_far | VIRTIO_STATUS_FEATURES_OK); /* step 5 */
	accepted = status(nic); /* step 6 */
	if (accepted == UINT8_MAX)
		return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = nic->device->name),
				"the device status reads as all ones: the device was pulled");
	if (accepted & VIRTIO_STATUS_FEATURES_OK)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"the device does not accept the features 0x%llx: it needs some that this driver "
			"does not know", (unsigned long long)features);
}

/* -- configuration and queues -- */

static uint16_t config16(const struct vfc_nic *nic, uint32_t offset)
{
	return vfc_mmio_read16(virtio_of(nic)->config.base + offset);
}

/*
 * Section 2.5.1: the generation changes with the configuration. What takes several reads is read
 * again until the generation was the same before and after.
 */
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

/* Section 5.1.4.2: a driver must not send longer frames than the device's MTU allows. */
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

/* Section 5.1.4: the station address, the number of pairs of queues, the largest MTU. */
static int read_configuration(struct vfc_nic *nic)
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

/* A ring has no more entries than the device says, whose number may be no power of two. */
static int limit_entries(struct vfc_nic *nic, uint32_t queue, uint32_t *entries)
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

/*
 * Section 5.1.2: pair n has the queues 2n, which receives, and 2n + 1, which sends. The control
 * queue comes behind all pairs that the device has, be they used or not.
 */
static int look_at_queues(struct vfc_nic *nic)
{
	int rc = 0;

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		rc = limit_entries(nic, 2 * q, &nic->rx_entries);
		if (rc == 0)
			rc = limit_entries(nic, 2 * q + 1, &nic->tx_entries);
	}
	if (rc == 0 && virtio_has(nic, VIRTIO_NET_F_CTRL_VQ))
		rc = virtio_control_init(nic, 2 * virtio_of(nic)->pairs);
	return rc;
}

/*
 * The device is reset, and its features are chosen, since they decide what the configuration and
 * the queues look like. virtio_start() resets it again and negotiates them in earnest.
 */
static int virtio_attach(struct vfc_nic *nic)
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
	virtio_stop(nic);
	if (status(nic))
		return vfc_fail(EIO, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
				"the device status did not become 0: it does not come out of reset");
	set_status(nic, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	rc = choose_features(nic);
	if (rc == 0 && virtio_has(nic, VIRTIO_F_RING_PACKED))
		nic->driver = &nic_virtio_packed;
	if (rc == 0)
		rc = read_configuration(nic);
	return rc < 0 ? rc : look_at_queues(nic);
}

/* The rings of the pairs are the common part's. What remains is the control queue. */
static int virtio_detach(struct vfc_nic *nic)
{
	int rc = nic->state ? virtio_control_destroy(nic) : 0;

	if (rc < 0)
		return rc;
	free(nic->state);
	nic->state = NULL;
	return 0;
}

/* For receiving only. What was sent shows in the ring, and the link in the configuration. */
static uint32_t virtio_vectors(uint32_t queues)
{
	return queues;
}

/* Where the device is notified of a queue is its choice, see virtio_doorbell(). */
static volatile void *virtio_rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return virtio_doorbell(nic, 2 * queue);
}

static volatile void *virtio_tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return virtio_doorbell(nic, 2 * queue + 1);
}

/*
 * Section 4.1.5.1.3: select the queue, say how long it is and where its three parts are, and enable
 * it. The parts are descriptors, what the driver tells (available ring, or event suppression) and
 * what the device tells (used ring, or event suppression).
 *
 * The ring starts without interrupts. Section 4.1.5.1.2: the vector is read back after it was
 * written, as a device that cannot use it answers with NO_VECTOR.
 */
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

/*
 * Changes of the configuration raise no interrupt, as the link is polled. Neither do transmit
 * queues and the control queue, whose rings are looked at.
 */
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

/* Section 5.1.6.5.2: the six bytes of the address are the command's data. */
static int virtio_set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	if (!virtio_has(nic, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return lacks(nic, "VIRTIO_NET_F_CTRL_MAC_ADDR: its address cannot be changed");
	return virtio_command(nic, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6);
}

/*
 * Section 5.1.6.5.1: a byte, 1 or 0. Without CTRL_RX a device may hand over any frame anyway, so to
 * turn promiscuous mode off is no failure there.
 */
static int virtio_set_promisc(struct vfc_nic *nic, bool on)
{
	uint8_t value = on;

	if (!virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return on ? lacks(nic, "VIRTIO_NET_F_CTRL_RX: it cannot be told to be promiscuous") : 0;
	return virtio_command(nic, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &value, 1);
}

/* Set before the device gets any buffers. All multicast is received, as with the other drivers. */
static int start_filters(struct vfc_nic *nic)
{
	static const uint8_t on = 1;
	int rc = virtio_set_promisc(nic, nic->promisc);

	if (rc < 0 || !virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return rc;
	return virtio_command(nic, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1);
}

/*
 * Section 3.1.1 from its beginning: reset, features, then step 7, the queues, and step 8,
 * DRIVER_OK, which lets the device run. It takes commands from then on: the receive filter, and how
 * many of its pairs of queues are used, which is one unless we say more.
 */
static int virtio_start(struct vfc_nic *nic)
{
	uint16_t pairs = VFC_LE16((uint16_t)nic->queues);
	int rc;

	virtio_stop(nic);
	rc = negotiate(nic);
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

/*
 * Section 5.1.4.2: without VIRTIO_NET_F_STATUS the link is taken to be up, and a speed above
 * 0x7fffffff or a duplex that is neither 0 nor 1 is unknown.
 */
static void virtio_link(struct vfc_nic *nic, struct vfc_nic_link *link)
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
static void virtio_read_counters(struct vfc_nic *nic)
{
	(void)nic;
}

/* -- the hot path -- */

/* A completion that is no frame for the caller is counted, and its chunk goes back to the pool. */
static __attribute__((cold, noinline)) void virtio_rx_drop(struct nic_receiving *receiving,
							   uint32_t length, uint32_t chunk)
{
	struct nic_rx *rx = receiving->rx;

	receiving->dropped++;
	if (length - 1 < rx->nic->room) /* a frame that is longer than our MTU allows */
		nic_count(&rx->errors, 1);
	else
		nic_count(&rx->malformed, 1);
	nic_drop(rx, chunk);
}

/* The device's length includes its header. It is not believed, but checked. */
VFC_TEMPLATE void virtio_rx_take(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;
	struct vfc_completion frame = *done;

	frame.length -= VIRTIO_NET_HEADER;
	if (__builtin_expect(frame.length - 1 < receiving->frame_max, 1))
		nic_hand_over(receiving, &frame);
	else
		virtio_rx_drop(receiving, frame.length, done->cookie);
}

/*
 * Put the device's header before the frame. The place is computed from the packet's IOVA, which is
 * the caller's, so header and frame must lie in the packet's chunk.
 */
VFC_TEMPLATE bool virtio_give(void *context, struct vfc_buffer *buffer)
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

/*
 * The sieve lets everything pass to virtio_rx_take(), since a virtio completion has no error bits.
 * Interrupts of a split ring with event indices are one-shot; all others have to be turned off
 * again once somebody polls.
 */
VFC_TEMPLATE uint32_t virtio_receive(struct nic_rx *rx, const struct vfc_ring_layout *layout,
				     struct vfc_packet *packets, uint32_t count)
{
	static const uint64_t nothing;
	const vfc_ring_sieve sieve = {0, &nothing, virtio_rx_take, virtio_rx_take, 0};

	if (rx->armed) /* the caller polls now, and wants no interrupt */
		vfc_ring_disarm(&rx->ring, layout);
	rx->armed = false;
	return nic_receive(rx, layout, &sieve, packets, count);
}

/* A table for each style of ring, and the functions that are compiled with its layout. */
#define DRIVER(table, style, receive_command)                                                      \
	static void style##_rx_arm(struct vfc_nic *nic, uint32_t queue)                            \
	{                                                                                          \
		nic->rx[queue].armed = true;                                                       \
		vfc_ring_arm(&nic->rx[queue].ring, &style);                                        \
	}                                                                                          \
	static uint32_t style##_rx_burst(struct nic_rx *rx, struct vfc_packet *packets,            \
					 uint32_t count)                                           \
	{                                                                                          \
		return virtio_receive(rx, &style, packets, count);                                 \
	}                                                                                          \
	static int style##_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets,           \
				    uint32_t count)                                                \
	{                                                                                          \
		return nic_send_by(tx, &style, virtio_give, 0, tx->nic->frame_max, packets,        \
				   count);                                                         \
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
		.vectors = virtio_vectors,                                                         \
		.attach = virtio_attach,                                                           \
		.detach = virtio_detach,                                                           \
		.rx_doorbell = virtio_rx_doorbell,                                                 \
		.tx_doorbell = virtio_tx_doorbell,                                                 \
		.start = virtio_start,                                                             \
		.stop = virtio_stop,                                                               \
		.link = virtio_link,                                                               \
		.set_mac = virtio_set_mac,                                                         \
		.set_promisc = virtio_set_promisc,                                                 \
		.read_counters = virtio_read_counters,                                             \
		.rx_arm = style##_rx_arm,                                                          \
		.rx_burst = style##_rx_burst,                                                      \
		.tx_burst = style##_tx_burst,                                                      \
		.rx_refill = style##_rx_refill,                                                    \
		.tx_clean = style##_tx_clean,                                                      \
		.rx_ready = style##_rx_ready,                                                      \
	};

DRIVER(nic_virtio, split, SPLIT_RECEIVE)
DRIVER(nic_virtio_packed, packed, PACKED_RECEIVE)
