/* SPDX-License-Identifier: MIT */
/* Devices that come to an address space and leave it. */
#include <errno.h>
#include <inttypes.h>

#include "iommu/space.h"
#include "transport/candidate.h"

/* The kernel lists only a few. */
#define RESERVED_MAX 32

/*
 * Windows may widen when a device leaves. If they cannot be read they stay as they are, which is
 * safe.
 */
static void leave(struct vfc_iommu *iommu, uint32_t count)
{
	iommu->devices -= count;
	error_quiet_begin();
	if (iommu->devices)
		space_read_windows(iommu);
	error_quiet_end();
}

/* A further device does not fit. Say so if a mapping lies where that device cannot have one. */
static int explain(struct vfc_iommu *iommu, const char *name, int rc)
{
	struct transport_reserved ranges[RESERVED_MAX];
	struct vfc_error error = *vfc_error_last();
	uint64_t iova, length;
	int count = 0;

	/* EINVAL is type1's answer, EADDRINUSE is iommufd's. */
	error_quiet_begin();
	if ((rc == -EINVAL || rc == -EADDRINUSE) && iommu->map.count && iommu->ops->reserved)
		count = iommu->ops->reserved(iommu->space, name, ranges, RESERVED_MAX);
	error_quiet_end();
	for (int i = 0; i < count; i++)
		if (iova_last_in(&iommu->map, ranges[i].start, ranges[i].end, &iova, &length))
			return vfc_fail(rc, VFC_REASON_IOVA, WHERE(error.call, name, AT_IOVA(iova, length)),
					"the device cannot use 0x%" PRIx64 "-0x%" PRIx64 " (%s), where "
					"0x%" PRIx64 "-0x%" PRIx64 " is mapped already: unmap that, or open "
					"the device before",
					ranges[i].start, ranges[i].end, ranges[i].type, iova,
					iova + length - 1);
	return rc;
}

static int open_or_adopt(struct vfc_iommu *iommu, struct candidate *wanted, int fd,
			 const uint8_t *token, struct transport_device **device)
{
	int rc = fd < 0 ? iommu->ops->open(wanted, token, iommu->space, device)
			: iommu->ops->adopt(fd, wanted, token, iommu->space, device);

	return rc < 0 ? explain(iommu, wanted->name, rc) : 0;
}

int iommu_open_device(struct vfc_iommu *iommu, struct candidate *wanted, int fd, const uint8_t *token,
		      struct transport_device **device)
{
	int rc;

	lock_take(&iommu->lock);
	/* The lock is given up while the kernel opens the device, but the space stays. */
	iommu->holders++;
	rc = open_or_adopt(iommu, wanted, fd, token, device);
	if (rc == 0) {
		rc = space_read_windows(iommu);
		if (rc < 0)
			iommu->ops->close(*device);
		else
			iommu->devices++;
	} else {
		leave(iommu, 0);
	}
	iommu->holders--;
	lock_give(&iommu->lock);
	return rc;
}

void iommu_close_device(struct vfc_iommu *iommu, struct transport_device *device, bool attached)
{
	lock_take(&iommu->lock);
	iommu->ops->close(device);
	leave(iommu, attached);
	lock_give(&iommu->lock);
}

/*
 * When a container loses its last group, the kernel drops the mappings. So they are unmapped
 * before.
 */
int iommu_give_back(struct vfc_iommu *iommu, struct transport_device *device,
			 uint32_t attached)
{
	int rc = 0;

	lock_take(&iommu->lock);
	if (attached && iommu->devices == attached)
		rc = unmap_all(iommu);
	if (rc == 0)
		rc = iommu->ops->give_back(device);
	lock_give(&iommu->lock);
	return rc;
}

/*
 * The spaces that take part in a move. Some may be NULL, and one may be there twice. They are
 * locked in the order of their addresses, so that two moves cannot deadlock.
 */
struct concerned {
	struct vfc_iommu *spaces[3];
};

static bool is_first(const struct concerned *all, size_t i)
{
	return all->spaces[i] && (i == 0 || all->spaces[i] != all->spaces[i - 1]);
}

static void lock_all(struct concerned *all)
{
	struct vfc_iommu **spaces = all->spaces;

	for (size_t i = 1; i < 3; i++)
		for (size_t j = i; j && (uintptr_t)spaces[j] < (uintptr_t)spaces[j - 1]; j--) {
			struct vfc_iommu *lower = spaces[j];

			spaces[j] = spaces[j - 1];
			spaces[j - 1] = lower;
		}
	for (size_t i = 0; i < 3; i++)
		if (is_first(all, i))
			lock_take(&spaces[i]->lock);
}

static void unlock_all(const struct concerned *all)
{
	for (size_t i = 0; i < 3; i++)
		if (is_first(all, i))
			lock_give(&all->spaces[i]->lock);
}

static int transport_attach(struct vfc_iommu *iommu, struct transport_device *device,
			    struct transport_space *space, uint32_t pasid)
{
	if (pasid)
		return iommu->ops->attach_pasid(device, pasid, space);
	return space ? iommu->ops->attach(device, space) : iommu->ops->detach(device);
}

/* On failure the device goes back to where it came from, which has accepted it before. */
static int attach_locked(struct vfc_iommu *iommu, struct vfc_iommu *from,
			 struct transport_device *device, uint32_t pasid)
{
	int rc = transport_attach(iommu, device, iommu->space, pasid);

	if (rc < 0)
		return rc;
	rc = space_read_windows(iommu);
	if (rc == 0)
		return 0;
	error_quiet_begin();
	transport_attach(iommu, device, from ? from->space : NULL, pasid);
	error_quiet_end();
	return rc;
}

int iommu_attach(struct vfc_iommu *iommu, struct vfc_iommu *from, struct vfc_iommu *home,
		 struct transport_device *device, const char *name, uint32_t pasid)
{
	struct concerned all = {{iommu, from, home}};
	int rc;

	if (iommu == from)
		return 0;
	lock_all(&all);
	rc = attach_locked(iommu, from, device, pasid);
	if (rc < 0) {
		rc = explain(iommu, name, rc);
	} else {
		iommu->devices++;
		if (from)
			leave(from, 1);
	}
	unlock_all(&all);
	return rc;
}

int iommu_detach(struct vfc_iommu *iommu, struct transport_device *device, uint32_t pasid)
{
	int rc;

	lock_take(&iommu->lock);
	rc = transport_attach(iommu, device, NULL, pasid);
	if (rc == 0)
		leave(iommu, 1);
	lock_give(&iommu->lock);
	return rc;
}

void iommu_forget(struct vfc_iommu *iommu)
{
	lock_take(&iommu->lock);
	leave(iommu, 1);
	lock_give(&iommu->lock);
}

int iommu_movable(struct vfc_iommu *iommu, struct vfc_iommu *to, bool pasid)
{
	const struct transport *ops = iommu->ops;

	if (!ops->attach || (pasid && !ops->attach_pasid))
		return space_cannot(iommu, pasid ? "attach a PASID, which takes Linux 6.15"
						 : "move a device that is open to another address "
						   "space: close it, and open it in that one");
	if (to && (to->ops != ops || !ops->related(iommu->space, to->space)))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the address space does not share the device's iommufd: open it beside "
				"the one that the device is attached to");
	return 0;
}
