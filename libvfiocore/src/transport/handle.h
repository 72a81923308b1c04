/* SPDX-License-Identifier: MIT */
/* A descriptor that somebody else opened: what it is, without asking it anything. */
#ifndef VFC_TRANSPORT_HANDLE_H
#define VFC_TRANSPORT_HANDLE_H

#include <vfiocore/bus.h>

#include "transport/transport.h"

struct handle {
	enum handle_kind kind;
	char name[VFC_BUS_NAME]; /* of the device, as far as the kernel tells it; "": it does not */
	char text[200]; /* what it is, for a message */
};

/* -EBADF: it is not open. What is none of ours is HANDLE_NONE. */
int handle_find(int fd, struct handle *handle);
/* "descriptor 7 is ...: @wanted". */
int handle_refuse(int fd, const struct handle *handle, const char *wanted);

#endif
