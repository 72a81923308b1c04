/* SPDX-License-Identifier: MIT */
/*
 * The baseline of the ring engine: receiving and sending on an 82574L as one would write it by hand
 * for that device alone, with its two descriptor formats, its masks and its powers of two in the
 * code. The same work: buffers from a pool and back to it, a burst in, a burst out.
 */
#ifndef VFC_BENCH_BY_HAND_H
#define VFC_BENCH_BY_HAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <vfiocore.h>

#include "hw/e1000e.h"

#define BY_HAND_CHUNK 2112
#define BY_HAND_OFFSET 64
#define BY_HAND_BATCH 32

struct by_hand_packet {
	uint8_t *data;
	uint64_t iova;
	uint32_t length;
	uint32_t chunk;
};

struct by_hand {
	uint64_t *rx, *tx;
	volatile uint32_t *rdt, *tdt;
	uint32_t *rx_chunks, *tx_chunks;
	struct vfc_pool *pool;
	uint32_t mask;
	uint32_t rx_head, rx_tail, tx_head, tx_tail;
	uint64_t doorbells;
};

static inline void by_hand_refill(struct by_hand *port)
{
	struct vfc_pool *pool = port->pool;
	uint64_t base = pool->memory.iova + BY_HAND_OFFSET;
	uint32_t tail = port->rx_tail, end = port->rx_head + port->mask;

	while (tail != end && pool->free) {
		uint32_t chunk = pool->stack[--pool->free], slot = tail & port->mask;
		volatile uint64_t *descriptor = port->rx + 2 * slot;

		descriptor[0] = base + (uint64_t)chunk * BY_HAND_CHUNK;
		descriptor[1] = 0;
		port->rx_chunks[slot] = chunk;
		tail++;
	}
	port->rx_tail = tail;
	vfc_to_device();
	*port->rdt = tail & port->mask;
	port->doorbells++;
}

static inline void by_hand_open(struct by_hand *port, struct vfc_pool *pool, uint32_t entries,
				volatile uint32_t *rdt, volatile uint32_t *tdt)
{
	port->rx = (uint64_t *)calloc(entries, 16);
	port->tx = (uint64_t *)calloc(entries, 16);
	port->rx_chunks = (uint32_t *)calloc(entries, 4);
	port->tx_chunks = (uint32_t *)calloc(entries, 4);
	if (!port->rx || !port->tx || !port->rx_chunks || !port->tx_chunks)
		exit(1);
	port->rdt = rdt;
	port->tdt = tdt;
	port->pool = pool;
	port->mask = entries - 1;
	by_hand_refill(port);
}

static inline uint32_t by_hand_receive(struct by_hand *port, struct by_hand_packet *packets,
				       uint32_t count)
{
	uint8_t *va = (uint8_t *)port->pool->memory.va + BY_HAND_OFFSET;
	uint64_t iova = port->pool->memory.iova + BY_HAND_OFFSET;
	uint32_t head = port->rx_head, n = 0;

	while (n < count && head != port->rx_tail) {
		uint32_t slot = head & port->mask;
		uint64_t status = *(volatile uint64_t *)(port->rx + 2 * slot + 1);
		uint32_t length = (status >> E1000E_RX_LENGTH_SHIFT) & 0xffff;
		uint32_t chunk = port->rx_chunks[slot];

		if (!(status & E1000E_RX_DD))
			break;
		head++;
		if (!(status & E1000E_RX_EOP) || status & E1000E_RX_ERRORS || length - 1 >= 2048) {
			port->pool->stack[port->pool->free++] = chunk;
			continue;
		}
		packets[n].data = va + (uint64_t)chunk * BY_HAND_CHUNK;
		packets[n].iova = iova + (uint64_t)chunk * BY_HAND_CHUNK;
		packets[n].length = length;
		packets[n].chunk = chunk;
		n++;
	}
	port->rx_head = head;
	vfc_from_device();
	if (port->mask - (port->rx_tail - head) >= BY_HAND_BATCH)
		by_hand_refill(port);
	return n;
}

/* One report a burst: the last descriptor of each has RS, and the position is kept by the burst. */
static inline void by_hand_clean(struct by_hand *port)
{
	struct vfc_pool *pool = port->pool;

	while (port->tx_head != port->tx_tail) {
		uint32_t end = port->tx_head;

		/* To the next descriptor that was asked to report. */
		while (!(port->tx[2 * (end & port->mask) + 1] & E1000E_TX_RS))
			end++;
		if (!(*(volatile uint64_t *)(port->tx + 2 * (end & port->mask) + 1) & E1000E_TX_DD))
			return;
		for (; port->tx_head != end + 1; port->tx_head++)
			pool->stack[pool->free++] = port->tx_chunks[port->tx_head & port->mask];
	}
}

static inline uint32_t by_hand_send(struct by_hand *port, const struct by_hand_packet *packets,
				    uint32_t count)
{
	uint32_t tail, n = 0;

	if (port->tx_tail - port->tx_head >= 2 * BY_HAND_BATCH)
		by_hand_clean(port);
	tail = port->tx_tail;
	while (n < count && tail - port->tx_head < port->mask) {
		uint32_t slot = tail & port->mask, length = packets[n].length;
		volatile uint64_t *descriptor = port->tx + 2 * slot;
		uint64_t command = E1000E_TX_EOP | E1000E_TX_IFCS;

		if (length - 1 >= 1518 || packets[n].chunk >= port->pool->chunks)
			break;
		n++;
		if (n == count)
			command |= E1000E_TX_RS;
		descriptor[0] = packets[n - 1].iova;
		descriptor[1] = command | length;
		port->tx_chunks[slot] = packets[n - 1].chunk;
		tail++;
	}
	port->tx_tail = tail;
	if (n) {
		vfc_to_device();
		*port->tdt = tail & port->mask;
		port->doorbells++;
	}
	return n;
}

#endif
