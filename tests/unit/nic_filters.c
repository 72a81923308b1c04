/* SPDX-License-Identifier: MIT */
/* What the device keeps away when it is told to: frames of other VLANs, and with a wrong checksum. */
#include "hw/e1000e.h"
#include "nic_test.h"

#define LENGTH(n) ((uint64_t)(n) << E1000E_RX_LENGTH_SHIFT)
#define GOOD (E1000E_RX_DD | E1000E_RX_EOP)

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
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
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
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
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

/* The model looks at no checksums: the test writes what a device would, while it is quiet. */
static uint32_t taken(uint64_t first, uint64_t second)
{
	volatile uint64_t *descriptors = (volatile uint64_t *)(void *)nic->rx[0].ring.descriptors;
	struct vfc_packet packet;
	int n;

	descriptors[2 * (nic->rx[0].ring.head % 16) + 1] = LENGTH(64) | GOOD | first;
	descriptors[2 * ((nic->rx[0].ring.head + 1) % 16) + 1] = LENGTH(65) | GOOD | second;
	for (uint32_t i = n = 0; i < 2; i++) {
		int more = vfc_nic_rx_burst(nic, 0, &packet, 1);

		if (more == 1)
			vfc_nic_free(nic, &packet, 1);
		n += more;
	}
	return (uint32_t)n;
}

static void checksums(void)
{
	const uint64_t ip = E1000E_RX_IPE, tcp = E1000E_RX_TCPE, crc = UINT64_C(1) << 24;
	const uint64_t looked = UINT64_C(0x60); /* IPCS, TCPCS: calculated */

	up(VFC_NIC_RX_CHECKSUM, 1, 16);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(taken(looked, 0), 2);
	CHECK_EQ(stats().rx_checksum, 0);
	CHECK_EQ(taken(looked | ip, looked | tcp), 0);
	CHECK_EQ(taken(looked | tcp | ip, looked), 1);
	CHECK_EQ(stats().rx_checksum, 3);
	CHECK_EQ(stats().rx_errors, 0);
	CHECK_EQ(taken(E1000E_RX_IPCS | tcp, UINT64_C(0x20) | ip), 2); /* not of what was calculated */
	CHECK_EQ(taken(E1000E_RX_IXSM | looked | ip | tcp, 0), 2);
	CHECK_EQ(stats().rx_checksum, 3);
	CHECK_EQ(taken(crc, crc | E1000E_RX_IXSM | tcp), 0);
	CHECK_EQ(stats().rx_errors, 2);
	CHECK_EQ(taken(crc, 0), 1);
	CHECK_EQ(stats().rx_errors, 3);
	CHECK_EQ(stats().rx_checksum, 3);
	CHECK_EQ(nic->pool->chunks, nic->pool->free + nic->rx[0].ring.used + nic->tx[0].ring.used);
	down();
	up(0, 1, 16); /* not asked for: whatever the device says of them is passed over */
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(taken(looked | tcp | ip, looked), 2);
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
	refused();
	return 0;
}
