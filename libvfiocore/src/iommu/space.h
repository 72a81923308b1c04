/* SPDX-License-Identifier: MIT */
/* The inside of an address space, for the files that implement it. */
#ifndef VFC_IOMMU_SPACE_H
#define VFC_IOMMU_SPACE_H

#include "base/error.h"
#include "base/fork.h"
#include "base/sized.h"
#include "kernel/lock.h"
#include "transport/transport.h"
#include "iommu/iommu.h"
#include "iommu/iova.h"

/* A mapping that is being made, during which the lock is released now and then. */
struct pending {
	struct pending *next;
	uint64_t iova;
};

/* Memory of fork_alloc(): in a child of fork() it is empty and without a device. */
struct vfc_iommu {
	const struct transport *ops; /* NULL: this is a child of fork() */
	struct transport_space *space;
	struct space_owner owner; /* windows.c */
	struct lock lock; /* all below, and every call through ops with this space */
	struct iova_map map;
	struct pending *pending;
	struct iommu_watcher *watchers;
	uint64_t page_sizes;
	uint32_t devices;
	uint32_t holders;
	uint32_t references; /* atomic: references to the object, including its owner's */
	bool closed;
	bool physical, unpinned;
	bool adopted; /* its descriptor was passed to us or by us, and others may have it as well */
};

/*
 * A function that finds no device or no mapping calls this then. Others call it before they use ops
 * or space.
 */
static inline int space_check_process(const struct vfc_iommu *iommu)
{
	return iommu->ops ? 0 : fork_failed(NULL);
}

static inline uint64_t space_page(const struct vfc_iommu *iommu)
{
	return iommu->page_sizes & -iommu->page_sizes;
}

/* map.c. The caller holds the lock, except where noted. */
extern const struct vfc_map_opts map_defaults;
#define MAP_OPTIONS(opts, own) ((opts) ? OPTIONS(vfc_map_opts, opts, own) : &map_defaults)
/* Also tells what MAP_OPTIONS() refused. */
int map_check_opts(const struct vfc_map_opts *opts);
/* The same for memory that has no address here (memory.c). */
int map_check_named(const struct vfc_map_opts *opts);
uint32_t map_access(const struct vfc_map_opts *opts);
/* For the record: the place is not chosen yet. No mapping begins at the last of all addresses. */
#define NO_IOVA UINT64_MAX
/* Is a device attached, and are these multiples of a page? @iova: for the record, or NO_IOVA. */
int map_check(const struct vfc_iommu *iommu, uint64_t position, uint64_t length, uint64_t iova);
/* The same for memory of this process. */
int map_check_va(const struct vfc_iommu *iommu, const void *va, uint64_t length, uint64_t iova);
/*
 * place.c. Choose the place, or check the one that was asked for, and make room for it in the
 * books.
 */
int map_place(struct vfc_iommu *iommu, const void *va, uint64_t length,
	      const struct vfc_map_opts *opts, uint64_t *iova);
/*
 * The kernel told the address of a new mapping. If the address does not serve, the mapping is
 * undone.
 */
int map_check_physical(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
		       const struct vfc_map_opts *opts);
/*
 * Unmap a range because of a failure, whose record stays. It is tried a second time if it fails,
 * because nobody else would.
 */
int map_undo(struct vfc_iommu *iommu, uint64_t iova, uint64_t length);
/* The guard in whole pages. map_place() has checked it. */
uint64_t map_guard(const struct vfc_iommu *iommu, const struct vfc_map_opts *opts);
/* Natural alignment lets the IOMMU use its large pages. Beyond 2 MiB it would waste IOVA space. */
static inline uint64_t map_natural_align(uint64_t length, uint64_t page)
{
	const uint64_t most = UINT64_C(2) << 20;
	uint64_t align = length < most ? length : most;

	return align <= page ? page : UINT64_C(1) << (64 - __builtin_clzll(align - 1));
}

int map_memory(struct vfc_iommu *iommu, const struct transport_memory *memory, uint64_t length,
	       uint64_t *iova, const struct vfc_map_opts *opts);
void map_record(struct vfc_iommu *iommu, void *va, uint64_t iova, uint64_t length,
		const struct vfc_map_opts *opts);
uint32_t map_kernel_flags(uint32_t access);
/* Find the mapping of exactly this range. */
int map_find(struct vfc_iommu *iommu, uint64_t iova, uint64_t length, struct vfc_mapping *mapping);
int map_remove(struct vfc_iommu *iommu, const struct vfc_mapping *mapping);
/* -EBUSY with a record if that mapping is still being made. */
int map_check_settled(const struct vfc_iommu *iommu, uint64_t iova);

/*
 * shared.c: where others map as well, only the kernel knows what is free. True if @rc says that
 * [@at, @at + @length) is taken, and another place is worth a try.
 */
struct search {
	struct vfc_error before; /* the record, which a failed try does not change */
	uint64_t at, step;
	unsigned tries;
};

void search_begin(struct search *search);
bool search_on(struct vfc_iommu *iommu, struct search *search, int *rc, uint64_t at,
	       uint64_t length, const struct vfc_map_opts *opts);
/* windows.c: read them anew. They may be narrower with each device. The caller holds the lock. */
int space_read_windows(struct vfc_iommu *iommu);
/* Become the owner of the transport's space. */
void space_own(struct vfc_iommu *iommu);

/* unmap.c */
int unmap_all(struct vfc_iommu *iommu);

/*
 * Record that the transport cannot do something. @what is a verb with its object, "copy mappings".
 */
int space_cannot(const struct vfc_iommu *iommu, const char *what);

#endif
