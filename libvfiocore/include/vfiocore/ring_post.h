/* SPDX-License-Identifier: MIT */
/* The producing half of the ring engine: see ring.h. */
#ifndef VFIOCORE_RING_POST_H
#define VFIOCORE_RING_POST_H

#include "ring_layout.h"

VFC_BEGIN_DECLS

VFC_TEMPLATE uint64_t vfc_ring_length_field(const struct vfc_ring_layout *layout, uint32_t length)
{
	return layout->length_bits == 16 ? (uint64_t)(length & 0xffff) << layout->length_shift :
	       layout->length_bits == 32 ? (uint64_t)length << layout->length_shift : 0;
}

/* The descriptor that the next vfc_ring_post() writes, for its words beside address and control. */
VFC_TEMPLATE void *vfc_ring_next(const struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint32_t slot = layout->style == VFC_RING_SPLIT ? ring->ids[ring->room - ring->used - 1] :
							  ring->tail;

	return ring->descriptors + (uint64_t)slot * layout->size;
}

/*
 * The control word is stored at once, except PACKED's first one, which is held back until the kick.
 */
VFC_TEMPLATE void vfc_ring_put_out_of_order(struct vfc_ring *ring,
					    const struct vfc_ring_layout *layout, uint64_t iova,
					    uint64_t control, uint32_t cookie)
{
	uint8_t *descriptor = (uint8_t *)vfc_ring_next(ring, layout);
	uint16_t id = ring->ids[ring->room - ring->used - 1];

	ring->cookies[id] = cookie;
	VFC_RING_STORE64(descriptor + layout->address, iova);
	if (layout->style == VFC_RING_PHASE) {
		VFC_RING_STORE64(descriptor + layout->control,
				 control | (uint64_t)id << layout->id_shift);
	} else if (layout->style == VFC_RING_SPLIT) {
		VFC_RING_STORE64(descriptor + layout->control, control);
		VFC_RING_STORE16(ring->available + 4 + 2 * (uint64_t)ring->tail, id);
	} else {
		control |= (uint64_t)id << 32 | (ring->wrap ? VFC_RING_AVAIL : VFC_RING_USED);
		if (!ring->pending)
			ring->held = control;
		else
			VFC_RING_STORE64(descriptor + layout->control, control);
	}
	if (++ring->tail == ring->entries) {
		ring->tail = 0;
		ring->wrap ^= 1;
	}
	ring->used++;
	ring->pending++;
}

/* Fill in the next buffer to be posted. False: there is none. */
typedef bool vfc_ring_give(void *context, struct vfc_buffer *buffer);

VFC_TEMPLATE uint32_t vfc_ring_post_out_of_order(struct vfc_ring *ring,
						 const struct vfc_ring_layout *layout, uint32_t count,
						 vfc_ring_give *give, void *context)
{
	struct vfc_buffer buffer;
	uint32_t n;

	for (n = 0; n < count && give(context, &buffer); n++)
		vfc_ring_put_out_of_order(ring, layout, buffer.iova,
					  buffer.command | vfc_ring_length_field(layout, buffer.length),
					  buffer.cookie);
	return n;
}

VFC_TEMPLATE bool vfc_ring_post_one(uint8_t *descriptor, uint32_t *cookie,
				    const struct vfc_ring_layout *layout, vfc_ring_give *give,
				    void *context)
{
	struct vfc_buffer buffer;

	if (!give(context, &buffer))
		return false;
	*cookie = buffer.cookie;
	VFC_RING_STORE64(descriptor + layout->address, buffer.iova);
	VFC_RING_STORE64(descriptor + layout->control,
			 buffer.command | vfc_ring_length_field(layout, buffer.length));
	return true;
}

/*
 * Post into @count slots from @slot on, which do not wrap. False: only @posted buffers were given.
 */
VFC_TEMPLATE bool vfc_ring_post_stretch(const struct vfc_ring *ring,
					const struct vfc_ring_layout *layout, uint32_t slot,
					uint32_t count, vfc_ring_give *give, void *context,
					uint32_t *posted)
{
	uint8_t *descriptor = ring->descriptors + (uint64_t)slot * layout->size;
	uint32_t *cookies = ring->cookies + slot, n = 0, k;

	/* Four at a time: the pointers move once for them. */
	for (; count - n >= 4; n += 4, cookies += 4, descriptor += 4 * (uint64_t)layout->size)
		VFC_UNROLL
		for (k = 0; k < 4; k++)
			if (!vfc_ring_post_one(descriptor + k * (uint64_t)layout->size, cookies + k,
					       layout, give, context)) {
				*posted = n + k;
				return false;
			}
	*posted = count;
	for (; n < count; n++, descriptor += layout->size)
		if (!vfc_ring_post_one(descriptor, cookies++, layout, give, context)) {
			*posted = n;
			return false;
		}
	return true;
}

VFC_TEMPLATE void vfc_ring_posted(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				  uint32_t tail, uint32_t n)
{
	ring->tail = tail;
	ring->used += n;
	ring->pending += n;
	if (layout->report)
		ring->unreported += n;
}

/*
 * vfc_ring_post_each() - post up to @count buffers that @give tells, one after the other.
 * The caller has checked vfc_ring_space(). Return: how many.
 */
VFC_TEMPLATE uint32_t vfc_ring_post_each(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
					 uint32_t count, vfc_ring_give *give, void *context)
{
	uint32_t tail = ring->tail, n = 0, run, posted;
	bool all;

	if (!vfc_ring_in_order(layout))
		return vfc_ring_post_out_of_order(ring, layout, count, give, context);
	/* Once more only after a wrap. A single descriptor has none in it. */
	do {
		run = ring->entries - tail; /* > 0 */
		if (!run)
			__builtin_unreachable();
		run = run < count - n ? run : count - n;
		all = vfc_ring_post_stretch(ring, layout, tail, run, give, context, &posted);
		n += posted;
		tail += posted;
		if (tail == ring->entries)
			tail = 0;
	} while (__builtin_expect(all && count > 1 && n < count, 0));
	vfc_ring_posted(ring, layout, tail, n);
	return n;
}

VFC_TEMPLATE bool vfc_ring_give_one(void *context, struct vfc_buffer *buffer)
{
	*buffer = *(const struct vfc_buffer *)context;
	return true;
}

VFC_TEMPLATE bool vfc_ring_give_array(void *context, struct vfc_buffer *buffer)
{
	const struct vfc_buffer **next = (const struct vfc_buffer **)context;

	*buffer = *(*next)++;
	return true;
}

/*
 * vfc_ring_post() - write the next descriptor; the device sees it after vfc_ring_kick().
 * The caller has checked vfc_ring_space(). vfc_ring_post_many() - @count of them, or as many as
 * fit.
 * Return: how many.
 */
VFC_INLINE void vfc_ring_post(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
			      const struct vfc_buffer *buffer)
{
	struct vfc_buffer copy = *buffer;

	vfc_ring_post_each(ring, layout, 1, vfc_ring_give_one, &copy);
}

VFC_INLINE uint32_t vfc_ring_post_many(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				       const struct vfc_buffer *buffers, uint32_t count)
{
	uint32_t space = vfc_ring_space(ring);

	return vfc_ring_post_each(ring, layout, count < space ? count : space, vfc_ring_give_array,
				  &buffers);
}

/* What a pool's chunks are posted as. */
typedef struct {
	const uint32_t *chunks;
	uint64_t iova; /* of chunk 0, with the offset */
	uint64_t command;
	uint32_t length;
} vfc_ring_filling;

VFC_TEMPLATE bool vfc_ring_give_chunk(void *context, struct vfc_buffer *buffer)
{
	vfc_ring_filling *filling = (vfc_ring_filling *)context;

	buffer->cookie = *filling->chunks++;
	buffer->iova = filling->iova + (uint64_t)buffer->cookie * VFC_POOL_UNIT;
	buffer->length = filling->length;
	buffer->command = filling->command;
	return true;
}

/* As vfc_ring_post_stretch(), but the cookies are copied eight at a time. */
VFC_TEMPLATE void vfc_ring_fill_stretch(const struct vfc_ring *ring,
					const struct vfc_ring_layout *layout, uint32_t slot,
					uint32_t count, vfc_ring_filling *filling)
{
	uint8_t *descriptor = ring->descriptors + (uint64_t)slot * layout->size;
	uint32_t *cookies = ring->cookies + slot, k;
	struct vfc_buffer buffer;
	const uint64_t control = filling->command | vfc_ring_length_field(layout, filling->length);

	for (; count >= 8; count -= 8, cookies += 8) {
		__builtin_memcpy(cookies, filling->chunks, 8 * sizeof(*cookies));
		VFC_UNROLL
		for (k = 0; k < 8; k++, descriptor += layout->size) {
			vfc_ring_give_chunk(filling, &buffer);
			VFC_RING_STORE64(descriptor + layout->address, buffer.iova);
			VFC_RING_STORE64(descriptor + layout->control, control);
		}
	}
	for (; count; count--, descriptor += layout->size)
		vfc_ring_post_one(descriptor, cookies++, layout, vfc_ring_give_chunk, filling);
}

VFC_TEMPLATE void vfc_ring_fill_in_order(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
					 uint32_t count, vfc_ring_filling *filling)
{
	uint32_t tail = ring->tail, run = ring->entries - tail;

	if (run > count)
		run = count;
	vfc_ring_fill_stretch(ring, layout, tail, run, filling);
	tail += run;
	if (tail == ring->entries) {
		tail = count - run;
		vfc_ring_fill_stretch(ring, layout, 0, tail, filling);
	}
	vfc_ring_posted(ring, layout, tail, count);
}

/*
 * vfc_ring_fill() - post chunks of a pool until the ring is full or the pool empty.
 * The chunk is the cookie. @offset: into each chunk; @length: of the buffer told to the device.
 * Return: how many.
 */
VFC_INLINE uint32_t vfc_ring_fill(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				  struct vfc_pool *pool, uint32_t offset, uint32_t length,
				  uint64_t command)
{
	uint32_t count = vfc_ring_space(ring);
	vfc_ring_filling filling;

	if (count > pool->free)
		count = pool->free;
	pool->free -= count;
	filling.chunks = pool->stack + pool->free;
	filling.iova = pool->memory.iova + offset;
	filling.command = command;
	filling.length = length;
	if (vfc_ring_in_order(layout))
		vfc_ring_fill_in_order(ring, layout, count, &filling);
	else
		vfc_ring_post_out_of_order(ring, layout, count, vfc_ring_give_chunk, &filling);
	return count;
}

/*
 * vfc_ring_report() - ask for a completion that covers everything posted so far (layout->report).
 * vfc_ring_kick() does it; long bursts do it in between, so that they are reaped piecewise.
 */
VFC_INLINE void vfc_ring_report(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint32_t last = (ring->tail ? ring->tail : ring->entries) - 1, at, n = ring->unreported;
	uint8_t *control = ring->descriptors + (uint64_t)last * layout->size + layout->control;

	if (!layout->report || !n)
		return;
	ring->unreported = 0;
	VFC_RING_STORE64(control, VFC_RING_LOAD64(control) | layout->report);
	if (layout->style == VFC_RING_DONE) { /* an index that is written back tells by itself */
		at = ring->first_report + ring->report_count++;
		ring->reports[at < ring->entries ? at : at - ring->entries] = (uint16_t)n;
	}
}

/* Virtio 1.2, section 2.7.10: the device asked to be told when the index passes its event. */
VFC_TEMPLATE bool vfc_ring_split_wants(const struct vfc_ring *ring, uint16_t before)
{
	const uint8_t *used = ring->completions;

	if (!ring->event_index)
		return !(VFC_RING_LOAD16(used) & 1);
	return (uint16_t)(ring->index - VFC_RING_LOAD16(used + 4 + 8 * (uint64_t)ring->entries) - 1) <
	       (uint16_t)(ring->index - before);
}

/* Section 2.8.10: never, always, or when the descriptor at an offset becomes available. */
VFC_TEMPLATE bool vfc_ring_packed_wants(const struct vfc_ring *ring)
{
	uint32_t event = VFC_RING_LOAD32(ring->completions);
	uint32_t offset = event & 0x7fff, flags = event >> 16 & 3;
	bool lap = (event >> 15 & 1) != ring->wrap; /* the event is of the lap before the tail's */

	if (flags != 2)
		return flags != 1;
	/* How far the event lies behind the tail: it was passed when that is within this kick. */
	return ring->tail + (lap ? ring->entries : 0) - 1 - offset < ring->pending;
}

VFC_TEMPLATE bool vfc_ring_publish_split(struct vfc_ring *ring)
{
	uint16_t before = ring->index;

	ring->index = (uint16_t)(ring->index + ring->pending);
	vfc_to_memory(); /* the descriptors before the index that covers them */
	VFC_RING_STORE16(ring->available + 2, ring->index);
	vfc_store_load(); /* the index before the event is read */
	return vfc_ring_split_wants(ring, before);
}

VFC_TEMPLATE bool vfc_ring_publish_packed(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint32_t first = ring->tail >= ring->pending ? ring->tail - ring->pending :
						       ring->tail + ring->entries - ring->pending;

	vfc_to_memory(); /* the other descriptors before the first one's flags */
	VFC_RING_STORE64(ring->descriptors + (uint64_t)first * layout->size + layout->control,
			 ring->held);
	vfc_store_load(); /* the flags before the event is read */
	return vfc_ring_packed_wants(ring);
}

/*
 * vfc_ring_kick() - announce what was posted, and ring the doorbell once. Nothing was posted:
 * nothing is done. With virtio the doorbell is rung only if the device asks for it.
 */
VFC_INLINE void vfc_ring_kick(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	bool wanted = true;

	if (!ring->pending)
		return;
	vfc_ring_report(ring, layout);
	if (layout->style == VFC_RING_SPLIT)
		wanted = vfc_ring_publish_split(ring);
	else if (layout->style == VFC_RING_PACKED)
		wanted = vfc_ring_publish_packed(ring, layout);
	ring->pending = 0;
	if (!wanted)
		return;
	vfc_to_device(); /* descriptors and buffers before the doorbell that announces them */
	if (layout->style == VFC_RING_SPLIT || layout->style == VFC_RING_PACKED)
		vfc_mmio_write16(ring->doorbell, ring->queue);
	else
		vfc_mmio_write32(ring->doorbell, ring->tail);
	/* Statistics read it from another thread. */
	__atomic_store_n(&ring->doorbells, ring->doorbells + 1, __ATOMIC_RELAXED);
}

VFC_END_DECLS
#endif
