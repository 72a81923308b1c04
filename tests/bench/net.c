/* SPDX-License-Identifier: MIT */
/*
 * PROGRAM FROM TO BATCH WINDOW SECONDS
 * PROGRAM FROM TO BATCH WINDOW count FRAMES
 *
 * One thread: bursts of 60-byte frames out of the first interface, whatever has come out of the
 * second. WINDOW frames are under way at most; 0: any number, and what does not fit is lost.
 * Prints a line of JSON: frames a second sent and received; or what FRAMES of them took: reads and
 * writes of registers and system calls, per 1,000 frames sent.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "traps.h"

#define SECOND INT64_C(1000000000)
#define STALL (SECOND / 20)
#define GLANCE 16 /* bursts between two looks at the clock */
#define TRIES 4   /* a burst more than was sent now and then, so that nothing piles up */

struct loop {
	uint8_t frame[NET_FRAME];
	uint32_t batch, window;
	uint64_t sent, received, lost, seen;
	int64_t moved;
};

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static uint64_t flying(const struct loop *loop)
{
	uint64_t gone = loop->received + loop->lost;

	return loop->sent > gone ? loop->sent - gone : 0;
}

static void turn(struct loop *loop)
{
	uint32_t n, tries = 0;

	if (!loop->window || flying(loop) < loop->window)
		loop->sent += net_send(loop->frame, loop->batch);
	do {
		n = net_receive(loop->batch);
		loop->received += n;
	} while (n == loop->batch && ++tries < TRIES);
}

/* What does not arrive for so long never will. */
static void give_up(struct loop *loop, int64_t at)
{
	if (loop->received != loop->seen)
		loop->moved = at;
	else if (at - loop->moved > STALL)
		loop->lost += flying(loop), loop->moved = at;
	loop->seen = loop->received;
}

static void measure(struct loop *loop, int64_t length)
{
	int64_t start = now(), at = start;
	double seconds;

	for (loop->moved = start; at - start < length; at = now()) {
		for (int i = 0; i < GLANCE; i++)
			turn(loop);
		give_up(loop, at);
	}
	seconds = (double)(at - start) / SECOND;
	printf("{\"tx\": %.0f, \"rx\": %.0f}\n", (double)loop->sent / seconds,
	       (double)loop->received / seconds);
}

static void count(struct loop *loop, uint64_t frames)
{
	struct traps traps;

	for (int i = 0; i < 100; i++) /* the rings are full, and the memory was touched */
		turn(loop);
	loop->sent = loop->received = 0;
	traps_begin();
	while (loop->sent < frames)
		turn(loop);
	traps_end(&traps);
	printf("{\"reads\": %.2f, \"writes\": %.2f, \"calls\": %.2f}\n",
	       1e3 * (double)traps.reads / (double)loop->sent,
	       1e3 * (double)traps.writes / (double)loop->sent,
	       1e3 * (double)traps.calls / (double)loop->sent);
}

int main(int argc, char **argv)
{
	struct loop loop = {.frame = {[12] = NET_TYPE >> 8, [13] = NET_TYPE & 0xff}};
	struct net_side from, to;

	if (argc >= 6) {
		from.name = argv[1];
		to.name = argv[2];
		loop.batch = (uint32_t)strtoul(argv[3], NULL, 0);
		loop.window = (uint32_t)strtoul(argv[4], NULL, 0);
	}
	if (!loop.batch || loop.batch > NET_BURST_MAX ||
	    (argc != 6 && (argc != 7 || strcmp(argv[5], "count") != 0))) {
		fprintf(stderr, "usage: %s FROM TO BATCH (to %d) WINDOW {SECONDS | count FRAMES}\n",
			argv[0], NET_BURST_MAX);
		return 2;
	}
	net_open(&from, &to);
	memcpy(loop.frame, to.mac, 6);
	memcpy(loop.frame + 6, from.mac, 6);
	if (argc == 6)
		measure(&loop, atoi(argv[5]) * SECOND);
	else
		count(&loop, strtoul(argv[6], NULL, 0));
	net_close();
	return 0;
}
