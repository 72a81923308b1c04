/* SPDX-License-Identifier: MIT */
/*
 * The parts of an IOMMU that a virtual machine gets.
 * Source: drivers/iommu/iommufd/viommu.c.
 */
#include <vfiocore/iommufd.h>

#include "iommufd/request.h"

int vfc_iommufd_viommu_alloc(int iommufd, uint32_t device, uint32_t hwpt, uint32_t type, void *data,
			     uint32_t length, uint32_t *viommu)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such device or page table"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		 "the IOMMU of this device has no vIOMMU of that type (the hardware info tells whose it "
		 "is)"},
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the page table is no nest parent, or the data is not what the type has"},
		{0},
	};
	struct iommu_viommu_alloc request = {
		.size = sizeof(request),
		.type = type,
		.dev_id = device,
		.hwpt_id = hwpt,
		.data_len = length,
		.data_uptr = (uintptr_t)data,
	};
	int rc;

	if (!viommu || (length && !data))
		return vfc_done(request_invalid("viommu is NULL, or data is and length is not 0"));
	rc = request_make(iommufd, REQUEST(IOMMU_VIOMMU_ALLOC, "6.13"), &request,
			  WHERE(.object = OBJECT("device", device)), meanings);
	if (rc >= 0)
		*viommu = request.out_viommu_id;
	return vfc_done(rc);
}

int vfc_iommufd_vdevice_alloc(int iommufd, uint32_t viommu, uint32_t device, uint64_t virtual_id,
			      uint32_t *vdevice)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such vIOMMU or device"},
		{EEXIST, VFC_REASON_BUSY,
		 "the device has a vDEVICE already, or another one has that virtual id"},
		{EINVAL, VFC_REASON_ARGUMENT, "the device is behind another IOMMU than the vIOMMU's"},
		{0},
	};
	struct iommu_vdevice_alloc request = {
		.size = sizeof(request),
		.viommu_id = viommu,
		.dev_id = device,
		.virt_id = virtual_id,
	};
	int rc;

	if (!vdevice)
		return vfc_done(request_invalid("vdevice is NULL"));
	rc = request_make(iommufd, REQUEST(IOMMU_VDEVICE_ALLOC, "6.13"), &request,
			  WHERE(.object = OBJECT("viommu", viommu)), meanings);
	if (rc >= 0)
		*vdevice = request.out_vdevice_id;
	return vfc_done(rc);
}

int vfc_iommufd_hw_queue_alloc(int iommufd, uint32_t viommu, uint32_t type, uint32_t index,
			       uint64_t iova, uint64_t length, uint32_t *queue)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_IOVA,
		 "the iommufd has no such vIOMMU, or its memory is not mapped at all of that range"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "the vIOMMU has no hardware queues of that type"},
		{EEXIST, VFC_REASON_BUSY, "the vIOMMU has a queue of that index already"},
		{EIO, VFC_REASON_ARGUMENT, "the queues of lower indices come first"},
		{EFAULT, VFC_REASON_BAD_MEMORY,
		 "the memory is not contiguous in physical memory: take a huge page"},
		{EINVAL, VFC_REASON_ARGUMENT, "the length is 0, or the index too high"},
		{0},
	};
	struct iommu_hw_queue_alloc request = {
		.size = sizeof(request),
		.viommu_id = viommu,
		.type = type,
		.index = index,
		.nesting_parent_iova = iova,
		.length = length,
	};
	int rc;

	if (!queue)
		return vfc_done(request_invalid("queue is NULL"));
	rc = request_make(iommufd, REQUEST(IOMMU_HW_QUEUE_ALLOC, "6.17"), &request,
			  WHERE(.object = OBJECT("viommu", viommu), AT_IOVA(iova, length)),
			  meanings);
	if (rc >= 0)
		*queue = request.out_hw_queue_id;
	return vfc_done(rc);
}
