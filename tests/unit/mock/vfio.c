/* SPDX-License-Identifier: MIT */
/* Nodes, groups and containers: drivers/vfio/{group,container,vfio_iommu_type1}.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mock.h"
#include "test.h"

static int open_group(int i)
{
	struct mock_group *group = &mock.groups[i];

	if (group->opened)
		return -EBUSY; /* one descriptor a group: vfio_group_fops_open() */
	group->opened = mock_new_file(MOCK_GROUP, i);
	mock_note("open %d;", group->number);
	return mock_new_fd(group->opened, -1);
}

/* Any number of descriptors, of which one can be bound. */
static int open_cdev(int i)
{
	mock_note("open vfio%d;", i);
	mock.devices[i].opened++;
	return mock_new_fd(mock_new_file(MOCK_CDEV, i), mock.devices[i].memory);
}

int mock_open_node(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	bool noiommu = !strncmp(name, "noiommu-", 8);
	int number;

	if (!strcmp(path, "/dev/iommu"))
		return mock_new_fd(mock_new_file(MOCK_IOMMUFD, 0), -1);
	if (!strcmp(path, "/dev/vfio/vfio"))
		return mock_new_fd(mock_new_file(MOCK_CONTAINER, 0), -1);
	name += noiommu ? 8 : 0;
	if (sscanf(path, "/dev/vfio/devices/%*[a-z-]%d", &number) == 1)
		return number < MOCK_DEVICES && mock.devices[number].cdev ? open_cdev(number) : -ENOENT;
	number = mock_find_group(atoi(name));
	return number >= 0 && mock.groups[number].noiommu == noiommu ? open_group(number) : -ENOENT;
}

/* Its maps go with the container's last group (vfio_group_detach_container()). */
static void leave_container(struct mock_group *group)
{
	struct mock_file *container = group->container;

	group->container = NULL;
	for (int i = 0; i < MOCK_GROUPS; i++)
		if (mock.groups[i].container == container)
			container = NULL;
	if (container && container->kind == MOCK_CONTAINER) {
		container->type = 0;
		container->tracks = false;
		mock_unmap(container, 0, 0, UINT64_MAX, 0);
	}
}

void mock_group_gone(struct mock_file *file)
{
	struct mock_group *group = &mock.groups[file->index];
	struct mock_file *container = group->container;

	mock_note("leave %d;", group->number);
	group->opened = NULL;
	if (!container)
		return;
	leave_container(group);
	mock_put(container);
}

static int set_container(struct mock_group *group, int fd)
{
	struct mock_file *container = mock_file(fd);

	if (group->container)
		return -EINVAL;
	if (!container)
		return -EBADF;
	if (container->kind != MOCK_CONTAINER && container->kind != MOCK_IOMMUFD)
		return -EBADFD;
	if (group->unviable)
		return -EBUSY;
	for (int i = 0; i < MOCK_GROUPS; i++)
		if (mock.groups[i].container == container && mock.groups[i].noiommu != group->noiommu)
			return -EPERM;
	group->container = container;
	mock_hold(container);
	/* iommufd makes the address space of the first group (iommufd_vfio_compat_ioas_create()). */
	if (container->kind == MOCK_IOMMUFD && !container->compat)
		container->compat = mock_object(container, IOMMU_IOAS_ALLOC, 0);
	mock_note("join %d;", group->number);
	return 0;
}

/* "NAME" or "NAME vf_token=UUID". */
static int get_device(struct mock_group *group, const char *words)
{
	size_t length = strcspn(words, " ");
	struct mock_file *file;

	if (!group->container || (group->container->kind == MOCK_CONTAINER && !group->container->type))
		return -EINVAL;
	for (int i = 0; i < MOCK_DEVICES; i++) {
		struct mock_device *device = &mock.devices[i];

		if (!device->name || strlen(device->name) != length ||
		    strncmp(device->name, words, length) || device->group != group->number)
			continue;
		mock_note("device %s;", words);
		device->opened++;
		file = mock_new_file(MOCK_DEVICE, i);
		mock_hold(group->opened);
		return mock_new_fd(file, device->memory);
	}
	return -ENODEV;
}

int mock_group(struct mock_file *file, unsigned long request, void *argument)
{
	struct mock_group *group = &mock.groups[file->index];
	struct vfio_group_status *status = argument;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = group->unviable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		status->flags |= group->container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		return set_container(group, *(int *)argument);
	case VFIO_GROUP_GET_DEVICE_FD:
		return get_device(group, argument);
	default:
		return -ENOTTY;
	}
}

static bool has_group(const struct mock_file *container)
{
	for (int i = 0; i < MOCK_GROUPS; i++)
		if (mock.groups[i].container == container)
			return true;
	return false;
}

static int set_iommu(struct mock_file *file, uint32_t type)
{
	if (!has_group(file) || file->type)
		return -EINVAL;
	if (type > 31 || !(mock.types & 1u << type))
		return -ENODEV;
	file->type = type;
	mock_note("type %u;", type);
	return 0;
}

/* A chain as vfio_info_cap_add() makes it; before Linux 6.6 it did not align what it added. */
static uint32_t add_cap(uint8_t *bytes, uint32_t used, uint32_t *link, const void *cap, size_t size)
{
	uint32_t at = used + (mock.unaligned ? 4 : 0);

	if (!mock.unaligned)
		at = (at + 7) & ~7u;
	*link = at;
	memcpy(bytes + at, cap, size);
	return at + (uint32_t)size;
}

static int get_info(const struct mock_file *file, struct vfio_iommu_type1_info *info)
{
	struct {
		struct vfio_info_cap_header header;
		uint32_t count, reserved;
		struct vfio_iova_range ranges[MOCK_RANGES];
	} ranges = {{VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0}, 1, 0, {{0, (UINT64_C(1) << 48) - 1}}};
	struct vfio_iommu_type1_info_dma_avail avail = {
		{VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, 0},
		file->kind == MOCK_IOMMUFD ? UINT32_MAX : (uint32_t)(mock.entry_limit - file->map_count)};
	uint8_t bytes[sizeof(*info) + sizeof(ranges) + sizeof(avail) + 16] = {0};
	uint32_t room = info->argsz, used = sizeof(*info), first = 0, next = 0;

	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	info->iova_pgsizes = mock.page_sizes;
	info->cap_offset = 0;
	if (mock.no_caps)
		return 0;
	if (mock.range_count) {
		ranges.count = (uint32_t)mock.range_count;
		memcpy(ranges.ranges, mock.ranges, sizeof(ranges.ranges));
	}
	used = add_cap(bytes, used, &first, &ranges,
		       sizeof(ranges) - (MOCK_RANGES - ranges.count) * sizeof(*ranges.ranges));
	used = add_cap(bytes, used, &next, &avail, sizeof(avail));
	memcpy(bytes + first + offsetof(struct vfio_info_cap_header, next), &next, sizeof(next));
	info->flags |= VFIO_IOMMU_INFO_CAPS;
	info->argsz = used;
	if (room < used)
		return 0;
	info->cap_offset = first;
	memcpy((uint8_t *)info + sizeof(*info), bytes + sizeof(*info), used - sizeof(*info));
	return 0;
}

static int map_dma(struct mock_file *file, const struct vfio_iommu_type1_dma_map *map)
{
	int rc;

	if (map->argsz < sizeof(*map) ||
	    map->flags & ~(uint32_t)(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) || !map->flags)
		return -EINVAL;
	rc = mock_map(file, file->compat, map->vaddr, map->iova, map->size, map->flags, false);
	if (rc == 0)
		mock_note("map %" PRIx64 "+%" PRIx64 ";", map->iova, map->size);
	return rc;
}

/* An edge within a mapping is EINVAL for type1 version 2; what is not mapped is no error, but 0. */
static int unmap_dma(struct mock_file *file, struct vfio_iommu_type1_dma_unmap *unmap)
{
	bool iommufd = file->kind == MOCK_IOMMUFD;
	int64_t bytes;

	if (unmap->argsz < offsetof(struct vfio_iommu_type1_dma_unmap, data) || unmap->flags)
		return -EINVAL;
	bytes = mock_unmap(file, file->compat, unmap->iova, unmap->size, iommufd ? ENOENT : EINVAL);
	if (bytes < 0 || (bytes == 0 && iommufd))
		return bytes < 0 ? (int)bytes : -ENOENT;
	mock_note("unmap %" PRIx64 "+%" PRIx64 ";", unmap->iova, unmap->size);
	unmap->size = (uint64_t)bytes;
	return 0;
}

static int dirty_pages(struct mock_file *file, struct vfio_iommu_type1_dirty_bitmap *request)
{
	struct vfio_iommu_type1_dirty_bitmap_get get;

	if (file->kind == MOCK_IOMMUFD)
		return -EOPNOTSUPP; /* vfio_compat.c has it not */
	if (file->type != VFIO_TYPE1v2_IOMMU)
		return -EACCES;
	switch (request->flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		file->tracks = request->flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
		mock_note("dirty %s;", file->tracks ? "on" : "off");
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		memcpy(&get, request->data, sizeof(get));
		if (!file->tracks || get.bitmap.pgsize != (mock.page_sizes & -mock.page_sizes))
			return -EINVAL;
		/* All that an IOMMU pins counts as written. */
		for (uint64_t i = 0; i < get.size / get.bitmap.pgsize; i++)
			get.bitmap.data[i / 64] |= UINT64_C(1) << i % 64;
		mock_note("dirty %" PRIx64 "+%" PRIx64 ";", get.iova, get.size);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Any IOMMU driver's types; once there is one, its own (vfio_container_ioctl_check_extension()). */
static bool offers(const struct mock_file *file, uintptr_t type)
{
	bool noiommu = type == VFIO_NOIOMMU_IOMMU;

	if (type > 31 || !(mock.types & 1u << type))
		return false;
	return !file->type || noiommu == (file->type == VFIO_NOIOMMU_IOMMU);
}

int mock_container(struct mock_file *file, unsigned long request, void *argument)
{
	bool noiommu = file->type == VFIO_NOIOMMU_IOMMU;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return offers(file, (uintptr_t)argument);
	case VFIO_SET_IOMMU:
		return set_iommu(file, (uint32_t)(uintptr_t)argument);
	default:
		break;
	}
	/* The rest is the IOMMU driver's, once there is one; that of no IOMMU has nothing. */
	if (!file->type || noiommu)
		return noiommu ? -ENOTTY : -EINVAL;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(file, argument);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(file, argument);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(file, argument);
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(file, argument);
	default:
		return -ENOTTY;
	}
}

/* The container that iommufd plays (vfio_compat.c); its address space is the first group's. */
int mock_compat(struct mock_file *file, unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)argument == VFIO_TYPE1_IOMMU || (uintptr_t)argument == VFIO_TYPE1v2_IOMMU;
	default:
		break;
	}
	if (!file->compat)
		return -ENODEV;
	switch (request) {
	case VFIO_SET_IOMMU:
		file->type = (uint32_t)(uintptr_t)argument;
		mock_note("type %u;", file->type);
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return get_info(file, argument);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(file, argument);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(file, argument);
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(file, argument);
	default:
		return -ENOTTY;
	}
}
