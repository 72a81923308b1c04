/* SPDX-License-Identifier: MIT */
/*
 * What the drivers of Intel's gigabit controllers share: registers, and which completion is a frame.
 * Both controllers have these at the same place: 82574 datasheet chapter 10, 82576 datasheet chapter 8.
 */
#ifndef VFC_NIC_INTEL_H
#define VFC_NIC_INTEL_H

#include <vfiocore/mmio.h>

#include "hw/e1000e.h"
#include "nic/nic.h"

#define MS 1000000
#define INTEL_FRAME_MAX 1518 /* 1522 with FCS: what is received while RCTL.LPE is 0 */

#define INTEL_RX_LENGTH(n) ((uint64_t)(n) << E1000E_RX_LENGTH_SHIFT)
/*
 * What a sieve looks at, beside a driver's error bits: with bits 11 to 15 of the length less 1 (the
 * sieve's bias), which is one of 1 to NIC_ROOM without them.
 */
#define INTEL_RX_STATUS (INTEL_RX_GOOD | INTEL_RX_LENGTH(0x10000 - NIC_ROOM))
/* rx->expected: RX_NEVER is more bits than a driver's sieve looks at. */
#define INTEL_RX_GOOD (E1000E_RX_DD | E1000E_RX_EOP)
#define INTEL_RX_NEVER UINT64_MAX

static inline uint32_t get(const struct vfc_nic *nic, uint32_t offset)
{
	return vfc_mmio_read32(nic->registers + offset);
}

static inline void set(struct vfc_nic *nic, uint32_t offset, uint32_t value)
{
	vfc_mmio_write32(nic->registers + offset, value);
}

/* vfc_mmio_wait32(); false when it fails, which leaves no record: not every caller fails with it. */
bool await(const struct vfc_nic *nic, uint32_t offset, uint32_t mask, uint32_t value,
	   int64_t timeout);

/* The first address of the receive filter, as the filter has it. */
static inline uint32_t intel_mac_low(const uint8_t mac[6])
{
	return mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
}

static inline uint32_t intel_mac_high(const uint8_t mac[6])
{
	return mac[4] | (uint32_t)mac[5] << 8;
}

void intel_unpack_mac(uint8_t mac[6], uint32_t low, uint32_t high);

/* Map @bytes of BAR 0 and bring the device to rest. */
int intel_attach(struct vfc_nic *nic, uint64_t bytes);
int intel_check_present(const struct vfc_nic *nic);
int intel_read_mac(struct vfc_nic *nic);
int intel_set_mac(struct vfc_nic *nic, const uint8_t mac[6]);
void intel_link(struct vfc_nic *nic, struct vfc_nic_link *link);
void intel_read_counters(struct vfc_nic *nic);
/* RCTL, as both have it. */
uint32_t intel_rctl(const struct vfc_nic *nic, bool promisc);
void intel_write_key(struct vfc_nic *nic); /* of RSS */
void intel_start_checksums(struct vfc_nic *nic); /* which of them the device looks at */
void intel_start_vlans(struct vfc_nic *nic);
void intel_set_vlan(struct vfc_nic *nic, uint32_t vlan);

/* The bits of a completion that make it none, for rx_burst_any(). @errors: the device's own. */
static inline uint64_t intel_rx_refused(const struct vfc_nic *nic, uint64_t errors)
{
	return errors | (nic->flags & VFC_NIC_RX_CHECKSUM ? E1000E_RX_CHECKSUM : 0);
}

/*
 * A frame fits into one buffer; of one that does not, every part up to EOP is dropped: rx->expected
 * is something that no completion equals in the meantime.
 */
void intel_rx_drop(struct nic_rx *rx, uint64_t control, uint32_t length, uint32_t chunk);

VFC_TEMPLATE void intel_rx_bad(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;

	receiving->dropped++;
	/* By value: what has an address would be written to memory for every frame. */
	intel_rx_drop(receiving->rx, done->control, done->length, done->cookie);
}

/* Where the sieve does not look at the length. */
VFC_TEMPLATE void intel_rx_take_any(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;

	if (__builtin_expect(done->length - 1 < receiving->frame_max, 1))
		nic_hand_over(receiving, done);
	else
		intel_rx_bad(context, done);
}

/* Error bits of checksums count only where the device says that it calculated one. */
static inline bool intel_rx_pardoned(const struct nic_rx *rx, uint64_t control)
{
	bool wrong = (control & E1000E_RX_IPE && control & E1000E_RX_IPCS) ||
		     (control & E1000E_RX_TCPE && control & E1000E_RX_TCPCS);
	uint64_t rest = control & ~E1000E_RX_CHECKSUM & (INTEL_RX_GOOD | rx->refused);

	return (!wrong || control & E1000E_RX_IXSM) && rest == rx->expected;
}

VFC_TEMPLATE void intel_rx_bad_any(void *context, const struct vfc_completion *done)
{
	const struct nic_receiving *receiving = (const struct nic_receiving *)context;

	if (intel_rx_pardoned(receiving->rx, done->control))
		intel_rx_take_any(context, done);
	else
		intel_rx_bad(context, done);
}

VFC_TEMPLATE void intel_rx_take(void *context, const struct vfc_completion *done)
{
	nic_hand_over((struct nic_receiving *)context, done);
}

#endif
