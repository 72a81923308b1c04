/* SPDX-License-Identifier: MIT */
/*
 * The character-device path: /dev/vfio/devices/vfioN, attached to an IOAS of /dev/iommu.
 * Source: Documentation/driver-api/vfio.rst ("VFIO device cdev"), drivers/vfio/device_cdev.c.
 */
#include "transport/cdev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/iommufd.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/bus.h"
#include "pci/sysfs.h"
#include "transport/candidate.h"
#include "transport/fd.h"
#include "transport/hints.h"
#include "transport/ioas.h"

struct cdev_pasid {
	struct cdev_pasid *next;
	struct ioas *space;
	struct hwpt *hwpt;
	uint32_t number;
};

struct cdev_device {
	struct fd_device device;
	struct ioas *space; /* the space that it is or was attached to */
	struct hwpt *hwpt;  /* NULL: attached to the IOAS, or to nothing */
	struct cdev_pasid *pasids;
	uint32_t id; /* in the iommufd */
	int group;
	bool adopted; /* another process may have it open, too */
	bool attached;
};

static void find_node(const struct vfc_bus_info *info, char node[64])
{
	snprintf(node, 64, CDEV_NODES "/%.31s", info->vfio_cdev);
}

/*
 * Is this a device that no IOMMU translates for? An IOAS is only a list of addresses then, which mean
 * nothing to the device.
 */
static bool is_physical(const struct vfc_bus_info *info)
{
	return !strncmp(info->vfio_cdev, CDEV_NOIOMMU, strlen(CDEV_NOIOMMU));
}

static bool has_node(const struct vfc_bus_info *info, bool physical)
{
	char node[64];

	find_node(info, node);
	return info->vfio_cdev[0] && is_physical(info) == physical && sys_exists(node);
}

bool cdev_offered(struct candidate *device, bool physical)
{
	int rc;

	error_quiet_begin();
	rc = candidate_look(device);
	error_quiet_end();
	return rc == 0 && has_node(&device->info, physical);
}

int cdev_check(struct candidate *device, bool physical)
{
	const struct vfc_bus_info *info = &device->info;
	int rc = candidate_look(device);

	if (rc < 0 || has_node(info, physical))
		return rc;
	rc = hint_translation(info, physical);
	if (rc < 0)
		return rc;
	if (!bus_has_vfio(info))
		return hint_no_driver(info);
	return vfc_fail(ENODEV, VFC_REASON_UNSUPPORTED, WHERE(.object = info->name),
			"the kernel makes no character device of it (CONFIG_VFIO_DEVICE_CDEV is off, "
			"or before Linux %s): use the transport \"%s\"",
			physical ? "7.3" : "6.6", physical ? "noiommu-group" : "group");
}

static bool usable(struct candidate *device)
{
	char node[64];

	if (!sys_accessible(IOMMUFD))
		return false;
	if (!device)
		return sys_exists(CDEV_NODES);
	if (!cdev_offered(device, false))
		return false;
	find_node(&device->info, node);
	return sys_accessible(node);
}

static int check(struct candidate *device)
{
	return cdev_check(device, false);
}

static int space_open(struct transport_space *beside, bool dirty, int fd,
		      struct transport_space **space)
{
	return ioas_open(&transport_cdev, beside, dirty, fd, space);
}

static int space_join(int fd, uint32_t ioas, struct transport_space **space)
{
	return ioas_join(&transport_cdev, fd, ioas, space);
}

static int bind_failed(int rc, const struct vfc_bus_info *info, const uint8_t *token)
{
	struct error_where where = WHERE("VFIO_DEVICE_BIND_IOMMUFD", info->name);
	char holders[300] = "";

	if (hint_token(rc, where.call, info->name, token) < 0)
		return rc;
	if (rc == -EBUSY)
		pci_group_holders(info->iommu_group, holders, sizeof(holders));
	if (holders[0])
		return vfc_fail(EPERM, VFC_REASON_NOT_VIABLE, where,
				"group %d is not viable: %s; bind or unbind every device of the group",
				info->iommu_group, holders);
	/* A device that is bound through another descriptor answers EINVAL (vfio_main.c). */
	if (rc == -EBUSY || rc == -EINVAL)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, where,
				"the device is open already, here or elsewhere: `fuser -v " CDEV_NODES
				"/%s /dev/vfio/%d` shows where%s",
				info->vfio_cdev, info->iommu_group,
				token ? "; or the kernel takes no token here (before Linux 6.17): use the "
					"transport \"group\""
				      : "");
	return vfc_failed_on(info->name, rc);
}

/* @pasid 0 stands for the requests that the device makes without a PASID. */
static int detach(struct cdev_device *device, uint32_t pasid)
{
	return vfc_failed_on(device->device.name,
			     vfc_iommufd_detach(device->device.fd, pasid ? (int32_t)pasid : -1));
}

/*
 * Closing the descriptor detaches nothing while another process has the device open. No failure is
 * recorded.
 */
static void detach_all(struct cdev_device *device)
{
	error_quiet_begin();
	detach(device, 0);
	for (struct cdev_pasid *pasid = device->pasids; pasid; pasid = pasid->next)
		detach(device, pasid->number);
	error_quiet_end();
}

static int refuse_nameless(struct cdev_device *device)
{
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->device.name),
			"the device was bound before it was passed, and the kernel no longer tells its "
			"id, which tracking dirty pages and PASIDs need: have it passed unbound");
}

static int attach(struct cdev_device *device, struct ioas *space, uint32_t pasid, bool pasids,
		  struct hwpt **hwpt)
{
	const struct ioas_client client = {device->device.fd, device->id, device->device.name};

	if (!device->id && (pasids || space->dirty))
		return refuse_nameless(device);
	return ioas_attach(space, &client, pasid, pasids, hwpt);
}

/* Bind to our iommufd, then attach to the space's page table. */
static int join(struct cdev_device *device, const struct vfc_bus_info *info, const uint8_t *token)
{
	struct space_owner *owner = device->space->base.owner;
	int rc;

	owner->pause(owner);
	rc = vfc_iommufd_bind(device->device.fd, device->space->iommufd->fd, token, &device->id);
	owner->resume(owner);
	if (rc < 0)
		return bind_failed(rc, info, token);
	rc = attach(device, device->space, 0, false, &device->hwpt);
	if (rc == 0)
		ioas_count_device(device->space, 1);
	device->attached = rc == 0;
	return rc;
}

static struct cdev_device *new_device(struct transport_space *base, const struct vfc_bus_info *info)
{
	struct cdev_device *device = sys_alloc(sizeof(*device));

	if (!device) {
		vfc_no_memory();
		return NULL;
	}
	device->device.base.ops = base->ops;
	device->space = (struct ioas *)base;
	snprintf(device->device.name, sizeof(device->device.name), "%s", info->name);
	device->group = info->iommu_group;
	return device;
}

int cdev_open(struct candidate *wanted, const uint8_t *token, struct transport_space *base,
	      struct transport_device **out)
{
	const struct vfc_bus_info *info = &wanted->info;
	struct cdev_device *device;
	char node[64];
	int rc = base->ops->check(wanted);

	if (rc < 0)
		return rc;
	device = new_device(base, info);
	if (!device)
		return -ENOMEM;
	find_node(info, node);
	device->device.fd = sys_open(node, O_RDWR);
	rc = device->device.fd < 0 ? hint_node(device->device.fd, node) : join(device, info, token);
	if (rc < 0) {
		sys_close(device->device.fd); /* unbinds and detaches, too */
		free(device);
		return rc;
	}
	*out = &device->device.base;
	return 0;
}

static int not_ours(const char *name)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE("VFIO_DEVICE_BIND_IOMMUFD", name),
			"the device is bound to another iommufd than that of the address space: adopt "
			"that one, or have the device passed before it is bound");
}

/*
 * Attach the device to a new IOAS of ours. If the device is bound to our iommufd, that IOAS is busy
 * then.
 */
static int attach_by_probe(struct cdev_device *device)
{
	uint32_t probe, table;
	int rc = vfc_iommufd_ioas_alloc(device->space->iommufd->fd, &probe);

	if (rc < 0)
		return rc;
	table = probe;
	rc = vfc_iommufd_attach(device->device.fd, &table, -1);
	if (ioas_destroy(device->space, probe) != -EBUSY || rc < 0)
		return not_ours(device->device.name);
	rc = attach(device, device->space, 0, false, &device->hwpt);
	if (rc < 0)
		detach_all(device);
	ioas_destroy(device->space, probe);
	return rc;
}

/*
 * The kernel does not tell which iommufd a device is bound to, and an id can mean something in
 * every iommufd. So the first question is whether our iommufd has a device that we did not bind.
 * For an IOAS that is shared this has to be enough: attaching the device where it is already
 * changes nothing (iommufd_device_do_replace() in drivers/iommu/iommufd/device.c), while a probe
 * would cut off whoever shares it.
 */
static int adopt_bound(struct cdev_device *device)
{
	int rc = device->space->dirty ? refuse_nameless(device) : ioas_strangers(device->space);

	if (rc == 0)
		return not_ours(device->device.name);
	if (rc > 0)
		rc = device->space->joined ? attach(device, device->space, 0, false, &device->hwpt)
					   : attach_by_probe(device);
	device->attached = rc == 0;
	return rc;
}

/* The device may be bound already. Only a bound device answers. */
static int adopt_join(struct cdev_device *device, const struct vfc_bus_info *info,
		      const uint8_t *token)
{
	struct vfio_device_info ignored;
	bool bound;

	error_quiet_begin();
	bound = fd_device_info(&device->device.base, &ignored) == 0;
	error_quiet_end();
	return bound ? adopt_bound(device) : join(device, info, token);
}

int cdev_adopt(int fd, struct candidate *wanted, const uint8_t *token, struct transport_space *base,
	       struct transport_device **out)
{
	const struct vfc_bus_info *info = &wanted->info;
	struct cdev_device *device;
	int rc = base->ops->check(wanted);

	if (rc < 0)
		return rc;
	device = new_device(base, info);
	if (!device)
		return -ENOMEM;
	device->adopted = true;
	device->device.fd = sys_dup(fd);
	rc = device->device.fd < 0 ? hint_node(device->device.fd, info->name) : adopt_join(device, info, token);
	if (rc < 0) {
		sys_close(device->device.fd);
		free(device);
		return rc;
	}
	*out = &device->device.base;
	return 0;
}

static void forget_spaces(struct cdev_device *device)
{
	if (device->id)
		ioas_count_device(device->space, -1);
	device->id = 0;
	ioas_put(device->space, device->hwpt);
	device->hwpt = NULL;
	while (device->pasids) {
		struct cdev_pasid *pasid = device->pasids;

		device->pasids = pasid->next;
		ioas_put(pasid->space, pasid->hwpt);
		free(pasid);
	}
}

void cdev_close(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base;
	struct space_owner *owner = device->space->base.owner;

	if (device->adopted && !device->space->joined)
		detach_all(device);
	owner->pause(owner);
	sys_close(device->device.fd);
	owner->resume(owner);
	forget_spaces(device);
	free(device);
}

int cdev_give_back(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base, again = *device;
	int rc = again.device.fd = device->adopted ? sys_dup(device->device.fd) : -1;

	if (device->adopted && rc < 0)
		return hint_node(rc, device->device.name);
	rc = fd_give_back(base, -1);
	if (rc == 0 && device->adopted)
		detach_all(&again);
	sys_close(again.device.fd);
	if (rc < 0)
		return rc;
	device->attached = false;
	forget_spaces(device);
	return 0;
}

/*
 * Attaching again replaces the page table. At any time the device sees the old one or the new one.
 */
static int move(struct cdev_device *device, struct ioas *to, bool pasids)
{
	struct hwpt *hwpt;
	int rc = attach(device, to, 0, pasids, &hwpt);

	if (rc < 0)
		return rc;
	ioas_put(device->space, device->hwpt);
	device->space = to;
	device->hwpt = hwpt;
	device->attached = true;
	return 0;
}

static int device_attach(struct transport_device *base, struct transport_space *space)
{
	struct cdev_device *device = (struct cdev_device *)base;

	return move(device, (struct ioas *)space, device->pasids);
}

static int device_detach(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base;
	int rc = detach(device, 0);

	if (rc < 0)
		return rc;
	ioas_put(device->space, device->hwpt);
	device->hwpt = NULL;
	device->attached = false;
	return 0;
}

static struct cdev_pasid **find_pasid(struct cdev_device *device, uint32_t number)
{
	struct cdev_pasid **link = &device->pasids;

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	return link;
}

static int detach_pasid(struct cdev_device *device, uint32_t number)
{
	struct cdev_pasid **link = find_pasid(device, number), *pasid = *link;
	int rc = detach(device, number);

	if (rc < 0)
		return rc;
	*link = pasid->next;
	ioas_put(pasid->space, pasid->hwpt);
	free(pasid);
	return 0;
}

/*
 * With the first PASID the device itself moves to a page table of that kind. If the PASID cannot be
 * attached, the device moves back.
 */
static int attach_first(struct cdev_device *device, uint32_t number, struct ioas *to,
			struct hwpt **hwpt)
{
	bool moves = device->attached && !device->pasids;
	int rc = moves ? move(device, device->space, true) : 0;

	if (rc == 0)
		rc = attach(device, to, number, true, hwpt);
	if (rc < 0 && moves) {
		error_quiet_begin();
		move(device, device->space, false);
		error_quiet_end();
	}
	return rc;
}

static int device_attach_pasid(struct transport_device *base, uint32_t number,
			       struct transport_space *space)
{
	struct cdev_device *device = (struct cdev_device *)base;
	struct cdev_pasid *pasid = *find_pasid(device, number), *fresh = NULL;
	struct ioas *to = (struct ioas *)space;
	struct hwpt *hwpt;
	int rc;

	if (!space)
		return detach_pasid(device, number);
	if (!pasid) {
		pasid = fresh = sys_alloc(sizeof(*fresh));
		if (!fresh)
			return vfc_no_memory();
	}
	rc = attach_first(device, number, to, &hwpt);
	if (rc < 0) {
		free(fresh);
		return rc;
	}
	if (fresh) {
		*fresh = (struct cdev_pasid){.next = device->pasids, .number = number};
		device->pasids = fresh;
	} else {
		ioas_put(pasid->space, pasid->hwpt);
	}
	pasid->space = to;
	pasid->hwpt = hwpt;
	return 0;
}

int cdev_id(struct transport_device *base, uint32_t *id)
{
	struct cdev_device *device = (struct cdev_device *)base;

	if (!device->id)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->device.name),
				"the device was bound before it was passed: whoever bound it was told the "
				"id, and the kernel does not tell it again");
	*id = device->id;
	return 0;
}

int cdev_group(struct transport_device *base)
{
	return ((struct cdev_device *)base)->group;
}

const struct transport transport_cdev = {
	.name = "cdev",
	.space_handle = HANDLE_IOMMUFD,
	.device_handle = HANDLE_CDEV,
	.usable = usable,
	.check = check,
	.space_open = space_open,
	.space_join = space_join,
	.space_fd = ioas_iommufd,
	.space_close = ioas_close,
	.space_info = ioas_info,
	.map = ioas_map,
	.unmap = ioas_unmap,
	.related = ioas_related,
	.copy = ioas_copy,
	.dirty_track = ioas_dirty_track,
	.dirty_read = ioas_dirty_read,
	.iommufd = ioas_iommufd,
	.open = cdev_open,
	.adopt = cdev_adopt,
	.close = cdev_close,
	.give_back = cdev_give_back,
	.reserved = hint_reserved,
	.attach = device_attach,
	.detach = device_detach,
	.attach_pasid = device_attach_pasid,
	.iommufd_id = cdev_id,
	.share_region = fd_share_region,
	.group = cdev_group,
	.kvm_file = fd_itself,
	.owns = fd_bound_owns,
	.hot_reset = fd_bound_hot_reset,
	FD_DEVICE,
};
