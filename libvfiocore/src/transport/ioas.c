/* SPDX-License-Identifier: MIT */
/*
 * An IOAS: what is mapped there, every device attached to it reaches.
 * Source: Documentation/userspace-api/iommufd.rst, drivers/iommu/iommufd/{ioas,hw_pagetable}.c.
 */
#include "ioas.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <vfiocore/iommu.h>

#include "../error.h"
#include "../kernel/iommufd.h"
#include "../kernel/sys.h"
#include "fd.h"
#include "hints.h"

/* Far above what reserved ranges make of an address space; a count beyond is not believed. */
#define RANGES_MAX 65536

/* Far above what a process has of devices, spaces and page tables in an iommufd. */
#define IDS_MAX 4096

static struct ioas *of(struct transport_space *space)
{
	return (struct ioas *)space;
}

static int iommufd_open(int fd, struct iommufd **out)
{
	struct iommufd *iommufd = sys_alloc(sizeof(*iommufd));
	int rc;

	if (!iommufd)
		return vfc_no_memory();
	iommufd->fd = rc = fd < 0 ? sys_open(IOMMUFD, O_RDWR) : sys_dup(fd);
	if (rc < 0) {
		free(iommufd);
		return hint_node(rc, IOMMUFD);
	}
	*out = iommufd;
	return 0;
}

/* The descriptor takes all objects and mappings with it. */
static void iommufd_put(struct iommufd *iommufd)
{
	if (__atomic_sub_fetch(&iommufd->spaces, 1, __ATOMIC_ACQ_REL))
		return;
	sys_close(iommufd->fd);
	free(iommufd);
}

int ioas_probe(struct ioas *space, uint32_t *ioas)
{
	struct iommu_ioas_alloc alloc = {.size = sizeof(alloc)};
	int rc = sys_ioctl(space->iommufd->fd, IOMMU_IOAS_ALLOC, &alloc);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_IOAS_ALLOC", IOMMUFD), "%s", "");
	*ioas = alloc.out_ioas_id;
	return 0;
}

static int open_in(struct ioas *space, struct ioas *beside, int fd)
{
	int rc = 0;

	if (beside)
		space->iommufd = beside->iommufd;
	else
		rc = iommufd_open(fd, &space->iommufd);
	if (rc < 0)
		return rc;
	__atomic_add_fetch(&space->iommufd->spaces, 1, __ATOMIC_RELAXED);
	rc = ioas_probe(space, &space->ioas);
	if (rc < 0)
		iommufd_put(space->iommufd);
	return rc;
}

int ioas_open_as(const struct transport *ops, struct transport_space *beside, uint32_t flags,
		 int fd, struct transport_space **out)
{
	struct ioas *space = sys_alloc(sizeof(*space));
	int rc;

	if (!space)
		return vfc_no_memory();
	space->base.ops = ops;
	space->dirty = flags & VFC_IOMMU_DIRTY;
	rc = open_in(space, beside ? of(beside) : NULL, fd);
	if (rc < 0) {
		free(space);
		return rc;
	}
	*out = &space->base;
	return 0;
}

int ioas_open(struct transport_space *beside, uint32_t flags, int fd, struct transport_space **out)
{
	return ioas_open_as(&transport_cdev, beside, flags, fd, out);
}

static int destroy(struct ioas *space, uint32_t id)
{
	struct iommu_destroy request = {.size = sizeof(request), .id = id};

	return sys_ioctl(space->iommufd->fd, IOMMU_DESTROY, &request);
}

int ioas_destroy(struct ioas *space, uint32_t ioas)
{
	return destroy(space, ioas);
}

void ioas_count_device(struct ioas *space, int change)
{
	__atomic_add_fetch(&space->iommufd->devices, (unsigned)change, __ATOMIC_RELAXED);
}

/* Ids are given out lowest first; objects of other kinds answer ENOENT (iommufd_get_object()). */
int ioas_strangers(struct ioas *space)
{
	unsigned ours = __atomic_load_n(&space->iommufd->devices, __ATOMIC_RELAXED), devices = 0;

	for (uint32_t id = 1; id < IDS_MAX && devices <= ours; id++) {
		struct iommu_hw_info request = {.size = sizeof(request), .dev_id = id};

		devices += sys_ioctl(space->iommufd->fd, IOMMU_GET_HW_INFO, &request) != -ENOENT;
	}
	return devices > ours;
}

void ioas_close(struct transport_space *base)
{
	struct ioas *space = of(base);

	destroy(space, space->ioas);
	iommufd_put(space->iommufd);
	free(space);
}

static int get_ranges(struct ioas *space, struct vfio_iova_range *ranges, uint32_t room,
		      struct iommu_ioas_iova_ranges *request)
{
	*request = (struct iommu_ioas_iova_ranges){
		.size = sizeof(*request),
		.ioas_id = space->ioas,
		.num_iovas = room,
		/* Both interfaces have ranges of a first and a last address. */
		.allowed_iovas = (uintptr_t)ranges,
	};
	return sys_ioctl(space->iommufd->fd, IOMMU_IOAS_IOVA_RANGES, request);
}

static int read_ranges(struct ioas *space, struct transport_space_info *out,
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

int ioas_info(struct transport_space *base, struct transport_space_info *out)
{
	struct iommu_ioas_iova_ranges request;
	int rc;

	*out = (struct transport_space_info){.entries_left = UINT64_MAX};
	rc = read_ranges(of(base), out, &request);
	if (rc < 0) {
		free(out->ranges);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_IOAS_IOVA_RANGES", IOMMUFD), "%s",
				"");
	}
	out->page_sizes = request.out_iova_alignment;
	return 0;
}

int ioas_map(struct transport_space *base, const struct transport_memory *memory, uint64_t *iova,
	     uint64_t length, uint32_t flags)
{
	struct ioas *space = of(base);
	struct iommu_ioas_map request = {
		.size = sizeof(request),
		.flags = fd_ioas_flags(flags),
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)memory->va,
		.length = length,
		.iova = *iova,
	};
	int rc;

	if (!memory->va)
		return fd_ioas_map_file(space->iommufd->fd, space->ioas, memory, *iova, length, flags);
	rc = sys_ioctl(space->iommufd->fd, IOMMU_IOAS_MAP, &request);
	return rc < 0 ? hint_map(rc, "IOMMU_IOAS_MAP", memory->va, *iova, length) : 0;
}

int ioas_unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_unmap request = {
		.size = sizeof(request),
		.ioas_id = of(base)->ioas,
		.iova = iova,
		.length = length,
	};
	int rc = sys_ioctl(of(base)->iommufd->fd, IOMMU_IOAS_UNMAP, &request);
	struct error_where where = WHERE("IOMMU_IOAS_UNMAP", NULL, iova, length);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, where, "the kernel kept the mapping");
	if (request.length != length)
		return vfc_fail(EIO, VFC_REASON_MALFORMED, where,
				"the kernel unmapped %" PRIu64 " bytes instead", request.length);
	return 0;
}

bool ioas_related(struct transport_space *space, struct transport_space *other)
{
	return of(space)->iommufd == of(other)->iommufd;
}

int ioas_copy(struct transport_space *to, struct transport_space *from, uint64_t at, uint64_t iova,
	      uint64_t length, uint32_t flags)
{
	struct iommu_ioas_copy request = {
		.size = sizeof(request),
		.flags = fd_ioas_flags(flags),
		.dst_ioas_id = of(to)->ioas,
		.src_ioas_id = of(from)->ioas,
		.length = length,
		.dst_iova = iova,
		.src_iova = at,
	};
	int rc = sys_ioctl(of(to)->iommufd->fd, IOMMU_IOAS_COPY, &request);

	if (rc == -ENOENT)
		return vfc_fail(rc, VFC_REASON_IOVA, WHERE("IOMMU_IOAS_COPY", NULL, at, length),
				"the source was unmapped meanwhile");
	return rc < 0 ? hint_map(rc, "IOMMU_IOAS_COPY", NULL, iova, length) : 0;
}

int ioas_iommufd(struct transport_space *space, uint32_t *id)
{
	*id = of(space)->ioas;
	return of(space)->iommufd->fd;
}

/* @pasid 0: what the device does without one. */
int ioas_attach_to(int fd, uint32_t pasid, uint32_t table)
{
	struct vfio_device_attach_iommufd_pt request = {
		.argsz = offsetof(struct vfio_device_attach_iommufd_pt, pasid), .pt_id = table};

	if (pasid) { /* a longer structure, since Linux 6.15 */
		request.argsz = sizeof(request);
		request.flags = VFIO_DEVICE_ATTACH_PASID;
		request.pasid = pasid;
	}
	return sys_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &request);
}

static int set_tracking(struct ioas *space, const struct hwpt *hwpt, bool on)
{
	struct iommu_hwpt_set_dirty_tracking request = {
		.size = sizeof(request),
		.flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
		.hwpt_id = hwpt->id,
	};
	int rc = sys_ioctl(space->iommufd->fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &request);

	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("IOMMU_HWPT_SET_DIRTY_TRACKING"), "%s", "")
		      : 0;
}

static int hwpt_failed(int rc, uint32_t flags, const char *name)
{
	const char *why = "";

	if (rc == -EOPNOTSUPP && flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		why = "this device's IOMMU cannot track dirty pages: open the address space without "
		      "VFC_IOMMU_DIRTY";
	else if (rc == -EOPNOTSUPP)
		why = "this device's IOMMU has no page tables for PASIDs, or the kernel is before 6.14";
	return vfc_fail(rc, *why ? VFC_REASON_UNSUPPORTED : VFC_REASON_NONE,
			WHERE("IOMMU_HWPT_ALLOC", name), "%s", why);
}

static int new_hwpt(struct ioas *space, uint32_t flags, uint32_t device, const char *name,
		    struct hwpt **out)
{
	struct iommu_hwpt_alloc request = {
		.size = sizeof(request),
		.flags = flags,
		.dev_id = device,
		.pt_id = space->ioas,
	};
	struct hwpt *hwpt = sys_alloc(sizeof(*hwpt));
	int rc;

	if (!hwpt)
		return vfc_no_memory();
	rc = sys_ioctl(space->iommufd->fd, IOMMU_HWPT_ALLOC, &request);
	if (rc < 0) {
		free(hwpt);
		return hwpt_failed(rc, flags, name);
	}
	hwpt->id = request.out_hwpt_id;
	hwpt->flags = flags;
	hwpt->next = space->hwpts;
	space->hwpts = hwpt;
	*out = hwpt;
	return 0;
}

void ioas_put(struct ioas *space, struct hwpt *hwpt)
{
	struct hwpt **link = &space->hwpts;

	if (!hwpt || --hwpt->devices)
		return;
	while (*link != hwpt)
		link = &(*link)->next;
	*link = hwpt->next;
	destroy(space, hwpt->id);
	free(hwpt);
}

static int attach_failed(int rc, uint32_t pasid, const char *name)
{
	struct error_where where = WHERE(pasid ? "VFIO_DEVICE_ATTACH_PASID"
					       : "VFIO_DEVICE_ATTACH_IOMMUFD_PT", name);

	if (!pasid)
		return vfc_fail(rc, VFC_REASON_NONE, where,
				"the device cannot reach what is mapped in this space already, or its "
				"IOMMU does not fit with those attached");
	/* Before 6.15 flags are invalid; the others are how drivers say that they have no PASIDs. */
	if (rc == -ENOTTY || rc == -EINVAL || rc == -ENODEV || rc == -EOPNOTSUPP)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"PASID %u: it takes Linux 6.15, and a device and an IOMMU with PASIDs",
				pasid);
	return vfc_fail(rc, VFC_REASON_NONE, where, "PASID %u", pasid);
}

/* A page table of the kind that another device has may do; that the kernel knows. */
static int attach_hwpt(struct ioas *space, const struct ioas_client *client, uint32_t pasid,
		       uint32_t flags, struct hwpt **out)
{
	struct hwpt *hwpt;
	int rc;

	for (hwpt = space->hwpts; hwpt; hwpt = hwpt->next) {
		if (hwpt->flags == flags && ioas_attach_to(client->fd, pasid, hwpt->id) == 0) {
			hwpt->devices++;
			*out = hwpt;
			return 0;
		}
	}
	rc = new_hwpt(space, flags, client->id, client->name, &hwpt);
	if (rc < 0)
		return rc;
	hwpt->devices = 1;
	rc = space->tracking ? set_tracking(space, hwpt, true) : 0;
	if (rc == 0) {
		rc = ioas_attach_to(client->fd, pasid, hwpt->id);
		if (rc < 0)
			rc = attach_failed(rc, pasid, client->name);
	}
	if (rc < 0) {
		struct vfc_error error = *vfc_error_last();

		ioas_put(space, hwpt);
		vfc_error_restore(&error);
		return rc;
	}
	*out = hwpt;
	return 0;
}

int ioas_attach(struct ioas *space, const struct ioas_client *client, uint32_t pasid, bool pasids,
		struct hwpt **hwpt)
{
	uint32_t flags = (space->dirty ? IOMMU_HWPT_ALLOC_DIRTY_TRACKING : 0) |
			 (pasids ? IOMMU_HWPT_ALLOC_PASID : 0);
	int rc;

	*hwpt = NULL;
	if (flags)
		return attach_hwpt(space, client, pasid, flags, hwpt);
	rc = ioas_attach_to(client->fd, 0, space->ioas);
	return rc < 0 ? attach_failed(rc, 0, client->name) : 0;
}

int ioas_dirty_track(struct transport_space *base, bool on)
{
	struct ioas *space = of(base);
	struct vfc_error error;
	struct hwpt *hwpt;
	int rc = 0;

	if (!space->dirty)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"open the address space with VFC_IOMMU_DIRTY: it decides on the page "
				"tables that devices get");
	for (hwpt = space->hwpts; hwpt && rc == 0; hwpt = hwpt->next)
		rc = set_tracking(space, hwpt, on);
	if (rc == 0) {
		space->tracking = on;
		return 0;
	}
	error = *vfc_error_last();
	for (struct hwpt *done = space->hwpts; done != hwpt; done = done->next)
		set_tracking(space, done, space->tracking);
	vfc_error_restore(&error);
	return rc;
}

int ioas_dirty_read(struct transport_space *base, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap)
{
	struct ioas *space = of(base);
	int rc = 0;

	if (!space->tracking)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.iova = iova, .length = length),
				"was vfc_iommu_dirty_start() called?");
	for (struct hwpt *hwpt = space->hwpts; hwpt && rc == 0; hwpt = hwpt->next) {
		struct iommu_hwpt_get_dirty_bitmap request = {
			.size = sizeof(request),
			.hwpt_id = hwpt->id,
			.iova = iova,
			.length = length,
			.page_size = page,
			.data = (uintptr_t)bitmap,
		};

		rc = sys_ioctl(space->iommufd->fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &request);
	}
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE,
				 WHERE("IOMMU_HWPT_GET_DIRTY_BITMAP", NULL, iova, length), "%s", "")
		      : 0;
}
