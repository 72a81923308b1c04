/* SPDX-License-Identifier: MIT */
/*
 * Page tables in which another process maps as well. A place belongs to the first who maps there,
 * and only the kernel knows who that was.
 */
#include <errno.h>
#include <vfiocore/iommu.h>

#include "iommu/space.h"

/* The steps double, so this many cross the largest window twice, whatever is mapped there. */
#define TRIES 128

void iommu_share(struct vfc_iommu *iommu)
{
	lock_take(&iommu->lock);
	iommu->adopted = true;
	lock_give(&iommu->lock);
}

int vfc_iommu_fd(struct vfc_iommu *iommu, uint32_t *ioas)
{
	uint32_t unused;

	if (space_check_process(iommu) < 0)
		return vfc_done(-ECHILD);
	if (!iommu->ops->space_fd)
		return vfc_done(vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
					 "the transport %s hands no address space over: cdev, group and "
					 "compat do", iommu->ops->name));
	return vfc_done(iommu->ops->space_fd(iommu->space, ioas ? ioas : &unused));
}

bool iommu_is_adopted(struct vfc_iommu *iommu)
{
	bool adopted;

	lock_take(&iommu->lock);
	adopted = iommu->adopted;
	lock_give(&iommu->lock);
	return adopted;
}

void search_begin(struct search *search)
{
	*search = (struct search){.before = *vfc_error_last()};
}

static bool can_move(const struct vfc_iommu *iommu, const struct vfc_map_opts *opts)
{
	return iommu->adopted && !(opts->flags & (VFC_MAP_FIXED | VFC_MAP_IDENTITY)) &&
	       !iommu->physical;
}

bool search_on(struct vfc_iommu *iommu, struct search *search, int *rc, uint64_t at,
	       uint64_t length, const struct vfc_map_opts *opts)
{
	if (*rc == 0 && search->tries)
		vfc_error_restore(&search->before);
	if (*rc != -EEXIST || !can_move(iommu, opts))
		return false;
	if (search->tries++ == TRIES) {
		*rc = vfc_fail(ENOSPC, VFC_REASON_OUT_OF_IOVA, WHERE(AT_IOVA(at, length)),
			       "another process has mapped what was tried of the IOVAs that this one has "
			       "free: choose a place (VFC_MAP_FIXED), or a higher opts->highest");
		return false;
	}
	/*
	 * A place below the last one means that the search has started again from the bottom, so
	 * the steps start small again.
	 */
	search->step = search->step && at > search->at ? 2 * search->step : length;
	search->at = at;
	iova_search_from(&iommu->map, at + search->step > at ? at + search->step : 0);
	return true;
}
