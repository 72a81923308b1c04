/* SPDX-License-Identifier: MIT */
/*
 * The group path: devices that /dev/vfio/GROUP gives, in a container of IOMMU type1.
 * Source: Documentation/driver-api/vfio.rst, drivers/vfio/{group,vfio_iommu_type1}.c.
 */
#include "transport/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/iommufd.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/bus.h"
#include "transport/candidate.h"
#include "transport/container.h"
#include "transport/fd.h"
#include "transport/hints.h"
#include "transport/ioas.h"
#include "transport/type1.h"

struct group_device {
	struct fd_device device;
	struct group_device *next; /* in the same container */
	struct container *container;
	struct group *group;
	bool released;
};

/* A container has only one address space, so it cannot share one with @beside. */
static int space_open(struct transport_space *beside, bool dirty, int fd,
		      struct transport_space **out)
{
	(void)beside;
	(void)dirty; /* type1 can always tell what is dirty */
	return container_open(CONTAINER, &transport_group, VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU, fd,
			      out);
}

/*
 * Version 1 may unmap more than it was asked to, up to the ends of the mappings concerned. The
 * library only unmaps whole mappings, for which both versions do the same.
 */
static int v1_open(struct transport_space *beside, bool dirty, int fd,
		   struct transport_space **out)
{
	(void)beside;
	if (dirty)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"type1 version 1 does not track dirty pages: use cdev or group");
	return container_open(CONTAINER, &transport_group_v1, VFIO_TYPE1_IOMMU, 0, fd, out);
}

static int compat_open(struct transport_space *beside, bool dirty, int fd,
		       struct transport_space **out)
{
	(void)beside;
	if (dirty)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"iommufd's container does not track dirty pages: use cdev or group");
	return container_open(COMPAT, &transport_compat, VFIO_TYPE1v2_IOMMU, 0, fd, out);
}

/* Return the number of the device's group, if the group is of this kind. */
static int find_group(struct candidate *device, bool physical)
{
	const struct vfc_bus_info *info = &device->info;
	int rc = candidate_look(device);

	if (rc == 0)
		rc = hint_translation(info, physical);
	if (rc < 0)
		return rc;
	return bus_has_vfio(info) ? info->iommu_group : hint_no_driver(info);
}

static bool usable(struct candidate *device)
{
	(void)device; /* if its group cannot be opened, the attempt to open it says why */
	return sys_accessible(CONTAINER);
}

int group_check(struct candidate *device, bool physical)
{
	int number = find_group(device, physical);

	return number < 0 ? number : 0;
}

static int check(struct candidate *device)
{
	return group_check(device, false);
}

static struct group_device *new_device(struct container *container, const char *name)
{
	struct group_device *device = sys_alloc(sizeof(*device));

	if (!device) {
		vfc_no_memory();
		return NULL;
	}
	device->device.base.ops = container->base.ops;
	device->container = container;
	snprintf(device->device.name, sizeof(device->device.name), "%s", name);
	return device;
}

/* "0000:01:10.0 vf_token=2ab74924-c335-45f4-9b16-8569e5b08258", vfio_pci_core_match(). */
#define DEVICE_WORDS (VFC_BUS_NAME + 48)

static void with_token(char words[DEVICE_WORDS], const char *name, const uint8_t *token)
{
	int n = snprintf(words, DEVICE_WORDS, "%s", name);

	if (token)
		n += snprintf(words + n, (size_t)(DEVICE_WORDS - n), " vf_token=");
	for (int i = 0; token && i < 16; i++)
		n += snprintf(words + n, (size_t)(DEVICE_WORDS - n), "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", token[i]);
}

/*
 * A group gives as many descriptors of a device as it is asked for, and the kernel only counts them
 * (vfio_df_group_open() in drivers/vfio/group.c). A second one would take the first one's interrupts, and
 * end its bus mastering when it is closed. A device that is shared on purpose is adopted.
 */
static int check_closed(const struct container *container, const char *name)
{
	const struct group_device *other = container->devices;

	while (other && (other->released || strcmp(other->device.name, name)))
		other = other->next;
	return !other ? 0
		      : vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = name),
				 "the device is open already, in this address space: use that one, or close "
				 "it first (vfc_device_adopt() shares a device)");
}

static void join(struct group_device *device)
{
	device->next = device->container->devices;
	device->container->devices = device;
}

static void leave(struct group_device *device)
{
	struct group_device **link = &device->container->devices;

	while (*link != device)
		link = &(*link)->next;
	*link = device->next;
}

static void refused(const struct group_device *device, int rc, const uint8_t *token)
{
	const char *name = device->device.name;

	if (hint_token(rc, "VFIO_GROUP_GET_DEVICE_FD", name, token) == 0)
		vfc_fail(rc, rc == -EBUSY ? VFC_REASON_BUSY : VFC_REASON_NONE,
			 WHERE("VFIO_GROUP_GET_DEVICE_FD", name), "%s",
			 rc == -EBUSY ? "the device is open already"
				      : "the device's driver would not open it");
}

static int get_device(struct group_device *device, int number, const uint8_t *token)
{
	struct space_owner *owner = device->container->base.owner;
	const char *name = device->device.name;
	char words[DEVICE_WORDS];
	int rc = container_get_group(device->container, number, &device->group);

	if (rc < 0)
		return rc;
	with_token(words, name, token);
	rc = owner->changed(owner);
	if (rc == 0) {
		owner->pause(owner);
		rc = device->device.fd = sys_ioctl(device->group->fd, VFIO_GROUP_GET_DEVICE_FD, words);
		owner->resume(owner);
		if (rc >= 0)
			return 0;
		refused(device, rc, token);
	}
	container_put_group(device->container, device->group, -1, false);
	return rc;
}

int group_device_open(struct candidate *wanted, const uint8_t *token, struct transport_space *base,
		      struct transport_device **out)
{
	struct container *container = (struct container *)base;
	struct group_device *device;
	int rc, number = find_group(wanted, container->type == VFIO_NOIOMMU_IOMMU);

	if (number < 0)
		return number;
	rc = check_closed(container, wanted->info.name);
	if (rc < 0)
		return rc;
	device = new_device(container, wanted->info.name);
	if (!device)
		return -ENOMEM;
	/*
	 * The device is listed before the kernel opens it, because another thread may ask for it
	 * meanwhile.
	 */
	join(device);
	rc = get_device(device, number, token);
	if (rc < 0) {
		leave(device);
		free(device);
		return rc;
	}
	*out = &device->device.base;
	return 0;
}

static int take_over(struct group_device *device, int fd, int number)
{
	int rc = container_add_group(device->container, number, &device->group);

	if (rc < 0)
		return rc;
	rc = device->device.fd = sys_dup(fd);
	if (rc >= 0)
		return 0;
	container_put_group(device->container, device->group, -1, false);
	return hint_node(rc, device->device.name);
}

/*
 * Another process has attached the device's group, to this container as it says. The kernel does
 * not tell.
 */
int group_device_adopt(int fd, struct candidate *wanted, const uint8_t *token,
		       struct transport_space *base, struct transport_device **out)
{
	struct group_device *device;
	int rc = candidate_look(wanted);

	(void)token; /* the token was given by the process that opened the device */
	if (rc < 0)
		return rc;
	device = new_device((struct container *)base, wanted->info.name);
	if (!device)
		return -ENOMEM;
	rc = take_over(device, fd, wanted->info.iommu_group);
	if (rc < 0) {
		free(device);
		return rc;
	}
	join(device);
	*out = &device->device.base;
	return 0;
}

void group_device_close(struct transport_device *base)
{
	struct group_device *device = (struct group_device *)base;
	struct space_owner *owner = device->container->base.owner;
	int fd = device->device.fd;

	/*
	 * If another process has the group, the device's descriptor may have to stay open in place
	 * of the group's.
	 */
	if (device->group->fd >= 0) {
		owner->pause(owner);
		sys_close(fd);
		owner->resume(owner);
		fd = -1;
	}
	leave(device);
	container_put_group(device->container, device->group, fd, device->released);
	free(device);
}

int group_device_give_back(struct transport_device *base)
{
	struct group_device *device = (struct group_device *)base;
	int rc = container_release_group(device->container, device->group, base);

	device->released = rc == 0;
	return rc;
}

/* If another process has the group, we have no descriptor of it to show. */
bool group_device_owns(struct transport_device *base, const struct vfio_pci_hot_reset_info *info,
		       uint32_t element)
{
	struct group *group = ((struct group_device *)base)->container->groups;

	while (group && (group->fd < 0 || (uint32_t)group->number != info->devices[element].group_id))
		group = group->next;
	return group && !(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
}

/*
 * The descriptors of groups prove ownership. All groups of the space are passed, which is more than
 * enough.
 */
int group_device_hot_reset(struct transport_device *base)
{
	struct container *container = ((struct group_device *)base)->container;
	uint32_t count = 0;
	int32_t *fds;
	int rc;

	for (struct group *group = container->groups; group; group = group->next)
		count++;
	fds = sys_alloc((count + 1) * sizeof(*fds));
	if (!fds)
		return vfc_no_memory();
	count = 0;
	for (struct group *group = container->groups; group; group = group->next)
		if (group->fd >= 0)
			fds[count++] = group->fd;
	rc = fd_hot_reset(base, fds, count);
	free(fds);
	return rc;
}

int group_device_group(struct transport_device *base)
{
	return ((struct group_device *)base)->group->number;
}

int group_device_file(struct transport_device *base)
{
	return ((struct group_device *)base)->group->fd;
}

static int space_info(struct transport_space *base, struct transport_space_info *info)
{
	return type1_info(((struct container *)base)->fd, info);
}

static int dirty_track(struct transport_space *base, bool on)
{
	struct container *container = (struct container *)base;

	/* Tracking ended in the kernel when the last group left. */
	return container->set || on ? type1_dirty_track(container->fd, on) : 0;
}

static int dirty_read(struct transport_space *base, uint64_t iova, uint64_t length, uint64_t page,
		      uint64_t *bitmap)
{
	return type1_dirty_read(((struct container *)base)->fd, iova, length, page, bitmap);
}

/*
 * iommufd keeps the address of what it maps, in case a domain is added later. A file's memory has
 * no lasting address, so it is mapped by iommufd's own request. The container's IOAS is made by the
 * first request that needs it.
 */
static int compat_ioas(struct transport_space *base, uint32_t *ioas)
{
	struct container *container = (struct container *)base;
	int rc = vfc_iommufd_compat_get(container->fd, ioas);

	return rc < 0 ? rc : container->fd;
}

static int compat_map(struct transport_space *base, const struct transport_memory *memory,
		      uint64_t *iova, uint64_t length, uint32_t flags)
{
	struct container *container = (struct container *)base;
	uint32_t ioas;
	int rc;

	if (memory->va)
		return type1_map(base, memory, iova, length, flags);
	rc = compat_ioas(base, &ioas);
	if (rc >= 0)
		rc = ioas_map_file(container->fd, ioas, memory, *iova, length, flags);
	if (rc == 0)
		container->mapped += length;
	return rc;
}

#define COMMON                            \
	.space_fd = container_fd,         \
	.device_handle = HANDLE_DEVICE,   \
	.adopt = group_device_adopt,      \
	.check = check,                   \
	.space_info = space_info,         \
	.unmap = type1_unmap,             \
	.open = group_device_open,        \
	.close = group_device_close,      \
	.give_back = group_device_give_back,  \
	.reserved = hint_reserved,        \
	.group = group_device_group,      \
	.kvm_file = group_device_file,    \
	.owns = group_device_owns,        \
	.hot_reset = group_device_hot_reset, \
	FD_DEVICE

const struct transport transport_group = {
	.name = "group",
	.space_handle = HANDLE_CONTAINER,
	.usable = usable,
	.space_open = space_open,
	.space_close = type1_close,
	.map = type1_map,
	.dirty_track = dirty_track,
	.dirty_read = dirty_read,
	COMMON,
};

const struct transport transport_group_v1 = {
	.name = "group-v1",
	.space_handle = HANDLE_CONTAINER,
	.by_name = true,
	.space_open = v1_open,
	.space_close = type1_close,
	.map = type1_map,
	COMMON,
};

const struct transport transport_compat = {
	.name = "compat",
	.space_handle = HANDLE_IOMMUFD,
	.by_name = true, /* where this works the character device works as well */
	.space_open = compat_open,
	.space_close = container_close,
	.map = compat_map,
	.iommufd = compat_ioas,
	.share_region = fd_share_region,
	COMMON,
};
