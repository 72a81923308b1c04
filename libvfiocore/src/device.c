/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "error.h"
#include "fork.h"
#include "event.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"
#include "transport/handle.h"

/* PCI Local Bus 3.0, section 6.2.2. */
#define COMMAND 0x04
#define COMMAND_MASTER 0x0004

/* PCI allows as many (PCI Local Bus 3.0, 6.8.2.3). */
#define VECTORS_MAX 2048

/* Far above what any bus driver offers; a count beyond is not believed. */
#define REGIONS_MAX 4096

struct transport_device *device_transport(struct vfc_device *device)
{
	return device->transport;
}

static bool is_released(struct vfc_device *device)
{
	return __atomic_load_n(&device->released, __ATOMIC_ACQUIRE);
}

void device_hold(struct vfc_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->children++;
	pthread_mutex_unlock(&device->lock);
}

void device_release(struct vfc_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->children--;
	pthread_mutex_unlock(&device->lock);
}

static int read_info(struct vfc_device *device)
{
	struct vfio_device_info info;
	int rc = device->ops->device_info(device->transport, &info);

	if (rc < 0)
		return rc;
	if (info.num_regions > REGIONS_MAX)
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED,
				WHERE("VFIO_DEVICE_GET_INFO", device->name),
				"the kernel says that the device has %u regions", info.num_regions);
	device->region_count = info.num_regions;
	device->irq_count = info.num_irqs;
	device->flags = (info.flags & VFIO_DEVICE_FLAGS_RESET ? VFC_DEVICE_RESET : 0) |
			(info.flags & VFIO_DEVICE_FLAGS_PCI ? VFC_DEVICE_PCI : 0);
	return regions_open(device);
}

static int own_iommu(struct vfc_device *device, const char *name, const char *transport)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = transport};
	const struct transport *ops;
	int rc;

	/* First of all: of a device that is not there nothing else is worth saying. */
	rc = transport_find(opts.transport, name, &ops);
	if (rc == 0)
		rc = ops->check(name);
	if (rc < 0)
		return rc;
	opts.transport = ops->name;
	rc = vfc_iommu_open(&opts, &device->own);
	device->iommu = device->own;
	return rc;
}

static int open_in(struct vfc_device *device, int fd, const uint8_t *token)
{
	int rc = iommu_open_device(device->iommu, device->name, fd, token, &device->transport);

	if (rc < 0)
		return rc;
	device->ops = device->transport->ops;
	rc = read_info(device);
	if (rc < 0)
		iommu_close_device(device->iommu, device->transport, true);
	else
		access_open(device);
	device->attached = rc == 0;
	return rc;
}

/* @opts: may be NULL. @transport: if there is no opts->iommu. @fd: its open descriptor, or -1. */
static int new_device(const char *name, const struct vfc_device_opts *opts, const char *transport,
		      int fd, struct vfc_device **out)
{
	struct vfc_device *device = sys_alloc(sizeof(*device));
	int rc = 0;

	if (!device)
		return vfc_no_memory();
	snprintf(device->name, sizeof(device->name), "%s", name);
	device->iommu = opts ? opts->iommu : NULL;
	if (!device->iommu)
		rc = own_iommu(device, name, transport);
	if (rc == 0) {
		rc = open_in(device, fd, opts ? opts->vf_token : NULL);
		if (rc < 0)
			vfc_iommu_close(device->own);
	}
	if (rc < 0) {
		free(device);
		return rc;
	}
	pthread_mutex_init(&device->lock, NULL);
	device->pid = sys_pid();
	*out = device;
	return 0;
}

static int check_opts(const struct vfc_device_opts *opts)
{
	if (!opts || opts->size >= sizeof(*opts))
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"opts->size is %u and must be sizeof(struct vfc_device_opts)", opts->size);
}

static int device_open(const char *name, const struct vfc_device_opts *opts,
		       struct vfc_device **out)
{
	int rc = check_opts(opts);

	if (rc < 0)
		return rc;
	if (!name)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "the device's name is NULL");
	if (opts && opts->iommu && opts->transport)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"an address space has its transport already: give one of the two");
	if (opts && opts->transport)
		return new_device(name, opts, opts->transport, -1, out);
	/* A model is named with its transport, whatever the environment says. */
	return new_device(name, opts, strncmp(name, "fake:", 5) ? NULL : "fake", -1, out);
}

int vfc_device_open(const char *name, const struct vfc_device_opts *opts,
		    struct vfc_device **device)
{
	return vfc_done(device_open(name, opts, device));
}

static int check_name(const char *given, const struct handle *handle, char name[VFC_PCI_NAME])
{
	int rc;

	if (!given && !handle->name[0])
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the kernel does not tell which device the descriptor is of (Linux 7.2 "
				"would): pass its name, too");
	rc = pci_canonical(given ? given : handle->name, name);
	if (rc == 0 && handle->name[0] && strcmp(handle->name, name))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"the descriptor is of %s", handle->name);
	return rc;
}

static int check_handle(int fd, const struct handle *handle, struct vfc_iommu *iommu)
{
	enum handle_kind wanted = iommu ? iommu_device_handle(iommu) : HANDLE_CDEV;

	if (handle->kind && handle->kind == wanted)
		return 0;
	if (handle->kind == HANDLE_DEVICE && !iommu)
		return handle_refuse(fd, handle,
				     "give opts->iommu, the container that its group is in (vfc_iommu_adopt())");
	return handle_refuse(fd, handle, wanted == HANDLE_CDEV
					 ? "wanted is a device's, of /dev/vfio/devices/vfioN"
				 : wanted == HANDLE_DEVICE
					 ? "wanted is a device's, of VFIO_GROUP_GET_DEVICE_FD"
					 : "the address space's transport knows no descriptors");
}

static int device_adopt(int fd, const char *given, const struct vfc_device_opts *opts,
			struct vfc_device **out)
{
	struct vfc_iommu *iommu = opts ? opts->iommu : NULL;
	struct handle handle;
	char name[VFC_PCI_NAME] = "";
	int rc = check_opts(opts);

	if (rc == 0)
		rc = handle_find(fd, &handle);
	if (rc == 0)
		rc = check_handle(fd, &handle, iommu);
	if (rc == 0)
		rc = check_name(given, &handle, name);
	/* The device has a duplicate, so a failure leaves the caller's as it was. */
	if (rc == 0)
		rc = new_device(name, opts, "cdev", fd, out);
	if (rc == 0)
		sys_close(fd);
	return rc;
}

int vfc_device_adopt(int fd, const char *name, const struct vfc_device_opts *opts,
		     struct vfc_device **device)
{
	return vfc_done(device_adopt(fd, name, opts, device));
}

static int command(struct vfc_device *device, uint16_t clear, uint16_t set)
{
	const struct region *config = region_config(device);
	uint8_t bytes[2];
	uint16_t value;
	int rc;

	if (!config)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the device has no PCI config space");
	rc = device->ops->read(device->transport, config->position + COMMAND, bytes, 2);
	if (rc < 0)
		return rc;
	value = (uint16_t)((bytes[0] | bytes[1] << 8) & ~clear) | set;
	bytes[0] = value & 0xff;
	bytes[1] = value >> 8;
	return device->ops->write(device->transport, config->position + COMMAND, bytes, 2);
}

int vfc_device_bus_master(struct vfc_device *device, bool on)
{
	return vfc_done(command(device, COMMAND_MASTER, on ? COMMAND_MASTER : 0));
}

static int check_idle(struct vfc_device *device)
{
	uint32_t children;

	pthread_mutex_lock(&device->lock);
	children = device->children - device->watch_sets;
	pthread_mutex_unlock(&device->lock);
	if (children)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"interrupt sets or NICs of the device are open (%u): close them first",
				children);
	/* It may be the device itself that holds it, detached. */
	if (device->own &&
	    iommu_look(device->own).holders > (!device->attached && device->iommu == device->own))
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"DMA buffers or map caches live in the device's address space, or a "
				"mapping is being made there: free them first");
	if (device->own && iommu_look(device->own).devices > attach_count(device, device->own))
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"another device is attached to this one's address space: close it first");
	return 0;
}

int vfc_device_close(struct vfc_device *device)
{
	struct vfc_error before = *vfc_error_last();
	int rc;

	if (!device)
		return 0;
	rc = fork_check(device->pid, device->name);
	if (rc == 0)
		rc = check_idle(device);
	if (rc < 0)
		return vfc_done(rc);
	if (device->events)
		vfc_events_unwatch(device->events, device);
	/* The device may be gone already, so whether this works does not matter. */
	if (device->flags & VFC_DEVICE_PCI && command(device, COMMAND_MASTER, 0) < 0)
		vfc_error_restore(&before);
	regions_close(device);
	attach_leave(device);
	iommu_close_device(device->iommu, device->transport, device->attached);
	attach_close(device);
	vfc_iommu_close(device->own);
	pthread_mutex_destroy(&device->lock);
	free(device);
	return 0;
}

int vfc_device_info(struct vfc_device *device, struct vfc_device_info *info)
{
	if (info->size < sizeof(*info))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "info->size is %u, set it to sizeof(struct vfc_device_info)",
					 info->size));
	info->flags = device->flags | (is_released(device) ? VFC_DEVICE_RELEASED : 0);
	info->regions = device->region_count;
	info->irqs = device->irq_count;
	info->group = device->ops->group(device->transport);
	snprintf(info->name, sizeof(info->name), "%s", device->name);
	snprintf(info->transport, sizeof(info->transport), "%s", device->ops->name);
	return 0;
}

struct vfc_iommu *vfc_device_iommu(struct vfc_device *device)
{
	return device->iommu;
}

int device_present(struct vfc_device *device)
{
	if (!is_released(device))
		return 0;
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
			"the device was given back to the host (vfc_device_release): close it");
}

static int trigger(struct vfc_device *device, uint32_t index, uint32_t vector, uint32_t count)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.start = vector,
		.count = count,
	};

	return device->ops->set_irqs(device->transport, &set);
}

/*
 * Every type that is on. Who waits for a vector is woken, since nothing would come any more. What a
 * device that is gone says to all this does not matter.
 */
static void disarm_all(struct vfc_device *device)
{
	uint32_t open, vector;

	pthread_mutex_lock(&device->lock);
	open = device->irqs_open;
	pthread_mutex_unlock(&device->lock);
	for (uint32_t index = 0; index < 32; index++) {
		if (!(open & 1u << index))
			continue;
		for (vector = 0; IRQS_EXCLUSIVE & 1u << index && vector < VECTORS_MAX; vector++)
			if (trigger(device, index, vector, 1) < 0)
				break;
		trigger(device, index, 0, 0);
	}
}

static int device_release_now(struct vfc_device *device)
{
	struct vfc_error before = *vfc_error_last();
	int rc = fork_check(device->pid, device->name);

	if (rc < 0 || is_released(device))
		return rc;
	__atomic_store_n(&device->decodes, false, __ATOMIC_RELAXED);
	if (device->flags & VFC_DEVICE_PCI)
		command(device, COMMAND_MASTER, 0);
	disarm_all(device);
	vfc_error_restore(&before);
	rc = regions_release(device);
	if (rc < 0)
		return rc;
	attach_leave(device);
	rc = iommu_release_device(device->iommu, device->transport,
				  attach_count(device, device->iommu));
	if (rc < 0)
		return rc;
	attach_release(device);
	__atomic_store_n(&device->released, true, __ATOMIC_RELEASE);
	return 0;
}

int vfc_device_release(struct vfc_device *device)
{
	return vfc_done(device_release_now(device));
}
