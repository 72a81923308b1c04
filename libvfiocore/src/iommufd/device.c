/* SPDX-License-Identifier: MIT */
/*
 * A VFIO device as a device of an iommufd.
 * Source: drivers/vfio/device_cdev.c, drivers/iommu/iommufd/device.c.
 */
#include <vfiocore/iommufd.h>

#include "base/memlock.h"
#include "iommufd/request.h"

/* A PASID has at most 20 bits (PCI Express 6.20.2.1). Some kernels accept any number. */
#define PASIDS (1 << 20)

static int check_pasid(int32_t pasid)
{
	if (pasid >= PASIDS)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, NOWHERE,
				"PASID %" PRIi32 " has more than 20 bits", pasid);
	return 0;
}

int vfc_iommufd_bind(int device, int iommufd, const uint8_t *token, uint32_t *id)
{
	static const struct meaning meanings[] = {
		{EBUSY, VFC_REASON_BUSY,
		 "the device or its group is open elsewhere, or another device of the group is bound to "
		 "a host driver"},
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the device is bound already, the iommufd is none, or a token was given that the device "
		 "does not ask for"},
		{EACCES, VFC_REASON_PERMISSION,
		 "a token guards this virtual function: give the UUID that its physical function's "
		 "owner set"},
		{EPERM, VFC_REASON_PERMISSION,
		 "the platform does not isolate interrupts; where that risk is taken: "
		 "iommufd.allow_unsafe_interrupts=1"},
		{0},
	};
	struct vfio_device_bind_iommufd request = {
		.argsz = sizeof(request),
		.flags = token ? VFIO_DEVICE_BIND_FLAG_TOKEN : 0,
		.iommufd = iommufd,
		.token_uuid_ptr = (uintptr_t)token,
	};
	int rc;

	if (!id)
		return vfc_done(request_invalid("id is NULL"));
	rc = request_make(device, REQUEST(VFIO_DEVICE_BIND_IOMMUFD, "6.6"), &request, NOWHERE, meanings);
	if (rc >= 0)
		*id = request.out_devid;
	return vfc_done(rc);
}

int vfc_iommufd_attach(int device, uint32_t *page_table, int32_t pasid)
{
	static const struct meaning meanings[] = {
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the page table does not fit this device or what else it has attached, the PASID is not "
		 "one it has, or the device is not bound"},
		{EADDRINUSE, VFC_REASON_IOVA,
		 "something is mapped or allowed at IOVAs that this device cannot use"},
		{EBUSY, VFC_REASON_BUSY, "the device, or one that shares its group, is being reset"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "the device or its IOMMU has no PASIDs"},
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such address space or page table"},
		{EFAULT, VFC_REASON_BAD_MEMORY,
		 "memory that the address space maps is not mapped in this process any more"},
		{0},
	};
	struct vfio_device_attach_iommufd_pt request = {.argsz = sizeof(request)};
	struct error_where where = WHERE("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	struct object name;
	int rc = check_pasid(pasid);

	if (rc < 0 || !page_table)
		return vfc_done(rc < 0 ? rc : request_invalid("page_table is NULL"));
	name = object_name("page table", *page_table);
	where.object = name.text;
	request.pt_id = *page_table;
	if (pasid >= 0) {
		request.flags = VFIO_DEVICE_ATTACH_PASID;
		request.pasid = (uint32_t)pasid;
	}
	rc = sys_ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &request);
	if (rc == -ENOMEM)
		return vfc_done(memlock_failed(rc, where, 0));
	if (rc < 0)
		return vfc_done(request_failed(rc, device,
					       REQUEST(VFIO_DEVICE_ATTACH_IOMMUFD_PT,
						       "6.6 (with a PASID 6.15)"),
					       where, meanings));
	*page_table = request.pt_id;
	return 0;
}

int vfc_iommufd_detach(int device, int32_t pasid)
{
	static const struct meaning meanings[] = {
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the device is not bound, or this kernel does not know PASIDs, which came with "
		 "Linux 6.15"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "the device has no PASIDs"},
		{0},
	};
	struct vfio_device_detach_iommufd_pt request = {.argsz = sizeof(request)};
	int rc = check_pasid(pasid);

	if (rc < 0)
		return vfc_done(rc);
	if (pasid >= 0) {
		request.flags = VFIO_DEVICE_DETACH_PASID;
		request.pasid = (uint32_t)pasid;
	}
	return vfc_done(request_make(device, REQUEST(VFIO_DEVICE_DETACH_IOMMUFD_PT, "6.6"), &request,
				     NOWHERE, meanings));
}
