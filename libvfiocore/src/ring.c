/* SPDX-License-Identifier: MIT */
/* A ring's memory: all else is inline in vfiocore/ring.h. */
#include <vfiocore/ring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kernel/sys.h"

#define ENTRIES_MIN 8
#define ENTRIES_MAX 32768

static int check(const struct vfc_ring_layout *layout, uint32_t entries, volatile void *doorbell)
{
	if (!layout->size || layout->size % 8 || layout->address % 8 || layout->control % 8 ||
	    layout->size > 4096 || layout->address > layout->size - 8 ||
	    layout->control > layout->size - 8 || layout->address == layout->control)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the layout puts its two 64-bit words outside of its %u bytes, askew, or "
				"in one place", layout->size);
	if (layout->length_shift > 48 || !layout->done ||
	    layout->done & UINT64_C(0xffff) << layout->length_shift)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the layout has its length above bit 63, no done bit, or one within the "
				"length");
	if (entries < ENTRIES_MIN || entries > ENTRIES_MAX || entries & (entries - 1))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"%u entries: a ring has a power of two from %d to %d", entries,
				ENTRIES_MIN, ENTRIES_MAX);
	if (!doorbell || (uintptr_t)doorbell % 4)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the doorbell is a mapped 32-bit register");
	return 0;
}

static int ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		     struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell)
{
	int rc = check(layout, entries, doorbell);

	if (rc < 0)
		return rc;
	memset(ring, 0, sizeof(*ring));
	ring->cookies = sys_alloc(entries * sizeof(*ring->cookies));
	if (!ring->cookies)
		return vfc_no_memory();
	rc = vfc_dma_alloc(iommu, (uint64_t)entries * layout->size, NULL, &ring->memory);
	if (rc < 0) {
		free(ring->cookies);
		ring->cookies = NULL;
		return rc;
	}
	ring->descriptors = ring->memory.va;
	ring->doorbell = doorbell;
	ring->mask = entries - 1;
	return 0;
}

int vfc_ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		  struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell)
{
	return vfc_done(ring_init(ring, layout, iommu, entries, doorbell));
}

void vfc_ring_reset(struct vfc_ring *ring)
{
	memset(ring->descriptors, 0, ring->memory.length);
	ring->head = ring->tail = ring->kicked = 0;
}

int vfc_ring_destroy(struct vfc_ring *ring)
{
	int rc = vfc_dma_free(&ring->memory);

	if (rc < 0)
		return vfc_done(rc);
	free(ring->cookies);
	memset(ring, 0, sizeof(*ring));
	return 0;
}
