/* SPDX-License-Identifier: MIT */
/*
 * The fake transport's devices as members of address spaces: each can use addresses up to its own
 * highest, and a space those that all of its members can (vfio_iommu_aper_conflict() and
 * vfio_iommu_aper_expand() in drivers/vfio/vfio_iommu_type1.c).
 */
#include <errno.h>

#include "base/error.h"
#include "transport/model/fake.h"

static void set_highest(struct fake_space *space)
{
	space->highest = FAKE_HIGHEST;
	for (struct fake_device *member = space->members; member; member = member->next_member)
		if (member->highest < space->highest)
			space->highest = member->highest;
}

int fake_enter(struct fake_device *device, struct fake_space *space)
{
	if (space->next_highest < space->highest && fake_mapped(space, space->next_highest + 1, UINT64_MAX))
		return vfc_fail(EINVAL, VFC_REASON_NONE, WHERE("VFIO_GROUP_SET_CONTAINER"),
				"the group does not fit with those attached already");
	fake_leave(device);
	device->highest = space->next_highest;
	device->next_member = space->members;
	space->members = device;
	device->space = space;
	device->attached = true;
	set_highest(space);
	return 0;
}

void fake_leave(struct fake_device *device)
{
	struct fake_device **link = &device->space->members;

	if (!device->attached)
		return;
	while (*link != device)
		link = &(*link)->next_member;
	*link = device->next_member;
	device->attached = false;
	set_highest(device->space);
}

int fake_attach(struct transport_device *base, struct transport_space *space)
{
	struct fake_device *device = (struct fake_device *)base;
	int rc;

	pthread_mutex_lock(&device->iommufd->lock);
	rc = fake_enter(device, (struct fake_space *)space);
	pthread_mutex_unlock(&device->iommufd->lock);
	return rc;
}

int fake_detach(struct transport_device *base)
{
	struct fake_device *device = (struct fake_device *)base;

	pthread_mutex_lock(&device->iommufd->lock);
	fake_leave(device);
	pthread_mutex_unlock(&device->iommufd->lock);
	return 0;
}
