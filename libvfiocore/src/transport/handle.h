/* SPDX-License-Identifier: MIT */
/* What a descriptor is that another process opened. No request is made on it. */
#ifndef VFC_TRANSPORT_HANDLE_H
#define VFC_TRANSPORT_HANDLE_H

#include <vfiocore/bus.h>

#include "transport/transport.h"

struct handle {
	enum handle_kind kind;
	char name[VFC_BUS_NAME]; /* the device's; "" if the kernel does not tell it */
	char text[200]; /* what it is, for a message */
};

/* -EBADF if it is not open. A descriptor that has nothing to do with VFIO is HANDLE_NONE. */
int handle_find(int fd, struct handle *handle);
/* "descriptor 7 is ...: @wanted". */
int handle_refuse(int fd, const struct handle *handle, const char *wanted);

#endif
