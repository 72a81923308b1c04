/* SPDX-License-Identifier: MIT */
/* The address space behind a container's descriptor. */
#ifndef VFC_TRANSPORT_TYPE1_H
#define VFC_TRANSPORT_TYPE1_H

#include "transport/transport.h"

int type1_info(int fd, struct transport_space_info *info);
/* Of a space that is a container. A file's memory is mapped here until it is unmapped there. */
int type1_map(struct transport_space *space, const struct transport_memory *memory, uint64_t *iova,
	      uint64_t length, uint32_t flags);
int type1_unmap(struct transport_space *space, uint64_t iova, uint64_t length);
/* Unmap the files that are still mapped, and close the container. */
void type1_close(struct transport_space *space);
int type1_dirty_track(int fd, bool on);
int type1_dirty_read(int fd, uint64_t iova, uint64_t length, uint64_t page, uint64_t *bitmap);

#endif
