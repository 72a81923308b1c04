/* SPDX-License-Identifier: MIT */
/*
 * Registers and descriptors of the Intel 82574L that the driver and its model use. Source: Intel
 * 82574 GbE Controller Family Datasheet, chapter 10 (registers), sections 7.1.3 and 7.1.4 (receive
 * descriptors), 7.2 (transmit descriptors). This file has constants only, and includes nothing of
 * the library.
 */
#ifndef VFC_HW_E1000E_H
#define VFC_HW_E1000E_H

#include <stdint.h>

#define E1000E_VENDOR 0x8086
#define E1000E_DEVICE 0x10d3
#define E1000E_QUEUES 2
#define E1000E_VECTORS 5
#define E1000E_REGISTERS 0x20000 /* bytes of BAR 0 */

#define E1000E_BIT(n) (UINT32_C(1) << (n))

/* Device control and status. */
#define E1000E_CTRL 0x00000
#define E1000E_CTRL_FD E1000E_BIT(0)
#define E1000E_CTRL_MASTER_DISABLE E1000E_BIT(2)
#define E1000E_CTRL_SLU E1000E_BIT(6) /* set link up */
#define E1000E_CTRL_RST E1000E_BIT(26)
#define E1000E_STATUS 0x00008
#define E1000E_STATUS_FD E1000E_BIT(0)
#define E1000E_STATUS_LU E1000E_BIT(1)
#define E1000E_STATUS_SPEED_SHIFT 6 /* two bits: 10, 100, 1000, 1000 Mbit/s */
#define E1000E_STATUS_MASTER E1000E_BIT(19) /* requests of the device may be outstanding */
#define E1000E_EEC 0x00010
#define E1000E_EEC_PRES E1000E_BIT(8)
#define E1000E_EEC_AUTO_RD E1000E_BIT(9) /* the registers have been loaded from the NVM */
#define E1000E_EERD 0x00014
#define E1000E_EERD_START E1000E_BIT(0)
#define E1000E_EERD_DONE E1000E_BIT(1)
#define E1000E_EERD_ADDRESS_SHIFT 2
#define E1000E_EERD_DATA_SHIFT 16
#define E1000E_CTRL_EXT 0x00018
#define E1000E_CTRL_EXT_EIAME E1000E_BIT(24) /* a message masks the causes in IAM */
#define E1000E_CTRL_EXT_IAME E1000E_BIT(27)  /* a read of ICR masks the causes in IAM */
#define E1000E_CTRL_EXT_PBA_CLR E1000E_BIT(31)
#define E1000E_MDIC 0x00020
#define E1000E_MDIC_REGISTER_SHIFT 16
#define E1000E_MDIC_PHY_SHIFT 21
#define E1000E_MDIC_WRITE E1000E_BIT(26)
#define E1000E_MDIC_READ E1000E_BIT(27)
#define E1000E_MDIC_READY E1000E_BIT(28)

/* Interrupts. */
#define E1000E_ICR 0x000c0
#define E1000E_ITR 0x000c4
#define E1000E_ICS 0x000c8
#define E1000E_IMS 0x000d0
#define E1000E_IMC 0x000d8
#define E1000E_EIAC 0x000dc
#define E1000E_IAM 0x000e0
#define E1000E_IVAR 0x000e4
#define E1000E_EITR(n) (0x000e8 + 4 * (uint32_t)(n))
#define E1000E_INT_TXDW E1000E_BIT(0)
#define E1000E_INT_LSC E1000E_BIT(2)
#define E1000E_INT_RXT0 E1000E_BIT(7)
#define E1000E_INT_RXQ(q) E1000E_BIT(20 + (q))
#define E1000E_INT_TXQ(q) E1000E_BIT(22 + (q))
#define E1000E_INT_OTHER E1000E_BIT(24)
#define E1000E_INT_QUEUES (UINT32_C(0xf) << 20)
/* IVAR has four bits for each of RxQ0, RxQ1, TxQ0, TxQ1 and Other: 2:0 vector, 3 valid. */
#define E1000E_IVAR_FIELD(cause, vector) ((8u | (uint32_t)(vector)) << (4 * (cause)))

/* Receive. */
#define E1000E_RCTL 0x00100
#define E1000E_RCTL_EN E1000E_BIT(1)
#define E1000E_RCTL_UPE E1000E_BIT(3) /* all unicast */
#define E1000E_RCTL_MPE E1000E_BIT(4) /* all multicast */
#define E1000E_RCTL_LPE E1000E_BIT(5) /* frames of more than 1,522 bytes */
#define E1000E_RCTL_BAM E1000E_BIT(15) /* broadcast */
#define E1000E_RCTL_VFE E1000E_BIT(18) /* filter VLANs by VFTA */
#define E1000E_RCTL_SECRC E1000E_BIT(26) /* strip the FCS */
#define E1000E_RCTL_FLXBUF_SHIFT 27 /* four bits: KiB of a buffer; 0: other fields say it */
#define E1000E_RX(q) (0x02800 + 0x100 * (uint32_t)(q)) /* a queue's registers, see below */
#define E1000E_RDBAL(q) (E1000E_RX(q) + E1000E_RING_LOW)
#define E1000E_RDLEN(q) (E1000E_RX(q) + E1000E_RING_LENGTH)
#define E1000E_RDH(q) (E1000E_RX(q) + E1000E_RING_HEAD)
#define E1000E_RDT(q) (E1000E_RX(q) + E1000E_RING_TAIL)
#define E1000E_RDTR 0x02820
#define E1000E_RXDCTL(q) (E1000E_RX(q) + E1000E_RING_CONTROL)
#define E1000E_RADV 0x0282c
#define E1000E_RXCSUM 0x05000
#define E1000E_RXCSUM_IPOFLD E1000E_BIT(8) /* verify the checksums of IPv4 */
#define E1000E_RXCSUM_TUOFLD E1000E_BIT(9) /* and of TCP and UDP */
#define E1000E_RXCSUM_PCSD E1000E_BIT(13) /* a completion has the RSS hash in place of a checksum */
#define E1000E_RFCTL 0x05008
#define E1000E_RFCTL_EXSTEN E1000E_BIT(15) /* extended receive descriptors */
#define E1000E_MTA(n) (0x05200 + 4 * (uint32_t)(n))
#define E1000E_MTA_COUNT 128
#define E1000E_RAL(n) (0x05400 + 8 * (uint32_t)(n))
#define E1000E_RAH(n) (0x05404 + 8 * (uint32_t)(n))
#define E1000E_RAH_AV E1000E_BIT(31)
#define E1000E_RA_COUNT 16
#define E1000E_VFTA(n) (0x05600 + 4 * (uint32_t)(n)) /* a bit for each VLAN */
#define E1000E_MRQC 0x05818
#define E1000E_MRQC_RSS 1u
#define E1000E_MRQC_FIELDS (UINT32_C(0x1f) << 16) /* TCP and plain IPv4, IPv6 */
#define E1000E_RETA(n) (0x05c00 + 4 * (uint32_t)(n))
#define E1000E_RETA_COUNT 32
#define E1000E_RETA_QUEUE_SHIFT 7 /* of the four bytes in a register, bit 7 is the queue */
#define E1000E_RSSRK(n) (0x05c80 + 4 * (uint32_t)(n))
#define E1000E_RSSRK_COUNT 10

/* Transmit. */
#define E1000E_TCTL 0x00400
#define E1000E_TCTL_EN E1000E_BIT(1)
#define E1000E_TCTL_PSP E1000E_BIT(3) /* pad short packets */
#define E1000E_TCTL_CT_SHIFT 4
#define E1000E_TCTL_COLD_SHIFT 12
#define E1000E_TIPG 0x00410
#define E1000E_TX(q) (0x03800 + 0x100 * (uint32_t)(q)) /* a queue's registers, see below */
#define E1000E_TDBAL(q) (E1000E_TX(q) + E1000E_RING_LOW)
#define E1000E_TDLEN(q) (E1000E_TX(q) + E1000E_RING_LENGTH)
#define E1000E_TDH(q) (E1000E_TX(q) + E1000E_RING_HEAD)
#define E1000E_TDT(q) (E1000E_TX(q) + E1000E_RING_TAIL)
#define E1000E_TXDCTL(q) (E1000E_TX(q) + E1000E_RING_CONTROL)
#define E1000E_XDCTL_GRAN E1000E_BIT(24)   /* thresholds count descriptors */
#define E1000E_XDCTL_WTHRESH_SHIFT 16
#define E1000E_TXDCTL_ONE E1000E_BIT(22)   /* reserved, to be written as 1 */

/* The registers of a queue, receive and transmit alike, from its first one on. */
#define E1000E_RING_LOW 0x00    /* RDBAL, TDBAL: the ring's address, bits 31:0 */
#define E1000E_RING_HIGH 0x04   /* RDBAH, TDBAH: bits 63:32 */
#define E1000E_RING_LENGTH 0x08 /* RDLEN, TDLEN: bytes */
#define E1000E_RING_HEAD 0x10   /* RDH, TDH: the device's index */
#define E1000E_RING_TAIL 0x18   /* RDT, TDT: the driver's index */
#define E1000E_RING_CONTROL 0x28 /* RXDCTL, TXDCTL */

/* Statistics: each is cleared when it is read. */
#define E1000E_CRCERRS 0x04000
#define E1000E_RXERRC 0x0400c
#define E1000E_MPC 0x04010
#define E1000E_ROC 0x040ac /* frames that were too long */

/* The second quadword of a legacy transmit descriptor. */
#define E1000E_TX_EOP (UINT64_C(1) << 24)
#define E1000E_TX_IFCS (UINT64_C(1) << 25)
#define E1000E_TX_RS (UINT64_C(1) << 27)
#define E1000E_TX_DEXT (UINT64_C(1) << 29)
#define E1000E_TX_DD (UINT64_C(1) << 32)
#define E1000E_TX_ERRORS (UINT64_C(3) << 33) /* excess or late collisions */

/* The second quadword of a legacy receive descriptor. */
#define E1000E_RX_LEGACY_DD (UINT64_C(1) << 32)
#define E1000E_RX_LEGACY_EOP (UINT64_C(1) << 33)

/* The second quadword of an extended receive descriptor, as it is written back. */
#define E1000E_RX_DD (UINT64_C(1) << 0)
#define E1000E_RX_EOP (UINT64_C(1) << 1)
#define E1000E_RX_ERRORS ((UINT64_C(7) << 24) | (UINT64_C(1) << 28) | (UINT64_C(1) << 31))
#define E1000E_RX_IXSM (UINT64_C(1) << 2)  /* ignore the bits below, which are about checksums */
#define E1000E_RX_TCPCS (UINT64_C(1) << 5) /* the checksum of TCP or UDP was calculated */
#define E1000E_RX_IPCS (UINT64_C(1) << 6)  /* the checksum of IPv4 was calculated */
#define E1000E_RX_TCPE (UINT64_C(1) << 29) /* the checksum of TCP or UDP is wrong */
#define E1000E_RX_IPE (UINT64_C(1) << 30)  /* the checksum of IPv4 is wrong */
#define E1000E_RX_CHECKSUM (E1000E_RX_TCPE | E1000E_RX_IPE)
#define E1000E_RX_LENGTH_SHIFT 32

#endif
