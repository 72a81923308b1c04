/* SPDX-License-Identifier: MIT */
/* The 82574L driver against a bad device: impossible completions, faults, resets, unplugging. */
#include "nic_test.h"

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

		for (int k = 0; k < n; k++) {
			packets[k].length = 60 + (uint32_t)k * 40;
			fill(packets[k].data, mac, packets[k].length, (uint8_t)k);
		}
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
	hostile_lengths();
	parts();
	fault_and_reset();
	unmap_under_traffic();
	reset_under_traffic();
	pulled();
	return 0;
}
