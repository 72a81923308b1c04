/* SPDX-License-Identifier: MIT */
/*
 * Many frames through the driver and the model of its device: none lost, none damaged, none out of
 * order, no buffer gone. Every second, and after a tenth of the frames, it is closed and opened; after
 * half of them it is reset.
 *
 * unit-soak [FRAMES]: a million unless told otherwise. Prints what it did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nic_test.h"

#define BURST 32
#define WINDOW 128 /* frames under way: what the receive ring can hold */
#define STOPS 10
#define HEADER 14
#define FRAME_MAX 1518

/* A frame is the address, its number, and a piece of this that begins elsewhere in each. */
static uint8_t pattern[256 + FRAME_MAX];

static uint32_t length_of(uint64_t number)
{
	return 60 + (uint32_t)(number * 97 % (FRAME_MAX - 60 + 1));
}

static void write_frame(struct vfc_packet *packet, uint64_t number)
{
	uint8_t *frame = packet->data;

	packet->length = length_of(number);
	memcpy(frame, mac, 6);
	memcpy(frame + HEADER, &number, sizeof(number));
	memcpy(frame + HEADER + 8, pattern + (number & 0xff), packet->length - HEADER - 8);
}

static void check_frame(const struct vfc_packet *packet, uint64_t number)
{
	const uint8_t *frame = packet->data;

	CHECK_EQ(packet->length, length_of(number));
	CHECK(!memcmp(frame, mac, 6));
	CHECK(!memcmp(frame + HEADER, &number, sizeof(number)));
	CHECK(!memcmp(frame + HEADER + 8, pattern + (number & 0xff), packet->length - HEADER - 8));
}

static uint32_t send_some(uint64_t number, uint64_t most)
{
	struct vfc_packet packets[BURST];
	int n = vfc_nic_alloc(nic, packets, most < BURST ? (uint32_t)most : BURST);

	for (int i = 0; i < n; i++)
		write_frame(&packets[i], number + (uint64_t)i);
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, (uint32_t)n), n);
	return (uint32_t)n;
}

static uint32_t receive_some(uint64_t number)
{
	struct vfc_packet packets[BURST];
	int n = vfc_nic_rx_burst(nic, 0, packets, BURST);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++)
		check_frame(&packets[i], number + (uint64_t)i);
	vfc_nic_free(nic, packets, (uint32_t)n);
	return (uint32_t)n;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Until all of @from to @to are back, or all that were sent within a second. Return: up to which. */
static uint64_t loop(uint64_t from, uint64_t to)
{
	uint64_t sent = from, received = from;
	double end = now() + 1;
	uint32_t n;

	while (received < to) {
		if (sent < to && now() >= end)
			to = sent;
		if (sent < to && sent - received <= WINDOW - BURST)
			sent += send_some(sent, to - sent);
		n = receive_some(received);
		received += n;
		/* The model's thread has to run, too: on one CPU it does while we sleep. */
		if (!n)
			CHECK_EQ(vfc_nic_rx_wait(nic, 0, 60 * SECOND), 0);
	}
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	return received;
}

static void check_counters(uint32_t in_pool)
{
	CHECK_EQ(stats().rx_errors + stats().rx_malformed + stats().tx_errors, 0);
	CHECK_EQ(knob(VFC_FAKE_DROPPED), 0);
	CHECK_EQ(knob(VFC_FAKE_FAULTS), 0);
	CHECK(nic->pool->free + nic->rx[0].ring.room >= in_pool);
}

int main(int argc, char **argv)
{
	uint64_t frames = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000, each = frames / STOPS + 1;
	uint64_t done = 0, restarts = 0, resets = 0;
	double start = now();
	uint32_t in_pool;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 ^ i >> 8);
	up(0, 1, 256);
	in_pool = nic->pool->free;
	while (done < frames) {
		done = loop(done, done + each < frames ? done + each : frames);
		check_counters(in_pool);
		if (!resets && done >= frames / 2) {
			CHECK_EQ(vfc_nic_reset(nic), 0);
			CHECK_EQ(nic->pool->free, in_pool);
			resets++;
		} else {
			down(); /* which checks that nothing stays mapped */
			up(0, 1, 256);
			restarts++;
		}
	}
	down();
	printf("%llu frames in %.1f s: none lost or damaged; %llu times closed and opened, %llu reset\n",
	       (unsigned long long)done, now() - start, (unsigned long long)restarts,
	       (unsigned long long)resets);
	return 0;
}
