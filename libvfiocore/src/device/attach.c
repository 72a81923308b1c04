/* SPDX-License-Identifier: MIT */
/* Moving an open device from one address space to another. */
#include <errno.h>
#include <stdlib.h>
#include <vfiocore/device.h>

#include "device/attach.h"
#include "base/error.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"

/*
 * PASIDs have 20 bits (PCI Express 4.0, section 6.20). The kernel keeps 0 for requests without one.
 */
#define PASID_LAST 0xfffff

struct pasid {
	struct pasid *next;
	struct vfc_iommu *iommu;
	uint32_t number;
};

/* A NIC's rings hold IOVAs of the space that the NIC was opened in, so its device cannot move. */
static int check_moves(struct vfc_device *device, struct vfc_iommu *to)
{
	if (device_has_nic(device))
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"a NIC of the device is open, and its rings are in the space that it is "
				"attached to: close it first");
	return iommu_movable(device->iommu, to, false);
}

static int device_attach(struct vfc_device *device, struct vfc_iommu *iommu)
{
	struct vfc_iommu *before = device->iommu;
	int rc = iommu_check_process(before);

	if (rc < 0)
		return rc;
	if (!iommu)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"no address space was given: vfc_device_detach() lets go of one");
	if (device->attached && iommu == before)
		return 0;
	rc = device_present(device);
	if (rc == 0)
		rc = check_moves(device, iommu);
	if (rc == 0)
		rc = iommu_attach(iommu, device->attached ? before : NULL, before, device->transport,
				  device->name, 0);
	if (rc < 0)
		return rc;
	if (!device->attached)
		iommu_put(before);
	device->iommu = iommu;
	device->attached = true;
	return 0;
}

int vfc_device_attach(struct vfc_device *device, struct vfc_iommu *iommu)
{
	return vfc_done(device_attach(device, iommu));
}

int vfc_device_detach(struct vfc_device *device)
{
	int rc = iommu_check_process(device->iommu);

	if (rc == 0 && !device->attached)
		return 0;
	if (rc == 0)
		rc = check_moves(device, NULL);
	if (rc == 0)
		rc = iommu_detach(device->iommu, device->transport, 0);
	if (rc < 0)
		return vfc_done(rc);
	iommu_hold(device->iommu);
	device->attached = false;
	return 0;
}

static struct pasid **find_pasid(struct vfc_device *device, uint32_t number)
{
	struct pasid **link = &device->pasids;

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	return link;
}

static int check_pasid(struct vfc_device *device, uint32_t number, struct vfc_iommu *iommu)
{
	if (iommu_check_process(device->iommu) < 0)
		return -ECHILD;
	if (!number || number > PASID_LAST)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"PASID %u: there are 1 to %u", number, PASID_LAST);
	return device_present(device) < 0 ? -ENODEV : iommu_movable(device->iommu, iommu, true);
}

static int attach_pasid(struct vfc_device *device, uint32_t number, struct vfc_iommu *iommu)
{
	struct pasid *pasid = *find_pasid(device, number), *fresh = NULL;
	int rc = check_pasid(device, number, iommu);

	if (rc < 0)
		return rc;
	if (!pasid) {
		pasid = fresh = sys_alloc(sizeof(*fresh));
		if (!fresh)
			return vfc_no_memory();
	}
	rc = iommu_attach(iommu, pasid->iommu, device->iommu, device->transport, device->name,
			  number);
	if (rc < 0) {
		free(fresh);
		return rc;
	}
	if (fresh) {
		fresh->next = device->pasids;
		fresh->number = number;
		device->pasids = fresh;
	}
	pasid->iommu = iommu;
	return 0;
}

int vfc_device_attach_pasid(struct vfc_device *device, uint32_t pasid, struct vfc_iommu *iommu)
{
	if (!iommu)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "no address space was given"));
	return vfc_done(attach_pasid(device, pasid, iommu));
}

int vfc_device_detach_pasid(struct vfc_device *device, uint32_t number)
{
	struct pasid **link = find_pasid(device, number), *pasid = *link;
	int rc = iommu_check_process(device->iommu);

	if (rc == 0)
		rc = device_present(device);
	if (rc < 0)
		return vfc_done(rc);
	if (!pasid)
		return vfc_done(vfc_fail(ENOENT, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
					 "PASID %u is not attached", number));
	rc = iommu_detach(pasid->iommu, device->transport, number);
	if (rc < 0)
		return vfc_done(rc);
	*link = pasid->next;
	free(pasid);
	return 0;
}

uint32_t attach_count(const struct vfc_device *device, const struct vfc_iommu *iommu)
{
	uint32_t count = device->attached && device->iommu == iommu;

	for (const struct pasid *pasid = device->pasids; pasid; pasid = pasid->next)
		count += pasid->iommu == iommu;
	return count;
}

/*
 * The kernel may refuse to detach a PASID of a device that is gone. Such a PASID stays on the list
 * and ends when the device is closed.
 */
void attach_leave(struct vfc_device *device)
{
	struct pasid **link = &device->pasids, *pasid;

	error_quiet_begin();
	while ((pasid = *link)) {
		if (iommu_detach(pasid->iommu, device->transport, pasid->number) < 0) {
			link = &pasid->next;
			continue;
		}
		*link = pasid->next;
		free(pasid);
	}
	error_quiet_end();
}

static void forget_pasids(struct vfc_device *device)
{
	while (device->pasids) {
		struct pasid *pasid = device->pasids;

		device->pasids = pasid->next;
		iommu_forget(pasid->iommu);
		free(pasid);
	}
}

void attach_close(struct vfc_device *device)
{
	forget_pasids(device);
	if (!device->attached)
		iommu_put(device->iommu);
}

void attach_give_back(struct vfc_device *device)
{
	forget_pasids(device);
	if (!device->attached)
		return;
	iommu_hold(device->iommu);
	iommu_forget(device->iommu);
	device->attached = false;
}

int vfc_device_iommufd_id(struct vfc_device *device, uint32_t *id)
{
	if (!device->ops->iommufd_id)
		return vfc_done(vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
					 WHERE(.object = device->name),
					 "the transport %s has no ids: cdev has", device->ops->name));
	if (device_present(device) < 0)
		return vfc_done(-ENODEV);
	return vfc_done(device->ops->iommufd_id(device->transport, id));
}
