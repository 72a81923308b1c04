/* SPDX-License-Identifier: MIT */
/*
 * Registers and structures of virtio over PCI and of its network device that the driver uses. Source:
 * Virtual I/O Device (VIRTIO) Version 1.2, OASIS; sections are of that. This file has constants only,
 * and includes nothing of the library.
 */
#ifndef VFC_HW_VIRTIO_H
#define VFC_HW_VIRTIO_H

#include <stdint.h>

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_NET_DEVICE 0x1041 /* 0x1040 and the device type (section 4.1.2.1) */

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* Section 4.1.4: a vendor-specific capability says where a structure is. */
#define VIRTIO_CAP_ID 0x09
#define VIRTIO_CAP_BYTES 16
#define VIRTIO_CAP_NOTIFY_BYTES 20
#define VIRTIO_CAP_LENGTH 2 /* of the capability itself, a byte */
#define VIRTIO_CAP_TYPE 3
#define VIRTIO_CAP_BAR 4
#define VIRTIO_CAP_OFFSET 8
#define VIRTIO_CAP_SIZE 12
#define VIRTIO_CAP_MULTIPLIER 16
#define VIRTIO_CAP_COMMON 1
#define VIRTIO_CAP_NOTIFY 2
#define VIRTIO_CAP_DEVICE 4

/* Section 4.1.4.3: the common configuration. */
#define VIRTIO_DEVICE_FEATURE_SELECT 0x00
#define VIRTIO_DEVICE_FEATURE 0x04
#define VIRTIO_DRIVER_FEATURE_SELECT 0x08
#define VIRTIO_DRIVER_FEATURE 0x0c
#define VIRTIO_CONFIG_VECTOR 0x10  /* 16 bits */
#define VIRTIO_STATUS 0x14         /* 8 bits */
#define VIRTIO_GENERATION 0x15     /* 8 bits */
#define VIRTIO_QUEUE_SELECT 0x16   /* this and those below, up to 0x1e: 16 bits */
#define VIRTIO_QUEUE_SIZE 0x18
#define VIRTIO_QUEUE_VECTOR 0x1a
#define VIRTIO_QUEUE_ENABLE 0x1c
#define VIRTIO_QUEUE_NOTIFY 0x1e
#define VIRTIO_QUEUE_DESCRIPTORS 0x20 /* this and those below: 64 bits, in two halves */
#define VIRTIO_QUEUE_DRIVER 0x28
#define VIRTIO_QUEUE_DEVICE 0x30
#define VIRTIO_COMMON_BYTES 0x38
#define VIRTIO_NO_VECTOR 0xffff

/* Section 2.1: the device status. */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64

/* Section 6: features of any device. */
#define VIRTIO_F_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_F_VERSION_1 VIRTIO_BIT(32)
#define VIRTIO_F_ACCESS_PLATFORM VIRTIO_BIT(33)
#define VIRTIO_F_RING_PACKED VIRTIO_BIT(34)
#define VIRTIO_F_ORDER_PLATFORM VIRTIO_BIT(36)

/* Section 5.1.3: features of a network device. */
#define VIRTIO_NET_F_MTU VIRTIO_BIT(3)
#define VIRTIO_NET_F_MAC VIRTIO_BIT(5)
#define VIRTIO_NET_F_STATUS VIRTIO_BIT(16)
#define VIRTIO_NET_F_CTRL_VQ VIRTIO_BIT(17)
#define VIRTIO_NET_F_CTRL_RX VIRTIO_BIT(18)
#define VIRTIO_NET_F_MQ VIRTIO_BIT(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR VIRTIO_BIT(23)
#define VIRTIO_NET_F_SPEED_DUPLEX VIRTIO_BIT(63)

/* Section 5.1.4: the offsets of the fields of its configuration. */
#define VIRTIO_NET_MAC 0
#define VIRTIO_NET_LINK 6 /* 16 bits */
#define VIRTIO_NET_LINK_UP 1
#define VIRTIO_NET_PAIRS 8
#define VIRTIO_NET_MTU 10
#define VIRTIO_NET_SPEED 12 /* 32 bits: Mbit/s, or all ones */
#define VIRTIO_NET_DUPLEX 16 /* 8 bits: 1 for full duplex */

/* Section 5.1.6: bytes of the header before each frame, with VERSION_1. */
#define VIRTIO_NET_HEADER 12

/* Section 5.1.6.5: the control queue. */
#define VIRTIO_NET_CTRL_RX 0
#define VIRTIO_NET_CTRL_RX_PROMISC 0
#define VIRTIO_NET_CTRL_RX_ALLMULTI 1
#define VIRTIO_NET_CTRL_MAC 1
#define VIRTIO_NET_CTRL_MAC_ADDR_SET 1
#define VIRTIO_NET_CTRL_MQ 4
#define VIRTIO_NET_CTRL_MQ_PAIRS_SET 0
#define VIRTIO_NET_OK 0

/* Sections 2.7.5 and 2.8.13: the flags of a descriptor, and their place in its second quadword. */
#define VIRTIO_NEXT UINT64_C(1)
#define VIRTIO_WRITE UINT64_C(2)
#define VIRTIO_INDIRECT UINT64_C(4)
#define VIRTIO_SPLIT_FLAGS 32
#define VIRTIO_SPLIT_NEXT 48
#define VIRTIO_PACKED_FLAGS 48

#endif
