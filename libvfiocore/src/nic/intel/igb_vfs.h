/* SPDX-License-Identifier: MIT */
/* An 82576's virtual functions, for the driver of the physical one. */
#ifndef VFC_NIC_IGB_VFS_H
#define VFC_NIC_IGB_VFS_H

#include "nic/intel/igb_mailbox.h"
#include "nic/vf.h"

#define IGB_VFS (IGB_POOLS - 1) /* one pool is ours */

struct igb_vf {
	uint8_t granted[6]; /* that it is told */
	uint8_t mac[6];     /* that it has: it may choose another while @given is false */
	bool given;         /* by vfc_nic_vf_set_mac() */
	bool active;
	uint64_t answers, refusals;
};

/* nic->state of a physical function. Our queues are those of pool @count. */
struct igb_vfs {
	uint32_t count;
	struct igb_vf vf[IGB_VFS];
};

extern const struct nic_vf_driver igb_vf_driver;

/* The first of our queues. */
static inline uint32_t igb_pool(const struct vfc_nic *nic)
{
	return ((const struct igb_vfs *)nic->state)->count;
}

int igb_vfs_attach(struct vfc_nic *nic);
int igb_vfs_detach(struct vfc_nic *nic);

/* How many there are now. Errors: -EOPNOTSUPP (no pool is left for us), -EINVAL (more than one queue). */
int igb_vfs_find(struct vfc_nic *nic);

/* With none these three do nothing. The first comes before the receiver is on, the second at the end. */
void igb_vfs_divide(struct vfc_nic *nic);
void igb_vfs_welcome(struct vfc_nic *nic);
void igb_vfs_promisc(struct vfc_nic *nic, bool on);

#endif
