/* SPDX-License-Identifier: MIT */
/*
 * mmio-bench BDF: a register read, in ns, on one device, in turns: mmio.guarded (vfc_region_load()
 * after vfc_nofault_begin()), mmio.checked (without), mmio.pread (by the kernel), each beside the bare
 * load. One JSON line for the figure that is the first argument.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vfiocore.h>

#include "device/device.h"

#define READS 2000
#define ROUNDS 41
#define STATUS 8

static struct vfc_device *device;
static volatile char *bar;

static void check(bool good, const char *what)
{
	char text[600];

	if (good)
		return;
	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "bench-mmio: %s: %s\n", what, text);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void bare(void)
{
	for (int i = 0; i < READS; i++)
		vfc_mmio_read32(bar + STATUS);
}

static void checked(void)
{
	for (int i = 0; i < READS; i++)
		check(vfc_region_load(device, VFC_REGION_BAR0, STATUS, 4) >= 0, "vfc_region_load");
}

static void guarded(void)
{
	check(vfc_nofault_begin() == 0, "vfc_nofault_begin");
	checked();
	check(vfc_nofault_end() == 0, "vfc_nofault_end");
}

static void by_pread(void)
{
	uint32_t value;

	for (int i = 0; i < READS; i++)
		check(device->ops->read(device->transport, device->regions[0].position + STATUS, &value,
					4) == 0, "pread");
}

static double timed(void (*run)(void))
{
	double start = now();

	run();
	return (now() - start) / READS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} figures[] = {{"guarded", guarded}, {"checked", checked}, {"pread", by_pread}};
	double samples[2][ROUNDS];
	volatile void *address;

	check(argc == 3, "usage: bench-mmio guarded|checked|pread DEVICE");
	check(vfc_device_open(argv[2], NULL, &device) == 0, "vfc_device_open");
	check(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &address) == 0, "vfc_region_map");
	bar = address;
	for (size_t f = 0; f < sizeof(figures) / sizeof(*figures); f++) {
		if (strcmp(figures[f].name, argv[1]) != 0)
			continue;
		for (int n = 0; n < ROUNDS; n++) {
			samples[0][n] = timed(figures[f].run);
			samples[1][n] = timed(bare);
		}
		for (int i = 0; i < 2; i++)
			qsort(samples[i], ROUNDS, sizeof(**samples), compare);
		printf("{\"name\": \"mmio.%s\", \"value\": %.2f, \"baseline_value\": %.2f}\n", argv[1],
		       samples[0][ROUNDS / 2], samples[1][ROUNDS / 2]);
	}
	check(vfc_device_close(device) == 0, "vfc_device_close");
	return 0;
}
