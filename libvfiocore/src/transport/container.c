/* SPDX-License-Identifier: MIT */
/*
 * Containers: /dev/vfio/vfio, and /dev/iommu in that role. Source:
 * Documentation/driver-api/vfio.rst, drivers/vfio/{container,group}.c.
 */
#include "transport/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"
#include "transport/fd.h"
#include "transport/hints.h"

static int other_type(struct container *container)
{
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE("VFIO_IOMMU_GET_INFO", container->node),
			"the container has another IOMMU type than the transport %s wants",
			container->base.ops->name);
}

static int ask_info(struct container *container)
{
	struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};

	return sys_ioctl(container->fd, VFIO_IOMMU_GET_INFO, &info);
}

static bool offers(struct container *container, uint32_t type)
{
	return type && sys_ioctl_value(container->fd, VFIO_CHECK_EXTENSION, type) > 0;
}

static int choose_type(struct container *container, uint32_t type, uint32_t other)
{
	int rc = sys_ioctl_value(container->fd, VFIO_GET_API_VERSION, 0);
	bool known = rc == VFIO_API_VERSION;

	container->type = known && offers(container, type) ? type : other;
	if (container->type == type || (known && offers(container, other)))
		return 0;
	/* A container that has a type offers no other; one without answers EINVAL. */
	if (known && container->adopted && ask_info(container) != -EINVAL)
		return other_type(container);
	if (type == VFIO_NOIOMMU_IOMMU)
		return hint_noiommu_off(container->node);
	return vfc_fail(rc < 0 ? rc : EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
			WHERE("VFIO_CHECK_EXTENSION", container->node),
			"the kernel offers no type1 IOMMU here: modprobe vfio_iommu_type1");
}

/* The process that opened the container may have set its type. */
static int read_state(struct container *container)
{
	int rc = ask_info(container);

	/* A container without an IOMMU does not know this request. */
	container->set = rc == (container->type == VFIO_NOIOMMU_IOMMU ? -ENOTTY : 0);
	/*
	 * EINVAL means that no type is set yet; ENODEV means that the iommufd has no address space
	 * yet.
	 */
	if (container->set || rc == -EINVAL || rc == -ENODEV)
		return 0;
	if (rc == 0 || rc == -ENOTTY)
		return other_type(container);
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_IOMMU_GET_INFO", container->node), "%s", "");
}

static int start(struct container *container, uint32_t type, uint32_t other, int fd)
{
	int rc = container->fd = fd < 0 ? sys_open(container->node, O_RDWR) : sys_dup(fd);

	if (rc < 0)
		return hint_node(rc, container->node);
	rc = choose_type(container, type, other);
	if (rc == 0 && container->adopted)
		rc = read_state(container);
	if (rc < 0)
		sys_close(container->fd);
	return rc;
}

int container_open(const char *node, const struct transport *ops, uint32_t type, uint32_t other,
		   int fd, struct transport_space **out)
{
	struct container *container = sys_alloc(sizeof(*container));
	int rc;

	if (!container)
		return vfc_no_memory();
	container->base.ops = ops;
	container->node = node;
	container->adopted = fd >= 0;
	rc = start(container, type, other, fd);
	if (rc < 0) {
		free(container);
		return rc;
	}
	*out = &container->base;
	return 0;
}

static void leave(struct container *container, struct group *group)
{
	struct group **link = &container->groups;

	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	group->released = true;
	if (!container->groups)
		container->set = false;
}

static void group_close(struct container *container, struct group *group)
{
	leave(container, group);
	sys_close(group->fd); /* this also takes the group out of the container */
	free(group);
}

void container_close(struct transport_space *base)
{
	struct container *container = (struct container *)base;

	while (container->groups)
		group_close(container, container->groups);
	sys_close(container->fd);
	free(container);
}

int container_fd(struct transport_space *base, uint32_t *ioas)
{
	*ioas = 0;
	return ((struct container *)base)->fd;
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

/* The type is set once, after the first group was attached. */
static int attach(struct container *container, struct group *group)
{
	int rc = sys_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &container->fd);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_GROUP_SET_CONTAINER", group->name),
				"the group does not fit with those attached already");
	if (container->set)
		return 0;
	rc = sys_ioctl_value(container->fd, VFIO_SET_IOMMU, container->type);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_SET_IOMMU", group->name), "%s",
				rc == -EPERM ? "the platform does not isolate interrupts; where that "
					       "risk is taken: vfio_iommu_type1.allow_unsafe_interrupts=1"
					     : "the IOMMU refused a domain for the group");
	container->set = true;
	return 0;
}

static int new_group(struct container *container, int number, struct group **out)
{
	struct group *group = sys_alloc(sizeof(*group));

	if (!group)
		return vfc_no_memory();
	group->number = number;
	group->fd = -1;
	snprintf(group->name, sizeof(group->name), "group %d", number);
	group->next = container->groups;
	container->groups = group;
	*out = group;
	return 0;
}

static int group_open(struct container *container, int number, struct group **out)
{
	char node[PCI_GROUP_NODE];
	struct group *group = NULL;
	int rc = new_group(container, number, &group);

	if (rc < 0)
		return rc;
	pci_group_node(number, node);
	group->fd = sys_open(node, O_RDWR);
	rc = group->fd < 0 ? hint_node(group->fd, node) : check_group(group);
	if (rc == 0 && container->adopted)
		rc = read_state(container);
	if (rc == 0)
		rc = attach(container, group);
	if (rc < 0) {
		group_close(container, group);
		return rc;
	}
	*out = group;
	return 0;
}

static struct group *find_group(struct container *container, int number)
{
	struct group *group = container->groups;

	while (group && (group->number != number || group->fd < 0))
		group = group->next;
	return group;
}

int container_get_group(struct container *container, int number, struct group **out)
{
	int rc = 0;

	*out = find_group(container, number);
	if (!*out)
		rc = group_open(container, number, out);
	if (rc == 0) {
		(*out)->devices++;
		(*out)->live++;
	}
	return rc;
}

int container_add_group(struct container *container, int number, struct group **out)
{
	int rc = read_state(container);

	if (rc < 0)
		return rc;
	if (!container->set)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = container->node),
				"no group is attached to the container, so the device belongs to another "
				"one: adopt that");
	rc = new_group(container, number, out);
	if (rc == 0) {
		(*out)->devices++;
		(*out)->live++;
	}
	return rc;
}

/*
 * A container that loses its last group also loses its mappings (container.c in the kernel), and
 * our books would be wrong. So the last group stays for as long as there are mappings. If another
 * process has the group's descriptor, the device's descriptor keeps the group instead.
 */
void container_put_group(struct container *container, struct group *group, int fd, bool released)
{
	bool last = container->groups == group && !group->next, stays;

	group->devices--;
	group->live -= !released;
	stays = !group->released && (group->live || (last && container->mapped));
	if (stays && group->fd < 0 && !group->live && !released)
		group->fd = fd;
	else
		sys_close(fd);
	if (!stays && !group->released) {
		leave(container, group);
		sys_close(group->fd);
		group->fd = -1;
	}
	if (group->released && !group->devices) {
		sys_close(group->fd);
		free(group);
	}
}

/*
 * The kernel's driver may be waiting for the group as well, so the group goes with its last device.
 */
int container_release_group(struct container *container, struct group *group,
			    struct transport_device *device)
{
	bool last = group->live == 1;
	int rc = fd_give_back(device, last ? group->fd : -1);

	if (rc < 0)
		return rc;
	group->live--;
	if (last)
		leave(container, group);
	return 0;
}
