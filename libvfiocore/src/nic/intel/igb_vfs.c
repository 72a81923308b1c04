/* SPDX-License-Identifier: MIT */
/*
 * The virtual functions of an 82576, as their physical function sees them: pools of queues, and the
 * other half of the mailbox. Source: Intel 82576EB Gigabit Ethernet Controller Datasheet, section
 * 7.10 (virtualization); sections are of that.
 *
 * A virtual function is not trusted. Its registers reach no further than its pool, which the device
 * sees to. What it says in a message is checked here.
 */
#include "nic/intel/igb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/object.h"

static struct igb_vfs *igb_vfs_of(const struct vfc_nic *nic)
{
	return (struct igb_vfs *)nic->state;
}

/* nic->state stays allocated over resets, since it remembers the addresses. */
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

/* After a reset each has its address back: the one that it was given, or else a random one. */
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

/* STATUS.Num_VFs (bits 17:14) is what the kernel set in the SR-IOV capability. */
int igb_vfs_find(struct vfc_nic *nic)
{
	struct igb_vfs *vfs = igb_vfs_of(nic);
	uint32_t count = IGB_STATUS_VFS(intel_read(nic, E1000E_STATUS));

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

static uint32_t address_entry(uint32_t vf)
{
	return vf + 1; /* RAL(0) and RAH(0) have the address of the physical function */
}

/* Section 7.10.3: RAH also says which pool the frames for its address go to. AV is set last. */
static void set_filter(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	uint32_t high = intel_mac_high(mac) | IGB_RAH_POOL(vf) | E1000E_RAH_AV;

	intel_write(nic, E1000E_RAH(address_entry(vf)), 0);
	intel_write(nic, E1000E_RAL(address_entry(vf)), intel_mac_low(mac));
	intel_write(nic, E1000E_RAH(address_entry(vf)), high);
}

/*
 * VMOLR: a pool receives untagged frames, broadcast, and multicast that MTA lets pass, without FCS.
 */
static uint32_t pool_rules(uint32_t length)
{
	return IGB_VMOLR_AUPE | IGB_VMOLR_BAM | IGB_VMOLR_ROMPE | IGB_VMOLR_STRCRC | IGB_VMOLR_LPE |
	       length;
}

/*
 * Bytes with FCS. An MTU of our own that is less than usual does not limit the virtual functions.
 */
static uint32_t frame_limit(const struct vfc_nic *nic)
{
	return (nic->frame_max > INTEL_FRAME_MAX ? nic->frame_max : INTEL_FRAME_MAX) + INTEL_FCS;
}

/*
 * Section 7.10. In the order of the writes:
 *  - MTA is one table for all pools, so it lets every multicast group pass.
 *  - No pool receives anything until its virtual function reports. Ours receives at once.
 *  - QDE makes every queue drop what it has no buffer for, so that a virtual function which does
 *    not refill its ring stops no other.
 *  - DTXSWC hands frames from pool to pool, and checks the source addresses of the virtual
 *    functions.
 *  - MRQC chooses the pool by address, and uses no RSS.
 */
void igb_vfs_divide(struct vfc_nic *nic)
{
	uint32_t pool = igb_pool(nic), ours = E1000E_BIT(pool);

	if (!pool)
		return;
	for (uint32_t i = 0; i < E1000E_MTA_COUNT; i++)
		intel_write(nic, E1000E_MTA(i), UINT32_MAX);
	for (uint32_t i = 0; i < IGB_POOLS; i++)
		intel_write(nic, IGB_VMOLR(i), 0);
	intel_write(nic, IGB_VMOLR(pool), pool_rules(frame_limit(nic)));
	intel_write(nic, E1000E_RAH(0), intel_read(nic, E1000E_RAH(0)) | IGB_RAH_POOL(pool));
	intel_write(nic, IGB_QDE, 0xffff);
	intel_write(nic, IGB_DTXSWC, IGB_DTXSWC_LOOPBACK | (ours - 1));
	intel_write(nic, IGB_VFRE, ours);
	intel_write(nic, IGB_VFTE, ours);
	intel_write(nic, E1000E_MRQC, IGB_MRQC_VMDQ);
	igb_vfs_promisc(nic, nic->promisc);
}

/* VT_CTL: a frame that matches no pool goes to the default pool, ours, or is dropped. */
void igb_vfs_promisc(struct vfc_nic *nic, bool on)
{
	uint32_t pool = igb_pool(nic);

	if (pool)
		intel_write(nic, IGB_VT_CTL,
			    pool << IGB_VT_CTL_POOL_SHIFT | IGB_VT_CTL_REPLICATE |
				    (on ? 0 : IGB_VT_CTL_NO_DEFAULT));
}

static uint32_t igb_vf_vector(const struct vfc_nic *nic)
{
	return nic->queues;
}

/* ICR and EICR lose what is in them, and EIMS lets the next message raise the vector. */
static void arm_mailbox(struct vfc_nic *nic)
{
	intel_write(nic, E1000E_ICR, IGB_INT_VMMB);
	intel_write(nic, IGB_EICR, E1000E_BIT(igb_vf_vector(nic)));
	intel_write(nic, IGB_EIMS, E1000E_BIT(igb_vf_vector(nic)));
}

/*
 * Section 4.3: a reset of the physical function resets its virtual ones, too. They wait until
 * CTRL_EXT.PFRSTD says that it is over. Before, their old messages and resets are forgotten, and
 * new ones are let through.
 */
void igb_vfs_welcome(struct vfc_nic *nic)
{
	if (!igb_pool(nic))
		return;
	intel_write(nic, IGB_MBVFIMR, E1000E_BIT(igb_pool(nic)) - 1);
	intel_write(nic, IGB_VFLRE, UINT32_MAX);
	intel_write(nic, IGB_MBVFICR, UINT32_MAX);
	intel_write(nic, E1000E_IMS, IGB_INT_VMMB);
	arm_mailbox(nic);
	intel_write(nic, E1000E_CTRL_EXT, intel_read(nic, E1000E_CTRL_EXT) | IGB_CTRL_EXT_PFRSTD);
}

/* VFRE and VFTE have a bit for each pool that receives and sends. */
static void let_run(struct vfc_nic *nic, uint32_t vf, bool run)
{
	static const uint32_t enables[] = {IGB_VFRE, IGB_VFTE};

	for (int i = 0; i < 2; i++) {
		uint32_t rest = intel_read(nic, enables[i]) & ~E1000E_BIT(vf);

		intel_write(nic, enables[i], rest | (run ? E1000E_BIT(vf) : 0));
	}
}

/* A virtual function was reset. It receives nothing until its driver reports. */
static void vf_was_reset(struct vfc_nic *nic, uint32_t vf)
{
	igb_vfs_of(nic)->vf[vf].active = false;
	let_run(nic, vf, false);
	intel_write(nic, E1000E_RAH(address_entry(vf)), 0);
	intel_write(nic, IGB_VMOLR(vf), 0);
}

/* May the function have this address? It must be unicast, and nobody else's. */
static bool is_free(const struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	static const uint8_t none[6];
	const struct igb_vfs *vfs = igb_vfs_of(nic);

	if (mac[0] & 1 || !memcmp(mac, none, 6) || !memcmp(mac, nic->mac, 6))
		return false;
	for (uint32_t n = 0; n < vfs->count; n++)
		if (n != vf && (!memcmp(mac, vfs->vf[n].mac, 6) || !memcmp(mac, vfs->vf[n].granted, 6)))
			return false;
	return true;
}

/*
 * -- messages: each returns whether it is granted. @words hold the message, and then the answer. --
 */

/* The function was reset and has a driver: it is told its address, and may receive and send. */
static bool on_reset(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	struct igb_vf *it = &igb_vfs_of(nic)->vf[vf];

	memcpy(it->mac, it->granted, sizeof(it->mac));
	it->active = true;
	set_filter(nic, vf, it->mac);
	intel_write(nic, IGB_VMOLR(vf), pool_rules(frame_limit(nic)));
	let_run(nic, vf, true);
	words[1] = intel_mac_low(it->mac);
	words[2] = intel_mac_high(it->mac);
	return true;
}

/* An address that the host gave (vfc_nic_vf_set_mac()) cannot be exchanged for another one. */
static bool set_address(struct vfc_nic *nic, uint32_t vf, const uint32_t *words)
{
	struct igb_vf *it = &igb_vfs_of(nic)->vf[vf];
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

/*
 * With info the message is about further addresses. There is no place for them, so none is added;
 * and to remove them all is granted, since there are none.
 */
static bool on_mac(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	uint32_t info = MAIL_INFO_OF(words[0]);

	return info ? info == MAIL_MAC_REMOVE : set_address(nic, vf, words);
}

/* The list of groups does not matter: the function receives all multicast anyway. */
static bool on_multicast(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return MAIL_INFO_OF(words[0]) <= MAIL_HASHES;
}

/* The VLAN filter is off, and the function receives every tag anyway. */
static bool on_vlan(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return MAIL_INFO_OF(words[0]) <= 1 && words[1] < 4096;
}

/* A virtual function may receive shorter frames than the port does, but no longer ones. */
static bool on_length(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	if (MAIL_INFO_OF(words[0]) || words[1] < 64 || words[1] > frame_limit(nic))
		return false;
	intel_write(nic, IGB_VMOLR(vf), pool_rules(words[1]));
	return true;
}

/* Multicast is granted. Unicast frames of other functions are not for it to see. */
static bool on_promisc(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	(void)nic;
	(void)vf;
	return !(MAIL_INFO_OF(words[0]) & ~MAIL_PROMISC_MULTICAST);
}

/*
 * An unknown message is refused, and so is any message of a function that has not reported its
 * reset. Bits 31:24 of the first word belong to answers only.
 */
static bool grant(struct vfc_nic *nic, uint32_t vf, uint32_t *words)
{
	static bool (*const on[MAIL_TYPES])(struct vfc_nic *, uint32_t, uint32_t *) = {
		[MAIL_RESET] = on_reset, [MAIL_SET_MAC] = on_mac, [MAIL_MULTICAST] = on_multicast,
		[MAIL_VLAN] = on_vlan, [MAIL_LENGTH] = on_length, [MAIL_PROMISC] = on_promisc,
	};
	uint32_t type = words[0] & MAIL_TYPE;

	if (words[0] >> 24 || type >= MAIL_TYPES || !on[type])
		return false;
	if (type == MAIL_RESET ? MAIL_INFO_OF(words[0]) != 0 : !igb_vfs_of(nic)->vf[vf].active)
		return false;
	return on[type](nic, vf, words);
}

/*
 * Answer the message of one virtual function. It may write into the mailbox's memory at any time,
 * so each word is read once. We own the memory while PFU is set, which the device does not grant
 * while the virtual function has it: then it is writing again before our answer, and its message is
 * given up.
 */
static bool answer_message(struct vfc_nic *nic, uint32_t vf)
{
	struct igb_vf *it = &igb_vfs_of(nic)->vf[vf];
	uint32_t words[3];
	bool granted;

	intel_write(nic, IGB_MBVFICR, E1000E_BIT(vf));
	intel_write(nic, IGB_MAILBOX(vf), IGB_MAILBOX_PFU);
	if (!(intel_read(nic, IGB_MAILBOX(vf)) & IGB_MAILBOX_PFU)) {
		it->refusals++;
		return false;
	}
	for (uint32_t i = 0; i < 3; i++)
		words[i] = intel_read(nic, IGB_MEMORY(vf, i));
	granted = grant(nic, vf, words);
	words[0] = (words[0] & 0xffffff) | (granted ? MAIL_ACK : MAIL_NACK);
	if (it->active && (words[0] & MAIL_TYPE) != MAIL_RESET)
		words[0] |= MAIL_CTS;
	for (uint32_t i = 0; i < 3; i++)
		intel_write(nic, IGB_MEMORY(vf, i), words[i]);
	/* Without PFU, this also releases the memory. */
	intel_write(nic, IGB_MAILBOX(vf), IGB_MAILBOX_STS | IGB_MAILBOX_ACK);
	*(granted ? &it->answers : &it->refusals) += 1;
	return true;
}

/*
 * The host may make or remove virtual functions while we run. Our pool is then another one, which
 * only a reset can arrange.
 */
static int check_vf_count(const struct vfc_nic *nic)
{
	uint32_t now = IGB_STATUS_VFS(intel_read(nic, E1000E_STATUS));
	int rc = intel_check_present(nic);

	if (rc < 0 || now == igb_pool(nic))
		return rc;
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = nic->device->name),
			"there are %u virtual functions, and there were %u when this was opened or "
			"reset: vfc_nic_reset()", now, igb_pool(nic));
}

/*
 * The vector is armed before anything is read, so that nothing is missed. Requests are read before
 * resets: a request that comes after its function's reset must not be undone by the reset.
 */
static int igb_vf_serve(struct vfc_nic *nic)
{
	uint32_t requests, resets;
	int rc = check_vf_count(nic), served = 0;

	if (rc < 0)
		return rc;
	arm_mailbox(nic);
	requests = intel_read(nic, IGB_MBVFICR);
	resets = intel_read(nic, IGB_VFLRE);
	intel_write(nic, IGB_VFLRE, resets);
	for (uint32_t vf = 0; vf < igb_pool(nic); vf++) {
		if (resets & E1000E_BIT(vf))
			vf_was_reset(nic, vf);
		if (requests & E1000E_BIT(vf))
			served += answer_message(nic, vf);
	}
	return served;
}

static uint32_t igb_vf_count(const struct vfc_nic *nic)
{
	return igb_pool(nic);
}

static void igb_vf_info(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info)
{
	const struct igb_vf *it = &igb_vfs_of(nic)->vf[vf];

	info->active = it->active;
	memcpy(info->mac, it->mac, sizeof(info->mac));
	info->granted = it->answers;
	info->refused = it->refusals;
}

static int igb_vf_set_mac(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	struct igb_vf *it = &igb_vfs_of(nic)->vf[vf];

	if (!is_free(nic, vf, mac))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
				"the address is not unicast, or another function's");
	memcpy(it->granted, mac, sizeof(it->granted));
	it->given = true;
	return 0;
}

const struct nic_vf_driver igb_vf_driver = {
	.count = igb_vf_count,
	.vector = igb_vf_vector,
	.serve = igb_vf_serve,
	.info = igb_vf_info,
	.set_mac = igb_vf_set_mac,
};
