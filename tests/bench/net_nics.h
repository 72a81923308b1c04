/* SPDX-License-Identifier: MIT */
/* The two interfaces, driven by the library, for net_vfio.c and net_limit.c; named as PCI functions. */
#ifndef NET_NICS_H
#define NET_NICS_H

#include <vfiocore.h>

#include "net.h"

extern struct vfc_nic *nics[2]; /* the sender and the receiver */

void nics_open(struct net_side *from, struct net_side *to, uint32_t entries);

/* Prints the record of the library's failure. */
void nics_die(const char *what) __attribute__((noreturn));

#endif
