/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target where there is no fuzzer: on a few inputs made by hand, on pseudo-random ones
 * that are the same in each run, and on the files given, to see a finding again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/test.h"
#include "input.h"

#define LONGEST (1 << 16)
#define RANDOM_INPUTS 100

static uint8_t data[LONGEST];

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");

	CHECK(file);
	LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
	fclose(file);
}

static void by_hand(void)
{
	static const uint8_t bytes[] = {0, 1, 2, 3, 0x55, 0x7f, 0x80, 0xaa, 0xfe, 0xff};

	LLVMFuzzerTestOneInput(data, 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		memset(data, bytes[i], 4096);
		LLVMFuzzerTestOneInput(data, 4096);
	}
	for (size_t i = 0; i < 4096; i++)
		data[i] = (uint8_t)i;
	LLVMFuzzerTestOneInput(data, 4096);
}

int main(int argc, char **argv)
{
	uint64_t state = 88172645463325252u;

	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc > 1)
		return 0;
	by_hand();
	for (int i = 0; i < RANDOM_INPUTS; i++) {
		/* Short ones, and some that are long enough for deep trees. */
		size_t size = test_random(&state) % (i % 50 ? 16384 : LONGEST);

		for (size_t j = 0; j < size; j++)
			data[j] = (uint8_t)(test_random(&state) >> 32);
		LLVMFuzzerTestOneInput(data, size);
	}
	return 0;
}
