/* SPDX-License-Identifier: MIT */
/*
 * A way to move frames from one network interface to another, for the loop in net.c: each of
 * net_vfio.c, net_dpdk.c and net_packet.c makes a program with it.
 */
#ifndef NET_H
#define NET_H

#include <stdint.h>

#define NET_FRAME 60
#define NET_TYPE 0x88b5 /* IEEE 802's for experiments */
#define NET_BURST_MAX 256
#define NET_ENTRIES 1024 /* of each ring */

struct net_side {
	const char *name; /* as on the command line */
	uint8_t mac[6];
};

/* Open both, know their addresses, and wait for their links. Ends the program on failure. */
void net_open(struct net_side *from, struct net_side *to);

/* Send up to @count copies of a frame from the first. Return: how many were taken. */
uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count);

/* Receive, and drop, up to @count frames at the second. Return: how many. */
uint32_t net_receive(uint32_t count);

void net_close(void);

#endif
