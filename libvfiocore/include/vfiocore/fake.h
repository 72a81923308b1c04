/* SPDX-License-Identifier: MIT */
/*
 * The fake transport: the kernel's side of VFIO modelled in this process, for tests that have no
 * device, no privileges and no kernel support.
 *
 * vfc_device_open("fake:e1000e") opens a model of an Intel 82574L whose transmitter is wired to its
 * own receiver. A thread plays the device: it follows the rings, translates every address by the
 * address space's mappings, faults on what is not mapped, and raises eventfds. Memory counts
 * against a locked-memory limit, mappings against an entry limit, as the kernel's do. Once
 * vfc_sriov_set_token() was called on one, those that are opened later beside it want the token.
 */
#ifndef VFIOCORE_FAKE_H
#define VFIOCORE_FAKE_H

#include "abi.h"

struct vfc_device;

enum vfc_fake_knob {
	VFC_FAKE_ENTRY_LIMIT = 0,   /* mappings in the space; default 65,535 as type1 */
	VFC_FAKE_MEMLOCK_LIMIT = 1, /* bytes; default UINT64_MAX */
	VFC_FAKE_LINK = 2,          /* 1: up (default), 0: down */
	VFC_FAKE_GONE = 3,          /* 1: the device was pulled: reads give all ones, no DMA */
	VFC_FAKE_RX_LENGTH = 4,     /* not 0: the length that the device claims for received frames */
	VFC_FAKE_MAPPINGS = 5,      /* read only: live mappings */
	VFC_FAKE_PINNED = 6,        /* read only: bytes pinned */
	VFC_FAKE_FAULTS = 7,        /* read only: DMA faults so far */
	VFC_FAKE_FAULT_IOVA = 8,    /* read only: address of the latest */
	VFC_FAKE_RESETS = 9,        /* read only: function resets so far */
	VFC_FAKE_DROPPED = 10,      /* read only: frames for which no receive buffer was posted */
	/*
	 * The last address that devices which are attached to the space from now on can use;
	 * default 2^39-1. The space's windows shrink with the first one, for good.
	 */
	VFC_FAKE_HIGHEST = 11,
	VFC_FAKE_NORESIZE = 12,     /* 1: MSI-X vectors cannot be added while it is on (Linux < 6.5) */
	VFC_FAKE_RAISE = 13,        /* write only: the device raises this vector of the type that is on */
	VFC_FAKE_ERROR = 14,        /* AER Uncorrectable Error Status: set, and raise ERR */
	VFC_FAKE_REQUEST = 15,      /* 1: the host wants the device back: raise REQ */
	VFC_FAKE_STRANGER = 16,     /* 1: a hot reset hits a device that is not ours */
	VFC_FAKE_LOW_POWER = 17,    /* read only: it is in low power */
};

VFC_BEGIN_DECLS

/*
 * vfc_fake_set() / vfc_fake_get() - turn a knob of a fake device, or read it. Thread-safe.
 * Errors: -EOPNOTSUPP (not a fake device), -EINVAL (no such knob, or read only).
 */
VFC_API int vfc_fake_set(struct vfc_device *device, uint32_t knob, uint64_t value);
VFC_API int vfc_fake_get(struct vfc_device *device, uint32_t knob, uint64_t *value);

VFC_END_DECLS
#endif
