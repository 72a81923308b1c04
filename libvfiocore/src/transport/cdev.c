/* SPDX-License-Identifier: MIT */
/*
 * The character-device path: /dev/vfio/devices/vfioN and an IOAS of /dev/iommu.
 * Source: Documentation/driver-api/vfio.rst ("VFIO device cdev"), drivers/vfio/device_cdev.c,
 * drivers/iommu/iommufd/ioas.c.
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

#define IOMMUFD "/dev/iommu"
#define NODES "/dev/vfio/devices"

/* Far above what reserved ranges make of an address space; a count beyond is not believed. */
#define RANGES_MAX 65536

struct cdev_space {
	struct transport_space base;
	unsigned devices;
	uint32_t ioas;
	int fd;
};

struct cdev_device {
	struct fd_device device;
	struct cdev_space *space;
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

static int open_iommufd(struct cdev_space *space)
{
	struct iommu_ioas_alloc alloc = {.size = sizeof(alloc)};
	int rc;

	space->fd = sys_open(IOMMUFD, O_RDWR);
	if (space->fd < 0)
		return hint_node(space->fd, IOMMUFD);
	rc = sys_ioctl(space->fd, IOMMU_IOAS_ALLOC, &alloc);
	if (rc < 0) {
		sys_close(space->fd);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_IOAS_ALLOC", IOMMUFD), "%s", "");
	}
	space->ioas = alloc.out_ioas_id;
	return 0;
}

static int space_open(struct transport_space **out)
{
	struct cdev_space *space = sys_alloc(sizeof(*space));
	int rc;

	if (!space)
		return vfc_no_memory();
	space->base.ops = &transport_cdev;
	rc = open_iommufd(space);
	if (rc < 0) {
		free(space);
		return rc;
	}
	*out = &space->base;
	return 0;
}

static void space_close(struct transport_space *base)
{
	struct cdev_space *space = (struct cdev_space *)base;

	sys_close(space->fd); /* takes its objects and mappings with it */
	free(space);
}

static int get_ranges(struct cdev_space *space, struct vfio_iova_range *ranges, uint32_t room,
		      struct iommu_ioas_iova_ranges *request)
{
	*request = (struct iommu_ioas_iova_ranges){
		.size = sizeof(*request),
		.ioas_id = space->ioas,
		.num_iovas = room,
		/* Both interfaces have ranges of a first and a last address. */
		.allowed_iovas = (uintptr_t)ranges,
	};
	return sys_ioctl(space->fd, IOMMU_IOAS_IOVA_RANGES, request);
}

static int read_ranges(struct cdev_space *space, struct transport_space_info *out,
		       struct iommu_ioas_iova_ranges *request)
{
	int rc = get_ranges(space, NULL, 0, request);
	uint32_t count = request->num_iovas;

	if (rc < 0 && rc != -EMSGSIZE)
		return rc;
	if (count > RANGES_MAX)
		return -EMSGSIZE;
	out->ranges = sys_alloc((count ? count : 1) * sizeof(*out->ranges));
	if (!out->ranges)
		return -ENOMEM;
	rc = get_ranges(space, out->ranges, count, request);
	out->range_count = request->num_iovas < count ? request->num_iovas : count;
	return rc;
}

static int space_info(struct transport_space *base, struct transport_space_info *out)
{
	struct cdev_space *space = (struct cdev_space *)base;
	struct iommu_ioas_iova_ranges request;
	int rc;

	*out = (struct transport_space_info){.entries_left = UINT64_MAX};
	/* An IOAS takes mappings before any device: but what they can reach is not known yet. */
	if (!space->devices)
		return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, NOWHERE,
				"no device is attached yet, open one first");
	rc = read_ranges(space, out, &request);
	if (rc < 0) {
		free(out->ranges);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_IOAS_IOVA_RANGES", IOMMUFD), "%s",
				"");
	}
	out->page_sizes = request.out_iova_alignment;
	return 0;
}

static int map(struct transport_space *base, void *va, uint64_t iova, uint64_t length,
	       uint32_t flags)
{
	struct cdev_space *space = (struct cdev_space *)base;
	struct iommu_ioas_map request = {
		.size = sizeof(request),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 (flags & VFIO_DMA_MAP_FLAG_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (flags & VFIO_DMA_MAP_FLAG_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)va,
		.length = length,
		.iova = iova,
	};
	int rc = sys_ioctl(space->fd, IOMMU_IOAS_MAP, &request);

	return rc < 0 ? hint_map(rc, "IOMMU_IOAS_MAP", va, iova, length) : 0;
}

static int unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	struct cdev_space *space = (struct cdev_space *)base;
	struct iommu_ioas_unmap request = {
		.size = sizeof(request),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = length,
	};
	int rc = sys_ioctl(space->fd, IOMMU_IOAS_UNMAP, &request);
	struct error_where where = WHERE("IOMMU_IOAS_UNMAP", NULL, iova, length);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, where, "the kernel kept the mapping");
	if (request.length != length)
		return vfc_fail(EIO, VFC_REASON_MALFORMED, where,
				"the kernel unmapped %" PRIu64 " bytes instead", request.length);
	return 0;
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
static int join(struct cdev_space *space, int fd, const struct vfc_pci_info *info)
{
	struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = space->fd};
	struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof(attach),
						       .pt_id = space->ioas};
	int rc = sys_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	if (rc < 0)
		return bind_failed(rc, info);
	rc = sys_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE,
				WHERE("VFIO_DEVICE_ATTACH_IOMMUFD_PT", info->name),
				"the device cannot reach what is mapped in this space already, or its "
				"IOMMU does not fit with those attached");
	return 0;
}

static int device_open(const char *name, struct transport_space *base,
		       struct transport_device **out)
{
	struct cdev_space *space = (struct cdev_space *)base;
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
	device->device.fd = sys_open(node, O_RDWR);
	rc = device->device.fd < 0 ? hint_node(device->device.fd, node)
				   : join(space, device->device.fd, &info);
	if (rc < 0) {
		sys_close(device->device.fd); /* unbinds and detaches, too */
		free(device);
		return rc;
	}
	device->device.base.ops = &transport_cdev;
	snprintf(device->device.name, sizeof(device->device.name), "%s", info.name);
	device->space = space;
	device->group = info.iommu_group;
	space->devices++;
	*out = &device->device.base;
	return 0;
}

static void device_close(struct transport_device *base)
{
	struct cdev_device *device = (struct cdev_device *)base;

	sys_close(device->device.fd);
	device->space->devices--;
	free(device);
}

static int device_group(struct transport_device *base)
{
	return ((struct cdev_device *)base)->group;
}

const struct transport transport_cdev = {
	.name = "cdev",
	.usable = usable,
	.check = check,
	.space_open = space_open,
	.space_close = space_close,
	.space_info = space_info,
	.map = map,
	.unmap = unmap,
	.open = device_open,
	.close = device_close,
	.group = device_group,
	.device_info = fd_device_info,
	.region_info = fd_region_info,
	.irq_info = fd_irq_info,
	.set_irqs = fd_set_irqs,
	.reset = fd_reset,
	.read = fd_read,
	.write = fd_write,
	.mmap = fd_mmap,
};
