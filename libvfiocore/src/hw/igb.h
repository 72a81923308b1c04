/* SPDX-License-Identifier: MIT */
/*
 * Registers and descriptors of the Intel 82576 that the driver uses. Those that the 82574 has in
 * the same place are in e1000e.h, under its names. Source: Intel 82576EB Gigabit Ethernet
 * Controller Datasheet, chapter 8 (registers), sections 7.1.5 (receive descriptors), 7.2.2
 * (transmit descriptors).
 */
#ifndef VFC_HW_IGB_H
#define VFC_HW_IGB_H

#include "hw/e1000e.h"

#define IGB_VENDOR 0x8086
#define IGB_DEVICE 0x10c9
#define IGB_REGISTERS 0x20000 /* bytes of BAR 0 */
#define IGB_QUEUES 8         /* the device has 16 queues, but only 10 vectors */
#define IGB_VECTORS 25       /* together with those of its virtual functions */

/* Section 8.2. */
#define IGB_MDIC_PHY 1
#define IGB_PHY_CONTROL 0 /* IEEE 802.3, clause 22.2.4.1 */
#define IGB_PHY_RESTART E1000E_BIT(9)
#define IGB_PHY_NEGOTIATE E1000E_BIT(12)

/* Section 8.8, interrupts. */
#define IGB_GPIE 0x01514
#define IGB_GPIE_MSIX E1000E_BIT(4)  /* a vector for each cause */
#define IGB_GPIE_EIAME E1000E_BIT(30) /* a message masks the vectors in EIAM */
#define IGB_GPIE_PBA E1000E_BIT(31)
#define IGB_EIMS 0x01524
#define IGB_EIMC 0x01528
#define IGB_EIAC 0x0152c
#define IGB_EIAM 0x01530
#define IGB_EICR 0x01580
#define IGB_EITR(n) (0x01680 + 4 * (uint32_t)(n))
/* A byte each for receive and transmit of queue n, then of queue n + 8: vector, valid bit. */
#define IGB_IVAR(n) (0x01700 + 4 * (uint32_t)(n))
#define IGB_IVAR_MISC 0x01740 /* the TCP timer; other causes */
#define IGB_IVAR_OTHER_SHIFT 8
#define IGB_IVAR_VALID 0x80u

/* Sections 8.10 and 8.12: a queue's registers. Those of the 82574 have the same offsets here. */
#define IGB_RX(q) (0x0c000 + 0x40 * (uint32_t)(q))
#define IGB_TX(q) (0x0e000 + 0x40 * (uint32_t)(q))
#define IGB_RING_LOW E1000E_RING_LOW
#define IGB_RING_HIGH E1000E_RING_HIGH
#define IGB_RING_LENGTH E1000E_RING_LENGTH
#define IGB_RX_SRRCTL 0x0c
#define IGB_RING_HEAD E1000E_RING_HEAD
#define IGB_RING_TAIL E1000E_RING_TAIL
#define IGB_RING_CONTROL E1000E_RING_CONTROL
#define IGB_RX_DROPPED 0x30 /* RQDPC: cleared when it is read */
#define IGB_RING_ENABLE E1000E_BIT(25)
#define IGB_RING_WTHRESH_SHIFT 16
#define IGB_SRRCTL_KILOBYTES 0 /* shift of the length of a buffer in KiB */
#define IGB_SRRCTL_ONE_BUFFER (UINT32_C(1) << 25)
#define IGB_SRRCTL_DROP E1000E_BIT(31) /* drop what there is no buffer for */

/* Section 8.10.15, RLPML after a reset: the longest packet with FCS, while RCTL.LPE is 1. */
#define IGB_RLPML_MAX 0x2600

/* Section 8.10.16. A byte of RETA is the number of a queue. */
#define IGB_MRQC_RSS 2u
#define IGB_RETA_QUEUE_SHIFT 0

/* The second quadword of an advanced transmit data descriptor. */
#define IGB_TX_DATA (UINT64_C(3) << 20)
#define IGB_TX_PAYLOAD_SHIFT 46

/* The second quadword of an advanced receive descriptor, as it is written back. */
#define IGB_RX_ERRORS (UINT64_C(1) << 31)

#endif
