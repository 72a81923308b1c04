/* SPDX-License-Identifier: MIT */
/* What a ring is, as data: see ring.h. */
#ifndef VFIOCORE_RING_LAYOUT_H
#define VFIOCORE_RING_LAYOUT_H

#include <stdbool.h>

#include "abi.h"
#include "barrier.h"
#include "dma.h"
#include "mmio.h"

/* How the device shows that it is done with a descriptor. */
enum vfc_ring_style {
	VFC_RING_DONE = 0,   /* a done bit in the descriptor: Intel's network interfaces */
	VFC_RING_HEAD = 1,   /* the index of the next descriptor it will take, written to memory */
	VFC_RING_PHASE = 2,  /* entries of a completion queue, whose phase bit turns with each lap: NVMe */
	VFC_RING_SPLIT = 3,  /* virtio 1.2, section 2.7: a used ring and its index */
	VFC_RING_PACKED = 4, /* virtio 1.2, section 2.8: flags in the descriptor against wrap counters */
};

/*
 * Where things are. All fields are little-endian, as PCI devices want them. What a style fixes by
 * itself is 0: virtio's descriptors have 16 bytes, the address at 0, length, id and flags at 8.
 */
struct vfc_ring_layout {
	uint64_t done;         /* DONE: bits of the control word that the device sets when it is done */
	uint64_t report;       /* DONE, HEAD: bits that ask for that; 0: every descriptor is completed */
	uint64_t errors;       /* bits of the control word that count in ring->errors */
	uint32_t style;        /* enum vfc_ring_style */
	uint32_t size;         /* bytes of a descriptor, a multiple of 8 */
	uint32_t address;      /* offset of the 64-bit buffer address */
	uint32_t control;      /* offset of the 64-bit word with command, length and status */
	uint32_t length_shift; /* of the length in the control word */
	uint32_t length_bits;  /* 16; 32; 0: it has none */
	uint32_t id_shift;     /* PHASE: of the 16-bit command id in the control word */
	uint32_t reserved;
};

/* No cookie may be this: it marks an id that is not with the device. */
#define VFC_RING_NONE UINT32_MAX

struct vfc_ring {
	uint8_t *descriptors;
	uint8_t *available;   /* SPLIT: the available ring. PACKED: the driver's event suppression */
	uint8_t *completions; /* HEAD: the index. PHASE: the queue. SPLIT: the used ring. PACKED: the
				 device's event suppression */
	volatile void *doorbell; /* the tail register, 32 bits; virtio: the notification, 16 bits */
	volatile void *consumed; /* PHASE: the completion queue's head register; set it after init */
	uint32_t *cookies; /* the caller's; by entry, or by id where the device may finish out of order */
	uint16_t *ids;     /* the free ones, a stack */
	uint16_t *reports; /* how many descriptors each completion that was asked for covers */
	uint64_t held;     /* PACKED: the first posted control word, which is written last */
	uint32_t entries;
	uint32_t room;       /* how many can be posted at once */
	uint32_t tail;       /* entry to post next */
	uint32_t head;       /* entry to reap next */
	uint32_t used;       /* posted and not reaped */
	uint32_t pending;    /* of these, not announced by a kick */
	uint32_t ready;      /* of these, known to be done */
	uint32_t unreported; /* posted since the last completion that was asked for */
	uint32_t first_report, report_count; /* the queue in reports */
	uint16_t index;      /* SPLIT: of the available ring, as published; free running */
	uint16_t seen;       /* SPLIT: of the used ring */
	uint16_t queue;      /* virtio: what the notification says; set it after init */
	uint8_t event_index; /* SPLIT: VIRTIO_F_EVENT_IDX was negotiated; set it after init */
	uint8_t phase;       /* PHASE, PACKED: of the next completion */
	uint8_t wrap;        /* PACKED: of the next descriptor */
	uint8_t reserved[3];
	uint32_t consumed_pending; /* PHASE: reaped and not told */
	uint64_t doorbells; /* rung since vfc_ring_init() */
	uint64_t errors;    /* completions with one of layout->errors */
	uint64_t malformed; /* what the device wrote and cannot be */
	struct vfc_dma memory;
};

struct vfc_completion {
	uint64_t control; /* the control word as the device left it, host order */
	uint32_t cookie;
	uint32_t length; /* the device's claim, to be checked; PHASE: the entry's first 32 bits */
};

/* A buffer to be posted. */
struct vfc_buffer {
	uint64_t iova;
	uint64_t command; /* the control word without length and id */
	uint32_t length;
	uint32_t cookie;
};

VFC_BEGIN_DECLS

/* One store of exactly that width, in the device's order. */
#define VFC_RING_STORE64(where, value) \
	(*(volatile uint64_t *)(void *)(where) = VFC_LE64(value))
#define VFC_RING_STORE16(where, value) \
	(*(volatile uint16_t *)(void *)(where) = VFC_LE16(value))
#define VFC_RING_LOAD64(where) VFC_LE64(*(const volatile uint64_t *)(const void *)(where))
#define VFC_RING_LOAD32(where) VFC_LE32(*(const volatile uint32_t *)(const void *)(where))
#define VFC_RING_LOAD16(where) VFC_LE16(*(const volatile uint16_t *)(const void *)(where))

/* Virtio 1.2, section 2.8: bits of a packed descriptor's flags, in the control word. */
#define VFC_RING_AVAIL (UINT64_C(1) << 55)
#define VFC_RING_USED (UINT64_C(1) << 63)

/* Whether the device finishes in the order of posting. */
VFC_TEMPLATE bool vfc_ring_in_order(const struct vfc_ring_layout *layout)
{
	return layout->style == VFC_RING_DONE || layout->style == VFC_RING_HEAD;
}

/* vfc_ring_used() - posted and not reaped. vfc_ring_space() - how many more can be posted. */
VFC_INLINE uint32_t vfc_ring_used(const struct vfc_ring *ring)
{
	return ring->used;
}

VFC_INLINE uint32_t vfc_ring_space(const struct vfc_ring *ring)
{
	return ring->room - ring->used;
}

/* vfc_ring_iova() - the device's address of a part of the ring: ring->available, ->completions. */
VFC_INLINE uint64_t vfc_ring_iova(const struct vfc_ring *ring, const void *part)
{
	return ring->memory.iova + (uint64_t)((const uint8_t *)part - ring->descriptors);
}

VFC_END_DECLS
#endif
