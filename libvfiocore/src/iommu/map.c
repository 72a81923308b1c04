/* SPDX-License-Identifier: MIT */
/* Mappings: where they are placed, made, found and taken back. */
#include <errno.h>
#include <inttypes.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "iommu/space.h"

/*
 * Pinning a piece takes some ten milliseconds, and the entries are few enough: 1 TiB takes 16,384
 * of the 65,535 that type1 has.
 */
#define PIECE (UINT64_C(64) << 20)

#define FLAGS (VFC_MAP_READ | VFC_MAP_WRITE | VFC_MAP_FIXED | VFC_MAP_IDENTITY)

const struct vfc_map_opts map_defaults = {.size = sizeof(map_defaults)};

int map_check_opts(const struct vfc_map_opts *opts)
{
	if (!opts)
		return OPTIONS_REFUSED;
	if (!(opts->flags & ~(uint32_t)FLAGS))
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"opts->flags is 0x%x and is of enum vfc_map_flags", opts->flags);
}

uint32_t map_access(const struct vfc_map_opts *opts)
{
	uint32_t access = opts->flags & (VFC_MAP_READ | VFC_MAP_WRITE);

	return access ? access : VFC_MAP_READ | VFC_MAP_WRITE;
}

uint32_t map_kernel_flags(uint32_t access)
{
	return (access & VFC_MAP_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
	       (access & VFC_MAP_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0);
}

/* Where a mapping is. It may have no place yet. */
static struct error_where where_at(uint64_t iova, uint64_t length)
{
	return iova == NO_IOVA ? WHERE(.length = length) : WHERE(AT_IOVA(iova, length));
}

static COLD int refuse(const struct vfc_iommu *iommu, uint64_t position, uint64_t length,
		       uint64_t iova)
{
	struct error_where where = where_at(iova, length);
	uint64_t page = space_page(iommu);

	if (space_check_process(iommu) < 0)
		return -ECHILD;
	/* The page table went with the last device, and what was known of it. */
	if (!iommu->devices)
		return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, where,
				"no device is attached to this space, so the kernel has no page "
				"table to map in: open a device first");
	if (!length)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where, "a mapping of 0 bytes was asked for");
	if ((position | length) & (page - 1))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"address 0x%" PRIx64 " and length %" PRIu64
				" must be multiples of the IOMMU's page, %" PRIu64 " bytes",
				position, length, page);
	return vfc_fail(EINVAL, VFC_REASON_BAD_MEMORY, where,
			"the memory runs past the end of the address space");
}

int map_check(const struct vfc_iommu *iommu, uint64_t position, uint64_t length, uint64_t iova)
{
	if (iommu->devices && length && !((position | length) & (space_page(iommu) - 1)) &&
	    position + length >= length)
		return 0;
	return refuse(iommu, position, length, iova);
}

int map_check_va(const struct vfc_iommu *iommu, const void *va, uint64_t length, uint64_t iova)
{
	int rc = map_check(iommu, (uintptr_t)va, length, iova);

	/* A transport takes NULL for memory of a file. */
	if (rc == 0 && !va)
		return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY, where_at(iova, length),
				"the memory's address is NULL, where nothing is mapped");
	return rc;
}

/*
 * Most requests are for any place, which is decided here. map_place() handles all others, and every
 * refusal.
 */
static inline int place(struct vfc_iommu *iommu, const void *va, uint64_t length,
			const struct vfc_map_opts *opts, uint64_t *iova)
{
	uint64_t page = space_page(iommu), highest = opts->highest ? opts->highest : UINT64_MAX;
	uint64_t align = opts->align ? opts->align : map_natural_align(length, page);

	if (!(opts->flags & (VFC_MAP_FIXED | VFC_MAP_IDENTITY)) && !opts->guard && !iommu->physical &&
	    align >= page && !(align & (align - 1)) &&
	    run_take(&iommu->map.run, length, align, highest, iova))
		return iova_reserve(&iommu->map);
	return map_place(iommu, va, length, opts, iova);
}

void map_record(struct vfc_iommu *iommu, void *va, uint64_t iova, uint64_t length,
		const struct vfc_map_opts *opts)
{
	iova_insert(&iommu->map,
		    &(struct vfc_mapping){.iova = iova, .length = length, .va = va,
					  .flags = map_access(opts)},
		    opts->guard ? map_guard(iommu, opts) : 0);
}

/* Report progress, with the lock given up meanwhile. */
static int tell(struct vfc_iommu *iommu, const struct vfc_map_opts *opts, uint64_t iova,
		uint64_t done, uint64_t length)
{
	int stop;

	lock_give(&iommu->lock);
	stop = opts->progress(opts->progress_argument, done, length);
	lock_take(&iommu->lock);
	return stop ? vfc_fail(ECANCELED, VFC_REASON_NONE, WHERE(AT_IOVA(iova, length)),
			       "stopped by its progress function after %" PRIu64 " bytes", done)
		    : 0;
}

static int map_pieces(struct vfc_iommu *iommu, const struct transport_memory *memory,
		      uint64_t length, uint64_t iova, const struct vfc_map_opts *opts,
		      uint64_t *mapped)
{
	struct transport_memory rest = *memory;
	uint64_t done = 0;
	int rc = 0;

	while (rc == 0 && done < length) {
		uint64_t at = iova + done, n = length - done < PIECE ? length - done : PIECE;

		rc = iommu->ops->map(iommu->space, &rest, &at, n,
				     map_kernel_flags(map_access(opts)));
		if (rc < 0)
			break;
		*mapped = done += n;
		rest.va = rest.va ? (char *)rest.va + n : NULL;
		rest.offset += n;
		rc = tell(iommu, opts, iova, done, length);
	}
	return rc;
}

/*
 * The kernel has kept the first part, so the books get an entry of that length. Without memory for
 * it the longer entry stays.
 */
static void shorten(struct vfc_iommu *iommu, void *va, uint64_t iova, uint64_t length,
		    const struct vfc_map_opts *opts)
{
	error_quiet_begin();
	if (iova_reserve(&iommu->map) == 0) {
		iova_remove(&iommu->map, iova);
		map_record(iommu, va, iova, length, opts);
	}
	error_quiet_end();
}

/*
 * The mapping is in the books from the start, so that nobody else gets its place while the lock is
 * released.
 */
static COLD int map_slowly(struct vfc_iommu *iommu, const struct transport_memory *memory,
		      uint64_t length, uint64_t iova, const struct vfc_map_opts *opts)
{
	struct pending pending = {iommu->pending, iova}, **link = &iommu->pending;
	uint64_t mapped = 0;
	int rc;

	iommu->pending = &pending;
	iommu->holders++;
	map_record(iommu, memory->va, iova, length, opts);
	rc = map_pieces(iommu, memory, length, iova, opts, &mapped);
	while (*link != &pending)
		link = &(*link)->next;
	*link = pending.next;
	iommu->holders--;
	if (rc < 0 && mapped && map_undo(iommu, iova, mapped) < 0)
		shorten(iommu, memory->va, iova, mapped, opts);
	else if (rc < 0)
		iova_remove(&iommu->map, iova);
	return rc;
}

/* Try once to map, at a place that is chosen here. @at: the place, in and out. */
static int map_once(struct vfc_iommu *iommu, const struct transport_memory *memory, uint64_t length,
		    uint64_t *at, const struct vfc_map_opts *opts)
{
	int rc = place(iommu, memory->va, length, opts, at);

	if (rc < 0)
		return rc;
	if (opts->progress && !iommu->physical)
		return map_slowly(iommu, memory, length, *at, opts);
	rc = iommu->ops->map(iommu->space, memory, at, length, map_kernel_flags(map_access(opts)));
	if (rc == 0 && iommu->physical)
		rc = map_check_physical(iommu, *at, length, opts);
	if (rc == 0)
		map_record(iommu, memory->va, *at, length, opts);
	return rc;
}

static __attribute__((noinline)) int map_shared(struct vfc_iommu *iommu, const struct transport_memory *memory, uint64_t length,
	       uint64_t *at, const struct vfc_map_opts *opts)
{
	uint64_t wanted = *at;
	struct search search;
	int rc;

	search_begin(&search);
	do {
		*at = wanted;
		rc = map_once(iommu, memory, length, at, opts);
	} while (search_on(iommu, &search, &rc, *at, length, opts));
	return rc;
}

int map_memory(struct vfc_iommu *iommu, const struct transport_memory *memory, uint64_t length,
	       uint64_t *iova, const struct vfc_map_opts *opts)
{
	uint64_t at = *iova;
	int rc = iommu->adopted ? map_shared(iommu, memory, length, &at, opts)
				: map_once(iommu, memory, length, &at, opts);

	if (rc == 0)
		*iova = at;
	return rc;
}

static int map_va(struct vfc_iommu *iommu, void *va, uint64_t length, uint64_t *iova,
		  const struct vfc_map_opts *opts)
{
	const struct transport_memory memory = {.va = va, .fd = -1};
	int rc = map_check_opts(opts);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	rc = map_check_va(iommu, va, length, opts->flags & VFC_MAP_FIXED ? *iova : NO_IOVA);
	if (rc == 0)
		rc = map_memory(iommu, &memory, length, iova, opts);
	lock_give(&iommu->lock);
	return rc;
}

HOT int vfc_iommu_map(struct vfc_iommu *iommu, void *va, uint64_t length,
		  const struct vfc_map_opts *opts, uint64_t *iova)
{
	struct vfc_map_opts own;

	/* This call is separate so that the compiler knows the defaults. */
	if (!opts)
		return vfc_done(map_va(iommu, va, length, iova, &map_defaults));
	return vfc_done(map_va(iommu, va, length, iova, MAP_OPTIONS(opts, &own)));
}

COLD int map_check_settled(const struct vfc_iommu *iommu, uint64_t iova)
{
	for (const struct pending *p = iommu->pending; p; p = p->next)
		if (p->iova == iova)
			return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(AT_IOVA(iova, 0)),
					"another thread is still making this mapping");
	return 0;
}

static COLD int not_found(uint64_t iova, uint64_t length, const struct vfc_mapping *there)
{
	struct error_where where = WHERE(AT_IOVA(iova, length));

	if (!there)
		return vfc_fail(ENOENT, VFC_REASON_IOVA, where, "nothing is mapped there");
	return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
			"the mapping there begins at 0x%" PRIx64 " and has %" PRIu64
			" bytes; it is taken whole or not at all",
			there->iova, there->length);
}

int map_find(struct vfc_iommu *iommu, uint64_t iova, uint64_t length, struct vfc_mapping *mapping)
{
	if (!iova_find(&iommu->map, iova, mapping))
		return space_check_process(iommu) < 0 ? -ECHILD : not_found(iova, length, NULL);
	if (mapping->iova != iova || mapping->length != length)
		return not_found(iova, length, mapping);
	return iommu->pending ? map_check_settled(iommu, iova) : 0;
}

int map_remove(struct vfc_iommu *iommu, const struct vfc_mapping *mapping)
{
	int rc = iommu->ops->unmap(iommu->space, mapping->iova, mapping->length);

	if (rc == 0)
		iova_remove(&iommu->map, mapping->iova);
	return rc;
}

static __attribute__((noinline)) int unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct vfc_mapping mapping;
	int rc = map_find(iommu, iova, length, &mapping);

	return rc < 0 ? rc : map_remove(iommu, &mapping);
}

HOT int vfc_iommu_unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct vfc_mapping *made;
	int rc;

	lock_take(&iommu->lock);
	made = run_find(&iommu->map.run, iova);
	if (made && made->iova == iova && made->length == length && !iommu->pending) {
		rc = iommu->ops->unmap(iommu->space, iova, length);
		if (rc == 0)
			iova_forget(&iommu->map, made);
	} else {
		rc = unmap(iommu, iova, length);
	}
	lock_give(&iommu->lock);
	return vfc_done(rc);
}

int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova)
{
	struct vfc_mapping mapping;
	int rc = 0;

	lock_take(&iommu->lock);
	/* The address is compared as well, because another mapping may have the place meanwhile. */
	if (iova_find(&iommu->map, iova, &mapping) && mapping.iova == iova && mapping.va == va) {
		rc = map_check_settled(iommu, iova);
		if (rc == 0)
			rc = map_remove(iommu, &mapping);
	}
	lock_give(&iommu->lock);
	return rc;
}

int vfc_iommu_find_iova(struct vfc_iommu *iommu, uint64_t iova, struct vfc_mapping *mapping)
{
	bool found;

	lock_take(&iommu->lock);
	found = iova_find(&iommu->map, iova, mapping);
	lock_give(&iommu->lock);
	if (!found && space_check_process(iommu) < 0)
		return vfc_done(-ECHILD);
	return vfc_done(found ? 0
			      : vfc_fail(ENOENT, VFC_REASON_IOVA, NOWHERE,
					 "nothing is mapped at IOVA 0x%" PRIx64, iova));
}

int vfc_iommu_find_va(struct vfc_iommu *iommu, const void *va, struct vfc_mapping *mapping)
{
	int rc = space_check_process(iommu);

	if (rc < 0)
		return vfc_done(rc);
	lock_take(&iommu->lock);
	rc = iova_find_va(&iommu->map, va, mapping);
	lock_give(&iommu->lock);
	if (rc == 0)
		rc = vfc_fail(ENOENT, VFC_REASON_IOVA, NOWHERE, "the memory at %p is not mapped", va);
	return vfc_done(rc < 0 ? rc : 0);
}
