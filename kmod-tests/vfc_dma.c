// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of vfc_device: it has no bus to do it on, so it asks VFIO for the caller's pages
 * (Documentation/driver-api/vfio-mediated-device.rst). What it writes to becomes dirty in the
 * container's log, page by page, whatever IOMMU the machine has.
 */
#include <linux/highmem.h>
#include <linux/slab.h>

#include "vfc_device.h"

#define LENGTH_MAX (PINS_MAX * PAGE_SIZE)

static u64 wide(const struct vfc *vfc, u32 at)
{
	return vfc->registers[at / 4] | (u64)vfc->registers[at / 4 + 1] << 32;
}

static int copy(struct vfc *vfc, u64 src, u64 dst, u32 length)
{
	void *data = kvmalloc(length, GFP_KERNEL);
	int rc;

	if (!data)
		return -ENOMEM;
	rc = vfio_dma_rw(&vfc->vdev, src, data, length, false);
	if (!rc)
		rc = vfio_dma_rw(&vfc->vdev, dst, data, length, true);
	kvfree(data);
	return rc;
}

/* All or nothing. */
static int pin(struct vfc *vfc, u64 iova, u32 count, int protection, struct page **pages)
{
	int n = vfio_pin_pages(&vfc->vdev, iova, count, protection, pages);

	if (n == (int)count)
		return 0;
	if (n > 0)
		vfio_unpin_pages(&vfc->vdev, iova, n);
	return n < 0 ? n : -EFAULT;
}

static void copy_pages(struct page **to, struct page **from, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		void *source = kmap_local_page(from[i]), *target = kmap_local_page(to[i]);

		memcpy(target, source, PAGE_SIZE);
		kunmap_local(target);
		kunmap_local(source);
	}
}

static int pinned_copy(struct vfc *vfc, u64 src, u64 dst, u32 count)
{
	struct page **pages = kcalloc(2 * count, sizeof(*pages), GFP_KERNEL);
	int rc;

	if (!pages)
		return -ENOMEM;
	rc = pin(vfc, src, count, IOMMU_READ, pages);
	if (!rc) {
		rc = pin(vfc, dst, count, IOMMU_READ | IOMMU_WRITE, pages + count);
		if (!rc) {
			copy_pages(pages + count, pages, count);
			vfio_unpin_pages(&vfc->vdev, dst, count);
		}
		vfio_unpin_pages(&vfc->vdev, src, count);
	}
	kfree(pages);
	return rc;
}

/* One at a time, so that any part of them can go. */
static int keep(struct vfc *vfc, u64 iova, u32 count)
{
	struct page *page;
	int rc = 0;

	mutex_lock(&vfc->pins_lock);
	for (; !rc && count; count--, iova += PAGE_SIZE) {
		rc = vfc->pinned < PINS_MAX
			     ? pin(vfc, iova, 1, IOMMU_READ | IOMMU_WRITE, &page)
			     : -ENOSPC;
		if (!rc)
			vfc->pinned_at[vfc->pinned++] = iova;
	}
	mutex_unlock(&vfc->pins_lock);
	return rc;
}

void dma_unpin(struct vfc *vfc, u64 iova, u64 length)
{
	u32 kept = 0;

	mutex_lock(&vfc->pins_lock);
	for (u32 i = 0; i < vfc->pinned; i++) {
		u64 at = vfc->pinned_at[i];

		if (at >= iova && at - iova < length)
			vfio_unpin_pages(&vfc->vdev, at, 1);
		else
			vfc->pinned_at[kept++] = at;
	}
	vfc->pinned = kept;
	mutex_unlock(&vfc->pins_lock);
}

int dma_command(struct vfc *vfc, u32 command)
{
	u64 src = wide(vfc, REG_SRC), dst = wide(vfc, REG_DST);
	u32 length = vfc->registers[REG_LENGTH / 4];

	if (command == DMA_UNPIN) {
		dma_unpin(vfc, 0, U64_MAX);
		return 0;
	}
	if (!length || length > LENGTH_MAX)
		return -EINVAL;
	if (command == DMA_COPY)
		return copy(vfc, src, dst, length);
	if ((src | dst | length) & ~PAGE_MASK)
		return -EINVAL;
	if (command == DMA_PINNED_COPY)
		return pinned_copy(vfc, src, dst, length / PAGE_SIZE);
	return command == DMA_PIN ? keep(vfc, dst, length / PAGE_SIZE) : -EINVAL;
}
