/* SPDX-License-Identifier: MIT */
/* A NIC on the fake device, brought up and taken down, for the tests of the driver. */
#ifndef VFC_NIC_TEST_H
#define VFC_NIC_TEST_H

#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "hw/e1000e.h"
#include "kernel/sys.h"
#include "nic/nic.h"
#include "test.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* Of a received frame's completion. */
#define LENGTH(n) ((uint64_t)(n) << E1000E_RX_LENGTH_SHIFT)
#define GOOD (E1000E_RX_DD | E1000E_RX_EOP)

static struct vfc_device *device;
static struct vfc_nic *nic;
static uint8_t mac[6];

static inline uint64_t knob(uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

static inline struct vfc_nic_stats stats(void)
{
	struct vfc_nic_stats now = {.size = sizeof(now)};

	CHECK_EQ(vfc_nic_stats(nic, &now), 0);
	return now;
}

/* What a device would write for the frame that is so many ahead, while the model is quiet. */
static inline void complete(uint32_t ahead, uint64_t control)
{
	const struct vfc_ring *ring = &nic->rx[0].ring;
	volatile uint64_t *descriptors = (volatile uint64_t *)(void *)ring->descriptors;

	descriptors[2 * ((ring->head + ahead) % ring->entries) + 1] = control;
}

/* Nobody holds a chunk but the rings and the pool. */
static inline void none_lost(void)
{
	CHECK_EQ(nic->pool->chunks, nic->pool->free + nic->rx[0].ring.used + nic->tx[0].ring.used);
}

static inline void up(uint32_t flags, uint32_t queues, uint32_t entries)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = flags, .queues = queues,
				    .rx_entries = entries, .tx_entries = entries};
	struct vfc_nic_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), 0);
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	memcpy(mac, info.mac, 6);
}

static inline void down(void)
{
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static inline void fill(uint8_t *frame, const uint8_t *to, uint32_t length, uint8_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(seed + i * 7);
	memcpy(frame, to, length < 6 ? length : 6);
}

/* The next frame, which must come within a second. */
static inline int receive(uint8_t *frame, uint32_t size)
{
	int n;

	CHECK_EQ(vfc_nic_rx_wait(nic, 0, 60 * SECOND), 0);
	n = vfc_nic_recv(nic, frame, size);
	CHECK(n != 0);
	return n;
}

static inline void nothing_comes(void)
{
	uint8_t frame[2048];

	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	CHECK_EQ(vfc_nic_recv(nic, frame, sizeof(frame)), 0);
}

static inline void round_trip(uint8_t seed)
{
	uint8_t out[100], in[2048];

	fill(out, mac, sizeof(out), seed);
	CHECK_EQ(vfc_nic_send(nic, out, sizeof(out)), 0);
	CHECK_EQ(receive(in, sizeof(in)), sizeof(out));
	CHECK(!memcmp(in, out, sizeof(out)));
}

#endif
