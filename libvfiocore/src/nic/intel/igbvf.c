/* SPDX-License-Identifier: MIT */
/*
 * A virtual function of the Intel 82576. Source: Intel 82576EB Gigabit Ethernet Controller Datasheet;
 * sections are of that. It has queues and interrupts of its own; addresses, filters and the link are
 * the physical function's, whose driver is asked by the mailbox.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/object.h"
#include "base/error.h"
#include "nic/intel/igb_mailbox.h"
#include "nic/intel/igb_queues.h"
#include "nic/vf.h"

/* Of its two queues one: a second one receives only what the physical function spreads by RSS. */
#define QUEUES 1

static uint32_t vectors(uint32_t queues)
{
	return queues;
}

static volatile void *rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	(void)queue;
	return nic->registers + IGBVF_RX + IGB_RING_TAIL;
}

static volatile void *tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	(void)queue;
	return nic->registers + IGBVF_TX + IGB_RING_TAIL;
}

/* Section 4.3: CTRL.RST resets the function's queues and interrupts, and nothing else. */
static void stop(struct vfc_nic *nic)
{
	((struct igbvf *)nic->state)->running = false;
	set(nic, IGB_EIMC, UINT32_MAX);
	for (uint32_t i = 0; i < IGBVF_VECTORS; i++)
		set(nic, IGB_EITR(i), 0);
	set(nic, IGBVF_RX + IGB_RING_CONTROL, 0);
	set(nic, IGBVF_TX + IGB_RING_CONTROL, 0);
	/* The writes have arrived when a read returns. Of a device that is gone nothing is awaited. */
	if (get(nic, E1000E_STATUS) == UINT32_MAX)
		return;
	await(nic, IGBVF_RX + IGB_RING_CONTROL, IGB_RING_ENABLE, 0, 10 * MS);
	await(nic, IGBVF_TX + IGB_RING_CONTROL, IGB_RING_ENABLE, 0, 10 * MS);
	set(nic, E1000E_CTRL, E1000E_CTRL_RST);
	sys_sleep(MS); /* registers may not be touched meanwhile */
	await(nic, E1000E_CTRL, E1000E_CTRL_RST, 0, 1000 * MS);
	set(nic, IGB_EIMC, UINT32_MAX);
}

static int attach(struct vfc_nic *nic)
{
	nic->state = sys_alloc(sizeof(struct igbvf));
	return nic->state ? intel_attach(nic, IGBVF_REGISTERS) : vfc_no_memory();
}

static int detach(struct vfc_nic *nic)
{
	free(nic->state);
	nic->state = NULL;
	return 0;
}

static int refused(struct vfc_nic *nic, const char *what)
{
	return vfc_fail(EACCES, VFC_REASON_PERMISSION, WHERE(.object = nic->device->name),
			"the physical function's driver refused %s", what);
}

static int set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	uint32_t message[3] = {MAIL_SET_MAC, intel_mac_low(mac), intel_mac_high(mac)};
	int rc = igbvf_ask(nic, message, 3);

	if (rc == 0)
		return refused(nic, "the address: another function has it, or this one's was given by "
				    "the host (ip link set PF vf N mac, vfc_nic_vf_set_mac())");
	return rc < 0 ? rc : 0;
}

/* Multicast is always asked for; without it a function lives, too. */
static int set_promisc(struct vfc_nic *nic, bool on)
{
	uint32_t info = MAIL_PROMISC_MULTICAST | (on ? MAIL_PROMISC_UNICAST : 0);
	uint32_t message[1] = {MAIL_PROMISC | MAIL_INFO(info)};
	int rc = igbvf_ask(nic, message, 1);

	if (rc == 0 && on)
		return refused(nic, "frames for other addresses: those are not this function's to see");
	return rc < 0 ? rc : 0;
}

/* After a reset it is the address from before, so that peers find it again. */
static int choose_mac(struct vfc_nic *nic)
{
	static const uint8_t none[6];
	int rc;

	memcpy(nic->mac, nic->permanent, sizeof(nic->mac));
	if (!memcmp(nic->mac, none, sizeof(none))) {
		rc = nic_random_mac(nic->mac);
		if (rc < 0)
			return rc;
	}
	return set_mac(nic, nic->mac);
}

static int meet(struct vfc_nic *nic)
{
	uint32_t length[2] = {MAIL_LENGTH, INTEL_FRAME_MAX + 4};
	uint8_t mac[6];
	int rc = igbvf_meet(nic, mac);

	if (rc < 0)
		return rc;
	if (rc == 1)
		memcpy(nic->mac, mac, sizeof(mac));
	else
		rc = choose_mac(nic);
	if (rc >= 0)
		rc = igbvf_ask(nic, length, 2); /* refused: it is less, by the host's decision */
	return rc < 0 ? rc : set_promisc(nic, nic->promisc);
}

/* The order of sections 4.5.9 and 4.5.10. Vectors are numbered within the function. */
static int start(struct vfc_nic *nic)
{
	int rc = meet(nic);

	if (rc < 0)
		return rc;
	set(nic, IGB_IVAR(0), IGB_IVAR_VALID);
	igb_start_interrupts(nic);
	igb_start_rx(&nic->rx[0], IGBVF_RX);
	((struct igbvf *)nic->state)->running = true;
	igb_start_tx(&nic->tx[0], IGBVF_TX);
	return intel_check_present(nic);
}

/* It is no link for us when the physical function was reset: nothing goes out or comes in. */
static void read_link(struct vfc_nic *nic, struct vfc_nic_link *state)
{
	intel_link(nic, state);
	if (igbvf_lost(nic))
		memset(state, 0, sizeof(*state));
}

static void read_counters(struct vfc_nic *nic)
{
	uint32_t dropped = get(nic, IGBVF_RX + IGB_RX_DROPPED);

	if (dropped != UINT32_MAX) /* the device is gone */
		nic_count(&nic->missed, dropped);
}

const struct nic_driver nic_igbvf = {
	.name = "igbvf",
	.vendor = IGB_VENDOR,
	.device = IGBVF_DEVICE,
	.queues_max = QUEUES,
	.frame_max = INTEL_FRAME_MAX,
	.mtu_max = 1500,
	.rx_layout = &igb_rx_layout,
	.tx_layout = &igb_tx_layout,
	.vectors = vectors,
	.attach = attach,
	.detach = detach,
	.rx_doorbell = rx_doorbell,
	.tx_doorbell = tx_doorbell,
	.start = start,
	.stop = stop,
	.link = read_link,
	.set_mac = set_mac,
	.set_promisc = set_promisc,
	.read_counters = read_counters,
	.rx_arm = igb_rx_arm,
	.rx_burst = igb_rx_burst,
	.tx_burst = igb_tx_burst,
	.rx_burst_any = igb_rx_burst_any,
	.tx_burst_any = igb_tx_burst_any,
	.rx_refill = igb_rx_refill,
	.tx_clean = igb_tx_clean,
	.rx_ready = igb_rx_ready,
};
