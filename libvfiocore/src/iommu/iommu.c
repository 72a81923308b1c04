/* SPDX-License-Identifier: MIT */
#include "iommu.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "../error.h"
#include "../kernel/sys.h"
#include "iova.h"

/* Natural alignment lets the IOMMU use its large pages; beyond 2 MiB it would waste IOVA space. */
#define ALIGN_MAX (UINT64_C(2) << 20)

struct vfc_iommu {
	const struct transport *ops;
	struct transport_space *space;
	pthread_mutex_t lock; /* all below, and every call through ops with this space */
	struct iova_map map;
	uint64_t page_sizes;
	uint32_t devices;
	uint32_t holders;
};

const char *iommu_transport_name(struct vfc_iommu *iommu)
{
	return iommu->ops->name;
}

static int iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **out)
{
	struct vfc_iommu *iommu;
	int rc;

	if (opts && opts->size < sizeof(*opts))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->size is %u, set it to sizeof(struct vfc_iommu_opts)",
				opts->size);
	iommu = sys_alloc(sizeof(*iommu));
	if (!iommu)
		return vfc_no_memory();
	rc = transport_find(opts ? opts->transport : NULL, NULL, &iommu->ops);
	if (rc == 0)
		rc = iommu->ops->space_open(&iommu->space);
	if (rc < 0) {
		free(iommu);
		return rc;
	}
	pthread_mutex_init(&iommu->lock, NULL);
	*out = iommu;
	return 0;
}

int vfc_iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu)
{
	return vfc_done(iommu_open(opts, iommu));
}

static int unmap_one(struct vfc_iommu *iommu, const struct vfc_mapping *mapping)
{
	int rc = iommu->ops->unmap(iommu->space, mapping->iova, mapping->length);

	if (rc == 0)
		iova_remove(&iommu->map, mapping->iova);
	return rc;
}

int vfc_iommu_close(struct vfc_iommu *iommu)
{
	uint32_t devices, holders;

	if (!iommu)
		return 0;
	pthread_mutex_lock(&iommu->lock);
	devices = iommu->devices;
	holders = iommu->holders;
	pthread_mutex_unlock(&iommu->lock);
	if (devices || holders)
		return vfc_done(vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
					 "%u devices are attached and %u DMA buffers or map caches live: close them first",
					 devices, holders));
	/* Closing the space drops its mappings, whatever became of them before. */
	iommu->ops->space_close(iommu->space);
	iova_destroy(&iommu->map);
	pthread_mutex_destroy(&iommu->lock);
	free(iommu);
	return 0;
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
	iova_set_windows(&iommu->map, info.ranges, info.range_count);
	return 0;
}

int iommu_attach(struct vfc_iommu *iommu, const char *name, struct transport_device **device)
{
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = iommu->ops->open(name, iommu->space, device);
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

void iommu_detach(struct vfc_iommu *iommu, struct transport_device *device)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->ops->close(device);
	iommu->devices--;
	pthread_mutex_unlock(&iommu->lock);
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

bool iommu_held(struct vfc_iommu *iommu)
{
	bool held;

	pthread_mutex_lock(&iommu->lock);
	held = iommu->holders > 0;
	pthread_mutex_unlock(&iommu->lock);
	return held;
}

uint32_t iommu_devices(struct vfc_iommu *iommu)
{
	uint32_t devices;

	pthread_mutex_lock(&iommu->lock);
	devices = iommu->devices;
	pthread_mutex_unlock(&iommu->lock);
	return devices;
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

/* "0x0-0xfedfffff, 0xfef00000-0x7fffffffff" */
static void describe_windows(const struct iova_map *map, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < map->window_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s0x%" PRIx64 "-0x%" PRIx64,
					 i ? ", " : "", map->windows[i].start, map->windows[i].end);
}

static int check_memory(const struct vfc_iommu *iommu, const void *va, uint64_t length,
			struct error_where where)
{
	uint64_t page = iommu->page_sizes & -iommu->page_sizes;

	/* What was known of the page table went with the last device. */
	if (!iommu->devices)
		return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, where,
				"no device is attached to this space, so the kernel has no page "
				"table to map in: open a device first");
	if (!length)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where, "a mapping of 0 bytes was asked for");
	if ((uintptr_t)va % page || length % page)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"address %p and length %" PRIu64 " must be multiples of the IOMMU's page, %" PRIu64
				" bytes",
				va, length, page);
	if ((uintptr_t)va + length < length)
		return vfc_fail(EINVAL, VFC_REASON_BAD_MEMORY, where,
				"the memory runs past the end of the address space");
	return 0;
}

static int place_fixed(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
		       const struct vfc_map_opts *opts, struct error_where where)
{
	uint64_t page = iommu->page_sizes & -iommu->page_sizes;
	uint64_t align = opts->align > page ? opts->align : page;
	char windows[200];

	if (iova % align)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"the IOVA must be a multiple of %" PRIu64, align);
	if (opts->highest && (iova > opts->highest || length - 1 > opts->highest - iova))
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the range ends above 0x%" PRIx64 ", the highest that was asked for",
				opts->highest);
	if (!iova_in_window(&iommu->map, iova, length)) {
		describe_windows(&iommu->map, windows, sizeof(windows));
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the IOMMU and its reserved ranges (MSI and others) leave these windows: %s",
				windows);
	}
	if (iova_overlaps(&iommu->map, iova, length))
		return vfc_fail(EEXIST, VFC_REASON_IOVA, where, "a mapping is there already");
	return 0;
}

static uint64_t natural_align(uint64_t length, uint64_t page)
{
	uint64_t align = page;

	while (align < length && align < ALIGN_MAX)
		align <<= 1;
	return align;
}

static int place(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		 uint64_t *iova, struct error_where where)
{
	uint64_t page = iommu->page_sizes & -iommu->page_sizes;
	uint64_t highest = opts->highest ? opts->highest : UINT64_MAX;
	uint64_t align = opts->align ? opts->align : natural_align(length, page);
	char windows[200];

	if (align & (align - 1))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"the alignment %" PRIu64 " is not a power of two", align);
	if (iova_allocate(&iommu->map, length, align < page ? page : align, highest, iova))
		return 0;
	describe_windows(&iommu->map, windows, sizeof(windows));
	return vfc_fail(ENOSPC, VFC_REASON_OUT_OF_IOVA, where,
			"no free range aligned to 0x%" PRIx64 " up to 0x%" PRIx64
			" in the windows %s; %zu mappings live",
			align, highest, windows, iommu->map.count);
}

static int map_locked(struct vfc_iommu *iommu, void *va, uint64_t length, uint64_t *iova,
		      const struct vfc_map_opts *opts)
{
	uint32_t access = opts->flags & (VFC_MAP_READ | VFC_MAP_WRITE);
	bool fixed = opts->flags & VFC_MAP_FIXED;
	uint64_t place_at = fixed ? *iova : 0;
	struct error_where where = WHERE(.iova = place_at, .length = length);
	int rc = check_memory(iommu, va, length, where);

	if (!access)
		access = VFC_MAP_READ | VFC_MAP_WRITE;
	if (rc == 0)
		rc = fixed ? place_fixed(iommu, place_at, length, opts, where)
			   : place(iommu, length, opts, &place_at, where);
	if (rc == 0)
		rc = iova_reserve(&iommu->map);
	if (rc == 0)
		rc = iommu->ops->map(iommu->space, va, place_at, length,
				     (access & VFC_MAP_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
					     (access & VFC_MAP_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0));
	if (rc < 0)
		return rc;
	iova_insert(&iommu->map, &(struct vfc_mapping){.iova = place_at, .length = length,
						       .va = va, .flags = access});
	*iova = place_at;
	return 0;
}

int vfc_iommu_map(struct vfc_iommu *iommu, void *va, uint64_t length, uint64_t *iova,
		  const struct vfc_map_opts *opts)
{
	static const struct vfc_map_opts defaults = {.size = sizeof(defaults)};
	int rc;

	if (!opts)
		opts = &defaults;
	if (opts->size < sizeof(*opts) ||
	    opts->flags & ~(uint32_t)(VFC_MAP_READ | VFC_MAP_WRITE | VFC_MAP_FIXED))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "opts->size is %u and must be sizeof(struct vfc_map_opts); "
					 "opts->flags is 0x%x",
					 opts->size, opts->flags));
	pthread_mutex_lock(&iommu->lock);
	rc = map_locked(iommu, va, length, iova, opts);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(rc);
}

static int unmap_locked(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct vfc_mapping mapping;
	struct error_where where = WHERE(.iova = iova, .length = length);

	if (!iova_find(&iommu->map, iova, &mapping))
		return vfc_fail(ENOENT, VFC_REASON_IOVA, where, "nothing is mapped there");
	if (mapping.iova != iova || mapping.length != length)
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the mapping there begins at 0x%" PRIx64 " and has %" PRIu64
				" bytes; it is unmapped whole or not at all",
				mapping.iova, mapping.length);
	return unmap_one(iommu, &mapping);
}

int vfc_iommu_unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = unmap_locked(iommu, iova, length);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(rc);
}

int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova)
{
	struct vfc_mapping mapping;
	int rc = 0;

	pthread_mutex_lock(&iommu->lock);
	/* By its address, too: another mapping may have the place meanwhile. */
	if (iova_find(&iommu->map, iova, &mapping) && mapping.iova == iova && mapping.va == va)
		rc = unmap_one(iommu, &mapping);
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

int64_t vfc_iommu_unmap_all(struct vfc_iommu *iommu)
{
	struct vfc_mapping mapping;
	uint64_t bytes;
	int rc = 0;

	pthread_mutex_lock(&iommu->lock);
	bytes = iommu->map.bytes;
	while (rc == 0 && iova_first(&iommu->map, &mapping))
		rc = unmap_one(iommu, &mapping);
	pthread_mutex_unlock(&iommu->lock);
	if (rc < 0)
		return vfc_done(rc);
	return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

int vfc_iommu_find_iova(struct vfc_iommu *iommu, uint64_t iova, struct vfc_mapping *mapping)
{
	bool found;

	pthread_mutex_lock(&iommu->lock);
	found = iova_find(&iommu->map, iova, mapping);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(found ? 0
			      : vfc_fail(ENOENT, VFC_REASON_IOVA, NOWHERE,
					 "nothing is mapped at IOVA 0x%" PRIx64, iova));
}

int vfc_iommu_find_va(struct vfc_iommu *iommu, const void *va, struct vfc_mapping *mapping)
{
	bool found;

	pthread_mutex_lock(&iommu->lock);
	found = iova_find_va(&iommu->map, va, mapping);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(found ? 0
			      : vfc_fail(ENOENT, VFC_REASON_IOVA, NOWHERE,
					 "the memory at %p is not mapped", va));
}
