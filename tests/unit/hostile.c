/* SPDX-License-Identifier: MIT */
/* The 82574L driver against a bad device: impossible completions, faults, resets, unplugging. */
#include "device/device.h"
#include "base/error.h"
#include "nic_test.h"
#include "transport/model/fake.h"

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
		CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
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
	CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
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
	in_pool = nic->pool->free;
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
		CHECK_EQ(nic->pool->free, in_pool);
		round_trip((uint8_t)i);
		CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
	}
	CHECK_EQ(knob(VFC_FAKE_RESETS), 20);
	CHECK_EQ(knob(VFC_FAKE_FAULTS), 0);
	down();
}

/* Pulled in the middle: calls end, and closing works. */
static void pulled(void)
{
	struct vfc_nic_link link = {.size = sizeof(link)};
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

/* Registers that are not there are not touched. */
static void small_bar(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	device->regions[0].length = device->regions[0].areas[0].length = 0x1000;
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* A packet that is sent again and again without being owned, or made up: the pool keeps its bounds. */
static void packets_of_nobody(void)
{
	struct vfc_packet packet, false_one;
	uint32_t page;

	up(0, 1, 16);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 0), 0);
	CHECK_EQ(vfc_nic_alloc(nic, &packet, 1), 1);
	packet.length = 60;
	memset(packet.data, 0xff, 60);
	false_one = packet;
	false_one.chunk = nic->pool->limit;
	for (uint32_t i = 0; i < nic->pool->chunks + 10; i++) {
		CHECK_EQ(vfc_nic_tx_burst(nic, 0, &false_one, 1), -EINVAL);
		CHECK_EQ(vfc_nic_tx_burst(nic, 0, &packet, 1), 1);
		CHECK_EQ(vfc_nic_drain(nic, 0, 60 * SECOND), 0);
		CHECK(nic->pool->free <= nic->pool->chunks);
	}
	page = (uint32_t)nic->pool->memory.page / VFC_POOL_UNIT;
	for (uint32_t i = 0; i < nic->pool->free; i++)
		CHECK(nic->pool->stack[i] % page + NIC_CHUNK / VFC_POOL_UNIT <= page);
	down();
}

static int unmaps_left;

static int unmap_sometimes(struct transport_space *space, uint64_t iova, uint64_t length)
{
	if (!unmaps_left--)
		return vfc_fail(EIO, VFC_REASON_NONE, NOWHERE, "this one fails");
	return transport_fake.unmap(space, iova, length);
}

/* Memory that cannot be unmapped is kept, and so is the NIC: closing can be repeated. */
static void unmap_fails(void)
{
	struct transport failing = transport_fake;
	const struct transport **ops;

	failing.unmap = unmap_sometimes;
	for (int n = 0; n < 3; n++) { /* the pool and two rings */
		up(0, 1, 16);
		ops = (const struct transport **)(void *)vfc_device_iommu(device); /* its first member */
		CHECK(*ops == &transport_fake);
		*ops = &failing;
		unmaps_left = n;
		CHECK_EQ(vfc_nic_close(nic), -EIO);
		CHECK(knob(VFC_FAKE_MAPPINGS) > 0);
		CHECK_EQ(vfc_device_close(device), -EBUSY);
		*ops = &transport_fake;
		down();
	}
}

/* Who wants a NIC that is in use leaves no trace on it. */
static void second_owner(void)
{
	struct vfc_nic *second;
	struct vfc_irq *irq;

	up(0, 1, 16);
	round_trip(1);
	CHECK_EQ(vfc_nic_open(device, NULL, &second), -EBUSY);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BUSY);
	round_trip(2);
	down();

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSI, 1, &irq), 0);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), -EBUSY);
	CHECK(fake_bus_master((struct fake_device *)device->transport));
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	CHECK_EQ(vfc_iommu_unmap_all(vfc_device_iommu(device)) > 0, 1);
	down();
}

/* Registers that the kernel has taken the mapping of away are not touched. */
static void decoding_off(void)
{
	uint64_t command;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, 4, 2, &command), 0);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 4, 2, command & ~UINT64_C(2)), 0);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), -EIO);
	CHECK(strstr(vfc_error_last()->hint, "decoding"));
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 4, 2, command), 0);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 4, 2, command & ~UINT64_C(2)), 0);
	CHECK_EQ(vfc_nic_reset(nic), -EIO);
	down();
}

int main(void)
{
	decoding_off();
	small_bar();
	packets_of_nobody();
	unmap_fails();
	second_owner();
	hostile_lengths();
	parts();
	fault_and_reset();
	unmap_under_traffic();
	reset_under_traffic();
	pulled();
	return 0;
}
