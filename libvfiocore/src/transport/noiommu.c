/* SPDX-License-Identifier: MIT */
/*
 * Devices that no IOMMU translates for: they see memory at its physical address, and nothing keeps
 * them from the rest of it. Both forms need vfio.enable_unsafe_noiommu_mode=1 and CAP_SYS_RAWIO.
 *
 * "noiommu" is iommufd's (Linux 7.3): an IOAS pins the memory as ever, and tells where it is
 * (drivers/iommu/iommufd/{ioas,hwpt_noiommu}.c). "noiommu-group" has a container in which nothing
 * can be mapped (vfio_noiommu_ops in drivers/vfio/container.c): memory is locked, and
 * /proc/self/pagemap tells where it is. Locked is not pinned: compaction and NUMA balancing may
 * still move a page, unless it is a huge one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/iommufd.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "transport/cdev.h"
#include "transport/container.h"
#include "transport/fd.h"
#include "transport/group.h"
#include "transport/hints.h"
#include "transport/ioas.h"
#include "transport/touch.h"

#define PAGEMAP "/proc/self/pagemap"
#define PRESENT (UINT64_C(1) << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define FRAME ((UINT64_C(1) << 55) - 1)

struct physical {
	struct physical *next;
	uint64_t address, length;
	uint64_t iova; /* in the IOAS */
	void *va;      /* that is locked */
	bool file;     /* mapped here by us */
};

static int add(struct physical **list, const struct physical *mapping)
{
	struct physical *copy = sys_alloc(sizeof(*copy));

	if (!copy)
		return vfc_no_memory();
	*copy = *mapping;
	copy->next = *list;
	*list = copy;
	return 0;
}

/* If there are two at one address this finds the newer one, which the space does not let live. */
static struct physical **find(struct physical **list, uint64_t address, uint64_t length)
{
	while (*list && ((*list)->address != address || (*list)->length != length))
		list = &(*list)->next;
	return list;
}

static void drop(struct physical **link)
{
	struct physical *mapping = *link;

	*link = mapping->next;
	free(mapping);
}

static int unknown(uint64_t address, uint64_t length)
{
	return vfc_fail(ENOENT, VFC_REASON_IOVA, WHERE(AT_IOVA(address, length)),
			"nothing is mapped there");
}

static int in_pieces(const char *call, uint64_t address, uint64_t length, uint64_t contiguous)
{
	return vfc_fail(EINVAL, VFC_REASON_BAD_MEMORY, WHERE(call, NULL, AT_IOVA(address, length)),
			"no IOMMU joins pages, and only the first %" PRIu64 " KiB of this memory lie "
			"together: take it from one huge page (vfc_dma_alloc() does; reserve them in "
			"/sys/kernel/mm/hugepages/*/nr_hugepages)", contiguous / 1024);
}

static int check_dirty(bool dirty)
{
	return dirty
		       ? vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				  "without an IOMMU nothing notes what a device writes to")
		       : 0;
}

/* A mapping can be at any address, and nobody can choose it. */
static int space_info(struct transport_space *base, struct transport_space_info *info)
{
	*info = (struct transport_space_info){.entries_left = UINT64_MAX,
					      .page_sizes = sys_page_size(),
					      .physical = true,
					      .unpinned = base->ops == &transport_noiommu_group};
	info->ranges = sys_alloc(sizeof(*info->ranges));
	if (!info->ranges)
		return vfc_no_memory();
	info->ranges->end = UINT64_MAX;
	info->range_count = 1;
	return 0;
}

/* The transport noiommu. */

static bool any_node(void)
{
	struct dirent **entries;
	int n = sys_folder(CDEV_NODES, &entries);
	bool found = false;

	for (int i = 0; i < n && !found; i++)
		found = !strncmp(entries[i]->d_name, CDEV_NOIOMMU, strlen(CDEV_NOIOMMU));
	sys_folder_free(entries, n);
	return found;
}

static bool ioas_usable(struct candidate *device)
{
	return sys_exists(IOMMUFD) && (device ? cdev_offered(device, true) : any_node());
}

static int ioas_check(struct candidate *device)
{
	return cdev_check(device, true);
}

static int physical_ioas_open(struct transport_space *beside, bool dirty, int fd,
			      struct transport_space **space)
{
	int rc = check_dirty(dirty);

	return rc < 0 ? rc : ioas_open(&transport_noiommu, beside, dirty, fd, space);
}

static void physical_ioas_close(struct transport_space *base)
{
	struct ioas *space = (struct ioas *)base;

	while (space->physical)
		drop(&space->physical);
	ioas_close(base);
}

static int get_address(struct ioas *space, struct physical *mapping)
{
	uint64_t length = mapping->length;
	int rc = vfc_iommufd_ioas_physical(space->iommufd->fd, space->ioas, mapping->iova, &length,
					   &mapping->address);

	return rc == 0 && length < mapping->length
		       ? in_pieces("IOMMU_IOAS_NOIOMMU_GET_PA", mapping->address, mapping->length, length)
		       : rc;
}

/* The IOVAs are only names in the kernel's books, so none is ever reused. */
static int physical_ioas_map(struct transport_space *base, const struct transport_memory *memory,
			     uint64_t *iova, uint64_t length, uint32_t flags)
{
	struct ioas *space = (struct ioas *)base;
	struct physical mapping = {.length = length, .iova = space->next};
	int rc = ioas_map(base, memory, &mapping.iova, length, flags);

	if (rc < 0)
		return rc;
	rc = get_address(space, &mapping);
	if (rc == 0)
		rc = add(&space->physical, &mapping);
	if (rc < 0) {
		error_quiet_begin();
		ioas_unmap(base, mapping.iova, length);
		error_quiet_end();
		return rc;
	}
	space->next += length;
	*iova = mapping.address;
	return 0;
}

static int physical_ioas_unmap(struct transport_space *base, uint64_t address, uint64_t length)
{
	struct ioas *space = (struct ioas *)base;
	struct physical **link = find(&space->physical, address, length);
	int rc = *link ? ioas_unmap(base, (*link)->iova, length) : unknown(address, length);

	if (rc == 0)
		drop(link);
	return rc;
}

/* The transport noiommu-group. */

static bool group_usable(struct candidate *device)
{
	(void)device;
	return sys_accessible(CONTAINER);
}

static int physical_group_check(struct candidate *device)
{
	return group_check(device, true);
}

static int physical_group_open(struct transport_space *beside, bool dirty, int fd,
			       struct transport_space **space)
{
	int rc = check_dirty(dirty);

	(void)beside;
	return rc < 0 ? rc
		      : container_open(CONTAINER, &transport_noiommu_group, VFIO_NOIOMMU_IOMMU, 0, fd,
				       space);
}

static void unlock(const struct physical *mapping)
{
	if (mapping->file)
		sys_munmap(mapping->va, mapping->length);
	else
		sys_munlock(mapping->va, mapping->length);
}

static void physical_group_close(struct transport_space *base)
{
	struct container *container = (struct container *)base;

	while (container->physical) {
		unlock(container->physical);
		drop(&container->physical);
	}
	container_close(base);
}

static int read_frames(int fd, const char *va, uint64_t *frames, size_t count, uint64_t page)
{
	ssize_t n = sys_pread(fd, frames, count * sizeof(*frames),
			      (uintptr_t)va / page * sizeof(*frames));

	if (n != (ssize_t)(count * sizeof(*frames)))
		return vfc_fail(n < 0 ? (int)n : EIO, VFC_REASON_NONE, WHERE("pread", PAGEMAP), "%s", "");
	for (size_t i = 0; i < count; i++) {
		if (!(frames[i] & PRESENT))
			return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY, WHERE("pread", PAGEMAP),
					"the memory at %p is a device's, or is not there",
					(const void *)(va + i * page));
		/*
		 * The kernel shows zeros to a process that is not allowed to know (pagemap_read()).
		 */
		if (!(frames[i] & FRAME))
			return vfc_fail(EPERM, VFC_REASON_PERMISSION, WHERE("pread", PAGEMAP),
					"physical addresses are for CAP_SYS_ADMIN only: run it as root");
	}
	return 0;
}

static int find_address(int fd, struct physical *mapping)
{
	uint64_t frames[512], page = sys_page_size(), first = 0;

	for (uint64_t done = 0; done < mapping->length;) {
		uint64_t left = (mapping->length - done) / page;
		size_t count = left < 512 ? (size_t)left : 512;
		int rc = read_frames(fd, (char *)mapping->va + done, frames, count, page);

		if (rc < 0)
			return rc;
		if (!done)
			first = frames[0] & FRAME;
		for (size_t i = 0; i < count; i++, done += page)
			if ((frames[i] & FRAME) != first + done / page)
				return in_pieces(PAGEMAP, first * page, mapping->length, done);
	}
	mapping->address = first * page;
	return 0;
}

static int lock(struct physical *mapping, uint32_t flags)
{
	int fd, rc = touch(mapping->va, mapping->length, flags);

	if (rc < 0)
		return hint_fault(WHERE("madvise", .length = mapping->length), mapping->va, flags,
				  "its address is not told here, but the transport noiommu tells it");
	rc = sys_mlock(mapping->va, mapping->length);
	if (rc < 0)
		return hint_map(rc == -EPERM ? -ENOMEM : rc, WHERE("mlock", .length = mapping->length),
				mapping->va, flags);
	fd = sys_open(PAGEMAP, O_RDONLY);
	if (fd < 0)
		rc = vfc_fail(fd, VFC_REASON_PERMISSION, WHERE("open", PAGEMAP),
			      "without it nothing tells physical addresses");
	else
		rc = find_address(fd, mapping);
	sys_close(fd);
	if (rc < 0)
		sys_munlock(mapping->va, mapping->length);
	return rc;
}

/*
 * mlock() does not count. Unmapping one of two mappings of the same memory would unlock it for
 * both.
 */
static int check_new(const struct physical *list, const struct physical *mapping)
{
	uintptr_t start = (uintptr_t)mapping->va;

	for (; list; list = list->next)
		if (start < (uintptr_t)list->va + list->length &&
		    (uintptr_t)list->va < start + mapping->length)
			return vfc_fail(EEXIST, VFC_REASON_IOVA, WHERE(.length = mapping->length),
					"this memory is mapped already, and has one address without an "
					"IOMMU");
	return 0;
}

static int physical_group_map(struct transport_space *base, const struct transport_memory *memory,
			      uint64_t *iova, uint64_t length, uint32_t flags)
{
	struct container *container = (struct container *)base;
	struct physical mapping = {.length = length, .va = memory->va, .file = !memory->va};
	int rc = mapping.file ? fd_map_file(memory, length, flags, &mapping.va)
			      : check_new(container->physical, &mapping);

	if (rc < 0)
		return rc;
	rc = lock(&mapping, flags);
	if (rc == 0) {
		rc = add(&container->physical, &mapping);
		if (rc < 0)
			sys_munlock(mapping.va, length);
	}
	if (rc < 0 && mapping.file)
		sys_munmap(mapping.va, length);
	if (rc < 0)
		return rc;
	container->mapped += length;
	*iova = mapping.address;
	return 0;
}

static int physical_group_unmap(struct transport_space *base, uint64_t address, uint64_t length)
{
	struct container *container = (struct container *)base;
	struct physical **link = find(&container->physical, address, length);

	if (!*link)
		return unknown(address, length);
	unlock(*link);
	drop(link);
	container->mapped -= length;
	return 0;
}

#define COMMON                                \
	.by_name = true, /* never silently */ \
	.space_info = space_info,             \
	FD_DEVICE

const struct transport transport_noiommu = {
	.name = "noiommu",
	.otherwise = &transport_noiommu_group,
	.space_handle = HANDLE_IOMMUFD,
	.device_handle = HANDLE_CDEV,
	.usable = ioas_usable,
	.check = ioas_check,
	.space_open = physical_ioas_open,
	.space_close = physical_ioas_close,
	.map = physical_ioas_map,
	.unmap = physical_ioas_unmap,
	.iommufd = ioas_iommufd,
	.open = cdev_open,
	.adopt = cdev_adopt,
	.close = cdev_close,
	.give_back = cdev_give_back,
	.owns = fd_bound_owns,
	.hot_reset = fd_bound_hot_reset,
	.iommufd_id = cdev_id,
	.share_region = fd_share_region,
	.group = cdev_group,
	.kvm_file = fd_itself,
	COMMON,
};

const struct transport transport_noiommu_group = {
	.name = "noiommu-group",
	.space_handle = HANDLE_CONTAINER,
	.device_handle = HANDLE_DEVICE,
	.usable = group_usable,
	.check = physical_group_check,
	.space_open = physical_group_open,
	.space_close = physical_group_close,
	.map = physical_group_map,
	.unmap = physical_group_unmap,
	.open = group_device_open,
	.adopt = group_device_adopt,
	.close = group_device_close,
	.give_back = group_device_give_back,
	.owns = group_device_owns,
	.hot_reset = group_device_hot_reset,
	.group = group_device_group,
	.kvm_file = group_device_file,
	COMMON,
};
