/* SPDX-License-Identifier: MIT */
/* What the drivers of Intel's gigabit controllers share; see intel.h. */
#include "nic/intel/intel.h"

#include <errno.h>

#include <vfiocore/region.h>

#include "base/error.h"
#include "device/object.h"

bool intel_await(const struct vfc_nic *nic, uint32_t offset, uint32_t mask, uint32_t value,
		 int64_t timeout)
{
	bool came;

	error_quiet_begin();
	came = vfc_mmio_wait32(nic->registers + offset, mask, value, timeout) > 0;
	error_quiet_end();
	return came;
}

/* -- life -- */

int intel_check_present(const struct vfc_nic *nic)
{
	if (!intel_flush(nic))
		return 0;
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = nic->device->name),
			"STATUS reads as all ones: the device was pulled, or sleeps in D3");
}

int intel_attach(struct vfc_nic *nic, uint64_t bytes)
{
	volatile void *registers;
	/* All of the registers at once, so that no access of a driver's can miss the mapping. */
	int rc = vfc_region_map(nic->device, VFC_REGION_BAR0, 0, bytes, &registers);

	if (rc < 0)
		return rc;
	nic->registers = registers;
	rc = intel_check_present(nic);
	if (rc < 0)
		return rc;
	nic->driver->stop(nic);
	if (intel_read(nic, E1000E_CTRL) & E1000E_CTRL_RST)
		return vfc_fail(EIO, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
				"CTRL.RST did not clear: the device does not come out of reset");
	return 0;
}

/*
 * IMC masks every cause of an interrupt. RCTL.EN and TCTL.EN turn receiver and transmitter off,
 * which is done by hand, since not every implementation does so on a reset (QEMU before 8.0 only
 * restores the address). An EITR of 0 turns the moderation of a vector off.
 */
void intel_quiesce(struct vfc_nic *nic, uint32_t eitr, uint32_t vectors)
{
	intel_write(nic, E1000E_IMC, UINT32_MAX);
	intel_write(nic, E1000E_RCTL, 0);
	intel_write(nic, E1000E_TCTL, E1000E_TCTL_PSP);
	for (uint32_t i = 0; i < vectors; i++)
		intel_write(nic, eitr + 4 * i, 0);
}

/*
 * With CTRL.GIO_Master_Disable (bit 2) the device begins no new request on the bus. It clears
 * STATUS bit 19 when the last one is complete. A reset while a request is under way could leave the
 * bus waiting. Source: section 4.6.2 (82574), section 5.2.3.3 (82576).
 */
void intel_end_requests(struct vfc_nic *nic)
{
	intel_write(nic, E1000E_CTRL, intel_read(nic, E1000E_CTRL) | E1000E_CTRL_MASTER_DISABLE);
	intel_await(nic, E1000E_STATUS, E1000E_STATUS_MASTER, 0, 10 * MS);
}

/*
 * CTRL.RST (bit 26) clears itself when the reset is done. Until then the registers may not be
 * accessed: the 82574 wants a microsecond, the 82576 a millisecond.
 */
void intel_reset(struct vfc_nic *nic, uint32_t ctrl)
{
	intel_write(nic, E1000E_CTRL, ctrl | E1000E_CTRL_RST);
	sys_sleep(MS);
	intel_await(nic, E1000E_CTRL, E1000E_CTRL_RST, 0, 1000 * MS);
}

/* CTRL.SLU (bit 6) lets the MAC bring the link up as soon as the PHY has negotiated it. */
void intel_start_link(struct vfc_nic *nic)
{
	uint32_t ctrl = intel_read(nic, E1000E_CTRL) & ~E1000E_CTRL_MASTER_DISABLE;

	intel_write(nic, E1000E_CTRL, ctrl | E1000E_CTRL_SLU | E1000E_CTRL_FD);
}

/*
 * RXCSUM says which checksums the device verifies. Its bit PCSD chooses what stands in the first
 * quadword of a completion: the RSS hash, or a checksum of the packet. While it is 0, the 82574
 * does no RSS.
 */
static void start_checksums(struct vfc_nic *nic)
{
	bool verify = nic->flags & VFC_NIC_RX_CHECKSUM;

	intel_write(nic, E1000E_RXCSUM,
		    (nic->queues > 1 ? E1000E_RXCSUM_PCSD : 0) |
			    (verify ? E1000E_RXCSUM_IPOFLD | E1000E_RXCSUM_TUOFLD : 0));
}

/*
 * MTA would let multicast groups pass by a hash. It stays empty, as RCTL.MPE lets all of them pass.
 */
void intel_start_filters(struct vfc_nic *nic)
{
	for (uint32_t i = 0; i < E1000E_MTA_COUNT; i++)
		intel_write(nic, E1000E_MTA(i), 0);
	intel_set_mac(nic, nic->mac);
	start_checksums(nic);
	for (uint32_t i = 0; i < NIC_VLANS / 32; i++)
		intel_write(nic, E1000E_VFTA(i), nic->vlans[i]);
}

/* The key is that of Microsoft's RSS specification, which has test vectors for it. */
static void write_rss_key(struct vfc_nic *nic)
{
	static const uint8_t key[4 * E1000E_RSSRK_COUNT] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};

	for (uint32_t i = 0; i < E1000E_RSSRK_COUNT; i++)
		intel_write(nic, E1000E_RSSRK(i), intel_mac_low(key + 4 * i));
}

/* RETA has a byte for each value of the low seven bits of the hash. The queues take turns. */
static void write_rss_table(struct vfc_nic *nic, uint32_t shift)
{
	for (uint32_t i = 0; i < E1000E_RETA_COUNT; i++) {
		uint32_t entries = 0;

		for (uint32_t j = 0; j < 4; j++)
			entries |= (4 * i + j) % nic->queues << (8 * j + shift);
		intel_write(nic, E1000E_RETA(i), entries);
	}
}

/*
 * The device hashes addresses and ports (Toeplitz) and looks up the queue by the hash.
 * Source: section 7.1.11 (82574), section 7.1.1.7 (82576).
 */
void intel_start_rss(struct vfc_nic *nic, uint32_t shift, uint32_t mode)
{
	intel_write(nic, E1000E_MRQC, 0);
	if (nic->queues == 1)
		return;
	write_rss_key(nic);
	write_rss_table(nic, shift);
	intel_write(nic, E1000E_MRQC, mode | E1000E_MRQC_FIELDS);
}

/*
 * RDBAL, RDBAH, RDLEN, RDH and RDT, or the same of a transmit queue (TDBAL and so on). Head and
 * tail are equal, which the device takes for an empty ring. QEMU keeps the head through a reset of
 * the function.
 */
void intel_set_ring(struct vfc_nic *nic, uint32_t at, const struct vfc_ring *ring)
{
	intel_write(nic, at + E1000E_RING_LOW, (uint32_t)ring->memory.iova);
	intel_write(nic, at + E1000E_RING_HIGH, (uint32_t)(ring->memory.iova >> 32));
	intel_write(nic, at + E1000E_RING_LENGTH, ring->entries * 16);
	intel_write(nic, at + E1000E_RING_HEAD, 0);
	intel_write(nic, at + E1000E_RING_TAIL, 0);
}

/* TCTL.PSP pads short frames. CT and COLD, for collisions, have the values for full duplex. */
void intel_start_transmitter(struct vfc_nic *nic, uint32_t cold)
{
	intel_write(nic, E1000E_TCTL,
		    E1000E_TCTL_EN | E1000E_TCTL_PSP | 0xf << E1000E_TCTL_CT_SHIFT |
			    cold << E1000E_TCTL_COLD_SHIFT);
}

/* -- the state of the port -- */

/*
 * RCTL.SECRC strips the FCS. MPE and BAM receive multicast and broadcast, UPE any unicast address.
 * VFE filters VLANs by VFTA. LPE receives frames of more than 1,522 bytes with FCS.
 */
uint32_t intel_rctl(const struct vfc_nic *nic, bool promisc)
{
	return E1000E_RCTL_EN | E1000E_RCTL_MPE | E1000E_RCTL_BAM | E1000E_RCTL_SECRC |
	       (promisc ? E1000E_RCTL_UPE : 0) |
	       (nic->flags & VFC_NIC_VLAN_FILTER ? E1000E_RCTL_VFE : 0) |
	       (nic->frame_max > INTEL_FRAME_MAX ? E1000E_RCTL_LPE : 0);
}

void intel_unpack_mac(uint8_t mac[6], uint32_t low, uint32_t high)
{
	for (int i = 0; i < 4; i++)
		mac[i] = (uint8_t)(low >> 8 * i);
	mac[4] = (uint8_t)high;
	mac[5] = (uint8_t)(high >> 8);
}

/*
 * The device loads the station address from the NVM into RAL(0) and RAH(0), and sets EEC.AUTO_RD
 * when it has done so. QEMU's igb never sets that bit, so the wait is short and its end no failure.
 */
int intel_read_mac(struct vfc_nic *nic)
{
	uint32_t low, high;

	intel_await(nic, E1000E_EEC, E1000E_EEC_AUTO_RD, E1000E_EEC_AUTO_RD, 10 * MS);
	low = intel_read(nic, E1000E_RAL(0));
	high = intel_read(nic, E1000E_RAH(0));
	if ((low == 0 && (high & 0xffff) == 0) || low & 1)
		return vfc_fail(ENODEV, VFC_REASON_MALFORMED, WHERE(.object = nic->device->name),
				"the device has no valid station address (RAL0 0x%08x, RAH0 0x%08x): "
				"is its NVM programmed?", low, high);
	intel_unpack_mac(nic->mac, low, high);
	return 0;
}

/*
 * RAH.AV, the address is valid, is cleared first and set last, so that no frame matches half an
 * address. The 82576 keeps its pool in other bits of RAH, which stay as they are.
 */
int intel_set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	uint32_t rest = intel_read(nic, E1000E_RAH(0)) & ~(E1000E_RAH_AV | 0xffff);

	intel_write(nic, E1000E_RAH(0), rest);
	intel_write(nic, E1000E_RAL(0), intel_mac_low(mac));
	intel_write(nic, E1000E_RAH(0), rest | intel_mac_high(mac) | E1000E_RAH_AV);
	return 0;
}

/*
 * STATUS has the link (LU), its speed (bits 7:6; two values mean 1000 Mbit/s) and full duplex (FD).
 */
void intel_link(struct vfc_nic *nic, struct vfc_nic_link *link)
{
	static const uint16_t speeds[4] = {10, 100, 1000, 1000};
	uint32_t status = intel_read(nic, E1000E_STATUS);

	link->up = status != UINT32_MAX && status & E1000E_STATUS_LU;
	link->speed = link->up ? speeds[(status >> E1000E_STATUS_SPEED_SHIFT) & 3] : 0;
	link->full_duplex = link->up && status & E1000E_STATUS_FD;
}

void intel_set_vlan(struct vfc_nic *nic, uint32_t vlan)
{
	intel_write(nic, E1000E_VFTA(vlan / 32), nic->vlans[vlan / 32]);
}

/* Missed packets, CRC errors, receive errors, oversize packets. Each is cleared when it is read. */
void intel_read_counters(struct vfc_nic *nic)
{
	uint32_t missed = intel_read(nic, E1000E_MPC), crc = intel_read(nic, E1000E_CRCERRS);
	uint32_t symbol = intel_read(nic, E1000E_RXERRC), oversize = intel_read(nic, E1000E_ROC);

	if (missed == UINT32_MAX && intel_flush(nic))
		return; /* these are no counts: the device is gone */
	nic_count(&nic->missed, missed);
	nic_count(&nic->wire_errors, (uint64_t)crc + symbol + oversize);
}

/* -- the receive ring -- */

/*
 * Three kinds of completion end here: a frame with an error bit, which is counted as such; one that
 * no correct device writes (malformed); and the parts of a frame that did not fit into one buffer.
 * While RCTL.LPE is 0 a frame always fits, so parts are malformed then. With LPE they are one frame
 * that is too long, and count once, as an error.
 */
__attribute__((cold, noinline)) void intel_rx_drop(struct nic_rx *rx, uint64_t control,
						   uint32_t length, uint32_t chunk)
{
	bool whole = control & E1000E_RX_EOP, skip = rx->expected != INTEL_RX_GOOD;
	bool parts = rx->nic->frame_max > INTEL_FRAME_MAX;
	/* Is a checksum the only thing that is wrong with it? */
	bool checksum = whole && length - 1 < rx->nic->frame_max && control & rx->refused &&
			!(control & rx->refused & ~E1000E_RX_CHECKSUM);

	rx->expected = whole ? INTEL_RX_GOOD : INTEL_RX_NEVER;
	if (((skip || !whole) && !parts) || length - 1 >= rx->nic->room)
		nic_count(&rx->malformed, 1);
	else if (!skip)
		nic_count(checksum ? &rx->checksum : &rx->errors, 1);
	nic_drop(rx, chunk);
}

/*
 * The error bits of checksums, IPE and TCPE, count only where the device says that it calculated
 * one (IPCS, TCPCS) and that it could (not IXSM). True: no other bit speaks against this
 * completion.
 */
static bool checksum_pardoned(const struct nic_rx *rx, uint64_t control)
{
	bool wrong = (control & E1000E_RX_IPE && control & E1000E_RX_IPCS) ||
		     (control & E1000E_RX_TCPE && control & E1000E_RX_TCPCS);
	uint64_t rest = control & ~E1000E_RX_CHECKSUM & (INTEL_RX_GOOD | rx->refused);

	return (!wrong || control & E1000E_RX_IXSM) && rest == rx->expected;
}

/* The sieve of rx_burst_any() does not look at the length, which depends on the MTU. */
VFC_TEMPLATE void take_any(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;

	if (__builtin_expect(done->length - 1 < receiving->frame_max, 1))
		nic_hand_over(receiving, done);
	else
		intel_rx_bad(context, done);
}

VFC_TEMPLATE void bad_any(void *context, const struct vfc_completion *done)
{
	const struct nic_receiving *receiving = (const struct nic_receiving *)context;

	if (checksum_pardoned(receiving->rx, done->control))
		take_any(context, done);
	else
		intel_rx_bad(context, done);
}

uint32_t intel_rx_burst_any(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	const vfc_ring_sieve sieve = {INTEL_RX_GOOD | rx->refused, &rx->expected, take_any, bad_any,
				      0};

	return nic_receive(rx, &intel_rx_layout, &sieve, packets, count);
}

void intel_rx_refill(struct nic_rx *rx)
{
	nic_refill(rx, &intel_rx_layout, 0);
}

bool intel_rx_ready(struct nic_rx *rx)
{
	return vfc_ring_ready(&rx->ring, &intel_rx_layout);
}
