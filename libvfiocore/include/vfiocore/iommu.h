/* SPDX-License-Identifier: MIT */
/* An IOMMU address space: which memory devices may reach, and at which IOVA. */
#ifndef VFIOCORE_IOMMU_H
#define VFIOCORE_IOMMU_H

#include "abi.h"

struct vfc_iommu;

enum vfc_map_flags {
	VFC_MAP_READ = 1 << 0,  /* the device may read */
	VFC_MAP_WRITE = 1 << 1, /* the device may write; neither bit: both are allowed */
	VFC_MAP_FIXED = 1 << 2, /* map at the IOVA given, or fail */
};

struct vfc_iommu_opts {
	uint32_t size; /* sizeof(struct vfc_iommu_opts) */
	uint32_t reserved;
	/* "cdev", "group", "compat", "fake"; NULL: the environment's VFIOCORE_TRANSPORT, else the best there is */
	const char *transport;
};

struct vfc_iova_range {
	uint64_t first;
	uint64_t last; /* inclusive, so that a space may end at 2^64-1 */
};

struct vfc_iommu_info {
	uint32_t size;       /* in: sizeof(struct vfc_iommu_info) */
	uint32_t devices;    /* attached now */
	uint64_t page_sizes; /* bit n: the IOMMU has pages of 2^n bytes; 0 before the first attach */
	uint64_t mappings;   /* live now */
	uint64_t mapped;     /* bytes live now */
	uint64_t entries_left; /* mappings that the kernel still takes; UINT64_MAX: it does not say */
	char transport[16];
};

struct vfc_map_opts {
	uint32_t size;    /* sizeof(struct vfc_map_opts) */
	uint32_t flags;   /* enum vfc_map_flags */
	uint64_t align;   /* of the IOVA: a power of two, bytes; 0: the natural one up to 2 MiB */
	uint64_t highest; /* last address the device can reach (a 28-bit engine: 0xfffffff); 0: any */
	uint64_t guard;   /* bytes kept free before and behind it, rounded up to pages; 0: none */
};

struct vfc_mapping {
	uint64_t iova;
	uint64_t length;
	void *va;
	uint32_t flags; /* enum vfc_map_flags, without VFC_MAP_FIXED */
	uint32_t reserved;
};

VFC_BEGIN_DECLS

/*
 * vfc_iommu_open() - a new, empty address space.
 * Devices are attached by vfc_device_open(). Until the first one is, the kernel knows neither
 * windows nor page sizes and vfc_iommu_map() answers -ENODEV.
 * Errors: -ENOENT / -ENODEV (no VFIO in this kernel), -EACCES, -EINVAL (unknown transport).
 */
VFC_API int vfc_iommu_open(const struct vfc_iommu_opts *opts, struct vfc_iommu **iommu);

/*
 * vfc_iommu_close() - unmap all and close. -EBUSY while a device is attached or a DMA buffer lives.
 */
VFC_API int vfc_iommu_close(struct vfc_iommu *iommu);

/* vfc_iommu_info() - figures of the space. Thread-safe. */
VFC_API int vfc_iommu_info(struct vfc_iommu *iommu, struct vfc_iommu_info *info);

/*
 * vfc_iommu_ranges() - the IOVA windows that every attached device can use, ascending.
 * Reserved ranges (the MSI window 0xfee00000 on x86) are left out already.
 * Return: how many there are, which may be more than @count. Thread-safe.
 */
VFC_API int vfc_iommu_ranges(struct vfc_iommu *iommu, struct vfc_iova_range *ranges, size_t count);

/*
 * vfc_iommu_map() - let the attached devices reach @length bytes at @va.
 * @va, @length: multiples of the smallest IOMMU page.
 * @iova: out; with VFC_MAP_FIXED in and out.
 * IOVA 0 is only given out on request, since many devices take it for "none".
 * In a guard there is no other mapping for as long as this one lives, so that a device which runs
 * past either end meets a fault. Guards may overlap each other and the border of a window, and the
 * kernel knows nothing of them. Guards are below 16 TiB.
 * The memory stays pinned, and must stay mapped in this process, until it is unmapped.
 * Errors: -EINVAL (zero, unaligned, outside of the windows), -EEXIST (IOVA taken, or guarded), -EFAULT (memory
 * not mapped), -ENOMEM (locked-memory limit), -ENOSPC (no IOVA left, or too many mappings),
 * -ENODEV (no device attached). Thread-safe.
 */
VFC_API int vfc_iommu_map(struct vfc_iommu *iommu, void *va, uint64_t length, uint64_t *iova,
			  const struct vfc_map_opts *opts);

/*
 * vfc_iommu_unmap() - take back the mapping that starts at @iova and has @length bytes.
 * A mapping is unmapped whole. When this returns no device can reach the memory any more.
 * Errors: -ENOENT (no such mapping), -EINVAL (only part of one). Thread-safe.
 */
VFC_API int vfc_iommu_unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length);

/*
 * vfc_iommu_unmap_all() - unmap everything, DMA buffers too; those are still to be freed.
 * Return: bytes unmapped, at most INT64_MAX. After an error some may be unmapped. Thread-safe.
 */
VFC_API int64_t vfc_iommu_unmap_all(struct vfc_iommu *iommu);

/*
 * vfc_iommu_find_iova() / vfc_iommu_find_va() - the mapping that holds an IOVA, or an address.
 * The first vfc_iommu_find_va() in a space makes an index by address, in the order of a microsecond
 * a mapping; from then on it is kept up to date, which costs each map and unmap about as much as the
 * one by IOVA does. Errors: -ENOENT; vfc_iommu_find_va() -ENOMEM. Thread-safe.
 */
VFC_API int vfc_iommu_find_iova(struct vfc_iommu *iommu, uint64_t iova, struct vfc_mapping *mapping);
VFC_API int vfc_iommu_find_va(struct vfc_iommu *iommu, const void *va, struct vfc_mapping *mapping);

VFC_END_DECLS
#endif
