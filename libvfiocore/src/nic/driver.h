/* SPDX-License-Identifier: MIT */
/*
 * The contract of a network driver. A driver is a table of functions (struct nic_driver), and this
 * is everything that the common part (nic.c, packets.c, vf.c) knows of it. To add a driver, fill in
 * a table and name it at the end of this file and in nic.c.
 *
 * The common part calls the table in this order:
 *
 *   attach     once, with the options in the fields of the interface
 *   vectors, rx_doorbell, tx_doorbell
 *              once the rings are to be allocated; the device is at rest
 *   start      bus mastering is on, MSI-X is armed and all rings are empty
 *   rx_refill  for each queue; from here on the other functions may be called
 *   stop       before a reset, which goes on with start, and before the memory goes
 *   detach     last, and again where releasing something failed
 *
 * rx_burst, rx_refill, rx_ready and rx_arm are called by one thread for each queue, tx_burst and
 * tx_clean by another one. All other functions are called by one thread at a time. Registers are
 * mapped, so an access is one instruction and cannot fail. A device that is gone reads as all ones,
 * which a driver must expect from every read. Failures leave a record (vfc_fail()).
 */
#ifndef VFC_NIC_DRIVER_H
#define VFC_NIC_DRIVER_H

#include <stdbool.h>

#include <vfiocore/nic.h>
#include <vfiocore/nic_vf.h>
#include <vfiocore/ring.h>

struct nic_rx;
struct nic_tx;

/* What the driver of a physical function does for its virtual functions, see vfiocore/nic_vf.h. */
struct nic_vf_driver {
	/*
	 * How many there were when the device was started. 0: the functions below are not called.
	 */
	uint32_t (*count)(const struct vfc_nic *nic);
	/* The vector that a message from one of them raises. */
	uint32_t (*vector)(const struct vfc_nic *nic);
	/* Let the vector fire again, then answer what has come. Return: how many messages. */
	int (*serve)(struct vfc_nic *nic);
	void (*info)(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info);
	int (*set_mac)(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6]);
};

struct nic_driver {
	const char *name;
	uint16_t vendor, device; /* the ids in config space */
	uint32_t queues_max;
	uint32_t frame_max; /* bytes of a frame without FCS at the usual MTU */
	uint32_t mtu_max;
	uint32_t flags;  /* enum vfc_nic_flags that it supports beside VFC_NIC_PROMISC */
	uint32_t header; /* bytes that the device reads and writes before each frame */
	const struct vfc_ring_layout *rx_layout, *tx_layout;

	/* How many MSI-X vectors are armed. Vector q is for the frames that queue q receives. */
	uint32_t (*vectors)(uint32_t queues);
	/*
	 * Map the registers, bring the device to rest and read nic->mac. A driver may lower what
	 * was asked for (nic->rx_entries, tx_entries, frame_max), and may put another of its tables
	 * into nic->driver.
	 */
	int (*attach)(struct vfc_nic *nic);
	/*
	 * NULL, or release what attach() took. It is also called after an attach() that failed
	 * halfway, and again after a detach() that failed.
	 */
	int (*detach)(struct vfc_nic *nic);
	/* The register that tells the device of new descriptors. Valid from attach() on. */
	volatile void *(*rx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	volatile void *(*tx_doorbell)(struct vfc_nic *nic, uint32_t queue);
	/* Tell the device where its rings are and let it run. They are empty until rx_refill(). */
	int (*start)(struct vfc_nic *nic);
	/*
	 * From whatever state: when this returns, the device does no DMA and raises no interrupt.
	 * It cannot fail, as nobody could do anything about it; of a device that is gone it waits
	 * for nothing.
	 */
	void (*stop)(struct vfc_nic *nic);
	void (*link)(struct vfc_nic *nic, struct vfc_nic_link *link);
	/* Receive frames for @mac from now on. nic->mac is the caller's to change. */
	int (*set_mac)(struct vfc_nic *nic, const uint8_t mac[6]);
	int (*set_promisc)(struct vfc_nic *nic, bool on);
	/* nic->vlans has changed for @vlan. NULL where @flags lacks VFC_NIC_VLAN_FILTER. */
	void (*set_vlan)(struct vfc_nic *nic, uint32_t vlan);
	/* Add what the device counted since the last time to nic->missed and nic->wire_errors. */
	void (*read_counters)(struct vfc_nic *nic);
	/*
	 * Let the next frame raise the queue's interrupt. When this returns, the device knows: a
	 * frame that the caller does not find in the ring afterwards will raise it.
	 */
	void (*rx_arm)(struct vfc_nic *nic, uint32_t queue);

	/* The hot path (burst.h), as vfc_nic_rx_burst() and vfc_nic_tx_burst(). */
	uint32_t (*rx_burst)(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
	int (*tx_burst)(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
	/*
	 * NULL, or the same for another MTU and for VFC_NIC_RX_CHECKSUM. Where a driver has these
	 * two, the two above know the usual limits and error bits as constants.
	 */
	uint32_t (*rx_burst_any)(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
	int (*tx_burst_any)(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
	/* Give the device all the buffers that the ring and the pool have room for. */
	void (*rx_refill)(struct nic_rx *rx);
	/* Give the buffers of frames that were sent back to the pool. */
	void (*tx_clean)(struct nic_tx *tx);
	/* Would rx_burst() find a completion? It may be one that is dropped. */
	bool (*rx_ready)(struct nic_rx *rx);
	const struct nic_vf_driver *vfs; /* NULL: it has no virtual functions */
};

extern const struct nic_driver nic_e1000e;
extern const struct nic_driver nic_virtio;
extern const struct nic_driver nic_igb;
extern const struct nic_driver nic_igbvf;

/* vf.c: a station address that anybody may choose (IEEE 802: the local bit is set), at random. */
int nic_random_mac(uint8_t mac[6]);

#endif
