/* SPDX-License-Identifier: MIT */
/*
 * The object behind struct vfc_nic, which the common part and the drivers share. driver.h is the
 * contract between them, burst.h the hot path.
 */
#ifndef VFC_NIC_NIC_H
#define VFC_NIC_NIC_H

#include <stdbool.h>

#include <vfiocore/dma.h>
#include <vfiocore/irq.h>
#include <vfiocore/nic.h>
#include <vfiocore/ring.h>

#include "kernel/sys.h"
#include "nic/driver.h"

#define NIC_ROOM 2048 /* bytes for a frame in a chunk at the usual MTU, which the device is told */
#define NIC_CHUNK (VFC_NIC_HEADROOM + NIC_ROOM)
#define NIC_BURST 32
#define NIC_VLANS 4096

/* Each direction of a queue belongs to one thread and stands on cache lines of its own. */
struct nic_rx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low;      /* refill the ring once it has room for so many buffers */
	uint64_t expected; /* for the driver: the bits that a good completion has */
	bool armed;        /* for the driver: a completion raises the interrupt */
	uint64_t frames;
	uint64_t bytes;
	uint64_t errors;
	uint64_t malformed;
	uint64_t arms;
	uint64_t interrupts;
	uint64_t checksum;
	uint64_t refused; /* for the driver: the error bits that rx_burst_any() looks at */
} __attribute__((aligned(64)));

struct nic_tx {
	struct vfc_ring ring;
	struct vfc_nic *nic;
	uint32_t low; /* clean the ring once it holds so many frames */
	uint64_t frames;
	uint64_t bytes;
} __attribute__((aligned(64)));

struct vfc_nic {
	const struct nic_driver *driver;
	struct nic_driver own; /* a copy of the table, where the bursts are not the usual ones */
	struct vfc_device *device;
	volatile uint8_t *registers;
	void *state; /* the driver's own */
	struct vfc_irq *irq;
	struct nic_rx *rx;
	struct nic_tx *tx;
	void *queue_memory; /* what was allocated for @rx and @tx, which are aligned in it */
	uint32_t queues;
	uint32_t rx_entries, tx_entries;
	uint32_t mtu; /* as opened; 0: the usual one, or less where the device has less */
	uint32_t frame_max;
	uint32_t room;  /* bytes of a buffer that the device may fill */
	uint32_t flags; /* enum vfc_nic_flags, as opened */
	int64_t spin;   /* ns, as opened */
	uint64_t missed, wire_errors; /* what the device counted, as far as it was read */
	bool promisc;
	bool master; /* we turned bus mastering on */
	uint32_t vlans[NIC_VLANS / 32]; /* a bit for each VLAN whose frames are received */
	uint8_t mac[6];       /* the address that frames are received for */
	uint8_t permanent[6]; /* the address that the NVM gives */
	struct vfc_pool *pool;    /* for all queues, and other interfaces where it is shared */
	struct vfc_pool own_pool; /* what @pool points to where the caller gave none */
};

/* options.c: check the options and put them into the fields of the interface. */
int nic_take_options(struct vfc_nic *nic, const struct vfc_nic_opts *opts);

/* Only one thread adds to a counter, but vfc_nic_stats() may read it from another one. */
static inline void nic_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Back into the pool. A chunk that is not the pool's, or comes twice, must not break its bounds. */
static inline void nic_put(struct vfc_pool *pool, uint32_t chunk)
{
	if (vfc_pool_has(pool, chunk) && pool->free < pool->chunks)
		vfc_pool_put(pool, chunk);
}

/*
 * How many descriptors are cleaned or refilled at a time. With many, the cost is shared by many
 * packets; with few, the memory of their buffers is still in the cache.
 */
static inline uint32_t nic_low_mark(uint32_t entries)
{
	return entries / 4 < 2 * NIC_BURST ? entries / 4 : 2 * NIC_BURST;
}

#endif
