/* SPDX-License-Identifier: MIT */
/*
 * Counts what a stretch of code does that costs: each access to the mapped registers of a VFIO
 * device and each system call of the calling thread, whatever library does it. x86-64.
 */
#ifndef TRAPS_H
#define TRAPS_H

#include <stdint.h>

struct traps {
	uint64_t reads, writes; /* of registers */
	uint64_t calls;
};

/* Of all devices that are open in this process. Ends the program on failure. */
void traps_begin(void);
void traps_end(struct traps *traps);

#endif
