/* SPDX-License-Identifier: MIT */
/* Regions of a device: BARs, config space, ROM; mapped, or through the kernel. */
#ifndef VFIOCORE_REGION_H
#define VFIOCORE_REGION_H

#include "abi.h"
#include "device.h"
#include "pci.h"

/* Indices of a PCI device's regions (linux/vfio.h); BAR n has index n. Other kinds have others. */
enum vfc_region_index {
	VFC_REGION_BAR0 = 0,
	VFC_REGION_BAR5 = 5,
	VFC_REGION_ROM = 6,
	VFC_REGION_CONFIG = 7,
	VFC_REGION_VGA = 8,
};

enum vfc_region_flags {
	VFC_REGION_READ = 1 << 0,
	VFC_REGION_WRITE = 1 << 1,
	VFC_REGION_MMAP = 1 << 2, /* vfc_region_map() can work */
};

struct vfc_region_info {
	uint32_t size; /* in: sizeof(struct vfc_region_info) */
	uint32_t index;
	uint32_t flags;  /* enum vfc_region_flags */
	uint32_t areas;  /* parts that can be mapped; 1: all of it, unless MMAP is not set */
	uint64_t length; /* bytes; 0: not implemented */
	uint32_t type;    /* VFIO_REGION_TYPE_* (linux/vfio.h); 0: the index says it all */
	uint32_t subtype; /* of that type */
	char name[VFC_NAME]; /* "BAR0", "config", "edid"; of a device tree; else "region 9" */
	/*
	 * Where the region begins in the file of vfc_device_fd(), for the caller's own pread(),
	 * pwrite() and mmap(). The transport fake has no such file.
	 */
	uint64_t position;
};

/* A part of a region that can be mapped, and bytes between such parts cannot. */
struct vfc_region_area {
	uint64_t offset, length; /* bytes */
};

VFC_BEGIN_DECLS

/* vfc_region_info() - what a region is. Errors: -EINVAL (no such index). Thread-safe. */
VFC_API int vfc_region_info(struct vfc_device *device, uint32_t index, struct vfc_region_info *info);

/*
 * vfc_region_find() - the index of the region of that name, as vfc_region_info() tells names.
 * Letters in either case. Errors: -ENOENT (the hint has the names). Thread-safe.
 */
VFC_API int vfc_region_find(struct vfc_device *device, const char *name);

/*
 * vfc_region_areas() - the parts that vfc_region_map() can map, whole pages.
 * @areas: room for @count; may be NULL when @count is 0.
 * Return: how many there are, which may be more. Errors: -EINVAL (no such index). Thread-safe.
 */
VFC_API int vfc_region_areas(struct vfc_device *device, uint32_t index,
			     struct vfc_region_area *areas, size_t count);

/*
 * vfc_region_read() / vfc_region_write() - one checked access of 1, 2, 4 or 8 bytes.
 * Through a mapping where the region has one, as one load or store of that width; else, and for
 * config space always, through pread()/pwrite() of that size.
 * @offset: must be a multiple of @width. @value: host byte order.
 * Errors: -EINVAL (width, alignment, index, out of range), -EACCES (region not readable/writable),
 * -EIO (VFC_REASON_DECODING: memory decoding off, D3), -ENODEV (gone).
 * A read is ordered before later loads of DMA memory, and a write behind earlier stores to it, as
 * by vfc_from_register() and vfc_to_device().
 * Thread-safe. Where decoding may end behind the library's back, or in the middle of an access, by
 * another thread or process, opt in to an error in place of a SIGBUS: vfiocore/nofault.h.
 */
VFC_API int vfc_region_read(struct vfc_device *device, uint32_t index, uint64_t offset,
			    uint32_t width, uint64_t *value);
VFC_API int vfc_region_write(struct vfc_device *device, uint32_t index, uint64_t offset,
			     uint32_t width, uint64_t value);

/*
 * vfc_region_load() - vfc_region_read() of 1, 2 or 4 bytes whose value is the result.
 * For bindings, where an out parameter costs more than the access itself.
 */
VFC_API int64_t vfc_region_load(struct vfc_device *device, uint32_t index, uint64_t offset,
				uint32_t width);

/*
 * vfc_region_read_block() / vfc_region_write_block() - bytes, through the kernel.
 * The kernel chooses the access widths, so this is for config space, ROM and memory-like BARs.
 * All of @length or an error. Thread-safe.
 */
VFC_API int vfc_region_read_block(struct vfc_device *device, uint32_t index, uint64_t offset,
				  void *data, size_t length);
VFC_API int vfc_region_write_block(struct vfc_device *device, uint32_t index, uint64_t offset,
				   const void *data, size_t length);

/*
 * vfc_region_map() - map part of a region for vfc_mmio_read32() and friends.
 * @offset, @length: multiples of the page size; @length 0: from @offset to the area's end.
 * A region that the kernel lets be mapped only in areas is mapped within one area.
 * The mapping is shared by all callers and lives until the device is closed. One of 2 MiB or more
 * lies so that the kernel can use huge pages for it: it has the address, below a huge page, that it
 * has in the BAR.
 * Errors: -EOPNOTSUPP (not mappable), -EINVAL (range, or across a hole). Thread-safe.
 */
VFC_API int vfc_region_map(struct vfc_device *device, uint32_t index, uint64_t offset,
			   uint64_t length, volatile void **address);

/*
 * vfc_region_ioeventfd() - from now on the kernel writes @value to a register each time the eventfd
 * @fd is raised: by another thread or process, or by KVM (vfc_kvm_ioeventfd_add()).
 * @offset: must be a multiple of @width, in a BAR. @fd: the caller's; -1: no more, for the same
 * register, width and value. Closing the device ends all. Raised twice before the kernel gets to
 * it, it is one write.
 * Errors: -EINVAL (width, value, alignment, no BAR, out of range, a register of the MSI-X table, no
 * eventfd), -EACCES (region not writable), -EEXIST (there is one), -ENOENT (there is none), -ENOSPC
 * (1000 a device), -EOPNOTSUPP (the transport; 8 bytes on some kernels). Thread-safe.
 * Source: VFIO_DEVICE_IOEVENTFD.
 */
VFC_API int vfc_region_ioeventfd(struct vfc_device *device, uint32_t index, uint64_t offset,
				 uint32_t width, uint64_t value, int fd);

/*
 * vfc_pci_caps() - walk the standard and the extended capability list of config space.
 * @caps: room for @count entries.
 * Return: how many there are, which may be more than @count.
 * Errors: -EBADMSG when a list loops, leaves its space or is not aligned, or when a structure
 * overlaps another or runs past the end; the hint has the offset. -ENODEV (gone), -EOPNOTSUPP (not
 * PCI).
 * Source: PCI Local Bus 3.0 section 6.7; PCI Express Base section 7.6.3.
 */
VFC_API int vfc_pci_caps(struct vfc_device *device, struct vfc_pci_cap *caps, size_t count);

/*
 * vfc_pci_find_cap() - one capability of config space.
 * @id: which; @extended: it is of the extended list. @after: 0: the first; or the offset of one
 * that was found before: the next of that id behind it, since vendor-specific ones (9) may come
 * several times.
 * @cap: out. Return: 1: found; 0: there is none, or no more. Errors: as vfc_pci_caps().
 */
VFC_API int vfc_pci_find_cap(struct vfc_device *device, uint32_t id, bool extended, uint32_t after,
			     struct vfc_pci_cap *cap);

VFC_END_DECLS
#endif
