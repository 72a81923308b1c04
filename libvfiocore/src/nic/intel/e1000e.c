/* SPDX-License-Identifier: MIT */
/*
 * Intel 82574L. Source: Intel 82574 GbE Controller Family Datasheet; sections are of that.
 *
 * Receive descriptors are extended ones (section 7.1.4), since the device spreads frames over its
 * two queues with those only. Transmit descriptors are legacy ones (section 7.2): without offloads
 * they say all that is needed, in half of the words.
 */
#include "nic/intel/intel.h"

#define MTU_MAX 9000 /* section 10.2.5.1: frames of up to 9,018 bytes with FCS */
#define TX_COMMAND (E1000E_TX_EOP | E1000E_TX_IFCS)

/*
 * The second quadword has length and command as we write it, and the status (DD, errors) after the
 * device wrote it back. It does so where the command has RS, report status, which the ring sets now
 * and then.
 */
static const struct vfc_ring_layout e1000e_tx_layout = {
	.done = E1000E_TX_DD,
	.report = E1000E_TX_RS,
	.errors = E1000E_TX_ERRORS,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = 0,
	.length_bits = 16,
};

/* Of each queue one vector for receiving and one for sending; one for all other causes. */
static uint32_t e1000e_vectors(uint32_t queues)
{
	return 2 * queues + 1;
}

static volatile void *e1000e_rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + E1000E_RDT(queue);
}

static volatile void *e1000e_tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + E1000E_TDT(queue);
}

/* -- start and stop -- */

/*
 * Section 4.6.2, global reset: requests are ended first, and interrupts are masked before and
 * after, since the reset may have unmasked them (section 4.6.1).
 *
 * The pause is for QEMU 7.2. It aborts when a throttle timer of a vector runs out and finds MSI-X
 * off, as a reset of the function leaves it, and the timer runs for 128 us at least, whatever EITR
 * says.
 */
static void e1000e_stop(struct vfc_nic *nic)
{
	intel_quiesce(nic, E1000E_EITR(0), E1000E_VECTORS);
	intel_write(nic, E1000E_ITR, 0);
	if (intel_flush(nic))
		return;
	intel_end_requests(nic);
	if (nic->irq)
		sys_sleep(2 * MS);
	intel_reset(nic, intel_read(nic, E1000E_CTRL));
	intel_write(nic, E1000E_IMC, UINT32_MAX);
}

static int e1000e_attach(struct vfc_nic *nic)
{
	int rc = intel_attach(nic, E1000E_REGISTERS);

	return rc < 0 ? rc : intel_read_mac(nic);
}

/* RCTL.FLXBUF gives the length of a buffer in KiB and takes precedence over BSIZE and BSEX. */
static uint32_t rctl(const struct vfc_nic *nic, bool promisc)
{
	return intel_rctl(nic, promisc) | nic->room / 1024 << E1000E_RCTL_FLXBUF_SHIFT;
}

static int e1000e_set_promisc(struct vfc_nic *nic, bool on)
{
	intel_write(nic, E1000E_RCTL, rctl(nic, on));
	return 0;
}

/*
 * Section 4.6.5, receive initialization. RFCTL.EXSTEN chooses extended descriptors. RDTR and RADV
 * would delay interrupts, and are off. The receiver is turned on last, by RCTL.
 */
static void e1000e_start_receive(struct vfc_nic *nic)
{
	intel_start_filters(nic);
	intel_write(nic, E1000E_RFCTL, E1000E_RFCTL_EXSTEN);
	intel_write(nic, E1000E_RDTR, 0);
	intel_write(nic, E1000E_RADV, 0);
	intel_start_rss(nic, E1000E_RETA_QUEUE_SHIFT, E1000E_MRQC_RSS);
	for (uint32_t q = 0; q < nic->queues; q++) {
		intel_set_ring(nic, E1000E_RX(q), &nic->rx[q].ring);
		intel_write(nic, E1000E_RXDCTL(q), E1000E_XDCTL_GRAN);
		intel_start_completions(&nic->rx[q], E1000E_RX_ERRORS);
	}
	intel_write(nic, E1000E_RCTL, rctl(nic, nic->promisc));
}

/*
 * Section 4.6.6, transmit initialization. TXDCTL.WTHRESH of 1 writes a descriptor back as soon as it
 * is done, and GRAN makes that a count of descriptors. TIPG has the gaps between frames: IPGT 8,
 * IPGR1 8, IPGR2 6.
 */
static void e1000e_start_transmit(struct vfc_nic *nic)
{
	for (uint32_t q = 0; q < nic->queues; q++) {
		intel_set_ring(nic, E1000E_TX(q), &nic->tx[q].ring);
		intel_write(nic, E1000E_TXDCTL(q),
			    E1000E_XDCTL_GRAN | E1000E_TXDCTL_ONE |
				    1 << E1000E_XDCTL_WTHRESH_SHIFT);
	}
	intel_write(nic, E1000E_TIPG, 8 | 8 << 10 | 6 << 20);
	intel_start_transmitter(nic, 0x3f);
}

/*
 * Section 7.4, MSI-X. IVAR gives each cause its vector. A message clears its cause (EIAC) and masks
 * it (IAM by CTRL_EXT.EIAME), so a burst of frames raises one interrupt. Every cause stays masked
 * until somebody waits.
 */
static void e1000e_start_interrupts(struct vfc_nic *nic)
{
	uint32_t ivar = E1000E_IVAR_FIELD(4, 2 * nic->queues), causes = 0;

	for (uint32_t q = 0; q < nic->queues; q++) {
		ivar |= E1000E_IVAR_FIELD(q, q) | E1000E_IVAR_FIELD(2 + q, nic->queues + q);
		causes |= E1000E_INT_RXQ(q) | E1000E_INT_TXQ(q);
	}
	intel_write(nic, E1000E_ICR, UINT32_MAX);
	intel_write(nic, E1000E_IVAR, ivar);
	intel_write(nic, E1000E_EIAC, causes);
	intel_write(nic, E1000E_IAM, causes);
	intel_write(nic, E1000E_CTRL_EXT,
		    (intel_read(nic, E1000E_CTRL_EXT) & ~E1000E_CTRL_EXT_IAME) |
			    E1000E_CTRL_EXT_EIAME | E1000E_CTRL_EXT_PBA_CLR);
}

/* The order is that of section 4.6: link (4.6.3), interrupts, receive (4.6.5), transmit (4.6.6). */
static int e1000e_start(struct vfc_nic *nic)
{
	intel_start_link(nic);
	e1000e_start_interrupts(nic);
	e1000e_start_receive(nic);
	e1000e_start_transmit(nic);
	return intel_check_present(nic);
}

/*
 * A write to ICR clears the cause that older frames left, so that only a new frame raises an
 * interrupt. IMS then unmasks the causes of all receive queues. Two threads that arm at once would
 * otherwise race for the mask; now they write the same value, and a queue that is polled gets one
 * interrupt too many at most.
 */
static void e1000e_rx_arm(struct vfc_nic *nic, uint32_t queue)
{
	uint32_t causes = E1000E_INT_RXQ(0) | (nic->queues > 1 ? E1000E_INT_RXQ(1) : 0);

	intel_write(nic, E1000E_ICR, E1000E_INT_RXQ(queue));
	intel_write(nic, E1000E_IMS, causes);
	intel_flush(nic);    /* the writes have arrived when this returns */
	vfc_from_register(); /* and only then does the caller look at the ring for the last time */
}

/* -- the hot path -- */

static void e1000e_tx_clean(struct nic_tx *tx)
{
	nic_clean(tx, &e1000e_tx_layout);
}

VFC_TEMPLATE uint32_t e1000e_receive(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	return intel_receive(rx, E1000E_RX_ERRORS, packets, count);
}

VFC_TEMPLATE int e1000e_send(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send(tx, &e1000e_tx_layout, TX_COMMAND, INTEL_FRAME_MAX, packets, count);
}

NIC_BURSTS(e1000e_rx_burst, e1000e_tx_burst, e1000e_receive, e1000e_send)

static int e1000e_tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send(tx, &e1000e_tx_layout, TX_COMMAND, tx->nic->frame_max, packets, count);
}

const struct nic_driver nic_e1000e = {
	INTEL_DRIVER,
	INTEL_PORT,
	.name = "e1000e",
	.device = E1000E_DEVICE,
	.queues_max = E1000E_QUEUES,
	.mtu_max = MTU_MAX,
	.tx_layout = &e1000e_tx_layout,
	.vectors = e1000e_vectors,
	.attach = e1000e_attach,
	.rx_doorbell = e1000e_rx_doorbell,
	.tx_doorbell = e1000e_tx_doorbell,
	.start = e1000e_start,
	.stop = e1000e_stop,
	.set_promisc = e1000e_set_promisc,
	.read_counters = intel_read_counters,
	.rx_arm = e1000e_rx_arm,
	.rx_burst = e1000e_rx_burst,
	.tx_burst = e1000e_tx_burst,
	.tx_burst_any = e1000e_tx_burst_any,
	.tx_clean = e1000e_tx_clean,
};
