/* SPDX-License-Identifier: MIT */
/*
 * A map cache: make any buffer reachable for devices, cheaply enough to do it for each packet.
 *
 * vfc_mapcache_get() answers with the IOVA of the bytes, vfc_mapcache_put() says that devices are
 * done with them. In between they are mapped; afterwards the mapping stays, idle, for the next get.
 *
 *  - Mappings are whole pages: devices reach the rest of the first and of the last page, too.
 *  - A request inside of a mapping is a hit. A request that overlaps mappings gets a new mapping of
 *    the union, since its IOVAs must be contiguous. The old ones are unmapped, with their last put
 *    if they are still referenced.
 *  - Idle mappings are evicted while more is mapped than the options allow, when the kernel takes
 *    no more mappings or locked memory, and when the IOVA space is used up. The least recently used
 *    go first (roughly: those used again get a second chance). Referenced mappings stay, whatever
 *    the limits.
 *  - When the kernel takes no more mappings, a request first merges idle ones that touch it into
 *    its own.
 *  - With a granule, each new mapping is widened to multiples of it, if there is memory that far.
 *
 * A hit is an array look-up by page, without a lock or a system call. A cache belongs to one thread
 * or to the caller's lock; any number of caches may share an address space.
 *
 * Memory that goes away: the kernel does not tell of munmap(). Call vfc_mapcache_forget() before
 * memory is unmapped, or freed if the allocator may unmap it. Otherwise a later get for the same
 * address answers with the old pages.
 *
 * fork(): the child has a copy of the memory and none of the mappings. There, every get answers
 * -ECHILD, a put does nothing, and vfc_mapcache_close() frees memory only.
 *
 * vfc_iommu_unmap_all(), vfc_iommu_unmap_range() and vfc_device_release() also unmap the cache's
 * mappings, in whatever thread they are called. From then on a get maps anew, or answers -ENODEV
 * when no device is left. References from before must still be put, but their IOVAs are of no use
 * any more.
 */
#ifndef VFIOCORE_MAPCACHE_H
#define VFIOCORE_MAPCACHE_H

#include "abi.h"
#include "iommu.h"

/* A mapping. The library's own, but for reading. */
struct vfc_mapcache_entry {
	uint64_t va;
	uint64_t length; /* bytes, whole pages */
	uint64_t iova;
	uint32_t refs;
	uint16_t used;   /* since eviction last looked at it */
	uint16_t queued; /* eviction knows of it */
};

/* What hits need of a cache; vfc_mapcache_open() makes it. The library's own. */
struct vfc_mapcache {
	struct vfc_mapcache_entry **slots; /* by page */
	uint64_t mask;
	uint64_t hits;
};

/* One reference. */
struct vfc_reach {
	uint64_t iova; /* where devices find the first byte */
	struct vfc_mapcache_entry *entry;
};

/* Where the table has the page of an address: neighbours side by side, even distances spread. */
#define VFC_MAPCACHE_SLOT(cache, va) (((va) >> 12 ^ (va) >> 25) & (cache)->mask)

struct vfc_mapcache_opts {
	uint32_t size;    /* sizeof(struct vfc_mapcache_opts) */
	uint32_t flags;   /* VFC_MAP_READ and VFC_MAP_WRITE, of all mappings; neither: both */
	uint64_t limit;   /* bytes that stay mapped, unless more are referenced; 0: 1 GiB */
	uint64_t entries; /* mappings that stay, likewise; 0: 32768 */
	uint64_t granule; /* bytes, a power of two of at least 4096; 0: exact pages */
	uint64_t highest; /* last address that the device can reach; 0: any */
	/*
	 * Told of each mapping that is gone, for whoever keeps memory alive while it is in the
	 * cache; it must not call the cache. NULL: nobody.
	 */
	void (*dropped)(void *context, const struct vfc_mapcache_entry *entry);
	void *context;
};

struct vfc_mapcache_stats {
	uint32_t size; /* in: sizeof(struct vfc_mapcache_stats) */
	uint32_t reserved;
	uint64_t hits;      /* gets that found a mapping */
	uint64_t misses;    /* gets that made one, or failed */
	uint64_t evictions; /* idle mappings that went for want of room */
	uint64_t merges;    /* mappings that went into a larger one */
	uint64_t live_entries; /* referenced now */
	uint64_t live_bytes;
	uint64_t idle_entries; /* mapped and not referenced */
	uint64_t idle_bytes;
};

VFC_BEGIN_DECLS

/*
 * vfc_mapcache_open() - a new, empty cache. It holds the address space open.
 * Errors: -EINVAL, -ENOMEM, -EOPNOTSUPP (VFC_IOMMU_PHYSICAL: nothing translates). Thread-safe.
 */
VFC_API int vfc_mapcache_open(struct vfc_iommu *iommu, const struct vfc_mapcache_opts *opts,
			      struct vfc_mapcache **cache);

/*
 * vfc_mapcache_close() - unmap all and close. -EBUSY while anything is referenced.
 * In a child of fork() it releases memory only. NULL is fine.
 */
VFC_API int vfc_mapcache_close(struct vfc_mapcache *cache);

/*
 * vfc_mapcache_miss() - what vfc_mapcache_get() calls when the table has no answer.
 */
VFC_API int vfc_mapcache_miss(struct vfc_mapcache *cache, const void *va, uint64_t length,
			      struct vfc_reach *reach);

/* vfc_mapcache_idle() - what vfc_mapcache_put() calls when eviction must know of a last put. */
VFC_API void vfc_mapcache_idle(struct vfc_mapcache *cache, struct vfc_mapcache_entry *entry);

/*
 * vfc_mapcache_get() - let the attached devices reach @length bytes at @va.
 * Any address and length; the pages around them are mapped whole. It must be put.
 * Errors: -EINVAL (no bytes, or past the end of memory), -ECHILD (this is a child of the process
 * that opened the cache), and those of vfc_iommu_map(). A get that fails leaves nothing referenced
 * or mapped; it may have cost idle mappings.
 */
VFC_INLINE int vfc_mapcache_get(struct vfc_mapcache *cache, const void *va, uint64_t length,
				struct vfc_reach *reach)
{
	uint64_t address = (uintptr_t)va, offset;
	struct vfc_mapcache_entry *entry =
		__atomic_load_n(&cache->slots[VFC_MAPCACHE_SLOT(cache, address)], __ATOMIC_RELAXED);

	if (!entry)
		return vfc_mapcache_miss(cache, va, length, reach);
	offset = address - entry->va;
	if (offset >= entry->length || length - 1 >= entry->length - offset)
		return vfc_mapcache_miss(cache, va, length, reach);
	entry->refs++;
	entry->used = 1;
	cache->hits++;
	reach->iova = entry->iova + offset;
	reach->entry = entry;
	return 0;
}

/* vfc_mapcache_put() - devices are done with it. Once for each get. */
VFC_INLINE void vfc_mapcache_put(struct vfc_mapcache *cache, const struct vfc_reach *reach)
{
	struct vfc_mapcache_entry *entry = reach->entry;

	if (!--entry->refs && !entry->queued)
		vfc_mapcache_idle(cache, entry);
}

/*
 * vfc_mapcache_flush() - unmap all that is idle. When it returns 0 no device can reach that again.
 * Errors: -ECHILD; the kernel's, when it did not unmap: then some is unmapped, and the rest idle.
 */
VFC_API int vfc_mapcache_flush(struct vfc_mapcache *cache);

/*
 * vfc_mapcache_forget() - unmap what is idle and has a part of the @length bytes at @va, which are
 * about to go away. Mappings go whole. (NULL, UINT64_MAX): everything.
 * Errors: -EBUSY (a part is referenced; nothing has changed), -EINVAL, -ECHILD; the kernel's.
 */
VFC_API int vfc_mapcache_forget(struct vfc_mapcache *cache, const void *va, uint64_t length);

/* vfc_mapcache_stats() - figures of the cache; as slow as there are mappings. */
VFC_API int vfc_mapcache_stats(struct vfc_mapcache *cache, struct vfc_mapcache_stats *stats);

VFC_END_DECLS
#endif
