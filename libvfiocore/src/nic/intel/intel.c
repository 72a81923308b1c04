/* SPDX-License-Identifier: MIT */
/* What the drivers of Intel's gigabit controllers share; see intel.h. */
#include "nic/intel/intel.h"

#include <errno.h>

#include <vfiocore/region.h>

#include "device/object.h"
#include "base/error.h"

bool await(const struct vfc_nic *nic, uint32_t offset, uint32_t mask, uint32_t value,
	   int64_t timeout)
{
	bool came;

	error_quiet_begin();
	came = vfc_mmio_wait32(nic->registers + offset, mask, value, timeout) > 0;
	error_quiet_end();
	return came;
}

int intel_check_present(const struct vfc_nic *nic)
{
	if (get(nic, E1000E_STATUS) != UINT32_MAX)
		return 0;
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = nic->device->name),
			"STATUS reads as all ones: the device was pulled, or sleeps in D3");
}

int intel_attach(struct vfc_nic *nic, uint64_t bytes)
{
	volatile void *registers;
	/* All of it, so that no access below can miss the mapping. */
	int rc = vfc_region_map(nic->device, VFC_REGION_BAR0, 0, bytes, &registers);

	if (rc < 0)
		return rc;
	nic->registers = registers;
	rc = intel_check_present(nic);
	if (rc < 0)
		return rc;
	nic->driver->stop(nic);
	if (get(nic, E1000E_CTRL) & E1000E_CTRL_RST)
		return vfc_fail(EIO, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
				"CTRL.RST did not clear: the device does not come out of reset");
	return 0;
}

void intel_unpack_mac(uint8_t mac[6], uint32_t low, uint32_t high)
{
	for (int i = 0; i < 4; i++)
		mac[i] = (uint8_t)(low >> 8 * i);
	mac[4] = (uint8_t)high;
	mac[5] = (uint8_t)(high >> 8);
}

/* The NVM loads the station address into the first receive address register. */
int intel_read_mac(struct vfc_nic *nic)
{
	uint32_t low, high;

	await(nic, E1000E_EEC, E1000E_EEC_AUTO_RD, E1000E_EEC_AUTO_RD, 10 * MS);
	low = get(nic, E1000E_RAL(0));
	high = get(nic, E1000E_RAH(0));
	if ((low == 0 && (high & 0xffff) == 0) || low & 1)
		return vfc_fail(ENODEV, VFC_REASON_MALFORMED, WHERE(.object = nic->device->name),
				"the device has no valid station address (RAL0 0x%08x, RAH0 0x%08x): "
				"is its NVM programmed?", low, high);
	intel_unpack_mac(nic->mac, low, high);
	return 0;
}

/* AV is written last: no frame may match half an address. What else RAH has stays. */
int intel_set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	uint32_t rest = get(nic, E1000E_RAH(0)) & ~(E1000E_RAH_AV | 0xffff);

	set(nic, E1000E_RAH(0), rest);
	set(nic, E1000E_RAL(0), intel_mac_low(mac));
	set(nic, E1000E_RAH(0), rest | intel_mac_high(mac) | E1000E_RAH_AV);
	return 0;
}

void intel_link(struct vfc_nic *nic, struct vfc_nic_link *link)
{
	static const uint16_t speeds[4] = {10, 100, 1000, 1000};
	uint32_t status = get(nic, E1000E_STATUS);

	link->up = status != UINT32_MAX && status & E1000E_STATUS_LU;
	link->speed = link->up ? speeds[(status >> E1000E_STATUS_SPEED_SHIFT) & 3] : 0;
	link->full_duplex = link->up && status & E1000E_STATUS_FD;
}

/* Multicast is always taken: a list of groups is not worth a table of hashes here. */
uint32_t intel_rctl(const struct vfc_nic *nic, bool promisc)
{
	return E1000E_RCTL_EN | E1000E_RCTL_MPE | E1000E_RCTL_BAM | E1000E_RCTL_SECRC |
	       (promisc ? E1000E_RCTL_UPE : 0) |
	       (nic->flags & VFC_NIC_VLAN_FILTER ? E1000E_RCTL_VFE : 0) |
	       (nic->frame_max > INTEL_FRAME_MAX ? E1000E_RCTL_LPE : 0);
}

void intel_start_checksums(struct vfc_nic *nic)
{
	bool verify = nic->flags & VFC_NIC_RX_CHECKSUM;

	/* Without PCSD the RSS hash's place in the descriptor is the checksum's, and 82574's RSS is off. */
	set(nic, E1000E_RXCSUM, (nic->queues > 1 ? E1000E_RXCSUM_PCSD : 0) |
					(verify ? E1000E_RXCSUM_IPOFLD | E1000E_RXCSUM_TUOFLD : 0));
}

void intel_start_vlans(struct vfc_nic *nic)
{
	for (uint32_t i = 0; i < NIC_VLANS / 32; i++)
		set(nic, E1000E_VFTA(i), nic->vlans[i]);
}

void intel_set_vlan(struct vfc_nic *nic, uint32_t vlan)
{
	set(nic, E1000E_VFTA(vlan / 32), nic->vlans[vlan / 32]);
}

/* The counters start again at 0 when they are read. */
void intel_read_counters(struct vfc_nic *nic)
{
	uint32_t missed = get(nic, E1000E_MPC), crc = get(nic, E1000E_CRCERRS);
	uint32_t symbol = get(nic, E1000E_RXERRC), oversize = get(nic, E1000E_ROC);

	if (missed == UINT32_MAX && get(nic, E1000E_STATUS) == UINT32_MAX)
		return; /* the device is gone, these are no counts */
	nic_count(&nic->missed, missed);
	nic_count(&nic->wire_errors, (uint64_t)crc + symbol + oversize);
}

/* The key is the one of Microsoft's RSS specification, whose test vectors everybody has. */
void intel_write_key(struct vfc_nic *nic)
{
	static const uint8_t key[4 * E1000E_RSSRK_COUNT] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};

	for (uint32_t i = 0; i < E1000E_RSSRK_COUNT; i++)
		set(nic, E1000E_RSSRK(i), intel_mac_low(key + 4 * i));
}

__attribute__((cold, noinline)) void intel_rx_drop(struct nic_rx *rx, uint64_t control,
						   uint32_t length, uint32_t chunk)
{
	bool whole = control & E1000E_RX_EOP, skip = rx->expected != INTEL_RX_GOOD;
	/* While RCTL.LPE is 0 every frame fits into a buffer. */
	bool parts = rx->nic->frame_max > INTEL_FRAME_MAX;
	/* That nothing else is wrong with it. */
	bool checksum = whole && length - 1 < rx->nic->frame_max && control & rx->refused &&
			!(control & rx->refused & ~E1000E_RX_CHECKSUM);

	rx->expected = whole ? INTEL_RX_GOOD : INTEL_RX_NEVER;
	if (((skip || !whole) && !parts) || length - 1 >= rx->nic->room)
		nic_count(&rx->malformed, 1);
	else if (!skip)
		nic_count(checksum ? &rx->checksum : &rx->errors, 1);
	nic_drop(rx, chunk);
}
