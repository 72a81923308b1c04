/* SPDX-License-Identifier: MIT */
/*
 * A descriptor ring: post buffers, ring the doorbell, reap completions.
 *
 * One engine for every device whose ring is told by data: struct vfc_ring_layout. In C the layout
 * is a static const, so that the compiler folds it into the loop; a binding passes one at run time.
 * The hot path makes no system call and reads no register.
 *
 * What is posted is seen by the device after vfc_ring_kick(), all at once. What the device writes
 * is not believed: an index, an id or a count that cannot be is dropped and counted in
 * ring->malformed. A length is the device's claim, for the caller to check.
 *
 * A ring is used by one thread at a time.
 */
#ifndef VFIOCORE_RING_H
#define VFIOCORE_RING_H

#include "ring_layout.h"
#include "ring_post.h"
#include "ring_reap.h"

VFC_BEGIN_DECLS

/*
 * vfc_ring_init() - allocate @entries descriptors, and what goes with them, that the device can
 * reach.
 * @entries: 2 to 32768, of SPLIT a power of two. @doorbell: the mapped register.
 * A ring of n entries holds n-1 buffers where the device takes tail == head for "empty" (DONE,
 * HEAD, PHASE), n with virtio. The driver tells the device the addresses: memory.iova of the
 * descriptors, vfc_ring_iova() of the other parts. Errors: -EINVAL, as vfc_dma_alloc().
 */
VFC_API int vfc_ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			  struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell);

/*
 * vfc_ring_resize() - give an empty ring of a stopped device @entries entries; the counters go on.
 * Errors: -EBUSY (something is posted), as vfc_ring_init(): then the ring is as it was.
 */
VFC_API int vfc_ring_resize(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			    uint32_t entries);

/*
 * vfc_ring_cancel() - take back what is posted from a device that is stopped.
 * @cookies: room for ring->used of them, in the order of posting where the style has one; or NULL.
 * The ring is empty and as after init, the device must be told the same. Return: how many.
 */
VFC_API uint32_t vfc_ring_cancel(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				 uint32_t *cookies);

VFC_API int vfc_ring_destroy(struct vfc_ring *ring);

VFC_END_DECLS
#endif
