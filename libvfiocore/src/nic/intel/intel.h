/* SPDX-License-Identifier: MIT */
/*
 * What the drivers of Intel's gigabit controllers share: the registers that all have in the same
 * place, the receive ring, and which completion is a frame. Sources: Intel 82574 GbE Controller
 * Family Datasheet, chapter 10, and Intel 82576EB Gigabit Ethernet Controller Datasheet, chapter 8.
 *
 * From the bottom up: intel.c; igb.c (the 82576 and its queues), e1000e.c; igb_vfs.c, igbvf.c.
 */
#ifndef VFC_NIC_INTEL_H
#define VFC_NIC_INTEL_H

#include <vfiocore/mmio.h>

#include "hw/e1000e.h"
#include "nic/burst.h"

#define MS 1000000
#define INTEL_FCS 4
#define INTEL_FRAME_MAX 1518 /* without FCS, the longest frame while RCTL.LPE is 0 */

/* -- registers -- */

static inline uint32_t intel_read(const struct vfc_nic *nic, uint32_t offset)
{
	return vfc_mmio_read32(nic->registers + offset);
}

static inline void intel_write(struct vfc_nic *nic, uint32_t offset, uint32_t value)
{
	vfc_mmio_write32(nic->registers + offset, value);
}

/*
 * Writes to registers are posted: the device may see them later. A read of any register returns
 * after all writes before it have arrived. True: it reads as all ones, for the device is gone.
 */
static inline bool intel_flush(const struct vfc_nic *nic)
{
	return intel_read(nic, E1000E_STATUS) == UINT32_MAX;
}

/*
 * Wait until (register & @mask) == @value, as vfc_mmio_wait32(). False: that failed. It leaves no
 * record, since not every caller fails, too.
 */
bool intel_await(const struct vfc_nic *nic, uint32_t offset, uint32_t mask, uint32_t value,
		 int64_t timeout);

/* -- life -- */

/* Map @bytes of BAR 0 and bring the device to rest by the driver's stop(). */
int intel_attach(struct vfc_nic *nic, uint64_t bytes);
/* 0, or -ENODEV with a record where STATUS reads as all ones. */
int intel_check_present(const struct vfc_nic *nic);

/* No interrupt is raised, no frame received or sent. @eitr: the first of @vectors EITRs. */
void intel_quiesce(struct vfc_nic *nic, uint32_t eitr, uint32_t vectors);
/* No new request of the device's goes out, and those under way are complete. */
void intel_end_requests(struct vfc_nic *nic);
/* Reset by CTRL.RST, written together with @ctrl. */
void intel_reset(struct vfc_nic *nic, uint32_t ctrl);

/* The MAC takes its speed from the PHY and brings the link up; requests are allowed again. */
void intel_start_link(struct vfc_nic *nic);
/* Addresses, checksums and VLANs, and no multicast hash. The receiver is still off. */
void intel_start_filters(struct vfc_nic *nic);
/* Spread received frames over the queues. @shift: of a queue in a byte of RETA. @mode: of MRQC. */
void intel_start_rss(struct vfc_nic *nic, uint32_t shift, uint32_t mode);
/* The addresses of a ring, which is empty. @at: the first of the queue's registers. */
void intel_set_ring(struct vfc_nic *nic, uint32_t at, const struct vfc_ring *ring);
/* Turn the transmitter on. @cold: TCTL.COLD, in which the two controllers differ. */
void intel_start_transmitter(struct vfc_nic *nic, uint32_t cold);

/* -- the state of the port -- */

/* RCTL, as both controllers have it. */
uint32_t intel_rctl(const struct vfc_nic *nic, bool promisc);
int intel_read_mac(struct vfc_nic *nic);
int intel_set_mac(struct vfc_nic *nic, const uint8_t mac[6]);
void intel_link(struct vfc_nic *nic, struct vfc_nic_link *link);
void intel_set_vlan(struct vfc_nic *nic, uint32_t vlan);
void intel_read_counters(struct vfc_nic *nic);

/* A station address as the registers RAL and RAH have it. */
static inline uint32_t intel_mac_low(const uint8_t mac[6])
{
	return mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
}

static inline uint32_t intel_mac_high(const uint8_t mac[6])
{
	return mac[4] | (uint32_t)mac[5] << 8;
}

void intel_unpack_mac(uint8_t mac[6], uint32_t low, uint32_t high);

/* -- the receive ring -- */

/*
 * Extended descriptors of the 82574 (section 7.1.4) and advanced ones of the 82576 (section 7.1.5).
 * We write the address of a buffer into the first quadword. The device writes status, errors and
 * length over the second one. It writes them over whatever we left there, so DD must be 0 in what
 * we write, which is why the second buffer address of the 82576 is never used.
 */
static const struct vfc_ring_layout intel_rx_layout = {
	.done = E1000E_RX_DD,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = E1000E_RX_LENGTH_SHIFT,
	.length_bits = 16,
};

#define INTEL_RX_LENGTH(n) ((uint64_t)(n) << E1000E_RX_LENGTH_SHIFT)

/* What rx->expected holds: the bits of a good completion, or more bits than any sieve looks at. */
#define INTEL_RX_GOOD (E1000E_RX_DD | E1000E_RX_EOP)
#define INTEL_RX_NEVER UINT64_MAX

/*
 * What the usual sieve looks at, beside a driver's error bits: DD and EOP, and bits 11 to 15 of the
 * length. The sieve's bias subtracts 1 from the length first, so those bits are 0 for lengths of 1
 * to NIC_ROOM only, and one comparison covers status, errors and length.
 */
#define INTEL_RX_STATUS (INTEL_RX_GOOD | INTEL_RX_LENGTH(0x10000 - NIC_ROOM))

/*
 * A queue begins: its first completion is expected to be a whole frame. @errors: the driver's error
 * bits, to which VFC_NIC_RX_CHECKSUM adds those of checksums.
 */
static inline void intel_start_completions(struct nic_rx *rx, uint64_t errors)
{
	rx->expected = INTEL_RX_GOOD;
	rx->refused = errors | (rx->nic->flags & VFC_NIC_RX_CHECKSUM ? E1000E_RX_CHECKSUM : 0);
}

/*
 * Count a completion that is no good frame, and give its chunk back. A frame fits into one buffer;
 * of one that does not, every part up to its end (EOP) is dropped. Until then rx->expected is
 * INTEL_RX_NEVER.
 */
void intel_rx_drop(struct nic_rx *rx, uint64_t control, uint32_t length, uint32_t chunk);

VFC_TEMPLATE void intel_rx_take(void *context, const struct vfc_completion *done)
{
	nic_hand_over((struct nic_receiving *)context, done);
}

VFC_TEMPLATE void intel_rx_bad(void *context, const struct vfc_completion *done)
{
	struct nic_receiving *receiving = (struct nic_receiving *)context;

	receiving->dropped++;
	/*
	 * By value: if its address were passed, every completion would be written to memory first.
	 */
	intel_rx_drop(receiving->rx, done->control, done->length, done->cookie);
}

/* The usual burst. @errors: the driver's error bits, a constant. */
VFC_TEMPLATE uint32_t intel_receive(struct nic_rx *rx, uint64_t errors, struct vfc_packet *packets,
				    uint32_t count)
{
	const vfc_ring_sieve sieve = {INTEL_RX_STATUS | errors, &rx->expected, intel_rx_take,
				      intel_rx_bad, INTEL_RX_LENGTH(1)};

	return nic_receive(rx, &intel_rx_layout, &sieve, packets, count);
}

/* The rest of the table's receive functions, which are the same for all. */
uint32_t intel_rx_burst_any(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
void intel_rx_refill(struct nic_rx *rx);
bool intel_rx_ready(struct nic_rx *rx);

/* -- the tables -- */

/* What the tables of all these drivers have in common. */
#define INTEL_DRIVER                          \
	.vendor = E1000E_VENDOR,              \
	.frame_max = INTEL_FRAME_MAX,         \
	.rx_layout = &intel_rx_layout,        \
	.rx_burst_any = intel_rx_burst_any,   \
	.rx_refill = intel_rx_refill,         \
	.rx_ready = intel_rx_ready

/* What those have in common that own a port, as virtual functions do not. */
#define INTEL_PORT                                                \
	.flags = VFC_NIC_RX_CHECKSUM | VFC_NIC_VLAN_FILTER,       \
	.link = intel_link,                                       \
	.set_mac = intel_set_mac,                                 \
	.set_vlan = intel_set_vlan

#endif
