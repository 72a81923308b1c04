/* SPDX-License-Identifier: MIT */
/*
 * Checked accesses that do not end in SIGBUS.
 *
 * vfc_region_read() and its kin load and store through mappings. When a device stops answering
 * behind the library's back (another process or thread turns memory decoding off or puts it to
 * sleep, or it is pulled), the kernel takes the mapping away, and the access is a SIGBUS. Those who
 * opt in get an error instead: -ENODEV when the device is gone, -EIO with VFC_REASON_DECODING when
 * it does not decode.
 *
 * This takes a handler of SIGBUS, which the whole process shares. The handler is installed only
 * while somebody has opted in. A signal that no checked access caused (at another address, in a
 * thread that has not opted in, by vfc_mmio_read32() and its kin, or sent by a process) goes to the
 * handler that was there before, or to the default action. When the last one opts out, the former
 * handler is put back. A handler that the program installs meanwhile gets the signal first and must
 * pass on what is not its own.
 */
#ifndef VFIOCORE_NOFAULT_H
#define VFIOCORE_NOFAULT_H

#include "abi.h"
#include "device.h"

VFC_BEGIN_DECLS

/*
 * vfc_nofault_begin() / vfc_nofault_end() - the calling thread's checked accesses, of any device,
 * do not end in SIGBUS from begin to end. They count: each begin takes an end, by the same thread.
 * Errors: begin: the kernel's. end: -EINVAL (there was no begin). Thread-safe; not in signal
 * handlers.
 */
VFC_API int vfc_nofault_begin(void);
VFC_API int vfc_nofault_end(void);

/*
 * vfc_nofault_device() - the same for the checked accesses of one device, by all threads, until it
 * is closed. For bindings, whose threads come and go. A second call does nothing.
 * Errors: the kernel's. Thread-safe.
 */
VFC_API int vfc_nofault_device(struct vfc_device *device);

VFC_END_DECLS
#endif
