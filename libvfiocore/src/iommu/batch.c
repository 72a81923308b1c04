/* SPDX-License-Identifier: MIT */
/*
 * Many buffers at once. Neighbours become one mapping; which, follows from the vector alone, so
 * that taking it back needs no books of its own.
 */
#include <errno.h>
#include <vfiocore.h>

#include "space.h"

/* How many buffers from @first on make one mapping, and how long it is. */
static size_t run_of(const struct vfc_mapping *vector, size_t first, size_t count, uint64_t *length)
{
	size_t i = first;

	*length = 0;
	do {
		*length += vector[i].length;
		i++;
	} while (i < count && vector[i].length &&
		 (uintptr_t)vector[i].va == (uintptr_t)vector[first].va + *length &&
		 *length + vector[i].length > *length);
	return i - first;
}

static int check_buffers(const struct vfc_iommu *iommu, const struct vfc_mapping *vector,
			 size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int rc = map_check(iommu, (uintptr_t)vector[i].va, vector[i].length,
				   WHERE(.length = vector[i].length));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Find every run, or take it back. */
static int unmap_runs(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count,
		      bool really)
{
	for (size_t i = 0, buffers; i < count; i += buffers) {
		struct vfc_mapping mapping;
		uint64_t length;
		int rc;

		buffers = run_of(vector, i, count, &length);
		rc = map_find(iommu, vector[i].iova, length, &mapping);
		if (rc == 0 && really)
			rc = map_remove(iommu, &mapping);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void undo(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	struct vfc_error error = *vfc_error_last();

	unmap_runs(iommu, vector, count, true);
	vfc_error_restore(&error);
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

		buffers = run_of(vector, i, count, &length);
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
	pthread_mutex_lock(&iommu->lock);
	rc = map_locked(iommu, vector, count, opts);
	pthread_mutex_unlock(&iommu->lock);
	return rc;
}

int vfc_iommu_map_batch(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t count,
			const struct vfc_map_opts *opts)
{
	return vfc_done(map_batch(iommu, vector, count, opts ? opts : &map_defaults));
}

int vfc_iommu_unmap_batch(struct vfc_iommu *iommu, const struct vfc_mapping *vector, size_t count)
{
	int rc;

	pthread_mutex_lock(&iommu->lock);
	rc = unmap_runs(iommu, vector, count, false);
	if (rc == 0)
		rc = unmap_runs(iommu, vector, count, true);
	pthread_mutex_unlock(&iommu->lock);
	return vfc_done(rc);
}
