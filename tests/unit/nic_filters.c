/* SPDX-License-Identifier: MIT */
/* What the device keeps away when it is told to: frames of other VLANs, and with a wrong checksum. */
#include "nic_test.h"

/* Through the model, which sends everything back. */
static bool comes(uint32_t tag)
{
	uint8_t out[64], in[2048];

	fill(out, mac, sizeof(out), (uint8_t)tag);
	out[12] = 0x81;
	out[13] = 0;
	out[14] = (uint8_t)(tag >> 8);
	out[15] = (uint8_t)tag;
	CHECK_EQ(vfc_nic_send(nic, out, sizeof(out)), 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	if (vfc_nic_rx_wait(nic, 0, 20 * MS) < 0)
		return false;
	CHECK_EQ(vfc_nic_recv(nic, in, sizeof(in)), sizeof(out));
	CHECK(!memcmp(in, out, sizeof(out)));
	return true;
}

static void vlans(void)
{
	up(0, 1, 16);
	CHECK(comes(5));
	CHECK_EQ(vfc_nic_vlan(nic, 5, true), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "VFC_NIC_VLAN_FILTER"));
	down();
	up(VFC_NIC_VLAN_FILTER, 1, 16);
	CHECK(!comes(5));
	CHECK_EQ(vfc_nic_vlan(nic, 5, true), 0);
	CHECK_EQ(vfc_nic_vlan(nic, 4095, true), 0);
	CHECK(comes(5));
	CHECK(comes(0xe005)); /* of another priority */
	CHECK(comes(4095));
	CHECK(!comes(37)); /* the same bit of another register */
	CHECK(!comes(4));
	CHECK_EQ(vfc_nic_reset(nic), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 60 * SECOND), 0);
	CHECK(comes(5));
	CHECK(!comes(6));
	CHECK_EQ(vfc_nic_vlan(nic, 5, false), 0);
	CHECK(!comes(5));
	CHECK(comes(4095));
	CHECK_EQ(vfc_nic_vlan(nic, 4096, true), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "VLAN 4096: there are 0 to 4095"));
	CHECK_EQ(stats().rx_errors, 0);
	down();
}

/* The model looks at no checksums, so it is quiet here. Which of two frames came: 1, 2, or 3 for both. */
static uint32_t taken(uint64_t first, uint64_t second)
{
	struct vfc_packet packet;
	uint32_t came = 0;

	complete(0, LENGTH(64) | GOOD | first);
	complete(1, LENGTH(65) | GOOD | second);
	while (vfc_nic_rx_burst(nic, 0, &packet, 1) == 1) {
		came |= packet.length == 64 ? 1 : packet.length == 65 ? 2 : 4;
		vfc_nic_free(nic, &packet, 1);
	}
	return came;
}

/* What has a wrong checksum and is too long, or of several buffers, counts as what it is besides. */
static void damaged_and_long(void)
{
	const uint64_t wrong = E1000E_RX_TCPCS | E1000E_RX_TCPE;
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = VFC_NIC_RX_CHECKSUM,
				    .rx_entries = 16, .tx_entries = 16, .mtu = 2500};

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), 0);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	complete(2, LENGTH(2519) | GOOD | wrong);
	CHECK_EQ(taken(wrong, 0), 2);
	CHECK_EQ(stats().rx_checksum, 1);
	CHECK_EQ(stats().rx_errors, 1);
	complete(2, LENGTH(2519) | GOOD | E1000E_RX_TCPE); /* not calculated */
	CHECK_EQ(taken(E1000E_RX_TCPE, 0), 3);
	CHECK_EQ(stats().rx_errors, 2);
	complete(0, LENGTH(3072) | E1000E_RX_DD); /* a frame of two buffers, and one more */
	complete(2, LENGTH(66) | GOOD | wrong);
	complete(1, LENGTH(100) | GOOD | wrong);
	CHECK_EQ(vfc_nic_rx_burst(nic, 0, &(struct vfc_packet){.length = 0}, 1), 0);
	CHECK_EQ(stats().rx_errors, 3);
	CHECK_EQ(stats().rx_checksum, 2);
	CHECK_EQ(stats().rx_malformed, 0);
	none_lost();
	down();
}

static void checksums(void)
{
	const uint64_t ip = E1000E_RX_IPE, tcp = E1000E_RX_TCPE, crc = UINT64_C(1) << 24;
	const uint64_t looked = E1000E_RX_IPCS | E1000E_RX_TCPCS;

	up(VFC_NIC_RX_CHECKSUM, 1, 16);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(taken(looked, 0), 3);
	CHECK_EQ(stats().rx_checksum, 0);
	CHECK_EQ(taken(looked | ip, looked | tcp), 0);
	CHECK_EQ(taken(looked | tcp | ip, looked), 2);
	CHECK_EQ(stats().rx_checksum, 3);
	CHECK_EQ(stats().rx_errors, 0);
	/* Not of what was calculated; of a fragment of UDP. */
	CHECK_EQ(taken(E1000E_RX_IPCS | tcp, E1000E_RX_TCPCS | ip), 3);
	CHECK_EQ(taken(UINT64_C(0x10) | tcp, 0), 3);
	CHECK_EQ(taken(E1000E_RX_IXSM | looked | ip | tcp, 0), 3);
	CHECK_EQ(stats().rx_checksum, 3);
	CHECK_EQ(taken(crc, crc | E1000E_RX_IXSM | tcp), 0);
	CHECK_EQ(stats().rx_errors, 2);
	CHECK_EQ(taken(crc, 0), 2);
	CHECK_EQ(stats().rx_errors, 3);
	CHECK_EQ(stats().rx_checksum, 3);
	none_lost();
	down();
	up(0, 1, 16); /* not asked for: whatever the device says of them is passed over */
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(taken(looked | tcp | ip, looked), 3);
	CHECK_EQ(stats().rx_checksum, 0);
	down();
}

static void refused(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = VFC_NIC_PACKED};

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "e1000e has no packed rings"));
	CHECK_EQ(vfc_device_close(device), 0);
}

int main(void)
{
	vlans();
	checksums();
	damaged_and_long();
	refused();
	return 0;
}
