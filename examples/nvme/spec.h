/* SPDX-License-Identifier: MIT */
/* Registers, commands and data structures of NVM Express 1.4 that the driver uses. */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <stdint.h>

#define NVME_CLASS 0x010802 /* section 2.1.5: mass storage, non-volatile memory, NVM Express */

/* Section 3.1: registers in BAR 0. */
#define NVME_CAP 0x00 /* 64 bits */
#define NVME_CAP_MQES(cap) ((uint32_t)((cap) & 0xffff) + 1) /* entries of a queue, at most */
#define NVME_CAP_TO(cap) ((uint32_t)((cap) >> 24 & 0xff)) /* half seconds until it is ready */
#define NVME_CAP_DSTRD(cap) ((uint32_t)((cap) >> 32 & 0xf)) /* doorbells: 4 << DSTRD bytes apart */
#define NVME_CAP_CSS_NVM(cap) ((cap) >> 37 & 1)
#define NVME_CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48 & 0xf)) /* smallest page: 4096 << MPSMIN */
#define NVME_VS 0x08
#define NVME_CC 0x14
#define NVME_CC_EN (UINT32_C(1) << 0)
#define NVME_CC_SHN (UINT32_C(3) << 14)
#define NVME_CC_SHN_NORMAL (UINT32_C(1) << 14)
#define NVME_CC_IOSQES(log2) ((uint32_t)(log2) << 16)
#define NVME_CC_IOCQES(log2) ((uint32_t)(log2) << 20)
#define NVME_CSTS 0x1c
#define NVME_CSTS_RDY (UINT32_C(1) << 0)
#define NVME_CSTS_CFS (UINT32_C(1) << 1) /* fatal: nothing but a reset helps */
#define NVME_CSTS_SHST (UINT32_C(3) << 2)
#define NVME_CSTS_SHST_COMPLETE (UINT32_C(2) << 2)
#define NVME_AQA 0x24
#define NVME_AQA_SIZES(entries) (((uint32_t)(entries) - 1) << 16 | ((uint32_t)(entries) - 1))
#define NVME_ASQ 0x28 /* 64 bits */
#define NVME_ACQ 0x30 /* 64 bits */

/* Sections 3.1.24 and 3.1.25: doorbells of queue @y. */
#define NVME_SQ_TAIL(y, cap) (0x1000 + (2 * (uint32_t)(y)) * (4u << NVME_CAP_DSTRD(cap)))
#define NVME_CQ_HEAD(y, cap) (0x1000 + (2 * (uint32_t)(y) + 1) * (4u << NVME_CAP_DSTRD(cap)))

#define NVME_PAGE 4096 /* CC.MPS 0 */

/* Section 4.2: offsets in a submission queue entry. */
#define NVME_SQE_SIZE 64
#define NVME_SQE_COMMAND 0 /* opcode, command id at bit 16, namespace at bit 32 */
#define NVME_SQE_ID_SHIFT 16
#define NVME_SQE_NAMESPACE_SHIFT 32
#define NVME_SQE_PRP1 24
#define NVME_SQE_PRP2 32
#define NVME_SQE_DW10 40 /* to DW15: the command's own parameters */

/* Section 4.6.1: the status, bits 63:49 of a completion queue entry's second half. */
#define NVME_CQE_STATUS_SHIFT 49
#define NVME_STATUS_CODE(status) ((uint32_t)(status) & 0xff)
#define NVME_STATUS_TYPE(status) ((uint32_t)(status) >> 8 & 7)
#define NVME_STATUS_ERRORS UINT64_C(0x7ff)
#define NVME_STATUS_DO_NOT_RETRY 0x4000

/* Section 5: admin commands. */
enum {
	NVME_DELETE_SQ = 0x00,
	NVME_CREATE_SQ = 0x01,
	NVME_DELETE_CQ = 0x04,
	NVME_CREATE_CQ = 0x05,
	NVME_IDENTIFY = 0x06,
	NVME_SET_FEATURES = 0x09,
};

#define NVME_FEATURE_QUEUES 0x07 /* section 5.21.1.7 */
#define NVME_QUEUE_CONTIGUOUS 1  /* sections 5.3 and 5.4, DW11 */
#define NVME_QUEUE_INTERRUPT 2

/* Section 5.15: what to identify, and where the fields are in its 4,096 bytes. */
enum { NVME_CNS_NAMESPACE = 0, NVME_CNS_CONTROLLER = 1 };

#define NVME_ID_SERIAL 4 /* 20 characters */
#define NVME_ID_MODEL 24 /* 40 characters */
#define NVME_ID_FIRMWARE 64 /* 8 characters */
#define NVME_ID_MDTS 77 /* a command moves up to 2^MDTS pages of 4096 << MPSMIN bytes; 0: any */
#define NVME_ID_NAMESPACES 516
#define NVME_ID_BLOCKS 0 /* of a namespace */
#define NVME_ID_FORMAT 26 /* bits 3:0: which of the formats is in use */
#define NVME_ID_FORMATS 128 /* 4 bytes each: metadata, log2 of a block's size */

/* Section 6: commands of the NVM command set. */
enum { NVME_FLUSH = 0x00, NVME_WRITE = 0x01, NVME_READ = 0x02 };

#endif
