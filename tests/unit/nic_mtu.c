/* SPDX-License-Identifier: MIT */
/* Other MTUs than 1500: what is sent and received, what is too long, what is refused. */
#include <stdio.h>

#include "nic_test.h"

static int open_mtu(uint32_t mtu, struct vfc_pool *pool)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = 16, .tx_entries = 16, .mtu = mtu,
				    .pool = pool};
	struct vfc_nic_info info = {.size = sizeof(info)};
	int rc = vfc_nic_open(device, &opts, &nic);

	if (rc < 0)
		return rc;
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	CHECK_EQ(info.frame_max, mtu + VFC_NIC_HEADER);
	memcpy(mac, info.mac, 6);
	return 0;
}

static void chunks(void)
{
	CHECK_EQ(vfc_nic_chunk(0), 2112);
	CHECK_EQ(vfc_nic_chunk(1500), 2112);
	CHECK_EQ(vfc_nic_chunk(2030), 2112);
	CHECK_EQ(vfc_nic_chunk(2031), 3136);
	CHECK_EQ(vfc_nic_chunk(9000), 9280);
	CHECK_EQ(vfc_nic_chunk(65517), 65600);
	CHECK_EQ(vfc_nic_chunk(65518), 0);
	CHECK_EQ(vfc_nic_chunk(UINT32_MAX), 0);
}

static void refused(void)
{
	static const uint32_t mtus[] = {1, 67, 9001, 20000, UINT32_MAX};
	struct vfc_pool pool;
	char text[64];

	for (size_t i = 0; i < sizeof(mtus) / sizeof(*mtus); i++) {
		CHECK_EQ(open_mtu(mtus[i], NULL), -EINVAL);
		snprintf(text, sizeof(text), "an MTU of %u bytes: e1000e has 68 to 9000", mtus[i]);
		CHECK(strstr(vfc_error_last()->hint, text));
	}
	CHECK_EQ(vfc_nic_pool_init(&pool, vfc_device_iommu(device), 64), 0);
	CHECK_EQ(open_mtu(2031, &pool), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "have 2112 bytes, an MTU of 2031 needs 3136"));
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
}

/* Whole up to the limit; one byte more is not sent, nor taken when the device claims to have it. */
static void lengths(uint32_t mtu)
{
	uint32_t most = mtu + VFC_NIC_HEADER, room = nic->room;
	uint8_t out[9019], in[9019];

	for (uint32_t length = 60; length <= most; length += length < most - 40 ? 37 : 1) {
		fill(out, mac, length, (uint8_t)length);
		CHECK_EQ(vfc_nic_send(nic, out, length), 0);
		CHECK_EQ(receive(in, sizeof(in)), length);
		CHECK(!memcmp(in, out, length));
	}
	CHECK_EQ(vfc_nic_send(nic, out, most + 1), -EINVAL);
	CHECK_EQ(stats().rx_errors, 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, most + 1), 0);
	CHECK_EQ(vfc_nic_send(nic, out, 60), 0);
	nothing_comes();
	CHECK_EQ(stats().rx_errors, 1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, room + 1), 0);
	CHECK_EQ(vfc_nic_send(nic, out, 60), 0);
	nothing_comes();
	CHECK_EQ(stats().rx_errors, 1);
	CHECK_EQ(stats().rx_malformed, 1);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RX_LENGTH, 0), 0);
	round_trip(7);
}

/* A frame over several buffers is one that is too long: it counts once, and the next one is whole. */
static void parts(void)
{
	const uint64_t part = LENGTH(nic->room) | E1000E_RX_DD, rest = LENGTH(100);
	struct vfc_packet packet;
	uint64_t before = stats().rx_errors;

	CHECK_EQ(vfc_device_bus_master(device, false), 0); /* the model is quiet */
	complete(0, part);
	complete(1, part);
	complete(2, rest | GOOD);
	complete(3, LENGTH(64) | GOOD);
	CHECK_EQ(vfc_nic_rx_burst(nic, 0, &packet, 1), 1);
	CHECK_EQ(packet.length, 64);
	CHECK_EQ(stats().rx_errors, before + 1);
	vfc_nic_free(nic, &packet, 1);
}

static void traffic(uint32_t mtu)
{
	CHECK_EQ(open_mtu(mtu, NULL), 0);
	lengths(mtu);
	CHECK_EQ(vfc_nic_reset(nic), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 60 * SECOND), 0);
	round_trip(8);
	none_lost();
	if (mtu > 1500)
		parts();
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
}

/* Buffers that are longer than this interface needs. */
static void shared(void)
{
	struct vfc_pool pool;

	CHECK_EQ(vfc_pool_init(&pool, vfc_device_iommu(device), vfc_nic_chunk(9000), 64), 0);
	for (uint32_t mtu = 1500; mtu <= 9000; mtu += 7500) {
		CHECK_EQ(open_mtu(mtu, &pool), 0);
		round_trip(9);
		CHECK_EQ(vfc_nic_close(nic), 0);
	}
	CHECK_EQ(pool.free, 64);
	CHECK_EQ(vfc_pool_destroy(&pool), 0);
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	chunks();
	refused();
	traffic(1000);
	traffic(4000);
	traffic(9000);
	shared();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
