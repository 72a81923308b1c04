/* SPDX-License-Identifier: MIT */
/* The address space as an object. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "base/fork.h"
#include "transport/environment.h"
#include "kernel/sys.h"
#include "base/sized.h"
#include "transport/handle.h"
#include "iommu/space.h"

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
		return OPTIONS_REFUSED;
	if (opts->flags & ~(uint32_t)VFC_IOMMU_DIRTY)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->flags is 0x%x and may be VFC_IOMMU_DIRTY", opts->flags);
	return opts->beside ? space_check_process(opts->beside) : 0;
}

/* A space beside another has the transport of that one, whatever the environment says. */
static int find_transport(const struct vfc_iommu_opts *opts, const struct transport **ops)
{
	const struct transport *other = opts->beside ? opts->beside->ops : NULL;
	int rc;

	if (other && !opts->transport) {
		*ops = other;
		return 0;
	}
	rc = transport_find(opts->transport, NULL, ops);
	if (rc == 0 && other && *ops != other)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"a space of the transport %s cannot be opened beside one of %s",
				(*ops)->name, other->name);
	return rc;
}

static int join(const struct transport *ops, const struct vfc_iommu_opts *opts, int fd,
		struct transport_space **space)
{
	if (fd >= 0 && ops->space_join && !opts->flags)
		return ops->space_join(fd, opts->ioas, space);
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"opts->ioas is %u: it is for vfc_iommu_adopt() of /dev/iommu by the transport "
			"cdev, without flags", opts->ioas);
}

/* @fd: an open descriptor for it, or -1. */
static int new_space(const struct transport *ops, const struct vfc_iommu_opts *opts, int fd,
		     struct vfc_iommu **out)
{
	struct vfc_iommu *iommu;
	void *memory;
	int rc = fork_alloc(sizeof(*iommu), &memory);

	if (rc < 0)
		return rc;
	iommu = memory;
	iommu->ops = ops;
	iommu->adopted = fd >= 0;
	iommu->references = 1;
	if (opts->ioas)
		rc = join(ops, opts, fd, &iommu->space);
	else
		rc = ops->space_open(opts->beside ? opts->beside->space : NULL, opts->flags & VFC_IOMMU_DIRTY, fd,
				     &iommu->space);
	if (rc < 0) {
		fork_free(iommu, sizeof(*iommu));
		return rc;
	}
	space_own(iommu);
	*out = iommu;
	return 0;
}

static int iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	const struct transport *ops;
	struct vfc_iommu_opts own;
	int fd, rc;

	opts = OPTIONS(vfc_iommu_opts, opts, &own);
	rc = check_opts(opts);
	if (rc == 0 && !opts->transport && !opts->beside)
		rc = environment_find(ENVIRONMENT_IOMMU, &fd);
	if (rc > 0) {
		rc = iommu_take(fd, opts, iommu);
		if (rc == 0)
			environment_taken(fd);
		return rc;
	}
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
	const char *name = opts->transport;
	int rc = handle_find(fd, &handle);

	if (rc == 0 && handle.kind != HANDLE_IOMMUFD && handle.kind != HANDLE_CONTAINER)
		rc = handle_refuse(fd, &handle, "an address space is /dev/iommu or /dev/vfio/vfio");
	if (rc == 0 && opts->beside)
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
int iommu_take(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	const struct transport *ops;
	struct vfc_iommu_opts own;
	int rc;

	opts = OPTIONS(vfc_iommu_opts, opts, &own);
	rc = check_opts(opts);
	if (rc == 0)
		rc = find_adopter(fd, opts, &ops);
	return rc < 0 ? rc : new_space(ops, opts, fd, iommu);
}

int vfc_iommu_adopt(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	int rc = iommu_take(fd, opts, iommu);

	if (rc == 0)
		sys_close(fd);
	return vfc_done(rc);
}

/* If other processes have the descriptor as well, closing ours drops no mapping. */
static void drop_mappings(struct vfc_iommu *iommu)
{
	struct vfc_mapping mapping;

	error_quiet_begin();
	while (iommu->adopted && iova_first(&iommu->map, &mapping)) {
		iommu->ops->unmap(iommu->space, mapping.iova, mapping.length);
		iova_remove(&iommu->map, mapping.iova);
	}
	error_quiet_end();
}

/* Those who still have a reference find nothing in the object from here on. */
static void empty(struct vfc_iommu *iommu)
{
	lock_take(&iommu->lock);
	drop_mappings(iommu);
	iova_destroy(&iommu->map);
	iommu->closed = true;
	lock_give(&iommu->lock);
}

struct iommu_state iommu_look(struct vfc_iommu *iommu)
{
	struct iommu_state state;

	lock_take(&iommu->lock);
	state = (struct iommu_state){iommu->devices, iommu->holders, iommu->physical};
	lock_give(&iommu->lock);
	return state;
}

int vfc_iommu_close(struct vfc_iommu *iommu)
{
	struct iommu_state state;

	if (!iommu)
		return 0;
	if (space_check_process(iommu) < 0)
		return vfc_done(-ECHILD);
	state = iommu_look(iommu);
	if (state.devices || state.holders)
		return vfc_done(vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
					 "still there: %u attached device%s, and %u of DMA buffers, map caches, "
					 "detached devices, and mappings and devices in the making: close them first",
					 state.devices, PLURAL(state.devices), state.holders));
	empty(iommu);
	/* Closing the space drops all its mappings, including any that could not be unmapped. */
	iommu->ops->space_close(iommu->space);
	iommu_unref(iommu);
	return 0;
}

void iommu_ref(struct vfc_iommu *iommu)
{
	__atomic_add_fetch(&iommu->references, 1, __ATOMIC_RELAXED);
}

void iommu_unref(struct vfc_iommu *iommu)
{
	if (__atomic_sub_fetch(&iommu->references, 1, __ATOMIC_ACQ_REL) == 0)
		fork_free(iommu, sizeof(*iommu));
}

bool iommu_is_closed(struct vfc_iommu *iommu)
{
	bool closed;

	lock_take(&iommu->lock);
	closed = iommu->closed;
	lock_give(&iommu->lock);
	return closed;
}

void iommu_hold(struct vfc_iommu *iommu)
{
	lock_take(&iommu->lock);
	iommu->holders++;
	lock_give(&iommu->lock);
}

void iommu_put(struct vfc_iommu *iommu)
{
	lock_take(&iommu->lock);
	iommu->holders--;
	lock_give(&iommu->lock);
}

void iommu_watch(struct vfc_iommu *iommu, struct iommu_watcher *watcher)
{
	lock_take(&iommu->lock);
	watcher->next = iommu->watchers;
	iommu->watchers = watcher;
	iommu->holders++;
	lock_give(&iommu->lock);
}

void iommu_unwatch(struct vfc_iommu *iommu, struct iommu_watcher *watcher)
{
	struct iommu_watcher **link = &iommu->watchers;

	lock_take(&iommu->lock);
	while (*link != watcher)
		link = &(*link)->next;
	*link = watcher->next;
	iommu->holders--;
	lock_give(&iommu->lock);
}

int iommu_check_process(const struct vfc_iommu *iommu)
{
	return space_check_process(iommu);
}

static int look_at(struct vfc_iommu *iommu, struct vfc_iommu_info *info)
{
	struct transport_space_info now = {.entries_left = UINT64_MAX};
	int rc = iommu->devices ? iommu->ops->space_info(iommu->space, &now) : 0;

	if (rc < 0)
		return rc;
	info->devices = iommu->devices;
	info->page_sizes = iommu->page_sizes;
	info->mappings = iommu->map.count;
	info->mapped = iommu->map.bytes;
	info->entries_left = now.entries_left;
	info->flags = (iommu->physical ? VFC_IOMMU_PHYSICAL : 0) |
		      (iommu->unpinned ? VFC_IOMMU_UNPINNED : 0);
	snprintf(info->transport, sizeof(info->transport), "%s", iommu->ops->name);
	free(now.ranges);
	return 0;
}

int vfc_iommu_info(struct vfc_iommu *iommu, struct vfc_iommu_info *info)
{
	struct vfc_iommu_info now = {0};
	int rc = ANSWER_CHECK(vfc_iommu_info, info);

	if (rc == 0)
		rc = space_check_process(iommu);
	if (rc < 0)
		return vfc_done(rc);
	lock_take(&iommu->lock);
	rc = look_at(iommu, &now);
	lock_give(&iommu->lock);
	if (rc == 0)
		sized_answer(info, &now, sizeof(now));
	return vfc_done(rc);
}

int vfc_iommu_ranges(struct vfc_iommu *iommu, struct vfc_iova_range *ranges, size_t count)
{
	size_t n;

	if (space_check_process(iommu) < 0)
		return vfc_done(-ECHILD);
	lock_take(&iommu->lock);
	n = iommu->map.window_count;
	for (size_t i = 0; i < n && i < count; i++)
		ranges[i] = (struct vfc_iova_range){iommu->map.windows[i].start,
						    iommu->map.windows[i].end};
	lock_give(&iommu->lock);
	return (int)n;
}

int vfc_iommu_iommufd(struct vfc_iommu *iommu, uint32_t *ioas)
{
	uint32_t unused;

	if (space_check_process(iommu) < 0)
		return vfc_done(-ECHILD);
	if (!iommu->ops->iommufd)
		return vfc_done(space_cannot(iommu, "give an iommufd: it uses none"));
	return vfc_done(iommu->ops->iommufd(iommu->space, ioas ? ioas : &unused));
}
