/* SPDX-License-Identifier: MIT */
/*
 * The group/container path: /dev/vfio/vfio, /dev/vfio/GROUP, IOMMU type1 v2.
 * Source: Documentation/driver-api/vfio.rst, drivers/vfio/{container,group,vfio_iommu_type1}.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/iommu.h>

#include "../error.h"
#include "../kernel/iommufd.h"
#include "../kernel/sys.h"
#include "../pci/sysfs.h"
#include "fd.h"
#include "hints.h"
#include "type1.h"

#define CONTAINER "/dev/vfio/vfio"
#define COMPAT "/dev/iommu" /* iommufd answers a container's requests (iommufd/vfio_compat.c) */

/* A group is opened once a process, so devices of one group share this. */
struct group {
	struct group *next;
	unsigned devices, live; /* live: those that were not released */
	int number;
	int fd;
	bool released; /* and left the container, which knows it no more */
	char name[24]; /* "group 7" */
};

struct group_space {
	struct transport_space base;
	struct group *groups;
	const char *node; /* of the container */
	uint64_t mapped; /* bytes */
	int fd;
	bool type1; /* the IOMMU type is set, which the first group makes possible */
};

struct group_device {
	struct fd_device device;
	struct group_space *space;
	struct group *group;
	bool released;
};

static int open_container(struct group_space *space)
{
	int rc;

	space->fd = sys_open(space->node, O_RDWR);
	if (space->fd < 0)
		return hint_node(space->fd, space->node);
	rc = sys_ioctl_value(space->fd, VFIO_GET_API_VERSION, 0);
	if (rc == VFIO_API_VERSION &&
	    sys_ioctl_value(space->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0)
		return 0;
	sys_close(space->fd);
	return vfc_fail(rc < 0 ? rc : EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
			WHERE("VFIO_CHECK_EXTENSION", space->node),
			"the kernel offers no type1 v2 IOMMU here: modprobe vfio_iommu_type1");
}

static int open_at(const char *node, const struct transport *ops, struct transport_space **out)
{
	struct group_space *space = sys_alloc(sizeof(*space));
	int rc;

	if (!space)
		return vfc_no_memory();
	space->base.ops = ops;
	space->node = node;
	rc = open_container(space);
	if (rc < 0) {
		free(space);
		return rc;
	}
	*out = &space->base;
	return 0;
}

/* A container has one address space, so @beside is of no use to it. */
static int space_open(struct transport_space *beside, uint32_t flags, struct transport_space **out)
{
	(void)beside;
	(void)flags; /* type1 can always tell what is dirty */
	return open_at(CONTAINER, &transport_group, out);
}

static int compat_open(struct transport_space *beside, uint32_t flags,
		       struct transport_space **out)
{
	(void)beside;
	if (flags & VFC_IOMMU_DIRTY)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"iommufd's container does not track dirty pages: use cdev or group");
	return open_at(COMPAT, &transport_compat, out);
}

static void group_close(struct group_space *space, struct group *group)
{
	struct group **link = &space->groups;

	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	sys_close(group->fd); /* leaves the container, too */
	free(group);
}

static void space_close(struct transport_space *base)
{
	struct group_space *space = (struct group_space *)base;

	while (space->groups)
		group_close(space, space->groups);
	sys_close(space->fd);
	free(space);
}

static int check_group(struct group *group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char holders[300];
	int rc = sys_ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_GROUP_GET_STATUS", group->name), "%s", "");
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	pci_group_holders(group->number, holders, sizeof(holders));
	return vfc_fail(EPERM, VFC_REASON_NOT_VIABLE, WHERE("VFIO_GROUP_GET_STATUS", group->name),
			"%s is not viable: %s; bind or unbind every device of the group",
			group->name, holders[0] ? holders : "a member has a host driver");
}

/* The type is set once, when the first group has come. */
static int attach(struct group_space *space, struct group *group)
{
	int rc = sys_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &space->fd);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_GROUP_SET_CONTAINER", group->name),
				"the group does not fit with those attached already");
	if (space->type1)
		return 0;
	rc = sys_ioctl_value(space->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_SET_IOMMU", group->name), "%s",
				rc == -EPERM ? "the platform does not isolate interrupts; where that "
					       "risk is taken: vfio_iommu_type1.allow_unsafe_interrupts=1"
					     : "the IOMMU refused a domain for the group");
	space->type1 = true;
	return 0;
}

static int group_open(struct group_space *space, int number, struct group **out)
{
	char node[32];
	struct group *group = sys_alloc(sizeof(*group));
	int rc;

	if (!group)
		return vfc_no_memory();
	group->number = number;
	snprintf(group->name, sizeof(group->name), "group %d", number);
	snprintf(node, sizeof(node), "/dev/vfio/%d", number);
	group->fd = sys_open(node, O_RDWR);
	rc = group->fd < 0 ? hint_node(group->fd, node) : check_group(group);
	if (rc == 0)
		rc = attach(space, group);
	if (rc < 0) {
		sys_close(group->fd);
		free(group);
		return rc;
	}
	group->next = space->groups;
	space->groups = group;
	*out = group;
	return 0;
}

static int group_get(struct group_space *space, int number, struct group **out)
{
	for (struct group *group = space->groups; group; group = group->next) {
		if (group->number == number) {
			*out = group;
			return 0;
		}
	}
	return group_open(space, number, out);
}

/*
 * A container that loses its last group loses its mappings, too (container.c), and ours would be
 * wrong: so the last group stays while there are any.
 */
static void group_put(struct group_space *space, struct group *group)
{
	bool last = space->groups == group && !group->next;

	if (!group->devices && !group->live && group->released) {
		sys_close(group->fd);
		free(group);
		return;
	}
	if (group->devices || (last && space->mapped))
		return;
	group_close(space, group);
	if (!space->groups)
		space->type1 = false;
}

static int find_group(const char *name, char canonical[VFC_PCI_NAME])
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	int rc = pci_find(name, canonical);

	if (rc == 0)
		rc = vfc_pci_info(canonical, &info);
	if (rc < 0)
		return rc;
	if (info.iommu_group < 0)
		return hint_no_iommu(canonical);
	if (!strstr(info.driver, "vfio"))
		return hint_no_driver(canonical, info.driver);
	return info.iommu_group;
}

/* Never by itself: where this works the character device does, too. */
static bool compat_usable(const char *name)
{
	(void)name;
	return false;
}

static bool usable(const char *name)
{
	(void)name; /* a group that cannot be opened is told so when it is */
	return sys_accessible(CONTAINER);
}

static int check(const char *name)
{
	char canonical[VFC_PCI_NAME] = "";
	int number = find_group(name, canonical);

	return number < 0 ? number : 0;
}

static int device_open(const char *name, struct transport_space *base,
		       struct transport_device **out)
{
	struct group_space *space = (struct group_space *)base;
	struct group_device *device;
	struct group *group = NULL;
	char canonical[VFC_PCI_NAME] = "";
	int rc, number = find_group(name, canonical);

	if (number < 0)
		return number;
	device = sys_alloc(sizeof(*device));
	if (!device)
		return vfc_no_memory();
	rc = group_get(space, number, &group);
	if (rc < 0) {
		free(device);
		return rc;
	}
	rc = sys_ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, canonical);
	if (rc < 0) {
		rc = vfc_fail(rc, rc == -EBUSY ? VFC_REASON_BUSY : VFC_REASON_NONE,
			      WHERE("VFIO_GROUP_GET_DEVICE_FD", canonical), "%s",
			      rc == -EBUSY ? "the device is open already"
					   : "the device's driver would not open it");
		group_put(space, group);
		free(device);
		return rc;
	}
	device->device.base.ops = base->ops;
	device->device.fd = rc;
	snprintf(device->device.name, sizeof(device->device.name), "%s", canonical);
	device->space = space;
	device->group = group;
	group->devices++;
	group->live++;
	*out = &device->device.base;
	return 0;
}

static void device_close(struct transport_device *base)
{
	struct group_device *device = (struct group_device *)base;

	sys_close(device->device.fd);
	device->group->devices--;
	device->group->live -= !device->released;
	group_put(device->space, device->group);
	free(device);
}

/* The kernel's driver may wait for the group, too: it goes with its last device. */
static int device_release(struct transport_device *base)
{
	struct group_device *device = (struct group_device *)base;
	struct group_space *space = device->space;
	struct group *group = device->group, **link = &space->groups;
	bool last = group->live == 1;
	int rc = fd_release(base, last ? group->fd : -1);

	if (rc < 0)
		return rc;
	device->released = true;
	group->live--;
	if (!last)
		return 0;
	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	group->released = true;
	space->type1 = space->groups;
	return 0;
}

static bool device_owns(struct transport_device *base, const struct vfio_pci_hot_reset_info *info,
			uint32_t element)
{
	struct group *group = ((struct group_device *)base)->space->groups;

	while (group && (uint32_t)group->number != info->devices[element].group_id)
		group = group->next;
	return group && !(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
}

/* Descriptors of groups are the proof: of all that the space has, which is more than enough. */
static int device_hot_reset(struct transport_device *base)
{
	struct group_space *space = ((struct group_device *)base)->space;
	uint32_t count = 0;
	int32_t *fds;
	int rc;

	for (struct group *group = space->groups; group; group = group->next)
		count++;
	fds = sys_alloc((count + 1) * sizeof(*fds));
	if (!fds)
		return vfc_no_memory();
	count = 0;
	for (struct group *group = space->groups; group; group = group->next)
		fds[count++] = group->fd;
	rc = fd_hot_reset(base, fds, count);
	free(fds);
	return rc;
}

static int device_group(struct transport_device *base)
{
	return ((struct group_device *)base)->group->number;
}

static int space_info(struct transport_space *base, struct transport_space_info *info)
{
	return type1_info(((struct group_space *)base)->fd, info);
}

static int map(struct transport_space *base, const struct transport_memory *memory, uint64_t *iova,
	       uint64_t length, uint32_t flags)
{
	struct group_space *space = (struct group_space *)base;
	int rc = type1_map(space->fd, memory, *iova, length, flags);

	if (rc == 0)
		space->mapped += length;
	return rc;
}

static int unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	struct group_space *space = (struct group_space *)base;
	int rc = type1_unmap(space->fd, iova, length);

	if (rc == 0)
		space->mapped -= length;
	return rc;
}

static int dirty_track(struct transport_space *base, bool on)
{
	return type1_dirty_track(((struct group_space *)base)->fd, on);
}

static int dirty_read(struct transport_space *base, uint64_t iova, uint64_t length, uint64_t page,
		      uint64_t *bitmap)
{
	return type1_dirty_read(((struct group_space *)base)->fd, iova, length, page, bitmap);
}

/*
 * iommufd keeps the address of what it maps, for a domain that comes later. A file's memory has
 * none that lasts, so it is mapped by iommufd's own request. The container's IOAS is made by the
 * first request that needs it.
 */
static int compat_ioas(struct transport_space *base, uint32_t *ioas)
{
	struct group_space *space = (struct group_space *)base;
	struct iommu_vfio_ioas request = {.size = sizeof(request), .op = IOMMU_VFIO_IOAS_GET};
	int rc = sys_ioctl(space->fd, IOMMU_VFIO_IOAS, &request);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_VFIO_IOAS", COMPAT), "%s",
				rc == -ENODEV ? "the container has no IOAS before its first device" : "");
	*ioas = request.ioas_id;
	return space->fd;
}

static int compat_map(struct transport_space *base, const struct transport_memory *memory,
		      uint64_t *iova, uint64_t length, uint32_t flags)
{
	struct group_space *space = (struct group_space *)base;
	uint32_t ioas;
	int rc;

	if (memory->va)
		return map(base, memory, iova, length, flags);
	rc = compat_ioas(base, &ioas);
	if (rc >= 0)
		rc = fd_ioas_map_file(space->fd, ioas, memory, *iova, length, flags);
	if (rc == 0)
		space->mapped += length;
	return rc;
}

#define COMMON                            \
	.check = check,                   \
	.space_close = space_close,       \
	.space_info = space_info,         \
	.unmap = unmap,                   \
	.open = device_open,              \
	.close = device_close,            \
	.release = device_release,        \
	.group = device_group,            \
	.device_info = fd_device_info,    \
	.region_info = fd_region_info,    \
	.irq_info = fd_irq_info,          \
	.set_irqs = fd_set_irqs,          \
	.reset = fd_reset,                \
	.hot_reset_info = fd_hot_reset_info, \
	.owns = device_owns,              \
	.hot_reset = device_hot_reset,    \
	.feature = fd_feature,            \
	.read = fd_read,                  \
	.write = fd_write,                \
	.mmap = fd_mmap

const struct transport transport_group = {
	.name = "group",
	.usable = usable,
	.space_open = space_open,
	.map = map,
	.dirty_track = dirty_track,
	.dirty_read = dirty_read,
	COMMON,
};

const struct transport transport_compat = {
	.name = "compat",
	.usable = compat_usable,
	.space_open = compat_open,
	.map = compat_map,
	.iommufd = compat_ioas,
	.share_region = fd_share_region,
	COMMON,
};
