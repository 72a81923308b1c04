/* SPDX-License-Identifier: MIT */
/* The 82574L driver on the fake device: options, traffic, filters, link, waiting. */
#include <unistd.h>

#include "nic_test.h"

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
	uint32_t free;

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
	free = vfc_nic_pool(nic)->free;
	CHECK_EQ(vfc_nic_alloc_copies(nic, &packet, 1, frame, 0), -EINVAL);
	CHECK_EQ(vfc_nic_alloc_copies(nic, &packet, 1, frame, 1519), -EINVAL);
	CHECK_EQ(vfc_nic_pool(nic)->free, free);
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
	end = sys_now() + 60 * SECOND;
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
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	s = stats();
	CHECK_EQ(s.rx_frames, received);
	CHECK_EQ(s.tx_frames, sent);
	CHECK_EQ(s.rx_bytes, s.tx_bytes);
	CHECK_EQ(s.rx_errors + s.rx_missed + s.rx_malformed + s.tx_errors, 0);
	CHECK(s.tx_doorbells <= sent / burst + 1);
	CHECK(s.rx_doorbells <= received / 32 + 2 + 2000); /* + those of rx_wait */
	down();
}

/* A pool outlives its interfaces, and has what they had: with frames sent and received, or not. */
static void shared_pool(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = 64, .tx_entries = 64};
	struct vfc_nic_info info = {.size = sizeof(info)};
	struct vfc_pool pool;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_pool_init(&pool, vfc_device_iommu(device), 200), 0);
	opts.pool = &pool;
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(vfc_nic_open(device, &opts, &nic), 0);
		CHECK(pool.free < 200);
		CHECK_EQ(vfc_nic_info(nic, &info), 0);
		memcpy(mac, info.mac, 6);
		for (int n = 0; n < i; n++)
			round_trip((uint8_t)n);
		CHECK_EQ(vfc_nic_close(nic), 0);
		CHECK_EQ(pool.free, 200);
	}
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* The ring takes what fits; every buffer comes back in the end. */
static void exhaustion(void)
{
	struct vfc_packet packets[2000];
	uint32_t in_pool;
	int n, taken;

	up(0, 1, 64);
	in_pool = nic->pool->free;
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
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
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	CHECK_EQ(nic->pool->free, in_pool);
	vfc_nic_free(nic, packets, 1); /* freed twice: no harm to the pool */
	packets[0].chunk = 1 << 30;
	vfc_nic_free(nic, packets, 1);
	CHECK(nic->pool->free <= nic->pool->chunks);
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
	for (int i = 0; i < 1000 && nic->pool->free; i++) {
		CHECK_EQ(vfc_nic_send(nic, frame, sizeof(frame)), 0);
		CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
		n += (uint32_t)vfc_nic_rx_burst(nic, 0, held + n, 1000 - n);
	}
	CHECK(n > 200);
	vfc_nic_free(nic, held, n);
	while (vfc_nic_rx_burst(nic, 0, held, 8) > 0)
		vfc_nic_free(nic, held, 1);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* Copies of one frame, and packets that go back without the interface. */
static void copies(void)
{
	struct vfc_packet packets[8];
	uint8_t out[100], in[2048];
	uint32_t free;

	up(VFC_NIC_PROMISC, 1, 0);
	fill(out, mac, sizeof(out), 3);
	free = vfc_nic_pool(nic)->free;
	CHECK_EQ(vfc_nic_alloc_copies(nic, packets, 8, out, sizeof(out)), 8);
	vfc_nic_pool_free(vfc_nic_pool(nic), packets + 4, 4);
	CHECK_EQ(vfc_nic_pool(nic)->free, free - 4);
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packets, 4), 4);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(receive(in, sizeof(in)), sizeof(out));
		CHECK(!memcmp(in, out, sizeof(out)));
	}
	down();
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
	struct vfc_nic_link link = {.size = sizeof(link)};

	up(0, 1, 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 60 * SECOND), 0);
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

int main(void)
{
	options();
	arguments();
	lengths();
	bursts(10000, 32);
	bursts(2000, 1);
	exhaustion();
	shared_pool();
	starvation();
	copies();
	filters();
	link_state();
	event_loop();
	for (int i = 0; i < 20; i++) {
		up(0, 1, 0);
		round_trip((uint8_t)i);
		down();
	}
	return 0;
}
