/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore/dma.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "base/error.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"
#include "base/sized.h"

#define LARGE (UINT64_C(2) << 20) /* what the kernel makes transparent huge pages of */

/* What the C library's headers may be too old for. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* Of which pages: those asked for, where there are any; reserved ones or none; transparent ones or none. */
enum pages_wanted { PAGES_PREFERRED, PAGES_RESERVED, PAGES_TRANSPARENT };

static int map_private(uint64_t length, int flags, void **va)
{
	return sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0,
			va);
}

/*
 * Where it can have transparent huge pages: the IOMMU's are as large then, and it need not look for
 * one for each frame. Before Linux 6.7 mmap() does not align. Without such pages all is as before.
 */
static int map_aligned(uint64_t length, void **va)
{
	uint64_t before;
	int rc;

	if (length > UINT64_MAX - LARGE)
		return -ENOMEM;
	rc = map_private(length + LARGE, 0, va);
	if (rc < 0)
		return rc;
	before = -(uintptr_t)*va % LARGE;
	if (before)
		sys_munmap(*va, before);
	*va = (uint8_t *)*va + before;
	sys_munmap((uint8_t *)*va + length, LARGE - before); /* never 0: before is less */
	sys_madvise(*va, length, MADV_HUGEPAGE);
	return 0;
}

static int map_anonymous(uint64_t length, int flags, void **va)
{
	int rc = !flags && length >= LARGE ? map_aligned(length, va) :
					     map_private(length, flags, va);

	if (rc < 0)
		return rc;
	rc = sys_madvise(*va, length, MADV_DONTFORK);
	if (rc < 0)
		sys_munmap(*va, length);
	return rc;
}

/* Known to be of huge pages: MADV_COLLAPSE makes them, or says that there are some that are not. */
static int map_transparent(struct vfc_dma *dma)
{
	int rc = dma->length > UINT64_MAX - LARGE ? -ENOMEM : 0;

	dma->length = (dma->length + LARGE - 1) & ~(LARGE - 1);
	dma->page = LARGE;
	if (rc == 0)
		rc = map_anonymous(dma->length, 0, &dma->va);
	if (rc < 0)
		return rc;
	rc = sys_madvise(dma->va, dma->length, MADV_POPULATE_WRITE);
	if (rc == 0)
		rc = sys_madvise(dma->va, dma->length, MADV_COLLAPSE);
	if (rc < 0)
		sys_munmap(dma->va, dma->length);
	return rc;
}

/* The sizes of pages, largest first. Before Linux 3.8 the flags mean the default size, 2 MiB. */
static const struct {
	uint64_t size;
	int flags;
} pages[] = {
	{UINT64_C(1) << 30, MAP_HUGETLB | 30 << MAP_HUGE_SHIFT},
	{UINT64_C(2) << 20, MAP_HUGETLB | 21 << MAP_HUGE_SHIFT},
	{0, 0},
};

static uint64_t round_up(uint64_t length, uint64_t page)
{
	return (length + page - 1) & ~(page - 1);
}

/* Too few huge pages, or none of this size: said, and no failure where others will do. */
static int too_few(int rc, uint64_t length, uint64_t page)
{
	return vfc_fail(rc == -EINVAL ? ENOMEM : rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
			"not enough free huge pages of %" PRIu64 " KiB: reserve them "
			"(/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages)",
			page / 1024, page / 1024);
}

/* @dma: length and page come rounded and chosen. @page: 0 or the size wanted. */
static int get_memory(struct vfc_dma *dma, uint64_t page, bool must)
{
	uint64_t length = dma->length;
	int rc = -ENOMEM;

	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		uint64_t size = pages[i].size ? pages[i].size : sys_page_size();

		if (pages[i].size > page || (must && size < page))
			continue;
		dma->length = round_up(length, size);
		dma->page = size;
		if (dma->length >= length)
			rc = map_anonymous(dma->length, pages[i].flags, &dma->va);
		if (rc == 0)
			return 0;
		if (pages[i].size)
			rc = too_few(rc, length, size);
	}
	if (must && page > sys_page_size()) /* and that is what it says */
		return rc;
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
			"no room for %" PRIu64 " bytes in this process", length);
}

static int check_alloc(uint64_t length, const struct vfc_map_opts *opts)
{
	if (!opts)
		return OPTIONS_REFUSED;
	if (!length || opts->flags & (VFC_MAP_FIXED | VFC_MAP_IDENTITY))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.length = length),
				"a buffer has at least 1 byte, and its IOVA is chosen by the library");
	if (opts->page && opts->page != sys_page_size() && opts->page != pages[0].size &&
	    opts->page != pages[1].size)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.length = length),
				"opts->page is %" PRIu64 ": there are %zu, 2 MiB and 1 GiB", opts->page,
				sys_page_size());
	return 0;
}

/* Without an IOMMU only a page is contiguous for sure. */
static int get_memory_for(struct vfc_iommu *iommu, struct vfc_dma *dma, uint64_t page,
			  enum pages_wanted wanted)
{
	bool piece = iommu_look(iommu).physical && dma->length > sys_page_size();

	if (wanted == PAGES_TRANSPARENT)
		return map_transparent(dma);
	if (piece && !page)
		page = dma->length > pages[1].size ? pages[0].size : pages[1].size;
	return get_memory(dma, page, wanted == PAGES_RESERVED || piece);
}

static int dma_alloc(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		     enum pages_wanted wanted, struct vfc_dma *dma)
{
	struct vfc_map_opts aligned;
	int rc = check_alloc(length, opts);

	*dma = (struct vfc_dma){.length = length};
	if (rc < 0)
		return rc;
	aligned = *opts;
	rc = get_memory_for(iommu, dma, opts->page, wanted);
	/* Of the IOMMU's large pages use is made only where IOVA and memory are aligned alike. */
	if (!aligned.align && dma->page > sys_page_size())
		aligned.align = dma->page;
	if (rc == 0) {
		rc = vfc_iommu_map(iommu, dma->va, dma->length, &aligned, &dma->iova);
		if (rc < 0)
			sys_munmap(dma->va, dma->length);
	}
	if (rc < 0) {
		*dma = (struct vfc_dma){0};
		return rc;
	}
	iommu_hold(iommu);
	dma->iommu = iommu;
	return 0;
}

int vfc_dma_alloc(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		  struct vfc_dma *dma)
{
	struct vfc_map_opts own;

	return vfc_done(dma_alloc(iommu, length, OPTIONS(vfc_map_opts, opts, &own),
				  PAGES_PREFERRED, dma));
}

int vfc_dma_free(struct vfc_dma *dma)
{
	int rc;

	if (!dma->iommu)
		return 0;
	rc = iommu_check_process(dma->iommu);
	/* Memory that a device can still reach must not go back to the process. */
	if (rc == 0)
		rc = iommu_unmap_buffer(dma->iommu, dma->va, dma->iova);
	if (rc < 0)
		return vfc_done(rc);
	sys_munmap(dma->va, dma->length);
	iommu_put(dma->iommu);
	memset(dma, 0, sizeof(*dma));
	return 0;
}

/*
 * Bytes from the start of the memory to chunk @i. One that fits into a page lies in one: pages need
 * not be neighbours behind the IOMMU, and QEMU's NICs drop a frame that is in two such. What is left
 * of the page shifts the chunks, so that their beginnings are not all of one set of the cache.
 */
static uint64_t place(uint64_t page, uint32_t chunk, uint32_t i)
{
	uint64_t each = page / chunk, shifts;

	if (!each)
		return (uint64_t)chunk * i;
	shifts = (page - each * chunk) / VFC_POOL_UNIT + 1;
	return i / each * page + i % each * chunk + i / each % shifts * VFC_POOL_UNIT;
}

/* Where @pool's chunks lie, when its memory comes in pieces of @piece bytes. */
static int pool_alloc(struct vfc_pool *pool, struct vfc_iommu *iommu, uint64_t piece,
		      enum pages_wanted wanted)
{
	const struct vfc_map_opts opts = {.size = sizeof(opts),
					  .page = piece == pages[1].size ? piece : 0};
	uint64_t last = place(piece, pool->chunk, pool->chunks - 1);
	int rc = dma_alloc(iommu, last + pool->chunk, &opts, wanted, &pool->memory);

	if (rc < 0)
		return rc;
	pool->limit = (uint32_t)(last / VFC_POOL_UNIT) + 1;
	/* Low chunks are on top of the stack, so that a small load stays in few pages. */
	for (uint32_t i = 0; i < pool->chunks; i++)
		pool->stack[i] = (uint32_t)(place(piece, pool->chunk, pool->chunks - 1 - i) /
					    VFC_POOL_UNIT);
	return 0;
}

/*
 * Of huge pages, when it fills half of one, or its chunks are longer than a small one, and there are
 * such: chunks lie closely there, and what a ring has in use is half as many small pages, for which the
 * CPU, the IOMMU or an emulator has a small cache.
 */
static int pool_place(struct vfc_pool *pool, struct vfc_iommu *iommu)
{
	struct vfc_error before = *vfc_error_last();
	uint64_t small = sys_page_size(), huge = pages[1].size;

	if (iommu_look(iommu).physical) /* all is one piece of memory */
		return pool_alloc(pool, iommu, UINT64_C(1) << 40, PAGES_PREFERRED);
	if (pool->chunk > small || (uint64_t)pool->chunk * pool->chunks >= huge / 2) {
		if (pool_alloc(pool, iommu, huge, PAGES_RESERVED) == 0 ||
		    pool_alloc(pool, iommu, huge, PAGES_TRANSPARENT) == 0) {
			vfc_error_restore(&before);
			return 0;
		}
		vfc_error_restore(&before);
	}
	return pool_alloc(pool, iommu, pool->chunk > small ? huge : small, PAGES_PREFERRED);
}

static int pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunk,
		     uint32_t chunks)
{
	/* vfc_pool_get() is signed; each chunk may take a page. */
	uint64_t most = (uint64_t)INT32_MAX * VFC_POOL_UNIT / (chunk + (uint64_t)sys_page_size());
	int rc;

	*pool = (struct vfc_pool){.chunk = chunk, .chunks = chunks, .free = chunks};
	if (!chunk || !chunks || chunk % VFC_POOL_UNIT || chunks > most)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			      "%u chunks of %u bytes: there is one at least, of a multiple of 64 bytes, "
			      "and less than 128 GiB in all", chunks, chunk);
	else if (!(pool->stack = sys_alloc((size_t)chunks * sizeof(*pool->stack))))
		rc = vfc_no_memory();
	else
		rc = pool_place(pool, iommu);
	if (rc < 0) {
		free(pool->stack);
		*pool = (struct vfc_pool){0};
	}
	return rc;
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
