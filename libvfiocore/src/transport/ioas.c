/* SPDX-License-Identifier: MIT */
/*
 * An IOAS, which is an address space that all devices attached to it share. Source:
 * Documentation/userspace-api/iommufd.rst, drivers/iommu/iommufd/{ioas,hw_pagetable}.c.
 */
#include "transport/ioas.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <vfiocore/iommufd.h>

#include "base/error.h"
#include "iommufd/ioas.h"
#include "kernel/ioctl.h"
#include "kernel/sys.h"
#include "transport/fd.h"
#include "transport/hints.h"

/*
 * Far above the number of ranges that reserved ones cut an address space into. A larger count is
 * not believed.
 */
#define RANGES_MAX 65536

/* Far above the number of devices, spaces and page tables that a process has in an iommufd. */
#define IDS_MAX 4096

/* These values and structures are passed to the floor below unchanged. */
_Static_assert(VFIO_DMA_MAP_FLAG_READ == VFC_MAP_READ && VFIO_DMA_MAP_FLAG_WRITE == VFC_MAP_WRITE,
	       "map()'s flags are iommufd's");
_Static_assert(sizeof(struct vfio_iova_range) == sizeof(struct vfc_iova_range) &&
		       offsetof(struct vfio_iova_range, end) == offsetof(struct vfc_iova_range, last),
	       "both have ranges of a first and a last address");

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

/* Closing the descriptor also destroys all objects and mappings. */
static void iommufd_put(struct iommufd *iommufd)
{
	if (__atomic_sub_fetch(&iommufd->spaces, 1, __ATOMIC_ACQ_REL))
		return;
	sys_close(iommufd->fd);
	free(iommufd);
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
	rc = vfc_iommufd_ioas_alloc(space->iommufd->fd, &space->ioas);
	if (rc < 0)
		iommufd_put(space->iommufd);
	return rc;
}

int ioas_open(const struct transport *ops, struct transport_space *beside, bool dirty, int fd,
	      struct transport_space **out)
{
	struct ioas *space = sys_alloc(sizeof(*space));
	int rc;

	if (!space)
		return vfc_no_memory();
	space->base.ops = ops;
	space->dirty = dirty;
	rc = open_in(space, beside ? of(beside) : NULL, fd);
	if (rc < 0) {
		free(space);
		return rc;
	}
	*out = &space->base;
	return 0;
}

static int check_ioas(int iommufd, uint32_t ioas)
{
	uint64_t page_sizes;
	int rc = vfc_iommufd_ioas_ranges(iommufd, ioas, NULL, 0, &page_sizes);

	if (rc == -ENOENT)
		return vfc_fail(rc, VFC_REASON_ARGUMENT, WHERE("IOMMU_IOAS_IOVA_RANGES", IOMMUFD),
				"there is no IOAS %u in the iommufd that was passed", ioas);
	return rc < 0 ? rc : 0;
}

int ioas_join(const struct transport *ops, int fd, uint32_t ioas, struct transport_space **out)
{
	struct ioas *space;
	int rc = check_ioas(fd, ioas);

	if (rc < 0)
		return rc;
	space = sys_alloc(sizeof(*space));
	if (!space)
		return vfc_no_memory();
	rc = iommufd_open(fd, &space->iommufd);
	if (rc < 0) {
		free(space);
		return rc;
	}
	space->base.ops = ops;
	space->iommufd->spaces = 1;
	space->ioas = ioas;
	space->joined = true;
	*out = &space->base;
	return 0;
}

int ioas_destroy(struct ioas *space, uint32_t id)
{
	int rc;

	error_quiet_begin();
	rc = vfc_iommufd_destroy(space->iommufd->fd, id);
	error_quiet_end();
	return rc;
}

void ioas_count_device(struct ioas *space, int change)
{
	__atomic_add_fetch(&space->iommufd->devices, (unsigned)change, __ATOMIC_RELAXED);
}

/*
 * The kernel gives out the lowest free id. Objects of other kinds answer ENOENT
 * (iommufd_get_object()).
 */
int ioas_strangers(struct ioas *space)
{
	unsigned ours = __atomic_load_n(&space->iommufd->devices, __ATOMIC_RELAXED), devices = 0;
	error_quiet_begin();
	for (uint32_t id = 1; id < IDS_MAX && devices <= ours; id++) {
		struct vfc_iommufd_hw_info info = {.size = sizeof(info)};

		devices += vfc_iommufd_hw_info(space->iommufd->fd, id, &info, NULL, 0) != -ENOENT;
	}
	error_quiet_end();
	return devices > ours;
}

void ioas_close(struct transport_space *base)
{
	struct ioas *space = of(base);

	if (!space->joined)
		ioas_destroy(space, space->ioas);
	iommufd_put(space->iommufd);
	free(space);
}

static int get_ranges(struct ioas *space, struct transport_space_info *info, int room)
{
	return vfc_iommufd_ioas_ranges(space->iommufd->fd, space->ioas,
				       (struct vfc_iova_range *)info->ranges, (size_t)room,
				       &info->page_sizes);
}

int ioas_info(struct transport_space *base, struct transport_space_info *out)
{
	int rc, count;

	*out = (struct transport_space_info){.entries_left = UINT64_MAX};
	count = get_ranges(of(base), out, 0);
	if (count < 0)
		return count;
	if (count > RANGES_MAX)
		return vfc_fail(EMSGSIZE, VFC_REASON_MALFORMED, WHERE("IOMMU_IOAS_IOVA_RANGES", IOMMUFD),
				"the kernel speaks of %d ranges", count);
	out->ranges = sys_alloc((size_t)(count ? count : 1) * sizeof(*out->ranges));
	if (!out->ranges)
		return vfc_no_memory();
	rc = get_ranges(of(base), out, count);
	if (rc < 0) {
		free(out->ranges);
		return rc;
	}
	out->range_count = (size_t)(rc < count ? rc : count);
	return 0;
}

int ioas_map_file(int iommufd, uint32_t ioas, const struct transport_memory *memory, uint64_t iova,
		  uint64_t length, uint32_t flags)
{
	int rc = vfc_iommufd_ioas_map_file(iommufd, ioas, memory->fd, memory->offset, length, flags | VFC_MAP_FIXED,
					   &iova);

	if (rc == -ENOTTY)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE("IOMMU_IOAS_MAP_FILE"),
				"this kernel cannot map a file's memory: Linux 6.13 can a memfd's, 6.19 a "
				"dma-buf's");
	if (rc == -EINVAL || rc == -EBADF || rc == -EOPNOTSUPP)
		return vfc_fail(rc, VFC_REASON_BAD_MEMORY,
				WHERE("IOMMU_IOAS_MAP_FILE", NULL, AT_IOVA(iova, length)),
				"descriptor %d is no memfd or dma-buf, or shorter than offset 0x%" PRIx64
				" and length", memory->fd, memory->offset);
	return rc;
}

static COLD int map_failed(int rc, int iommufd, const struct iommu_ioas_map *map)
{
	struct error_where where = WHERE("IOMMU_IOAS_MAP", NULL, AT_IOVA(map->iova, map->length));

	return rc == -EFAULT ? hint_map(rc, where, (void *)(uintptr_t)map->user_va,
					map->flags & IOMMU_IOAS_MAP_WRITEABLE ? VFIO_DMA_MAP_FLAG_WRITE : 0)
			     : iommufd_map_failed(rc, iommufd, map);
}

HOT int ioas_map(struct transport_space *base, const struct transport_memory *memory, uint64_t *iova,
	     uint64_t length, uint32_t flags)
{
	const struct ioas *space = of(base);
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 (flags & VFIO_DMA_MAP_FLAG_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (flags & VFIO_DMA_MAP_FLAG_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)memory->va,
		.length = length,
		.iova = *iova,
	};
	int fd = space->iommufd->fd, rc;

	if (!memory->va)
		return ioas_map_file(fd, space->ioas, memory, *iova, length, flags);
	rc = sys_ioctl_inline(fd, IOMMU_IOAS_MAP, &map);
	return rc < 0 ? map_failed(rc, fd, &map) : 0;
}

static COLD int unmap_failed(int rc, const struct ioas *space, uint64_t iova, uint64_t length,
			     uint64_t unmapped)
{
	if (rc < 0)
		return iommufd_unmap_failed(rc, space->iommufd->fd, space->ioas, iova, length);
	return vfc_fail(EIO, VFC_REASON_MALFORMED, WHERE("IOMMU_IOAS_UNMAP", NULL, AT_IOVA(iova, length)),
			"the kernel unmapped %" PRIu64 " bytes instead", unmapped);
}

HOT int ioas_unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	const struct ioas *space = of(base);
	struct iommu_ioas_unmap request = {
		.size = sizeof(request),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = length,
	};
	int rc = sys_ioctl_inline(space->iommufd->fd, IOMMU_IOAS_UNMAP, &request);

	if (rc < 0 || request.length != length)
		return unmap_failed(rc, space, iova, length, request.length);
	return 0;
}

bool ioas_related(struct transport_space *space, struct transport_space *other)
{
	return of(space)->iommufd == of(other)->iommufd;
}

int ioas_copy(struct transport_space *to, struct transport_space *from, uint64_t at, uint64_t iova,
	      uint64_t length, uint32_t flags)
{
	return vfc_iommufd_ioas_copy(of(to)->iommufd->fd, of(to)->ioas, of(from)->ioas, at, length,
				     flags | VFC_MAP_FIXED, &iova);
}

int ioas_iommufd(struct transport_space *space, uint32_t *id)
{
	*id = of(space)->ioas;
	return of(space)->iommufd->fd;
}

static int new_hwpt(struct ioas *space, uint32_t flags, const struct ioas_client *client,
		    struct hwpt **out)
{
	const struct vfc_iommufd_hwpt_opts opts = {.size = sizeof(opts), .flags = flags};
	struct hwpt *hwpt = sys_alloc(sizeof(*hwpt));
	int rc;

	if (!hwpt)
		return vfc_no_memory();
	rc = vfc_iommufd_hwpt_alloc(space->iommufd->fd, client->id, space->ioas, &opts, &hwpt->id);
	if (rc < 0) {
		free(hwpt);
		if (rc != -EOPNOTSUPP || flags != VFC_IOMMUFD_HWPT_DIRTY_TRACKING)
			return vfc_failed_on(client->name, rc);
		return vfc_fail(rc, VFC_REASON_UNSUPPORTED, WHERE("IOMMU_HWPT_ALLOC", client->name),
				"this device's IOMMU cannot track dirty pages: open the address space "
				"without VFC_IOMMU_DIRTY");
	}
	hwpt->flags = flags;
	hwpt->next = space->hwpts;
	space->hwpts = hwpt;
	*out = hwpt;
	return 0;
}

static void destroy_hwpt(struct ioas *space, struct hwpt *hwpt)
{
	struct hwpt **link = &space->hwpts;

	while (*link != hwpt)
		link = &(*link)->next;
	*link = hwpt->next;
	ioas_destroy(space, hwpt->id);
	free(hwpt);
}

void ioas_put(struct ioas *space, struct hwpt *hwpt)
{
	if (!hwpt || --hwpt->devices)
		return;
	space->lost |= space->tracking;
	destroy_hwpt(space, hwpt);
}

/* @pasid 0 stands for the requests that the device makes without a PASID. */
static int attach_to(const struct ioas_client *client, uint32_t pasid, uint32_t table)
{
	int rc = vfc_iommufd_attach(client->fd, &table, pasid ? (int32_t)pasid : -1);

	/*
	 * Before 6.15 the flag is invalid. The other errors are how drivers say that they have no
	 * PASIDs.
	 */
	if (pasid && (rc == -ENOTTY || rc == -EINVAL || rc == -ENODEV || rc == -EOPNOTSUPP))
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
				WHERE("VFIO_DEVICE_ATTACH_IOMMUFD_PT", client->name),
				"PASID %u: it takes Linux 6.15, and a device and an IOMMU with PASIDs",
				pasid);
	return vfc_failed_on(client->name, rc);
}

/*
 * A page table that another device has may do, if it is of the right kind. Only the kernel knows,
 * so it is tried.
 */
static int attach_hwpt(struct ioas *space, const struct ioas_client *client, uint32_t pasid,
		       uint32_t flags, struct hwpt **out)
{
	struct hwpt *hwpt = space->hwpts;
	int rc = 0;

	error_quiet_begin();
	while (hwpt && (hwpt->flags != flags || attach_to(client, pasid, hwpt->id) < 0))
		hwpt = hwpt->next;
	error_quiet_end();
	if (hwpt) {
		hwpt->devices++;
	} else {
		rc = new_hwpt(space, flags, client, &hwpt);
		if (rc < 0)
			return rc;
		hwpt->devices = 1;
		if (space->tracking)
			rc = vfc_iommufd_hwpt_dirty(space->iommufd->fd, hwpt->id, true);
		if (rc == 0)
			rc = attach_to(client, pasid, hwpt->id);
	}
	if (rc < 0) {
		destroy_hwpt(space, hwpt); /* no device had it, so it has noted nothing */
		return rc;
	}
	*out = hwpt;
	return 0;
}

int ioas_attach(struct ioas *space, const struct ioas_client *client, uint32_t pasid, bool pasids,
		struct hwpt **hwpt)
{
	uint32_t flags = (space->dirty ? VFC_IOMMUFD_HWPT_DIRTY_TRACKING : 0) |
			 (pasids ? VFC_IOMMUFD_HWPT_PASID : 0);

	*hwpt = NULL;
	return flags ? attach_hwpt(space, client, pasid, flags, hwpt)
		     : attach_to(client, 0, space->ioas);
}

int ioas_dirty_track(struct transport_space *base, bool on)
{
	struct ioas *space = of(base);
	struct hwpt *hwpt;
	int rc = 0;

	if (!space->dirty)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"open the address space with VFC_IOMMU_DIRTY: it decides on the page "
				"tables that devices get");
	for (hwpt = space->hwpts; hwpt && rc == 0; hwpt = hwpt->next)
		rc = vfc_iommufd_hwpt_dirty(space->iommufd->fd, hwpt->id, on);
	if (rc == 0) {
		space->tracking = on;
		space->lost = false;
		return 0;
	}
	error_quiet_begin();
	for (struct hwpt *done = space->hwpts; done != hwpt; done = done->next)
		vfc_iommufd_hwpt_dirty(space->iommufd->fd, done->id, space->tracking);
	error_quiet_end();
	return rc;
}

int ioas_dirty_read(struct transport_space *base, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap)
{
	const struct vfc_iommufd_dirty range = {
		.size = sizeof(range), .iova = iova, .length = length, .page_size = page};
	struct ioas *space = of(base);
	int rc = 0;

	if (!space->tracking)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(AT_IOVA(iova, length)),
				"was vfc_iommu_dirty_start() called?");
	for (uint64_t i = 0; space->lost && i < length / page; i++)
		bitmap[i / 64] |= UINT64_C(1) << i % 64;
	for (struct hwpt *hwpt = space->hwpts; hwpt && rc == 0; hwpt = hwpt->next)
		rc = vfc_iommufd_hwpt_dirty_bitmap(space->iommufd->fd, hwpt->id, &range, bitmap);
	return rc;
}
