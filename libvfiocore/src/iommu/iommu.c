/* SPDX-License-Identifier: MIT */
/* The address space as an object, and the devices that come and go. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <vfiocore.h>

#include "../fork.h"
#include "../kernel/sys.h"
#include "../transport/handle.h"
#include "space.h"

/* The kernel lists a handful. */
#define RESERVED_MAX 32

const char *iommu_transport_name(struct vfc_iommu *iommu)
{
	return iommu->ops->name;
}

enum handle_kind iommu_device_handle(struct vfc_iommu *iommu)
{
	return iommu->ops->device_handle;
}

int space_cannot(const struct vfc_iommu *iommu, const char *what)
{
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE, "the transport %s cannot %s%s",
			iommu->ops->name, what,
			iommu->ops->iommufd ? "" : ": the transport cdev can");
}

static int check_opts(const struct vfc_iommu_opts *opts)
{
	if (!opts)
		return 0;
	if (opts->size < sizeof(*opts) || opts->flags & ~(uint32_t)VFC_IOMMU_DIRTY)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->size is %u and must be sizeof(struct vfc_iommu_opts); "
				"opts->flags is 0x%x and may be VFC_IOMMU_DIRTY",
				opts->size, opts->flags);
	return 0;
}

/* A space beside another is of the other's transport, whatever the environment says. */
static int find_transport(const struct vfc_iommu_opts *opts, const struct transport **ops)
{
	const struct transport *other = opts && opts->beside ? opts->beside->ops : NULL;
	int rc;

	if (other && !opts->transport) {
		*ops = other;
		return 0;
	}
	rc = transport_find(opts ? opts->transport : NULL, NULL, ops);
	if (rc == 0 && other && *ops != other)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"a space of the transport %s cannot be opened beside one of %s",
				(*ops)->name, other->name);
	return rc;
}

/* @fd: its descriptor that is open already, or -1. */
static int new_space(const struct transport *ops, const struct vfc_iommu_opts *opts, int fd,
		     struct vfc_iommu **out)
{
	struct vfc_iommu *iommu = sys_alloc(sizeof(*iommu));
	int rc;

	if (!iommu)
		return vfc_no_memory();
	iommu->ops = ops;
	iommu->adopted = fd >= 0;
	rc = ops->space_open(opts && opts->beside ? opts->beside->space : NULL,
			     opts ? opts->flags : 0, fd, &iommu->space);
	if (rc < 0) {
		free(iommu);
		return rc;
	}
	pthread_mutex_init(&iommu->lock, NULL);
	iommu->pid = sys_pid();
	*out = iommu;
	return 0;
}

static int iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	const struct transport *ops;
	int rc = check_opts(opts);

	if (rc == 0)
		rc = find_transport(opts, &ops);
	return rc < 0 ? rc : new_space(ops, opts, -1, iommu);
}

int vfc_iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	return vfc_done(iommu_open(opts, iommu));
}

static int find_adopter(int fd, const struct vfc_iommu_opts *opts, const struct transport **ops)
{
	struct handle handle;
	const char *name = opts ? opts->transport : NULL;
	int rc = handle_find(fd, &handle);

	if (rc == 0 && handle.kind != HANDLE_IOMMUFD && handle.kind != HANDLE_CONTAINER)
		rc = handle_refuse(fd, &handle, "an address space is /dev/iommu or /dev/vfio/vfio");
	if (rc == 0 && opts && opts->beside)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			      "opts->beside is of no use: the descriptor is the iommufd. Open further "
			      "spaces beside this one");
	if (rc == 0)
		rc = transport_find(name ? name : handle.kind == HANDLE_IOMMUFD ? "cdev" : "group", NULL,
				    ops);
	if (rc == 0 && (*ops)->space_handle != handle.kind)
		rc = handle_refuse(fd, &handle, "that is not what the named transport uses");
	return rc;
}

/* The space has a duplicate, so a failure leaves the caller's as it was. */
static int iommu_adopt(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	const struct transport *ops;
	int rc = check_opts(opts);

	if (rc == 0)
		rc = find_adopter(fd, opts, &ops);
	if (rc == 0)
		rc = new_space(ops, opts, fd, iommu);
	if (rc == 0)
		sys_close(fd);
	return rc;
}

int vfc_iommu_adopt(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	return vfc_done(iommu_adopt(fd, opts, iommu));
}

/* Where others have the descriptor, too, closing ours drops nothing. */
static void drop_mappings(struct vfc_iommu *iommu)
{
	struct vfc_error before = *vfc_error_last();
	struct vfc_mapping mapping;

	while (iommu->adopted && iova_first(&iommu->map, &mapping)) {
		iommu->ops->unmap(iommu->space, mapping.iova, mapping.length);
		iova_remove(&iommu->map, mapping.iova);
	}
	vfc_error_restore(&before);
}

struct iommu_state iommu_look(struct vfc_iommu *iommu)
{
	struct iommu_state state;

	pthread_mutex_lock(&iommu->lock);
	state = (struct iommu_state){iommu->devices, iommu->holders, iommu->physical};
	pthread_mutex_unlock(&iommu->lock);
	return state;
}

int vfc_iommu_close(struct vfc_iommu *iommu)
{
	struct iommu_state state;

	if (!iommu)
		return 0;
	if (fork_check(iommu->pid, NULL) < 0)
		return vfc_done(-ECHILD);
	state = iommu_look(iommu);
	if (state.devices || state.holders)
		return vfc_done(vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
					 "%u devices are attached, and %u DMA buffers, map caches, detached "
					 "devices or mappings in the making hold it: close them first",
					 state.devices, state.holders));
	/* Closing the space drops its mappings, whatever became of them before. */
	drop_mappings(iommu);
	iommu->ops->space_close(iommu->space);
	iova_destroy(&iommu->map);
	pthread_mutex_destroy(&iommu->lock);
	free(iommu);
	return 0;
}

/*
 * No window ends where 64 bits do. A mapping of several pages that ends there gets through iommufd
 * other memory than was asked for: "last + 1" is 0 in batch_to_domain() (Linux 7.3,
 * drivers/iommu/iommufd/pages.c), so the first run of pages is stretched over all the rest.
 */
static void leave_the_last_page(struct transport_space_info *info, uint64_t page)
{
	for (size_t i = 0; i < info->range_count; i++)
		if (info->ranges[i].end == UINT64_MAX && info->ranges[i].start < UINT64_MAX - page)
			info->ranges[i].end -= page;
}

/* Windows may shrink with each device. Caller holds the lock. */
static int read_windows(struct vfc_iommu *iommu)
{
	struct transport_space_info info;
	int rc = iommu->ops->space_info(iommu->space, &info);

	if (rc < 0)
		return rc;
	if (!(info.page_sizes & -info.page_sizes)) {
		free(info.ranges);
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, NOWHERE,
				"the kernel says that the IOMMU has no page size");
	}
	iommu->page_sizes = info.page_sizes;
	iommu->physical = info.physical;
	leave_the_last_page(&info, info.page_sizes & -info.page_sizes);
	iova_set_windows(&iommu->map, info.ranges, info.range_count);
	return 0;
}

/* A further device does not fit: is it for a mapping that lies where the device cannot have one? */
static int explain(struct vfc_iommu *iommu, const char *name, int rc)
{
	struct transport_reserved ranges[RESERVED_MAX];
	struct vfc_error error = *vfc_error_last();
	uint64_t iova, length;
	int count = 0;

	/* As type1 says it, and as iommufd does. */
	if ((rc == -EINVAL || rc == -EADDRINUSE) && iommu->map.count && iommu->ops->reserved)
		count = iommu->ops->reserved(iommu->space, name, ranges, RESERVED_MAX);
	for (int i = 0; i < count; i++)
		if (iova_last_in(&iommu->map, ranges[i].start, ranges[i].end, &iova, &length))
			return vfc_fail(rc, VFC_REASON_IOVA, WHERE(error.call, name, iova, length),
					"the device cannot use 0x%" PRIx64 "-0x%" PRIx64 " (%s), where "
					"0x%" PRIx64 "-0x%" PRIx64 " is mapped already: unmap that, or open "
					"the device before",
					ranges[i].start, ranges[i].end, ranges[i].type, iova,
					iova + length - 1);
	vfc_error_restore(&error);
	return rc;
}

static int open_or_adopt(struct vfc_iommu *iommu, const char *name, int fd, const uint8_t *token,
			 struct transport_device **device)
{
	int rc = fd < 0 ? iommu->ops->open(name, token, iommu->space, device)
			: iommu->ops->adopt(fd, name, token, iommu->space, device);

	return rc < 0 ? explain(iommu, name, rc) : 0;
}

int iommu_open_device(struct vfc_iommu *iommu, const char *name, int fd, const uint8_t *token,
		      struct transport_device **device)
{
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = open_or_adopt(iommu, name, fd, token, device);
	if (rc == 0) {
		rc = read_windows(iommu);
		if (rc < 0)
			iommu->ops->close(*device);
		else
			iommu->devices++;
	}
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

void iommu_close_device(struct vfc_iommu *iommu, struct transport_device *device, bool attached)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->ops->close(device);
	iommu->devices -= attached;
	pthread_mutex_unlock(&iommu->lock);
}

/* Of a container that loses its last group the kernel forgets the mappings: so do we, and before. */
int iommu_release_device(struct vfc_iommu *iommu, struct transport_device *device,
			 uint32_t attached)
{
	int rc = 0;

	pthread_mutex_lock(&iommu->lock);
	if (attached && iommu->devices == attached)
		rc = map_remove_all(iommu);
	if (rc == 0)
		rc = iommu->ops->release(device);
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

/*
 * The spaces that a move concerns; NULL: none, and one may be there twice. They are locked in the order
 * of their addresses, so that two moves cannot block each other.
 */
struct concerned {
	struct vfc_iommu *spaces[3];
};

static bool is_first(const struct concerned *all, size_t i)
{
	return all->spaces[i] && (i == 0 || all->spaces[i] != all->spaces[i - 1]);
}

static void lock_all(struct concerned *all)
{
	struct vfc_iommu **spaces = all->spaces;

	for (size_t i = 1; i < 3; i++)
		for (size_t j = i; j && (uintptr_t)spaces[j] < (uintptr_t)spaces[j - 1]; j--) {
			struct vfc_iommu *lower = spaces[j];

			spaces[j] = spaces[j - 1];
			spaces[j - 1] = lower;
		}
	for (size_t i = 0; i < 3; i++)
		if (is_first(all, i))
			pthread_mutex_lock(&spaces[i]->lock);
}

static void unlock_all(const struct concerned *all)
{
	for (size_t i = 0; i < 3; i++)
		if (is_first(all, i))
			pthread_mutex_unlock(&all->spaces[i]->lock);
}

static int transport_attach(struct vfc_iommu *iommu, struct transport_device *device,
			    struct transport_space *space, uint32_t pasid)
{
	if (pasid)
		return iommu->ops->attach_pasid(device, pasid, space);
	return space ? iommu->ops->attach(device, space) : iommu->ops->detach(device);
}

/* The way back is to where it came from, which took it before. */
static int attach_locked(struct vfc_iommu *iommu, struct vfc_iommu *from,
			 struct transport_device *device, uint32_t pasid)
{
	struct vfc_error error;
	int rc = transport_attach(iommu, device, iommu->space, pasid);

	if (rc < 0)
		return rc;
	rc = read_windows(iommu);
	if (rc == 0)
		return 0;
	error = *vfc_error_last();
	transport_attach(iommu, device, from ? from->space : NULL, pasid);
	vfc_error_restore(&error);
	return rc;
}

int iommu_attach(struct vfc_iommu *iommu, struct vfc_iommu *from, struct vfc_iommu *home,
		 struct transport_device *device, const char *name, uint32_t pasid)
{
	struct concerned all = {{iommu, from, home}};
	int rc;

	if (iommu == from)
		return 0;
	lock_all(&all);
	rc = attach_locked(iommu, from, device, pasid);
	if (rc < 0) {
		rc = explain(iommu, name, rc);
	} else {
		iommu->devices++;
		if (from)
			from->devices--;
	}
	unlock_all(&all);
	return rc;
}

int iommu_detach(struct vfc_iommu *iommu, struct transport_device *device, uint32_t pasid)
{
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = transport_attach(iommu, device, NULL, pasid);
	if (rc == 0)
		iommu->devices--;
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

void iommu_forget(struct vfc_iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->devices--;
	pthread_mutex_unlock(&iommu->lock);
}

int iommu_movable(struct vfc_iommu *iommu, struct vfc_iommu *to, bool pasid)
{
	const struct transport *ops = iommu->ops;

	if (!ops->attach || (pasid && !ops->attach_pasid))
		return space_cannot(iommu, pasid ? "attach a PASID, which takes Linux 6.15"
						 : "move a device that is open to another address "
						   "space: close it, and open it in that one");
	if (to && (to->ops != ops || !ops->related(iommu->space, to->space)))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the address space does not share the device's iommufd: open it beside "
				"the one that the device is attached to");
	return 0;
}

void iommu_hold(struct vfc_iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->holders++;
	pthread_mutex_unlock(&iommu->lock);
}

void iommu_release(struct vfc_iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->holders--;
	pthread_mutex_unlock(&iommu->lock);
}

int iommu_check_process(const struct vfc_iommu *iommu)
{
	return fork_check(iommu->pid, NULL);
}

int vfc_iommu_info(struct vfc_iommu *iommu, struct vfc_iommu_info *info)
{
	struct transport_space_info now = {.entries_left = UINT64_MAX};
	int rc = 0;

	if (info->size < sizeof(*info))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "info->size is %u, set it to sizeof(struct vfc_iommu_info)",
					 info->size));
	pthread_mutex_lock(&iommu->lock);
	if (iommu->devices)
		rc = iommu->ops->space_info(iommu->space, &now);
	if (rc == 0) {
		info->devices = iommu->devices;
		info->page_sizes = iommu->page_sizes;
		info->mappings = iommu->map.count;
		info->mapped = iommu->map.bytes;
		info->entries_left = now.entries_left;
		info->flags = iommu->physical ? VFC_IOMMU_PHYSICAL : 0;
		snprintf(info->transport, sizeof(info->transport), "%s", iommu->ops->name);
		free(now.ranges);
	}
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(rc);
}

int vfc_iommu_ranges(struct vfc_iommu *iommu, struct vfc_iova_range *ranges, size_t count)
{
	size_t n;

	pthread_mutex_lock(&iommu->lock);
	n = iommu->map.window_count;
	for (size_t i = 0; i < n && i < count; i++)
		ranges[i] = (struct vfc_iova_range){iommu->map.windows[i].start,
						    iommu->map.windows[i].end};
	pthread_mutex_unlock(&iommu->lock);
	return (int)n;
}

int vfc_iommu_iommufd(struct vfc_iommu *iommu, uint32_t *ioas)
{
	uint32_t unused;

	if (!iommu->ops->iommufd)
		return vfc_done(space_cannot(iommu, "give an iommufd: it uses none"));
	return vfc_done(iommu->ops->iommufd(iommu->space, ioas ? ioas : &unused));
}
