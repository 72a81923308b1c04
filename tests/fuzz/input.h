/* SPDX-License-Identifier: MIT */
/* The bytes of a fuzzer's input as numbers; beyond the end they are 0. */
#ifndef VFC_FUZZ_INPUT_H
#define VFC_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
};

static inline uint64_t input_byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

/* Below @n, which is at most 65536. */
static inline uint64_t input_below(struct input *in, uint64_t n)
{
	uint64_t value = input_byte(in);

	if (n > 256)
		value = value << 8 | input_byte(in);
	return value % n;
}

#endif
