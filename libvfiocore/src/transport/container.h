/* SPDX-License-Identifier: MIT */
/* The address space that is a container, and the groups that are attached to it. */
#ifndef VFC_TRANSPORT_CONTAINER_H
#define VFC_TRANSPORT_CONTAINER_H

#include "transport/lent.h"
#include "transport/transport.h"

#define CONTAINER "/dev/vfio/vfio"
#define COMPAT "/dev/iommu" /* iommufd answers a container's requests (iommufd/vfio_compat.c) */

/* A group is opened once a process, so devices of one group share this. */
struct group {
	struct group *next;
	unsigned devices, live; /* live: those that were not released */
	int number;
	bool released; /* and left the container, which knows it no more */
	int fd; /* -1: another process has it, and an adopted device keeps it attached */
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
	bool set; /* the type is, which the first group makes possible */
	bool adopted; /* others have it open, too */
};

/*
 * @type: the IOMMU type wanted; @other: that will do where it is not offered, or 0. @fd: one that is
 * open already, of which the space gets a duplicate, or -1.
 */
int container_open(const char *node, const struct transport *ops, uint32_t type, uint32_t other,
		   int fd, struct transport_space **space);
void container_close(struct transport_space *space);
int container_fd(struct transport_space *space, uint32_t *ioas);

/* Attach the group of that number, or find that it is; for a device that is about to be opened. */
int container_get_group(struct container *container, int number, struct group **group);
/* For a device of a group that another process attached; its number, or -1. */
int container_add_group(struct container *container, int number, struct group **group);
/* The device is closed; its descriptor, or -1. @released: container_release_group() was before. */
void container_put_group(struct container *container, struct group *group, int fd, bool released);
/* fd_release() of a device; of its group, too, if that has no other that is live. All or nothing. */
int container_release_group(struct container *container, struct group *group,
			    struct transport_device *device);

#endif
