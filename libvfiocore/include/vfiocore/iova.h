/* SPDX-License-Identifier: MIT */
/* Addresses as devices use them, and what a mapping allows. */
#ifndef VFIOCORE_IOVA_H
#define VFIOCORE_IOVA_H

#include "abi.h"

enum vfc_map_flags {
	VFC_MAP_READ = 1 << 0,  /* the device may read */
	/* The device may write (VT-d under Linux 6.1 lets it read then, too); neither bit: both. */
	VFC_MAP_WRITE = 1 << 1,
	VFC_MAP_FIXED = 1 << 2, /* map at the IOVA given, or fail */
	VFC_MAP_IDENTITY = 1 << 3, /* map at the IOVA that equals the address, or fail */
};

struct vfc_iova_range {
	uint64_t first;
	uint64_t last; /* inclusive */
};

#endif
