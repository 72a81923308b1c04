/* SPDX-License-Identifier: MIT */
/* Queues of the 82576. */
#ifndef VFC_NIC_IGB_QUEUES_H
#define VFC_NIC_IGB_QUEUES_H

#include "hw/igb.h"
#include "nic/intel/intel.h"

extern const struct vfc_ring_layout igb_rx_layout, igb_tx_layout;

/* Tell the device of a queue's ring, and let it run. @at: its first register. */
void igb_start_rx(struct nic_rx *rx, uint32_t at);
void igb_start_tx(struct nic_tx *tx, uint32_t at);

/* An interrupt for each frame that finds the cause clear and unmasked; all are masked at first. */
void igb_start_interrupts(struct vfc_nic *nic);
void igb_rx_arm(struct vfc_nic *nic, uint32_t queue);

uint32_t igb_rx_burst(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
int igb_tx_burst(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
uint32_t igb_rx_burst_any(struct nic_rx *rx, struct vfc_packet *packets, uint32_t count);
int igb_tx_burst_any(struct nic_tx *tx, const struct vfc_packet *packets, uint32_t count);
void igb_rx_refill(struct nic_rx *rx);
void igb_tx_clean(struct nic_tx *tx);
bool igb_rx_ready(struct nic_rx *rx);

#endif
