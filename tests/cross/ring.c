/* SPDX-License-Identifier: MIT */
/* The ring engine for each style of ring, one function for each thing that has an order. */
#include <vfiocore/ring.h>

#define LAYOUT(name, ...)                                                              \
	static const struct vfc_ring_layout name##_layout = {.size = 16, .control = 8,  \
							     .length_bits = 32, __VA_ARGS__}

LAYOUT(done, .style = VFC_RING_DONE, .done = 1, .report = 8);
LAYOUT(head, .style = VFC_RING_HEAD);
LAYOUT(phase, .style = VFC_RING_PHASE);
LAYOUT(split, .style = VFC_RING_SPLIT);
LAYOUT(packed, .style = VFC_RING_PACKED);

#define STYLE(name)                                                                            \
	void kick_##name(struct vfc_ring *ring) { vfc_ring_kick(ring, &name##_layout); }        \
	int arm_##name(struct vfc_ring *ring) { return vfc_ring_arm(ring, &name##_layout); }    \
	uint32_t reap_##name(struct vfc_ring *ring, struct vfc_completion *out, uint32_t count) \
	{                                                                                      \
		return vfc_ring_reap(ring, &name##_layout, out, count);                        \
	}

STYLE(done)
STYLE(head)
STYLE(phase)
STYLE(split)
STYLE(packed)

/* Each barrier alone, for the instruction that it is. */
#define ALONE(name) void alone_##name(void) { vfc_##name(); }
ALONE(to_device)
ALONE(to_memory)
ALONE(from_device)
ALONE(from_register)
ALONE(store_load)
ALONE(flush_wc)
