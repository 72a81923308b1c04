/* SPDX-License-Identifier: MIT */
/* An IOMMU address space: which memory devices may reach, and at which IOVA. */
#ifndef VFIOCORE_IOMMU_H
#define VFIOCORE_IOMMU_H

#include "abi.h"
#include "iova.h"

struct vfc_device;
struct vfc_iommu;

enum vfc_iommu_flags {
	/*
	 * vfc_iommu_open(): devices attach to page tables that note which pages are written to. An
	 * attach fails with -EOPNOTSUPP where the IOMMU cannot. The transports group and fake need
	 * no word of it.
	 */
	VFC_IOMMU_DIRTY = 1 << 0,
	/*
	 * vfc_iommu_info(): no IOMMU translates. What a mapping answers is a physical address, the
	 * memory must be contiguous there, and nothing keeps a device from the rest of memory.
	 * Known after the first attach. Only the transports noiommu and noiommu-group are so.
	 */
	VFC_IOMMU_PHYSICAL = 1 << 1,
	/*
	 * vfc_iommu_info(): what is mapped is only locked in memory (mlock()), and the kernel may
	 * still move it, by compaction (unless vm.compact_unevictable_allowed=0) or NUMA balancing
	 * (unless kernel.numa_balancing=0). A device then writes to memory that belongs to somebody
	 * else. Huge pages are not moved: ask for them (struct vfc_map_opts, page). Only the
	 * transport noiommu-group is like this; noiommu pins.
	 */
	VFC_IOMMU_UNPINNED = 1 << 2,
};

struct vfc_iommu_opts {
	uint32_t size; /* sizeof(struct vfc_iommu_opts) */
	uint32_t flags; /* VFC_IOMMU_DIRTY or 0 */
	/*
	 * "cdev", "group", "compat", "fake"; "group-v1" (type1 version 1); "noiommu",
	 * "noiommu-group" (no IOMMU, which is unsafe: VFC_IOMMU_PHYSICAL). NULL: the environment's
	 * VFIOCORE_TRANSPORT, else the best of the first two that there is.
	 */
	const char *transport;
	/*
	 * A space of the same transport whose iommufd this one shares. Devices can move between the
	 * two, and mappings be copied without pinning the memory twice. Either may be closed first.
	 */
	struct vfc_iommu *beside;
	/*
	 * vfc_iommu_adopt() of /dev/iommu: the IOAS to share with whoever made it (vfc_iommu_fd());
	 * 0: a new one.
	 */
	uint32_t ioas;
	uint32_t reserved;
};

struct vfc_iommu_info {
	uint32_t size;       /* in: sizeof(struct vfc_iommu_info) */
	uint32_t devices;    /* attached now */
	uint64_t page_sizes; /* bit n: the IOMMU has pages of 2^n bytes; 0 before the first attach */
	uint64_t mappings;   /* live now */
	uint64_t mapped;     /* bytes live now */
	uint64_t entries_left; /* mappings that the kernel still takes; UINT64_MAX: it does not say */
	char transport[16];
	uint32_t flags; /* enum vfc_iommu_flags */
	uint32_t reserved;
};

/*
 * Called after each piece of a large mapping with the bytes done so far, from the thread that maps
 * and with no lock held. Not 0: stop; the call undoes what was done and returns -ECANCELED.
 */
typedef int (*vfc_map_progress)(void *argument, uint64_t done, uint64_t length);

struct vfc_map_opts {
	uint32_t size;    /* sizeof(struct vfc_map_opts) */
	uint32_t flags;   /* enum vfc_map_flags */
	uint64_t align;   /* of the IOVA: a power of two, bytes; 0: the natural one up to 2 MiB */
	uint64_t highest; /* last address the device can reach (a 28-bit engine: 0xfffffff); 0: any */
	uint64_t guard;   /* bytes kept free before and behind it, rounded up to pages; 0: none */
	/*
	 * vfc_dma_alloc(): the size of the pages of memory behind the buffer, 2 MiB or 1 GiB; with
	 * too few of them free, the next smaller size is taken, see struct vfc_dma. 0: any.
	 */
	uint64_t page;
	/*
	 * vfc_iommu_map(): pin the memory in pieces of 64 MiB, each an entry of the kernel's, and
	 * tell after each. NULL: all at once, which a signal cannot interrupt.
	 */
	vfc_map_progress progress;
	void *progress_argument;
};

struct vfc_mapping {
	uint64_t iova;
	uint64_t length;
	void *va; /* NULL: a file's memory, or with iommufd a device's, which has no address here */
	uint32_t flags; /* VFC_MAP_READ, VFC_MAP_WRITE */
	uint32_t reserved;
};

VFC_BEGIN_DECLS

/*
 * A space belongs to the process that opened it. In a child of fork() it is empty there, and all
 * functions of this header answer -ECHILD; the child may open spaces of its own.
 */

/*
 * vfc_iommu_open() - a new, empty address space.
 * Without a transport or a space beside it, it is one of the descriptor that `vfio run` handed over
 * (vfiocore/handover.h), if there is one.
 * Devices are attached by vfc_device_open() and vfc_device_attach(). Until the first one is
 * attached, the kernel knows neither windows nor page sizes, and vfc_iommu_map() answers -ENODEV.
 * Errors: -ENOENT / -ENODEV (no VFIO in this kernel), -EACCES, -EINVAL (unknown transport).
 */
VFC_API int vfc_iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu);

/*
 * vfc_iommu_adopt() - an address space of a descriptor that somebody else opened: /dev/iommu (a new
 * space in that iommufd) or /dev/vfio/vfio (that container's), passed over a socket or inherited.
 * @opts: transport NULL: cdev or group, as the descriptor is; or another that uses the same kind.
 * On success the library has closed @fd and works with a duplicate, which is close-on-exec. On
 * failure @fd is as it was.
 * Others may map in the same container or IOAS. The library does not know of their mappings, never
 * unmaps them, and chooses only IOVAs that the kernel finds free. Closing unmaps what the library
 * mapped.
 * Errors: -EBADF (not open), -EINVAL (another kind of descriptor), -ENOENT (no such IOAS),
 * -EOPNOTSUPP (a container with another IOMMU type), those of vfc_iommu_open().
 * Source: sysfs and /proc tell the kind; no request is tried.
 */
VFC_API int vfc_iommu_adopt(int fd, const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu);

/*
 * vfc_iommu_close() - unmap all and close the space.
 * Errors: -EBUSY (a device is attached; a DMA buffer, a map cache or a detached device stands on
 * the space; or another thread is making a mapping piece by piece), -ECHILD (in a child of fork(),
 * which shares the descriptor: nothing is done).
 */
VFC_API int vfc_iommu_close(struct vfc_iommu *iommu);

/* vfc_iommu_info() - figures of the space. Thread-safe. */
VFC_API int vfc_iommu_info(struct vfc_iommu *iommu, struct vfc_iommu_info *info);

/*
 * vfc_iommu_ranges() - the IOVA windows that every attached device can use, ascending.
 * Reserved ranges (the MSI window 0xfee00000 on x86) are left out already, and so is the last page
 * of 2^64 on every transport: iommufd computes the end of a mapping as last + 1, which is 0 there,
 * and maps other memory than was asked for (batch_to_domain() in drivers/iommu/iommufd/pages.c,
 * Linux 7.3). Windows are read again when a device comes, and may be narrower then, or leaves, and
 * may be wider; when the last one leaves they stay as they were.
 * Return: how many there are, which may be more than @count. Thread-safe.
 */
VFC_API int vfc_iommu_ranges(struct vfc_iommu *iommu, struct vfc_iova_range *ranges, size_t count);

/*
 * vfc_iommu_map() - let the attached devices reach @length bytes at @va.
 * @va, @length: multiples of the smallest IOMMU page.
 * @iova: out; with VFC_MAP_FIXED in and out.
 * IOVA 0 is given out on request only, since many devices take it for "none".
 * No other mapping is placed in a guard while this mapping lives, so a device that runs past either
 * end meets a fault. Guards may overlap each other and the border of a window. They are below 16
 * TiB. The kernel does not know of them.
 * The memory stays pinned, and must stay mapped in this process, until it is unmapped.
 * Where no IOMMU translates, a mapping is never made in pieces, and @opts->progress is not called.
 * Errors: -EINVAL (zero, unaligned, outside of the windows), -EEXIST (IOVA taken, or guarded),
 * -EFAULT (memory not mapped), -ENOMEM (locked-memory limit), -ENOSPC (no IOVA left, or too many
 * mappings), -ENODEV (no device attached), -ECANCELED (@opts->progress said so). Thread-safe.
 */
VFC_API int vfc_iommu_map(struct vfc_iommu *iommu, void *va, uint64_t length,
			  const struct vfc_map_opts *opts, uint64_t *iova);

/*
 * vfc_iommu_map_file() - let the attached devices reach a file's memory: a memfd, or a dma-buf.
 * @offset, @length: bytes in the file, multiples of the smallest IOMMU page. The file keeps its
 * memory for as long as it is mapped, whatever becomes of @fd.
 * Errors: those of vfc_iommu_map(); -EOPNOTSUPP (the transport or the kernel cannot map this kind
 * of file: dma-bufs want cdev or compat and Linux 6.19). Thread-safe.
 * Source: IOMMU_IOAS_MAP_FILE; for group, mmap() and VFIO_IOMMU_MAP_DMA.
 */
VFC_API int vfc_iommu_map_file(struct vfc_iommu *iommu, int fd, uint64_t offset, uint64_t length,
			       const struct vfc_map_opts *opts, uint64_t *iova);

/*
 * vfc_iommu_map_region() - let the attached devices reach a part of a BAR of @device (peer to
 * peer).
 * @index: a region, enum vfc_region. @offset, @length: bytes, multiples of the smallest IOMMU page.
 * Unmap it before @device is closed. What is left then is unmapped, as vfc_device_release() does,
 * in whatever space it is. A vfc_iommu_copy() of it to a space that shares no iommufd is not: unmap
 * that.
 * Errors: those of vfc_iommu_map(); -EOPNOTSUPP (the region cannot be mapped, or the kernel cannot
 * hand it out: cdev and compat want Linux 6.19). Thread-safe.
 * Source: VFIO_DEVICE_FEATURE_DMA_BUF; for group, mmap() and VFIO_IOMMU_MAP_DMA.
 */
VFC_API int vfc_iommu_map_region(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
				 uint64_t offset, uint64_t length, const struct vfc_map_opts *opts,
				 uint64_t *iova);

/*
 * vfc_iommu_copy() - let the devices of @to reach what @from has mapped at [@at, @at + @length).
 * The range lies in one mapping of @from. If both spaces share an iommufd, it is not pinned again.
 * Errors: those of vfc_iommu_map(); -ENOENT (nothing is mapped there), -EOPNOTSUPP (memory of a
 * file, and the two do not share an iommufd). Thread-safe.
 * Source: IOMMU_IOAS_COPY.
 */
VFC_API int vfc_iommu_copy(struct vfc_iommu *to, struct vfc_iommu *from, uint64_t at,
			   uint64_t length, const struct vfc_map_opts *opts, uint64_t *iova);

/*
 * vfc_iommu_map_batch() - map @count buffers, all or none.
 * @vector: va and length of each in, iova out; all are mapped with @opts. A run of buffers that
 * follow one another in memory, in the order given, becomes one mapping at consecutive IOVAs, so
 * an arena cut in 100,000 pieces costs one entry of the kernel's. VFC_MAP_FIXED is not possible.
 * Errors: those of vfc_iommu_map(); the hint tells the buffer's address. Thread-safe.
 */
VFC_API int vfc_iommu_map_batch(struct vfc_iommu *iommu, struct vfc_mapping *vector, size_t count,
				const struct vfc_map_opts *opts);

/*
 * vfc_iommu_unmap_batch() - take back what vfc_iommu_map_batch() mapped; the same vector.
 * Errors: -ENOENT, -EINVAL (it is not what was mapped, or has a mapping twice), -ENOMEM (only if
 * its IOVAs do not ascend): nothing was unmapped. After an error of the kernel's some are.
 * Thread-safe.
 */
VFC_API int vfc_iommu_unmap_batch(struct vfc_iommu *iommu, const struct vfc_mapping *vector,
				  size_t count);

/*
 * vfc_iommu_unmap() - take back the mapping that starts at @iova and has @length bytes.
 * A mapping is unmapped whole. When this returns no device can reach the memory any more.
 * Errors: -ENOENT (no such mapping), -EINVAL (only part of one), -EBUSY (another thread is still
 * making it); the kernel's, after which it is as before. Thread-safe.
 */
VFC_API int vfc_iommu_unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length);

/*
 * vfc_iommu_unmap_range() - take back every mapping in the @length bytes from @iova on, also those
 * of DMA buffers and map caches. A buffer still has to be freed, and a cache maps anew. A run of
 * mappings without gaps takes one call of the kernel's.
 * Return: bytes unmapped, at most INT64_MAX; 0: there was none. Errors: -EINVAL (no bytes, past the
 * end of 64 bits, or an edge of the range is in the midst of a mapping), -EBUSY (another thread is
 * still making one of them): nothing was unmapped. After one of the kernel's some are unmapped, and
 * the others as before. Thread-safe.
 * Source: VFIO_IOMMU_UNMAP_DMA, IOMMU_IOAS_UNMAP: a range of whole mappings.
 */
VFC_API int64_t vfc_iommu_unmap_range(struct vfc_iommu *iommu, uint64_t iova, uint64_t length);

/*
 * vfc_iommu_unmap_all() - unmap everything, as vfc_iommu_unmap_range() does with a range.
 * Return: bytes unmapped, at most INT64_MAX. Errors: -EBUSY (another thread is still making a
 * mapping: nothing was unmapped); after one of the kernel's some may be unmapped. Thread-safe.
 */
VFC_API int64_t vfc_iommu_unmap_all(struct vfc_iommu *iommu);

/*
 * vfc_iommu_find_iova() / vfc_iommu_find_va() - the mapping that holds an IOVA, or an address.
 * The first vfc_iommu_find_va() in a space makes an index by address, which takes about a
 * microsecond for each mapping. From then on the index is kept up to date, and each map and unmap
 * costs about twice as much. Where several mappings hold an address, it finds the one whose memory
 * begins lowest, and of those the one with the lowest IOVA.
 * Errors: -ENOENT, -ENOMEM (vfc_iommu_find_va()). Thread-safe.
 */
VFC_API int vfc_iommu_find_iova(struct vfc_iommu *iommu, uint64_t iova, struct vfc_mapping *mapping);
VFC_API int vfc_iommu_find_va(struct vfc_iommu *iommu, const void *va, struct vfc_mapping *mapping);

/*
 * vfc_iommu_dirty_start() / vfc_iommu_dirty_stop() - start and stop tracking which pages devices
 * write to. It may be stopped when no device is attached any more.
 * Errors: -EOPNOTSUPP (a space not opened with VFC_IOMMU_DIRTY, or a kernel that cannot), -ENODEV
 * (start: no device is attached). Thread-safe.
 */
VFC_API int vfc_iommu_dirty_start(struct vfc_iommu *iommu);
VFC_API int vfc_iommu_dirty_stop(struct vfc_iommu *iommu);

/*
 * vfc_iommu_dirty_read() - which pages of a mapping were written to since it was last asked.
 * @iova, @length: one whole mapping. @page: bytes a bit stands for: the IOMMU's smallest page.
 * @bitmap: out, bit n (of word n / 64) for page n; (@length / @page + 63) / 64 words.
 * Where the kernel cannot tell, pages are reported as written. type1 knows of those pages only that
 * a mediated device's driver pinned, and reports all memory behind an IOMMU as written.
 * The record of writes is lost with a device's page table. So with cdev, everything is reported as
 * written once the last device with that page table was detached, moved or closed, or got its first
 * PASID, until tracking is started anew.
 * Return: how many bits are set. Errors: -ENOENT, -EINVAL (not a mapping, @page, not started),
 * -EOPNOTSUPP. After an error of the kernel's take all pages for written. Thread-safe.
 * Source: VFIO_IOMMU_DIRTY_PAGES, IOMMU_HWPT_GET_DIRTY_BITMAP.
 */
VFC_API int64_t vfc_iommu_dirty_read(struct vfc_iommu *iommu, uint64_t iova, uint64_t length,
				     uint64_t page, uint64_t *bitmap);

/*
 * vfc_iommu_iommufd() - the space's iommufd, for the functions of vfiocore/iommufd.h.
 * @ioas: out, the id of its IOAS; may be NULL. What is mapped there by other means than this
 * header's is not in the library's books.
 * Return: the descriptor, which stays the space's. Errors: -EOPNOTSUPP (the transport has none).
 * Thread-safe.
 */
VFC_API int vfc_iommu_iommufd(struct vfc_iommu *iommu, uint32_t *ioas);

/*
 * vfc_iommu_fd() - the space's descriptor, to pass to another process by means of your own. It
 * stays the space's. @ioas: out, the id of the space in its iommufd, for vfc_iommu_opts.ioas; 0:
 * the descriptor is a container, which has no ids; may be NULL.
 * Return: the descriptor. Errors: -EOPNOTSUPP (transports fake and noiommu). Thread-safe.
 */
VFC_API int vfc_iommu_fd(struct vfc_iommu *iommu, uint32_t *ioas);

VFC_END_DECLS
#endif
