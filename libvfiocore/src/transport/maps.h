/* SPDX-License-Identifier: MIT */
/* Why the kernel could not pin memory of this process, as far as /proc/self/maps tells. */
#ifndef VFC_TRANSPORT_MAPS_H
#define VFC_TRANSPORT_MAPS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Describe the first part of the memory that is at fault. @flags: VFIO_DMA_MAP_FLAG_*, what the device was
 * to be allowed. @device: what to do about memory that is a device's.
 */
void maps_explain(char *text, size_t size, const void *va, uint64_t length, uint32_t flags,
		  const char *device);

#endif
