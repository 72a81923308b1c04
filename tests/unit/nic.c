/* SPDX-License-Identifier: MIT */
/* The 82574L driver on the fake device: traffic, filters, hostile completions, faults, resets. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "nic/nic.h"
#include "test.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static struct vfc_device *device;
static struct vfc_nic *nic;
static uint8_t mac[6];

static uint64_t knob(uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

static struct vfc_nic_stats stats(void)
{
	struct vfc_nic_stats now = {.size = sizeof(now)};

	CHECK_EQ(vfc_nic_stats(nic, &now), 0);
	return now;
}

static void up(uint32_t flags, uint32_t queues, uint32_t entries)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = flags, .queues = queues,
				    .rx_entries = entries, .tx_entries = entries};
	struct vfc_nic_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), 0);
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	memcpy(mac, info.mac, 6);
}

static void down(void)
{
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void fill(uint8_t *frame, const uint8_t *to, uint32_t length, uint8_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(seed + i * 7);
	memcpy(frame, to, length < 6 ? length : 6);
}

/* The next frame, which must come within a second. */
static int receive(uint8_t *frame, uint32_t size)
{
	int n;

	CHECK_EQ(vfc_nic_rx_wait(nic, 0, SECOND), 0);
	n = vfc_nic_recv(nic, frame, size);
	CHECK(n != 0);
	return n;
}

static void nothing_comes(void)
{
	uint8_t frame[2048];

	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	CHECK_EQ(vfc_nic_recv(nic, frame, sizeof(frame)), 0);
}

static void round_trip(uint8_t seed)
{
	uint8_t out[100], in[2048];

	fill(out, mac, sizeof(out), seed);
	CHECK_EQ(vfc_nic_send(nic, out, sizeof(out)), 0);
	CHECK_EQ(receive(in, sizeof(in)), sizeof(out));
	CHECK(!memcmp(in, out, sizeof(out)));
}

static void options(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .queues = 3};

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "2"));
	opts.queues = 1;
	opts.rx_entries = 100;
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EINVAL);
	opts.rx_entries = 0;
	opts.flags = 0x80;
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EINVAL);
	opts.size = 3;
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EINVAL);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void arguments(void)
{
	static const uint8_t multicast[6] = {1, 0, 0x5e};
	struct vfc_packet packet = {.length = 0};
	uint8_t frame[1519] = {0};

	up(0, 2, 64);
	CHECK_EQ(vfc_nic_rx_burst(nic, 2, &packet, 1), -EINVAL);
	CHECK_EQ(vfc_nic_tx_burst(nic, 2, &packet, 1), -EINVAL);
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, &packet, 1), -EINVAL);
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, &packet, 0), 0);
	CHECK_EQ(vfc_nic_rx_fd(nic, 2), -EINVAL);
	CHECK_EQ(vfc_nic_rx_arm(nic, 2), -EINVAL);
	CHECK_EQ(vfc_nic_rx_wait(nic, 2, 0), -EINVAL);
	CHECK_EQ(vfc_nic_drain(nic, 2, 0), -EINVAL);
	CHECK_EQ(vfc_nic_send(nic, frame, 0), -EINVAL);
	CHECK_EQ(vfc_nic_send(nic, frame, 1519), -EINVAL);
	CHECK_EQ(vfc_nic_set_mac(nic, multicast), -EINVAL);
	CHECK_EQ(vfc_nic_rx_wait(nic, 1, 2 * MS), -ETIMEDOUT);
	CHECK(vfc_nic_rx_fd(nic, 1) != vfc_nic_rx_fd(nic, 0));
	down();
}

/* Every length; short frames are padded to 60 bytes on the wire. */
static void lengths(void)
{
	uint8_t out[1518], in[2048];
	int n;

	up(VFC_NIC_PROMISC, 1, 0);
	for (uint32_t length = 1; length <= sizeof(out); length++) {
		fill(out, mac, length, (uint8_t)length);
		CHECK_EQ(vfc_nic_send(nic, out, length), 0);
		n = receive(in, sizeof(in));
		CHECK_EQ(n, length < 60 ? 60 : length);
		CHECK(!memcmp(in, out, length));
	}
	CHECK_EQ(vfc_nic_send(nic, out, 200), 0);
	CHECK_EQ(receive(in, 199), -EMSGSIZE);
	CHECK_EQ(vfc_nic_recv(nic, in, sizeof(in)), 0);
	down();
}

static void count_up(struct vfc_packet *packets, int n, uint32_t *next)
{
	for (int i = 0; i < n; i++, ++*next) {
		uint8_t *frame = packets[i].data;

		packets[i].length = 60 + *next % 1459;
		fill(frame, mac, packets[i].length, (uint8_t)*next);
		memcpy(frame + 14, next, sizeof(*next));
	}
}

static uint32_t check_up(const struct vfc_packet *packets, int n, uint32_t next)
{
	for (int i = 0; i < n; i++, next++) {
		const uint8_t *frame = packets[i].data;

		CHECK_EQ(packets[i].length, 60 + next % 1459);
		CHECK(!memcmp(frame + 14, &next, sizeof(next)));
		CHECK_EQ(frame[packets[i].length - 1],
			 (uint8_t)((uint8_t)next + (packets[i].length - 1) * 7));
	}
	return next;
}

/* Zero-copy bursts with a window that the receive ring can hold: nothing is lost or reordered. */
static void bursts(uint32_t total, uint32_t burst)
{
	uint32_t sent = 0, received = 0;
	struct vfc_packet packets[64];
	struct vfc_nic_stats s;
	int64_t end;

	up(0, 1, 256);
	end = sys_now() + 20 * SECOND;
	while (received < total) {
		int n = 0, taken;

		if (sent < total && sent - received < 128)
			n = vfc_nic_alloc(nic, packets, burst < total - sent ? burst : total - sent);
		count_up(packets, n, &sent);
		taken = vfc_nic_tx_burst(nic, 0, packets, (uint32_t)n);
		CHECK_EQ(taken, n);
		n = vfc_nic_rx_burst(nic, 0, packets, burst);
		received = check_up(packets, n, received);
		vfc_nic_free(nic, packets, (uint32_t)n);
		if (n == 0 && sent == total)
			vfc_nic_rx_wait(nic, 0, 10 * MS);
		CHECK(sys_now() < end);
	}
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	s = stats();
	CHECK_EQ(s.rx_frames, received);
	CHECK_EQ(s.tx_frames, sent);
	CHECK_EQ(s.rx_bytes, s.tx_bytes);
	CHECK_EQ(s.rx_errors + s.rx_missed + s.rx_malformed + s.tx_errors, 0);
	CHECK(s.tx_doorbells <= sent / burst + 1);
	CHECK(s.rx_doorbells <= received / 32 + 2 + 2000); /* + those of rx_wait */
	down();
}

/* The ring takes what fits; every buffer comes back in the end. */
static void exhaustion(void)
{
	struct vfc_packet packets[2000];
	uint32_t in_pool;
	int n, taken;

	up(0, 1, 64);
	in_pool = nic->pool.free;
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 0), 0);
	n = vfc_nic_alloc(nic, packets, 2000);
	CHECK_EQ(n, in_pool);
	CHECK_EQ(vfc_nic_alloc(nic, packets + n, 1), 0);
	for (int i = 0; i < n; i++) {
		memset(packets[i].data, 0xff, 60);
		packets[i].length = 60;
	}
	packets[10].length = 0; /* stops there */
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, (uint32_t)n), 10);
	packets[10].length = 60;
	taken = vfc_nic_tx_burst(nic, 0, packets + 10, (uint32_t)n - 10);
	CHECK(taken >= 53 && taken <= 63);
	vfc_nic_free(nic, packets + 10 + taken, (uint32_t)(n - 10 - taken));
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	CHECK_EQ(nic->pool.free, in_pool);
	vfc_nic_free(nic, packets, 1); /* freed twice: no harm to the pool */
	packets[0].chunk = 1 << 30;
	vfc_nic_free(nic, packets, 1);
	CHECK(nic->pool.free <= nic->pool.chunks);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* A caller that keeps what it receives starves the ring; when it gives back, traffic goes on. */
static void starvation(void)
{
	struct vfc_packet held[1000];
	uint32_t n = 0;
	uint8_t frame[60];

	up(0, 1, 8);
	fill(frame, mac, sizeof(frame), 1);
	for (int i = 0; i < 1000 && nic->pool.free; i++) {
		CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
		CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
		n += (uint32_t)vfc_nic_rx_burst(nic, 0, held + n, 1000 - n);
	}
	CHECK(n > 200);
	vfc_nic_free(nic, held, n);
	while (vfc_nic_rx_burst(nic, 0, held, 8) > 0)
		vfc_nic_free(nic, held, 1);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void filters(void)
{
	static const uint8_t other[6] = {0x02, 1, 2, 3, 4, 5}, group[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t frame[64], in[2048];

	up(0, 1, 0);
	fill(frame, other, sizeof(frame), 3);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	nothing_comes();
	fill(frame, group, sizeof(frame), 3);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(receive(in, sizeof(in)), 64);
	fill(frame, all, sizeof(frame), 3);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(receive(in, sizeof(in)), 64);
	fill(frame, other, sizeof(frame), 3);
	CHECK_EQ(vfc_nic_promisc(nic, true), 0);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(receive(in, sizeof(in)), 64);
	CHECK_EQ(vfc_nic_promisc(nic, false), 0);
	CHECK_EQ(vfc_nic_set_mac(nic, other), 0);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(receive(in, sizeof(in)), 64);
	fill(frame, mac, sizeof(frame), 3);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	nothing_comes();
	CHECK_EQ(vfc_nic_reset(nic), 0); /* back to the NVM's address */
	round_trip(3);
	down();
}

static void link_state(void)
{
	struct vfc_nic_link link;

	up(0, 1, 0);
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
	CHECK_EQ(vfc_nic_link(nic, &link), 0);
	CHECK_EQ(link.up, 1);
	CHECK_EQ(link.speed, 1000);
	CHECK_EQ(link.full_duplex, 1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 0), 0);
	CHECK_SOON(vfc_nic_link(nic, &link) == 0 && !link.up);
	CHECK_EQ(link.speed, 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 3 * MS), -ETIMEDOUT);
	down();
}

/* The device claims lengths that cannot be: dropped, counted, and the buffers are used again. */
static void hostile_lengths(void)
{
	static const uint32_t claims[] = {2049, 4096, 0xffff, 0x10000 /* 0 in 16 bits */};
	uint8_t frame[60], in[2048];
	uint64_t bad = 0;

	up(0, 1, 16);
	fill(frame, mac, sizeof(frame), 5);
	for (uint32_t i = 0; i < 400; i++) {
		CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, claims[i % 4]), 0);
		CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
		bad++;
		CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
		CHECK_EQ(vfc_nic_recv(nic, in, sizeof(in)), 0);
	}
	CHECK_EQ(stats().rx_malformed, bad);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, 2048), 0);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(receive(in, sizeof(in)), 2048);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, 0), 0);
	round_trip(9);
	down();
}

/* A frame in parts is no frame: everything up to its end is dropped. */
static void parts(void)
{
	struct nic_rx *rx;
	struct vfc_packet packets[8];
	uint64_t *control;

	up(0, 1, 16);
	rx = &nic->rx[0];
	control = (uint64_t *)(void *)rx->ring.descriptors;
	control[1] = VFC_LE64(1 | UINT64_C(100) << 32);     /* done, goes on */
	control[3] = VFC_LE64(1 | UINT64_C(100) << 32);
	control[5] = VFC_LE64(3 | UINT64_C(50) << 32);      /* the end of it */
	control[7] = VFC_LE64(3 | UINT64_C(70) << 32);      /* a whole frame */
	control[9] = VFC_LE64(3 | UINT64_C(70) << 32 | 1 << 24); /* with a CRC error */
	CHECK_EQ(vfc_nic_rx_burst(nic, 0, packets, 8), 1);
	CHECK_EQ(packets[0].length, 70);
	CHECK_EQ(stats().rx_malformed, 3);
	CHECK_EQ(stats().rx_errors, 1);
	vfc_nic_free(nic, packets, 1);
	down();
}

/* The frame's address is not mapped: the device faults and stands; a reset brings it back. */
static void fault_and_reset(void)
{
	struct vfc_packet packets[2];
	uint8_t frame[60];

	up(0, 1, 0);
	round_trip(1);
	CHECK_EQ(vfc_nic_alloc(nic, packets, 2), 2);
	packets[0].iova = 0x7fff00000;
	packets[0].length = 100;
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, 1), 1);
	CHECK_SOON(knob(VFC_FAKE_FAULTS) == 1);
	CHECK_EQ(knob(VFC_FAKE_FAULT_IOVA), 0x7fff00000);
	fill(frame, mac, sizeof(frame), 4);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, 5 * MS), -ETIMEDOUT);
	CHECK_EQ(vfc_nic_reset(nic), 0);
	CHECK_EQ(knob(VFC_FAKE_RESETS), 1);
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	round_trip(2);
	/* A packet that was held across the reset is still good. */
	fill(packets[1].data, mac, 80, 8);
	packets[1].length = 80;
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets + 1, 1), 1);
	CHECK_EQ(receive(frame, sizeof(frame)), -EMSGSIZE);
	down();
}

/* Memory that is unmapped while the device reads it: it faults, and never reads what is gone. */
static void unmap_under_traffic(void)
{
	struct vfc_packet packets[32];
	struct vfc_dma dma;

	up(0, 1, 64);
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(vfc_dma_alloc(vfc_device_iommu(device), 32 * 2048, NULL, &dma), 0);
		CHECK_EQ(vfc_nic_alloc(nic, packets, 32), 32);
		for (int k = 0; k < 32; k++) {
			packets[k].iova = dma.iova + (uint64_t)k * 2048;
			packets[k].length = 1000;
		}
		CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, 32), 32);
		if (i % 2)
			sys_sleep(i * 2000);
		CHECK_EQ(vfc_dma_free(&dma), 0); /* and back to the system: a late read would crash */
		if (i % 4 == 0)
			sys_sleep(MS); /* for the device to find nothing there */
		CHECK_EQ(vfc_nic_reset(nic), 0);
	}
	CHECK(knob(VFC_FAKE_FAULTS) > 0);
	round_trip(1);
	down();
}

static void reset_under_traffic(void)
{
	struct vfc_packet packets[32];
	uint32_t in_pool;

	up(0, 2, 64);
	in_pool = nic->pool.free;
	for (int i = 0; i < 20; i++) {
		int n = vfc_nic_alloc(nic, packets, 32), taken;
		uint32_t next = 0;

		count_up(packets, n, &next);
		taken = vfc_nic_tx_burst(nic, (uint32_t)i % 2, packets, (uint32_t)n);
		vfc_nic_free(nic, packets + taken, (uint32_t)(n - taken));
		if (i % 3)
			sys_sleep(100000);
		CHECK_EQ(vfc_nic_reset(nic), 0);
		CHECK_EQ(nic->pool.free, in_pool);
		round_trip((uint8_t)i);
		CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	}
	CHECK_EQ(knob(VFC_FAKE_RESETS), 20);
	CHECK_EQ(knob(VFC_FAKE_FAULTS), 0);
	down();
}

/* An event loop's way: armed, the eventfd tells; armed with frames waiting, the answer is 1. */
static void event_loop(void)
{
	struct vfc_packet packets[4];
	uint8_t frame[60];
	uint64_t fired;
	int fd;

	up(0, 1, 0);
	fd = vfc_nic_rx_fd(nic, 0);
	CHECK(fd >= 0);
	CHECK_EQ(vfc_nic_rx_arm(nic, 0), 0);
	fill(frame, mac, sizeof(frame), 4);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_SOON(read(fd, &fired, sizeof(fired)) == sizeof(fired));
	CHECK_EQ(fired, 1);
	CHECK_EQ(vfc_nic_rx_arm(nic, 0), 1);
	CHECK_EQ(vfc_nic_rx_burst(nic, 0, packets, 4), 1);
	vfc_nic_free(nic, packets, 1);
	CHECK_EQ(vfc_nic_rx_arm(nic, 0), 0);
	CHECK_EQ(vfc_nic_rx_wait(nic, 0, MS), -ETIMEDOUT);
	down();
}

/* Pulled in the middle: calls end, and closing works. */
static void pulled(void)
{
	struct vfc_nic_link link;
	uint8_t frame[60];

	up(0, 1, 0);
	round_trip(1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	CHECK_EQ(vfc_nic_link(nic, &link), 0);
	CHECK_EQ(link.up, 0);
	fill(frame, mac, sizeof(frame), 4);
	CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, 2 * MS), -ETIMEDOUT);
	CHECK_EQ(vfc_nic_rx_wait(nic, 0, 2 * MS), -ETIMEDOUT);
	CHECK_EQ(stats().rx_missed, 0);
	CHECK(vfc_nic_reset(nic) < 0);
	down();
}

int main(void)
{
	options();
	arguments();
	lengths();
	bursts(10000, 32);
	bursts(2000, 1);
	exhaustion();
	starvation();
	filters();
	link_state();
	hostile_lengths();
	parts();
	fault_and_reset();
	unmap_under_traffic();
	reset_under_traffic();
	event_loop();
	pulled();
	for (int i = 0; i < 20; i++) {
		up(0, 1, 0);
		round_trip((uint8_t)i);
		down();
	}
	return 0;
}
