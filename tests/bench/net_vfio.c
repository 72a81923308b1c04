/* SPDX-License-Identifier: MIT */
/* The library's drivers in the loop of net.c. */
#include "net_nics.h"

#include <string.h>

void net_open(struct net_side *from, struct net_side *to, uint32_t entries)
{
	nics_open(from, to, entries);
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	struct vfc_packet packets[NET_BURST_MAX];
	int n = vfc_nic_alloc(nics[0], packets, count), taken;

	for (int i = 0; i < n; i++) {
		memcpy(packets[i].data, frame, NET_FRAME);
		packets[i].length = NET_FRAME;
	}
	taken = vfc_nic_tx_burst(nics[0], 0, packets, (uint32_t)n);
	if (taken < 0)
		nics_die("vfc_nic_tx_burst");
	if (taken < n)
		vfc_nic_free(nics[0], packets + taken, (uint32_t)(n - taken));
	return (uint32_t)taken;
}

uint32_t net_receive(uint32_t count)
{
	struct vfc_packet packets[NET_BURST_MAX];
	int n = vfc_nic_rx_burst(nics[1], 0, packets, count);

	if (n < 0)
		nics_die("vfc_nic_rx_burst");
	if (n)
		vfc_nic_free(nics[1], packets, (uint32_t)n);
	return (uint32_t)n;
}
