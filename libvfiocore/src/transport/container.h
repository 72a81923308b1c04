/* SPDX-License-Identifier: MIT */
/* The address space that is a container, and the groups that are attached to it. */
#ifndef VFC_TRANSPORT_CONTAINER_H
#define VFC_TRANSPORT_CONTAINER_H

#include "transport/lent.h"
#include "transport/transport.h"

#define CONTAINER "/dev/vfio/vfio"
#define COMPAT "/dev/iommu" /* iommufd answers a container's requests (iommufd/vfio_compat.c) */

/* A process can open a group only once, so the devices of a group share this object. */
struct group {
	struct group *next;
	unsigned devices, live; /* live: devices that were not released */
	int number;
	bool released; /* it has left the container, which no longer lists it */
	int fd; /* -1: another process has it, and an adopted device keeps the group attached */
	char name[24]; /* "group 7" */
};

struct container {
	struct transport_space base;
	struct group *groups;
	struct group_device *devices; /* see group.c */
	struct physical *physical; /* mappings where nothing translates, see noiommu.c */
	struct lent_list lent;     /* memory of files that type1 has, see type1.c */
	const char *node;
	uint64_t mapped; /* bytes */
	uint32_t type;	 /* VFIO_TYPE1v2_IOMMU and others */
	int fd;
	bool set; /* the type is set, which is possible only with a group */
	bool adopted; /* other processes have it open as well */
};

/*
 * @type is the IOMMU type wanted. @other is the type to use where that is not offered, or 0. @fd is
 * an open container, of which the space gets a duplicate, or -1.
 */
int container_open(const char *node, const struct transport *ops, uint32_t type, uint32_t other,
		   int fd, struct transport_space **space);
void container_close(struct transport_space *space);
int container_fd(struct transport_space *space, uint32_t *ioas);

/*
 * Attach the group of that number, unless it is attached already. A device of it is about to be
 * opened.
 */
int container_get_group(struct container *container, int number, struct group **group);
/* For a device whose group was attached by another process. @number: the group's, or -1. */
int container_add_group(struct container *container, int number, struct group **group);
/*
 * The device is being closed. @fd: its descriptor, or -1. @released: container_release_group() was
 * called.
 */
void container_put_group(struct container *container, struct group *group, int fd, bool released);
/*
 * Call fd_give_back() for a device, and for its group as well if no other device of it is live. All
 * or nothing.
 */
int container_release_group(struct container *container, struct group *group,
			    struct transport_device *device);

#endif
