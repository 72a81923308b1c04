/* SPDX-License-Identifier: MIT */
/* One load or store that may fault, for callers that opted in. */
#ifndef VFC_NOFAULT_H
#define VFC_NOFAULT_H

#include <stdbool.h>
#include <stdint.h>

struct vfc_device;

/* Has the calling thread opted in, or the device? */
bool nofault_wanted(struct vfc_device *device);

/*
 * -EFAULT without a record means that the access raised SIGBUS and did not take place. Call these
 * only if nofault_wanted().
 */
int nofault_load(const volatile void *address, uint32_t width, uint64_t *value);
int nofault_store(volatile void *address, uint32_t width, uint64_t value);

/* Undo vfc_nofault_device() for a device that is being closed. */
void nofault_forget(struct vfc_device *device);

#endif
