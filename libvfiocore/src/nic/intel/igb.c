/* SPDX-License-Identifier: MIT */
/*
 * Intel 82576. Source: Intel 82576EB Gigabit Ethernet Controller Datasheet; sections are of that.
 * Where the registers are those of the 82574 they have its names.
 */
#include "nic/intel/igb_queues.h"
#include "nic/intel/igb_vfs.h"

#define FCS 4
#define MTU_MAX (IGB_RLPML_MAX - FCS - VFC_NIC_HEADER)

static uint32_t vectors(uint32_t queues)
{
	return queues + 1; /* receive, everything else; nobody waits for transmit */
}

static volatile void *rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + IGB_RX(igb_pool(nic) + queue) + IGB_RING_TAIL;
}

static volatile void *tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	return nic->registers + IGB_TX(igb_pool(nic) + queue) + IGB_RING_TAIL;
}

/* Bring the device to rest, from whatever state: section 4.3.1, section 5.2.3.3 for the requests. */
static void stop(struct vfc_nic *nic)
{
	set(nic, E1000E_IMC, UINT32_MAX);
	set(nic, IGB_EIMC, UINT32_MAX);
	set(nic, E1000E_RCTL, 0);
	set(nic, E1000E_TCTL, E1000E_TCTL_PSP);
	for (uint32_t i = 0; i < IGB_VECTORS; i++)
		set(nic, IGB_EITR(i), 0);
	/* The writes have arrived when a read returns. Of a device that is gone nothing is awaited. */
	if (get(nic, E1000E_STATUS) == UINT32_MAX)
		return;
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_MASTER_DISABLE);
	await(nic, E1000E_STATUS, E1000E_STATUS_MASTER, 0, 10 * MS);
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_RST);
	sys_sleep(MS); /* registers may not be touched meanwhile */
	await(nic, E1000E_CTRL, E1000E_CTRL_RST, 0, 1000 * MS);
	set(nic, E1000E_IMC, UINT32_MAX); /* again, a reset may have unmasked */
	set(nic, IGB_EIMC, UINT32_MAX);
}

static int attach(struct vfc_nic *nic)
{
	int rc = igb_vfs_attach(nic);

	if (rc == 0)
		rc = intel_attach(nic, IGB_REGISTERS);
	return rc < 0 ? rc : intel_read_mac(nic);
}

/*
 * A link that stays up through the reset is left alone. QEMU's comes up only when it is told to
 * negotiate. (Section 4.5.11: with firmware for manageability the PHY would have to be locked first.)
 */
static void start_link(struct vfc_nic *nic)
{
	uint32_t ctrl = get(nic, E1000E_CTRL) & ~E1000E_CTRL_MASTER_DISABLE;
	uint32_t where = IGB_PHY_CONTROL << E1000E_MDIC_REGISTER_SHIFT |
			 IGB_MDIC_PHY << E1000E_MDIC_PHY_SHIFT;
	uint32_t control;

	set(nic, E1000E_CTRL, ctrl | E1000E_CTRL_SLU | E1000E_CTRL_FD);
	if (get(nic, E1000E_STATUS) & E1000E_STATUS_LU)
		return;
	set(nic, E1000E_MDIC, where | E1000E_MDIC_READ);
	if (!await(nic, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, MS))
		return; /* then the link tells that it is down */
	control = (get(nic, E1000E_MDIC) & 0xffff) | IGB_PHY_NEGOTIATE | IGB_PHY_RESTART;
	set(nic, E1000E_MDIC, where | E1000E_MDIC_WRITE | control);
	await(nic, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, MS);
}

static int set_promisc(struct vfc_nic *nic, bool on)
{
	set(nic, E1000E_RCTL, intel_rctl(nic, on));
	igb_vfs_promisc(nic, on);
	return 0;
}

/* Section 7.1.1.7: spread by the Toeplitz hash of addresses and ports. */
static void start_rss(struct vfc_nic *nic)
{
	set(nic, E1000E_MRQC, 0);
	if (nic->queues == 1)
		return;
	intel_write_key(nic);
	for (uint32_t i = 0; i < E1000E_RETA_COUNT; i++) {
		uint32_t entry = 0;

		for (uint32_t j = 0; j < 4; j++)
			entry |= (4 * i + j) % nic->queues << 8 * j;
		set(nic, E1000E_RETA(i), entry);
	}
	set(nic, E1000E_MRQC, IGB_MRQC_RSS | E1000E_MRQC_FIELDS);
}

/* Section 4.5.9, receive initialization. */
static void start_receive(struct vfc_nic *nic)
{
	for (uint32_t i = 0; i < E1000E_MTA_COUNT; i++)
		set(nic, E1000E_MTA(i), 0);
	intel_set_mac(nic, nic->mac);
	intel_start_checksums(nic);
	intel_start_vlans(nic);
	start_rss(nic);
	for (uint32_t q = 0; q < nic->queues; q++)
		igb_start_rx(&nic->rx[q], IGB_RX(igb_pool(nic) + q));
	igb_vfs_divide(nic);
	set(nic, E1000E_RCTL, intel_rctl(nic, nic->promisc));
}

/* Section 4.5.10, transmit initialization; collision values are those for full duplex. */
static void start_transmit(struct vfc_nic *nic)
{
	set(nic, E1000E_TCTL, E1000E_TCTL_EN | E1000E_TCTL_PSP | 0xf << E1000E_TCTL_CT_SHIFT |
				      0x40 << E1000E_TCTL_COLD_SHIFT);
	for (uint32_t q = 0; q < nic->queues; q++)
		igb_start_tx(&nic->tx[q], IGB_TX(igb_pool(nic) + q));
}

static void start_interrupts(struct vfc_nic *nic)
{
	set(nic, IGB_GPIE, IGB_GPIE_MSIX | IGB_GPIE_EIAME | IGB_GPIE_PBA);
	for (uint32_t q = 0; q < nic->queues; q++)
		set(nic, IGB_IVAR(igb_pool(nic) + q), IGB_IVAR_VALID | q);
	set(nic, IGB_IVAR_MISC, (IGB_IVAR_VALID | nic->queues) << IGB_IVAR_OTHER_SHIFT);
	get(nic, E1000E_ICR);
	igb_start_interrupts(nic);
}

/* Virtual functions may have come or gone since: then other queues are ours. */
static int find_queues(struct vfc_nic *nic)
{
	int rc = igb_vfs_find(nic);

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		nic->rx[q].ring.doorbell = rx_doorbell(nic, q);
		nic->tx[q].ring.doorbell = tx_doorbell(nic, q);
	}
	return rc;
}

static int start(struct vfc_nic *nic)
{
	int rc = find_queues(nic);

	if (rc < 0)
		return rc;
	start_link(nic);
	start_interrupts(nic);
	start_receive(nic);
	start_transmit(nic);
	igb_vfs_welcome(nic);
	return intel_check_present(nic);
}

static void read_counters(struct vfc_nic *nic)
{
	intel_read_counters(nic);
	for (uint32_t q = 0; q < nic->queues; q++) {
		uint32_t dropped = get(nic, IGB_RX(igb_pool(nic) + q) + IGB_RX_DROPPED);

		if (dropped != UINT32_MAX) /* the device is gone */
			nic_count(&nic->missed, dropped);
	}
}

const struct nic_driver nic_igb = {
	.name = "igb",
	.vendor = IGB_VENDOR,
	.device = IGB_DEVICE,
	.queues_max = IGB_QUEUES,
	.frame_max = INTEL_FRAME_MAX,
	.mtu_max = MTU_MAX,
	.flags = VFC_NIC_RX_CHECKSUM | VFC_NIC_VLAN_FILTER,
	.rx_layout = &igb_rx_layout,
	.tx_layout = &igb_tx_layout,
	.vectors = vectors,
	.attach = attach,
	.detach = igb_vfs_detach,
	.rx_doorbell = rx_doorbell,
	.tx_doorbell = tx_doorbell,
	.start = start,
	.stop = stop,
	.link = intel_link,
	.set_mac = intel_set_mac,
	.set_promisc = set_promisc,
	.set_vlan = intel_set_vlan,
	.read_counters = read_counters,
	.rx_arm = igb_rx_arm,
	.rx_burst = igb_rx_burst,
	.tx_burst = igb_tx_burst,
	.rx_burst_any = igb_rx_burst_any,
	.tx_burst_any = igb_tx_burst_any,
	.rx_refill = igb_rx_refill,
	.tx_clean = igb_tx_clean,
	.rx_ready = igb_rx_ready,
	.vfs = &igb_vf_driver,
};
