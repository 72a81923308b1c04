/* SPDX-License-Identifier: MIT */
/*
 * Checked accesses that do not end in SIGBUS.
 *
 * vfc_region_read() and its kin load and store through mappings. Where a device stops answering
 * behind the library's back (another process or thread turns memory decoding off, puts it to sleep,
 * pulls it), the kernel takes the mapping away, and the access is a SIGBUS. Who opts in gets an error
 * instead: -ENODEV when the device is gone, -EIO with VFC_REASON_DECODING when it does not decode.
 *
 * That takes a handler of SIGBUS, which is the process's. It is there only while somebody has opted
 * in. What it has not caused itself - another address, a thread that has not opted in, vfc_mmio_read32()
 * and its kin, a signal that was sent - it hands on to the handler that was there before, or to the
 * default action. The last one to opt out puts back what was there before. Whoever installs a handler
 * meanwhile comes first, and must hand on likewise.
 */
#ifndef VFIOCORE_NOFAULT_H
#define VFIOCORE_NOFAULT_H

#include "abi.h"
#include "device.h"

VFC_BEGIN_DECLS

/*
 * vfc_nofault_begin() / vfc_nofault_end() - the calling thread's checked accesses, of any device, do
 * not end in SIGBUS from begin to end. They count: each begin takes an end, by the same thread.
 * Errors: begin: the kernel's. end: -EINVAL (there was no begin). Thread-safe; not in signal handlers.
 */
VFC_API int vfc_nofault_begin(void);
VFC_API int vfc_nofault_end(void);

/*
 * vfc_nofault_device() - the same for the checked accesses of one device, by all threads, until it is
 * closed. For bindings, whose threads come and go. A second call does nothing.
 * Errors: the kernel's. Thread-safe.
 */
VFC_API int vfc_nofault_device(struct vfc_device *device);

VFC_END_DECLS
#endif
