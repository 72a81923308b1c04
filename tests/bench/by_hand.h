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
#include <string.h>
#include <vfiocore.h>

#include "hw/e1000e.h"

#define BY_HAND_OFFSET 64
#define BY_HAND_BATCH 32
#define BY_HAND_BAD (E1000E_RX_ERRORS | UINT64_C(0xf800) << E1000E_RX_LENGTH_SHIFT)
/* A library's functions are called, not merged into their caller. */
#define BY_HAND_CALL static __attribute__((noinline, unused))

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
	uint32_t refill_at, clean_at; /* this many are free, are in flight */
	uint32_t rx_head, rx_tail, tx_head, tx_tail; /* free running */
	uint64_t doorbells;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
};

BY_HAND_CALL void by_hand_refill(struct by_hand *port)
{
	struct vfc_pool *pool = port->pool;
	uint64_t base = pool->memory.iova + BY_HAND_OFFSET;
	uint32_t tail = port->rx_tail, mask = port->mask, *chunks = port->rx_chunks;
	uint32_t n = port->rx_head + mask - tail;
	const uint32_t *next;

	if (n > pool->free)
		n = pool->free;
	pool->free -= n;
	next = pool->stack + pool->free;
	VFC_UNROLL
	for (uint32_t end = tail + n; tail != end; tail++) {
		uint64_t chunk = *next++, slot = tail & mask;
		volatile uint64_t *descriptor = port->rx + 2 * slot;

		descriptor[0] = base + chunk * VFC_POOL_UNIT;
		descriptor[1] = 0;
		chunks[slot] = (uint32_t)chunk;
	}
	port->rx_tail = tail;
	vfc_to_device();
	*port->rdt = tail & mask;
	port->doorbells++;
}

static inline void by_hand_open(struct by_hand *port, struct vfc_pool *pool, uint32_t entries,
				volatile uint32_t *rdt, volatile uint32_t *tdt)
{
	port->rx = (uint64_t *)aligned_alloc(4096, (size_t)entries * 16);
	port->tx = (uint64_t *)aligned_alloc(4096, (size_t)entries * 16);
	port->rx_chunks = (uint32_t *)calloc(entries, 4);
	port->tx_chunks = (uint32_t *)calloc(entries, 4);
	if (!port->rx || !port->tx || !port->rx_chunks || !port->tx_chunks)
		exit(1);
	memset(port->rx, 0, (size_t)entries * 16);
	memset(port->tx, 0, (size_t)entries * 16);
	port->rdt = rdt;
	port->tdt = tdt;
	port->pool = pool;
	port->mask = entries - 1;
	port->refill_at = entries / 4 < BY_HAND_BATCH ? entries / 4 : BY_HAND_BATCH;
	port->clean_at = entries / 4 < 2 * BY_HAND_BATCH ? entries / 4 : 2 * BY_HAND_BATCH;
	by_hand_refill(port);
}

static __attribute__((cold, noinline)) void by_hand_drop(struct by_hand *port, uint32_t chunk)
{
	port->pool->stack[port->pool->free++] = chunk;
}

BY_HAND_CALL uint32_t by_hand_receive(struct by_hand *port, struct by_hand_packet *packets,
				      uint32_t count)
{
	uint8_t *va = (uint8_t *)port->pool->memory.va + BY_HAND_OFFSET;
	uint64_t iova = port->pool->memory.iova + BY_HAND_OFFSET, bytes = 0;
	uint32_t head = port->rx_head, tail = port->rx_tail, mask = port->mask;
	const uint32_t *chunks = port->rx_chunks;
	const uint64_t *rx = port->rx;
	struct by_hand_packet *packet = packets, *end = packets + count;

	VFC_UNROLL
	while (packet != end && head != tail) {
		uint64_t slot = head & mask;
		uint64_t status = *(const volatile uint64_t *)(rx + 2 * slot + 1);
		uint64_t chunk = chunks[slot];

		if (!(status & E1000E_RX_DD))
			break;
		head++;
		/* The length less 1 has no bit above 2047: 0 borrows from those. */
		if (!(status & E1000E_RX_EOP) ||
		    (status - (UINT64_C(1) << E1000E_RX_LENGTH_SHIFT)) & BY_HAND_BAD) {
			by_hand_drop(port, (uint32_t)chunk);
			continue;
		}
		packet->length = (status >> E1000E_RX_LENGTH_SHIFT) & 0xffff;
		packet->chunk = (uint32_t)chunk;
		bytes += packet->length;
		packet->data = va + chunk * VFC_POOL_UNIT;
		packet->iova = iova + chunk * VFC_POOL_UNIT;
		packet++;
	}
	port->rx_head = head;
	vfc_from_device();
	if (mask - (tail - head) >= port->refill_at)
		by_hand_refill(port);
	port->rx_frames += (uint64_t)(packet - packets);
	port->rx_bytes += bytes;
	return (uint32_t)(packet - packets);
}

/* The last descriptor of each burst has RS: to the next one of them, if it is done. */
BY_HAND_CALL void by_hand_clean(struct by_hand *port)
{
	struct vfc_pool *pool = port->pool;
	uint32_t head = port->tx_head, tail = port->tx_tail, mask = port->mask, end;
	uint32_t *stack = pool->stack + pool->free;

	while (head != tail) {
		const volatile uint64_t *status = port->tx + 2 * (uint64_t)(head & mask) + 1;

		for (end = head; !(*status & E1000E_TX_RS); end++)
			status = port->tx + 2 * (uint64_t)((end + 1) & mask) + 1;
		if (!(*status & E1000E_TX_DD))
			break;
		for (end++; head != end; head++)
			*stack++ = port->tx_chunks[head & mask];
	}
	port->tx_head = head;
	pool->free = (uint32_t)(stack - pool->stack);
}

BY_HAND_CALL uint32_t by_hand_send(struct by_hand *port, const struct by_hand_packet *packets,
				   uint32_t count)
{
	uint32_t tail, mask = port->mask, limit = port->pool->limit, n, space;
	uint32_t *chunks = port->tx_chunks;
	uint64_t bytes = 0, *tx = port->tx;

	if (port->tx_tail - port->tx_head >= port->clean_at)
		by_hand_clean(port);
	tail = port->tx_tail;
	space = mask - (tail - port->tx_head);
	if (count > space)
		count = space;
	VFC_UNROLL
	for (n = 0; n < count; n++, packets++, tail++) {
		uint64_t slot = tail & mask, length = packets->length;
		volatile uint64_t *descriptor = tx + 2 * slot;

		if (length - 1 >= 1518 || packets->chunk >= limit)
			break;
		bytes += length;
		descriptor[0] = packets->iova;
		descriptor[1] = length | E1000E_TX_EOP | E1000E_TX_IFCS;
		chunks[slot] = packets->chunk;
	}
	if (!n)
		return 0;
	tx[2 * (uint64_t)((tail - 1) & mask) + 1] |= E1000E_TX_RS;
	port->tx_tail = tail;
	port->tx_frames += n;
	port->tx_bytes += bytes;
	vfc_to_device();
	*port->tdt = tail & mask;
	port->doorbells++;
	return n;
}

#endif
