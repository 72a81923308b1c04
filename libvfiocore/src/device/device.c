/* SPDX-License-Identifier: MIT */
/* Opening, adopting and closing a device, and giving it back to the host. */
#include "device/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/bus.h>

#include "base/error.h"
#include "base/fork.h"
#include "base/sized.h"
#include "device/access.h"
#include "device/attach.h"
#include "device/names.h"
#include "device/nofault.h"
#include "device/peer.h"
#include "device/region.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"
#include "pci/bus.h"
#include "pci/sysfs.h"
#include "transport/candidate.h"
#include "transport/environment.h"
#include "transport/handle.h"

/* PCI Local Bus 3.0, section 6.2.2. */
#define COMMAND 0x04
#define COMMAND_MASTER 0x0004

/* The most vectors that PCI allows (PCI Local Bus 3.0, 6.8.2.3). */
#define VECTORS_MAX 2048

/* Far more than any platform device has. */
#define IRQS_MAX 4096

/* Far more than any bus driver offers. A larger count is not believed. */
#define REGIONS_MAX 4096

/* Translate the bit in the kernel's flags that names the bus. */
static uint32_t kind_of(uint32_t flags)
{
	static const struct {
		uint32_t flag, kind;
	} kinds[] = {
		{VFIO_DEVICE_FLAGS_PCI, VFC_DEVICE_KIND_PCI},
		{VFIO_DEVICE_FLAGS_PLATFORM, VFC_DEVICE_KIND_PLATFORM},
		{VFIO_DEVICE_FLAGS_AMBA, VFC_DEVICE_KIND_AMBA},
		{VFIO_DEVICE_FLAGS_CCW, VFC_DEVICE_KIND_CCW},
		{VFIO_DEVICE_FLAGS_AP, VFC_DEVICE_KIND_AP},
		{VFIO_DEVICE_FLAGS_FSL_MC, VFC_DEVICE_KIND_FSL_MC},
		{VFIO_DEVICE_FLAGS_CDX, VFC_DEVICE_KIND_CDX},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (flags & kinds[i].flag)
			return kinds[i].kind;
	return VFC_DEVICE_KIND_OTHER;
}

static int check_counts(struct vfc_device *device, const struct vfio_device_info *info)
{
	if (info->num_regions <= REGIONS_MAX && info->num_irqs <= IRQS_MAX)
		return 0;
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_DEVICE_GET_INFO", device->name),
			"the kernel says that the device has %u regions and %u interrupt types",
			info->num_regions, info->num_irqs);
}

static int read_info(struct vfc_device *device)
{
	struct vfio_device_info info;
	int rc = device->ops->device_info(device->transport, &info);

	if (rc == 0)
		rc = check_counts(device, &info);
	if (rc < 0)
		return rc;
	device->region_count = info.num_regions;
	device->irq_count = info.num_irqs;
	device->flags = (info.flags & VFIO_DEVICE_FLAGS_RESET ? VFC_DEVICE_RESET : 0) |
			(info.flags & VFIO_DEVICE_FLAGS_PCI ? VFC_DEVICE_PCI : 0);
	device->kind = kind_of(info.flags);
	device->irqs_open = sys_alloc((info.num_irqs + 1) * sizeof(*device->irqs_open));
	if (!device->irqs_open)
		return vfc_no_memory();
	rc = regions_open(device);
	if (rc < 0)
		free(device->irqs_open);
	return rc;
}

static int own_iommu(struct vfc_device *device, struct candidate *wanted, const char *transport)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = transport};
	const struct transport *ops;
	int rc;

	/* Check this first. If the device does not exist, no other error is worth reporting. */
	rc = transport_find(opts.transport, wanted, &ops);
	if (rc == 0)
		rc = ops->check(wanted);
	if (rc < 0)
		return rc;
	opts.transport = ops->name;
	rc = vfc_iommu_open(&opts, &device->own);
	device->iommu = device->own;
	return rc;
}

static int open_in(struct vfc_device *device, struct candidate *wanted, int fd, const uint8_t *token)
{
	int rc = iommu_open_device(device->iommu, wanted, fd, token, &device->transport);

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

/* @transport is used if opts->iommu is NULL. @fd is the device's open descriptor, or -1. */
static int new_device(struct candidate *wanted, const struct vfc_device_opts *opts,
		      const char *transport, int fd, struct vfc_device **out)
{
	struct vfc_device *device = sys_alloc(sizeof(*device));
	int rc = 0;

	if (!device)
		return vfc_no_memory();
	device_init(device);
	bus_name(wanted->name, device->name);
	device->iommu = opts->iommu;
	if (!device->iommu)
		rc = own_iommu(device, wanted, transport);
	if (rc == 0) {
		rc = open_in(device, wanted, fd, opts->vf_token);
		if (rc < 0)
			vfc_iommu_close(device->own);
	}
	if (rc < 0) {
		device_destroy(device);
		free(device);
		return rc;
	}
	device->pid = sys_pid();
	*out = device;
	return 0;
}

static int check_opts(const struct vfc_device_opts *opts)
{
	if (!opts)
		return OPTIONS_REFUSED;
	if (opts->flags & ~(uint32_t)VFC_DEVICE_SHARED)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->flags is 0x%x and may be VFC_DEVICE_SHARED", opts->flags);
	return opts->iommu ? iommu_check_process(opts->iommu) : 0;
}

static int check_name(const char *given, const struct handle *handle, struct candidate *found)
{
	const struct vfc_bus_info *info = &found->info;
	int rc;

	if (!given && !handle->name[0])
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the kernel does not tell which device the descriptor is of (Linux 7.2 "
				"would): pass its name, too");
	found->name = given ? given : handle->name;
	rc = candidate_look(found);
	found->name = info->name;
	if (rc == 0 && handle->name[0] && strcmp(handle->name, info->name))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = info->name),
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

int device_take(int fd, const char *given, const struct vfc_device_opts *opts,
		struct vfc_device **out)
{
	struct vfc_device_opts own;
	struct candidate found = {0};
	struct handle handle;
	int rc;

	opts = OPTIONS(vfc_device_opts, opts, &own);
	rc = check_opts(opts);
	if (rc == 0)
		rc = handle_find(fd, &handle);
	if (rc == 0)
		rc = check_handle(fd, &handle, opts->iommu);
	if (rc == 0)
		rc = check_name(given, &handle, &found);
	/*
	 * The new device has a duplicate of @fd, so a failure leaves the caller's descriptor as it
	 * was.
	 */
	if (rc == 0)
		rc = new_device(&found, opts, "cdev", fd, out);
	if (rc == 0)
		__atomic_store_n(&(*out)->shared, opts->flags & VFC_DEVICE_SHARED, __ATOMIC_RELAXED);
	return rc;
}

int vfc_device_adopt(int fd, const char *name, const struct vfc_device_opts *opts,
		     struct vfc_device **device)
{
	int rc = device_take(fd, name, opts, device);

	if (rc == 0)
		sys_close(fd);
	return vfc_done(rc);
}

int device_take_both(int space, int fd, const char *name, const struct vfc_iommu_opts *opts,
		     uint32_t flags, struct vfc_device **device)
{
	struct vfc_device_opts in = {.size = sizeof(in), .flags = flags};
	int rc = iommu_take(space, opts, &in.iommu);

	if (rc < 0)
		return rc;
	rc = device_take(fd, name, &in, device);
	if (rc < 0)
		vfc_iommu_close(in.iommu);
	else
		(*device)->own = in.iommu;
	return rc;
}

/*
 * Open a device whose descriptor `vfio run` passed to this process. Return: 0; 1: it passed none;
 * -errno with a record.
 */
static int open_passed(const char *name, const struct vfc_device_opts *opts,
		       struct vfc_device **device)
{
	char canonical[VFC_PCI_NAME];
	int fd, space, rc;

	if (opts->iommu && !iommu_is_adopted(opts->iommu))
		return 1;
	rc = environment_find_device(name, canonical, &fd);
	if (rc <= 0)
		return rc < 0 ? rc : 1;
	if (opts->iommu) {
		rc = device_take(fd, canonical, opts, device);
	} else {
		rc = environment_find_iommu(&space);
		if (rc >= 0)
			rc = device_take_both(space, fd, canonical, NULL, 0, device);
		if (rc == 0)
			environment_taken(space);
	}
	if (rc == 0)
		environment_taken(fd);
	return rc;
}

static int device_open(const char *name, const struct vfc_device_opts *opts,
		       struct vfc_device **out)
{
	struct candidate wanted = {.name = name};
	struct vfc_device_opts own;
	int rc;

	opts = OPTIONS(vfc_device_opts, opts, &own);
	rc = check_opts(opts);
	if (rc < 0)
		return rc;
	if (!name)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "the device's name is NULL");
	if (opts->flags)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"VFC_DEVICE_SHARED is for vfc_device_adopt(): what is opened here is "
				"nobody else's");
	if (opts->iommu && opts->transport)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = name),
				"an address space has its transport already: give one of the two");
	if (opts->transport)
		return new_device(&wanted, opts, opts->transport, -1, out);
	rc = open_passed(name, opts, out);
	if (rc <= 0)
		return rc;
	/* The name of a model implies its transport, whatever the environment says. */
	return new_device(&wanted, opts, strncmp(name, "fake:", 5) ? NULL : "fake", -1, out);
}

int vfc_device_open(const char *name, const struct vfc_device_opts *opts,
		    struct vfc_device **device)
{
	return vfc_done(device_open(name, opts, device));
}

static int command(struct vfc_device *device, uint16_t clear, uint16_t set)
{
	const struct region *config = region_config(device);
	uint8_t bytes[2];
	uint16_t value;
	int rc;

	if (!config)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the device has no PCI config space, and so no bus mastering: a device "
				"of another kind may do DMA as soon as it is open");
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
	int rc = command(device, COMMAND_MASTER, on ? COMMAND_MASTER : 0);

	if (rc == 0)
		access_follow(device); /* as after every write to Command */
	return vfc_done(rc);
}

static int check_idle(struct vfc_device *device)
{
	uint32_t children = device_children(device);

	if (children)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"interrupt sets or NICs of the device are open (%u): close them first",
				children);
	/* A detached device is itself a holder of its own space. */
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

static bool is_shared(const struct vfc_device *device)
{
	return __atomic_load_n(&device->shared, __ATOMIC_RELAXED);
}

int vfc_device_close(struct vfc_device *device)
{
	int rc;

	if (!device)
		return 0;
	rc = fork_check(device->pid, device->name);
	if (rc == 0)
		rc = check_idle(device);
	if (rc == 0)
		rc = device_leaving(device);
	if (rc < 0)
		return vfc_done(rc);
	device_closing(device);
	/* The device may be gone already. Then this fails, which does not matter. */
	error_quiet_begin();
	if (device->flags & VFC_DEVICE_PCI && !is_shared(device))
		command(device, COMMAND_MASTER, 0);
	error_quiet_end();
	peers_close(device);
	regions_close(device);
	free(device->irqs_open);
	attach_leave(device);
	iommu_close_device(device->iommu, device->transport, device->attached);
	attach_close(device);
	vfc_iommu_close(device->own);
	nofault_forget(device);
	device_destroy(device);
	free(device);
	return 0;
}

int vfc_device_info(struct vfc_device *device, struct vfc_device_info *info)
{
	struct vfc_device_info now = {
		.flags = device->flags | (device_is_released(device) ? VFC_DEVICE_RELEASED : 0) |
			 (is_shared(device) ? VFC_DEVICE_SHARED : 0),
		.regions = device->region_count,
		.irqs = device->irq_count,
		.group = device->ops->group(device->transport),
		.kind = device->kind,
	};
	int rc = ANSWER_CHECK(vfc_device_info, info);

	snprintf(now.name, sizeof(now.name), "%s", device->name);
	snprintf(now.transport, sizeof(now.transport), "%s", device->ops->name);
	if (rc == 0)
		sized_answer(info, &now, sizeof(now));
	return vfc_done(rc);
}

struct vfc_iommu *vfc_device_iommu(struct vfc_device *device)
{
	return device->iommu;
}

static int device_fd(struct vfc_device *device)
{
	int rc = device_present(device);

	if (rc < 0)
		return rc;
	if (!device->ops->device_fd || !device->ops->space_fd)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the transport %s hands no device over: cdev, group and compat do",
				device->ops->name);
	return device->ops->device_fd(device->transport);
}

int vfc_device_fd(struct vfc_device *device)
{
	return vfc_done(device_fd(device));
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

static bool is_open(struct vfc_device *device, uint32_t index)
{
	bool open;

	pthread_mutex_lock(&device->lock);
	open = device->irqs_open[index];
	pthread_mutex_unlock(&device->lock);
	return open;
}

/*
 * Turn every interrupt type off. Threads that wait for a vector are woken first, since no interrupt
 * would come any more. Those that listen for errors and for the host's request are not woken. A
 * device that is gone may refuse, which does not matter.
 */
static void disarm_all(struct vfc_device *device)
{
	int error = irq_error_index(device), request = irq_request_index(device);

	for (uint32_t index = 0; index < device->irq_count; index++) {
		bool event = (int)index == error || (int)index == request;

		if (!is_open(device, index))
			continue;
		for (uint32_t vector = 0; !event && vector < VECTORS_MAX; vector++)
			if (trigger(device, index, vector, 1) < 0)
				break;
		trigger(device, index, 0, 0);
	}
}

/* Stop the device's DMA and its interrupts, and keep the library off its mappings. */
static void silence(struct vfc_device *device)
{
	error_quiet_begin();
	__atomic_store_n(&device->decodes, false, __ATOMIC_RELAXED);
	if (device->flags & VFC_DEVICE_PCI)
		command(device, COMMAND_MASTER, 0);
	disarm_all(device);
	error_quiet_end();
}

static void set_released(struct vfc_device *device, bool released)
{
	__atomic_store_n(&device->released, released, __ATOMIC_RELEASE);
}

/*
 * Ask the watchers first, because they may refuse. The device is silenced before its mappings and
 * address spaces are taken away from it.
 */
static int give_back(struct vfc_device *device)
{
	int rc = device_leaving(device);

	if (rc < 0)
		return rc;
	silence(device);
	rc = regions_give_back(device);
	if (rc == 0)
		rc = peers_leave(device);
	if (rc < 0)
		return rc;
	attach_leave(device);
	/*
	 * Set this first. The host gets the device before the call returns, and its user may ask
	 * about it at once.
	 */
	set_released(device, true);
	rc = iommu_give_back(device->iommu, device->transport, attach_count(device, device->iommu));
	if (rc < 0) {
		set_released(device, false);
		return rc;
	}
	attach_give_back(device);
	return 0;
}

/*
 * If several threads give the device back, one does the work and the others wait until it is done.
 */
static int give_back_once(struct vfc_device *device)
{
	int rc = fork_check(device->pid, device->name);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&device->release_lock);
	if (!device_is_released(device))
		rc = give_back(device);
	pthread_mutex_unlock(&device->release_lock);
	return rc;
}

int vfc_device_release(struct vfc_device *device)
{
	return vfc_done(give_back_once(device));
}
