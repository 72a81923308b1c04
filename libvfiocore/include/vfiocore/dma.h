/* SPDX-License-Identifier: MIT */
/* DMA buffers: pinned memory with an IOVA, and pools of equal chunks of it. */
#ifndef VFIOCORE_DMA_H
#define VFIOCORE_DMA_H

#include <stdbool.h>

#include "abi.h"
#include "barrier.h"
#include "iommu.h"

struct vfc_dma {
	void *va;
	uint64_t iova;
	uint64_t length; /* bytes mapped: what was asked for, rounded up to pages */
	uint64_t page;   /* size of the pages of memory behind it: may be less than was asked for */
	struct vfc_iommu *iommu;
};

#define VFC_POOL_UNIT 64 /* bytes */

/*
 * A last-in first-out pool of equal chunks in one buffer. One thread uses it, or several threads
 * that call vfc_pool_lock() and vfc_pool_unlock() around it, as network interfaces do once for a
 * burst.
 *
 * The number of a chunk is where it begins, in units of 64 bytes, so its address is one addition
 * away.
 */
struct vfc_pool {
	struct vfc_dma memory;
	uint32_t chunk;  /* bytes */
	uint32_t chunks; /* in all */
	uint32_t free;   /* now */
	uint32_t limit;  /* the first unit after where the last chunk begins */
	uint32_t lock;   /* 1 while somebody holds it */
	uint32_t reserved;
	uint32_t *stack; /* the free chunks */
};

VFC_BEGIN_DECLS

/*
 * vfc_dma_alloc() - zeroed memory that the attached devices can reach.
 * The memory is private to this process. A child of fork() does not inherit it (MADV_DONTFORK),
 * since copy-on-write would leave the device and the parent with different pages, unnoticed.
 * @length: bytes, > 0. @opts: as for vfc_iommu_map(), and the size of pages. When there are too few
 * huge pages for it, @dma->page tells what was taken, and the thread's error record why. Where no
 * IOMMU translates (VFC_IOMMU_PHYSICAL) more than one page is taken from one huge page, or fails.
 * Errors: those of vfc_iommu_map().
 */
VFC_API int vfc_dma_alloc(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
			  struct vfc_dma *dma);

/*
 * vfc_dma_free() - unmap and free. A zeroed struct is fine.
 * Errors: the kernel's, when it did not unmap (the buffer is then as before), -ECHILD (in a child
 * of fork(), which does not have the memory).
 */
VFC_API int vfc_dma_free(struct vfc_dma *dma);

/*
 * vfc_pool_init() - a pool of @chunks chunks of @chunk bytes each, a multiple of VFC_POOL_UNIT. In
 * all it has less than 128 GiB.
 * Each chunk lies in one page, so that a device finds it in one piece of memory. The pages have 2
 * MiB if the pool fills half of such a page, and enough of them are reserved and free or the kernel
 * makes transparent ones (since Linux 6.1). pool->memory.page tells. Else they are small ones,
 * where a chunk fits into one. Where no IOMMU translates, the whole pool is one piece of memory.
 * Errors: -EINVAL, those of vfc_dma_alloc(). vfc_pool_destroy() fails as vfc_dma_free() does.
 */
VFC_API int vfc_pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunk,
			  uint32_t chunks);
VFC_API int vfc_pool_destroy(struct vfc_pool *pool);

/* vfc_pool_get() - a free chunk, or -1. vfc_pool_put() gives it back. */
VFC_INLINE int32_t vfc_pool_get(struct vfc_pool *pool)
{
	return pool->free ? (int32_t)pool->stack[--pool->free] : -1;
}

VFC_INLINE void vfc_pool_put(struct vfc_pool *pool, uint32_t chunk)
{
	pool->stack[pool->free++] = chunk;
}

/*
 * vfc_pool_has() - whether a chunk of that number would lie in the pool. Whether a chunk begins
 * there is not checked: a number that nobody gave out can spoil other chunks, but nothing outside
 * of the pool.
 */
VFC_INLINE bool vfc_pool_has(const struct vfc_pool *pool, uint32_t chunk)
{
	return chunk < pool->limit;
}

/* A spin lock: contention is rare and short, and the hot path makes no system call. */
VFC_INLINE void vfc_pool_lock(struct vfc_pool *pool)
{
	while (__atomic_exchange_n(&pool->lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&pool->lock, __ATOMIC_RELAXED))
			vfc_relax();
}

VFC_INLINE void vfc_pool_unlock(struct vfc_pool *pool)
{
	__atomic_store_n(&pool->lock, 0, __ATOMIC_RELEASE);
}

VFC_INLINE void *vfc_pool_va(const struct vfc_pool *pool, uint32_t chunk)
{
	return (uint8_t *)pool->memory.va + (uint64_t)chunk * VFC_POOL_UNIT;
}

VFC_INLINE uint64_t vfc_pool_iova(const struct vfc_pool *pool, uint32_t chunk)
{
	return pool->memory.iova + (uint64_t)chunk * VFC_POOL_UNIT;
}

VFC_END_DECLS
#endif
