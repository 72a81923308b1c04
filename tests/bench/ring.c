/* SPDX-License-Identifier: MIT */
/*
 * What a packet costs: forwarding through the library's e1000e driver against a loop written by
 * hand for that one device, both over a model device in memory that writes descriptors back.
 *
 * bench-ring ours|hand BATCH ENTRIES PACKETS [QUEUES]
 *   forwards PACKETS frames of 60 bytes: receive a burst, touch a byte of each, send it, buffers from
 *   the pool and back. Prints the cycles per packet of that part alone, doorbells per 1,000 packets
 *   and the packets. forward_ours() and forward_by_hand() are functions of their own, so
 *   that callgrind can count the instructions of one (--toggle-collect).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "by_hand.h"
#include "chip.h"

#define FRAME 60
#define BURST_MAX 256
#define QUEUES_MAX 8
#define LAP 4096 /* packets */
#define LAPS_MAX 4096

static inline uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
#endif
}

/* A byte of each, four at a time. */
#define TOUCH(packets, n)                                            \
	do {                                                         \
		uint32_t at = 0, count = (uint32_t)(n);              \
		for (; count - at >= 4; at += 4)                     \
			VFC_UNROLL                                   \
			for (uint32_t k = 0; k < 4; k++)             \
				++*(uint8_t *)(packets)[at + k].data; \
		for (; at < count; at++)                             \
			++*(uint8_t *)(packets)[at].data;            \
	} while (0)

static __attribute__((noinline)) uint32_t forward_ours(struct vfc_nic *nic, uint32_t queue,
						       uint32_t batch)
{
	struct vfc_packet packets[BURST_MAX];
	int n = vfc_nic_rx_burst(nic, queue, packets, batch);

	if (n < 0)
		die("vfc_nic_rx_burst");
	TOUCH(packets, n);
	if (n && vfc_nic_tx_burst(nic, queue, packets, (uint32_t)n) != n)
		die("the transmit ring is full");
	return (uint32_t)n;
}

static __attribute__((noinline)) uint32_t forward_by_hand(struct by_hand *port, uint32_t batch)
{
	struct by_hand_packet packets[BURST_MAX];
	uint32_t n = by_hand_receive(port, packets, batch);

	TOUCH(packets, n);
	if (by_hand_send(port, packets, n) != n)
		die("the transmit ring is full");
	return n;
}

struct bench {
	bool ours;
	uint32_t batch, entries, queues;
	uint64_t packets;
	struct chip chips[QUEUES_MAX];
	struct vfc_nic *nic;
	struct by_hand ports[QUEUES_MAX];
	struct vfc_pool pool;
};

static void open_bench(struct bench *bench)
{
	struct vfc_device *device;
	uint32_t chunks = bench->queues * (2 * bench->entries + BURST_MAX);

	if (vfc_device_open("fake:e1000e", NULL, &device) ||
	    vfc_nic_pool_init(&bench->pool, vfc_device_iommu(device), chunks))
		die("fake:e1000e");
	if (bench->ours) {
		bench->nic = open_nic(vfc_device_iommu(device), bench->chips, bench->queues,
				      bench->entries, &bench->pool);
		return;
	}
	for (uint32_t q = 0; q < bench->queues; q++) {
		struct chip *chip = &bench->chips[q];

		by_hand_open(&bench->ports[q], &bench->pool, bench->entries, &chip->rx_tail,
			     &chip->tx_tail);
		chip->rx = bench->ports[q].rx;
		chip->tx = bench->ports[q].tx;
		chip->entries = bench->entries;
	}
}

static uint64_t doorbells(const struct bench *bench)
{
	uint64_t n = 0;

	for (uint32_t q = 0; q < bench->queues; q++)
		n += bench->ours ? bench->nic->rx[q].ring.doorbells + bench->nic->tx[q].ring.doorbells :
				   bench->ports[q].doorbells;
	return n;
}

/* A machine that does other things, too, slows some laps: the fastest quarter of them counts. */
struct laps {
	double cycles[LAPS_MAX];
	size_t n;
	uint64_t spent, packets;
};

static void lap(struct laps *laps, uint64_t spent, uint64_t packets)
{
	laps->spent += spent;
	laps->packets += packets;
	if (laps->packets < LAP || laps->n == LAPS_MAX)
		return;
	laps->cycles[laps->n++] = (double)laps->spent / (double)laps->packets;
	laps->spent = laps->packets = 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quartile(struct laps *laps)
{
	if (!laps->n)
		return (double)laps->spent / (double)laps->packets;
	qsort(laps->cycles, laps->n, sizeof(*laps->cycles), by_value);
	return laps->cycles[laps->n / 4];
}

static uint32_t forward(struct bench *bench, uint32_t queue)
{
	return bench->ours ? forward_ours(bench->nic, queue, bench->batch) :
			     forward_by_hand(&bench->ports[queue], bench->batch);
}

static void run(struct bench *bench)
{
	static struct laps laps;
	uint64_t done = 0, start, rung;

	/* A batch of frames a queue is under way. */
	for (uint32_t q = 0; q < bench->queues; q++)
		for (uint32_t i = 0; i < bench->batch && i < bench->entries / 2; i++)
			chip_receive(&bench->chips[q], FRAME);
	rung = doorbells(bench);
	while (done < bench->packets)
		for (uint32_t q = 0; q < bench->queues; q++) {
			uint32_t n;

			start = cycles();
			n = forward(bench, q);
			lap(&laps, cycles() - start, n);
			if (!n)
				die("frames were lost");
			done += n;
			chip_run(&bench->chips[q]);
		}
	printf("{\"cycles\": %.3f, \"doorbells\": %.3f, \"packets\": %llu}\n", quartile(&laps),
	       1000.0 * (double)(doorbells(bench) - rung) / (double)done, (unsigned long long)done);
}

int main(int argc, char **argv)
{
	static struct bench bench;

	if (argc < 5) {
		fprintf(stderr, "usage: bench-ring ours|hand BATCH ENTRIES PACKETS [QUEUES]\n");
		return 2;
	}
	bench.ours = !strcmp(argv[1], "ours");
	bench.batch = (uint32_t)strtoul(argv[2], NULL, 0);
	bench.entries = (uint32_t)strtoul(argv[3], NULL, 0);
	bench.packets = strtoull(argv[4], NULL, 0);
	bench.queues = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 0) : 1;
	if (!bench.batch || bench.batch > BURST_MAX || !bench.queues || bench.queues > QUEUES_MAX ||
	    bench.entries < 64) {
		fprintf(stderr, "bench-ring: 1 to %d packets a batch, 1 to %d queues, 64 entries\n",
			BURST_MAX, QUEUES_MAX);
		return 2;
	}
	open_bench(&bench);
	run(&bench);
	return 0;
}
