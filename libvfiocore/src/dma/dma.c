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

#define LARGE (UINT64_C(2) << 20) /* the size of the kernel's transparent huge pages */

/* The C library's headers may be too old to have these. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/*
 * Which pages to use. PREFERRED: those asked for, if there are any. RESERVED: reserved huge pages
 * or none. TRANSPARENT: transparent huge pages or none.
 */
enum pages_wanted { PAGES_PREFERRED, PAGES_RESERVED, PAGES_TRANSPARENT };

static int map_private(uint64_t length, int flags, void **va)
{
	return sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0,
			va);
}

/*
 * Map memory where it can have transparent huge pages. The IOMMU's pages are as large then, and it
 * need not look one up for each frame. Before Linux 6.7 mmap() does not align by itself. Without
 * such pages the memory is as good as any other.
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
	sys_munmap((uint8_t *)*va + length, LARGE - before); /* never 0, since before < LARGE */
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

/*
 * Map memory that is known to be in huge pages. MADV_COLLAPSE makes them, or fails if some pages
 * are not.
 */
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

/* The page sizes, largest first. Before Linux 3.8 the flags mean the default size, 2 MiB. */
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

/*
 * There are too few huge pages, or none of this size. This is recorded, but it is no failure if
 * others will do.
 */
static int too_few(int rc, uint64_t length, uint64_t page)
{
	return vfc_fail(rc == -EINVAL ? ENOMEM : rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
			"not enough free huge pages of %" PRIu64 " KiB: reserve them "
			"(/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages)",
			page / 1024, page / 1024);
}

/*
 * On success @dma has its length rounded up and its page size chosen. @page is 0 or the size
 * wanted.
 */
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
	if (must && page > sys_page_size()) /* too_few() has recorded it */
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

/* Without an IOMMU only a single page is certain to be contiguous. */
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
	/* The IOMMU uses large pages only if IOVA and memory are aligned alike. */
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
 * Return the offset of chunk @i in the memory. A chunk that fits into a page lies in one page. Two
 * pages need not be neighbours behind the IOMMU, and QEMU's NICs drop a frame that spans two such
 * pages. What is left of a page shifts its chunks, so that they do not all begin in the same set of
 * the cache.
 */
static uint64_t place(uint64_t page, uint32_t chunk, uint32_t i)
{
	uint64_t each = page / chunk, shifts;

	if (!each)
		return (uint64_t)chunk * i;
	shifts = (page - each * chunk) / VFC_POOL_UNIT + 1;
	return i / each * page + i % each * chunk + i / each % shifts * VFC_POOL_UNIT;
}

/*
 * Allocate memory that comes in pieces of @piece bytes, and compute where @pool's chunks lie in it.
 */
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
	/* Put low chunks on top of the stack, so that a small load stays in few pages. */
	for (uint32_t i = 0; i < pool->chunks; i++)
		pool->stack[i] = (uint32_t)(place(piece, pool->chunk, pool->chunks - 1 - i) /
					    VFC_POOL_UNIT);
	return 0;
}

/*
 * Use huge pages if the pool fills half of one or its chunks are longer than a small page, and if
 * there are any. Chunks lie close together there. In small pages the chunks that a ring has in use
 * would take half as many pages as chunks, and the CPU, the IOMMU or an emulator has only a small
 * cache for those.
 */
static int pool_place(struct vfc_pool *pool, struct vfc_iommu *iommu)
{
	struct vfc_error before = *vfc_error_last();
	uint64_t small = sys_page_size(), huge = pages[1].size;

	if (iommu_look(iommu).physical) /* all of the memory is one piece */
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
	/* vfc_pool_get() returns a signed number, and each chunk may take a page of its own. */
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
