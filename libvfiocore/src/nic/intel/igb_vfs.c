/* SPDX-License-Identifier: MIT */
/*
 * An 82576's virtual functions, seen from the physical one: pools of queues, and the other half of the
 * mailbox. Source: Intel 82576EB Gigabit Ethernet Controller Datasheet, section 7.10 (virtualization).
 * What a virtual function says is checked; what its registers can do, the device confines to its pool.
 */
#include "nic/intel/igb_vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/object.h"
#include "base/error.h"
#include "nic/intel/igb_queues.h"

static struct igb_vfs *vfs_of(const struct vfc_nic *nic)
{
	return (struct igb_vfs *)nic->state;
}

int igb_vfs_attach(struct vfc_nic *nic)
{
	nic->state = sys_alloc(sizeof(struct igb_vfs));
	return nic->state ? 0 : vfc_no_memory();
}

int igb_vfs_detach(struct vfc_nic *nic)
{
	free(nic->state);
	nic->state = NULL;
	return 0;
}

static int name_them(struct igb_vfs *vfs)
{
	static const uint8_t none[6];
	int rc = 0;

	for (uint32_t n = 0; rc == 0 && n < vfs->count; n++) {
		vfs->vf[n].active = false;
		if (!memcmp(vfs->vf[n].granted, none, sizeof(none)))
			rc = nic_random_mac(vfs->vf[n].granted);
		memcpy(vfs->vf[n].mac, vfs->vf[n].granted, sizeof(none));
	}
	return rc;
}

int igb_vfs_find(struct vfc_nic *nic)
{
	struct igb_vfs *vfs = vfs_of(nic);
	uint32_t count = IGB_STATUS_VFS(get(nic, E1000E_STATUS));

	if (count > IGB_VFS)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"%u virtual functions leave no queue for the physical one: make %d "
				"at most", count, IGB_VFS);
	if (count && nic->queues > 1)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"with virtual functions the physical one has 1 queue, not %u",
				nic->queues);
	if (count && nic->flags & VFC_NIC_VLAN_FILTER)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
				"with virtual functions the filter of VLANs is off: it would be theirs, too");
	vfs->count = count;
	return name_them(vfs);
}

static uint32_t entry(uint32_t vf)
{
	return vf + 1; /* of the receive addresses: the first is ours */
}

/* Section 7.10.3: which pool a received frame is for. */
static void set_filter(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	uint32_t high = intel_mac_high(mac) | IGB_RAH_POOL(vf) | E1000E_RAH_AV;

	set(nic, E1000E_RAH(entry(vf)), 0);
	set(nic, E1000E_RAL(entry(vf)), intel_mac_low(mac));
	set(nic, E1000E_RAH(entry(vf)), high);
}

static uint32_t pool_rules(uint32_t length)
{
	return IGB_VMOLR_AUPE | IGB_VMOLR_BAM | IGB_VMOLR_ROMPE | IGB_VMOLR_STRCRC | IGB_VMOLR_LPE |
	       length;
}

/* With FCS. Our own MTU may be less than theirs. */
static uint32_t frame_limit(const struct vfc_nic *nic)
{
	return (nic->frame_max > INTEL_FRAME_MAX ? nic->frame_max : INTEL_FRAME_MAX) + 4;
}

/*
 * A frame for no pool's address is ours while we are promiscuous. The table of multicast hashes is one
 * for all pools: it is open. No queue waits for another's buffers (QDE), whoever does not refill his.
 */
void igb_vfs_divide(struct vfc_nic *nic)
{
	uint32_t pool = igb_pool(nic), ours = E1000E_BIT(pool);

	if (!pool)
		return;
	for (uint32_t i = 0; i < E1000E_MTA_COUNT; i++)
		set(nic, E1000E_MTA(i), UINT32_MAX);
	for (uint32_t i = 0; i < IGB_POOLS; i++)
		set(nic, IGB_VMOLR(i), 0);
	set(nic, IGB_VMOLR(pool), pool_rules(frame_limit(nic)));
	set(nic, E1000E_RAH(0), get(nic, E1000E_RAH(0)) | IGB_RAH_POOL(pool));
	set(nic, IGB_QDE, 0xffff);
	set(nic, IGB_DTXSWC, IGB_DTXSWC_LOOPBACK | (ours - 1)); /* their source addresses are checked */
	set(nic, IGB_VFRE, ours);
	set(nic, IGB_VFTE, ours);
	set(nic, E1000E_MRQC, IGB_MRQC_VMDQ);
	igb_vfs_promisc(nic, nic->promisc);
}

void igb_vfs_promisc(struct vfc_nic *nic, bool on)
{
	uint32_t pool = igb_pool(nic);

	if (pool)
		set(nic, IGB_VT_CTL, pool << IGB_VT_CTL_POOL_SHIFT | IGB_VT_CTL_REPLICATE |
					     (on ? 0 : IGB_VT_CTL_NO_DEFAULT));
}

static uint32_t vector(const struct vfc_nic *nic)
{
	return nic->queues;
}

static void arm(struct vfc_nic *nic)
{
	set(nic, E1000E_ICR, IGB_INT_VMMB);
	set(nic, IGB_EICR, E1000E_BIT(vector(nic)));
	set(nic, IGB_EIMS, E1000E_BIT(vector(nic)));
}

/* Section 4.3: the virtual functions were reset with us, and wait to hear that we have done. */
void igb_vfs_welcome(struct vfc_nic *nic)
{
	if (!igb_pool(nic))
		return;
	set(nic, IGB_MBVFIMR, E1000E_BIT(igb_pool(nic)) - 1);
	set(nic, IGB_VFLRE, UINT32_MAX);
	set(nic, IGB_MBVFICR, UINT32_MAX);
	set(nic, E1000E_IMS, IGB_INT_VMMB);
	arm(nic);
	set(nic, E1000E_CTRL_EXT, get(nic, E1000E_CTRL_EXT) | IGB_CTRL_EXT_PFRSTD);
}

static void let(struct vfc_nic *nic, uint32_t vf, bool run)
{
	static const uint32_t enables[] = {IGB_VFRE, IGB_VFTE};

	for (int i = 0; i < 2; i++) {
		uint32_t rest = get(nic, enables[i]) & ~E1000E_BIT(vf);

		set(nic, enables[i], rest | (run ? E1000E_BIT(vf) : 0));
	}
}

/* It was reset. Nothing is sent to it until its driver reports. */
static void was_reset(struct vfc_nic *nic, uint32_t vf)
{
	vfs_of(nic)->vf[vf].active = false;
	let(nic, vf, false);
	set(nic, E1000E_RAH(entry(vf)), 0);
	set(nic, IGB_VMOLR(vf), 0);
}

static bool is_free(const struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	static const uint8_t none[6];
	const struct igb_vfs *vfs = vfs_of(nic);

	if (mac[0] & 1 || !memcmp(mac, none, 6) || !memcmp(mac, nic->mac, 6))
		return false;
	for (uint32_t n = 0; n < vfs->count; n++)
		if (n != vf && (!memcmp(mac, vfs->vf[n].mac, 6) || !memcmp(mac, vfs->vf[n].granted, 6)))
			return false;
	return true;
}

/* The messages: true when it is granted; @words are the answer, then. */
static bool on_reset(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	struct igb_vf *it = &vfs_of(nic)->vf[vf];

	memcpy(it->mac, it->granted, sizeof(it->mac));
	it->active = true;
	set_filter(nic, vf, it->mac);
	set(nic, IGB_VMOLR(vf), pool_rules(frame_limit(nic)));
	let(nic, vf, true);
	words[1] = intel_mac_low(it->mac);
	words[2] = intel_mac_high(it->mac);
	return true;
}

static bool set_address(struct vfc_nic *nic, uint32_t vf, const uint32_t *words)
{
	struct igb_vf *it = &vfs_of(nic)->vf[vf];
	uint8_t mac[6];

	intel_unpack_mac(mac, words[1], words[2]);
	if (words[2] >> 16 || !is_free(nic, vf, mac))
		return false;
	if (it->given && memcmp(mac, it->granted, sizeof(mac)))
		return false;
	memcpy(it->mac, mac, sizeof(mac));
	set_filter(nic, vf, mac);
	return true;
}

/* With info it is of more addresses than one: there are none to be removed, and no place for them. */
static bool on_mac(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	uint32_t info = MAIL_INFO_OF(words[0]);

	return info ? info == MAIL_MAC_REMOVE : set_address(nic, vf, words);
}

/* It receives all multicast as it is. */
static bool on_multicast(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return MAIL_INFO_OF(words[0]) <= MAIL_HASHES;
}

/* The filter of tags is off: any are received. */
static bool on_vlan(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return MAIL_INFO_OF(words[0]) <= 1 && words[1] < 4096;
}

static bool on_length(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	if (MAIL_INFO_OF(words[0]) || words[1] < 64 || words[1] > frame_limit(nic))
		return false;
	set(nic, IGB_VMOLR(vf), pool_rules(words[1]));
	return true;
}

/* Of other functions' unicast frames it sees none. */
static bool on_promisc(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return !(MAIL_INFO_OF(words[0]) & ~MAIL_PROMISC_MULTICAST);
}

static bool grant(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	static bool (*const on[MAIL_TYPES])(struct vfc_nic *, uint32_t, uint32_t *) = {
		[MAIL_RESET] = on_reset, [MAIL_SET_MAC] = on_mac, [MAIL_MULTICAST] = on_multicast,
		[MAIL_VLAN] = on_vlan, [MAIL_LENGTH] = on_length, [MAIL_PROMISC] = on_promisc,
	};
	uint32_t type = words[0] & MAIL_TYPE;

	if (words[0] >> 24 || type >= MAIL_TYPES || !on[type])
		return false;
	if (type == MAIL_RESET ? MAIL_INFO_OF(words[0]) != 0 : !vfs_of(nic)->vf[vf].active)
		return false;
	return on[type](nic, vf, words);
}

/* The memory is read once: the virtual function may write to it whenever it likes. */
static bool answer(struct vfc_nic *nic, uint32_t vf)
{
	struct igb_vf *it = &vfs_of(nic)->vf[vf];
	uint32_t words[3];
	bool granted;

	set(nic, IGB_MBVFICR, E1000E_BIT(vf));
	set(nic, IGB_MAILBOX(vf), IGB_MAILBOX_PFU);
	if (!(get(nic, IGB_MAILBOX(vf)) & IGB_MAILBOX_PFU)) { /* it writes again, before our answer */
		it->refusals++;
		return false;
	}
	for (uint32_t i = 0; i < 3; i++)
		words[i] = get(nic, IGB_MEMORY(vf, i));
	granted = grant(nic, vf, words);
	words[0] = (words[0] & 0xffffff) | (granted ? MAIL_ACK : MAIL_NACK);
	if (it->active && (words[0] & MAIL_TYPE) != MAIL_RESET)
		words[0] |= MAIL_CTS;
	for (uint32_t i = 0; i < 3; i++)
		set(nic, IGB_MEMORY(vf, i), words[i]);
	set(nic, IGB_MAILBOX(vf), IGB_MAILBOX_STS | IGB_MAILBOX_ACK); /* and PFU is off */
	*(granted ? &it->answers : &it->refusals) += 1;
	return true;
}

static int check_count(const struct vfc_nic *nic)
{
	uint32_t now = IGB_STATUS_VFS(get(nic, E1000E_STATUS));
	int rc = intel_check_present(nic);

	if (rc < 0 || now == igb_pool(nic))
		return rc;
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = nic->device->name),
			"there are %u virtual functions, and there were %u when this was opened or "
			"reset: vfc_nic_reset()", now, igb_pool(nic));
}

/* Requests are read first: one that comes after a reset must not be undone by that. */
static int serve(struct vfc_nic *nic)
{
	uint32_t requests, resets;
	int rc = check_count(nic), served = 0;

	if (rc < 0)
		return rc;
	arm(nic); /* before the looks, so that nothing is missed */
	requests = get(nic, IGB_MBVFICR);
	resets = get(nic, IGB_VFLRE);
	set(nic, IGB_VFLRE, resets);
	for (uint32_t vf = 0; vf < igb_pool(nic); vf++) {
		if (resets & E1000E_BIT(vf))
			was_reset(nic, vf);
		if (requests & E1000E_BIT(vf))
			served += answer(nic, vf);
	}
	return served;
}

static uint32_t count(const struct vfc_nic *nic)
{
	return igb_pool(nic);
}

static void info(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info)
{
	const struct igb_vf *it = &vfs_of(nic)->vf[vf];

	info->active = it->active;
	memcpy(info->mac, it->mac, sizeof(info->mac));
	info->granted = it->answers;
	info->refused = it->refusals;
}

static int give_mac(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	struct igb_vf *it = &vfs_of(nic)->vf[vf];

	if (!is_free(nic, vf, mac))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
				"the address is not unicast, or another function's");
	memcpy(it->granted, mac, sizeof(it->granted));
	it->given = true;
	return 0;
}

const struct nic_vf_driver igb_vf_driver = {
	.count = count,
	.vector = vector,
	.serve = serve,
	.info = info,
	.set_mac = give_mac,
};
