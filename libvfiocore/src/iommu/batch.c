/* SPDX-License-Identifier: MIT */
/*
 * Many buffers are mapped at once. Neighbours become one mapping. The vector alone says which
 * buffers that are, so unmapping them needs no further books.
 */
#include <errno.h>
#include <stdlib.h>
#include <vfiocore/iommu.h>
#include <vfiocore/iova.h>

#include "kernel/sys.h"
#include "iommu/space.h"

/*
 * How many buffers from @first on make one mapping, and how long it is. Neighbours in virtual
 * memory are neighbours in physical memory only by chance.
 */
static size_t run_of(const struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t first,
		     size_t count, uint64_t *length)
{
	size_t i = first;

	*length = 0;
	do {
		*length += vector[i].length;
		i++;
	} while (i < count && !iommu->physical && vector[i].length &&
		 (uintptr_t)vector[i].va == (uintptr_t)vector[first].va + *length &&
		 *length + vector[i].length > *length);
	return i - first;
}

static int check_buffers(const struct vfc_iommu *iommu, const struct vfc_mapping *vector,
			 size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int rc = map_check_va(iommu, vector[i].va, vector[i].length, NO_IOVA);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Check that the run is what was mapped. */
static int find_run(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t buffers,
		    uint64_t length, struct vfc_mapping *mapping)
{
	uint64_t iova = vector->iova;
	int rc = map_find(iommu, iova, length, mapping);
	bool same = rc == 0 && mapping->va == vector->va;

	for (size_t i = 0; same && i < buffers; i++) {
		same = vector[i].iova == iova;
		iova += vector[i].length;
	}
	if (rc < 0 || same)
		return rc;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(AT_IOVA(vector->iova, length)),
			"this is not the vector that was mapped: %zu buffer%s from %p on not where it "
			"says", buffers, PLURAL(buffers), vector->va);
}

static int compare_iovas(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int refuse_twice(const uint64_t *iovas, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (iovas[i] == iovas[i - 1])
			return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(AT_IOVA(iovas[i], 0)),
					"the vector has the buffer there twice, and it is mapped once");
	return 0;
}

/*
 * Check that no mapping is in the vector twice. IOVAs that ascend, as they mostly do, need no such
 * check.
 */
static int check_order(const struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	uint64_t *iovas = sys_alloc(count * sizeof(*iovas)), length;
	size_t runs = 0;
	int rc;

	if (!iovas)
		return vfc_no_memory();
	for (size_t i = 0; i < count; i += run_of(iommu, vector, i, count, &length))
		iovas[runs++] = vector[i].iova;
	qsort(iovas, runs, sizeof(*iovas), compare_iovas);
	rc = refuse_twice(iovas, runs);
	free(iovas);
	return rc;
}

static int check_runs(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	bool ascend = true;

	for (size_t i = 0, buffers; i < count; i += buffers) {
		struct vfc_mapping mapping;
		uint64_t length;
		int rc;

		buffers = run_of(iommu, vector, i, count, &length);
		rc = find_run(iommu, vector + i, buffers, length, &mapping);
		if (rc < 0)
			return rc;
		ascend = ascend && (!i || vector[i].iova > vector[i - 1].iova);
	}
	return ascend ? 0 : check_order(iommu, vector, count);
}

static int unmap_runs(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	for (size_t i = 0, buffers; i < count; i += buffers) {
		struct vfc_mapping mapping;
		uint64_t length;
		int rc;

		buffers = run_of(iommu, vector, i, count, &length);
		rc = map_find(iommu, vector[i].iova, length, &mapping);
		if (rc == 0)
			rc = map_remove(iommu, &mapping);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void undo(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	for (size_t i = 0, buffers; i < count; i += buffers) {
		uint64_t length;

		buffers = run_of(iommu, vector, i, count, &length);
		if (map_undo(iommu, vector[i].iova, length) == 0)
			iova_remove(&iommu->map, vector[i].iova);
	}
}

static int map_run(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t buffers,
		   uint64_t length, const struct vfc_map_opts *opts)
{
	const struct transport_memory memory = {.va = vector->va, .fd = -1};
	uint64_t iova = 0;
	int rc = map_memory(iommu, &memory, length, &iova, opts);

	for (size_t i = 0; rc == 0 && i < buffers; i++) {
		vector[i].iova = iova;
		vector[i].flags = map_access(opts);
		iova += vector[i].length;
	}
	return rc;
}

static int map_locked(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t count,
		      const struct vfc_map_opts *opts)
{
	int rc = check_buffers(iommu, vector, count);

	for (size_t i = 0, buffers; rc == 0 && i < count; i += buffers) {
		uint64_t length;

		buffers = run_of(iommu, vector, i, count, &length);
		rc = map_run(iommu, vector + i, buffers, length, opts);
		if (rc < 0)
			undo(iommu, vector, i);
	}
	return rc;
}

static int map_batch(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t count,
		     const struct vfc_map_opts *opts)
{
	int rc = map_check_opts(opts);

	if (rc < 0)
		return rc;
	if (opts->flags & (VFC_MAP_FIXED | VFC_MAP_IDENTITY) || opts->progress)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"a batch is placed by the library, and tells no progress");
	lock_take(&iommu->lock);
	rc = map_locked(iommu, vector, count, opts);
	lock_give(&iommu->lock);
	return rc;
}

int vfc_iommu_map_batch(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t count,
			const struct vfc_map_opts *opts)
{
	struct vfc_map_opts own;

	return vfc_done(map_batch(iommu, vector, count, MAP_OPTIONS(opts, &own)));
}

int vfc_iommu_unmap_batch(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	int rc;

	lock_take(&iommu->lock);
	rc = check_runs(iommu, vector, count);
	if (rc == 0)
		rc = unmap_runs(iommu, vector, count);
	lock_give(&iommu->lock);
	return vfc_done(rc);
}
