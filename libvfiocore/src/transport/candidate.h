/* SPDX-License-Identifier: MIT */
/* A device that is about to be opened, and what sysfs says of it. */
#ifndef VFC_TRANSPORT_CANDIDATE_H
#define VFC_TRANSPORT_CANDIDATE_H

#include <stdbool.h>
#include <vfiocore/bus.h>

/*
 * The same facts say which transport serves the device, whether it can be opened and which node it
 * has. So sysfs is asked once, by the first function that needs them.
 */
struct candidate {
	const char *name; /* as the application spelt it */
	bool known;       /* info is filled in */
	struct vfc_bus_info info;
};

/*
 * Fill in info, unless that was done. A failure is not kept, so every caller gets a record of it.
 */
int candidate_look(struct candidate *candidate);

#endif
