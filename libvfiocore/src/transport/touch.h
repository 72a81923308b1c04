/* SPDX-License-Identifier: MIT */
#ifndef VFC_TRANSPORT_TOUCH_H
#define VFC_TRANSPORT_TOUCH_H

#include <stdint.h>

/* Would pinning succeed? @flags: VFIO_DMA_MAP_FLAG_*. Nothing is recorded. */
int touch(void *va, uint64_t length, uint32_t flags);

#endif
