/* SPDX-License-Identifier: MIT */
/*
 * Intel 82574L. Source: Intel 82574 GbE Controller Family Datasheet; sections are of that.
 *
 * Receive descriptors are extended ones (section 7.1.4), since RSS, and so a second queue, needs
 * them; transmit descriptors are legacy ones, which carry all that is needed without offloads.
 */
#include "nic/intel/intel.h"

#define MTU_MAX 9000 /* section 10.2.5.1: frames of 9018 bytes with FCS */
#define RX_STATUS (INTEL_RX_STATUS | E1000E_RX_ERRORS)

static const struct vfc_ring_layout rx_layout = {
	.done = E1000E_RX_DD,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = E1000E_RX_LENGTH_SHIFT,
	.length_bits = 16,
};

static const struct vfc_ring_layout tx_layout = {
	.done = E1000E_TX_DD,
	.report = E1000E_TX_RS,
	.errors = E1000E_TX_ERRORS,
	.size = 16,
	.address = 0,
	.control = 8,
	.length_shift = 0,
	.length_bits = 16,
};

static uint32_t vectors(uint32_t queues)
{
	return 2 * queues + 1; /* receive, transmit, everything else */
}

static volatile void *rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + E1000E_RDT(queue);
}

static volatile void *tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + E1000E_TDT(queue);
}

/*
 * Bring the device to rest, from whatever state.
 *
 * Receiver and transmitter are stopped by their own enable bits first, since not every
 * implementation stops them on CTRL.RST (QEMU before 8.0 only restores the address). Then there
 * is a pause: QEMU 7.2 aborts when a throttle timer of a vector runs out (it runs for 128 us at
 * least, whatever EITR says) and finds MSI-X off, as a reset of the function leaves it.
 */
static void stop(struct vfc_nic *nic)
{
	set(nic, E1000E_IMC, UINT32_MAX);
	set(nic, E1000E_RCTL, 0);
	set(nic, E1000E_TCTL, E1000E_TCTL_PSP);
	set(nic, E1000E_ITR, 0);
	for (int i = 0; i < E1000E_VECTORS; i++)
		set(nic, E1000E_EITR(i), 0);
	/* The writes have arrived when a read returns. Of a device that is gone nothing is awaited. */
	if (get(nic, E1000E_STATUS) == UINT32_MAX)
		return;
	/* No new requests, and those under way are done, before the reset (section 4.6.2). */
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_MASTER_DISABLE);
	await(nic, E1000E_STATUS, E1000E_STATUS_MASTER, 0, MS);
	if (nic->irq)
		sys_sleep(2 * MS);
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_RST);
	sys_sleep(MS / 50); /* registers may not be touched for a microsecond after it */
	await(nic, E1000E_CTRL, E1000E_CTRL_RST, 0, 1000 * MS);
	set(nic, E1000E_IMC, UINT32_MAX); /* section 4.6.1: again, a reset may have unmasked */
}

static int attach(struct vfc_nic *nic)
{
	int rc = intel_attach(nic, E1000E_REGISTERS);

	return rc < 0 ? rc : intel_read_mac(nic);
}

static uint32_t rctl(const struct vfc_nic *nic, bool promisc)
{
	return intel_rctl(nic, promisc) | nic->room / 1024 << E1000E_RCTL_FLXBUF_SHIFT;
}

static int set_promisc(struct vfc_nic *nic, bool on)
{
	set(nic, E1000E_RCTL, rctl(nic, on));
	return 0;
}

/* Section 7.1.11: spread by the Toeplitz hash of addresses and ports. */
static void start_rss(struct vfc_nic *nic)
{
	set(nic, E1000E_MRQC, 0);
	if (nic->queues == 1)
		return;
	intel_write_key(nic);
	/* 128 entries of a byte; bit 7 is the queue: one each in turn. */
	for (uint32_t i = 0; i < E1000E_RETA_COUNT; i++)
		set(nic, E1000E_RETA(i), 0x80008000);
	set(nic, E1000E_MRQC, E1000E_MRQC_RSS | E1000E_MRQC_FIELDS);
}

/* Section 4.6.5, receive initialization. */
static void start_receive(struct vfc_nic *nic)
{
	for (uint32_t i = 0; i < E1000E_MTA_COUNT; i++)
		set(nic, E1000E_MTA(i), 0);
	intel_set_mac(nic, nic->mac);
	set(nic, E1000E_RFCTL, E1000E_RFCTL_EXSTEN);
	set(nic, E1000E_RDTR, 0);
	set(nic, E1000E_RADV, 0);
	intel_start_checksums(nic);
	intel_start_vlans(nic);
	start_rss(nic);
	for (uint32_t q = 0; q < nic->queues; q++) {
		const struct vfc_dma *memory = &nic->rx[q].ring.memory;

		set(nic, E1000E_RDBAL(q), (uint32_t)memory->iova);
		set(nic, E1000E_RDBAH(q), (uint32_t)(memory->iova >> 32));
		set(nic, E1000E_RDLEN(q), nic->rx_entries * rx_layout.size);
		set(nic, E1000E_RDH(q), 0);
		set(nic, E1000E_RDT(q), 0);
		set(nic, E1000E_RXDCTL(q), E1000E_XDCTL_GRAN);
	}
	for (uint32_t q = 0; q < nic->queues; q++) {
		nic->rx[q].expected = INTEL_RX_GOOD;
		nic->rx[q].refused = intel_rx_refused(nic, E1000E_RX_ERRORS);
	}
	set(nic, E1000E_RCTL, rctl(nic, nic->promisc));
}

/* Section 4.6.6, transmit initialization; collision values are those for full duplex. */
static void start_transmit(struct vfc_nic *nic)
{
	for (uint32_t q = 0; q < nic->queues; q++) {
		const struct vfc_dma *memory = &nic->tx[q].ring.memory;

		set(nic, E1000E_TDBAL(q), (uint32_t)memory->iova);
		set(nic, E1000E_TDBAH(q), (uint32_t)(memory->iova >> 32));
		set(nic, E1000E_TDLEN(q), nic->tx_entries * tx_layout.size);
		set(nic, E1000E_TDH(q), 0);
		set(nic, E1000E_TDT(q), 0);
		set(nic, E1000E_TXDCTL(q), E1000E_XDCTL_GRAN | E1000E_TXDCTL_ONE |
						   1 << E1000E_XDCTL_WTHRESH_SHIFT);
	}
	set(nic, E1000E_TIPG, 8 | 8 << 10 | 6 << 20);
	set(nic, E1000E_TCTL, E1000E_TCTL_EN | E1000E_TCTL_PSP | 0xf << E1000E_TCTL_CT_SHIFT |
				      0x3f << E1000E_TCTL_COLD_SHIFT);
}

/*
 * Section 7.4, MSI-X: each cause has its vector; a message clears its cause (EIAC) and masks it
 * (IAM), so that a burst raises one interrupt. All stay masked until somebody waits.
 */
static void start_interrupts(struct vfc_nic *nic)
{
	uint32_t ivar = E1000E_IVAR_FIELD(4, 2 * nic->queues), causes = 0;

	for (uint32_t q = 0; q < nic->queues; q++) {
		ivar |= E1000E_IVAR_FIELD(q, q) | E1000E_IVAR_FIELD(2 + q, nic->queues + q);
		causes |= E1000E_INT_RXQ(q) | E1000E_INT_TXQ(q);
	}
	set(nic, E1000E_ICR, UINT32_MAX);
	set(nic, E1000E_IVAR, ivar);
	set(nic, E1000E_EIAC, causes);
	set(nic, E1000E_IAM, causes);
	set(nic, E1000E_CTRL_EXT, (get(nic, E1000E_CTRL_EXT) & ~E1000E_CTRL_EXT_IAME) |
					  E1000E_CTRL_EXT_EIAME | E1000E_CTRL_EXT_PBA_CLR);
}

static int start(struct vfc_nic *nic)
{
	/* Section 4.6.3: the PHY negotiates by itself, the MAC only has to let it. */
	uint32_t ctrl = get(nic, E1000E_CTRL) & ~E1000E_CTRL_MASTER_DISABLE;

	set(nic, E1000E_CTRL, ctrl | E1000E_CTRL_SLU | E1000E_CTRL_FD);
	start_interrupts(nic);
	start_receive(nic);
	start_transmit(nic);
	return intel_check_present(nic);
}

/*
 * The queue's stale cause is cleared first, so that only a new frame fires. All receive causes
 * are unmasked, not only the queue's: two threads that arm at once then write the same value. What
 * that costs is at most one unneeded interrupt for a queue that is being polled.
 */
static void rx_arm(struct vfc_nic *nic, uint32_t queue)
{
	uint32_t causes = E1000E_INT_RXQ(0) | (nic->queues > 1 ? E1000E_INT_RXQ(1) : 0);

	set(nic, E1000E_ICR, E1000E_INT_RXQ(queue));
	set(nic, E1000E_IMS, causes);
	get(nic, E1000E_STATUS); /* the writes have arrived when this returns */
	vfc_from_register();     /* and only then does the caller look at the ring for the last time */
}

static void rx_refill(struct nic_rx *rx)
{
	nic_refill(rx, &rx_layout, 0);
}

static bool rx_ready(struct nic_rx *rx)
{
	return vfc_ring_ready(&rx->ring, &rx_layout);
}

static void tx_clean(struct nic_tx *tx)
{
	nic_clean(tx, &tx_layout);
}

VFC_TEMPLATE uint32_t receive(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	const vfc_ring_sieve sieve = {RX_STATUS, &rx->expected, intel_rx_take, intel_rx_bad, INTEL_RX_LENGTH(1)};

	return nic_receive(rx, &rx_layout, 0, &sieve, packets, count);
}

VFC_TEMPLATE int send(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send(tx, &tx_layout, E1000E_TX_EOP | E1000E_TX_IFCS, INTEL_FRAME_MAX, packets,
			count);
}

static uint32_t rx_burst_any(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count)
{
	const vfc_ring_sieve sieve = {INTEL_RX_GOOD | rx->refused, &rx->expected, intel_rx_take_any,
				      intel_rx_bad_any, 0};

	return nic_receive(rx, &rx_layout, 0, &sieve, packets, count);
}

static int tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count)
{
	return nic_send(tx, &tx_layout, E1000E_TX_EOP | E1000E_TX_IFCS, tx->nic->frame_max, packets,
			count);
}

NIC_BURSTS(rx_burst, tx_burst, receive, send)

const struct nic_driver nic_e1000e = {
	.name = "e1000e",
	.vendor = E1000E_VENDOR,
	.device = E1000E_DEVICE,
	.queues_max = E1000E_QUEUES,
	.frame_max = INTEL_FRAME_MAX,
	.mtu_max = MTU_MAX,
	.flags = VFC_NIC_RX_CHECKSUM | VFC_NIC_VLAN_FILTER,
	.rx_layout = &rx_layout,
	.tx_layout = &tx_layout,
	.vectors = vectors,
	.attach = attach,
	.rx_doorbell = rx_doorbell,
	.tx_doorbell = tx_doorbell,
	.start = start,
	.stop = stop,
	.link = intel_link,
	.set_mac = intel_set_mac,
	.set_promisc = set_promisc,
	.set_vlan = intel_set_vlan,
	.read_counters = intel_read_counters,
	.rx_arm = rx_arm,
	.rx_burst = rx_burst,
	.tx_burst = tx_burst,
	.rx_burst_any = rx_burst_any,
	.tx_burst_any = tx_burst_any,
	.rx_refill = rx_refill,
	.tx_clean = tx_clean,
	.rx_ready = rx_ready,
};
