/* SPDX-License-Identifier: MIT */
/*
 * Registers of the Intel 82576's virtual functions, and those that its physical function has for
 * them. All others that the drivers use are in igb.h. Source: Intel 82576EB Gigabit Ethernet
 * Controller Datasheet, section 7.10 (virtualization), chapter 8 (registers).
 */
#ifndef VFC_HW_IGBVF_H
#define VFC_HW_IGBVF_H

#include "hw/igb.h"

#define IGBVF_DEVICE 0x10ca
#define IGBVF_REGISTERS 0x4000 /* bytes of BAR 0 */
#define IGBVF_VECTORS 3
/* Pool p has the queues p and p + 8. It belongs to a virtual function or to the physical one. */
#define IGB_POOLS 8
#define IGB_MAILBOX_WORDS 16 /* of 32 bits */

/*
 * What a virtual function sees: its first queues and its mailbox. Its vectors are those of igb.h.
 */
#define IGBVF_RX 0x02800
#define IGBVF_TX 0x03800
#define IGBVF_MEMORY(word) (0x00800 + 4 * (uint32_t)(word))
#define IGBVF_MAILBOX 0x00c40 /* V2PMailbox */
#define IGBVF_MAILBOX_REQ E1000E_BIT(0)
#define IGBVF_MAILBOX_ACK E1000E_BIT(1)
#define IGBVF_MAILBOX_VFU E1000E_BIT(2)   /* the virtual function owns the memory */
#define IGBVF_MAILBOX_PFSTS E1000E_BIT(4) /* the PF has written; cleared when it is read */
#define IGBVF_MAILBOX_PFACK E1000E_BIT(5) /* the PF has read one; cleared when it is read */
#define IGBVF_MAILBOX_RSTI E1000E_BIT(6)  /* the PF is in reset */
#define IGBVF_MAILBOX_RSTD E1000E_BIT(7)  /* its reset is done; cleared when it is read */

/* What the physical function sees. */
#define IGB_STATUS_VFS(status) ((status) >> 14 & 0xf)
#define IGB_CTRL_EXT_PFRSTD E1000E_BIT(14)
#define IGB_INT_VMMB E1000E_BIT(8) /* in ICR: a message, or a function level reset */
#define IGB_MEMORY(vf, word) (0x00800 + 0x40 * (uint32_t)(vf) + 4 * (uint32_t)(word))
#define IGB_MAILBOX(vf) (0x00c00 + 4 * (uint32_t)(vf)) /* P2VMailbox */
#define IGB_MAILBOX_STS E1000E_BIT(0)
#define IGB_MAILBOX_ACK E1000E_BIT(1)
#define IGB_MAILBOX_PFU E1000E_BIT(3) /* the physical function owns the memory */
#define IGB_MBVFICR 0x00c80 /* bits 7:0 are requests, 23:16 acknowledgements; writing 1 clears */
#define IGB_MBVFIMR 0x00c84
#define IGB_VFLRE 0x00c88 /* a bit for each function that was reset; writing 1 clears */
#define IGB_VFRE 0x00c8c  /* a bit for each pool that receives */
#define IGB_VFTE 0x00c90  /* a bit for each pool that sends */
#define IGB_QDE 0x02408   /* a bit for each queue that drops what it has no buffer for */
#define IGB_DTXSWC 0x03500
/* Bits 7:0 check the source addresses of a pool's frames. */
#define IGB_DTXSWC_LOOPBACK E1000E_BIT(31) /* frames go from pool to pool */
#define IGB_MRQC_VMDQ 3u
#define IGB_VT_CTL 0x0581c
#define IGB_VT_CTL_POOL_SHIFT 7
#define IGB_VT_CTL_NO_DEFAULT E1000E_BIT(29) /* drop what matches no pool */
#define IGB_VT_CTL_REPLICATE E1000E_BIT(30)
#define IGB_RAH_POOL(pool) E1000E_BIT(18 + (pool))
#define IGB_VMOLR(pool) (0x05ad0 + 4 * (uint32_t)(pool))
#define IGB_VMOLR_LENGTH 0x3fffu /* bytes of the longest frame, with FCS */
#define IGB_VMOLR_LPE E1000E_BIT(16)   /* the length above holds, in place of 1,522 bytes */
#define IGB_VMOLR_AUPE E1000E_BIT(24)  /* receive untagged frames */
#define IGB_VMOLR_ROMPE E1000E_BIT(25) /* receive multicast that MTA lets pass */
#define IGB_VMOLR_BAM E1000E_BIT(27)   /* receive broadcast */
#define IGB_VMOLR_STRCRC E1000E_BIT(31) /* strip the FCS */

#endif
