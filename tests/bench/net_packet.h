/* SPDX-License-Identifier: MIT */
/* Sockets of packet(7) on interfaces of the kernel's drivers, for net_mmsg.c and net_mmap.c. */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include "net.h"

/*
 * Sockets that send without the queueing discipline, and that receive frames of NET_TYPE; neither
 * is bound yet. Both interfaces are brought up.
 */
void packet_open(struct net_side *from, struct net_side *to);
extern int packet_from, packet_to;

/* When their rings, if any, are there: bind them, and wait for the links. */
void packet_bind(void);

void packet_die(const char *what) __attribute__((noreturn));

#endif
