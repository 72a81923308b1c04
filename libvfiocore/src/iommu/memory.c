/* SPDX-License-Identifier: MIT */
/* Memory that is not the process's own: files, and mappings of another space. */
#include <errno.h>
#include <inttypes.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "iommu/space.h"

int map_check_named(const struct vfc_map_opts *opts)
{
	int rc = map_check_opts(opts);

	if (rc == 0 && opts->flags & VFC_MAP_IDENTITY)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"VFC_MAP_IDENTITY is for memory of this process: this has no address");
	return rc;
}

static int map_file(struct vfc_iommu *iommu, int fd, uint64_t offset, uint64_t length,
		    uint64_t *iova, const struct vfc_map_opts *opts)
{
	const struct transport_memory memory = {.fd = fd, .offset = offset};
	int rc = map_check_named(opts);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	rc = map_check(iommu, offset, length, NO_IOVA);
	if (rc == 0)
		rc = map_memory(iommu, &memory, length, iova, opts);
	lock_give(&iommu->lock);
	return rc;
}

int vfc_iommu_map_file(struct vfc_iommu *iommu, int fd, uint64_t offset, uint64_t length,
		       const struct vfc_map_opts *opts, uint64_t *iova)
{
	struct vfc_map_opts own;

	return vfc_done(map_file(iommu, fd, offset, length, iova, MAP_OPTIONS(opts, &own)));
}

/* Find the mapping of @from that holds all of the range. */
static int find_source(struct vfc_iommu *from, uint64_t at, uint64_t length,
		       struct vfc_mapping *mapping)
{
	struct error_where where = WHERE(AT_IOVA(at, length));
	bool found;

	lock_take(&from->lock);
	found = iova_find(&from->map, at, mapping);
	lock_give(&from->lock);
	if (!found)
		return vfc_fail(ENOENT, VFC_REASON_IOVA, where, "nothing is mapped there");
	if (length > mapping->length - (at - mapping->iova))
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the mapping there ends at 0x%" PRIx64 ": a copy is of one mapping",
				mapping->iova + mapping->length - 1);
	return 0;
}

/* Both spaces are of one iommufd, so the kernel looks the source up in its own books. */
static int copy_locked(struct vfc_iommu *to, struct vfc_iommu *from, uint64_t at, uint64_t length,
		       uint64_t *iova, const struct vfc_map_opts *opts)
{
	uint64_t place;
	struct search search;
	int rc = map_check(to, at, length, at);

	if (rc < 0)
		return rc;
	search_begin(&search);
	do {
		place = *iova;
		rc = map_place(to, NULL, length, opts, &place);
		if (rc == 0)
			rc = to->ops->copy(to->space, from->space, at, place, length,
					   map_kernel_flags(map_access(opts)));
	} while (search_on(to, &search, &rc, place, length, opts));
	if (rc < 0)
		return rc;
	*iova = place;
	return 0;
}

static int copy(struct vfc_iommu *to, struct vfc_iommu *from, uint64_t at, uint64_t length,
		uint64_t *iova, const struct vfc_map_opts *opts)
{
	struct vfc_mapping source;
	bool related;
	void *va;
	int rc = map_check_named(opts);

	if (rc == 0)
		rc = space_check_process(to);
	if (rc == 0)
		rc = space_check_process(from);
	if (rc == 0)
		rc = find_source(from, at, length, &source);
	if (rc < 0)
		return rc;
	related = to->ops == from->ops && to->ops->related &&
		  to->ops->related(to->space, from->space);
	va = source.va ? (char *)source.va + (at - source.iova) : NULL;
	if (!related || !to->ops->copy)
		return va ? vfc_iommu_map(to, va, length, opts, iova)
			  : space_cannot(to, "copy memory of a file from a space whose iommufd it does "
					     "not share; map the file here, too");
	lock_take(&to->lock);
	rc = copy_locked(to, from, at, length, iova, opts);
	if (rc == 0)
		map_record(to, va, *iova, length, opts);
	lock_give(&to->lock);
	return rc;
}

int vfc_iommu_copy(struct vfc_iommu *to, struct vfc_iommu *from, uint64_t at, uint64_t length,
		   const struct vfc_map_opts *opts, uint64_t *iova)
{
	struct vfc_map_opts own;

	return vfc_done(copy(to, from, at, length, iova, MAP_OPTIONS(opts, &own)));
}
