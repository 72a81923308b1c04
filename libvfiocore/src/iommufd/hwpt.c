/* SPDX-License-Identifier: MIT */
/*
 * Page tables of the hardware, what the hardware can do, and which pages devices wrote.
 * Source: drivers/iommu/iommufd/hw_pagetable.c, device.c, io_pagetable.c.
 */
#include <vfiocore/iommufd.h>

#include "base/memlock.h"
#include "base/sized.h"
#include "iommufd/request.h"

static int get_hw_info(int iommufd, struct iommu_hw_info *request)
{
	request->size = sizeof(*request);
	return sys_ioctl(iommufd, IOMMU_GET_HW_INFO, request);
}

int vfc_iommufd_hw_info(int iommufd, uint32_t device, struct vfc_iommufd_hw_info *info, void *data,
			uint32_t length)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no device of that id"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		 "no IOMMU translates for this device, or it has no info of the type that is wanted"},
		{0},
	};
	struct iommu_hw_info request = {
		.dev_id = device,
		.data_len = length,
		.data_uptr = (uintptr_t)data,
	};
	struct vfc_iommufd_hw_info now = {0};
	int rc;

	if (!info || (length && !data))
		return vfc_done(request_invalid("info is NULL, or data is NULL and length is not 0"));
	rc = ANSWER_CHECK(vfc_iommufd_hw_info, info);
	if (rc < 0)
		return vfc_done(rc);
	request.flags = info->type ? IOMMU_HW_INFO_FLAG_INPUT_TYPE : 0;
	request.out_data_type = info->type;
	rc = get_hw_info(iommufd, &request);
	if (rc < 0)
		return vfc_done(request_failed(rc, iommufd, REQUEST(IOMMU_GET_HW_INFO, "6.6"),
					       WHERE(.object = OBJECT("device", device)), meanings));
	now.type = request.out_data_type;
	now.capabilities = request.out_capabilities;
	now.pasid_bits = request.out_max_pasid_log2;
	now.data_length = request.data_len;
	sized_answer(info, &now, sizeof(now));
	return 0;
}

/* Find out which of the things that were asked for this IOMMU does not have, by asking it. */
static const char *missing(int iommufd, uint32_t device, const struct iommu_hwpt_alloc *request)
{
	struct iommu_hw_info info = {.dev_id = device};
	bool known = get_hw_info(iommufd, &info) == 0;

	if (!known && request->flags)
		return "no IOMMU translates for this device: its page tables have no flags";
	if ((request->flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) &&
	    !(info.out_capabilities & IOMMU_HW_CAP_DIRTY_TRACKING))
		return "this IOMMU cannot track what devices write (the hardware info's capabilities "
		       "do not have DIRTY_TRACKING)";
	if ((request->flags & IOMMU_HWPT_ALLOC_NEST_PARENT) &&
	    (request->flags & IOMMU_HWPT_FAULT_ID_VALID))
		return "a nest parent has no fault queue: give it to the nested page table";
	if (request->flags & IOMMU_HWPT_ALLOC_NEST_PARENT)
		return "this IOMMU, or the kernel's driver for it, cannot nest page tables";
	if (request->data_type != IOMMU_HWPT_DATA_NONE)
		return "this IOMMU does not know nested page tables of that data type";
	if (request->flags & IOMMU_HWPT_ALLOC_PASID)
		return "this IOMMU has no page tables for PASIDs, or the kernel is before 6.14";
	return "this kernel or IOMMU does not know one of the flags, or a nested page table has no data";
}

static int hwpt_failed(int rc, int iommufd, const struct iommu_hwpt_alloc *request)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such device or fault queue"},
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the parent is no address space, nest parent or vIOMMU of this device's IOMMU; or there "
		 "is data without a type, or a type without data"},
		{EFAULT, VFC_REASON_BAD_MEMORY,
		 "the data, or memory that the address space maps, is not mapped in this process"},
		{0},
	};
	struct object name = object_name("device", request->dev_id);
	struct error_where where = WHERE("IOMMU_HWPT_ALLOC", name.text);

	if (rc == -EOPNOTSUPP)
		return vfc_fail(rc, VFC_REASON_UNSUPPORTED, where, "%s",
				missing(iommufd, request->dev_id, request));
	if (rc == -ENOMEM)
		return memlock_failed(rc, where, 0);
	return request_failed(rc, iommufd, REQUEST(IOMMU_HWPT_ALLOC, "6.6"), where, meanings);
}

int vfc_iommufd_hwpt_alloc(int iommufd, uint32_t device, uint32_t parent,
			   const struct vfc_iommufd_hwpt_opts *opts, uint32_t *hwpt)
{
	struct vfc_iommufd_hwpt_opts own;
	struct iommu_hwpt_alloc request = {.size = sizeof(request), .dev_id = device, .pt_id = parent};
	int rc;

	opts = OPTIONS(vfc_iommufd_hwpt_opts, opts, &own);
	if (!opts)
		return vfc_done(OPTIONS_REFUSED);
	if (!hwpt || (opts->data_length && !opts->data))
		return vfc_done(request_invalid(
			"hwpt is NULL, or opts->data is NULL and its length is not 0"));
	if (opts->flags & IOMMU_HWPT_FAULT_ID_VALID)
		return vfc_done(request_invalid("opts->flags are of enum vfc_iommufd_hwpt_flags"));
	request.flags = opts->flags | (opts->fault ? IOMMU_HWPT_FAULT_ID_VALID : 0);
	request.fault_id = opts->fault;
	request.data_type = opts->data_type;
	request.data_len = opts->data_length;
	request.data_uptr = (uintptr_t)opts->data;
	rc = sys_ioctl(iommufd, IOMMU_HWPT_ALLOC, &request);
	if (rc < 0)
		return vfc_done(hwpt_failed(rc, iommufd, &request));
	*hwpt = request.out_hwpt_id;
	return 0;
}

#define NOT_TRACKED "the page table was not made with DIRTY_TRACKING"

int vfc_iommufd_hwpt_dirty(int iommufd, uint32_t hwpt, bool on)
{
	static const struct meaning meanings[] = {
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOT_TRACKED},
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such page table, or it is a nested one"},
		{0},
	};
	struct iommu_hwpt_set_dirty_tracking request = {
		.size = sizeof(request),
		.flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
		.hwpt_id = hwpt,
	};

	return vfc_done(request_make(iommufd, REQUEST(IOMMU_HWPT_SET_DIRTY_TRACKING, "6.7"), &request,
				     WHERE(.object = OBJECT("hwpt", hwpt)), meanings));
}

/*
 * The kernel counts pages by shifts, so their size must be a power of two. It writes whole words of
 * the bitmap.
 */
static int check_dirty(const struct vfc_iommufd_dirty *range, const uint64_t *bitmap)
{
	uint64_t page = range ? range->page_size : 0;

	if (!range || !bitmap)
		return request_invalid("range or bitmap is NULL");
	if (range->flags & ~(uint32_t)VFC_IOMMUFD_DIRTY_KEEP)
		return request_invalid("range->flags are of enum vfc_iommufd_dirty_flags");
	if (!page || page & (page - 1))
		return request_invalid("range->page_size is a power of two");
	if (!range->length || range->iova % page || range->length % page)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT,
				WHERE(AT_IOVA(range->iova, range->length)),
				"IOVA and length are multiples of the page size, %" PRIu64
				" bytes, and not 0",
				page);
	return 0;
}

int vfc_iommufd_hwpt_dirty_bitmap(int iommufd, uint32_t hwpt, const struct vfc_iommufd_dirty *range,
				  uint64_t *bitmap)
{
	static const struct meaning meanings[] = {
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOT_TRACKED},
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such page table, or it is a nested one"},
		{EINVAL, VFC_REASON_ALIGNMENT, "IOVA and length are no multiples of the IOMMU's page"},
		{0},
	};
	struct iommu_hwpt_get_dirty_bitmap request = {
		.size = sizeof(request),
		.hwpt_id = hwpt,
		.data = (uintptr_t)bitmap,
	};
	struct vfc_iommufd_dirty own;
	int rc;

	if (range) {
		range = OPTIONS_OF(sizeof(own), vfc_iommufd_dirty, range, &own);
		if (!range)
			return vfc_done(OPTIONS_REFUSED);
	}
	rc = check_dirty(range, bitmap);
	if (rc < 0)
		return vfc_done(rc);
	request.flags = range->flags & VFC_IOMMUFD_DIRTY_KEEP ? IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR : 0;
	request.iova = range->iova;
	request.length = range->length;
	request.page_size = range->page_size;
	return vfc_done(request_make(iommufd, REQUEST(IOMMU_HWPT_GET_DIRTY_BITMAP, "6.7"), &request,
				     WHERE(.object = OBJECT("hwpt", hwpt),
					   AT_IOVA(range->iova, range->length)),
				     meanings));
}

int vfc_iommufd_invalidate(int iommufd, uint32_t object, uint32_t type, const void *entries,
			   uint32_t entry_size, uint32_t *count)
{
	struct iommu_hwpt_invalidate request = {
		.size = sizeof(request),
		.hwpt_id = object,
		.data_uptr = (uintptr_t)entries,
		.data_type = type,
		.entry_len = entry_size,
	};
	uint32_t wanted = count ? *count : 0;
	struct object name = object_name("object", object);
	struct error_where where = WHERE("IOMMU_HWPT_INVALIDATE", name.text);
	int rc;

	if (!count || (wanted && (!entries || !entry_size)))
		return vfc_done(request_invalid("count is NULL, or there are entries without memory"));
	request.entry_num = wanted;
	rc = sys_ioctl(iommufd, IOMMU_HWPT_INVALIDATE, &request);
	/*
	 * A kernel that does not know the request or does not get to it leaves our number in place.
	 */
	*count = rc < 0 && request.entry_num >= wanted ? 0 : request.entry_num;
	if (*count > wanted) {
		*count = 0;
		return vfc_done(vfc_fail(EBADMSG, VFC_REASON_MALFORMED, where,
					 "the kernel says that it dealt with %u entries of %u",
					 request.entry_num, wanted));
	}
	if (rc == 0 || rc == -ENOTTY || rc == -EBADF || rc == -ENOENT)
		return vfc_done(rc < 0 ? request_failed(rc, iommufd,
							REQUEST(IOMMU_HWPT_INVALIDATE, "6.8"), where,
							NULL)
				       : 0);
	return vfc_done(vfc_fail(rc, rc == -EOPNOTSUPP ? VFC_REASON_UNSUPPORTED : VFC_REASON_ARGUMENT,
				 where,
				 "entry %u of %u was refused: the object is no nested page table or "
				 "vIOMMU, or does not know the data type or what the entry says",
				 *count, wanted));
}
