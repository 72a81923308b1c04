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

#include "../kernel/sys.h"

#define NIC_CHUNK 2048 /* bytes of a buffer; drivers tell the device so */
#define NIC_BURST 32
#define NIC_LENGTH_BITS 11 /* of a frame's length in the cookie of a transmit descriptor */

/* A transmit cookie is the chunk and, for the statistics, the length that was sent. */
#define NIC_COOKIE(chunk, length) ((chunk) << NIC_LENGTH_BITS | (length))
#define NIC_COOKIE_CHUNK(cookie) ((cookie) >> NIC_LENGTH_BITS)
#define NIC_COOKIE_LENGTH(cookie) ((cookie) & ((1u << NIC_LENGTH_BITS) - 1))

/* Each direction of a queue is one thread's, on cache lines of its own. */
struct nic_rx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low;      /* refill when this many more can be posted */
	bool skip;         /* in the middle of a frame that is being dropped */
	uint64_t frames;
	uint64_t bytes;
	uint64_t errors;
	uint64_t malformed;
} __attribute__((aligned(64)));

struct nic_tx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low; /* clean when this many are in flight */
	uint64_t frames;
	uint64_t bytes;
	uint64_t errors;
} __attribute__((aligned(64)));

struct nic_driver {
	const char *name;
	uint16_t vendor, device;
	uint32_t queues_max;
	uint32_t frame_max;
	const struct vfc_ring_layout *rx_layout, *tx_layout;

	uint32_t (*vectors)(uint32_t queues); /* receive vectors come first, by queue */
	/* Map the registers, bring the device to rest, read nic->mac. */
	int (*attach)(struct vfc_nic *nic);
	volatile void *(*rx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	volatile void *(*tx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	/* Tell the device of the rings, which are empty, and let it run; then rx_refill() can be used. */
	int (*start)(struct vfc_nic *nic);
	/* No DMA and no interrupt after this, whatever state the device is in. Cannot fail. */
	void (*stop)(struct vfc_nic *nic);
	void (*link)(struct vfc_nic *nic, struct vfc_nic_link *link);
	void (*set_mac)(struct vfc_nic *nic, const uint8_t mac[6]);
	void (*set_promisc)(struct vfc_nic *nic, bool on);
	void (*read_counters)(struct vfc_nic *nic); /* into nic->missed, nic->wire_errors */
	void (*rx_arm)(struct vfc_nic *nic, uint32_t queue);

	uint32_t (*rx_burst)(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
	uint32_t (*tx_burst)(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
	void (*rx_refill)(struct nic_rx *rx);
	void (*tx_clean)(struct nic_tx *tx);
	bool (*rx_ready)(const struct nic_rx *rx);
};

struct vfc_nic {
	const struct nic_driver *driver;
	struct vfc_device *device;
	volatile uint8_t *registers;
	struct vfc_irq *irq;
	struct nic_rx *rx;
	struct nic_tx *tx;
	void *queue_memory; /* where rx and tx are, unaligned */
	uint32_t queues;
	uint32_t rx_entries, tx_entries;
	uint64_t missed, wire_errors; /* counted by the device, read so far */
	bool promisc, master; /* master: we turned it on */
	uint8_t mac[6];       /* that frames are received for */
	uint8_t permanent[6]; /* the NVM's */
	char pool_lock; /* the pool is shared by all queues; held for one burst's worth of indices */
	struct vfc_pool pool;
};

extern const struct nic_driver nic_e1000e;

/* A spin lock: contention is rare and short, and the hot path makes no system call. */
static inline void nic_lock(struct vfc_nic *nic)
{
	while (__atomic_test_and_set(&nic->pool_lock, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&nic->pool_lock, __ATOMIC_RELAXED))
#if defined(__x86_64__)
			__builtin_ia32_pause();
#else
			;
#endif
}

static inline void nic_unlock(struct vfc_nic *nic)
{
	__atomic_clear(&nic->pool_lock, __ATOMIC_RELEASE);
}

/* A counter has one writer; vfc_nic_stats() reads it from another thread. */
static inline void nic_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Back into the pool. One that is not from there, or comes twice, must not break its bounds. */
static inline void nic_put(struct vfc_nic *nic, uint32_t chunk)
{
	if (chunk < nic->pool.chunks && nic->pool.free < nic->pool.chunks)
		vfc_pool_put(&nic->pool, chunk);
}

/* Post free chunks until the ring is full, and ring the doorbell once. */
static inline void nic_refill(struct nic_rx *rx, const struct vfc_ring_layout *layout)
{
	struct vfc_pool *pool = &rx->nic->pool;
	uint32_t space = vfc_ring_space(&rx->ring);
	int32_t chunk;

	nic_lock(rx->nic);
	while (space-- && (chunk = vfc_pool_get(pool)) >= 0)
		vfc_ring_post(&rx->ring, layout, vfc_pool_iova(pool, (uint32_t)chunk), 0, 0,
			      (uint32_t)chunk);
	nic_unlock(rx->nic);
	vfc_ring_kick(&rx->ring);
}

/* Take back what the device has sent. @errors: bits of the control word that mean failure. */
static inline void nic_clean(struct nic_tx *tx, const struct vfc_ring_layout *layout,
			     uint64_t errors)
{
	struct vfc_completion done[NIC_BURST];
	uint32_t n;

	do {
		uint64_t bytes = 0, bad = 0;

		n = vfc_ring_reap(&tx->ring, layout, done, NIC_BURST);
		if (!n)
			return;
		nic_lock(tx->nic);
		for (uint32_t i = 0; i < n; i++) {
			nic_put(tx->nic, NIC_COOKIE_CHUNK(done[i].cookie));
			bytes += NIC_COOKIE_LENGTH(done[i].cookie);
			bad += (done[i].control & errors) != 0;
		}
		nic_unlock(tx->nic);
		nic_count(&tx->frames, n);
		nic_count(&tx->bytes, bytes);
		nic_count(&tx->errors, bad);
	} while (n == NIC_BURST);
}

/* Send what is valid and fits: one doorbell at most. @command: of the control word. */
static inline uint32_t nic_send(struct nic_tx *tx, const struct vfc_ring_layout *layout,
				uint64_t command, uint32_t frame_max,
				const struct vfc_packet *packets, uint32_t count)
{
	uint32_t space = vfc_ring_space(&tx->ring), n;

	if (count > space)
		count = space;
	for (n = 0; n < count; n++) {
		const struct vfc_packet *packet = &packets[n];

		if (packet->length - 1 >= frame_max) /* 0, too */
			break;
		vfc_ring_post(&tx->ring, layout, packet->iova, packet->length, command,
			      NIC_COOKIE(packet->chunk, packet->length));
	}
	vfc_ring_kick(&tx->ring);
	return n;
}

/* A received chunk as the caller sees it. */
static inline void nic_hand_over(struct nic_rx *rx, struct vfc_packet *packet,
				 const struct vfc_completion *done)
{
	const struct vfc_pool *pool = &rx->nic->pool;

	packet->data = vfc_pool_va(pool, done->cookie);
	packet->iova = vfc_pool_iova(pool, done->cookie);
	packet->length = done->length;
	packet->chunk = done->cookie;
}

static inline void nic_drop(struct nic_rx *rx, uint32_t chunk)
{
	nic_lock(rx->nic);
	nic_put(rx->nic, chunk);
	nic_unlock(rx->nic);
}

/* A point in time, or INT64_MAX: without end. */
static inline int64_t nic_deadline(int64_t timeout)
{
	int64_t now = sys_now();

	return timeout < 0 || timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

#endif
