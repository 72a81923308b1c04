/* SPDX-License-Identifier: MIT */
/* Where a mapping may be, and why it may not. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "iommu/space.h"

/* "0x0-0xfedfffff, 0xfef00000-0x7fffffffff" */
static void describe_windows(const struct iova_map *map, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < map->window_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s0x%" PRIx64 "-0x%" PRIx64,
					 i ? ", " : "", map->windows[i].start, map->windows[i].end);
}

uint64_t map_guard(const struct vfc_iommu *iommu, const struct vfc_map_opts *opts)
{
	return (opts->guard + (space_page(iommu) - 1)) & -space_page(iommu);
}

static int refuse_guard(const struct vfc_map_opts *opts, uint64_t length, uint64_t most)
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

static int place_fixed(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
		       const struct vfc_map_opts *opts)
{
	struct error_where where = WHERE(AT_IOVA(iova, length));
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
	if (!iova_conflicts(&iommu->map, iova, length, map_guard(iommu, opts), &other))
		return 0;
	if (other.iova <= iova + (length - 1) && iova <= other.iova + (other.length - 1))
		return vfc_fail(EEXIST, VFC_REASON_IOVA, where, "a mapping is there already");
	return vfc_fail(EEXIST, VFC_REASON_IOVA, where,
			"the guard of one reaches the other: 0x%" PRIx64 "-0x%" PRIx64
			" is mapped, and it or the new mapping keeps what is beside it free",
			other.iova, other.iova + (other.length - 1));
}

static int no_place(struct vfc_iommu *iommu, uint64_t length, uint64_t align, uint64_t highest,
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
	uint64_t align = opts->align ? opts->align : map_natural_align(length, page);
	uint64_t guard = map_guard(iommu, opts);

	if (!(align & (align - 1)) && iova_allocate(&iommu->map, length, align < page ? page : align,
						    highest, guard, iova))
		return 0;
	return no_place(iommu, length, align, highest, guard);
}

static int refuse_place(const struct vfc_map_opts *opts, struct error_where where)
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
		rc = refuse_place(opts, WHERE(.length = length));
	else if (opts->flags & VFC_MAP_IDENTITY)
		rc = place_fixed(iommu, *iova = (uintptr_t)va, length, opts);
	else if (opts->flags & VFC_MAP_FIXED)
		rc = place_fixed(iommu, *iova, length, opts);
	else
		rc = place_free(iommu, length, opts, iova);
	return rc < 0 ? rc : iova_reserve(&iommu->map);
}

int map_undo(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	int rc;

	error_quiet_begin();
	rc = iommu->ops->unmap(iommu->space, iova, length);
	if (rc < 0)
		rc = iommu->ops->unmap(iommu->space, iova, length);
	error_quiet_end();
	return rc;
}

int map_check_physical(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
			  const struct vfc_map_opts *opts)
{
	struct error_where where = WHERE(AT_IOVA(iova, length));
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
