/* SPDX-License-Identifier: MIT */
/*
 * The other side of a ring, for tests: a device of each style that takes what was announced and
 * finishes it when told, in any order where the style allows it.
 */
#ifndef VFC_RING_DEVICE_H
#define VFC_RING_DEVICE_H

#include <string.h>
#include <vfiocore.h>

#include "test.h"

#define RING_DEVICE_MAX 512

static const struct vfc_ring_layout ring_layouts[] = {
	{.done = 1, .size = 16, .control = 8, .length_shift = 32, .length_bits = 16},
	{.done = UINT64_C(1) << 32, .size = 16, .control = 8, .length_bits = 16},
	{.done = UINT64_C(3) << 62, .size = 32, .address = 16, .control = 24, .length_shift = 16,
	 .length_bits = 16},
	{.done = UINT64_C(1) << 32, .report = UINT64_C(1) << 27, .errors = UINT64_C(1) << 33,
	 .size = 16, .control = 8, .length_bits = 16},
	{.style = VFC_RING_HEAD, .report = UINT64_C(1) << 27, .size = 16, .control = 8,
	 .length_bits = 16},
	{.style = VFC_RING_HEAD, .size = 16, .control = 8, .length_bits = 16},
	{.style = VFC_RING_PHASE, .size = 64, .address = 24, .control = 0, .id_shift = 16},
	{.style = VFC_RING_SPLIT, .size = 16, .control = 8, .length_bits = 32},
	{.style = VFC_RING_PACKED, .size = 16, .control = 8, .length_bits = 32},
};

struct ring_device {
	struct vfc_ring *ring;
	const struct vfc_ring_layout *layout;
	uint32_t doorbell, consumed;
	uint32_t head;  /* next descriptor to take */
	uint32_t tail;  /* next completion to write */
	uint32_t index; /* virtio: free running, next to take */
	bool wrap, phase;
	/* Taken and not finished: the descriptor, and the id that it carries. */
	uint32_t slots[RING_DEVICE_MAX], ids[RING_DEVICE_MAX], taken;
	uint64_t finished;
};

static inline uint64_t ring_device_control(const struct ring_device *device, uint32_t slot)
{
	return VFC_RING_LOAD64(device->ring->descriptors + slot * device->layout->size +
			       device->layout->control);
}

static inline void ring_device_start(struct ring_device *device, struct vfc_ring *ring,
				     const struct vfc_ring_layout *layout)
{
	memset(device, 0, sizeof(*device));
	device->ring = ring;
	device->layout = layout;
	device->wrap = device->phase = true;
}

static inline void ring_device_open(struct ring_device *device, struct vfc_ring *ring,
				    const struct vfc_ring_layout *layout, struct vfc_iommu *iommu,
				    uint32_t entries)
{
	CHECK(entries <= RING_DEVICE_MAX);
	CHECK_EQ(vfc_ring_init(ring, layout, iommu, entries, &device->doorbell), 0);
	ring_device_start(device, ring, layout);
	ring->consumed = &device->consumed;
}

static inline uint32_t ring_device_next(const struct ring_device *device, uint32_t slot)
{
	return slot + 1 == device->ring->entries ? 0 : slot + 1;
}

/* Whether the descriptor at device->head may be taken. */
static inline bool ring_device_sees(const struct ring_device *device)
{
	const struct vfc_ring *ring = device->ring;
	uint64_t control;

	switch (device->layout->style) {
	case VFC_RING_SPLIT:
		return (uint16_t)device->index != VFC_RING_LOAD16(ring->available + 2);
	case VFC_RING_PACKED:
		control = ring_device_control(device, device->head);
		return !!(control & VFC_RING_AVAIL) == device->wrap &&
		       !!(control & VFC_RING_USED) != device->wrap;
	default:
		return device->head != VFC_LE32(device->doorbell);
	}
}

/* Take all that was announced. Return: how many. */
static inline uint32_t ring_device_take(struct ring_device *device)
{
	const struct vfc_ring *ring = device->ring;
	uint32_t n = 0, slot;

	for (; device->taken < ring->entries && ring_device_sees(device); n++) {
		slot = device->head;
		if (device->layout->style == VFC_RING_SPLIT)
			slot = VFC_RING_LOAD16(ring->available + 4 +
					       2 * (device->index++ & (ring->entries - 1)));
		device->slots[device->taken] = device->ids[device->taken] = slot;
		if (device->layout->style == VFC_RING_PHASE)
			device->ids[device->taken] = (uint16_t)(ring_device_control(device, slot) >>
								device->layout->id_shift);
		if (device->layout->style == VFC_RING_PACKED)
			device->ids[device->taken] =
				(uint16_t)(ring_device_control(device, slot) >> 32);
		device->taken++;
		device->head = ring_device_next(device, device->head);
		device->wrap ^= device->head == 0;
	}
	return n;
}

static inline void ring_device_write_done(struct ring_device *device, uint32_t slot, uint32_t length)
{
	const struct vfc_ring_layout *layout = device->layout;
	uint64_t control = ring_device_control(device, slot);

	if (layout->report && !(control & layout->report))
		return;
	VFC_RING_STORE64(device->ring->descriptors + slot * layout->size + layout->control,
			 layout->done | (uint64_t)(length & 0xffff) << layout->length_shift);
}

static inline void ring_device_write_entry(struct ring_device *device, uint32_t id, uint32_t length)
{
	uint8_t *completions = device->ring->completions, *entry;

	switch (device->layout->style) {
	case VFC_RING_PHASE:
		entry = completions + device->tail * VFC_RING_ENTRY;
		VFC_RING_STORE64(entry, length);
		VFC_RING_STORE64(entry + 8, (uint64_t)id << 32 | (uint64_t)device->phase << 48);
		break;
	case VFC_RING_SPLIT:
		entry = completions + 4 + 8 * device->tail;
		memcpy(entry, &(uint32_t){VFC_LE32(id)}, 4);
		memcpy(entry + 4, &(uint32_t){VFC_LE32(length)}, 4);
		VFC_RING_STORE16(completions + 2, VFC_RING_LOAD16(completions + 2) + 1);
		break;
	default:
		VFC_RING_STORE64(device->ring->descriptors + 16 * device->tail + 8,
				 length | (uint64_t)id << 32 |
					 (device->phase ? VFC_RING_AVAIL | VFC_RING_USED : 0));
	}
	device->tail = ring_device_next(device, device->tail);
	device->phase ^= device->tail == 0;
}

/* Finish one of those that were taken: the @which-th, or the oldest where order is kept. */
static inline void ring_device_finish(struct ring_device *device, uint32_t which, uint32_t length)
{
	bool ordered = device->layout->style <= VFC_RING_HEAD;
	uint32_t slot, id;

	which = ordered ? 0 : which % device->taken;
	slot = device->slots[which];
	id = device->ids[which];
	device->taken--;
	memmove(device->slots + which, device->slots + which + 1,
		(device->taken - which) * sizeof(*device->slots));
	memmove(device->ids + which, device->ids + which + 1,
		(device->taken - which) * sizeof(*device->ids));
	device->finished++;
	if (device->layout->style == VFC_RING_DONE)
		ring_device_write_done(device, slot, length);
	else if (device->layout->style == VFC_RING_HEAD)
		VFC_RING_STORE64(device->ring->completions, ring_device_next(device, slot));
	else
		ring_device_write_entry(device, id, length);
}

#endif
