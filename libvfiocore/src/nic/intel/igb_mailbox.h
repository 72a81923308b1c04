/* SPDX-License-Identifier: MIT */
/*
 * The mailbox between an 82576's virtual functions and its physical one: the messages, and a virtual
 * function's half. The device carries 16 words each way (section 7.10.2.9); what they mean is settled
 * between drivers: Linux drivers/net/ethernet/intel/igb/e1000_mbx.h.
 */
#ifndef VFC_NIC_IGB_MAILBOX_H
#define VFC_NIC_IGB_MAILBOX_H

#include "hw/igbvf.h"
#include "nic/intel/intel.h"

/* The first word: type, its details, and of an answer what became of it. */
#define MAIL_TYPE 0xffffu
#define MAIL_INFO(n) ((uint32_t)(n) << 16)
#define MAIL_INFO_OF(word) ((word) >> 16 & 0xff)
#define MAIL_CTS E1000E_BIT(29) /* still met: no reset of the physical function in between */
#define MAIL_NACK E1000E_BIT(30)
#define MAIL_ACK E1000E_BIT(31)

enum mail {
	MAIL_RESET = 1,     /* the function was reset; answered with its address */
	MAIL_SET_MAC = 2,   /* two words of address; info: 1 remove, 2 add further ones */
	MAIL_MULTICAST = 3, /* info: how many hashes of 16 bits */
	MAIL_VLAN = 4,      /* info: add; a word with the tag */
	MAIL_LENGTH = 5,    /* a word: the longest frame, with FCS */
	MAIL_PROMISC = 6,   /* info: 1 unicast, 2 multicast */
	MAIL_TYPES,
};

#define MAIL_MAC_REMOVE 1
#define MAIL_PROMISC_UNICAST 1
#define MAIL_PROMISC_MULTICAST 2
#define MAIL_HASHES 30

/* nic->state of a virtual function. */
struct igbvf {
	uint32_t kept; /* bits of the mailbox that reading has cleared */
	bool running;  /* the receive queue was started */
	bool lost;     /* the physical function was reset since we met it */
};

/* The physical function was reset since igbvf_meet(): nothing is sent or received any more. */
bool igbvf_lost(struct vfc_nic *nic);

/*
 * Say that the function was reset, once the physical one is not. Return: 1 and its address in @mac,
 * 0: it may choose one. Errors: -ETIMEDOUT (nobody answers), -EIO.
 */
int igbvf_meet(struct vfc_nic *nic, uint8_t mac[6]);

/*
 * Send @words of @message and wait for the answer, which takes their place. Return: 1 granted, 0
 * refused. Errors: -ETIMEDOUT, -EIO (the physical function was reset: igbvf_meet() comes first).
 */
int igbvf_ask(struct vfc_nic *nic, uint32_t *message, uint32_t words);

#endif
