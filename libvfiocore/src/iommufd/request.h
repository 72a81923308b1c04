/* SPDX-License-Identifier: MIT */
/* How the files of this folder make a request and say why the kernel refused it. */
#ifndef VFC_IOMMUFD_REQUEST_H
#define VFC_IOMMUFD_REQUEST_H

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "kernel/iommufd.h"
#include "kernel/sys.h"

struct request {
	unsigned long number;
	const char *name;
	const char *since; /* the first Linux that knows it */
};

#define REQUEST(ioctl, first) ((struct request){ioctl, #ioctl, first})

/* What an error of one request means. A list of these ends with a zeroed one. */
struct meaning {
	int error;
	enum vfc_reason reason;
	const char *hint;
};

/* An object's name in the record: "ioas 3". */
struct object {
	char text[32];
};

#define OBJECT(kind, id) (object_name((kind), (id)).text)

static inline struct object object_name(const char *kind, uint32_t id)
{
	struct object name;

	snprintf(name.text, sizeof(name.text), "%s %u", kind, id);
	return name;
}

/*
 * Record the kernel's answer to a request on @fd. What it means is told by @meanings (NULL: none),
 * or else by what the error means for every request of iommufd.
 */
int request_failed(int rc, int fd, struct request request, struct error_where where,
		   const struct meaning *meanings);

/* Make the request, and record a failure. Returns what the kernel returned. */
int request_make(int fd, struct request request, void *argument, struct error_where where,
		 const struct meaning *meanings);

/* Refuse an argument before the kernel sees it. */
int request_invalid(const char *what);

#endif
