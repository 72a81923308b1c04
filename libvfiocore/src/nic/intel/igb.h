/* SPDX-License-Identifier: MIT */
/*
 * What the drivers of the Intel 82576's functions share: its queues (igb.c), and the mailbox
 * between the physical function (igb_vfs.c) and its virtual ones (igbvf.c). Source: Intel 82576EB
 * Gigabit Ethernet Controller Datasheet; sections are of that.
 */
#ifndef VFC_NIC_IGB_H
#define VFC_NIC_IGB_H

#include "hw/igbvf.h"
#include "nic/intel/intel.h"

/* -- igb.c: the queues, which are the same for both kinds of function -- */

extern const struct vfc_ring_layout igb_tx_layout;

/* Tell the device of a queue's ring, and turn the queue on. @at: the first of its registers. */
void igb_start_rx(struct nic_rx *rx, uint32_t at);
void igb_start_tx(struct nic_tx *tx, uint32_t at);

/* Vector q is for queue q, and its message masks it again. All vectors are masked at first. */
void igb_start_interrupts(struct vfc_nic *nic);
void igb_rx_arm(struct vfc_nic *nic, uint32_t queue);

uint32_t igb_rx_burst(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
int igb_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
int igb_tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
void igb_tx_clean(struct nic_tx *tx);

/* What the tables of both kinds of function have in common, beside INTEL_DRIVER. */
#define IGB_DRIVER                            \
	INTEL_DRIVER,                         \
	.tx_layout = &igb_tx_layout,          \
	.rx_arm = igb_rx_arm,                 \
	.rx_burst = igb_rx_burst,             \
	.tx_burst = igb_tx_burst,             \
	.tx_burst_any = igb_tx_burst_any,     \
	.tx_clean = igb_tx_clean

/*
 * -- the mailbox --
 *
 * The device carries 16 words each way (section 7.10.2.9). What they mean is agreed between
 * drivers: the first word has a type, its details, and in an answer what became of the request.
 * Source: Linux drivers/net/ethernet/intel/igb/e1000_mbx.h.
 */
#define MAIL_TYPE 0xffffu
#define MAIL_INFO(n) ((uint32_t)(n) << 16)
#define MAIL_INFO_OF(word) ((word) >> 16 & 0xff)
#define MAIL_CTS E1000E_BIT(29) /* no reset of the physical function since MAIL_RESET */
#define MAIL_NACK E1000E_BIT(30)
#define MAIL_ACK E1000E_BIT(31)

enum mail {
	MAIL_RESET = 1,     /* the function was reset; the answer has its address in two words */
	MAIL_SET_MAC = 2,   /* two words of address; info: 1 to remove, 2 to add further ones */
	MAIL_MULTICAST = 3, /* info: how many hashes of 16 bits follow */
	MAIL_VLAN = 4,      /* info: 1 to add, 0 to remove; a word with the tag */
	MAIL_LENGTH = 5,    /* a word: bytes of the longest frame, with FCS */
	MAIL_PROMISC = 6,   /* info: 1 unicast, 2 multicast */
	MAIL_TYPES,
};

#define MAIL_MAC_REMOVE 1
#define MAIL_PROMISC_UNICAST 1
#define MAIL_PROMISC_MULTICAST 2
#define MAIL_HASHES 30

/* -- igbvf.c: the state of a virtual function, and its half of the mailbox -- */

struct igbvf {
	uint32_t kept; /* bits of the mailbox that were cleared by a read and not asked for yet */
	bool running;  /* the receive queue was started */
	bool lost;     /* the physical function was reset after igbvf_meet() */
};

/* Was the physical function reset since igbvf_meet()? Then nothing is sent or received any more. */
bool igbvf_lost(struct vfc_nic *nic);

/*
 * Wait until the physical function is out of reset and tell it that this one was reset. Return: 1
 * and the address to use in @mac, or 0: we may choose one. Errors: -ETIMEDOUT (nobody answers),
 * -EIO, -ENODEV.
 */
int igbvf_meet(struct vfc_nic *nic, uint8_t mac[6]);

/*
 * Send @words of @message and wait for the answer, which is put in their place. Return: 1 granted,
 * 0 refused. Errors: -ETIMEDOUT, -ENODEV, -EIO (the physical function was reset: igbvf_meet() comes
 * first).
 */
int igbvf_ask(struct vfc_nic *nic, uint32_t *message, uint32_t words);

/* -- igb_vfs.c: the virtual functions, as their physical one has them -- */

#define IGB_VFS (IGB_POOLS - 1) /* the last pool is for the physical function */

struct igb_vf {
	uint8_t granted[6]; /* the address that it is told at its reset */
	uint8_t mac[6];     /* the address that it uses; its own choice while @given is false */
	bool given;         /* @granted is from vfc_nic_vf_set_mac(), and it may use no other */
	bool active;
	uint64_t answers, refusals;
};

/* nic->state of a physical function. Its own queues are those of pool @count. */
struct igb_vfs {
	uint32_t count;
	struct igb_vf vf[IGB_VFS];
};

extern const struct nic_vf_driver igb_vf_driver;

/* The first queue of the physical function's own. */
static inline uint32_t igb_pool(const struct vfc_nic *nic)
{
	return ((const struct igb_vfs *)nic->state)->count;
}

int igb_vfs_attach(struct vfc_nic *nic);
int igb_vfs_detach(struct vfc_nic *nic);

/*
 * Count the virtual functions there are now. Errors: -EOPNOTSUPP (no pool is left for us, or VLANs
 * are filtered), -EINVAL (we have more than one queue).
 */
int igb_vfs_find(struct vfc_nic *nic);

/*
 * Divide the device into pools, before the receiver is turned on; tell the virtual functions that
 * they may begin, at the end of start(); follow nic->promisc. With no virtual function these do
 * nothing.
 */
void igb_vfs_divide(struct vfc_nic *nic);
void igb_vfs_welcome(struct vfc_nic *nic);
void igb_vfs_promisc(struct vfc_nic *nic, bool on);

#endif
