/* SPDX-License-Identifier: MIT */
/* Peer to peer: a part of one device's BAR as memory that other devices reach. */
#include <errno.h>
#include <vfiocore/iommu.h>

#include "device/region.h"
#include "iommu/space.h"
#include "kernel/sys.h"

/* The same questions for every way to map it, so that the answers are the same. */
static int find_bar(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
		    uint64_t offset, uint64_t length, volatile void **address)
{
	struct region *region;
	int rc = region_check(device, index, offset, length,
			      VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, &region);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	rc = map_check(iommu, offset, length, 0);
	lock_give(&iommu->lock);
	if (rc == 0)
		rc = region_address(device, region, offset, length, address);
	if (rc == 0 && !*address)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"this part of the region cannot be mapped, so no other device can "
				"reach it");
	return rc;
}

/* type1 takes a BAR like memory, by the address at which it is mapped (vaddr_get_pfns()). */
static int map_bar(struct vfc_iommu *iommu, volatile void *address, uint64_t length, uint64_t *iova,
		   const struct vfc_map_opts *opts)
{
	const struct transport_memory memory = {.va = (void *)(uintptr_t)address, .fd = -1};
	int rc;

	lock_take(&iommu->lock);
	rc = map_check(iommu, (uintptr_t)address, length, 0);
	if (rc == 0)
		rc = map_memory(iommu, &memory, length, iova, opts);
	lock_give(&iommu->lock);
	return rc;
}

static int map_region(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
		      uint64_t offset, uint64_t length, uint64_t *iova,
		      const struct vfc_map_opts *opts)
{
	volatile void *address = NULL;
	int fd, rc = map_check_named(opts);

	if (rc == 0)
		rc = find_bar(iommu, device, index, offset, length, &address);
	if (rc < 0)
		return rc;
	if (!iommu->ops->iommufd)
		return map_bar(iommu, address, length, iova, opts);
	if (!device->ops->share_region)
		return space_cannot(iommu, "reach a BAR of a device of another transport");
	fd = device->ops->share_region(device->transport, index, offset, length);
	if (fd < 0)
		return fd;
	rc = vfc_iommu_map_file(iommu, fd, 0, length, opts, iova);
	sys_close(fd);
	return rc;
}

int vfc_iommu_map_region(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
			 uint64_t offset, uint64_t length, const struct vfc_map_opts *opts,
			 uint64_t *iova)
{
	struct vfc_map_opts own;

	return vfc_done(map_region(iommu, device, index, offset, length, iova,
				   MAP_OPTIONS(opts, &own)));
}
