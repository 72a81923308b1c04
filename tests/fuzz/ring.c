/* SPDX-License-Identifier: MIT */
/*
 * A hostile device under a network interface: the hot paths of the drivers that are here, and of one
 * for each style of the ring engine. Lengths, indices, ids, flags and done bits are what the input
 * says, in any order, or never come; the caller forges packets, stops, resets and resizes.
 *
 * Whatever it writes: a buffer that is received was with the device and is nobody else's, its frame
 * fits into it, and none is lost or there twice.
 */
#include <errno.h>
#include <vfiocore.h>

#include "hw/igb.h"
#include "nic/intel/intel.h"
#include "nic/virtio/virtio.h"

#include "../unit/ring_device.h"
#include "input.h"

#define CHUNKS 96
#define BURST 16
#define STEPS 2000
#define ENTRIES(in) (4u << input_below(in, 4))
#define STEP (4096 / VFC_POOL_UNIT) /* a chunk lies in a page, and two do not fit */

static struct vfc_device *device;
static struct vfc_pool pool;

static void drop(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;

	receiving->dropped++;
	nic_drop(receiving->rx, done->cookie);
}

static void take(void *context, const struct vfc_completion *done)
{
	if (done->length - 1 < NIC_ROOM)
		nic_hand_over((struct nic_receiving *)context, done);
	else
		drop(context, done);
}

VFC_TEMPLATE uint32_t receive(struct nic_rx *rx, const struct vfc_ring_layout *layout,
			      struct vfc_packet *packets, uint32_t count)
{
	bool told = layout->style == VFC_RING_DONE && !layout->report;
	const uint64_t done = told ? layout->done : 0;
	const vfc_ring_sieve sieve = {done, &done, take, drop, 0};

	return nic_receive(rx, layout, &sieve, packets, count);
}

/* A driver of each layout, which is a constant in it as in the real ones. */
#define DRIVER(i)                                                                                \
	static uint32_t rx_burst_##i(struct nic_rx *rx, struct vfc_packet *packets, uint32_t n)   \
	{                                                                                        \
		return receive(rx, &ring_layouts[i], packets, n);                                \
	}                                                                                        \
	static int tx_burst_##i(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t n)      \
	{                                                                                        \
		return nic_send(tx, &ring_layouts[i], 0, 1518, packets, n);                      \
	}                                                                                        \
	static void rx_refill_##i(struct nic_rx *rx)                                             \
	{                                                                                        \
		nic_refill(rx, &ring_layouts[i], 0);                                             \
	}                                                                                        \
	static void tx_clean_##i(struct nic_tx *tx)                                              \
	{                                                                                        \
		nic_clean(tx, &ring_layouts[i]);                                                 \
	}                                                                                        \
	static bool rx_ready_##i(struct nic_rx *rx)                                               \
	{                                                                                        \
		return vfc_ring_ready(&rx->ring, &ring_layouts[i]);                              \
	}
#define ROW(i)                                                                              \
	{                                                                                   \
		.name = "fuzz", .frame_max = 1518, .rx_layout = &ring_layouts[i],           \
		.tx_layout = &ring_layouts[i], .rx_burst = rx_burst_##i, .tx_burst = tx_burst_##i, \
		.rx_refill = rx_refill_##i, .tx_clean = tx_clean_##i, .rx_ready = rx_ready_##i, \
	}

DRIVER(0)
DRIVER(1)
DRIVER(2)
DRIVER(3)
DRIVER(4)
DRIVER(5)
DRIVER(6)
DRIVER(7)
DRIVER(8)

static const struct nic_driver styles[] = {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4),
					   ROW(5), ROW(6), ROW(7), ROW(8)};
static const struct nic_driver *const drivers[] = {
	&styles[0], &styles[1], &styles[2], &styles[3], &styles[4], &styles[5], &styles[6],
	&styles[7], &styles[8], &nic_e1000e, &nic_igb, &nic_igbvf, &nic_virtio, &nic_virtio_packed,
};
#define DRIVERS (sizeof(drivers) / sizeof(*drivers))

struct port {
	struct vfc_nic nic;
	struct nic_rx rx;
	struct nic_tx tx;
	struct ring_device rx_chip, tx_chip;
	struct vfc_packet held[CHUNKS];
	uint32_t holds, longest; /* longest: frame that may be received */
	bool mine[CHUNKS]; /* by chunk: it is in our hands */
};

static void hold(struct port *port, const struct vfc_packet *packet)
{
	uint32_t index = packet->chunk / STEP;

	CHECK(packet->chunk % STEP + NIC_CHUNK / VFC_POOL_UNIT <= STEP);
	CHECK(index < CHUNKS);
	CHECK(!port->mine[index]);
	CHECK((uint8_t *)packet->data == (uint8_t *)vfc_pool_va(&pool, packet->chunk) + VFC_NIC_HEADROOM);
	CHECK_EQ(packet->iova, vfc_pool_iova(&pool, packet->chunk) + VFC_NIC_HEADROOM);
	port->mine[index] = true;
	port->held[port->holds++] = *packet;
}

static void let_go(struct port *port, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		port->mine[port->held[i].chunk / STEP] = false;
	port->holds -= n;
	memmove(port->held, port->held + n, port->holds * sizeof(*port->held));
}

static void receive_some(struct port *port, struct input *in)
{
	struct vfc_packet packets[BURST];
	int n = vfc_nic_rx_burst(&port->nic, 0, packets, (uint32_t)input_below(in, BURST + 1));

	CHECK(n >= 0 && n <= BURST);
	for (int i = 0; i < n; i++) {
		CHECK(packets[i].length >= 1 && packets[i].length <= port->longest);
		memset(packets[i].data, 0x5a, packets[i].length);
		hold(port, &packets[i]);
	}
}

static void send_some(struct port *port, struct input *in)
{
	uint32_t count = (uint32_t)input_below(in, BURST + 1);
	int n;

	if (count > port->holds)
		count = port->holds;
	for (uint32_t i = 0; i < count; i++)
		port->held[i].length = 1 + (uint32_t)input_below(in, 1600); /* some are too long */
	n = vfc_nic_tx_burst(&port->nic, 0, port->held, count);
	CHECK(n <= (int)count);
	if (n > 0)
		let_go(port, (uint32_t)n);
}

/* A packet with a number that cannot be a chunk's: refused, and nothing of it is kept. */
static void forge(struct port *port, struct input *in)
{
	uint32_t chunk = pool.limit + (uint32_t)(input_below(in, 65536) * input_below(in, 65536));
	struct vfc_packet packet = {.length = 60, .chunk = chunk, .iova = pool.memory.iova + 64};
	uint32_t used = vfc_ring_used(&port->tx.ring), before = pool.free;
	int rc;

	if (chunk < pool.limit)
		return;
	rc = vfc_nic_tx_burst(&port->nic, 0, &packet, 1);
	CHECK_EQ(rc, -EINVAL);
	CHECK(vfc_ring_used(&port->tx.ring) <= used); /* it may have cleaned */
	before = pool.free;
	vfc_nic_free(&port->nic, &packet, 1);
	CHECK_EQ(pool.free, before);
}

static void sleep_some(struct port *port, struct input *in)
{
	struct vfc_ring *ring = &port->rx.ring;
	const struct vfc_ring_layout *layout = port->nic.driver->rx_layout;

	switch (input_below(in, 3)) {
	case 0: vfc_ring_arm(ring, layout); break;
	case 1: vfc_ring_disarm(ring, layout); break;
	default: port->nic.driver->rx_ready(&port->rx);
	}
}

static void alloc_some(struct port *port, struct input *in)
{
	struct vfc_packet packets[BURST];
	int n = vfc_nic_alloc(&port->nic, packets, (uint32_t)input_below(in, BURST + 1));

	for (int i = 0; i < n; i++)
		hold(port, &packets[i]);
}

static void free_some(struct port *port, struct input *in)
{
	uint32_t count = (uint32_t)input_below(in, BURST + 1);

	if (count > port->holds)
		count = port->holds;
	vfc_nic_free(&port->nic, port->held, count);
	let_go(port, count);
}

/* Anything, anywhere in what the device can reach; often where it matters. */
static void scribble(struct ring_device *chip, struct input *in)
{
	const struct vfc_ring *ring = chip->ring;
	uint64_t words = ring->memory.length / 8, value = 0, how = input_byte(in);
	uint64_t at = how & 1 ? input_below(in, 65536) % words * 8 :
				(uint64_t)(ring->completions - ring->descriptors) + input_below(in, 32) * 8;

	for (int i = 0; i < 8; i++)
		value = value << 8 | input_byte(in);
	if (how & 2) /* the next one that is looked at */
		at = (uint64_t)ring->head * chip->layout->size + chip->layout->control;
	if (how & 4)
		value |= chip->layout->done;
	if (how & 8) /* nearly right, which is worse: small indices and ids */
		value &= UINT64_C(0x8081001f0000003f);
	if (at + 8 <= ring->memory.length)
		VFC_RING_STORE64(ring->descriptors + at, value);
}

static void behave(struct ring_device *chip, struct input *in)
{
	uint32_t n = (uint32_t)input_below(in, BURST);

	for (ring_device_take(chip); n && chip->taken; n--)
		ring_device_finish(chip, (uint32_t)input_byte(in), (uint32_t)input_below(in, 65536));
}

static void take_back(struct ring_device *chip)
{
	struct vfc_ring *ring = chip->ring;
	const struct vfc_ring_layout *layout = chip->layout;
	uint32_t used = vfc_ring_used(ring);

	CHECK(used <= pool.chunks - pool.free);
	CHECK_EQ(vfc_ring_cancel(ring, layout, pool.stack + pool.free), used);
	pool.free += used;
	ring_device_start(chip, ring, layout);
}

static void take_back_and_resize(struct ring_device *chip, struct input *in)
{
	uint32_t entries = ENTRIES(in);

	take_back(chip);
	if (input_byte(in) & 1)
		return;
	CHECK_EQ(vfc_ring_resize(chip->ring, chip->layout, entries), 0);
	ring_device_start(chip, chip->ring, chip->layout);
}

static void start(struct port *port)
{
	port->rx.expected = INTEL_RX_GOOD; /* as the drivers' start() does */
	port->rx.armed = false;
	port->nic.driver->rx_refill(&port->rx);
}

static void restart(struct port *port, struct input *in)
{
	take_back_and_resize(&port->rx_chip, in);
	take_back_and_resize(&port->tx_chip, in);
	start(port);
}

static void step(struct port *port, struct input *in)
{
	uint64_t what = input_below(in, 16);
	struct ring_device *chip = what & 1 ? &port->rx_chip : &port->tx_chip;

	switch (what / 2) {
	case 0: receive_some(port, in); break;
	case 1: send_some(port, in); break;
	case 2: what & 1 ? alloc_some(port, in) : free_some(port, in); break;
	case 3:
	case 4: scribble(chip, in); break;
	case 5:
	case 6: behave(chip, in); break;
	default:
		if (!input_below(in, 8))
			restart(port, in);
		else if (!input_below(in, 4))
			forge(port, in);
		else if (!input_below(in, 4))
			sleep_some(port, in);
		else if (what & 1)
			port->nic.driver->rx_refill(&port->rx);
		else
			port->nic.driver->tx_clean(&port->tx);
	}
	CHECK(pool.free <= CHUNKS);
	CHECK(vfc_ring_used(&port->rx.ring) <= port->rx.ring.room);
	CHECK(vfc_ring_used(&port->tx.ring) <= port->tx.ring.room);
	CHECK_EQ(pool.free + vfc_ring_used(&port->rx.ring) + vfc_ring_used(&port->tx.ring) +
		 port->holds, CHUNKS);
}

/* As nic_open() chooses: for an MTU that is not the usual one, or to refuse wrong checksums. */
static void other_options(struct port *port, struct input *in)
{
	const uint32_t least = 68 + VFC_NIC_HEADER;
	uint32_t frame_max = least + (uint32_t)input_below(in, NIC_ROOM - least + 1);
	bool e1000e = port->nic.driver->device == E1000E_DEVICE;
	struct vfc_nic *nic = &port->nic;

	nic->own = *nic->driver;
	nic->own.rx_burst = nic->own.rx_burst_any;
	nic->own.tx_burst = nic->own.tx_burst_any;
	nic->driver = &nic->own;
	nic->frame_max = port->longest = frame_max;
	port->rx.refused = (e1000e ? E1000E_RX_ERRORS : IGB_RX_ERRORS) |
			   (input_byte(in) & 1 ? E1000E_RX_CHECKSUM : 0);
}

static void open_port(struct port *port, struct input *in)
{
	const struct nic_driver *driver = drivers[input_below(in, DRIVERS)];
	struct vfc_iommu *iommu = vfc_device_iommu(device);
	uint32_t entries = ENTRIES(in);

	memset(port, 0, sizeof(*port));
	port->nic = (struct vfc_nic){.driver = driver, .device = device, .rx = &port->rx,
				     .tx = &port->tx, .queues = 1, .pool = &pool,
				     .frame_max = driver->frame_max, .room = NIC_ROOM};
	port->longest = NIC_ROOM;
	if (driver->rx_burst_any && input_byte(in) & 1)
		other_options(port, in);
	port->rx.nic = port->tx.nic = &port->nic;
	port->rx.low = nic_low_mark(entries);
	port->tx.low = nic_low_mark(entries);
	ring_device_open(&port->rx_chip, &port->rx.ring, driver->rx_layout, iommu, entries);
	ring_device_open(&port->tx_chip, &port->tx.ring, driver->tx_layout, iommu, entries);
	port->rx.ring.event_index = input_byte(in) & 1;
	port->tx.ring.event_index = input_byte(in) & 1;
	start(port);
}

/* All are back, each once. */
static void close_port(struct port *port)
{
	bool seen[CHUNKS] = {false};

	take_back(&port->rx_chip);
	take_back(&port->tx_chip);
	vfc_nic_free(&port->nic, port->held, port->holds);
	CHECK_EQ(pool.free, CHUNKS);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		CHECK(pool.stack[i] % STEP + NIC_CHUNK / VFC_POOL_UNIT <= STEP);
		CHECK(!seen[pool.stack[i] / STEP]);
		seen[pool.stack[i] / STEP] = true;
	}
	CHECK_EQ(vfc_ring_destroy(&port->rx.ring), 0);
	CHECK_EQ(vfc_ring_destroy(&port->tx.ring), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	static struct port port;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_pool_init(&pool, vfc_device_iommu(device), CHUNKS), 0);
	open_port(&port, &in);
	for (int i = 0; i < STEPS && in.left; i++)
		step(&port, &in);
	close_port(&port);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
