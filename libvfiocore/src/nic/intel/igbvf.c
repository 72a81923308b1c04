/* SPDX-License-Identifier: MIT */
/*
 * A virtual function of the Intel 82576. Source: Intel 82576EB Gigabit Ethernet Controller
 * Datasheet; sections are of that.
 *
 * It has queues and interrupts of its own. Addresses, filters and the link belong to the physical
 * function, whose driver is asked by messages in the mailbox.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "device/object.h"
#include "nic/intel/igb.h"

/* The device has two. The second one gets only what the physical function spreads by RSS. */
#define QUEUES 1

#define PATIENCE (1000 * MS) /* with the driver of the physical function */
#define POLL (MS / 10)
#define CLEARED (IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK | IGBVF_MAILBOX_RSTD)

/* -- the mailbox, section 7.10.2.9 -- */

/* A read of V2PMailbox clears some of its bits, so they are kept until somebody asks for them. */
static uint32_t read_mailbox(struct vfc_nic *nic)
{
	struct igbvf *vf = (struct igbvf *)nic->state;
	uint32_t now = intel_read(nic, IGBVF_MAILBOX);

	vf->kept |= now & CLEARED;
	return now | vf->kept;
}

/* What a bit said is dealt with. The read collects it first, so that it does not come up later. */
static void forget_bits(struct vfc_nic *nic, uint32_t bits)
{
	struct igbvf *vf = (struct igbvf *)nic->state;

	read_mailbox(nic);
	vf->kept &= ~bits;
}

/*
 * RSTI and RSTD tell of a reset of the physical function. A function level reset of it sets
 * neither, but turns our queue off.
 */
bool igbvf_lost(struct vfc_nic *nic)
{
	struct igbvf *vf = (struct igbvf *)nic->state;

	if (read_mailbox(nic) & (IGBVF_MAILBOX_RSTI | IGBVF_MAILBOX_RSTD))
		vf->lost = true;
	if (vf->running && !(intel_read(nic, IGBVF_RX + IGB_RING_CONTROL) & IGB_RING_ENABLE))
		vf->lost = true;
	return vf->lost;
}

/* Nobody answers: the device is gone, or the physical function has no driver that serves us. */
static int no_answer(struct vfc_nic *nic, const char *what)
{
	int rc = intel_check_present(nic);

	if (rc < 0)
		return rc;
	return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
			"%s: the physical function needs a driver that answers: the host's, with its "
			"interface up (ip link set up), or one of this library with "
			"vfc_nic_vf_serve()", what);
}

/* From here on every request fails at once, until igbvf_meet(). */
static int fail_lost(struct vfc_nic *nic)
{
	int rc = intel_check_present(nic);

	((struct igbvf *)nic->state)->lost = true;
	if (rc < 0)
		return rc;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
			"the physical function was reset, and this one with it: vfc_nic_reset()");
}

/* Both sides share the memory. It is ours once the device lets us set VFU. */
static int own_memory(struct vfc_nic *nic, int64_t end)
{
	for (;;) {
		intel_write(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_VFU);
		if (read_mailbox(nic) & IGBVF_MAILBOX_VFU)
			return 0;
		if (deadline_passed(end))
			return no_answer(nic, "the mailbox stays taken");
		sys_sleep(POLL);
	}
}

/* Until PFSTS says that a message is there; then the memory is ours. */
static int wait_answer(struct vfc_nic *nic, int64_t end)
{
	while (!(read_mailbox(nic) & IGBVF_MAILBOX_PFSTS)) {
		if (igbvf_lost(nic))
			return fail_lost(nic);
		if (deadline_passed(end))
			return no_answer(nic, "a message was not answered");
		sys_sleep(POLL);
	}
	return own_memory(nic, end);
}

/* Take the words of a message, acknowledge it and release the memory. */
static int read_answer(struct vfc_nic *nic, uint32_t *message, uint32_t words, int64_t end)
{
	int rc = wait_answer(nic, end);

	if (rc < 0)
		return rc;
	forget_bits(nic, IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK);
	for (uint32_t i = 0; i < words; i++)
		message[i] = intel_read(nic, IGBVF_MEMORY(i));
	intel_write(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_ACK); /* without VFU: releases the memory */
	return 0;
}

/*
 * Own the memory, write the message, raise REQ; then read messages until one has the same type.
 * All of it has one deadline.
 */
static int exchange(struct vfc_nic *nic, uint32_t *message, uint32_t words)
{
	int64_t end = deadline_in(PATIENCE);
	uint32_t type = message[0] & MAIL_TYPE;
	int rc = own_memory(nic, end);

	if (rc < 0)
		return rc;
	forget_bits(nic, IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK); /* of earlier messages */
	for (uint32_t i = 0; i < words; i++)
		intel_write(nic, IGBVF_MEMORY(i), message[i]);
	intel_write(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_REQ); /* without VFU: releases the memory */
	do { /* the physical function also sends messages by itself, about its link */
		rc = read_answer(nic, message, words, end);
		if (rc < 0 || (message[0] & MAIL_TYPE) == type)
			return rc;
	} while (!deadline_passed(end));
	return no_answer(nic, "a message was not answered");
}

/* MAIL_CTS in an answer says that the driver over there still knows us since our MAIL_RESET. */
int igbvf_ask(struct vfc_nic *nic, uint32_t *message, uint32_t words)
{
	int rc = igbvf_lost(nic) ? fail_lost(nic) : exchange(nic, message, words);

	if (rc < 0)
		return rc;
	if (!(message[0] & MAIL_CTS)) /* it was started anew, and does not know of us */
		return fail_lost(nic);
	return message[0] & MAIL_ACK && !(message[0] & MAIL_NACK);
}

/* The answer to MAIL_RESET has the address that the host gave us, or none. */
int igbvf_meet(struct vfc_nic *nic, uint8_t mac[6])
{
	struct igbvf *vf = (struct igbvf *)nic->state;
	uint32_t message[3] = {MAIL_RESET};
	int rc;

	if (!intel_await(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_RSTI, 0, PATIENCE))
		return no_answer(nic, "the physical function is in reset");
	forget_bits(nic, CLEARED);
	vf->lost = false;
	rc = exchange(nic, message, 3);
	if (rc < 0)
		return rc;
	intel_unpack_mac(mac, message[1], message[2]);
	return message[0] & MAIL_ACK && message[1] | (message[2] & 0xffff) && !(mac[0] & 1);
}

/* -- the driver -- */

/* A vector for each receive queue. There is nothing else to wait for: the mailbox is polled. */
static uint32_t igbvf_vectors(uint32_t queues)
{
	return queues;
}

/* There is one queue of each direction, so @queue is 0. */
static volatile void *igbvf_rx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	(void)queue;
	return nic->registers + IGBVF_RX + IGB_RING_TAIL;
}

static volatile void *igbvf_tx_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	(void)queue;
	return nic->registers + IGBVF_TX + IGB_RING_TAIL;
}

/*
 * Section 4.3: CTRL.RST resets the queues and interrupts of this function, and nothing else. The
 * queues are turned off first, and are off when RXDCTL and TXDCTL say so.
 */
static void igbvf_stop(struct vfc_nic *nic)
{
	((struct igbvf *)nic->state)->running = false;
	intel_write(nic, IGB_EIMC, UINT32_MAX);
	for (uint32_t i = 0; i < IGBVF_VECTORS; i++)
		intel_write(nic, IGB_EITR(i), 0);
	intel_write(nic, IGBVF_RX + IGB_RING_CONTROL, 0);
	intel_write(nic, IGBVF_TX + IGB_RING_CONTROL, 0);
	if (intel_flush(nic))
		return;
	intel_await(nic, IGBVF_RX + IGB_RING_CONTROL, IGB_RING_ENABLE, 0, 10 * MS);
	intel_await(nic, IGBVF_TX + IGB_RING_CONTROL, IGB_RING_ENABLE, 0, 10 * MS);
	intel_reset(nic, 0);
	intel_write(nic, IGB_EIMC, UINT32_MAX);
}

/* The address comes from the physical function, so it is not known before the start. */
static int igbvf_attach(struct vfc_nic *nic)
{
	nic->state = sys_alloc(sizeof(struct igbvf));
	return nic->state ? intel_attach(nic, IGBVF_REGISTERS) : vfc_no_memory();
}

static int igbvf_detach(struct vfc_nic *nic)
{
	free(nic->state);
	nic->state = NULL;
	return 0;
}

static int refused_by_host(struct vfc_nic *nic, const char *what)
{
	return vfc_fail(EACCES, VFC_REASON_PERMISSION, WHERE(.object = nic->device->name),
			"the physical function's driver refused %s", what);
}

/* The filter is the physical function's, which may refuse. */
static int igbvf_set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	uint32_t message[3] = {MAIL_SET_MAC, intel_mac_low(mac), intel_mac_high(mac)};
	int rc = igbvf_ask(nic, message, 3);

	if (rc == 0)
		return refused_by_host(nic, "the address: another function has it, or this one's was "
					    "given by the host (ip link set PF vf N mac, "
					    "vfc_nic_vf_set_mac())");
	return rc < 0 ? rc : 0;
}

/* Multicast is always asked for. Where it is refused, the function works without. */
static int igbvf_set_promisc(struct vfc_nic *nic, bool on)
{
	uint32_t info = MAIL_PROMISC_MULTICAST | (on ? MAIL_PROMISC_UNICAST : 0);
	uint32_t message[1] = {MAIL_PROMISC | MAIL_INFO(info)};
	int rc = igbvf_ask(nic, message, 1);

	if (rc == 0 && on)
		return refused_by_host(nic, "frames for other addresses: those are not this function's "
					    "to see");
	return rc < 0 ? rc : 0;
}

/* After a reset the address is the one from before, so that peers find the function again. */
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
	return igbvf_set_mac(nic, nic->mac);
}

/*
 * Everything that the physical function does for us: our address, the length of the longest frame,
 * and which frames we receive beside those for our address.
 */
static int meet_physical(struct vfc_nic *nic)
{
	uint32_t length[2] = {MAIL_LENGTH, INTEL_FRAME_MAX + INTEL_FCS};
	uint8_t mac[6];
	int rc = igbvf_meet(nic, mac);

	if (rc < 0)
		return rc;
	if (rc == 1)
		memcpy(nic->mac, mac, sizeof(mac));
	else
		rc = choose_mac(nic);
	if (rc >= 0)
		rc = igbvf_ask(nic, length, 2); /* if it is refused, the host wants less */
	return rc < 0 ? rc : igbvf_set_promisc(nic, nic->promisc);
}

/*
 * Section 4.5.9 for the receive queue and section 4.5.10 for the transmit queue, after the physical
 * function has let us in. IVAR(0) gives the receive queue vector 0, which is numbered within this
 * function.
 */
static int igbvf_start(struct vfc_nic *nic)
{
	int rc = meet_physical(nic);

	if (rc < 0)
		return rc;
	intel_write(nic, IGB_IVAR(0), IGB_IVAR_VALID);
	igb_start_interrupts(nic);
	igb_start_rx(&nic->rx[0], IGBVF_RX);
	((struct igbvf *)nic->state)->running = true;
	igb_start_tx(&nic->tx[0], IGBVF_TX);
	return intel_check_present(nic);
}

/* STATUS shows the port's link, which is no use to us once the physical function was reset. */
static void igbvf_link(struct vfc_nic *nic, struct vfc_nic_link *state)
{
	intel_link(nic, state);
	if (igbvf_lost(nic))
		memset(state, 0, sizeof(*state));
}

/* RQDPC counts what the queue dropped for want of buffers. All other counters are the port's. */
static void igbvf_read_counters(struct vfc_nic *nic)
{
	uint32_t dropped = intel_read(nic, IGBVF_RX + IGB_RX_DROPPED);

	if (dropped != UINT32_MAX) /* else the device is gone */
		nic_count(&nic->missed, dropped);
}

const struct nic_driver nic_igbvf = {
	IGB_DRIVER,
	.name = "igbvf",
	.device = IGBVF_DEVICE,
	.queues_max = QUEUES,
	.mtu_max = 1500,
	.vectors = igbvf_vectors,
	.attach = igbvf_attach,
	.detach = igbvf_detach,
	.rx_doorbell = igbvf_rx_doorbell,
	.tx_doorbell = igbvf_tx_doorbell,
	.start = igbvf_start,
	.stop = igbvf_stop,
	.link = igbvf_link,
	.set_mac = igbvf_set_mac,
	.set_promisc = igbvf_set_promisc,
	.read_counters = igbvf_read_counters,
};
