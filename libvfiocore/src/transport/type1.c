/* SPDX-License-Identifier: MIT */
/*
 * The requests of type1 to a container, which iommufd answers as well. Source:
 * drivers/vfio/vfio_iommu_type1.c, drivers/iommu/iommufd/vfio_compat.c.
 */
#include "transport/type1.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/ioctl.h"
#include "kernel/sys.h"
#include "transport/container.h"
#include "transport/fd.h"
#include "transport/hints.h"

#define INFO_MAX (1024 * 1024)

static int get_info(int fd, uint32_t size, struct vfio_iommu_type1_info **info)
{
	int rc;

	*info = sys_alloc(size);
	if (!*info)
		return vfc_no_memory();
	(*info)->argsz = size;
	rc = sys_ioctl(fd, VFIO_IOMMU_GET_INFO, *info);
	if (rc == 0)
		return 0;
	free(*info);
	*info = NULL;
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_IOMMU_GET_INFO", NULL), "%s", "");
}

/*
 * Copy @length bytes out of an info structure of @size bytes. False if they are not all inside.
 * They are copied because kernels before 6.6 do not align a capability to the 64-bit numbers in it
 * (vfio_info_cap_add() in drivers/vfio/vfio_main.c).
 */
static bool take(void *to, const void *info, uint32_t size, uint32_t offset, size_t length)
{
	if (offset > size || length > size - offset)
		return false;
	memcpy(to, (const char *)info + offset, length);
	return true;
}

static int take_ranges(const void *info, uint32_t size, uint32_t offset,
		       struct transport_space_info *out)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	size_t bytes;

	if (!take(&cap, info, size, offset, sizeof(cap)) ||
	    cap.nr_iovas > (size - offset - sizeof(cap)) / sizeof(*out->ranges))
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_IOMMU_GET_INFO", NULL),
				"the list of IOVA ranges does not fit into its structure");
	bytes = cap.nr_iovas * sizeof(*out->ranges);
	out->ranges = sys_alloc(bytes ? bytes : 1);
	if (!out->ranges)
		return vfc_no_memory();
	take(out->ranges, info, size, offset + sizeof(cap), bytes);
	out->range_count = cap.nr_iovas;
	return 0;
}

static int parse_caps(const struct vfio_iommu_type1_info *info, uint32_t size,
		      struct transport_space_info *out)
{
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_info_cap_header header;
	uint32_t offset = info->cap_offset;
	int rc = 0;

	while (rc == 0 && offset >= sizeof(*info) &&
	       take(&header, info, size, offset, sizeof(header))) {
		if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE && !out->ranges)
			rc = take_ranges(info, size, offset, out);
		if (header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
		    take(&avail, info, size, offset, sizeof(avail)))
			/* All ones is how iommufd says that there is no limit. */
			out->entries_left = avail.avail == UINT32_MAX ? UINT64_MAX : avail.avail;
		if (header.next <= offset) /* offsets must grow, so that a chain that loops ends */
			break;
		offset = header.next;
	}
	return rc;
}

/*
 * Kernels before 5.4 do not tell the windows. Everything is one window then, and the kernel refuses
 * what is outside.
 */
static int whole_range(struct transport_space_info *out)
{
	out->ranges = sys_alloc(sizeof(*out->ranges));
	if (!out->ranges)
		return vfc_no_memory();
	out->ranges->end = UINT64_MAX;
	out->range_count = 1;
	return 0;
}

int type1_info(int fd, struct transport_space_info *out)
{
	struct vfio_iommu_type1_info *info;
	uint32_t size = sizeof(*info);
	int rc;

	*out = (struct transport_space_info){.entries_left = UINT64_MAX};
	rc = get_info(fd, size, &info);
	if (rc == 0 && info->argsz > size && info->argsz <= INFO_MAX) {
		size = info->argsz;
		free(info);
		rc = get_info(fd, size, &info);
	}
	if (rc < 0)
		return rc;
	out->page_sizes = info->flags & VFIO_IOMMU_INFO_PGSIZES ? info->iova_pgsizes : 0x1000;
	if (info->flags & VFIO_IOMMU_INFO_CAPS)
		rc = parse_caps(info, size, out);
	if (rc == 0 && !out->ranges)
		rc = whole_range(out);
	free(info);
	return rc;
}

static int map_va(int fd, void *va, uint64_t iova, uint64_t length, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map request = {
		.argsz = sizeof(request),
		.flags = flags,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = length,
	};
	int rc = sys_ioctl_inline(fd, VFIO_IOMMU_MAP_DMA, &request);

	return rc < 0 ? hint_map(rc, WHERE("VFIO_IOMMU_MAP_DMA", NULL, AT_IOVA(iova, length)), va, flags)
		      : 0;
}

static __attribute__((noinline)) int map_file(struct container *container,
					      const struct transport_memory *memory, uint64_t iova,
					      uint64_t length, uint32_t flags)
{
	struct lent lent = {.iova = iova, .length = length};
	int rc = lent_reserve(&container->lent);

	if (rc == 0)
		rc = fd_map_file(memory, length, flags, &lent.va);
	if (rc < 0)
		return rc;
	rc = map_va(container->fd, lent.va, iova, length, flags);
	if (rc == 0)
		lent_add(&container->lent, &lent);
	else
		sys_munmap(lent.va, length);
	return rc == -EFAULT ? fd_file_fault(memory, iova, length) : rc;
}

HOT int type1_map(struct transport_space *base, const struct transport_memory *memory, uint64_t *iova,
		  uint64_t length, uint32_t flags)
{
	struct container *container = (struct container *)base;
	int rc = memory->va ? map_va(container->fd, memory->va, *iova, length, flags)
			    : map_file(container, memory, *iova, length, flags);

	if (rc == 0)
		container->mapped += length;
	return rc;
}

static COLD int unmap_failed(int rc, uint64_t iova, uint64_t length, uint64_t unmapped)
{
	struct error_where where = WHERE("VFIO_IOMMU_UNMAP_DMA", NULL, AT_IOVA(iova, length));

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, where, "the kernel kept the mapping");
	return vfc_fail(EIO, VFC_REASON_MALFORMED, where,
			"the kernel unmapped %" PRIu64 " bytes instead", unmapped);
}

HOT int type1_unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	struct container *container = (struct container *)base;
	struct vfio_iommu_type1_dma_unmap request = {
		.argsz = sizeof(request),
		.iova = iova,
		.size = length,
	};
	int rc = sys_ioctl_inline(container->fd, VFIO_IOMMU_UNMAP_DMA, &request);

	/*
	 * Success with another size means that our books differ from the kernel's, which must not
	 * be ignored.
	 */
	if (rc < 0 || request.size != length)
		return unmap_failed(rc, iova, length, request.size);
	container->mapped -= length;
	if (container->lent.count)
		lent_return(&container->lent, iova, length);
	return 0;
}

/*
 * Memory that the kernel does not unmap stays mapped here, because the kernel may still look its
 * address up.
 */
void type1_close(struct transport_space *base)
{
	struct container *container = (struct container *)base;
	error_quiet_begin();
	for (size_t left = container->lent.count; left--;) {
		struct lent last = container->lent.all[left];

		type1_unmap(base, last.iova, last.length);
	}
	error_quiet_end();
	free(container->lent.all);
	container_close(base);
}

int type1_dirty_track(int fd, bool on)
{
	struct vfio_iommu_type1_dirty_bitmap request = {
		.argsz = sizeof(request),
		.flags = on ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START : VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
	};
	int rc = sys_ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &request);

	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_IOMMU_DIRTY_PAGES"), "%s",
				 rc == -ENOTTY ? "this kernel's container cannot (before Linux 5.8)"
				 : rc == -EACCES ? "the kernel offers only type1 version 1, which cannot"
						 : "")
		      : 0;
}

int type1_dirty_read(int fd, uint64_t iova, uint64_t length, uint64_t page, uint64_t *bitmap)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} request = {
		.head = {.argsz = sizeof(request), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP},
		.get = {iova, length, {page, (length / page + 63) / 64 * sizeof(*bitmap), bitmap}},
	};
	int rc = sys_ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &request);

	return rc < 0 ? vfc_fail(rc, rc == -EINVAL ? VFC_REASON_ARGUMENT : VFC_REASON_NONE,
				 WHERE("VFIO_IOMMU_DIRTY_PAGES", NULL, AT_IOVA(iova, length)), "%s",
				 rc == -EINVAL ? "was vfc_iommu_dirty_start() called?" : "")
		      : 0;
}
