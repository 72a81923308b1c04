/* SPDX-License-Identifier: MIT */
/*
 * The templates that a driver's hot path is made of. Each is inlined into the driver's file with
 * its layout and limits as constants, so a burst is one indirect call into straight code.
 *
 * One frame on its way from the device to the caller and back, in the order of the functions. The
 * names with e1000e_ and intel_ belong to that driver; each driver has its own in these places.
 *
 *  1. The device gets a buffer.
 *     .rx_refill                intel_rx_refill()
 *     nic_refill_room()         takes the lock of the pool
 *     vfc_ring_fill()           takes free chunks and writes a descriptor for each
 *     vfc_ring_kick()           writes the tail register: the device owns the chunks
 *  2. The device writes the frame into the chunk, then a completion over the descriptor. 3. The
 *  caller receives it.
 *     vfc_nic_rx_burst()        checks the queue and calls .rx_burst
 *     e1000e_rx_burst()         has code for one frame and code for many (NIC_BURSTS)
 *     intel_receive()           describes a good completion by a sieve
 *     nic_receive()             goes on until it has enough frames, or there are no more
 *     vfc_ring_reap_some()      walks over the descriptors from the ring's head on
 *     vfc_ring_reap_one()       loads a completion once and compares it with the sieve
 *     intel_rx_take()           good: nic_hand_over() makes it a packet, and the caller owns the chunk
 *     intel_rx_bad()            bad: intel_rx_drop() counts it, and nic_drop() gives the chunk back
 *     nic_receive()             calls .rx_refill if the ring is low, which is step 1
 *  4. The caller gives it back by vfc_nic_free(), and its way ends in the pool. Or it sends it.
 *     vfc_nic_tx_burst()        checks the queue and calls .tx_burst
 *     e1000e_tx_burst(), e1000e_send()
 *     nic_send_by()             calls .tx_clean if the ring has many frames, which is step 6
 *     vfc_ring_post_each()      writes a descriptor for each packet while there is room
 *     nic_give()                checks the packet and says what its descriptor holds
 *     vfc_ring_kick()           writes the tail register once: the device owns the chunks
 *  5. The device sends the frame and marks the descriptors that ask for it as done. 6. The chunk
 *  comes back.
 *     .tx_clean                 e1000e_tx_clean()
 *     nic_clean()               takes the lock of the pool
 *     vfc_ring_reclaim()        puts the numbers of all chunks that are done on its stack
 */
#ifndef VFC_NIC_BURST_H
#define VFC_NIC_BURST_H

#include "nic/nic.h"

/* -- buffers for the device -- */

/* Post free chunks until the ring is full, and ring the doorbell once. @room: bytes for a frame. */
VFC_TEMPLATE void nic_refill_room(struct nic_rx *rx, const struct vfc_ring_layout *layout,
				  uint64_t command, uint32_t room)
{
	struct vfc_pool *pool = rx->nic->pool;
	uint32_t header = rx->nic->driver->header;

	vfc_pool_lock(pool);
	vfc_ring_fill(&rx->ring, layout, pool, VFC_NIC_HEADROOM - header, room + header, command);
	vfc_pool_unlock(pool);
	vfc_ring_kick(&rx->ring, layout);
}

VFC_TEMPLATE void nic_refill(struct nic_rx *rx, const struct vfc_ring_layout *layout,
			     uint64_t command)
{
	nic_refill_room(rx, layout, command, NIC_ROOM);
}

/* -- receiving -- */

struct nic_receiving {
	struct vfc_packet *next;
	uint8_t *va;   /* of the frame in chunk 0 */
	uint64_t iova; /* likewise */
	uint64_t bytes;
	uint32_t dropped; /* completions that were no good frames */
	struct nic_rx *rx;
	uint32_t frame_max;
};

/* A received chunk becomes a packet for the caller. */
VFC_TEMPLATE void nic_hand_over(struct nic_receiving *receiving,
				const struct vfc_completion *done)
{
	uint64_t length = done->length, chunk = done->cookie;
	struct vfc_packet *packet = receiving->next++;

	packet->length = (uint32_t)length;
	packet->chunk = (uint32_t)chunk;
	receiving->bytes += length;
	packet->data = receiving->va + chunk * VFC_POOL_UNIT;
	packet->iova = receiving->iova + chunk * VFC_POOL_UNIT;
	/* The caller reads the headers of the burst next. Prefetched, the misses overlap. */
	vfc_prefetch(packet->data);
}

/* The chunk of a completion that is no good frame goes back to the pool. */
static inline void nic_drop(struct nic_rx *rx, uint32_t chunk)
{
	vfc_pool_lock(rx->nic->pool);
	nic_put(rx->nic->pool, chunk);
	vfc_pool_unlock(rx->nic->pool);
}

/* Up to @count frames that the sieve finds good. Refills the ring when it is low. */
VFC_TEMPLATE uint32_t nic_receive(struct nic_rx *rx, const struct vfc_ring_layout *layout,
				  const vfc_ring_sieve *sieve, struct vfc_packet *packets,
				  uint32_t count)
{
	const struct vfc_pool *pool = rx->nic->pool;
	struct nic_receiving receiving = {
		.next = packets,
		.va = (uint8_t *)pool->memory.va + VFC_NIC_HEADROOM,
		.iova = pool->memory.iova + VFC_NIC_HEADROOM,
		.rx = rx,
		.frame_max = rx->nic->frame_max,
	};
	uint32_t seen = 0, good = 0, n;

	do { /* dropped frames in a burst do not mean that there are no more good ones */
		n = vfc_ring_reap_some(&rx->ring, layout, count - good, sieve, &receiving);
		seen += n;
		good = seen - receiving.dropped;
	} while (n && good < count);
	if (vfc_ring_space(&rx->ring) >= rx->low)
		rx->nic->driver->rx_refill(rx); /* rarely: a call keeps its registers out of here */
	nic_count(&rx->frames, good);
	nic_count(&rx->bytes, receiving.bytes);
	return good;
}

/* -- sending -- */

struct nic_sending {
	const struct vfc_packet *next;
	const struct vfc_pool *pool;
	uint64_t command;
	uint64_t bytes;
	uint32_t frame_max, limit;
};

/* The next packet becomes a buffer. False: it is not valid, so the burst ends before it. */
VFC_TEMPLATE bool nic_give(void *context, struct vfc_buffer *buffer)
{
	struct nic_sending *sending = (struct nic_sending *)context;
	const struct vfc_packet *packet = sending->next++;
	uint32_t length = packet->length;

	/* A length of 0 wraps and is refused. A foreign chunk would break the pool later. */
	if (length - 1 >= sending->frame_max || packet->chunk >= sending->limit)
		return false;
	sending->bytes += length;
	buffer->length = (uint32_t)length;
	buffer->cookie = packet->chunk;
	buffer->iova = packet->iova;
	buffer->command = sending->command;
	return true;
}

/* packets.c: nothing was sent. The ring is full (0), or the first packet is not valid. */
__attribute__((cold)) int nic_not_sent(const struct vfc_nic *nic, const struct vfc_packet *packets,
				       uint32_t count);

/*
 * Send the packets that are valid and fit, with one doorbell at most.
 * @give: nic_give(), or a driver's function that calls it. @command: bits for every control word.
 */
VFC_TEMPLATE int nic_send_by(struct nic_tx *tx, const struct vfc_ring_layout *layout,
			     vfc_ring_give *give, uint64_t command, uint32_t frame_max,
			     const struct vfc_packet *packets, uint32_t count)
{
	struct nic_sending sending = {.next = packets, .pool = tx->nic->pool, .command = command,
				      .frame_max = frame_max, .limit = tx->nic->pool->limit};
	uint32_t n, space;

	if (vfc_ring_used(&tx->ring) >= tx->low)
		tx->nic->driver->tx_clean(tx); /* rarely: a call keeps its registers out of here */
	space = vfc_ring_space(&tx->ring);
	n = vfc_ring_post_each(&tx->ring, layout, count < space ? count : space, give, &sending);
	vfc_ring_kick(&tx->ring, layout);
	nic_count(&tx->frames, n);
	nic_count(&tx->bytes, sending.bytes);
	return __builtin_expect(n == 0, 0) ? nic_not_sent(tx->nic, packets, count) : (int)n;
}

VFC_TEMPLATE int nic_send(struct nic_tx *tx, const struct vfc_ring_layout *layout,
			  uint64_t command, uint32_t frame_max,
			  const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, layout, nic_give, command, frame_max, packets, count);
}

/* -- after sending -- */

/* A caller that gave chunks twice makes more of them than the pool has, so each one is checked. */
VFC_TEMPLATE void nic_clean_suspect(struct nic_tx *tx, const struct vfc_ring_layout *layout)
{
	uint32_t chunk;

	while (vfc_ring_reclaim(&tx->ring, layout, &chunk, 1))
		nic_put(tx->nic->pool, chunk);
}

/* The chunks of frames that the device has sent go back to the pool. */
VFC_TEMPLATE void nic_clean(struct nic_tx *tx, const struct vfc_ring_layout *layout)
{
	struct vfc_pool *pool = tx->nic->pool;
	uint32_t room;

	vfc_pool_lock(pool);
	room = pool->chunks - pool->free;
	if (__builtin_expect(vfc_ring_used(&tx->ring) <= room, 1))
		pool->free += vfc_ring_reclaim(&tx->ring, layout, pool->stack + pool->free, room);
	else
		nic_clean_suspect(tx, layout);
	vfc_pool_unlock(pool);
}

/*
 * A driver's two burst functions from its templates. A burst of one frame is compiled separately:
 * the loop over many needs registers and tests that would be a third of what one frame costs.
 */
#define NIC_APART __attribute__((noinline))
#define NIC_BURSTS(rx_burst, tx_burst, receive, send)                                              \
	static NIC_APART uint32_t rx_burst##_one(struct nic_rx *rx, struct vfc_packet *packet)     \
	{                                                                                          \
		return receive(rx, packet, 1);                                                     \
	}                                                                                          \
	static NIC_APART uint32_t rx_burst##_many(struct nic_rx *rx, struct vfc_packet *packets,   \
						  uint32_t count)                                  \
	{                                                                                          \
		return receive(rx, packets, count);                                                \
	}                                                                                          \
	static uint32_t rx_burst(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)    \
	{                                                                                          \
		return count == 1 ? rx_burst##_one(rx, packets) :                                  \
				    rx_burst##_many(rx, packets, count);                           \
	}                                                                                          \
	static NIC_APART int tx_burst##_one(struct nic_tx *tx, const struct vfc_packet *packet)    \
	{                                                                                          \
		return send(tx, packet, 1);                                                        \
	}                                                                                          \
	static NIC_APART int tx_burst##_many(struct nic_tx *tx, const struct vfc_packet *packets,  \
					     uint32_t count)                                       \
	{                                                                                          \
		return send(tx, packets, count);                                                   \
	}                                                                                          \
	static int tx_burst(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)   \
	{                                                                                          \
		return count == 1 ? tx_burst##_one(tx, packets) :                                  \
				    tx_burst##_many(tx, packets, count);                           \
	}

#endif
