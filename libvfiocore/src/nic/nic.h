/* SPDX-License-Identifier: MIT */
/*
 * The inside of a network interface: what the common part and the drivers share.
 *
 * A driver is a table of functions; each gets control of the whole device. The hot path is one
 * indirect call a burst, into code that was compiled with the driver's descriptor layout.
 */
#ifndef VFC_NIC_NIC_H
#define VFC_NIC_NIC_H

#include <stdbool.h>

#include <vfiocore/dma.h>
#include <vfiocore/irq.h>
#include <vfiocore/nic.h>
#include <vfiocore/ring.h>

#include "kernel/sys.h"

#define NIC_ROOM 2048 /* bytes for a frame in a chunk, with the usual MTU; drivers tell the device so */
#define NIC_CHUNK (VFC_NIC_HEADROOM + NIC_ROOM)
#define NIC_BURST 32
#define NIC_VLANS 4096

/* Each direction of a queue is one thread's, on cache lines of its own. */
struct nic_rx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low;      /* refill when this many more can be posted */
	uint64_t expected; /* the driver's: what it compares a good completion with */
	bool armed;        /* likewise: a completion raises the interrupt */
	uint64_t frames;
	uint64_t bytes;
	uint64_t errors;
	uint64_t malformed;
	uint64_t arms;
	uint64_t interrupts;
	uint64_t checksum;
	uint64_t refused; /* the driver's: what rx_burst_any() takes for errors */
} __attribute__((aligned(64)));

struct nic_tx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low; /* clean when this many are in flight */
	uint64_t frames;
	uint64_t bytes;
} __attribute__((aligned(64)));

struct nic_vf_driver;

struct nic_driver {
	const char *name;
	uint16_t vendor, device;
	uint32_t queues_max;
	uint32_t frame_max; /* with the usual MTU */
	uint32_t mtu_max;
	uint32_t flags;  /* enum vfc_nic_flags that it knows beyond VFC_NIC_PROMISC */
	uint32_t header; /* bytes that the device reads and writes before each frame */
	const struct vfc_ring_layout *rx_layout, *tx_layout;

	uint32_t (*vectors)(uint32_t queues); /* receive vectors come first, by queue */
	/*
	 * Map the registers, bring the device to rest, read nic->mac. It may lower what was asked for
	 * (entries, frame_max) and put another of its tables into nic->driver.
	 */
	int (*attach)(struct vfc_nic *nic);
	/* NULL, or: release what attach() took, be it incomplete. Again after an error. */
	int (*detach)(struct vfc_nic *nic);
	volatile void *(*rx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	volatile void *(*tx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	/* Tell the device of the rings, which are empty, and let it run; then rx_refill() can be used. */
	int (*start)(struct vfc_nic *nic);
	/* No DMA and no interrupt after this, whatever state the device is in. Cannot fail. */
	void (*stop)(struct vfc_nic *nic);
	void (*link)(struct vfc_nic *nic, struct vfc_nic_link *link);
	int (*set_mac)(struct vfc_nic *nic, const uint8_t mac[6]);
	int (*set_promisc)(struct vfc_nic *nic, bool on);
	/* As nic->vlans says. NULL where VFC_NIC_VLAN_FILTER is none of the flags. */
	void (*set_vlan)(struct vfc_nic *nic, uint32_t vlan);
	void (*read_counters)(struct vfc_nic *nic); /* into nic->missed, nic->wire_errors */
	void (*rx_arm)(struct vfc_nic *nic, uint32_t queue);

	uint32_t (*rx_burst)(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
	/* As vfc_nic_tx_burst(). */
	int (*tx_burst)(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
	/*
	 * NULL, or: for another MTU or VFC_NIC_RX_CHECKSUM; those above then know the usual limits and
	 * errors as constants.
	 */
	uint32_t (*rx_burst_any)(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
	int (*tx_burst_any)(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
	void (*rx_refill)(struct nic_rx *rx);
	void (*tx_clean)(struct nic_tx *tx);
	bool (*rx_ready)(struct nic_rx *rx);
	const struct nic_vf_driver *vfs; /* NULL: it knows of no virtual functions */
};

struct vfc_nic {
	const struct nic_driver *driver;
	struct nic_driver own; /* where that has the functions for other options */
	struct vfc_device *device;
	volatile uint8_t *registers;
	void *state; /* the driver's */
	struct vfc_irq *irq;
	struct nic_rx *rx;
	struct nic_tx *tx;
	void *queue_memory; /* where rx and tx are, unaligned */
	uint32_t queues;
	uint32_t rx_entries, tx_entries;
	uint32_t mtu;       /* as opened; 0: the usual one, or less */
	uint32_t frame_max;
	uint32_t room;  /* bytes of a buffer that the device is given */
	uint32_t flags; /* enum vfc_nic_flags, as opened */
	int64_t spin;   /* ns, as opened */
	uint64_t missed, wire_errors; /* counted by the device, read so far */
	bool promisc, master; /* master: we turned it on */
	uint32_t vlans[NIC_VLANS / 32]; /* a bit each: frames with that tag are received */
	uint8_t mac[6];       /* that frames are received for */
	uint8_t permanent[6]; /* the NVM's */
	struct vfc_pool *pool;    /* shared by all queues, and by other interfaces when the caller says so */
	struct vfc_pool own_pool; /* where it is when nobody does */
};

extern const struct nic_driver nic_e1000e;
extern const struct nic_driver nic_virtio;
extern const struct nic_driver nic_igb;
extern const struct nic_driver nic_igbvf;

/* src/nic/options.c: into the fields of the interface. */
int nic_take_options(struct vfc_nic *nic, const struct vfc_nic_opts *opts);

/* A counter has one writer; vfc_nic_stats() reads it from another thread. */
static inline void nic_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Back into the pool. One that is not from there, or comes twice, must not break its bounds. */
static inline void nic_put(struct vfc_pool *pool, uint32_t chunk)
{
	if (vfc_pool_has(pool, chunk) && pool->free < pool->chunks)
		vfc_pool_put(pool, chunk);
}

/*
 * How many descriptors are cleaned or refilled at a time: seldom enough to be shared by many packets, and
 * soon enough that their memory stays in the cache.
 */
static inline uint32_t nic_low_mark(uint32_t entries)
{
	return entries / 4 < 2 * NIC_BURST ? entries / 4 : 2 * NIC_BURST;
}

/* Post free chunks until the ring is full, and ring the doorbell once. @room: for a frame. */
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

/* Chunks that the caller gave twice would be more than the pool has: each is looked at. */
VFC_TEMPLATE void nic_clean_suspect(struct nic_tx *tx, const struct vfc_ring_layout *layout)
{
	uint32_t chunk;

	while (vfc_ring_reclaim(&tx->ring, layout, &chunk, 1))
		nic_put(tx->nic->pool, chunk);
}

/* Take back what the device has sent. */
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

/* None of @count packets was taken: the ring is full (0), or the first of them is not one. */
__attribute__((cold)) int nic_not_sent(const struct vfc_nic *nic, const struct vfc_packet *packets,
				       uint32_t count);

struct nic_sending {
	const struct vfc_packet *next;
	const struct vfc_pool *pool;
	uint64_t command;
	uint64_t bytes;
	uint32_t frame_max, limit;
};

VFC_TEMPLATE bool nic_give(void *context, struct vfc_buffer *buffer)
{
	struct nic_sending *sending = (struct nic_sending *)context;
	const struct vfc_packet *packet = sending->next++;
	uint32_t length = packet->length;

	/* 0, too. A chunk that is not of the pool would break it when it comes back. */
	if (length - 1 >= sending->frame_max || packet->chunk >= sending->limit)
		return false;
	sending->bytes += length;
	buffer->length = (uint32_t)length;
	buffer->cookie = packet->chunk;
	buffer->iova = packet->iova;
	buffer->command = sending->command;
	return true;
}

/* Send what is valid and fits: one doorbell at most. @give: nic_give(), or one on top of it. */
VFC_TEMPLATE int nic_send_by(struct nic_tx *tx, const struct vfc_ring_layout *layout,
				  vfc_ring_give *give, uint64_t command, uint32_t frame_max,
				  const struct vfc_packet *packets, uint32_t count)
{
	struct nic_sending sending = {.next = packets, .pool = tx->nic->pool, .command = command,
				      .frame_max = frame_max, .limit = tx->nic->pool->limit};
	uint32_t n, space;

	if (vfc_ring_used(&tx->ring) >= tx->low)
		tx->nic->driver->tx_clean(tx); /* seldom: a call keeps its registers out of here */
	space = vfc_ring_space(&tx->ring);
	n = vfc_ring_post_each(&tx->ring, layout, count < space ? count : space, give, &sending);
	vfc_ring_kick(&tx->ring, layout);
	nic_count(&tx->frames, n);
	nic_count(&tx->bytes, sending.bytes);
	return __builtin_expect(n == 0, 0) ? nic_not_sent(tx->nic, packets, count) : (int)n;
}

/* @command: of the control word. */
VFC_TEMPLATE int nic_send(struct nic_tx *tx, const struct vfc_ring_layout *layout,
			  uint64_t command, uint32_t frame_max,
			  const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, layout, nic_give, command, frame_max, packets, count);
}

struct nic_receiving {
	struct vfc_packet *next;
	uint8_t *va;   /* of chunk 0's frame */
	uint64_t iova; /* likewise */
	uint64_t bytes;
	uint32_t dropped; /* that were no good frames */
	struct nic_rx *rx;
	uint32_t frame_max;
};

/* A received chunk as the caller sees it. */
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
	/* The caller reads the headers next, of all of a burst: their cache misses overlap. */
	vfc_prefetch(packet->data);
}

static inline void nic_drop(struct nic_rx *rx, uint32_t chunk)
{
	vfc_pool_lock(rx->nic->pool);
	nic_put(rx->nic->pool, chunk);
	vfc_pool_unlock(rx->nic->pool);
}

/* Up to @count frames, those that the sieve finds good. Refills the ring when it is low. */
VFC_TEMPLATE uint32_t nic_receive(struct nic_rx *rx, const struct vfc_ring_layout *layout,
				  uint64_t command, const vfc_ring_sieve *sieve,
				  struct vfc_packet *packets, uint32_t count)
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

	(void)command;
	do {
		n = vfc_ring_reap_some(&rx->ring, layout, count - good, sieve, &receiving);
		seen += n;
		good = seen - receiving.dropped;
	} while (n && good < count); /* those that were dropped are no reason to say that there are no more */
	if (vfc_ring_space(&rx->ring) >= rx->low)
		rx->nic->driver->rx_refill(rx); /* seldom, as nic_clean() */
	nic_count(&rx->frames, good);
	nic_count(&rx->bytes, receiving.bytes);
	return good;
}

/*
 * A driver's two functions from its templates. One frame at a time is compiled for itself: a loop
 * over many needs registers and tests that are a third of what one frame costs.
 */
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
#define NIC_APART __attribute__((noinline))

/* A point in time, or INT64_MAX: without end. */
static inline int64_t nic_deadline(int64_t timeout)
{
	int64_t now = sys_now();

	return timeout < 0 || timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

#endif
