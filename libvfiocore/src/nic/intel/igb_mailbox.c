/* SPDX-License-Identifier: MIT */
/* A virtual function's half of the mailbox; see igb_mailbox.h. */
#include "nic/intel/igb_mailbox.h"

#include <errno.h>

#include "device/object.h"
#include "base/error.h"

#define PATIENCE (1000 * MS) /* for who serves the physical function */
#define POLL (MS / 10)
#define CLEARED (IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK | IGBVF_MAILBOX_RSTD)

/* What reading clears is kept until somebody asks for it. */
static uint32_t look(struct vfc_nic *nic)
{
	struct igbvf *vf = (struct igbvf *)nic->state;
	uint32_t now = get(nic, IGBVF_MAILBOX);

	vf->kept |= now & CLEARED;
	return now | vf->kept;
}

static void forget(struct vfc_nic *nic, uint32_t bits)
{
	struct igbvf *vf = (struct igbvf *)nic->state;

	look(nic);
	vf->kept &= ~bits;
}

/* Of a function level reset of the physical function nothing is said; a queue that runs tells it. */
bool igbvf_lost(struct vfc_nic *nic)
{
	struct igbvf *vf = (struct igbvf *)nic->state;

	if (look(nic) & (IGBVF_MAILBOX_RSTI | IGBVF_MAILBOX_RSTD))
		vf->lost = true;
	if (vf->running && !(get(nic, IGBVF_RX + IGB_RING_CONTROL) & IGB_RING_ENABLE))
		vf->lost = true;
	return vf->lost;
}

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

static int fail_lost(struct vfc_nic *nic)
{
	int rc = intel_check_present(nic);

	((struct igbvf *)nic->state)->lost = true;
	if (rc < 0)
		return rc;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
			"the physical function was reset, and this one with it: vfc_nic_reset()");
}

/* The memory is one of both sides': it is ours while VFU is set, which the device grants. */
static int take(struct vfc_nic *nic, int64_t end)
{
	for (;;) {
		set(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_VFU);
		if (look(nic) & IGBVF_MAILBOX_VFU)
			return 0;
		if (sys_now() >= end)
			return no_answer(nic, "the mailbox stays taken");
		sys_sleep(POLL);
	}
}

static int wait_answer(struct vfc_nic *nic, int64_t end)
{
	while (!(look(nic) & IGBVF_MAILBOX_PFSTS)) {
		if (igbvf_lost(nic))
			return fail_lost(nic);
		if (sys_now() >= end)
			return no_answer(nic, "a message was not answered");
		sys_sleep(POLL);
	}
	return take(nic, end);
}

static int read_answer(struct vfc_nic *nic, uint32_t *message, uint32_t words, int64_t end)
{
	int rc = wait_answer(nic, end);

	if (rc < 0)
		return rc;
	forget(nic, IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK);
	for (uint32_t i = 0; i < words; i++)
		message[i] = get(nic, IGBVF_MEMORY(i));
	set(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_ACK); /* and VFU is off */
	return 0;
}

static int exchange(struct vfc_nic *nic, uint32_t *message, uint32_t words)
{
	int64_t end = sys_now() + PATIENCE;
	uint32_t type = message[0] & MAIL_TYPE;
	int rc = take(nic, end);

	if (rc < 0)
		return rc;
	forget(nic, IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK); /* of messages before */
	for (uint32_t i = 0; i < words; i++)
		set(nic, IGBVF_MEMORY(i), message[i]);
	set(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_REQ); /* and VFU is off */
	do { /* the physical function says things by itself, too: of its link */
		rc = read_answer(nic, message, words, end);
		if (rc < 0 || (message[0] & MAIL_TYPE) == type)
			return rc;
	} while (sys_now() < end);
	return no_answer(nic, "a message was not answered");
}

int igbvf_ask(struct vfc_nic *nic, uint32_t *message, uint32_t words)
{
	int rc = igbvf_lost(nic) ? fail_lost(nic) : exchange(nic, message, words);

	if (rc < 0)
		return rc;
	if (!(message[0] & MAIL_CTS)) /* it does not know of us, for it was started afresh */
		return fail_lost(nic);
	return message[0] & MAIL_ACK && !(message[0] & MAIL_NACK);
}

int igbvf_meet(struct vfc_nic *nic, uint8_t mac[6])
{
	struct igbvf *vf = (struct igbvf *)nic->state;
	uint32_t message[3] = {MAIL_RESET};
	int rc;

	if (!await(nic, IGBVF_MAILBOX, IGBVF_MAILBOX_RSTI, 0, PATIENCE))
		return no_answer(nic, "the physical function is in reset");
	forget(nic, CLEARED);
	vf->lost = false;
	rc = exchange(nic, message, 3);
	if (rc < 0)
		return rc;
	intel_unpack_mac(mac, message[1], message[2]);
	return message[0] & MAIL_ACK && message[1] | (message[2] & 0xffff) && !(mac[0] & 1);
}
