/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "error.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"

static int get_memory(uint64_t length, void **va)
{
	int rc = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, va);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
				"no room for %" PRIu64 " bytes in this process", length);
	rc = sys_madvise(*va, length, MADV_DONTFORK);
	if (rc < 0) {
		sys_munmap(*va, length);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("madvise", .length = length), "%s", "");
	}
	return 0;
}

static int dma_alloc(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		     struct vfc_dma *dma)
{
	uint64_t page = sys_page_size(), rounded = (length + page - 1) & ~(page - 1), iova = 0;
	void *va;
	int rc;

	memset(dma, 0, sizeof(*dma));
	if (!length || rounded < length || (opts && opts->flags & VFC_MAP_FIXED))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.length = length),
				"a buffer has at least 1 byte, and its IOVA is chosen by the library");
	rc = get_memory(rounded, &va);
	if (rc < 0)
		return rc;
	rc = vfc_iommu_map(iommu, va, rounded, &iova, opts);
	if (rc < 0) {
		sys_munmap(va, rounded);
		return rc;
	}
	iommu_hold(iommu);
	*dma = (struct vfc_dma){.va = va, .iova = iova, .length = rounded, .iommu = iommu};
	return 0;
}

int vfc_dma_alloc(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		  struct vfc_dma *dma)
{
	return vfc_done(dma_alloc(iommu, length, opts, dma));
}

int vfc_dma_free(struct vfc_dma *dma)
{
	int rc;

	if (!dma->iommu)
		return 0;
	/* Memory that a device can still reach must not go back to the process. */
	rc = iommu_unmap_buffer(dma->iommu, dma->va, dma->iova);
	if (rc < 0)
		return vfc_done(rc);
	sys_munmap(dma->va, dma->length);
	iommu_release(dma->iommu);
	memset(dma, 0, sizeof(*dma));
	return 0;
}

static int pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunk,
		     uint32_t chunks)
{
	int rc;

	memset(pool, 0, sizeof(*pool));
	if (!chunk || chunk % 64 || !chunks || chunks > INT32_MAX) /* vfc_pool_get() is signed */
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"%u chunks of %u bytes: there are 1 to 2^31-1, of a multiple of 64 bytes",
				chunks, chunk);
	pool->stack = sys_alloc((size_t)chunks * sizeof(*pool->stack));
	if (!pool->stack)
		return vfc_no_memory();
	rc = dma_alloc(iommu, (uint64_t)chunk * chunks, NULL, &pool->memory);
	if (rc < 0) {
		free(pool->stack);
		memset(pool, 0, sizeof(*pool));
		return rc;
	}
	pool->chunk = chunk;
	pool->chunks = chunks;
	/* Low chunks are on top of the stack, so that a small load stays in few pages. */
	for (uint32_t i = 0; i < chunks; i++)
		pool->stack[i] = chunks - 1 - i;
	pool->free = chunks;
	return 0;
}

int vfc_pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunk, uint32_t chunks)
{
	return vfc_done(pool_init(pool, iommu, chunk, chunks));
}

int vfc_pool_destroy(struct vfc_pool *pool)
{
	int rc = vfc_dma_free(&pool->memory);

	if (rc < 0)
		return vfc_done(rc);
	free(pool->stack);
	memset(pool, 0, sizeof(*pool));
	return 0;
}
