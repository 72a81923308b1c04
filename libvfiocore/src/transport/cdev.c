/* SPDX-License-Identifier: MIT */
/*
 * The character-device path: /dev/vfio/devices/vfioN, attached to an IOAS of /dev/iommu.
 * Source: Documentation/driver-api/vfio.rst ("VFIO device cdev"), drivers/vfio/device_cdev.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../kernel/iommufd.h"
#include "../kernel/sys.h"
#include "../pci/sysfs.h"
#include "fd.h"
#include "hints.h"
#include "ioas.h"

#define NODES "/dev/vfio/devices"

struct cdev_device {
	struct fd_device device;
	struct ioas *space; /* that it is or was attached to */
	struct hwpt *hwpt;  /* NULL: attached to the IOAS, or to nothing */
	uint32_t id;        /* in the iommufd */
	int group;
};

static void node_of(const struct vfc_pci_info *info, char node[64])
{
	snprintf(node, 64, NODES "/%.31s", info->vfio_cdev);
}

/* 1: our kind of device; its details in @info. 0: it is not, and nothing is recorded. */
static bool offered(const char *name, struct vfc_pci_info *info, char node[64])
{
	struct vfc_error before = *vfc_error_last();

	info->size = sizeof(*info);
	if (vfc_pci_info(name, info) < 0) {
		vfc_error_restore(&before);
		return false;
	}
	node_of(info, node);
	return info->vfio_cdev[0] && sys_exists(node);
}

static bool usable(const char *name)
{
	struct vfc_pci_info info;
	char node[64];

	if (!sys_accessible(IOMMUFD))
		return false;
	return name ? offered(name, &info, node) && sys_accessible(node) : sys_exists(NODES);
}

static int check(const char *name)
{
	struct vfc_pci_info info;
	char canonical[VFC_PCI_NAME] = "", node[64];
	int rc = pci_find(name, canonical);

	if (rc < 0 || offered(canonical, &info, node))
		return rc;
	if (info.iommu_group < 0)
		return hint_no_iommu(canonical);
	if (!strstr(info.driver, "vfio"))
		return hint_no_driver(canonical, info.driver);
	return vfc_fail(ENODEV, VFC_REASON_UNSUPPORTED, WHERE(.object = canonical),
			"the kernel makes no character device of it (CONFIG_VFIO_DEVICE_CDEV is off, "
			"or before Linux 6.6): use the transport \"group\"");
}

static int bind_failed(int rc, const struct vfc_pci_info *info)
{
	struct error_where where = WHERE("VFIO_DEVICE_BIND_IOMMUFD", info->name);
	char holders[300];

	pci_group_holders(info->iommu_group, holders, sizeof(holders));
	if (rc == -EBUSY && holders[0])
		return vfc_fail(EPERM, VFC_REASON_NOT_VIABLE, where,
				"group %d is not viable: %s; bind or unbind every device of the group",
				info->iommu_group, holders);
	/* EINVAL is what a device says that is bound through another descriptor (vfio_main.c). */
	if (rc == -EBUSY || rc == -EINVAL)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, where,
				"the device is open already, here or elsewhere: `fuser -v " NODES
				"/%s /dev/vfio/%d` shows where",
				info->vfio_cdev, info->iommu_group);
	return vfc_fail(rc, VFC_REASON_NONE, where, "%s",
			rc == -EPERM ? "the platform does not isolate interrupts; where that risk is "
				       "taken: iommufd.allow_unsafe_interrupts=1"
				     : "");
}

/* Bind to our iommufd, then attach to the space's page table. */
static int join(struct cdev_device *device, const struct vfc_pci_info *info)
{
	int fd = device->device.fd;
	struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind),
						.iommufd = device->space->iommufd->fd};
	int rc = sys_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	if (rc < 0)
		return bind_failed(rc, info);
	device->id = bind.out_devid;
	return ioas_attach(device->space, fd, device->id, info->name, &device->hwpt);
}

static int device_open(const char *name, struct transport_space *base,
		       struct transport_device **out)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	struct cdev_device *device;
	char node[64];
	int rc = check(name);

	if (rc < 0)
		return rc;
	rc = vfc_pci_info(name, &info);
	if (rc < 0)
		return rc;
	device = sys_alloc(sizeof(*device));
	if (!device)
		return vfc_no_memory();
	node_of(&info, node);
	device->space = (struct ioas *)base;
	device->device.fd = sys_open(node, O_RDWR);
	rc = device->device.fd < 0 ? hint_node(device->device.fd, node) : join(device, &info);
	if (rc < 0) {
		sys_close(device->device.fd); /* unbinds and detaches, too */
		free(device);
		return rc;
	}
	device->device.base.ops = &transport_cdev;
	snprintf(device->device.name, sizeof(device->device.name), "%s", info.name);
	device->group = info.iommu_group;
	*out = &device->device.base;
	return 0;
}

static void device_close(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base;

	sys_close(device->device.fd);
	ioas_put(device->space, device->hwpt);
	free(device);
}

static int device_release(struct transport_device *base)
{
	return fd_release(base, -1);
}

/* To attach again is to replace: the device sees the one page table or the other. */
static int device_attach(struct transport_device *base, struct transport_space *space)
{
	struct cdev_device *device = (struct cdev_device *)base;
	struct ioas *to = (struct ioas *)space;
	struct hwpt *hwpt;
	int rc = ioas_attach(to, device->device.fd, device->id, device->device.name, &hwpt);

	if (rc < 0)
		return rc;
	ioas_put(device->space, device->hwpt);
	device->space = to;
	device->hwpt = hwpt;
	return 0;
}

static int device_detach(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base;
	struct vfio_device_detach_iommufd_pt request = {.argsz = sizeof(request)};
	int rc = sys_ioctl(device->device.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &request);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE,
				WHERE("VFIO_DEVICE_DETACH_IOMMUFD_PT", device->device.name), "%s", "");
	ioas_put(device->space, device->hwpt);
	device->hwpt = NULL;
	return 0;
}

static int pasid_failed(struct cdev_device *device, const char *call, int rc, uint32_t pasid)
{
	/* Before 6.15 flags are invalid; the others are how drivers say that they have no PASIDs. */
	bool cannot = rc == -EOPNOTSUPP || rc == -ENOTTY || rc == -EINVAL || rc == -ENODEV;

	return vfc_fail(cannot ? EOPNOTSUPP : rc, cannot ? VFC_REASON_UNSUPPORTED : VFC_REASON_NONE,
			WHERE(call, device->device.name), "PASID %u: %s", pasid,
			cannot ? "it takes Linux 6.15, and a device and an IOMMU with PASIDs" : "");
}

static int device_attach_pasid(struct transport_device *base, uint32_t pasid,
			       struct transport_space *space)
{
	struct cdev_device *device = (struct cdev_device *)base;
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach), .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = pasid};
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = pasid};
	int rc;

	if (!space) {
		rc = sys_ioctl(device->device.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
		return rc < 0 ? pasid_failed(device, "VFIO_DEVICE_DETACH_PASID", rc, pasid) : 0;
	}
	attach.pt_id = ((struct ioas *)space)->ioas;
	rc = sys_ioctl(device->device.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	return rc < 0 ? pasid_failed(device, "VFIO_DEVICE_ATTACH_PASID", rc, pasid) : 0;
}

static bool device_owns(struct transport_device *base, const struct vfio_pci_hot_reset_info *info,
			uint32_t element)
{
	(void)base;
	return info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID &&
	       (int32_t)info->devices[element].devid != VFIO_PCI_DEVID_NOT_OWNED;
}

/* The iommufd that it is bound to is the proof. */
static int device_hot_reset(struct transport_device *base)
{
	return fd_hot_reset(base, NULL, 0);
}

static int device_id(struct transport_device *base, uint32_t *id)
{
	*id = ((struct cdev_device *)base)->id;
	return 0;
}

static int device_group(struct transport_device *base)
{
	return ((struct cdev_device *)base)->group;
}

const struct transport transport_cdev = {
	.name = "cdev",
	.usable = usable,
	.check = check,
	.space_open = ioas_open,
	.space_close = ioas_close,
	.space_info = ioas_info,
	.map = ioas_map,
	.unmap = ioas_unmap,
	.related = ioas_related,
	.copy = ioas_copy,
	.dirty_track = ioas_dirty_track,
	.dirty_read = ioas_dirty_read,
	.iommufd = ioas_iommufd,
	.open = device_open,
	.close = device_close,
	.release = device_release,
	.attach = device_attach,
	.detach = device_detach,
	.attach_pasid = device_attach_pasid,
	.iommufd_id = device_id,
	.share_region = fd_share_region,
	.group = device_group,
	.device_info = fd_device_info,
	.region_info = fd_region_info,
	.irq_info = fd_irq_info,
	.set_irqs = fd_set_irqs,
	.reset = fd_reset,
	.hot_reset_info = fd_hot_reset_info,
	.owns = device_owns,
	.hot_reset = device_hot_reset,
	.feature = fd_feature,
	.read = fd_read,
	.write = fd_write,
	.mmap = fd_mmap,
};
