/* SPDX-License-Identifier: MIT */
/* Many mappings are unmapped at once: those of a range, or all. */
#include <errno.h>
#include <inttypes.h>
#include <vfiocore/iommu.h>

#include "iommu/space.h"

struct range {
	uint64_t first, last;
};

static uint64_t last_of(const struct vfc_mapping *mapping)
{
	return mapping->iova + (mapping->length - 1);
}

static int straddles(const struct vfc_mapping *mapping, const char *edge, uint64_t address)
{
	return vfc_fail(EINVAL, VFC_REASON_IOVA, WHERE(AT_IOVA(mapping->iova, mapping->length)),
			"0x%" PRIx64 ", the %s address of the range, is in the midst of the mapping 0x%" PRIx64
			"-0x%" PRIx64 ", which is taken whole or not at all",
			address, edge, mapping->iova, last_of(mapping));
}

static int check_edges(struct vfc_iommu *iommu, struct range range)
{
	struct vfc_mapping at;

	if (iova_find(&iommu->map, range.first, &at) && at.iova < range.first)
		return straddles(&at, "first", range.first);
	if (iova_find(&iommu->map, range.last, &at) && last_of(&at) > range.last)
		return straddles(&at, "last", range.last);
	return 0;
}

static int check_settled(const struct vfc_iommu *iommu, struct range range)
{
	for (const struct pending *p = iommu->pending; p; p = p->next)
		if (p->iova >= range.first && p->iova <= range.last)
			return map_check_settled(iommu, p->iova);
	return 0;
}

/*
 * The next mapping in @range, with those that follow it without a gap. One call of the kernel
 * unmaps such a run.
 */
static bool next_run(struct vfc_iommu *iommu, struct range range, struct range *run)
{
	struct vfc_mapping mapping;

	if (!iova_next(&iommu->map, range.first, &mapping) || mapping.iova > range.last)
		return false;
	run->first = mapping.iova;
	run->last = last_of(&mapping);
	/* Mappings are neighbours at physical addresses only by chance, and take a call each. */
	while (!iommu->physical && run->last < range.last &&
	       iova_find(&iommu->map, run->last + 1, &mapping))
		run->last = last_of(&mapping);
	return true;
}

static void forget_run(struct vfc_iommu *iommu, struct range run)
{
	struct vfc_mapping mapping;

	while (iova_next(&iommu->map, run.first, &mapping) && mapping.iova <= run.last)
		iova_remove(&iommu->map, mapping.iova);
}

/*
 * A kernel that fails may have unmapped some, and does not say which (iopt_unmap_iova_range() in
 * Linux 7.3, drivers/iommu/iommufd/io_pagetable.c). So each mapping is unmapped by itself.
 */
static int unmap_singly(struct vfc_iommu *iommu, struct range run)
{
	struct vfc_mapping mapping;
	int rc;

	while (iova_next(&iommu->map, run.first, &mapping) && mapping.iova <= run.last) {
		rc = iommu->ops->unmap(iommu->space, mapping.iova, mapping.length);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		iova_remove(&iommu->map, mapping.iova);
	}
	return 0;
}

static int unmap_run(struct vfc_iommu *iommu, struct range run)
{
	int rc;

	error_quiet_begin();
	rc = iommu->ops->unmap(iommu->space, run.first, run.last - run.first + 1);
	error_quiet_end();
	if (rc < 0)
		return unmap_singly(iommu, run);
	forget_run(iommu, run);
	return 0;
}

static int unmap_locked(struct vfc_iommu *iommu, struct range range)
{
	struct range run;
	int rc = space_check_process(iommu);

	if (rc == 0)
		rc = check_edges(iommu, range);
	if (rc == 0)
		rc = check_settled(iommu, range);
	for (struct iommu_watcher *w = rc == 0 ? iommu->watchers : NULL; w; w = w->next)
		w->leaving(w);
	while (rc == 0 && next_run(iommu, range, &run))
		rc = unmap_run(iommu, run);
	return rc;
}

static bool reaches(const struct vfc_mapping *mapping, const void *va, uint64_t length)
{
	uintptr_t first = (uintptr_t)mapping->va, wanted = (uintptr_t)va;

	return mapping->va && first < wanted + length && wanted < first + mapping->length;
}

static int unmap_reaching(struct vfc_iommu *iommu, const struct vfc_mapping *mapping)
{
	int rc = map_check_settled(iommu, mapping->iova);

	for (struct iommu_watcher *w = rc == 0 ? iommu->watchers : NULL; w; w = w->next)
		w->leaving(w);
	return rc < 0 ? rc : map_remove(iommu, mapping);
}

/* Every mapping is looked at. That needs no index by address, and so no memory. */
int iommu_unmap_memory(struct vfc_iommu *iommu, const void *va, uint64_t length)
{
	struct vfc_mapping mapping;
	bool found;
	int rc = 0;

	lock_take(&iommu->lock);
	found = iova_first(&iommu->map, &mapping);
	while (found && rc == 0) {
		uint64_t next = last_of(&mapping) + 1;

		if (reaches(&mapping, va, length))
			rc = unmap_reaching(iommu, &mapping);
		found = next && iova_next(&iommu->map, next, &mapping);
	}
	lock_give(&iommu->lock);
	return rc;
}

int unmap_all(struct vfc_iommu *iommu)
{
	return unmap_locked(iommu, (struct range){0, UINT64_MAX});
}

static int64_t unmap_range(struct vfc_iommu *iommu, struct range range)
{
	uint64_t bytes;
	int rc;

	lock_take(&iommu->lock);
	bytes = iommu->map.bytes;
	rc = unmap_locked(iommu, range);
	bytes -= iommu->map.bytes;
	lock_give(&iommu->lock);
	if (rc < 0)
		return rc;
	return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

int64_t vfc_iommu_unmap_range(struct vfc_iommu *iommu, uint64_t iova, uint64_t length)
{
	struct range range = {iova, iova + (length - 1)};
	int64_t bytes;

	if (!length || range.last < range.first)
		bytes = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(AT_IOVA(iova, length)),
				 "a range has at least 1 byte, and ends where 64 bits do");
	else
		bytes = unmap_range(iommu, range);
	return bytes < 0 ? vfc_done((int)bytes) : bytes;
}

int64_t vfc_iommu_unmap_all(struct vfc_iommu *iommu)
{
	int64_t bytes = unmap_range(iommu, (struct range){0, UINT64_MAX});

	return bytes < 0 ? vfc_done((int)bytes) : bytes;
}
