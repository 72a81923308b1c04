/* SPDX-License-Identifier: MIT */
/* What the driver of a physical function does for its virtual ones; see vfiocore/nic_vf.h. */
#ifndef VFC_NIC_NIC_VF_H
#define VFC_NIC_NIC_VF_H

#include <vfiocore/nic_vf.h>

#include "nic/nic.h"

struct nic_vf_driver {
	uint32_t (*count)(const struct vfc_nic *nic);  /* as started */
	uint32_t (*vector)(const struct vfc_nic *nic); /* that a message of theirs raises */
	int (*serve)(struct vfc_nic *nic);             /* how many; lets the vector fire again */
	void (*info)(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info);
	int (*set_mac)(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6]);
};

/* One of those that anybody may choose (IEEE 802, the local bit), at random. */
int nic_random_mac(uint8_t mac[6]);

#endif
