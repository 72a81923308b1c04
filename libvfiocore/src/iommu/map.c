/* SPDX-License-Identifier: MIT */
/* Mappings: where they are placed, made, found and taken back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <vfiocore.h>

#include "space.h"

/* Natural alignment lets the IOMMU use its large pages; beyond 2 MiB it would waste IOVA space. */
#define ALIGN_MAX (UINT64_C(2) << 20)

/* Some ten milliseconds of pinning, and few enough entries: 1 TiB has 16,384 of type1's 65,535. */
#define PIECE (UINT64_C(64) << 20)

/* Records of failures are made apart from the path that is measured. */
#define COLD __attribute__((cold, noinline))

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

static COLD int refuse(const struct vfc_iommu *iommu, uint64_t position, uint64_t length,
		       uint64_t iova)
{
	struct error_where where = WHERE(.iova = iova, .length = length);
	uint64_t page = space_page(iommu);

	if (space_check_process(iommu) < 0)
		return -ECHILD;
	/* What was known of the page table went with the last device. */
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

	/* To a transport NULL is a file's memory. */
	if (rc == 0 && !va)
		return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY, WHERE(.iova = iova, .length = length),
				"the memory's address is NULL, where nothing is mapped");
	return rc;
}

/* "0x0-0xfedfffff, 0xfef00000-0x7fffffffff" */
static void describe_windows(const struct iova_map *map, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < map->window_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s0x%" PRIx64 "-0x%" PRIx64,
					 i ? ", " : "", map->windows[i].start, map->windows[i].end);
}

/* Whole pages; map_place() has checked it. */
static uint64_t guard_of(const struct vfc_iommu *iommu, const struct vfc_map_opts *opts)
{
	return (opts->guard + (space_page(iommu) - 1)) & -space_page(iommu);
}

static COLD int refuse_guard(const struct vfc_map_opts *opts, uint64_t length, uint64_t most)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.length = length),
			"a guard of %" PRIu64 " bytes was asked for; the most is 0x%" PRIx64,
			opts->guard, most);
}

static int check_guard(const struct vfc_iommu *iommu, const struct vfc_map_opts *opts,
		       uint64_t length)
{
	uint64_t most = IOVA_GUARD_MAX & -space_page(iommu);

	return opts->guard <= most ? 0 : refuse_guard(opts, length, most);
}

static COLD int place_fixed(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
		       const struct vfc_map_opts *opts)
{
	struct error_where where = WHERE(.iova = iova, .length = length);
	uint64_t align = opts->align > space_page(iommu) ? opts->align : space_page(iommu);
	struct vfc_mapping other;
	char windows[200];

	if (iova % align)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"the IOVA must be a multiple of %" PRIu64, align);
	if (opts->highest && (iova > opts->highest || length - 1 > opts->highest - iova))
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the range ends above 0x%" PRIx64 ", the highest that was asked for",
				opts->highest);
	if (!iova_in_window(&iommu->map, iova, length)) {
		describe_windows(&iommu->map, windows, sizeof(windows));
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the IOMMU and its reserved ranges (MSI and others) leave these windows: %s",
				windows);
	}
	if (!iova_conflicts(&iommu->map, iova, length, guard_of(iommu, opts), &other))
		return 0;
	if (other.iova <= iova + (length - 1) && iova <= other.iova + (other.length - 1))
		return vfc_fail(EEXIST, VFC_REASON_IOVA, where, "a mapping is there already");
	return vfc_fail(EEXIST, VFC_REASON_IOVA, where,
			"the guard of one reaches the other: 0x%" PRIx64 "-0x%" PRIx64
			" is mapped, and it or the new mapping keeps what is beside it free",
			other.iova, other.iova + (other.length - 1));
}

static uint64_t natural_align(uint64_t length, uint64_t page)
{
	uint64_t align = page;

	while (align < length && align < ALIGN_MAX)
		align <<= 1;
	return align;
}

static COLD int no_place(struct vfc_iommu *iommu, uint64_t length, uint64_t align, uint64_t highest,
			 uint64_t guard)
{
	struct error_where where = WHERE(.length = length);
	char windows[200];

	if (align & (align - 1))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"the alignment %" PRIu64 " is not a power of two", align);
	describe_windows(&iommu->map, windows, sizeof(windows));
	return vfc_fail(ENOSPC, VFC_REASON_OUT_OF_IOVA, where,
			"no free range aligned to 0x%" PRIx64 " up to 0x%" PRIx64
			" with a guard of 0x%" PRIx64 " in the windows %s; %zu mapping%s live",
			align, highest, guard, windows, iommu->map.count, PLURAL(iommu->map.count));
}

static int place_free(struct vfc_iommu *iommu, uint64_t length, const struct vfc_map_opts *opts,
		      uint64_t *iova)
{
	uint64_t page = space_page(iommu), highest = opts->highest ? opts->highest : UINT64_MAX;
	uint64_t align = opts->align ? opts->align : natural_align(length, page);
	uint64_t guard = guard_of(iommu, opts);

	if (!(align & (align - 1)) && iova_allocate(&iommu->map, length, align < page ? page : align,
						    highest, guard, iova))
		return 0;
	return no_place(iommu, length, align, highest, guard);
}

static COLD int refuse_place(const struct vfc_map_opts *opts, struct error_where where)
{
	if (!(opts->flags & (VFC_MAP_FIXED | VFC_MAP_IDENTITY)) && !opts->guard)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
			"no IOMMU translates here: the device sees memory at its physical address, "
			"which nobody can choose");
}

int map_place(struct vfc_iommu *iommu, const void *va, uint64_t length,
	      const struct vfc_map_opts *opts, uint64_t *iova)
{
	int rc = check_guard(iommu, opts, length);

	if (rc < 0)
		return rc;
	if (iommu->physical)
		rc = refuse_place(opts, WHERE(.iova = *iova, .length = length));
	else if (opts->flags & VFC_MAP_IDENTITY)
		rc = place_fixed(iommu, *iova = (uintptr_t)va, length, opts);
	else if (opts->flags & VFC_MAP_FIXED)
		rc = place_fixed(iommu, *iova, length, opts);
	else
		rc = place_free(iommu, length, opts, iova);
	return rc < 0 ? rc : iova_reserve(&iommu->map);
}

/* Where the kernel, and not we, told the address: does it serve? */
static int check_physical(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
			  const struct vfc_map_opts *opts)
{
	struct error_where where = WHERE(.iova = iova, .length = length);
	struct vfc_mapping other;
	int rc = 0;

	if (opts->highest && (iova > opts->highest || length - 1 > opts->highest - iova))
		rc = vfc_fail(ENOSPC, VFC_REASON_OUT_OF_IOVA, where,
			      "the memory lies above 0x%" PRIx64 ", the highest that was asked for, and "
			      "no IOMMU can move it",
			      opts->highest);
	else if (opts->align && iova % opts->align)
		rc = vfc_fail(ENOSPC, VFC_REASON_OUT_OF_IOVA, where,
			      "the memory is not aligned to %" PRIu64 ", and no IOMMU can move it",
			      opts->align);
	else if (iova_conflicts(&iommu->map, iova, length, 0, &other))
		rc = vfc_fail(EEXIST, VFC_REASON_IOVA, where,
			      "this memory is mapped already, and has one address without an IOMMU");
	if (rc < 0)
		map_undo(iommu, iova, length);
	return rc;
}

void map_record(struct vfc_iommu *iommu, void *va, uint64_t iova, uint64_t length,
		const struct vfc_map_opts *opts)
{
	iova_insert(&iommu->map,
		    &(struct vfc_mapping){.iova = iova, .length = length, .va = va,
					  .flags = map_access(opts)},
		    guard_of(iommu, opts));
}

/* Tell, and let others work meanwhile. */
static int tell(struct vfc_iommu *iommu, const struct vfc_map_opts *opts, uint64_t iova,
		uint64_t done, uint64_t length)
{
	int stop;

	pthread_mutex_unlock(&iommu->lock);
	stop = opts->progress(opts->progress_argument, done, length);
	pthread_mutex_lock(&iommu->lock);
	return stop ? vfc_fail(ECANCELED, VFC_REASON_NONE, WHERE(.iova = iova, .length = length),
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

int map_undo(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct vfc_error error = *vfc_error_last();
	int rc = iommu->ops->unmap(iommu->space, iova, length);

	if (rc < 0)
		rc = iommu->ops->unmap(iommu->space, iova, length);
	vfc_error_restore(&error);
	return rc;
}

/* What the kernel keeps of it, we do, as long as it is; without memory for that, all of it. */
static void shorten(struct vfc_iommu *iommu, void *va, uint64_t iova, uint64_t length,
		    const struct vfc_map_opts *opts)
{
	struct vfc_error error = *vfc_error_last();

	if (iova_reserve(&iommu->map) == 0) {
		iova_remove(&iommu->map, iova);
		map_record(iommu, va, iova, length, opts);
	}
	vfc_error_restore(&error);
}

/* In the books from the start, so that nobody else gets the place while the lock is released. */
static int map_slowly(struct vfc_iommu *iommu, const struct transport_memory *memory,
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

int map_once(struct vfc_iommu *iommu, const struct transport_memory *memory, uint64_t length,
	     uint64_t *at, const struct vfc_map_opts *opts)
{
	int rc = map_place(iommu, memory->va, length, opts, at);

	if (rc < 0)
		return rc;
	if (opts->progress && !iommu->physical)
		return map_slowly(iommu, memory, length, *at, opts);
	rc = iommu->ops->map(iommu->space, memory, at, length, map_kernel_flags(map_access(opts)));
	if (rc == 0 && iommu->physical)
		rc = check_physical(iommu, *at, length, opts);
	if (rc == 0)
		map_record(iommu, memory->va, *at, length, opts);
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
	pthread_mutex_lock(&iommu->lock);
	rc = map_check_va(iommu, va, length, opts->flags & VFC_MAP_FIXED ? *iova : 0);
	if (rc == 0)
		rc = map_memory(iommu, &memory, length, iova, opts);
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

int vfc_iommu_map(struct vfc_iommu *iommu, void *va, uint64_t length, uint64_t *iova,
		  const struct vfc_map_opts *opts)
{
	struct vfc_map_opts own;

	return vfc_done(map_va(iommu, va, length, iova, MAP_OPTIONS(opts, &own)));
}

COLD int map_check_settled(const struct vfc_iommu *iommu, uint64_t iova)
{
	for (const struct pending *p = iommu->pending; p; p = p->next)
		if (p->iova == iova)
			return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.iova = iova),
					"another thread is still making this mapping");
	return 0;
}

static COLD int not_found(uint64_t iova, uint64_t length, const struct vfc_mapping *there)
{
	struct error_where where = WHERE(.iova = iova, .length = length);

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

int vfc_iommu_unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct vfc_mapping mapping;
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = map_find(iommu, iova, length, &mapping);
	if (rc == 0)
		rc = map_remove(iommu, &mapping);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(rc);
}

int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova)
{
	struct vfc_mapping mapping;
	int rc = 0;

	pthread_mutex_lock(&iommu->lock);
	/* By its address, too: another mapping may have the place meanwhile. */
	if (iova_find(&iommu->map, iova, &mapping) && mapping.iova == iova && mapping.va == va) {
		rc = map_check_settled(iommu, iova);
		if (rc == 0)
			rc = map_remove(iommu, &mapping);
	}
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

int vfc_iommu_find_iova(struct vfc_iommu *iommu, uint64_t iova, struct vfc_mapping *mapping)
{
	bool found;

	pthread_mutex_lock(&iommu->lock);
	found = iova_find(&iommu->map, iova, mapping);
	pthread_mutex_unlock(&iommu->lock);
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
	pthread_mutex_lock(&iommu->lock);
	rc = iova_find_va(&iommu->map, va, mapping);
	pthread_mutex_unlock(&iommu->lock);
	if (rc == 0)
		rc = vfc_fail(ENOENT, VFC_REASON_IOVA, NOWHERE, "the memory at %p is not mapped", va);
	return vfc_done(rc < 0 ? rc : 0);
}
