/* SPDX-License-Identifier: MIT */
/* The windows that an address space has with the devices that are in it. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "iommu/space.h"

/*
 * No window includes the last page of 2^64. In a mapping of several pages that ends there, iommufd
 * maps other memory than was asked for: "last + 1" is 0 in batch_to_domain() (Linux 7.3,
 * drivers/iommu/iommufd/pages.c), so the first run of pages is stretched over all the rest.
 */
static void leave_the_last_page(struct transport_space_info *info, uint64_t page)
{
	for (size_t i = 0; i < info->range_count; i++)
		if (info->ranges[i].end == UINT64_MAX && info->ranges[i].start < UINT64_MAX - page)
			info->ranges[i].end -= page;
}

/* The windows may be narrower with each further device. The caller holds the lock. */
int space_read_windows(struct vfc_iommu *iommu)
{
	struct transport_space_info info;
	int rc = iommu->ops->space_info(iommu->space, &info);

	if (rc < 0)
		return rc;
	if (!(info.page_sizes & -info.page_sizes)) {
		free(info.ranges);
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, NOWHERE,
				"the kernel says that the IOMMU has no page size");
	}
	iommu->page_sizes = info.page_sizes;
	iommu->physical = info.physical;
	iommu->unpinned = info.unpinned;
	leave_the_last_page(&info, info.page_sizes & -info.page_sizes);
	iova_set_windows(&iommu->map, info.ranges, info.range_count);
	return 0;
}

static struct vfc_iommu *of(struct space_owner *owner)
{
	return (void *)((char *)owner - offsetof(struct vfc_iommu, owner));
}

static void give_up(struct space_owner *owner)
{
	lock_give(&of(owner)->lock);
}

static void take_back(struct space_owner *owner)
{
	lock_take(&of(owner)->lock);
}

/* Before the first device is open nothing can be mapped, so nobody needs the windows. */
static int changed(struct space_owner *owner)
{
	struct vfc_iommu *iommu = of(owner);

	return iommu->devices ? space_read_windows(iommu) : 0;
}

void space_own(struct vfc_iommu *iommu)
{
	iommu->owner = (struct space_owner){give_up, take_back, changed};
	iommu->space->owner = &iommu->owner;
}
