/* SPDX-License-Identifier: MIT */
/*
 * Network interfaces on the ring engine. One interface for all drivers:
 *   e1000e      Intel 82574L: 2 queues
 *   igb         Intel 82576: 8 queues; 1 when it has virtual functions, see nic_vf.h
 *   igbvf       its virtual functions: 1 queue
 *   virtio-net  virtio 1.x over PCI, behind an IOMMU
 *
 * Threads: one per queue and direction, beside one for everything else. A frame is an Ethernet
 * frame from destination address to payload's end, without FCS.
 */
#ifndef VFIOCORE_NIC_H
#define VFIOCORE_NIC_H

#include "abi.h"
#include "device.h"
#include "dma.h"
#include "irq.h"

struct vfc_nic;

enum vfc_nic_flags {
	VFC_NIC_PROMISC = 1 << 0, /* receive frames for any address from the start */
	/* The others are refused where the device has none of it: -EOPNOTSUPP. */
	VFC_NIC_PACKED = 1 << 1,      /* virtio-net: packed rings */
	VFC_NIC_RX_CHECKSUM = 1 << 2, /* Intel: the device looks at the checksums of IPv4, TCP and UDP;
					 frames in which it found a wrong one are dropped, and counted in
					 rx_checksum */
	VFC_NIC_VLAN_FILTER = 1 << 3, /* Intel: frames with a VLAN tag only as vfc_nic_vlan() says */
};

struct vfc_nic_opts {
	uint32_t size;       /* sizeof(struct vfc_nic_opts) */
	uint32_t flags;      /* enum vfc_nic_flags */
	uint32_t queues;     /* of each direction; 0: 1. More than one: received frames are spread by RSS */
	uint32_t rx_entries; /* descriptors per queue, a power of two; 0: 256; virtio-net: or as many as
				the device has, see vfc_nic_info() */
	uint32_t tx_entries; /* likewise */
	uint32_t mtu; /* bytes behind the header that a frame may have, 68 to what the device can; 0: 1500;
			 virtio-net: or as the device says, when that is less */
	struct vfc_pool *pool; /* buffers to use, of vfc_nic_pool_init(); NULL: a pool of its own */
	uint64_t spin; /* ns that vfc_nic_rx_wait() and vfc_nic_rx_arm() look for a frame before they let
			  the interrupt through, up to 1 s: under load there is none; 0: at once */
};

struct vfc_nic_info {
	uint32_t size; /* in: sizeof(struct vfc_nic_info) */
	uint32_t queues;
	uint32_t rx_entries;
	uint32_t tx_entries;
	uint32_t frame_max; /* longest frame sent or received, bytes without FCS: MTU + VFC_NIC_HEADER */
	uint8_t mac[6];
	uint8_t reserved[2];
	char driver[16];
};

struct vfc_nic_link {
	uint32_t size;        /* in: sizeof(struct vfc_nic_link) */
	uint32_t up;          /* 1 or 0 */
	uint32_t speed;       /* Mbit/s; 0 when down or not told */
	uint32_t full_duplex; /* 1; 0: no, or not told */
};

struct vfc_nic_stats {
	uint32_t size; /* in: sizeof(struct vfc_nic_stats) */
	uint32_t reserved;
	uint64_t rx_frames; /* handed to the caller */
	uint64_t rx_bytes;
	uint64_t tx_frames; /* taken from the caller: vfc_nic_drain() waits until they are sent */
	uint64_t tx_bytes;
	uint64_t rx_errors;    /* bad (CRC, symbol, sequence), or longer than frame_max */
	uint64_t rx_missed;    /* the device had no buffer */
	uint64_t rx_malformed; /* the device's completion was impossible: dropped */
	uint64_t tx_errors;    /* completed with an error */
	uint64_t rx_doorbells;
	uint64_t tx_doorbells;
	uint64_t rx_arms;       /* how often the interrupt was let through: no frame was there */
	uint64_t rx_interrupts; /* that a waiting call took note of */
	uint64_t rx_checksum;   /* dropped for a wrong one: VFC_NIC_RX_CHECKSUM */
};

/*
 * Bytes before each frame in its chunk: for headers of the device, or of the caller. virtio-net
 * takes 12 bytes before each frame that it sends.
 */
#define VFC_NIC_HEADROOM 64

#define VFC_NIC_HEADER 18 /* bytes of an Ethernet header with a VLAN tag */

struct vfc_packet {
	void *data;
	uint64_t iova;   /* of data: what the device is given */
	uint32_t length; /* bytes of the frame */
	uint32_t chunk;  /* the pool's index; leave it alone */
};

VFC_BEGIN_DECLS

/*
 * vfc_nic_chunk() - how long a pool's chunks have to be for that MTU: for vfc_pool_init(). Chunks
 * for more than 4,000 bytes lie in huge pages where there are such. 0: no interface has such an
 * MTU.
 */
VFC_INLINE uint32_t vfc_nic_chunk(uint32_t mtu)
{
	uint32_t room = (mtu + VFC_NIC_HEADER + 1023) & ~UINT32_C(1023);

	if (mtu > 65535 - VFC_NIC_HEADER)
		return 0;
	return VFC_NIC_HEADROOM + (room < 2048 ? 2048 : room);
}

/*
 * vfc_nic_pool_init() - @chunks buffers for the network interfaces of one address space, with the
 * usual MTU; for others: vfc_pool_init() with vfc_nic_chunk().
 * Interfaces that share a pool (opts->pool) can send what another one received without copying. A
 * pool outlives its interfaces; vfc_pool_destroy() ends it. Each queue holds rx_entries +
 * tx_entries chunks at most, the callers' hands the rest. Errors: those of vfc_pool_init().
 */
VFC_API int vfc_nic_pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunks);

/*
 * vfc_nic_pool_free() - give packets back to their pool, as vfc_nic_free() does: for those that
 * outlive the interface that received them. Thread-safe.
 */
VFC_API void vfc_nic_pool_free(struct vfc_pool *pool, const struct vfc_packet *packets,
			       uint32_t count);

/*
 * vfc_nic_pool() - where its packets are from: opts->pool, or its own, which ends with it.
 * Thread-safe.
 */
VFC_API struct vfc_pool *vfc_nic_pool(struct vfc_nic *nic);

/*
 * vfc_nic_open() - take a device that a driver here knows into service.
 * Resets it, turns bus mastering on, arms MSI-X, fills the receive rings and starts.
 * Errors: -EOPNOTSUPP (no driver for this device, or it has not what a flag asks for), -EINVAL
 * (options), -EBUSY (a NIC or an interrupt set of the device is open; they notice nothing), those
 * of the steps.
 */
VFC_API int vfc_nic_open(struct vfc_device *device, const struct vfc_nic_opts *opts,
			 struct vfc_nic **nic);

/*
 * vfc_nic_close() - stop the device and free everything. Packets that the caller still holds become
 * invalid, unless the pool is shared (opts->pool). Chunks that were in the rings go back to such a
 * pool.
 * Errors: -ECHILD (in a child of fork(): nothing is done). After any other error the kernel has
 * kept some memory mapped, and all that is left to do is to close again.
 */
VFC_API int vfc_nic_close(struct vfc_nic *nic);

VFC_API int vfc_nic_info(struct vfc_nic *nic, struct vfc_nic_info *info);

/*
 * vfc_nic_link() - the state of the link now. Errors: -EINVAL (@link->size).
 * vfc_nic_wait_link() - wait until the link is up. @timeout: ns. Errors: -ETIMEDOUT, -EINTR.
 */
VFC_API int vfc_nic_link(struct vfc_nic *nic, struct vfc_nic_link *link);
VFC_API int vfc_nic_wait_link(struct vfc_nic *nic, int64_t timeout);

/*
 * vfc_nic_set_mac() - receive for this unicast address from now on, until a reset.
 * Errors: -EINVAL (not unicast). Of virtio-net also -EOPNOTSUPP (the device cannot change it),
 * -ETIMEDOUT (it does not answer), -EIO (it refuses).
 */
VFC_API int vfc_nic_set_mac(struct vfc_nic *nic, const uint8_t mac[6]);

/*
 * vfc_nic_promisc() - receive every frame, or those for our address, broadcast and multicast, of
 * which every group is taken: there is no list of them.
 * Errors: of virtio-net, as vfc_nic_set_mac().
 */
VFC_API int vfc_nic_promisc(struct vfc_nic *nic, bool on);

/*
 * vfc_nic_vlan() - receive frames whose tag (0x8100) has the id @vlan (0 to 4095), or no longer.
 * With VFC_NIC_VLAN_FILTER only frames of these VLANs are received, also by a promiscuous
 * interface, and at first of none. Id 0, a tag with a priority alone, counts as a VLAN. Frames
 * without a tag are always received. The tag stays in the frame.
 * Virtual functions have no such filter, and an igb with virtual functions has none either. If some
 * are made later, the next vfc_nic_reset() fails and says so.
 * Errors: -EINVAL: without that flag, or the id.
 */
VFC_API int vfc_nic_vlan(struct vfc_nic *nic, uint32_t vlan, bool on);

VFC_API int vfc_nic_stats(struct vfc_nic *nic, struct vfc_nic_stats *stats);

/*
 * vfc_nic_reset() - function reset and start afresh, under traffic too.
 * Frames in flight are lost. Packets that the caller holds stay valid. Counters go on, and
 * promiscuous mode and VLANs stay as they were. No other thread may be in a call on this NIC
 * meanwhile. After an error the device does nothing, and frames in flight are lost as well: reset
 * again, or close.
 */
VFC_API int vfc_nic_reset(struct vfc_nic *nic);

/*
 * vfc_nic_rx_burst() - take received frames, without copying.
 * Nothing is told beside the frame. The caller verifies checksums (VFC_NIC_RX_CHECKSUM only keeps
 * some wrong ones away). A VLAN tag is where it was on the wire. For a timestamp, read the clock
 * once a burst.
 * Return: how many of @count; 0 when there are none. The caller gives each back by
 * vfc_nic_free() or by sending it. -EINVAL: no such queue.
 */
VFC_API int vfc_nic_rx_burst(struct vfc_nic *nic, uint32_t queue, struct vfc_packet *packets,
			     uint32_t count);

/*
 * vfc_nic_tx_burst() - send packets from vfc_nic_alloc() or vfc_nic_rx_burst().
 * Return: how many of @count were taken (from the first on); those belong to the NIC now. Fewer
 * when the ring is full. At most one doorbell. -EINVAL: no such queue, or a length of 0 or over
 * frame_max, or a chunk that does not lie in the pool (vfc_pool_has()), in the first packet.
 */
VFC_API int vfc_nic_tx_burst(struct vfc_nic *nic, uint32_t queue, struct vfc_packet *packets,
			     uint32_t count);

/*
 * vfc_nic_alloc() - empty packets to be filled. Return: how many: fewer than @count when the pool
 * has no more. vfc_nic_free() - give back. Thread-safe.
 */
VFC_API int vfc_nic_alloc(struct vfc_nic *nic, struct vfc_packet *packets, uint32_t count);
VFC_API void vfc_nic_free(struct vfc_nic *nic, const struct vfc_packet *packets, uint32_t count);

/*
 * vfc_nic_alloc_copies() - as vfc_nic_alloc(), each a copy of one frame of @length bytes.
 * Thread-safe.
 * Errors: -EINVAL: 0, or over frame_max; then none was taken.
 */
VFC_API int vfc_nic_alloc_copies(struct vfc_nic *nic, struct vfc_packet *packets, uint32_t count,
				 const void *frame, uint32_t length);

/*
 * vfc_nic_send() - copy one frame into queue 0 and send it. -EAGAIN: the ring is full.
 * vfc_nic_recv() - copy one frame out of queue 0.
 * Return of recv: the frame's length, 0 when there is none; -EMSGSIZE: @size is too small for it,
 * the frame is dropped.
 */
VFC_API int vfc_nic_send(struct vfc_nic *nic, const void *frame, uint32_t length);
VFC_API int vfc_nic_recv(struct vfc_nic *nic, void *frame, uint32_t size);

/*
 * vfc_nic_drain() - wait until the device has sent all that was given to it on @queue.
 * Errors: -ETIMEDOUT.
 */
VFC_API int vfc_nic_drain(struct vfc_nic *nic, uint32_t queue, int64_t timeout);

/*
 * vfc_nic_rx_wait() - wait until a frame can be received on @queue.
 * Looks at the ring for opts->spin, arms the interrupt, looks again, then sleeps: no frame is
 * missed.
 * @timeout: as vfc_irq_wait(). Errors: -ETIMEDOUT, -EINTR.
 */
VFC_API int vfc_nic_rx_wait(struct vfc_nic *nic, uint32_t queue, int64_t timeout);

/*
 * For an event loop: vfc_nic_rx_fd() is the eventfd of a queue's receive interrupt, owned by the
 * NIC. vfc_nic_rx_arm() looks at the ring for opts->spin, empties it, lets the next frame raise it
 * and returns 1 when a frame is waiting already (do not sleep then, whatever the eventfd says),
 * else 0.
 */
VFC_API int vfc_nic_rx_fd(struct vfc_nic *nic, uint32_t queue);
VFC_API int vfc_nic_rx_arm(struct vfc_nic *nic, uint32_t queue);

VFC_END_DECLS
#endif
