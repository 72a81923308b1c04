/* SPDX-License-Identifier: MIT */
/* The record that a failing call leaves for its thread: what failed, why, and what to do. */
#ifndef VFIOCORE_ERROR_H
#define VFIOCORE_ERROR_H

#include "abi.h"

/* Why a call failed, where that is more than errno says. Values are stable. */
enum vfc_reason {
	VFC_REASON_NONE = 0,         /* errno says it all */
	VFC_REASON_ARGUMENT = 1,     /* an argument is invalid in itself */
	VFC_REASON_ALIGNMENT = 2,    /* an address, offset or length is not aligned */
	VFC_REASON_RANGE = 3,        /* an index or offset is outside of the object */
	VFC_REASON_NO_DEVICE = 4,    /* there is no such device */
	VFC_REASON_NO_DRIVER = 5,    /* no VFIO driver: module missing, or device bound to another */
	VFC_REASON_NO_IOMMU = 6,     /* the device has no IOMMU group */
	VFC_REASON_NOT_VIABLE = 7,   /* another device of the group is held by a host driver */
	VFC_REASON_BUSY = 8,         /* somebody else, or a live child object, holds it */
	VFC_REASON_PERMISSION = 9,   /* the caller may not open the node */
	VFC_REASON_MEMLOCK = 10,     /* RLIMIT_MEMLOCK would be exceeded */
	VFC_REASON_ENTRY_LIMIT = 11, /* the kernel's limit on the number of mappings is reached */
	VFC_REASON_IOVA = 12,        /* the IOVA is outside of the windows, or mapped already */
	VFC_REASON_OUT_OF_IOVA = 13, /* no free IOVA range satisfies the request */
	VFC_REASON_BAD_MEMORY = 14,  /* memory not mapped here, not writable, or (no IOMMU) in pieces */
	VFC_REASON_GONE = 15,        /* the device answers with all ones: unplugged or in reset */
	VFC_REASON_MALFORMED = 16,   /* a device or the kernel handed over something impossible */
	VFC_REASON_TIMEOUT = 17,     /* the time given by the caller has passed */
	VFC_REASON_UNSUPPORTED = 18, /* this device, kernel or transport cannot do it */
	VFC_REASON_DECODING = 19, /* memory decoding is off, or the device in D3: BARs do not answer */
};

enum vfc_error_flags {
	VFC_ERROR_IOVA = 1 << 0, /* iova is meaningful, also where it is 0 */
};

/* The library fills it in, and later versions may make it longer at its end. */
struct vfc_error {
	int32_t code;       /* positive errno value; 0: no failure yet */
	uint32_t reason;    /* enum vfc_reason */
	char operation[40]; /* the public function, "vfc_iommu_map" */
	char call[40];      /* the system call or ioctl, "VFIO_IOMMU_MAP_DMA"; may be empty */
	char object[64];    /* the device, group or path, "0000:01:00.0"; may be empty */
	uint64_t iova;      /* of a mapping; 0 otherwise, see flags */
	uint64_t length;    /* bytes; 0 where there is none */
	char hint[400];     /* computed from the system's state: cause and cure; may be empty */
	uint32_t flags;     /* enum vfc_error_flags */
	uint32_t reserved;
};

VFC_BEGIN_DECLS

/*
 * vfc_error_last() - the calling thread's record of its latest failure.
 * Never NULL; code is 0 when nothing failed yet. It stays as it is when a later call succeeds.
 * Valid until the thread's next failing call. Thread-safe.
 */
VFC_API const struct vfc_error *vfc_error_last(void);

/*
 * vfc_error_text() - render the calling thread's record as one line.
 * @buf, @size: where to put it; always NUL-terminated when size > 0.
 * Return: the length that the whole text has (as snprintf). Thread-safe.
 */
VFC_API int vfc_error_text(char *buf, size_t size);

VFC_END_DECLS
#endif
