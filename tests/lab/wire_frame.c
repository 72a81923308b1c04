/* SPDX-License-Identifier: MIT */
#include "wire_frame.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

/* What follows the Ethernet header; the rest of the frame is a pattern that depends on the number. */
struct label {
	uint16_t length; /* of the whole frame */
	uint32_t number;
	uint64_t checksum; /* of the pattern */
} __attribute__((packed));

#define PATTERN_AT (HEADER + sizeof(struct label))

static uint64_t pattern[512];

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x45d9f3b;
	x = (x ^ x >> 16) * 0x45d9f3b;
	return x ^ x >> 16;
}

static uint32_t length_of(const struct direction *way, uint32_t number)
{
	return FRAME_MIN + mix(number) % (way->longest - FRAME_MIN + 1);
}

static const uint8_t *pattern_of(uint32_t number)
{
	return (const uint8_t *)pattern + 8 * (number % 256);
}

void frame_make_pattern(void)
{
	for (uint32_t i = 0; i < sizeof(pattern) / 8; i++)
		pattern[i] = (uint64_t)mix(2 * i + 1) << 32 | mix(2 * i + 2);
}

/* Each bit counts, and so does the order of the words. */
static uint64_t checksum(const uint8_t *data, size_t length)
{
	uint64_t sum = length, word;

	for (; length >= 8; data += 8, length -= 8) {
		memcpy(&word, data, 8);
		sum = (sum << 5 | sum >> 59) + word;
	}
	for (word = 0; length; length--)
		word = word << 8 | data[length - 1];
	return (sum << 5 | sum >> 59) + word;
}

uint32_t frame_build(const struct direction *way, uint8_t *frame)
{
	uint32_t number = way->sent, length = length_of(way, number);
	uint16_t type = htons(ETHERTYPE);
	struct label label = {.length = (uint16_t)length, .number = number};

	memcpy(frame, way->to, 6);
	memcpy(frame + 6, way->from, 6);
	memcpy(frame + 12, &type, 2);
	memcpy(frame + PATTERN_AT, pattern_of(number), length - PATTERN_AT);
	label.checksum = checksum(frame + PATTERN_AT, length - PATTERN_AT);
	memcpy(frame + HEADER, &label, sizeof(label));
	return length;
}

static bool intact(const struct direction *way, const uint8_t *frame, uint32_t length,
		   const struct label *label)
{
	return length == label->length && length == length_of(way, label->number) &&
	       !memcmp(frame, way->to, 6) && !memcmp(frame + 6, way->from, 6) &&
	       label->checksum == checksum(frame + PATTERN_AT, length - PATTERN_AT);
}

bool frame_check(struct direction *way, const uint8_t *frame, uint32_t length)
{
	struct label label;

	if (length < FRAME_MIN || frame[12] != ETHERTYPE >> 8 || frame[13] != (ETHERTYPE & 0xff))
		return false;
	memcpy(&label, frame + HEADER, sizeof(label));
	way->received++;
	way->bytes += length;
	if (label.number >= way->sent || !intact(way, frame, length, &label)) {
		way->damaged++;
		return true;
	}
	if (label.number < way->next) {
		way->reordered++;
		way->lost -= way->lost != 0;
		return true;
	}
	way->lost += label.number - way->next;
	way->next = label.number + 1;
	return true;
}
