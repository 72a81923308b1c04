/* SPDX-License-Identifier: MIT */
/* Which pages devices wrote to. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <vfiocore/iommu.h>

#include "iommu/space.h"

static int check_can(const struct vfc_iommu *iommu)
{
	int rc = space_check_process(iommu);

	return rc == 0 && !iommu->ops->dirty_track ? space_cannot(iommu, "track dirty pages") : rc;
}

static int track(struct vfc_iommu *iommu, bool on)
{
	int rc = check_can(iommu);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	/* Tracking can also be stopped when the space has no device any more. */
	rc = iommu->devices || !on ? iommu->ops->dirty_track(iommu->space, on)
			    : vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, NOWHERE,
				       "no device is attached to this space: open one first");
	lock_give(&iommu->lock);
	return rc;
}

int vfc_iommu_dirty_start(struct vfc_iommu *iommu)
{
	return vfc_done(track(iommu, true));
}

int vfc_iommu_dirty_stop(struct vfc_iommu *iommu)
{
	return vfc_done(track(iommu, false));
}

static int read_locked(struct vfc_iommu *iommu, uint64_t iova, uint64_t length, uint64_t page,
		       uint64_t *bitmap)
{
	struct vfc_mapping mapping;
	int rc = map_find(iommu, iova, length, &mapping);

	if (rc < 0)
		return rc;
	/* type1 accepts no other size (vfio_iommu_type1_dirty_pages()). */
	if (page != space_page(iommu))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"a bit stands for the IOMMU's smallest page, %" PRIu64
				" bytes, and not for %" PRIu64,
				space_page(iommu), page);
	memset(bitmap, 0, (length / page + 63) / 64 * sizeof(*bitmap));
	return iommu->ops->dirty_read(iommu->space, iova, length, page, bitmap);
}

int64_t vfc_iommu_dirty_read(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
			     uint64_t page, uint64_t *bitmap)
{
	int64_t pages = 0;
	int rc = check_can(iommu);

	if (rc < 0)
		return vfc_done(rc);
	lock_take(&iommu->lock);
	rc = read_locked(iommu, iova, length, page, bitmap);
	lock_give(&iommu->lock);
	if (rc < 0)
		return vfc_done(rc);
	for (uint64_t word = 0; word < (length / page + 63) / 64; word++)
		pages += __builtin_popcountll(bitmap[word]);
	return pages;
}
