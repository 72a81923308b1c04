/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore/device.h>
#include <vfiocore/region.h>

#include "device/region.h"
#include "base/error.h"
#include "kernel/sys.h"
#include "device/names.h"
#include "base/sized.h"

/* Huge pages of the CPU. Most architectures have these two sizes. */
#define HUGE (UINT64_C(2) << 20)     /* bytes */
#define GIGANTIC (UINT64_C(1) << 30)
/* When a mapping is given back, this many bytes of it read as all ones. The rest reads as zero. */
#define ONES_MAX (16 * 1024 * 1024)

#define PCI_HEADER 64 /* bytes; PCI Local Bus 3.0, 6.1 */

/*
 * Copy a part of the answer. It cannot be used in place, because kernels before 6.6 do not align a
 * capability to the 64-bit numbers in it. False if the part does not lie in the answer.
 */
static bool take(void *to, const struct vfio_region_info *info, uint32_t offset, size_t length)
{
	if (offset > info->argsz || length > info->argsz - offset)
		return false;
	memcpy(to, (const char *)info + offset, length);
	return true;
}

/*
 * Add the whole pages of the area, since no others can be mapped. The last page of the region may
 * be a partial one.
 */
static void add_pages(struct region *region, uint64_t start, uint64_t end)
{
	uint64_t page = sys_page_size(), skip = (page - start % page) % page;

	if (end != region->length)
		end -= end % page;
	if (start >= end || skip >= end - start) /* also true if start + skip overflows */
		return;
	start += skip;
	region->areas[region->area_count++] =
		(struct region_area){.offset = start, .length = end - start};
}

static int add_area(struct region *region, const struct vfio_region_sparse_mmap_area *area)
{
	if (!area->size)
		return 0; /* some drivers pad the list */
	if (area->offset > region->length || area->size > region->length - area->offset)
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_DEVICE_GET_REGION_INFO"),
				"an area that can be mapped lies outside of its region");
	add_pages(region, area->offset, area->offset + area->size);
	return 0;
}

static int take_areas(struct region *region, const struct vfio_region_info *info, uint32_t offset)
{
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_sparse_mmap_area area;
	int rc = 0;

	if (!take(&cap, info, offset, sizeof(cap)) ||
	    cap.nr_areas > (info->argsz - offset - sizeof(cap)) / sizeof(area))
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_DEVICE_GET_REGION_INFO"),
				"the list of areas of region %u does not fit into its structure",
				info->index);
	region->areas = sys_alloc((cap.nr_areas ? cap.nr_areas : 1) * sizeof(*region->areas));
	if (!region->areas)
		return vfc_no_memory();
	for (uint32_t i = 0; rc == 0 && i < cap.nr_areas; i++) {
		take(&area, info, offset + (uint32_t)(sizeof(cap) + i * sizeof(area)), sizeof(area));
		rc = add_area(region, &area);
	}
	return rc;
}

static int whole_area(struct region *region)
{
	region->areas = sys_alloc(sizeof(*region->areas));
	if (!region->areas)
		return vfc_no_memory();
	region->areas[0].length = region->length;
	region->area_count = 1;
	return 0;
}

static int take_type(struct region *region, const struct vfio_region_info *info, uint32_t offset)
{
	struct vfio_region_info_cap_type cap;

	if (!take(&cap, info, offset, sizeof(cap)))
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_DEVICE_GET_REGION_INFO"),
				"the type of region %u does not fit into its structure", info->index);
	region->type = cap.type;
	region->subtype = cap.subtype;
	return 0;
}

static int take_cap(struct region *region, const struct vfio_region_info *info, uint32_t offset,
		    uint16_t id)
{
	if (id == VFIO_REGION_INFO_CAP_TYPE)
		return take_type(region, info, offset);
	if (id == VFIO_REGION_INFO_CAP_SPARSE_MMAP && !region->areas &&
	    info->flags & VFIO_REGION_INFO_FLAG_MMAP)
		return take_areas(region, info, offset);
	return 0;
}

/* info->argsz is the size of the allocation: see struct transport. */
static int parse_region(struct region *region, const struct vfio_region_info *info)
{
	uint32_t offset = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;
	struct vfio_info_cap_header header;
	int rc = 0;

	region->position = info->offset;
	region->length = info->size;
	region->flags = info->flags;
	while (rc == 0 && offset >= sizeof(*info) && take(&header, info, offset, sizeof(header))) {
		rc = take_cap(region, info, offset, header.id);
		/* require growing offsets, so that a chain that loops ends */
		if (header.next <= offset)
			break;
		offset = header.next;
	}
	if (rc == 0 && !region->areas && info->flags & VFIO_REGION_INFO_FLAG_MMAP && info->size)
		rc = whole_area(region);
	return rc;
}

int regions_open(struct vfc_device *device)
{
	struct vfc_error before = *vfc_error_last();
	struct vfio_region_info *info;
	int rc = 0;

	device->regions = sys_alloc((device->region_count + 1) * sizeof(*device->regions));
	if (!device->regions)
		return vfc_no_memory();
	for (uint32_t i = 0; rc == 0 && i < device->region_count; i++) {
		rc = device->ops->region_info(device->transport, i, &info);
		/* below num_regions but not there, such as VGA on most devices */
		if (rc == -EINVAL) {
			vfc_error_restore(&before);
			rc = 0;
			continue;
		}
		if (rc == 0) {
			rc = parse_region(&device->regions[i], info);
			free(info);
		}
	}
	if (rc < 0)
		regions_close(device);
	return rc;
}

void regions_close(struct vfc_device *device)
{
	for (uint32_t i = 0; i < device->region_count; i++) {
		struct region *region = &device->regions[i];

		for (uint32_t a = 0; a < region->area_count; a++)
			if (region->areas[a].address)
				sys_munmap(region->areas[a].address, region->areas[a].length);
		free(region->areas);
	}
	free(device->regions);
	device->regions = NULL;
}

/*
 * Map memory that reads as all ones. It is an unnamed file, whose pages are charged when they are
 * written. A private mapping would be charged as a whole, and a BAR may be larger than RAM and
 * swap.
 */
static int map_ones(size_t length, void **ones)
{
	int fd = sys_memfd("vfiocore: given back", length);
	int rc = fd < 0 ? fd : sys_mmap(length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, ones);

	sys_close(fd);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE(fd < 0 ? "memfd_create" : "mmap", .length = length),
				"memory that stands in for the device's registers cannot be had");
	memset(*ones, 0xff, length < ONES_MAX ? length : ONES_MAX);
	return 0;
}

/*
 * Replace the mapping in one step. Other threads may be reading there, so nothing may be unmapped
 * even for a moment.
 */
static int give_back_area(const struct region_area *area)
{
	void *ones;
	int rc = map_ones(area->length, &ones);

	if (rc < 0)
		return rc;
	rc = sys_move(ones, area->length, area->address);
	if (rc == 0)
		return 0;
	sys_munmap(ones, area->length);
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("mremap", .length = area->length), "%s", "");
}

int regions_give_back(struct vfc_device *device)
{
	int rc = 0;

	pthread_mutex_lock(&device->lock);
	for (uint32_t i = 0; i < device->region_count; i++)
		for (uint32_t a = 0; rc == 0 && a < device->regions[i].area_count; a++)
			if (device->regions[i].areas[a].address)
				rc = give_back_area(&device->regions[i].areas[a]);
	pthread_mutex_unlock(&device->lock);
	return rc;
}

static int find_region(struct vfc_device *device, uint32_t index, struct region **region)
{
	*region = NULL;
	if (index >= device->region_count)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"there is no region %u, the device has %u, counted from 0", index,
				device->region_count);
	*region = &device->regions[index];
	return 0;
}

int vfc_region_info(struct vfc_device *device, uint32_t index, struct vfc_region_info *info)
{
	struct vfc_region_info now = {.index = index};
	struct region *region;
	int rc = ANSWER_CHECK(vfc_region_info, info);

	if (rc == 0)
		rc = find_region(device, index, &region);
	if (rc == 0) {
		now.flags = region->flags & (VFC_REGION_READ | VFC_REGION_WRITE | VFC_REGION_MMAP);
		now.areas = region->area_count;
		now.position = region->position;
		now.length = region->length;
		now.type = region->type;
		now.subtype = region->subtype;
		region_name(device, index, now.name, sizeof(now.name));
		sized_answer(info, &now, sizeof(now));
	}
	return vfc_done(rc);
}

int vfc_region_areas(struct vfc_device *device, uint32_t index, struct vfc_region_area *areas,
		     size_t count)
{
	struct region *region;
	int rc = find_region(device, index, &region);

	if (rc < 0)
		return vfc_done(rc);
	for (uint32_t i = 0; i < region->area_count && i < count; i++)
		areas[i] = (struct vfc_region_area){region->areas[i].offset, region->areas[i].length};
	return (int)region->area_count;
}

const struct region *region_config(struct vfc_device *device)
{
	const struct region *config;

	if (!(device->flags & VFC_DEVICE_PCI) || device->region_count <= VFC_REGION_CONFIG)
		return NULL;
	config = &device->regions[VFC_REGION_CONFIG];
	/* The position of a region that does not exist means nothing. It could be that of BAR 0. */
	return config->length >= PCI_HEADER ? config : NULL;
}

int region_check(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		 uint32_t access, struct region **region)
{
	int rc = find_region(device, index, region);

	if (rc < 0)
		return rc;
	if (!(*region)->length)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"the device does not implement region %u", index);
	if (offset > (*region)->length || length > (*region)->length - offset)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " with %" PRIu64
				" bytes runs past the end of region %u, which has 0x%" PRIx64 " bytes",
				offset, length, index, (*region)->length);
	if (!((*region)->flags & access))
		return vfc_fail(EACCES, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"region %u cannot be %s", index,
				access == VFIO_REGION_INFO_FLAG_READ    ? "read"
				: access == VFIO_REGION_INFO_FLAG_WRITE ? "written"
									: "mapped");
	return 0;
}

static struct region_area *find_area(struct region *region, uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < region->area_count; i++) {
		struct region_area *area = &region->areas[i];

		if (offset >= area->offset && offset - area->offset <= area->length &&
		    length <= area->length - (offset - area->offset))
			return area;
	}
	return NULL;
}

/*
 * Move the mapping at *@address to where its address and its offset in the BAR agree in all bits
 * below a huge page. Only there can the kernel map a BAR by huge pages (vfio_pci_mmap_huge_fault(),
 * Linux 6.12), and mmap() does not choose such an address. If there is no room, the mapping stays
 * where it is, which only costs faults.
 */
static void align_mapping(const struct region_area *area, void **address)
{
	uint64_t align = area->length < GIGANTIC ? HUGE : GIGANTIC, before;
	void *room;

	if (area->length < HUGE || area->length > UINT64_MAX - align ||
	    sys_mmap(area->length + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0,
		     &room) < 0)
		return;
	before = (area->offset - (uintptr_t)room) % align;
	if (sys_move(*address, area->length, (uint8_t *)room + before) < 0) {
		sys_munmap(room, area->length + align);
		return;
	}
	*address = (uint8_t *)room + before;
	if (before)
		sys_munmap(room, before);
	/* never 0, since before < align */
	sys_munmap((uint8_t *)*address + area->length, align - before);
}

static int map_area(struct vfc_device *device, struct region *region, struct region_area *area)
{
	int protection = (region->flags & VFIO_REGION_INFO_FLAG_READ ? PROT_READ : 0) |
			 (region->flags & VFIO_REGION_INFO_FLAG_WRITE ? PROT_WRITE : 0);
	void *address = __atomic_load_n(&area->address, __ATOMIC_ACQUIRE);
	int rc = 0;

	if (address)
		return 0;
	pthread_mutex_lock(&device->lock);
	if (!area->address) {
		rc = device->ops->mmap(device->transport, region->position + area->offset,
				       area->length, protection, &address);
		if (rc == 0) {
			align_mapping(area, &address);
			__atomic_store_n(&area->address, address, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&device->lock);
	return rc;
}

int region_address(struct vfc_device *device, struct region *region, uint64_t offset,
		   uint64_t length, volatile void **address)
{
	struct region_area *area = find_area(region, offset, length);
	int rc = area ? map_area(device, region, area) : 0;

	*address = area && rc == 0 ? (char *)area->address + (offset - area->offset) : NULL;
	return rc;
}

static int region_map(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		      volatile void **address)
{
	volatile void *found;
	struct region *region;
	int rc = region_check(device, index, offset, length, VFIO_REGION_INFO_FLAG_MMAP, &region);

	if (rc == -EACCES)
		rc = vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
			      "the kernel does not let region %u be mapped: use vfc_region_read() "
			      "and vfc_region_write()",
			      index);
	if (rc < 0)
		return rc;
	if (offset % sys_page_size() || length % sys_page_size())
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " and length 0x%" PRIx64
				" must be multiples of the page size, %zu",
				offset, length, sys_page_size());
	rc = region_address(device, region, offset, length ? length : 1, &found);
	if (rc < 0)
		return rc;
	if (!found)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " with 0x%" PRIx64
				" bytes is not within one of the %u parts of region %u that can be "
				"mapped",
				offset, length, region->area_count, index);
	*address = found;
	return 0;
}

int vfc_region_map(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		   volatile void **address)
{
	return vfc_done(region_map(device, index, offset, length, address));
}
