/* SPDX-License-Identifier: MIT */
/* The consuming half of the ring engine: see ring.h. */
#ifndef VFIOCORE_RING_REAP_H
#define VFIOCORE_RING_REAP_H

#include "ring_layout.h"

VFC_BEGIN_DECLS

/*
 * NVMe 1.4, section 4.6: an entry has 16 bytes; in its second half lie the command id and the
 * phase.
 */
#define VFC_RING_ENTRY 16
#define VFC_RING_ENTRY_ID 32
#define VFC_RING_ENTRY_PHASE 48

/*
 * How many were posted and announced and are not known to be done: the device may complete these.
 */
VFC_TEMPLATE uint32_t vfc_ring_announced(const struct vfc_ring *ring)
{
	/* A device that guesses an id can finish what it was not told of. */
	return ring->used > ring->pending ? ring->used - ring->pending : 0;
}

VFC_TEMPLATE uint32_t vfc_ring_slot_after(const struct vfc_ring *ring, uint32_t slot, uint32_t n)
{
	slot += n;
	return slot >= ring->entries ? slot - ring->entries : slot;
}

VFC_TEMPLATE uint64_t vfc_ring_control(const struct vfc_ring *ring,
				       const struct vfc_ring_layout *layout, uint32_t slot)
{
	return VFC_RING_LOAD64(ring->descriptors + (uint64_t)slot * layout->size + layout->control);
}

/* How far the index that was written back is ahead of what is known to be done. */
VFC_TEMPLATE void vfc_ring_look_head(struct vfc_ring *ring)
{
	uint32_t index = VFC_RING_LOAD32(ring->completions);
	uint32_t from = vfc_ring_slot_after(ring, ring->head, ring->ready), n;

	n = index >= from ? index - from : index + ring->entries - from;
	if (index < ring->entries && n <= vfc_ring_announced(ring) - ring->ready)
		ring->ready += n;
	else
		ring->malformed++;
}

/* A completion that was asked for covers all descriptors since the one before. */
VFC_TEMPLATE void vfc_ring_look_reports(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint32_t announced = vfc_ring_announced(ring), ready = ring->ready, n;
	uint32_t at = ring->first_report, left = ring->report_count;
	uint32_t last = vfc_ring_slot_after(ring, ring->head, ready);
	uint64_t control;

	for (last = (last ? last : ring->entries) - 1; left; left--) {
		n = ring->reports[at];
		if (ready + n > announced)
			break;
		last = vfc_ring_slot_after(ring, last, n);
		control = vfc_ring_control(ring, layout, last);
		if ((control & layout->done) != layout->done)
			break;
		if (__builtin_expect((control & layout->errors) != 0, 0))
			ring->errors++;
		ready += n;
		at = vfc_ring_slot_after(ring, at, 1);
	}
	ring->ready = ready;
	ring->first_report = at;
	ring->report_count = left;
}

/*
 * Whether a descriptor does not tell by itself that it is done: another one, or an index, covers
 * it.
 */
VFC_TEMPLATE bool vfc_ring_covered(const struct vfc_ring_layout *layout)
{
	return layout->style == VFC_RING_HEAD || (layout->style == VFC_RING_DONE && layout->report);
}

VFC_TEMPLATE uint32_t vfc_ring_look(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	if (layout->style == VFC_RING_HEAD)
		vfc_ring_look_head(ring);
	else
		vfc_ring_look_reports(ring, layout);
	return ring->ready;
}

typedef void vfc_ring_take(void *context, const struct vfc_completion *completion);

/*
 * Which completions are good: one comparison tells that it is done and that nothing is wrong.
 * With a bias of 1 in the length, and in the mask the length's bits from 2^n up, a length that is 0
 * (it borrows from those bits) or more than 2^n is not good either.
 */
typedef struct {
	uint64_t mask;         /* bits of the control word; DONE: with those of layout->done */
	const uint64_t *value; /* of these; it may change while completions are dropped */
	vfc_ring_take *take;   /* ((control - bias) & mask) == *value */
	vfc_ring_take *drop;   /* all else that is done; the same function where all are good */
	uint64_t bias;
} vfc_ring_sieve;

VFC_TEMPLATE bool vfc_ring_good(const vfc_ring_sieve *sieve, uint64_t control)
{
	return ((control - sieve->bias) & sieve->mask) == *sieve->value;
}

/* One descriptor of those that are done in order. False: it is not done. */
VFC_TEMPLATE bool vfc_ring_reap_one(struct vfc_ring *ring, const uint8_t *control, uint32_t cookie,
				    const struct vfc_ring_layout *layout,
				    const vfc_ring_sieve *sieve, void *context)
{
	/* One load: status and length belong to the same write of the device. */
	struct vfc_completion done = {VFC_RING_LOAD64(control), cookie, 0};
	bool good = vfc_ring_good(sieve, done.control);

	if (__builtin_expect(!good, 0) && !vfc_ring_covered(layout) &&
	    (done.control & layout->done) != layout->done)
		return false;
	if (!vfc_ring_covered(layout) && done.control & layout->errors)
		ring->errors++;
	done.length = (uint32_t)(done.control >> layout->length_shift);
	if (layout->length_bits == 16)
		done.length &= 0xffff;
	if (__builtin_expect(good, 1))
		sieve->take(context, &done);
	else
		sieve->drop(context, &done);
	return true;
}

/* The next @count slots, which do not wrap. Return: how many of them were done. */
VFC_TEMPLATE uint32_t vfc_ring_reap_stretch(struct vfc_ring *ring,
					    const struct vfc_ring_layout *layout, uint32_t count,
					    const vfc_ring_sieve *sieve, void *context)
{
	const uint8_t *control = ring->descriptors + (uint64_t)ring->head * layout->size +
				 layout->control;
	const uint32_t *start = ring->cookies + ring->head, *cookies = start;
	uint32_t n = count & ~3u, k;

	/* Four at a time: the pointers move once for them, and tell how many there were. */
	if (n)
		for (; cookies != start + n; cookies += 4, control += 4 * (uint64_t)layout->size)
			VFC_UNROLL
			for (k = 0; k < 4; k++)
				if (!vfc_ring_reap_one(ring, control + k * (uint64_t)layout->size,
						       cookies[k], layout, sieve, context))
					return (uint32_t)(cookies - start) + k;
	for (; n < count; n++, control += layout->size)
		if (!vfc_ring_reap_one(ring, control, *cookies++, layout, sieve, context))
			break;
	return n;
}

/* Up to the ring's end; there may be more behind it. */
VFC_TEMPLATE uint32_t vfc_ring_reap_in_order(struct vfc_ring *ring,
					     const struct vfc_ring_layout *layout, uint32_t count,
					     const vfc_ring_sieve *sieve, void *context)
{
	uint32_t most = vfc_ring_covered(layout) ? vfc_ring_look(ring, layout) :
						   vfc_ring_announced(ring);
	uint32_t head = ring->head, entries = ring->entries;

	if (head >= entries)
		__builtin_unreachable();
	if (count > most)
		count = most;
	if (count > entries - head)
		count = entries - head;
	count = vfc_ring_reap_stretch(ring, layout, count, sieve, context);
	head += count;
	ring->head = head == entries ? 0 : head;
	ring->used -= count;
	if (vfc_ring_covered(layout))
		ring->ready -= count;
	return count;
}

/* Free an id. False: the device was never given it, or has finished it already. */
VFC_TEMPLATE bool vfc_ring_release_id(struct vfc_ring *ring, uint32_t id, uint32_t *cookie)
{
	if (id >= ring->entries || ring->cookies[id] == VFC_RING_NONE) {
		ring->malformed++;
		return false;
	}
	*cookie = ring->cookies[id];
	ring->cookies[id] = VFC_RING_NONE;
	ring->ids[ring->room - ring->used] = (uint16_t)id;
	ring->used--;
	return true;
}

VFC_TEMPLATE void vfc_ring_advance(struct vfc_ring *ring)
{
	if (++ring->head == ring->entries) {
		ring->head = 0;
		ring->phase ^= 1;
	}
}

/* The next entry of the completion queue. */
VFC_TEMPLATE bool vfc_ring_peek_phase(const struct vfc_ring *ring, uint64_t *control)
{
	*control = VFC_RING_LOAD64(ring->completions + (uint64_t)ring->head * VFC_RING_ENTRY + 8);
	return (*control >> VFC_RING_ENTRY_PHASE & 1) == ring->phase;
}

VFC_TEMPLATE bool vfc_ring_peek_packed(const struct vfc_ring *ring,
				       const struct vfc_ring_layout *layout, uint64_t *control)
{
	uint64_t both = VFC_RING_AVAIL | VFC_RING_USED;

	*control = vfc_ring_control(ring, layout, ring->head);
	return (*control & both) == (ring->phase ? both : 0);
}

VFC_TEMPLATE uint32_t vfc_ring_used_entries(struct vfc_ring *ring)
{
	uint32_t n = (uint16_t)(VFC_RING_LOAD16(ring->completions + 2) - ring->seen);

	if (n > vfc_ring_announced(ring)) {
		ring->malformed++;
		n = vfc_ring_announced(ring);
	}
	return n;
}

/* One completion out of order, if there is one. @id: which it claims to be. */
VFC_TEMPLATE bool vfc_ring_take_next(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				     struct vfc_completion *done, uint32_t *id)
{
	const uint8_t *entry;

	if (layout->style == VFC_RING_PHASE) {
		if (!vfc_ring_peek_phase(ring, &done->control))
			return false;
		vfc_from_device(); /* the other half of the entry was written before its phase */
		entry = ring->completions + (uint64_t)ring->head * VFC_RING_ENTRY;
		done->length = VFC_RING_LOAD32(entry);
		*id = (uint16_t)(done->control >> VFC_RING_ENTRY_ID);
		ring->consumed_pending++;
		vfc_ring_advance(ring);
	} else if (layout->style == VFC_RING_SPLIT) {
		entry = ring->completions + 4 + 8 * (uint64_t)(ring->seen & (ring->entries - 1));
		*id = VFC_RING_LOAD32(entry);
		done->length = VFC_RING_LOAD32(entry + 4);
		done->control = *id | (uint64_t)done->length << 32;
		ring->seen++;
	} else {
		if (!vfc_ring_peek_packed(ring, layout, &done->control))
			return false;
		done->length = (uint32_t)done->control;
		*id = (uint16_t)(done->control >> 32);
		vfc_ring_advance(ring);
	}
	return true;
}

VFC_TEMPLATE uint32_t vfc_ring_reap_out_of_order(struct vfc_ring *ring,
						 const struct vfc_ring_layout *layout, uint32_t count,
						 const vfc_ring_sieve *sieve, void *context)
{
	uint32_t most = vfc_ring_announced(ring), n = 0, id;
	struct vfc_completion done;

	if (layout->style == VFC_RING_SPLIT) {
		most = vfc_ring_used_entries(ring);
		vfc_from_device(); /* the index was read before the entries that it covers */
	}
	/*
	 * There are no more looks than there can be completions, so a device that writes rubbish
	 * ends it.
	 */
	for (; most && n < count && vfc_ring_take_next(ring, layout, &done, &id); most--) {
		if (!vfc_ring_release_id(ring, id, &done.cookie))
			continue;
		if (done.control & layout->errors)
			ring->errors++;
		if (vfc_ring_good(sieve, done.control))
			sieve->take(context, &done);
		else
			sieve->drop(context, &done);
		n++;
	}
	if (layout->style == VFC_RING_PHASE && ring->consumed_pending && ring->consumed) {
		vfc_mmio_write32(ring->consumed, ring->head);
		ring->consumed_pending = 0;
	}
	return n;
}

/*
 * vfc_ring_reap_some() - hand up to @count completions to functions, in order. It may hand over
 * fewer than there are, but none only if there are none.
 * It looks only at what a kick announced: a descriptor that is still being written is not done,
 * whatever its old status says. The functions must not read the buffer, since the status is ordered
 * before the buffer only when this returns. Return: how many.
 */
VFC_TEMPLATE uint32_t vfc_ring_reap_some(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
					 uint32_t count, const vfc_ring_sieve *sieve, void *context)
{
	uint32_t n = vfc_ring_in_order(layout) ?
			     vfc_ring_reap_in_order(ring, layout, count, sieve, context) :
			     vfc_ring_reap_out_of_order(ring, layout, count, sieve, context);

	vfc_from_device(); /* the status was read before the caller reads the buffers */
	return n;
}

/* vfc_ring_reap_each() - likewise, and fewer than @count only when there are no more. */
VFC_TEMPLATE uint32_t vfc_ring_reap_each(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
					 uint32_t count, const vfc_ring_sieve *sieve, void *context)
{
	uint32_t n = vfc_ring_reap_some(ring, layout, count, sieve, context);

	/* At most once again: the rest begins where the ring does. */
	if (n && n < count && vfc_ring_in_order(layout) && !ring->head)
		n += vfc_ring_reap_some(ring, layout, count - n, sieve, context);
	return n;
}

/* Everything that is done is good. */
VFC_TEMPLATE uint32_t vfc_ring_reap_all(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
					uint32_t count, vfc_ring_take *take, void *context)
{
	uint64_t done = layout->style == VFC_RING_DONE && !vfc_ring_covered(layout) ? layout->done : 0;
	const vfc_ring_sieve sieve = {done, &done, take, take, 0};

	return vfc_ring_reap_each(ring, layout, count, &sieve, context);
}

VFC_TEMPLATE void vfc_ring_take_array(void *context, const struct vfc_completion *completion)
{
	struct vfc_completion **next = (struct vfc_completion **)context;

	*(*next)++ = *completion;
}

/* vfc_ring_reap() - take up to @count completions, as vfc_ring_reap_each(). Return: how many. */
VFC_INLINE uint32_t vfc_ring_reap(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				  struct vfc_completion *out, uint32_t count)
{
	return vfc_ring_reap_all(ring, layout, count, vfc_ring_take_array, &out);
}

VFC_TEMPLATE void vfc_ring_take_cookie(void *context, const struct vfc_completion *completion)
{
	uint32_t **next = (uint32_t **)context;

	*(*next)++ = completion->cookie;
}

/*
 * This does not call memcpy(). A C library's memcpy() takes the widest vectors, and QEMU's emulated
 * devices then copy each descriptor some 28 ns slower (docs/design.md). The empty instruction keeps
 * compilers from turning the loop into that call.
 */
VFC_TEMPLATE void vfc_ring_copy_cookies(uint32_t *to, const uint32_t *from, uint32_t count)
{
	for (; count >= 8; count -= 8, to += 8, from += 8) {
		__builtin_memcpy(to, from, 8 * sizeof(*to));
		__asm__ volatile("" : "+r"(to));
	}
	for (; count; count--) {
		*to++ = *from++;
		__asm__ volatile("" : "+r"(to));
	}
}

/*
 * vfc_ring_reclaim() - take the cookies alone of up to @count completions: for those who sent.
 * Where one completion covers many, this copies them at once. Return: how many.
 */
VFC_INLINE uint32_t vfc_ring_reclaim(struct vfc_ring *ring, const struct vfc_ring_layout *layout,
				     uint32_t *cookies, uint32_t count)
{
	uint32_t n, run;

	if (!vfc_ring_covered(layout))
		return vfc_ring_reap_all(ring, layout, count, vfc_ring_take_cookie, &cookies);
	n = vfc_ring_look(ring, layout);
	if (n > count)
		n = count;
	run = ring->entries - ring->head < n ? ring->entries - ring->head : n;
	vfc_ring_copy_cookies(cookies, ring->cookies + ring->head, run);
	vfc_ring_copy_cookies(cookies + run, ring->cookies, n - run);
	ring->head = vfc_ring_slot_after(ring, ring->head, n);
	ring->used -= n;
	ring->ready -= n;
	return n;
}

/* vfc_ring_ready() - 1 when vfc_ring_reap() would find something, be it rubbish. */
VFC_INLINE int vfc_ring_ready(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint64_t control;

	if (!vfc_ring_announced(ring))
		return 0;
	if (vfc_ring_covered(layout))
		return vfc_ring_look(ring, layout) > 0;
	if (layout->style == VFC_RING_PHASE)
		return vfc_ring_peek_phase(ring, &control);
	if (layout->style == VFC_RING_SPLIT)
		return VFC_RING_LOAD16(ring->completions + 2) != ring->seen;
	if (layout->style == VFC_RING_PACKED)
		return vfc_ring_peek_packed(ring, layout, &control);
	return (vfc_ring_control(ring, layout, ring->head) & layout->done) == layout->done;
}

/*
 * vfc_ring_arm() - have the next completion raise an interrupt. Virtio says that in memory, and
 * this writes it. Of any other device the driver unmasks the interrupt in a register first, and
 * reads a register back so that the write has arrived.
 * Return: vfc_ring_ready(). If it is 1, do not sleep: no interrupt may come for what is there
 * already.
 * vfc_ring_disarm() - completions need not raise one.
 */
VFC_INLINE int vfc_ring_arm(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint8_t *available = ring->available;

	if (layout->style == VFC_RING_SPLIT) {
		if (ring->event_index)
			VFC_RING_STORE16(available + 4 + 2 * (uint64_t)ring->entries, ring->seen);
		else
			VFC_RING_STORE16(available, 0);
		vfc_store_load(); /* the device knows before the last look */
	} else if (layout->style == VFC_RING_PACKED) {
		VFC_RING_STORE16(available + 2, 0);
		vfc_store_load();
	} else {
		vfc_from_register(); /* the register was read before the last look */
	}
	return vfc_ring_ready(ring, layout);
}

VFC_INLINE void vfc_ring_disarm(struct vfc_ring *ring, const struct vfc_ring_layout *layout)
{
	uint8_t *available = ring->available;

	/* With event indices there is no "never": the index just reaped comes again in 65,536. */
	if (layout->style == VFC_RING_SPLIT && ring->event_index)
		VFC_RING_STORE16(available + 4 + 2 * (uint64_t)ring->entries,
				 (uint16_t)(ring->seen - 1));
	else if (layout->style == VFC_RING_SPLIT)
		VFC_RING_STORE16(available, 1);
	else if (layout->style == VFC_RING_PACKED)
		VFC_RING_STORE16(available + 2, 1);
}

VFC_END_DECLS
#endif
