/* SPDX-License-Identifier: MIT */
/* Frames that tell whether one of them was lost, damaged or overtaken. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define ETHERTYPE 0x88b5 /* IEEE 802: local experimental */
#define FRAME_MIN 60
#define FRAME_MAX 1514
#define HEADER 14

/* One way of the wire, and what has become of its frames. */
struct direction {
	const char *name;
	uint8_t to[6], from[6];
	uint32_t sent, received, next; /* next: the number that is expected */
	uint32_t lost, reordered, damaged;
	uint32_t longest; /* frame that our interface takes */
	uint64_t bytes;
	double start, end;
};

/* To be called once, before all else. */
void frame_make_pattern(void);

/* The next frame of that way, of which `sent` is the number. Return: its length. */
uint32_t frame_build(const struct direction *way, uint8_t *frame);

/* Count a frame that came. Return: false for one of others, which is on the wire, too, and not ours
 * to judge. */
bool frame_check(struct direction *way, const uint8_t *frame, uint32_t length);

#endif
