/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "device.h"
#include "error.h"
#include "kernel/sys.h"
#include "pci/caps.h"

/* Copies, because kernels before 6.6 do not align a capability to the 64-bit numbers in it. */
static bool take(void *to, const struct vfio_region_info *info, uint32_t offset, size_t length)
{
	if (offset > info->argsz || length > info->argsz - offset)
		return false;
	memcpy(to, (const char *)info + offset, length);
	return true;
}

static int add_area(struct region *region, const struct vfio_region_sparse_mmap_area *area)
{
	if (!area->size)
		return 0; /* some drivers pad the list */
	if (area->offset > region->length || area->size > region->length - area->offset)
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("VFIO_DEVICE_GET_REGION_INFO"),
				"an area that can be mapped lies outside of its region");
	region->areas[region->area_count++] =
		(struct region_area){.offset = area->offset, .length = area->size};
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

/* info->argsz is the size of the allocation: see struct transport. */
static int parse_region(struct region *region, const struct vfio_region_info *info)
{
	uint32_t offset = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;
	struct vfio_info_cap_header header;

	region->position = info->offset;
	region->length = info->size;
	region->flags = info->flags;
	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP) || !info->size)
		return 0;
	while (offset >= sizeof(*info) && take(&header, info, offset, sizeof(header))) {
		if (header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			return take_areas(region, info, offset);
		if (header.next <= offset) /* offsets must grow, so that a chain that loops ends */
			break;
		offset = header.next;
	}
	return whole_area(region);
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
		if (rc == -EINVAL) { /* below num_regions, yet not there: VGA on most devices */
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

static int find_region(struct vfc_device *device, uint32_t index, struct region **region)
{
	*region = NULL;
	if (index >= device->region_count)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"there is no region %u, the device has regions 0 to %u", index,
				device->region_count - 1);
	*region = &device->regions[index];
	return 0;
}

int vfc_region_info(struct vfc_device *device, uint32_t index, struct vfc_region_info *info)
{
	struct region *region;
	int rc;

	if (info->size < sizeof(*info))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "info->size is %u, set it to sizeof(struct vfc_region_info)",
					 info->size));
	rc = find_region(device, index, &region);
	if (rc == 0) {
		info->index = index;
		info->flags = region->flags & (VFC_REGION_READ | VFC_REGION_WRITE | VFC_REGION_MMAP);
		info->areas = region->area_count;
		info->length = region->length;
	}
	return vfc_done(rc);
}

/* The region, if [@offset, @offset + @length) lies in it and it allows @access. */
static int check_access(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
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
		if (rc == 0)
			__atomic_store_n(&area->address, address, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&device->lock);
	return rc;
}

static int region_map(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		      volatile void **address)
{
	struct region_area *area;
	struct region *region;
	int rc = check_access(device, index, offset, length, VFIO_REGION_INFO_FLAG_MMAP, &region);

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
	area = find_area(region, offset, length ? length : 1);
	if (!area)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " with 0x%" PRIx64
				" bytes is not within one of the %u parts of region %u that can be "
				"mapped",
				offset, length, region->area_count, index);
	rc = map_area(device, region, area);
	if (rc == 0)
		*address = (char *)area->address + (offset - area->offset);
	return rc;
}

int vfc_region_map(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length,
		   volatile void **address)
{
	return vfc_done(region_map(device, index, offset, length, address));
}

static int check_width(struct vfc_device *device, uint64_t offset, uint32_t width)
{
	if (width != 1 && width != 2 && width != 4 && width != 8)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"an access is 1, 2, 4 or 8 bytes wide, not %u", width);
	if (offset % width)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " is not a multiple of the access's %u bytes",
				offset, width);
	return 0;
}

/*
 * The mapped address of a register, or NULL when it has to go through the kernel. Only BARs: config
 * space and ROM are emulated even where a platform would map them.
 */
static int mapped(struct vfc_device *device, struct region *region, uint32_t index, uint64_t offset,
		  uint32_t width, volatile void **address)
{
	struct region_area *area = index <= VFC_REGION_BAR5 ? find_area(region, offset, width) : NULL;
	int rc = 0;

	*address = NULL;
	if (area)
		rc = map_area(device, region, area);
	if (area && rc == 0)
		*address = (char *)area->address + (offset - area->offset);
	return rc;
}

static uint64_t load(const volatile void *address, uint32_t width)
{
	switch (width) {
	case 1:
		return vfc_mmio_read8(address);
	case 2:
		return vfc_mmio_read16(address);
	case 4:
		return vfc_mmio_read32(address);
	default:
		return vfc_mmio_read64(address);
	}
}

static void store(volatile void *address, uint32_t width, uint64_t value)
{
	switch (width) {
	case 1:
		vfc_mmio_write8(address, (uint8_t)value);
		break;
	case 2:
		vfc_mmio_write16(address, (uint16_t)value);
		break;
	case 4:
		vfc_mmio_write32(address, (uint32_t)value);
		break;
	default:
		vfc_mmio_write64(address, value);
	}
}

/* read() and write() on a region carry the device's little-endian bytes, whatever the host is. */
static int kernel_read(struct vfc_device *device, const struct region *region, uint64_t offset,
		       uint32_t width, uint64_t *value)
{
	uint8_t bytes[8] = {0};
	int rc = device->ops->read(device->transport, region->position + offset, bytes, width);

	*value = 0;
	for (uint32_t i = 0; i < width; i++)
		*value |= (uint64_t)bytes[i] << 8 * i;
	return rc;
}

static int kernel_write(struct vfc_device *device, const struct region *region, uint64_t offset,
			uint32_t width, uint64_t value)
{
	uint8_t bytes[8];

	for (uint32_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	return device->ops->write(device->transport, region->position + offset, bytes, width);
}

/* All ones may be a register's value; with all ones in the vendor id, too, nobody answers. */
static int check_gone(struct vfc_device *device, uint32_t width, uint64_t value)
{
	const struct region *config = &device->regions[VFC_REGION_CONFIG];
	uint64_t vendor;

	if (width < 4 || value != UINT64_MAX >> (64 - 8 * width) ||
	    !(device->flags & VFC_DEVICE_PCI) || device->region_count <= VFC_REGION_CONFIG)
		return 0;
	if (kernel_read(device, config, 0, 2, &vendor) == 0 && vendor != 0xffff)
		return 0;
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
			"the device answers with all ones, in config space too: it was pulled, or is "
			"in reset");
}

static int region_read(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		       uint64_t *value)
{
	volatile void *address = NULL;
	struct region *region;
	int rc = check_width(device, offset, width);

	if (rc == 0)
		rc = check_access(device, index, offset, width, VFIO_REGION_INFO_FLAG_READ, &region);
	if (rc == 0)
		rc = mapped(device, region, index, offset, width, &address);
	if (rc < 0)
		return rc;
	if (!address)
		rc = kernel_read(device, region, offset, width, value);
	else
		*value = load(address, width);
	return rc < 0 ? rc : index == VFC_REGION_CONFIG ? 0 : check_gone(device, width, *value);
}

int vfc_region_read(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		    uint64_t *value)
{
	return vfc_done(region_read(device, index, offset, width, value));
}

int64_t vfc_region_load(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width)
{
	uint64_t value = 0;
	int rc;

	if (width > 4)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			      "%u bytes do not fit into the result: use vfc_region_read()", width);
	else
		rc = region_read(device, index, offset, width, &value);
	return rc < 0 ? vfc_done(rc) : (int64_t)value;
}

static int region_write(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
			uint64_t value)
{
	volatile void *address = NULL;
	struct region *region;
	int rc = check_width(device, offset, width);

	if (rc == 0 && width < 8 && value >> 8 * width)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			      "0x%" PRIx64 " does not fit into %u bytes", value, width);
	if (rc == 0)
		rc = check_access(device, index, offset, width, VFIO_REGION_INFO_FLAG_WRITE, &region);
	if (rc == 0)
		rc = mapped(device, region, index, offset, width, &address);
	if (rc < 0)
		return rc;
	if (!address)
		return kernel_write(device, region, offset, width, value);
	store(address, width, value);
	return 0;
}

int vfc_region_write(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		     uint64_t value)
{
	return vfc_done(region_write(device, index, offset, width, value));
}

int vfc_region_read_block(struct vfc_device *device, uint32_t index, uint64_t offset, void *data,
			  size_t length)
{
	struct region *region;
	int rc = check_access(device, index, offset, length, VFIO_REGION_INFO_FLAG_READ, &region);

	if (rc == 0 && length)
		rc = device->ops->read(device->transport, region->position + offset, data, length);
	return vfc_done(rc);
}

int vfc_region_write_block(struct vfc_device *device, uint32_t index, uint64_t offset,
			   const void *data, size_t length)
{
	struct region *region;
	int rc = check_access(device, index, offset, length, VFIO_REGION_INFO_FLAG_WRITE, &region);

	if (rc == 0 && length)
		rc = device->ops->write(device->transport, region->position + offset, data, length);
	return vfc_done(rc);
}

static int read_config(void *cookie, uint32_t offset, uint32_t width, uint32_t *value)
{
	struct vfc_device *device = cookie;
	uint64_t wide;
	int rc = kernel_read(device, &device->regions[VFC_REGION_CONFIG], offset, width, &wide);

	*value = (uint32_t)wide;
	return rc;
}

int vfc_pci_caps(struct vfc_device *device, struct vfc_pci_cap *caps, size_t count)
{
	struct caps_source source = {.read = read_config, .cookie = device, .name = device->name};
	struct region *config;
	int rc = check_access(device, VFC_REGION_CONFIG, 0, 64, VFIO_REGION_INFO_FLAG_READ, &config);

	if (rc == 0) {
		source.length = (uint32_t)config->length;
		rc = caps_walk(&source, caps, count);
	}
	return vfc_done(rc);
}
