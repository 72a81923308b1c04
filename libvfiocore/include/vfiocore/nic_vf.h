/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions (VFs) whose physical one (PF) is a network interface of this library.
 *
 * A VF is a NIC of its own: vfc_nic_open() with the driver igbvf. Its address, its filters and
 * whether it may send at all are the PF's, whose driver it asks by a mailbox. With the host's
 * driver as PF nothing is to be done. With ours (igb) somebody must call vfc_nic_vf_serve(): a
 * thread that waits for vfc_nic_vf_fd(), or a loop that calls it now and then. A VF waits one
 * second for its answer.
 *
 * VFs are made before (vfc_sriov_enable()), for the PF divides its queues when it is opened, or
 * reset: it then has one queue for itself, the one behind those of up to 7 VFs. Frames between VFs
 * and PF stay inside of the device. Each VF receives what is for its address, and broadcast and
 * multicast, of which the filter is open for all; it sends with its own address as source only. It
 * is not trusted: a message is checked, and refused and counted when it is unknown, malformed, or
 * asks for more than that.
 *
 * Threads: these may be called beside all else on this NIC but vfc_nic_reset() and vfc_nic_close(),
 * by one thread at a time.
 */
#ifndef VFIOCORE_NIC_VF_H
#define VFIOCORE_NIC_VF_H

#include "nic.h"

struct vfc_nic_vf_info {
	uint32_t size;   /* in: sizeof(struct vfc_nic_vf_info) */
	uint32_t active; /* 1: its driver has reported since it was reset: it sends and receives */
	uint8_t mac[6];  /* that it has; random when nobody gave or chose one */
	uint8_t reserved[2];
	uint64_t granted; /* messages, since the NIC was opened */
	uint64_t refused;
};

VFC_BEGIN_DECLS

/*
 * vfc_nic_vf_serve() - answer the messages that wait, one of each VF at most.
 * Return: how many were answered, be it by a refusal. Errors: -EOPNOTSUPP (the driver knows no VFs,
 * or there were none when it was started), -EBUSY (VFs were made or removed since then:
 * vfc_nic_reset()), -ENODEV.
 */
VFC_API int vfc_nic_vf_serve(struct vfc_nic *nic);

/*
 * vfc_nic_vf_fd() - the eventfd that a VF's message raises, owned by the NIC; vfc_nic_vf_serve()
 * empties it. Call that once before the first wait. Errors: -EOPNOTSUPP.
 */
VFC_API int vfc_nic_vf_fd(struct vfc_nic *nic);

/* vfc_nic_vf_info() - of VF number @vf, from 0 on. Errors: -ERANGE, -EOPNOTSUPP, -EINVAL. */
VFC_API int vfc_nic_vf_info(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info);

/*
 * vfc_nic_vf_set_mac() - give a VF its address: from its next reset on, and it cannot choose
 * another.
 * Errors: -ERANGE, -EOPNOTSUPP, -EINVAL (not unicast, or another function's).
 */
VFC_API int vfc_nic_vf_set_mac(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6]);

VFC_END_DECLS
#endif
