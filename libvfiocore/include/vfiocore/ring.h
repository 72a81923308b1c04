/* SPDX-License-Identifier: MIT */
/*
 * A descriptor ring: post buffers, ring the doorbell, reap completions.
 *
 * One engine for every device whose ring is told by data: struct vfc_ring_layout. In C the layout
 * is a static const, so that the compiler folds it into the loop; a binding passes one at run time.
 * The hot path makes no system call and reads no register.
 *
 * Indices run freely and are masked on use; a ring of n entries holds n-1 buffers, because tail ==
 * head means "empty" to the device. A ring is used by one thread at a time.
 */
#ifndef VFIOCORE_RING_H
#define VFIOCORE_RING_H

#include "abi.h"
#include "barrier.h"
#include "dma.h"
#include "mmio.h"

/* Where things are in a descriptor. All fields are little-endian, as PCI devices want them. */
struct vfc_ring_layout {
	uint64_t done;         /* bits of the control word that the device sets when it is done */
	uint32_t size;         /* bytes of a descriptor, a multiple of 8 */
	uint32_t address;      /* offset of the 64-bit buffer address */
	uint32_t control;      /* offset of the 64-bit word with command, length and status */
	uint32_t length_shift; /* of the 16-bit length in the control word */
};

struct vfc_ring {
	uint8_t *descriptors;
	volatile void *doorbell; /* the tail register, 32 bits */
	uint32_t *cookies;       /* one per entry, the caller's */
	uint32_t mask;           /* entries - 1 */
	uint32_t tail;           /* next to post */
	uint32_t head;           /* next to reap */
	uint32_t kicked;         /* tail that the device was told */
	uint64_t doorbells;      /* rung since vfc_ring_init() */
	struct vfc_dma memory;
};

struct vfc_completion {
	uint64_t control; /* the control word as the device left it, host order */
	uint32_t cookie;
	uint32_t length; /* from the control word: the device's claim, to be checked */
};

VFC_BEGIN_DECLS

/*
 * vfc_ring_init() - allocate @entries descriptors that the device can reach.
 * @entries: a power of two from 8 to 32768. @doorbell: the mapped tail register.
 * The device is told the base address, memory.iova, by the driver. Errors: -EINVAL, as
 * vfc_dma_alloc().
 */
VFC_API int vfc_ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			  struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell);

/* vfc_ring_reset() - forget what is posted; the device must be stopped and be told the same. */
VFC_API void vfc_ring_reset(struct vfc_ring *ring);

VFC_API int vfc_ring_destroy(struct vfc_ring *ring);

/* vfc_ring_used() - posted and not reaped. vfc_ring_space() - how many more can be posted. */
VFC_INLINE uint32_t vfc_ring_used(const struct vfc_ring *ring)
{
	return ring->tail - ring->head;
}

VFC_INLINE uint32_t vfc_ring_space(const struct vfc_ring *ring)
{
	return ring->mask - (ring->tail - ring->head);
}

/*
 * vfc_ring_post() - write the next descriptor; the device sees it after vfc_ring_kick().
 * @command: the control word without length. The caller has checked vfc_ring_space().
 */
VFC_INLINE void vfc_ring_post(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			      uint64_t iova, uint32_t length, uint64_t command, uint32_t cookie)
{
	uint32_t slot = ring->tail & ring->mask;
	uint8_t *descriptor = ring->descriptors + (uint64_t)slot * layout->size;
	uint64_t control = command | (uint64_t)(length & 0xffff) << layout->length_shift;

	*(volatile uint64_t *)(void *)(descriptor + layout->address) = VFC_LE64(iova);
	*(volatile uint64_t *)(void *)(descriptor + layout->control) = VFC_LE64(control);
	ring->cookies[slot] = cookie;
	ring->tail++;
}

/* vfc_ring_kick() - ring the doorbell, once, if anything was posted since the last time. */
VFC_INLINE void vfc_ring_kick(struct vfc_ring *ring)
{
	if (ring->kicked == ring->tail)
		return;
	vfc_to_device(); /* descriptors and buffers before the tail that announces them */
	vfc_mmio_write32(ring->doorbell, ring->tail & ring->mask);
	ring->kicked = ring->tail;
	/* vfc_nic_stats() reads it from another thread. */
	__atomic_store_n(&ring->doorbells, ring->doorbells + 1, __ATOMIC_RELAXED);
}

/*
 * vfc_ring_reap() - take up to @count completions, in order.
 * Only what was announced by a kick is looked at: a descriptor that we are still writing is not
 * done, whatever its old status says.
 * Return: how many.
 */
VFC_INLINE uint32_t vfc_ring_reap(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				  struct vfc_completion *out, uint32_t count)
{
	uint32_t n = 0;

	while (n < count && ring->head != ring->kicked) {
		uint32_t slot = ring->head & ring->mask;
		const uint8_t *descriptor = ring->descriptors + (uint64_t)slot * layout->size;
		/* One load: status and length belong to the same write of the device. */
		uint64_t control =
			VFC_LE64(*(const volatile uint64_t *)(const void *)(descriptor + layout->control));

		if ((control & layout->done) != layout->done)
			break;
		out[n].control = control;
		out[n].cookie = ring->cookies[slot];
		out[n].length = (uint32_t)(control >> layout->length_shift) & 0xffff;
		ring->head++;
		n++;
	}
	if (n)
		vfc_from_device(); /* the status was read before the caller reads the buffers */
	return n;
}

/* vfc_ring_ready() - 1 when vfc_ring_reap() would find something. */
VFC_INLINE int vfc_ring_ready(const struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	const uint8_t *descriptor =
		ring->descriptors + (uint64_t)(ring->head & ring->mask) * layout->size;

	return ring->head != ring->kicked &&
	       (VFC_LE64(*(const volatile uint64_t *)(const void *)(descriptor + layout->control)) &
		layout->done) == layout->done;
}

VFC_END_DECLS
#endif
