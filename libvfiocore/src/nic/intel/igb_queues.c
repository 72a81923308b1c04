/* SPDX-License-Identifier: MIT */
/*
 * Queues of the 82576. Source: Intel 82576EB Gigabit Ethernet Controller Datasheet; sections are of
 * that. Descriptors are advanced ones.
 */
#include "nic/intel/igb_queues.h"

#define RX_STATUS (INTEL_RX_STATUS | IGB_RX_ERRORS)
#define TX_COMMAND (E1000E_TX_EOP | E1000E_TX_IFCS | E1000E_TX_DEXT | IGB_TX_DATA)

/*
 * Section 7.1.5. With one buffer a descriptor the device does not look at the second address, where
 * the length of the buffer lies as with the 82574: only its lowest bit, DD, must be 0.
 */
const struct vfc_ring_layout igb_rx_layout = {
	.done = E1000E_RX_DD,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = E1000E_RX_LENGTH_SHIFT,
	.length_bits = 16,
};

/* Section 7.2.2.3. */
const struct vfc_ring_layout igb_tx_layout = {
	.done = E1000E_TX_DD,
	.report = E1000E_TX_RS,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = 0,
	.length_bits = 16,
};

static void set_ring(struct vfc_nic *nic, uint32_t at, const struct vfc_ring *ring)
{
	set(nic, at + IGB_RING_LOW, (uint32_t)ring->memory.iova);
	set(nic, at + IGB_RING_HIGH, (uint32_t)(ring->memory.iova >> 32));
	set(nic, at + IGB_RING_LENGTH, ring->entries * 16);
	set(nic, at + IGB_RING_HEAD, 0);
	set(nic, at + IGB_RING_TAIL, 0);
}

/* Sections 4.5.9 and 4.5.10: the tail may be moved once the queue says that it is on. */
static void enable(struct vfc_nic *nic, uint32_t at, uint32_t control)
{
	set(nic, at + IGB_RING_CONTROL, control | IGB_RING_ENABLE);
	await(nic, at + IGB_RING_CONTROL, IGB_RING_ENABLE, IGB_RING_ENABLE, 10 * MS);
}

void igb_start_rx(struct nic_rx *rx, uint32_t at)
{
	struct vfc_nic *nic = rx->nic;

	set_ring(nic, at, &rx->ring);
	set(nic, at + IGB_RX_SRRCTL,
	    nic->room / 1024 << IGB_SRRCTL_KILOBYTES | IGB_SRRCTL_ONE_BUFFER |
		    (nic->queues > 1 ? IGB_SRRCTL_DROP : 0));
	rx->expected = INTEL_RX_GOOD;
	rx->refused = intel_rx_refused(nic, IGB_RX_ERRORS);
	enable(nic, at, 1 << IGB_RING_WTHRESH_SHIFT);
}

/* WTHRESH is 0: a report is written at once (section 7.2.2.3.11). */
void igb_start_tx(struct nic_tx *tx, uint32_t at)
{
	set_ring(tx->nic, at, &tx->ring);
	enable(tx->nic, at, 0);
}

/*
 * Section 7.3: the message masks its cause (EIAM); a cause stays until rx_arm() clears it, so that
 * a burst raises one interrupt even where none is masked (QEMU).
 */
void igb_start_interrupts(struct vfc_nic *nic)
{
	uint32_t causes = (1u << nic->queues) - 1;

	set(nic, IGB_EIAC, 0);
	set(nic, IGB_EIAM, causes);
	set(nic, IGB_EICR, UINT32_MAX);
}

/* The stale cause is cleared first, so that only a new frame fires. */
void igb_rx_arm(struct vfc_nic *nic, uint32_t queue)
{
	set(nic, IGB_EICR, 1u << queue);
	set(nic, IGB_EIMS, 1u << queue);
	get(nic, E1000E_STATUS); /* the writes have arrived when this returns */
	vfc_from_register();     /* and only then does the caller look at the ring for the last time */
}

VFC_TEMPLATE bool give(void *context, struct vfc_buffer *buffer)
{
	if (!nic_give(context, buffer))
		return false;
	buffer->command |= (uint64_t)buffer->length << IGB_TX_PAYLOAD_SHIFT;
	return true;
}

uint32_t igb_rx_burst(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	const vfc_ring_sieve sieve = {RX_STATUS, &rx->expected, intel_rx_take, intel_rx_bad, INTEL_RX_LENGTH(1)};

	return nic_receive(rx, &igb_rx_layout, 0, &sieve, packets, count);
}

int igb_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, &igb_tx_layout, give, TX_COMMAND, INTEL_FRAME_MAX, packets, count);
}

uint32_t igb_rx_burst_any(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	const vfc_ring_sieve sieve = {INTEL_RX_GOOD | rx->refused, &rx->expected, intel_rx_take_any,
				      intel_rx_bad_any, 0};

	return nic_receive(rx, &igb_rx_layout, 0, &sieve, packets, count);
}

int igb_tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, &igb_tx_layout, give, TX_COMMAND, tx->nic->frame_max, packets, count);
}

void igb_rx_refill(struct nic_rx *rx)
{
	nic_refill(rx, &igb_rx_layout, 0);
}

void igb_tx_clean(struct nic_tx *tx)
{
	nic_clean(tx, &igb_tx_layout);
}

bool igb_rx_ready(struct nic_rx *rx)
{
	return vfc_ring_ready(&rx->ring, &igb_rx_layout);
}
