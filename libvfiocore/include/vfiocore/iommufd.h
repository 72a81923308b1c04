/* SPDX-License-Identifier: MIT */
/*
 * iommufd's own objects, as plain verbs on its descriptor and on the ids of objects: for what an
 * address space of vfiocore/iommu.h does not do, such as nested page tables, page faults and the
 * parts of an IOMMU that a virtual machine gets.
 *
 * Every function stands for one request and makes one system call when it succeeds. Objects are
 * destroyed by vfc_iommufd_destroy(), or with the last descriptor of their iommufd. All functions
 * are thread-safe: the kernel is the one who keeps the objects.
 *
 * Errors of all of them: -EBADF; -ENOTTY (no iommufd, or an older kernel); -ENOENT (no object of
 * that kind has that id); -ENOMEM; and what stands at each, with the hint saying which of several
 * meanings it has. "Linux 6.2" and the like name the first kernel that knows the request.
 * Source: Documentation/userspace-api/iommufd.rst, include/uapi/linux/iommufd.h.
 */
#ifndef VFIOCORE_IOMMUFD_H
#define VFIOCORE_IOMMUFD_H

#include <stdbool.h>

#include "abi.h"
#include "iova.h"

enum vfc_iommufd_option {
	VFC_IOMMUFD_OPTION_RLIMIT_MODE = 0, /* of the iommufd; 1: pins count by process, 0: by user */
	VFC_IOMMUFD_OPTION_HUGE_PAGES = 1,  /* of an IOAS; 0: it is mapped page by page */
};

enum vfc_iommufd_hwpt_flags {
	VFC_IOMMUFD_HWPT_NEST_PARENT = 1 << 0,    /* other page tables may nest on it; Linux 6.7 */
	VFC_IOMMUFD_HWPT_DIRTY_TRACKING = 1 << 1, /* it can tell what was written; Linux 6.7 */
	VFC_IOMMUFD_HWPT_PASID = 1 << 3,          /* for PASIDs of a device; Linux 6.14 */
};

/* What the data of a nested page table is: the kernel's struct iommu_hwpt_... of that name. */
enum vfc_iommufd_hwpt_data {
	VFC_IOMMUFD_HWPT_DATA_NONE = 0,
	VFC_IOMMUFD_HWPT_DATA_VTD_S1 = 1,     /* Linux 6.7 */
	VFC_IOMMUFD_HWPT_DATA_ARM_SMMUV3 = 2, /* Linux 6.13 */
	VFC_IOMMUFD_HWPT_DATA_AMD_GUEST = 3,  /* Linux 7.0 */
};

struct vfc_iommufd_hwpt_opts {
	uint32_t size;        /* sizeof(struct vfc_iommufd_hwpt_opts) */
	uint32_t flags;       /* enum vfc_iommufd_hwpt_flags */
	uint32_t fault;       /* id of a fault queue that gets its page faults; 0: none; Linux 6.11 */
	uint32_t data_type;   /* enum vfc_iommufd_hwpt_data */
	uint32_t data_length; /* bytes */
	uint32_t reserved;
	const void *data;
};

/* Whose registers the data of vfc_iommufd_hw_info() are: struct iommu_hw_info_... of that name. */
enum vfc_iommufd_hw_type {
	VFC_IOMMUFD_HW_NONE = 0,
	VFC_IOMMUFD_HW_INTEL_VTD = 1,
	VFC_IOMMUFD_HW_ARM_SMMUV3 = 2,
	VFC_IOMMUFD_HW_TEGRA241_CMDQV = 3,
	VFC_IOMMUFD_HW_AMD = 4,
};

enum vfc_iommufd_hw_caps {
	VFC_IOMMUFD_CAP_DIRTY_TRACKING = 1 << 0,
	VFC_IOMMUFD_CAP_PASID_EXEC = 1 << 1,
	VFC_IOMMUFD_CAP_PASID_PRIV = 1 << 2,
	VFC_IOMMUFD_CAP_NO_ATS = 1 << 3, /* Linux 7.1; an older kernel leaves it open */
};

struct vfc_iommufd_hw_info {
	uint32_t size;         /* in: sizeof(struct vfc_iommufd_hw_info) */
	uint32_t type;         /* enum vfc_iommufd_hw_type; in: wanted, 0: any; out: what it is */
	uint64_t capabilities; /* out: enum vfc_iommufd_hw_caps */
	uint32_t pasid_bits;   /* out: width of a PASID; 0: the device has none */
	uint32_t data_length;  /* out: bytes that the kernel has, maybe more than there was room for */
};

enum vfc_iommufd_dirty_flags {
	VFC_IOMMUFD_DIRTY_KEEP = 1 << 0, /* do not clear what is read, as when it is unmapped next */
};

struct vfc_iommufd_dirty {
	uint32_t size;      /* sizeof(struct vfc_iommufd_dirty) */
	uint32_t flags;     /* enum vfc_iommufd_dirty_flags */
	uint64_t iova;      /* multiple of the page size */
	uint64_t length;    /* bytes, likewise */
	uint64_t page_size; /* of one bit: a power of two, bytes */
};

enum vfc_iommufd_invalidate_data {
	VFC_IOMMUFD_INVALIDATE_VTD_S1 = 0,     /* of a nested HWPT */
	VFC_IOMMUFD_INVALIDATE_ARM_SMMUV3 = 1, /* of a vIOMMU; Linux 6.13 */
};

enum vfc_iommufd_fault_flags {
	VFC_IOMMUFD_FAULT_PASID = 1 << 0, /* pasid means something */
	VFC_IOMMUFD_FAULT_LAST = 1 << 1,  /* the last of its group: answer this one's cookie */
};

enum vfc_iommufd_fault_access {
	VFC_IOMMUFD_ACCESS_READ = 1 << 0,
	VFC_IOMMUFD_ACCESS_WRITE = 1 << 1,
	VFC_IOMMUFD_ACCESS_EXEC = 1 << 2,
	VFC_IOMMUFD_ACCESS_PRIV = 1 << 3,
};

/* A page that a device asked for and that is not mapped. */
struct vfc_iommufd_fault {
	uint32_t flags;  /* enum vfc_iommufd_fault_flags */
	uint32_t device; /* id */
	uint32_t pasid;
	uint32_t group;  /* the device's number for requests that belong together */
	uint32_t access; /* enum vfc_iommufd_fault_access */
	uint32_t reserved;
	uint64_t address;
	uint32_t length; /* bytes that it expects to want; 0: it does not say */
	uint32_t cookie; /* the kernel's number for the group, for the answer */
};

enum vfc_iommufd_response_code {
	VFC_IOMMUFD_RESPONSE_SUCCESS = 0, /* it is mapped now: the device tries again */
	VFC_IOMMUFD_RESPONSE_INVALID = 1, /* it will not be: the device gives up */
};

struct vfc_iommufd_response {
	uint32_t cookie;
	uint32_t code; /* enum vfc_iommufd_response_code */
};

enum vfc_iommufd_viommu_type {
	VFC_IOMMUFD_VIOMMU_ARM_SMMUV3 = 1,
	VFC_IOMMUFD_VIOMMU_TEGRA241_CMDQV = 2, /* Linux 6.17 */
};

enum vfc_iommufd_event_type {
	VFC_IOMMUFD_EVENT_ARM_SMMUV3 = 1,     /* 32 bytes: an event record, little-endian */
	VFC_IOMMUFD_EVENT_TEGRA241_CMDQV = 2, /* 16 bytes: LVCMDQ_ERR_MAP; Linux 6.17 */
};

enum vfc_iommufd_event_flags {
	VFC_IOMMUFD_EVENT_LOST = 1 << 0, /* no event: it tells that the latest ones were lost */
};

struct vfc_iommufd_event {
	uint32_t flags;    /* enum vfc_iommufd_event_flags */
	uint32_t sequence; /* 0 to INT32_MAX, then 0 again */
	uint32_t lost;     /* events that are missing between the one before and this one */
	uint32_t length;   /* bytes of data; 0: none */
};

enum vfc_iommufd_hw_queue_type {
	VFC_IOMMUFD_HW_QUEUE_TEGRA241_CMDQV = 1,
};

VFC_BEGIN_DECLS

/*
 * vfc_iommufd_open() - a new iommufd: the descriptor of /dev/iommu, close-on-exec; close() it.
 * Errors: -ENOENT (the kernel has no iommufd), -EACCES, -EMFILE.
 */
VFC_API int vfc_iommufd_open(void);

/*
 * vfc_iommufd_destroy() - destroy an object. Linux 6.2.
 * Errors: -EBUSY (another object, an open descriptor, a mapping of memory or a device uses it).
 */
VFC_API int vfc_iommufd_destroy(int iommufd, uint32_t id);

/*
 * vfc_iommufd_option_get() / vfc_iommufd_option_set() - a setting. Linux 6.2.
 * @object: the id of the IOAS for VFC_IOMMUFD_OPTION_HUGE_PAGES; else 0.
 * Errors: -EOPNOTSUPP (no such option), -EINVAL (no such value, or HUGE_PAGES is to be off and
 * memory is mapped already), and for RLIMIT_MODE -EBUSY (there are objects), -EPERM
 * (CAP_SYS_RESOURCE is needed).
 */
VFC_API int vfc_iommufd_option_get(int iommufd, uint32_t option, uint32_t object, uint64_t *value);
VFC_API int vfc_iommufd_option_set(int iommufd, uint32_t option, uint32_t object, uint64_t value);

/*
 * vfc_iommufd_compat_get() / _set() / _clear() - the IOAS that a group gets whose container is this
 * iommufd. Linux 6.2. Errors: of get, -ENODEV (there is none yet).
 */
VFC_API int vfc_iommufd_compat_get(int iommufd, uint32_t *ioas);
VFC_API int vfc_iommufd_compat_set(int iommufd, uint32_t ioas);
VFC_API int vfc_iommufd_compat_clear(int iommufd);

/* vfc_iommufd_ioas_alloc() - a new address space, with all IOVAs and no mapping. Linux 6.2. */
VFC_API int vfc_iommufd_ioas_alloc(int iommufd, uint32_t *ioas);

/*
 * vfc_iommufd_ioas_ranges() - the IOVAs that can be mapped, ascending. Linux 6.2.
 * They narrow with each device that is attached, and may widen when one is detached.
 * @alignment: out, what an IOVA and a length must be multiples of, bytes; may be NULL.
 * Return: how many there are, which may be more than @count.
 */
VFC_API int vfc_iommufd_ioas_ranges(int iommufd, uint32_t ioas, struct vfc_iova_range *ranges,
				    size_t count, uint64_t *alignment);

/*
 * vfc_iommufd_ioas_allow() - promise that these IOVAs stay usable. Linux 6.2.
 * A device that would narrow them can then not be attached (-EADDRINUSE), and IOVAs that the kernel
 * chooses lie within. Replaces what was allowed before; @count 0: nothing is.
 * Errors: -EADDRINUSE (one of them is not usable now), -EINVAL (empty or overlapping ranges).
 */
VFC_API int vfc_iommufd_ioas_allow(int iommufd, uint32_t ioas, const struct vfc_iova_range *ranges,
				   size_t count);

/*
 * vfc_iommufd_ioas_map() - map @length bytes of this process's memory. Linux 6.2.
 * @iova: out; with VFC_MAP_FIXED in and out. @flags: enum vfc_map_flags.
 * The memory is pinned as soon as a page table uses the address space, which may be later.
 * Errors: -EINVAL (reserved or unaligned), -EEXIST (mapped already), -EFAULT (not mapped in this
 * process, or device memory), -EOVERFLOW, -ENOSPC (no IOVA left), -ENOMEM (locked-memory limit).
 */
VFC_API int vfc_iommufd_ioas_map(int iommufd, uint32_t ioas, const void *va, uint64_t length,
				 uint32_t flags, uint64_t *iova);

/*
 * vfc_iommufd_ioas_map_file() - map a memfd, or a dma-buf of a VFIO device's BAR. Linux 6.13; the
 * dma-buf 6.19. @start: in the file, bytes. Everything else as vfc_iommufd_ioas_map().
 * Errors: also -EBADF, -ENODEV (the device's memory decoding is off), -EINVAL (another kind of
 * file).
 */
VFC_API int vfc_iommufd_ioas_map_file(int iommufd, uint32_t ioas, int file, uint64_t start,
				      uint64_t length, uint32_t flags, uint64_t *iova);

/*
 * vfc_iommufd_ioas_copy() - map in @to what is mapped in @from at @source. Linux 6.2.
 * The memory is pinned once only. @iova, @flags: as for vfc_iommufd_ioas_map().
 * Errors: as there; -ENOENT (no such address space, or not all of the source is mapped), -EPERM
 * (write access to what was mapped for reading).
 */
VFC_API int vfc_iommufd_ioas_copy(int iommufd, uint32_t to, uint32_t from, uint64_t source,
				  uint64_t length, uint32_t flags, uint64_t *iova);

/*
 * vfc_iommufd_ioas_unmap() - unmap all mappings that lie in a range; 0 and UINT64_MAX: all there
 * are. Linux 6.2. Return: bytes unmapped, at most INT64_MAX.
 * Errors: -ENOENT (nothing is mapped there, or a mapping only in part), -EBUSY (a hardware queue
 * lies there), -EOVERFLOW. What lies before the mapping that was refused is unmapped all the same.
 */
VFC_API int64_t vfc_iommufd_ioas_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t length);

/*
 * vfc_iommufd_ioas_physical() - the physical address behind an IOVA. Linux 7.3, for devices
 * without an IOMMU. @length: in, bytes to look at; out, contiguous from there on.
 * Errors: -EPERM (CAP_SYS_RAWIO is needed), -EOPNOTSUPP (an IOMMU translates here), -ENOENT (not
 * mapped), -EINVAL (@length is 0).
 */
VFC_API int vfc_iommufd_ioas_physical(int iommufd, uint32_t ioas, uint64_t iova, uint64_t *length,
				      uint64_t *physical);

/*
 * vfc_iommufd_change_process() - what this iommufd has pinned counts for the calling process from
 * now on, as after a hand-over of its descriptor. Linux 6.13.
 * Errors: -EINVAL (something else than a file is mapped), -ENOMEM (locked-memory limit).
 */
VFC_API int vfc_iommufd_change_process(int iommufd);

/*
 * vfc_iommufd_hw_info() - the IOMMU behind a device. Linux 6.6.
 * @data, @length: room for its registers; NULL and 0: they are not wanted.
 * Errors: -EOPNOTSUPP (no IOMMU, or it has no info of the type that is wanted).
 */
VFC_API int vfc_iommufd_hw_info(int iommufd, uint32_t device, struct vfc_iommufd_hw_info *info,
				void *data, uint32_t length);

/*
 * vfc_iommufd_hwpt_alloc() - a page table of the hardware. Linux 6.6.
 * @device: an id. @parent: an IOAS, whose mappings it has and follows; or, for a nested one, a page
 * table with VFC_IOMMUFD_HWPT_NEST_PARENT, or a vIOMMU.
 * Errors: -EOPNOTSUPP (this IOMMU cannot do it), -EINVAL (the parts do not fit together), -EFAULT,
 * -E2BIG (an older kernel does not know what was asked for), and those of pinning the memory.
 */
VFC_API int vfc_iommufd_hwpt_alloc(int iommufd, uint32_t device, uint32_t parent,
				   const struct vfc_iommufd_hwpt_opts *opts, uint32_t *hwpt);

/*
 * vfc_iommufd_hwpt_dirty() - start and stop keeping track of what devices write. Linux 6.7.
 * It starts with nothing written. Errors: -EOPNOTSUPP (not a page table with DIRTY_TRACKING).
 */
VFC_API int vfc_iommufd_hwpt_dirty(int iommufd, uint32_t hwpt, bool on);

/*
 * vfc_iommufd_hwpt_dirty_bitmap() - what was written since it was read last. Linux 6.7.
 * @bitmap: bit n of word n / 64 is the page at @range->iova + n * @range->page_size; it has
 * length / page_size bits, rounded up to words. Bits are set and never cleared, so that several
 * page tables can be read into one.
 * All of the range must be mapped: the kernel says nothing about what it left out because it was
 * not (io_pagetable.c, iommu_read_and_clear_dirty).
 * Errors: -EINVAL (empty, unaligned), -EOVERFLOW, -EOPNOTSUPP (not with DIRTY_TRACKING).
 */
VFC_API int vfc_iommufd_hwpt_dirty_bitmap(int iommufd, uint32_t hwpt,
					  const struct vfc_iommufd_dirty *range, uint64_t *bitmap);

/*
 * vfc_iommufd_invalidate() - after a change of a nested page table, or of what a vIOMMU caches.
 * Linux 6.8. @object: nested HWPT or vIOMMU. @type: enum vfc_iommufd_invalidate_data.
 * @entries: @count of @entry_size bytes each, the kernel's struct of that type.
 * @count: in, 0 asks whether the type is known; out, how many were dealt with, after an error too.
 * Errors: the IOMMU's, for the entry with the number *@count; -EINVAL, -EOPNOTSUPP (type).
 */
VFC_API int vfc_iommufd_invalidate(int iommufd, uint32_t object, uint32_t type, const void *entries,
				   uint32_t entry_size, uint32_t *count);

/*
 * vfc_iommufd_fault_queue_alloc() - a queue for page faults. Linux 6.11.
 * @fd: out, its descriptor, close-on-exec: poll() and vfc_iommufd_faults(); close() it before the
 * object is destroyed.
 */
VFC_API int vfc_iommufd_fault_queue_alloc(int iommufd, uint32_t *queue, int *fd);

/*
 * vfc_iommufd_faults() - take faults out of a queue; never waits.
 * Return: how many, 0 when there is none. A group is taken whole.
 * Errors: -EINVAL (@count is less than the next group has), -EBADMSG (no such records).
 */
VFC_API int vfc_iommufd_faults(int queue, struct vfc_iommufd_fault *faults, uint32_t count);

/*
 * vfc_iommufd_respond() - answer groups of faults, each once, by the cookie of their last.
 * Return: how many were taken, which is less than @count when the next was refused.
 * Errors, of the first: -EINVAL (no group waits with that cookie, or no such code).
 */
VFC_API int vfc_iommufd_respond(int queue, const struct vfc_iommufd_response *responses,
				uint32_t count);

/*
 * vfc_iommufd_viommu_alloc() - the part of an IOMMU that one virtual machine gets. Linux 6.13.
 * @hwpt: the machine's memory, with VFC_IOMMUFD_HWPT_NEST_PARENT.
 * @type: enum vfc_iommufd_viommu_type.
 * @data: in and out, the kernel's struct iommu_viommu_... of that type, Linux 6.17; NULL: none. An
 * offset in it is for mmap() of the iommufd.
 * Errors: -EOPNOTSUPP (type, hardware), -EINVAL (@hwpt is no nest parent).
 */
VFC_API int vfc_iommufd_viommu_alloc(int iommufd, uint32_t device, uint32_t hwpt, uint32_t type,
				     void *data, uint32_t length, uint32_t *viommu);

/*
 * vfc_iommufd_vdevice_alloc() - a device as the virtual machine knows it. Linux 6.13.
 * @virtual_id: its number there: stream id (SMMUv3), device id (AMD), requester id (VT-d).
 * Destroy it before the device is closed. Errors: -EEXIST (the device or the number has one),
 * -EINVAL (the device is behind another IOMMU).
 */
VFC_API int vfc_iommufd_vdevice_alloc(int iommufd, uint32_t viommu, uint32_t device,
				      uint64_t virtual_id, uint32_t *vdevice);

/*
 * vfc_iommufd_event_queue_alloc() - a queue for events of a vIOMMU. Linux 6.15.
 * @type: enum vfc_iommufd_event_type, one queue of each. @depth: events that it holds, 1 to 2^19.
 * @fd: as for vfc_iommufd_fault_queue_alloc(), for vfc_iommufd_events().
 * Errors: -EEXIST (there is one of that type), -EOPNOTSUPP (type 0), -EINVAL (@depth).
 */
VFC_API int vfc_iommufd_event_queue_alloc(int iommufd, uint32_t viommu, uint32_t type,
					  uint32_t depth, uint32_t *queue, int *fd);

/*
 * vfc_iommufd_events() - take events out of a queue; never waits.
 * @data_size: bytes of data that an event of the queue's type has; those of event n are put at
 * @data + n * @data_size.
 * @next: in and out, the sequence number that is expected; 0 for a new queue.
 * Return: how many, 0 when there is none. One with VFC_IOMMUFD_EVENT_LOST has no data.
 * Errors: -EINVAL (an event is larger), -EBADMSG (no such records).
 */
VFC_API int vfc_iommufd_events(int queue, uint32_t data_size, uint32_t *next,
			       struct vfc_iommufd_event *events, void *data, uint32_t count);

/*
 * vfc_iommufd_hw_queue_alloc() - a queue of commands that the hardware reads from the memory of the
 * virtual machine. Linux 6.17. @iova, @length: where, contiguous in physical memory; it cannot be
 * unmapped as long as the queue is there. @index: its number in the vIOMMU.
 * Errors: -EOPNOTSUPP (type), -EFAULT (not contiguous), -ENOENT (not mapped), -EEXIST (@index),
 * -EIO (another one comes first), -EINVAL, -EOVERFLOW.
 */
VFC_API int vfc_iommufd_hw_queue_alloc(int iommufd, uint32_t viommu, uint32_t type, uint32_t index,
				       uint64_t iova, uint64_t length, uint32_t *queue);

/*
 * vfc_iommufd_bind() - make a VFIO device one of this iommufd's; closing the device undoes it.
 * @device: descriptor of /dev/vfio/devices/vfioN. @token: 16 bytes, the UUID that guards a virtual
 * function; NULL: none; Linux 6.17. Linux 6.6. @id: out, the device's.
 * Errors: -EBUSY (open elsewhere), -EINVAL (bound already, no iommufd, or a token that is not
 * wanted), -EACCES (token), -EPERM (interrupts are not isolated).
 */
VFC_API int vfc_iommufd_bind(int device, int iommufd, const uint8_t *token, uint32_t *id);

/*
 * vfc_iommufd_attach() - let a bound device use a page table in place of the one before. Linux 6.6.
 * @page_table: in, an HWPT, or an IOAS for one that the kernel makes; out, the HWPT (of an emulated
 * device the IOAS).
 * @pasid: 1 to 2^20-1, only that part of the device, Linux 6.15; negative: the device.
 * Errors: -EINVAL (it does not fit the device), -EADDRINUSE (IOVAs that are mapped or allowed are
 * reserved for this device), -EBUSY (it is being reset), -EOPNOTSUPP, -ENOENT, those of pinning.
 */
VFC_API int vfc_iommufd_attach(int device, uint32_t *page_table, int32_t pasid);

/* vfc_iommufd_detach() - undo vfc_iommufd_attach(); DMA is blocked. Nothing attached: fine. */
VFC_API int vfc_iommufd_detach(int device, int32_t pasid);

VFC_END_DECLS
#endif
