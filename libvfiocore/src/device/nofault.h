/* SPDX-License-Identifier: MIT */
/* One load or store that may fault, of whoever has opted in. */
#ifndef VFC_NOFAULT_H
#define VFC_NOFAULT_H

#include <stdbool.h>
#include <stdint.h>

struct vfc_device;

/* Has the calling thread opted in, or the device? */
bool nofault_wanted(struct vfc_device *device);

/* -EFAULT, without a record: it was a SIGBUS, and did not take place. Only where it is wanted. */
int nofault_load(const volatile void *address, uint32_t width, uint64_t *value);
int nofault_store(volatile void *address, uint32_t width, uint64_t value);

/* The device is being closed. */
void nofault_forget(struct vfc_device *device);

#endif
