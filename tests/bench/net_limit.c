/* SPDX-License-Identifier: MIT */
/*
 * What the device itself can do, in the loop of net.c: its descriptors are written once by the
 * library's driver. From then on only doorbells are rung, and descriptors that the device wrote over
 * are made ready again. No frame is made, looked at, or freed.
 */
#include <stdlib.h>
#include <string.h>

#include "net_nics.h"
#include "nic/nic.h"

static struct vfc_ring *tx, *rx;
static const struct vfc_ring_layout *tx_layout, *rx_layout;
static uint8_t *ready; /* the receiver's descriptors, before the device has written to them */

static uint16_t used_index(const struct vfc_ring *ring)
{
	return VFC_RING_LOAD16(ring->completions + 2);
}

/* The frame stays in the chunks, whoever has them afterwards. */
static void write_frames(struct net_side *from, struct net_side *to)
{
	uint8_t frame[NET_FRAME] = {[12] = NET_TYPE >> 8, [13] = NET_TYPE & 0xff};
	uint32_t burst = 32;
	struct vfc_packet packets[32];

	memcpy(frame, to->mac, 6);
	memcpy(frame + 6, from->mac, 6);
	for (uint32_t i = 0; i < tx->entries; i += burst)
		if (vfc_nic_alloc_copies(nics[0], packets, burst, frame, NET_FRAME) != (int)burst ||
		    vfc_nic_tx_burst(nics[0], 0, packets, burst) != (int)burst ||
		    vfc_nic_drain(nics[0], 0, INT64_C(1000000000)) < 0)
			nics_die("frames");
}

/* Ids of virtio were taken from a stack, and came back: one each. */
static void spread_ids(void)
{
	uint16_t id = VFC_RING_LOAD16(tx->available + 4);

	for (uint32_t i = 0; i < tx->entries; i++) {
		memmove(tx->descriptors + 16 * (uint64_t)i, tx->descriptors + 16 * (uint64_t)id, 16);
		VFC_RING_STORE16(tx->available + 4 + 2 * (uint64_t)i, (uint16_t)i);
	}
	tx->seen = used_index(tx);
}

void net_open(struct net_side *from, struct net_side *to, uint32_t entries)
{
	size_t size;

	nics_open(from, to, entries);
	tx = &nics[0]->tx[0].ring;
	rx = &nics[1]->rx[0].ring;
	tx_layout = nics[0]->driver->tx_layout;
	rx_layout = nics[1]->driver->rx_layout;
	size = (size_t)rx->entries * rx_layout->size;
	ready = malloc(size);
	if (!ready)
		nics_die("memory");
	memcpy(ready, rx->descriptors, size);
	write_frames(from, to);
	if (tx_layout->style == VFC_RING_SPLIT)
		spread_ids();
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	(void)frame;
	if (tx_layout->style == VFC_RING_SPLIT) {
		uint32_t room = tx->entries - (uint16_t)(tx->index - used_index(tx));

		count = count < room ? count : room;
	} else {
		tx->tail = (tx->tail + count) % tx->entries;
	}
	tx->pending = count;
	vfc_ring_kick(tx, tx_layout);
	return count;
}

/* Those of style DONE, up to @count. */
static uint32_t make_ready(uint32_t count)
{
	uint32_t n;

	for (n = 0; n < count; n++) {
		uint64_t at = (uint64_t)rx->head * rx_layout->size;

		if (!(VFC_RING_LOAD64(rx->descriptors + at + rx_layout->control) & rx_layout->done))
			break;
		memcpy(rx->descriptors + at, ready + at, rx_layout->size);
		rx->head = rx->head + 1 == rx->entries ? 0 : rx->head + 1;
	}
	rx->tail = (rx->tail + n) % rx->entries;
	return n;
}

uint32_t net_receive(uint32_t count)
{
	uint32_t n;

	if (rx_layout->style == VFC_RING_SPLIT) {
		n = (uint16_t)(used_index(rx) - rx->seen);
		rx->seen = (uint16_t)(rx->seen + n);
	} else {
		n = make_ready(count);
	}
	rx->pending += n;
	if (rx->pending >= NIC_BURST)
		vfc_ring_kick(rx, rx_layout);
	return n;
}
