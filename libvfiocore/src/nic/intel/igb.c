/* SPDX-License-Identifier: MIT */
/*
 * Intel 82576: its queues, and the driver of its physical function. Source: Intel 82576EB Gigabit
 * Ethernet Controller Datasheet; sections are of that. Registers that the 82574 has in the same
 * place have its names here.
 */
#include "nic/intel/igb.h"

#define MTU_MAX (IGB_RLPML_MAX - INTEL_FCS - VFC_NIC_HEADER)
#define TX_COMMAND (E1000E_TX_EOP | E1000E_TX_IFCS | E1000E_TX_DEXT | IGB_TX_DATA)

/* -- queues, of the physical and of virtual functions -- */

/*
 * Section 7.2.2.3: advanced data descriptors. The length of the buffer is where it is in a legacy
 * one. The length of the packet stands at bit 46, see igb_give().
 */
const struct vfc_ring_layout igb_tx_layout = {
	.done = E1000E_TX_DD,
	.report = E1000E_TX_RS,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = 0,
	.length_bits = 16,
};

/* Sections 4.5.9 and 4.5.10: the tail may be moved once the queue shows that it is on. */
static void enable_queue(struct vfc_nic *nic, uint32_t at, uint32_t control)
{
	intel_write(nic, at + IGB_RING_CONTROL, control | IGB_RING_ENABLE);
	intel_await(nic, at + IGB_RING_CONTROL, IGB_RING_ENABLE, IGB_RING_ENABLE, 10 * MS);
}

/*
 * SRRCTL gives the length of a buffer in KiB, and the format of descriptors: advanced, with one
 * buffer. With several queues it also makes the queue drop what it has no buffer for. Otherwise a
 * queue that nobody empties would stop the others.
 */
void igb_start_rx(struct nic_rx *rx, uint32_t at)
{
	struct vfc_nic *nic = rx->nic;

	intel_set_ring(nic, at, &rx->ring);
	intel_write(nic, at + IGB_RX_SRRCTL,
		    nic->room / 1024 << IGB_SRRCTL_KILOBYTES | IGB_SRRCTL_ONE_BUFFER |
			    (nic->queues > 1 ? IGB_SRRCTL_DROP : 0));
	intel_start_completions(rx, IGB_RX_ERRORS);
	enable_queue(nic, at, 1 << IGB_RING_WTHRESH_SHIFT);
}

/* WTHRESH stays 0: what has RS is written back at once when it is done (section 7.2.2.3.11). */
void igb_start_tx(struct nic_tx *tx, uint32_t at)
{
	intel_set_ring(tx->nic, at, &tx->ring);
	enable_queue(tx->nic, at, 0);
}

/*
 * Section 7.3. A message masks its vector (EIAM). It does not clear the cause (EIAC is 0): the
 * cause stays until igb_rx_arm() clears it. So a burst of frames raises one interrupt, even with
 * QEMU, which masks nothing by EIAM.
 */
void igb_start_interrupts(struct vfc_nic *nic)
{
	intel_write(nic, IGB_EIAC, 0);
	intel_write(nic, IGB_EIAM, (1u << nic->queues) - 1);
	intel_write(nic, IGB_EICR, UINT32_MAX);
}

/* EICR clears the cause that older frames left, so that only a new frame raises the interrupt. */
void igb_rx_arm(struct vfc_nic *nic, uint32_t queue)
{
	intel_write(nic, IGB_EICR, 1u << queue);
	intel_write(nic, IGB_EIMS, 1u << queue);
	intel_flush(nic);    /* the writes have arrived when this returns */
	vfc_from_register(); /* and only then does the caller look at the ring for the last time */
}

/* PAYLEN, the length of the whole packet, which lies in one buffer here. */
VFC_TEMPLATE bool igb_give(void *context, struct vfc_buffer *buffer)
{
	if (!nic_give(context, buffer))
		return false;
	buffer->command |= (uint64_t)buffer->length << IGB_TX_PAYLOAD_SHIFT;
	return true;
}

uint32_t igb_rx_burst(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	return intel_receive(rx, IGB_RX_ERRORS, packets, count);
}

int igb_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, &igb_tx_layout, igb_give, TX_COMMAND, INTEL_FRAME_MAX, packets,
			   count);
}

int igb_tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send_by(tx, &igb_tx_layout, igb_give, TX_COMMAND, tx->nic->frame_max, packets,
			   count);
}

void igb_tx_clean(struct nic_tx *tx)
{
	nic_clean(tx, &igb_tx_layout);
}

/* -- the physical function -- */

/* A vector for each receive queue and one for all other causes. Nobody waits for sending. */
static uint32_t igb_vectors(uint32_t queues)
{
	return queues + 1;
}

/* With virtual functions the first queue is that of the last pool in use, see igb_pool(). */
static volatile void *igb_rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + IGB_RX(igb_pool(nic) + queue) + IGB_RING_TAIL;
}

static volatile void *igb_tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + IGB_TX(igb_pool(nic) + queue) + IGB_RING_TAIL;
}

/* Section 4.3.1, software reset. It may have unmasked interrupts, so they are masked again. */
static void igb_stop(struct vfc_nic *nic)
{
	intel_write(nic, IGB_EIMC, UINT32_MAX);
	intel_quiesce(nic, IGB_EITR(0), IGB_VECTORS);
	if (intel_flush(nic))
		return;
	intel_end_requests(nic);
	intel_reset(nic, intel_read(nic, E1000E_CTRL));
	intel_write(nic, E1000E_IMC, UINT32_MAX);
	intel_write(nic, IGB_EIMC, UINT32_MAX);
}

static int igb_attach(struct vfc_nic *nic)
{
	int rc = igb_vfs_attach(nic);

	if (rc == 0)
		rc = intel_attach(nic, IGB_REGISTERS);
	return rc < 0 ? rc : intel_read_mac(nic);
}

/*
 * A link that stayed up through the reset is left alone. Otherwise the PHY is told to negotiate
 * (IEEE 802.3, clause 22.2.4.1: bits 12 and 9 of its control register), which is what brings up
 * QEMU's link. MDIC carries one access to the PHY at a time and sets its bit R when it is done. If
 * the PHY does not answer, the link stays down, which vfc_nic_link() shows.
 *
 * Section 4.5.11 would have the PHY locked first where manageability firmware uses it, too.
 */
static void negotiate_link(struct vfc_nic *nic)
{
	uint32_t where = IGB_PHY_CONTROL << E1000E_MDIC_REGISTER_SHIFT |
			 IGB_MDIC_PHY << E1000E_MDIC_PHY_SHIFT;
	uint32_t control;

	if (intel_read(nic, E1000E_STATUS) & E1000E_STATUS_LU)
		return;
	intel_write(nic, E1000E_MDIC, where | E1000E_MDIC_READ);
	if (!intel_await(nic, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, MS))
		return;
	control = (intel_read(nic, E1000E_MDIC) & 0xffff) | IGB_PHY_NEGOTIATE | IGB_PHY_RESTART;
	intel_write(nic, E1000E_MDIC, where | E1000E_MDIC_WRITE | control);
	intel_await(nic, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, MS);
}

static int igb_set_promisc(struct vfc_nic *nic, bool on)
{
	intel_write(nic, E1000E_RCTL, intel_rctl(nic, on));
	igb_vfs_promisc(nic, on);
	return 0;
}

/* Section 4.5.9, receive initialization: filters and queues first, and RCTL.EN last. */
static void igb_start_receive(struct vfc_nic *nic)
{
	intel_start_filters(nic);
	intel_start_rss(nic, IGB_RETA_QUEUE_SHIFT, IGB_MRQC_RSS);
	for (uint32_t q = 0; q < nic->queues; q++)
		igb_start_rx(&nic->rx[q], IGB_RX(igb_pool(nic) + q));
	igb_vfs_divide(nic);
	intel_write(nic, E1000E_RCTL, intel_rctl(nic, nic->promisc));
}

/* Section 4.5.10, transmit initialization: the transmitter first, and then its queues. */
static void igb_start_transmit(struct vfc_nic *nic)
{
	intel_start_transmitter(nic, 0x40);
	for (uint32_t q = 0; q < nic->queues; q++)
		igb_start_tx(&nic->tx[q], IGB_TX(igb_pool(nic) + q));
}

/*
 * Section 7.3. GPIE turns MSI-X on, with a vector for each cause. IVAR gives the receive queues the
 * vectors from 0 on, and IVAR_MISC the next one to all other causes. Reading ICR clears what is
 * left in it.
 */
static void route_interrupts(struct vfc_nic *nic)
{
	intel_write(nic, IGB_GPIE, IGB_GPIE_MSIX | IGB_GPIE_EIAME | IGB_GPIE_PBA);
	for (uint32_t q = 0; q < nic->queues; q++)
		intel_write(nic, IGB_IVAR(igb_pool(nic) + q), IGB_IVAR_VALID | q);
	intel_write(nic, IGB_IVAR_MISC, (IGB_IVAR_VALID | nic->queues) << IGB_IVAR_OTHER_SHIFT);
	intel_read(nic, E1000E_ICR);
	igb_start_interrupts(nic);
}

/*
 * Virtual functions may have been made or removed since the last start: then our queues are others.
 */
static int find_queues(struct vfc_nic *nic)
{
	int rc = igb_vfs_find(nic);

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		nic->rx[q].ring.doorbell = igb_rx_doorbell(nic, q);
		nic->tx[q].ring.doorbell = igb_tx_doorbell(nic, q);
	}
	return rc;
}

static int igb_start(struct vfc_nic *nic)
{
	int rc = find_queues(nic);

	if (rc < 0)
		return rc;
	intel_start_link(nic);
	negotiate_link(nic);
	route_interrupts(nic);
	igb_start_receive(nic);
	igb_start_transmit(nic);
	igb_vfs_welcome(nic);
	return intel_check_present(nic);
}

/* RQDPC counts what each queue dropped for want of buffers, and is cleared when it is read. */
static void igb_read_counters(struct vfc_nic *nic)
{
	intel_read_counters(nic);
	for (uint32_t q = 0; q < nic->queues; q++) {
		uint32_t dropped = intel_read(nic, IGB_RX(igb_pool(nic) + q) + IGB_RX_DROPPED);

		if (dropped != UINT32_MAX) /* else the device is gone */
			nic_count(&nic->missed, dropped);
	}
}

const struct nic_driver nic_igb = {
	IGB_DRIVER,
	INTEL_PORT,
	.name = "igb",
	.device = IGB_DEVICE,
	.queues_max = IGB_QUEUES,
	.mtu_max = MTU_MAX,
	.vectors = igb_vectors,
	.attach = igb_attach,
	.detach = igb_vfs_detach,
	.rx_doorbell = igb_rx_doorbell,
	.tx_doorbell = igb_tx_doorbell,
	.start = igb_start,
	.stop = igb_stop,
	.set_promisc = igb_set_promisc,
	.read_counters = igb_read_counters,
	.vfs = &igb_vf_driver,
};
