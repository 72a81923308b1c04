/* SPDX-License-Identifier: MIT */
/* A ring's memory and lifetime. Its hot path is inline in vfiocore/ring.h. */
#include <vfiocore/ring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"

#define ENTRIES_MIN 2
#define ENTRIES_MAX 32768
#define LINE 64 /* parts that different sides write lie on cache lines of their own */
#define PAGE 4096 /* NVMe 1.4, section 5.4: a queue begins on a page */

static int bad_layout(const char *why)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "the layout %s", why);
}

static int check_words(const struct vfc_ring_layout *layout)
{
	if (!layout->size || layout->size % 8 || layout->address % 8 || layout->control % 8 ||
	    layout->size > 4096 || layout->address > layout->size - 8 ||
	    layout->control > layout->size - 8 || layout->address == layout->control)
		return bad_layout("puts its two 64-bit words outside of the descriptor, askew, or in one "
				  "place");
	return 0;
}

static uint64_t length_mask(const struct vfc_ring_layout *layout)
{
	return layout->length_bits ? (~UINT64_C(0) >> (64 - layout->length_bits))
					     << layout->length_shift : 0;
}

static int check_layout(const struct vfc_ring_layout *layout)
{
	int rc = check_words(layout);

	if (rc < 0)
		return rc;
	if (layout->style > VFC_RING_PACKED)
		return bad_layout("has a style that is none of enum vfc_ring_style");
	if (layout->length_bits && layout->length_bits != 16 && layout->length_bits != 32)
		return bad_layout("has a length of other than 0, 16 or 32 bits");
	if (layout->length_shift > 64 - layout->length_bits || layout->length_shift > 63)
		return bad_layout("has its length above bit 63");
	if (layout->style == VFC_RING_DONE &&
	    (!layout->done || layout->done & length_mask(layout)))
		return bad_layout("has no done bit, or one within the length");
	if (layout->style == VFC_RING_PHASE && layout->id_shift > 48)
		return bad_layout("has its command id above bit 63");
	if (layout->style >= VFC_RING_SPLIT &&
	    (layout->size != 16 || layout->address != 0 || layout->control != 8))
		return bad_layout("is not that of virtio: 16 bytes, the address at 0, the rest at 8");
	return 0;
}

static int check(const struct vfc_ring_layout *layout, uint32_t entries)
{
	int rc = check_layout(layout);

	if (rc < 0)
		return rc;
	if (entries < ENTRIES_MIN || entries > ENTRIES_MAX)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"%u entries: a ring has %d to %d", entries, ENTRIES_MIN, ENTRIES_MAX);
	/* Indices run to 65,536 and are taken modulo the size (virtio 1.2, section 2.7). */
	if (layout->style == VFC_RING_SPLIT && entries & (entries - 1))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"%u entries: a split ring has a power of two", entries);
	return 0;
}

static uint64_t after(uint64_t length, uint64_t align)
{
	return (length + align - 1) & -align;
}

/* Compute the offsets of the parts in the ring's memory. Return the length of all of them. */
static uint64_t arrange(const struct vfc_ring_layout *layout, uint64_t entries, uint64_t *available,
			uint64_t *completions)
{
	uint64_t length = entries * layout->size;

	*available = *completions = after(length, LINE);
	switch (layout->style) {
	case VFC_RING_HEAD:
		return *completions + LINE;
	case VFC_RING_PHASE:
		*completions = after(length, PAGE);
		return *completions + entries * VFC_RING_ENTRY;
	case VFC_RING_SPLIT:
		*completions = after(*available + 6 + 2 * entries, LINE);
		return *completions + 6 + 8 * entries;
	case VFC_RING_PACKED:
		*completions = *available + LINE;
		return *completions + LINE;
	default:
		return length;
	}
}

/* Reset the indices only. The memory and the counters stay as they are. */
static void start(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	bool ids = !vfc_ring_in_order(layout);

	ring->tail = ring->head = ring->used = ring->pending = ring->ready = ring->unreported = 0;
	ring->first_report = ring->report_count = ring->consumed_pending = 0;
	ring->index = ring->seen = 0;
	ring->phase = ring->wrap = 1;
	for (uint32_t i = 0; i < ring->entries; i++)
		ring->cookies[i] = VFC_RING_NONE;
	for (uint32_t i = 0; ids && i < ring->room; i++)
		ring->ids[i] = (uint16_t)(ring->room - 1 - i); /* low ids are taken first */
}

/* Allocate all three arrays at once. Two of them are not used by every style. */
static int alloc_books(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	bool shorts = layout->report || !vfc_ring_in_order(layout);
	size_t each = sizeof(*ring->cookies) + (shorts ? sizeof(uint16_t) : 0);

	ring->cookies = sys_alloc(ring->entries * each);
	if (!ring->cookies)
		return vfc_no_memory();
	if (shorts)
		ring->ids = ring->reports = (uint16_t *)(ring->cookies + ring->entries);
	return 0;
}

static int fill_in(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		   struct vfc_iommu *iommu, uint32_t entries)
{
	uint64_t available, completions, length = arrange(layout, entries, &available, &completions);
	int rc;

	ring->entries = entries;
	ring->room = layout->style >= VFC_RING_SPLIT ? entries : entries - 1;
	rc = alloc_books(ring, layout);
	if (rc < 0)
		return rc;
	rc = vfc_dma_alloc(iommu, length, NULL, &ring->memory);
	if (rc < 0) {
		free(ring->cookies);
		return rc;
	}
	ring->descriptors = ring->memory.va;
	ring->available = ring->descriptors + available;
	ring->completions = ring->descriptors + completions;
	start(ring, layout);
	return 0;
}

static int ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		     struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell)
{
	struct vfc_ring new = {.doorbell = doorbell};
	int rc = check(layout, entries);

	if (rc < 0)
		return rc;
	if (!doorbell || (uintptr_t)doorbell % (layout->style >= VFC_RING_SPLIT ? 2 : 4))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the doorbell is a mapped register of 32 bits, with virtio of 16");
	rc = fill_in(&new, layout, iommu, entries);
	if (rc == 0)
		*ring = new;
	return rc;
}

int vfc_ring_init(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
		  struct vfc_iommu *iommu, uint32_t entries, volatile void *doorbell)
{
	return vfc_done(ring_init(ring, layout, iommu, entries, doorbell));
}

static int ring_resize(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint32_t entries)
{
	struct vfc_ring new = *ring;
	int rc = check(layout, entries);

	if (rc < 0)
		return rc;
	if (ring->used)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
				"%u entries are posted: stop the device and take them back by "
				"vfc_ring_cancel()", ring->used);
	rc = fill_in(&new, layout, ring->memory.iommu, entries);
	if (rc < 0)
		return rc;
	rc = vfc_dma_free(&ring->memory);
	if (rc < 0) {
		vfc_dma_free(&new.memory); /* if the kernel keeps it mapped, it stays allocated */
		free(new.cookies);
		return rc;
	}
	free(ring->cookies);
	*ring = new;
	return 0;
}

int vfc_ring_resize(struct vfc_ring *ring, const struct vfc_ring_layout *layout, uint32_t entries)
{
	return vfc_done(ring_resize(ring, layout, entries));
}

uint32_t vfc_ring_cancel(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			 uint32_t *cookies)
{
	bool ordered = vfc_ring_in_order(layout);
	uint32_t n = 0, all = ordered ? ring->used : ring->entries, slot = ordered ? ring->head : 0;

	for (uint32_t i = 0; i < all; i++, slot = vfc_ring_slot_after(ring, slot, 1))
		if (ordered || ring->cookies[slot] != VFC_RING_NONE) {
			if (cookies)
				cookies[n] = ring->cookies[slot];
			n++;
		}
	memset(ring->descriptors, 0, ring->memory.length);
	start(ring, layout);
	return n;
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
