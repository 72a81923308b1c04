/* SPDX-License-Identifier: MIT */
/* Objects of iommufd: drivers/iommu/iommufd/{main,ioas,hw_pagetable,eventq,viommu}.c. */
#include <errno.h>
#include <string.h>

#include "mock.h"
#include "test.h"

/* Ids are given out lowest first, from 1 (XA_FLAGS_ALLOC1). */
uint32_t mock_object(struct mock_file *file, uint32_t kind, uint32_t parent)
{
	uint32_t id = 1;

	while (file->objects[id].kind)
		CHECK(++id < MOCK_OBJECTS);
	memset(&file->objects[id], 0, sizeof(file->objects[id]));
	file->objects[id].kind = kind;
	file->objects[id].parent = parent;
	if (parent)
		file->objects[parent].users++;
	return id;
}

bool mock_is(const struct mock_file *file, uint32_t id, uint32_t kind)
{
	return id && id < MOCK_OBJECTS && file->objects[id].kind == kind;
}

static bool is_ioas(const struct mock_file *file, uint32_t id)
{
	return mock_is(file, id, IOMMU_IOAS_ALLOC);
}

static int destroy(struct mock_file *file, uint32_t id)
{
	uint32_t parent;

	if (!id || id >= MOCK_OBJECTS || !file->objects[id].kind)
		return -ENOENT;
	if (file->objects[id].users || file->objects[id].kind == VFIO_DEVICE_BIND_IOMMUFD)
		return -EBUSY;
	if (is_ioas(file, id))
		mock_unmap(file, id, 0, UINT64_MAX, 0);
	parent = file->objects[id].parent;
	if (parent)
		file->objects[parent].users--;
	file->objects[id].kind = 0;
	mock_note("destroy %u;", id);
	return 0;
}

static int ranges(const struct mock_file *file, struct iommu_ioas_iova_ranges *request)
{
	static const struct vfio_iova_range whole = {0, (UINT64_C(1) << 48) - 1};
	const struct vfio_iova_range *from = mock.range_count ? mock.ranges : &whole;
	uint32_t count = mock.range_count ? (uint32_t)mock.range_count : 1, room = request->num_iovas;

	if (!is_ioas(file, request->ioas_id))
		return -ENOENT;
	if (room)
		memcpy((void *)(uintptr_t)request->allowed_iovas, from,
		       (room < count ? room : count) * sizeof(*from));
	request->num_iovas = count;
	request->out_iova_alignment = mock.page_sizes & -mock.page_sizes;
	return room < count ? -EMSGSIZE : 0;
}

/* Without a fixed IOVA the kernel takes the lowest that is free, from its page size on. */
static uint64_t place(const struct mock_file *file, uint64_t ioas, uint64_t length)
{
	uint64_t iova = MOCK_PAGE;

	for (size_t i = 0; i < file->map_count; i++)
		if (file->maps[i].ioas == ioas && file->maps[i].iova < iova + length &&
		    iova < file->maps[i].iova + file->maps[i].length) {
			iova = file->maps[i].iova + file->maps[i].length;
			i = (size_t)-1;
		}
	return iova;
}

static int map(struct mock_file *file, uint32_t ioas, uint64_t va, uint64_t *iova, uint64_t length,
	       uint32_t flags, bool file_memory)
{
	int rc;

	if (!is_ioas(file, ioas))
		return -ENOENT;
	if (flags & ~(uint32_t)(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
				IOMMU_IOAS_MAP_READABLE))
		return -EOPNOTSUPP;
	if (!(flags & IOMMU_IOAS_MAP_FIXED_IOVA))
		*iova = place(file, ioas, length);
	rc = mock_map(file, ioas, va, *iova, length, flags, file_memory);
	if (rc == 0)
		mock_note("%s %u %" PRIx64 "+%" PRIx64 ";", file_memory ? "map file" : "map", ioas, *iova,
			  length);
	return rc;
}

static int copy(struct mock_file *file, struct iommu_ioas_copy *request)
{
	uint64_t last = request->src_iova + (request->length - 1);

	for (size_t i = 0; i < file->map_count; i++) {
		const struct mock_map *from = &file->maps[i];

		if (from->ioas == request->src_ioas_id && from->iova <= request->src_iova &&
		    last <= from->iova + (from->length - 1))
			return map(file, request->dst_ioas_id, 0, &request->dst_iova, request->length,
				   request->flags, true);
	}
	return -ENOENT;
}

static int unmap(struct mock_file *file, struct iommu_ioas_unmap *request)
{
	int64_t bytes;

	if (!is_ioas(file, request->ioas_id))
		return -ENOENT;
	if (!request->length)
		return -EINVAL;
	bytes = mock_unmap(file, request->ioas_id, request->iova, request->length, ENOENT);
	/* All of it is fine where nothing is mapped; a range is not. */
	if (bytes < 0 || (!bytes && (request->iova || request->length != UINT64_MAX)))
		return -ENOENT;
	mock_note("unmap %u %" PRIx64 "+%" PRIx64 ";", request->ioas_id, request->iova, request->length);
	request->length = (uint64_t)bytes;
	return 0;
}

static int get_pa(const struct mock_file *file, struct iommu_ioas_noiommu_get_pa *request)
{
	for (size_t i = 0; i < file->map_count; i++) {
		const struct mock_map *it = &file->maps[i];

		if (it->ioas != request->ioas_id || request->iova < it->iova ||
		    request->iova > it->iova + (it->length - 1))
			continue;
		request->out_phys = (it->va & 0xffffffffff) + 0x100000000000 + request->iova - it->iova;
		if (mock.together && request->length > mock.together)
			request->length = mock.together;
		return 0;
	}
	return -ENOENT;
}

static int hwpt_alloc(struct mock_file *file, struct iommu_hwpt_alloc *request)
{
	if (!mock_is(file, request->dev_id, VFIO_DEVICE_BIND_IOMMUFD) ||
	    (!is_ioas(file, request->pt_id) && !mock_is(file, request->pt_id, IOMMU_HWPT_ALLOC)))
		return -ENOENT;
	request->out_hwpt_id = mock_object(file, IOMMU_HWPT_ALLOC, request->pt_id);
	file->objects[request->out_hwpt_id].flags = request->flags;
	mock_note("table %u flags %x;", request->out_hwpt_id, request->flags);
	return 0;
}

static int track(struct mock_file *file, const struct iommu_hwpt_set_dirty_tracking *request)
{
	if (!mock_is(file, request->hwpt_id, IOMMU_HWPT_ALLOC))
		return -ENOENT;
	if (!(file->objects[request->hwpt_id].flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING))
		return -EOPNOTSUPP;
	file->objects[request->hwpt_id].tracks = request->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
	mock_note("track %u %u;", request->hwpt_id, request->flags);
	return 0;
}

/* The first page of each range was written to. */
static int bitmap(struct mock_file *file, const struct iommu_hwpt_get_dirty_bitmap *request)
{
	if (!mock_is(file, request->hwpt_id, IOMMU_HWPT_ALLOC))
		return -ENOENT;
	if (!file->objects[request->hwpt_id].tracks)
		return -EINVAL;
	*(uint64_t *)(uintptr_t)request->data |= 1;
	mock_note("bitmap %u flags %x;", request->hwpt_id, request->flags);
	return 0;
}

static int hw_info(const struct mock_file *file, struct iommu_hw_info *request)
{
	if (!mock_is(file, request->dev_id, VFIO_DEVICE_BIND_IOMMUFD))
		return -ENOENT;
	for (int i = 0; i < MOCK_DEVICES; i++)
		if (mock.devices[i].id == request->dev_id && mock.devices[i].noiommu)
			return -EOPNOTSUPP;
	request->out_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	request->out_capabilities = IOMMU_HW_CAP_DIRTY_TRACKING;
	request->out_max_pasid_log2 = 20;
	request->data_len = 16;
	return 0;
}

static int option(struct iommu_option *request)
{
	if (request->option_id > IOMMU_OPTION_HUGE_PAGES)
		return -EOPNOTSUPP;
	if (request->op == IOMMU_OPTION_OP_GET)
		request->val64 = request->option_id;
	else
		mock_note("option %u of %u = %" PRIu64 ";", request->option_id, request->object_id,
			  request->val64);
	return 0;
}

static int compat(struct mock_file *file, struct iommu_vfio_ioas *request)
{
	switch (request->op) {
	case IOMMU_VFIO_IOAS_GET:
		request->ioas_id = file->compat;
		return file->compat ? 0 : -ENODEV;
	case IOMMU_VFIO_IOAS_SET:
		if (!is_ioas(file, request->ioas_id))
			return -ENOENT;
		file->compat = request->ioas_id;
		return 0;
	case IOMMU_VFIO_IOAS_CLEAR:
		file->compat = 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static uint32_t buffer(void)
{
	return (uint32_t)mock_new_fd(mock_new_file(MOCK_BUFFER, 0), -1);
}

/* What a virtual machine gets: the kinds of objects, without what they do. */
static int virtual_object(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_fault_alloc *faults = argument;
	struct iommu_viommu_alloc *viommu = argument;
	struct iommu_vdevice_alloc *vdevice = argument;
	struct iommu_veventq_alloc *events = argument;
	struct iommu_hw_queue_alloc *queue = argument;

	switch (request) {
	case IOMMU_FAULT_QUEUE_ALLOC:
		faults->out_fault_id = mock_object(file, (uint32_t)request, 0);
		faults->out_fault_fd = buffer();
		return 0;
	case IOMMU_VIOMMU_ALLOC:
		viommu->out_viommu_id = mock_object(file, (uint32_t)request, viommu->hwpt_id);
		return 0;
	case IOMMU_VDEVICE_ALLOC:
		vdevice->out_vdevice_id = mock_object(file, (uint32_t)request, vdevice->viommu_id);
		mock_note("vdevice %" PRIx64 ";", vdevice->virt_id);
		return 0;
	case IOMMU_VEVENTQ_ALLOC:
		events->out_veventq_id = mock_object(file, (uint32_t)request, events->viommu_id);
		events->out_veventq_fd = buffer();
		mock_note("events %u deep %u;", events->type, events->veventq_depth);
		return 0;
	case IOMMU_HW_QUEUE_ALLOC:
		queue->out_hw_queue_id = mock_object(file, (uint32_t)request, queue->viommu_id);
		mock_note("queue %u at %" PRIx64 "+%" PRIx64 ";", queue->index, queue->nesting_parent_iova,
			  queue->length);
		return 0;
	default:
		return mock_compat(file, request, argument);
	}
}

int mock_iommufd(struct mock_file *file, unsigned long request, void *argument)
{
	struct iommu_ioas_alloc *ioas = argument;
	struct iommu_ioas_allow_iovas *allow = argument;
	struct iommu_ioas_map *memory = argument;
	struct iommu_ioas_map_file *of_file = argument;

	switch (request) {
	case IOMMU_DESTROY:
		return destroy(file, ((struct iommu_destroy *)argument)->id);
	case IOMMU_IOAS_ALLOC:
		ioas->out_ioas_id = mock_object(file, IOMMU_IOAS_ALLOC, 0);
		mock_note("ioas %u;", ioas->out_ioas_id);
		return 0;
	case IOMMU_IOAS_ALLOW_IOVAS:
		mock_note("allow %u;", allow->num_iovas);
		return is_ioas(file, allow->ioas_id) ? 0 : -ENOENT;
	case IOMMU_IOAS_IOVA_RANGES:
		return ranges(file, argument);
	case IOMMU_IOAS_MAP:
		return map(file, memory->ioas_id, memory->user_va, &memory->iova, memory->length,
			   memory->flags, false);
	case IOMMU_IOAS_MAP_FILE:
		return map(file, of_file->ioas_id, 0, &of_file->iova, of_file->length, of_file->flags, true);
	case IOMMU_IOAS_COPY:
		return copy(file, argument);
	case IOMMU_IOAS_UNMAP:
		return unmap(file, argument);
	case IOMMU_IOAS_NOIOMMU_GET_PA:
		return get_pa(file, argument);
	case IOMMU_IOAS_CHANGE_PROCESS:
		return 0;
	case IOMMU_OPTION:
		return option(argument);
	case IOMMU_VFIO_IOAS:
		return compat(file, argument);
	case IOMMU_HWPT_ALLOC:
		return hwpt_alloc(file, argument);
	case IOMMU_HWPT_SET_DIRTY_TRACKING:
		return track(file, argument);
	case IOMMU_HWPT_GET_DIRTY_BITMAP:
		return bitmap(file, argument);
	case IOMMU_GET_HW_INFO:
		return hw_info(file, argument);
	default:
		return virtual_object(file, request, argument);
	}
}
