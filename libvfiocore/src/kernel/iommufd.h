/* SPDX-License-Identifier: MIT */
/*
 * The kernel's iommufd interface and the part of VFIO that goes with it. They are written from the
 * documented ABI (Documentation/userspace-api/iommufd.rst, include/uapi/linux/iommufd.h,
 * linux/vfio.h).
 *
 * Structures are as large as in the newest kernel. An older kernel accepts a longer structure as
 * long as what it does not know is zero, and answers E2BIG otherwise
 * (drivers/iommu/iommufd/main.c). BIND, ATTACH and DETACH accept it as well, because they look only
 * at what their flags speak of (drivers/vfio/device_cdev.c). Fields that were added later say since
 * when. They stay zero until they are asked for.
 */
#ifndef VFC_KERNEL_IOMMUFD_H
#define VFC_KERNEL_IOMMUFD_H

#include <stdint.h>
#include <sys/ioctl.h>

#define IOMMUFD_TYPE (';')

#define IOMMU_DESTROY _IO(IOMMUFD_TYPE, 0x80)
#define IOMMU_IOAS_ALLOC _IO(IOMMUFD_TYPE, 0x81)
#define IOMMU_IOAS_ALLOW_IOVAS _IO(IOMMUFD_TYPE, 0x82)
#define IOMMU_IOAS_COPY _IO(IOMMUFD_TYPE, 0x83)
#define IOMMU_IOAS_IOVA_RANGES _IO(IOMMUFD_TYPE, 0x84)
#define IOMMU_IOAS_MAP _IO(IOMMUFD_TYPE, 0x85)
#define IOMMU_IOAS_UNMAP _IO(IOMMUFD_TYPE, 0x86)
#define IOMMU_OPTION _IO(IOMMUFD_TYPE, 0x87)
#define IOMMU_VFIO_IOAS _IO(IOMMUFD_TYPE, 0x88)
#define IOMMU_HWPT_ALLOC _IO(IOMMUFD_TYPE, 0x89)
#define IOMMU_GET_HW_INFO _IO(IOMMUFD_TYPE, 0x8a)
#define IOMMU_HWPT_SET_DIRTY_TRACKING _IO(IOMMUFD_TYPE, 0x8b)
#define IOMMU_HWPT_GET_DIRTY_BITMAP _IO(IOMMUFD_TYPE, 0x8c)
#define IOMMU_HWPT_INVALIDATE _IO(IOMMUFD_TYPE, 0x8d)
#define IOMMU_FAULT_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x8e)
#define IOMMU_IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f)
#define IOMMU_VIOMMU_ALLOC _IO(IOMMUFD_TYPE, 0x90)
#define IOMMU_VDEVICE_ALLOC _IO(IOMMUFD_TYPE, 0x91)
#define IOMMU_IOAS_CHANGE_PROCESS _IO(IOMMUFD_TYPE, 0x92)
#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, 0x93)
#define IOMMU_HW_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x94)
#define IOMMU_IOAS_NOIOMMU_GET_PA _IO(IOMMUFD_TYPE, 0x95)

struct iommu_destroy {
	uint32_t size;
	uint32_t id;
};

/* An I/O address space. */
struct iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

struct iommu_iova_range {
	uint64_t start;
	uint64_t last;
};

struct iommu_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas; /* in: room; out: how many there are; EMSGSIZE: too many for the room */
	uint32_t reserved;
	uint64_t allowed_iovas; /* pointer to struct iommu_iova_range */
	uint64_t out_iova_alignment;
};

struct iommu_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas; /* pointer to struct iommu_iova_range */
};

#define IOMMU_IOAS_MAP_FIXED_IOVA (1 << 0)
#define IOMMU_IOAS_MAP_WRITEABLE (1 << 1)
#define IOMMU_IOAS_MAP_READABLE (1 << 2)

struct iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

struct iommu_ioas_map_file {
	uint32_t size;
	uint32_t flags; /* IOMMU_IOAS_MAP_* */
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

struct iommu_ioas_copy {
	uint32_t size;
	uint32_t flags; /* IOMMU_IOAS_MAP_* */
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova;
	uint64_t src_iova;
};

struct iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length; /* out: what was unmapped */
};

struct iommu_ioas_change_process {
	uint32_t size;
	uint32_t reserved;
};

struct iommu_ioas_noiommu_get_pa {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length; /* in: the most to look at; out: bytes contiguous from out_phys on */
	uint64_t out_phys;
};

#define IOMMU_OPTION_RLIMIT_MODE 0
#define IOMMU_OPTION_HUGE_PAGES 1

#define IOMMU_OPTION_OP_SET 0
#define IOMMU_OPTION_OP_GET 1

struct iommu_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};

#define IOMMU_VFIO_IOAS_GET 0
#define IOMMU_VFIO_IOAS_SET 1
#define IOMMU_VFIO_IOAS_CLEAR 2

struct iommu_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};

/* A page table of the hardware. */
#define IOMMU_HWPT_ALLOC_NEST_PARENT (1 << 0)
#define IOMMU_HWPT_ALLOC_DIRTY_TRACKING (1 << 1)
#define IOMMU_HWPT_FAULT_ID_VALID (1 << 2)
#define IOMMU_HWPT_ALLOC_PASID (1 << 3)

#define IOMMU_HWPT_DATA_NONE 0
#define IOMMU_HWPT_DATA_VTD_S1 1
#define IOMMU_HWPT_DATA_ARM_SMMUV3 2
#define IOMMU_HWPT_DATA_AMD_GUEST 3

struct iommu_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id; /* IOAS, parent HWPT or vIOMMU */
	uint32_t out_hwpt_id;
	uint32_t reserved;
	uint32_t data_type; /* from here since Linux 6.7 */
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t fault_id; /* from here since Linux 6.11 */
	uint32_t reserved2;
};

#define IOMMU_HW_INFO_FLAG_INPUT_TYPE (1 << 0)

#define IOMMU_HW_INFO_TYPE_NONE 0
#define IOMMU_HW_INFO_TYPE_INTEL_VTD 1
#define IOMMU_HW_INFO_TYPE_ARM_SMMUV3 2
#define IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV 3
#define IOMMU_HW_INFO_TYPE_AMD 4

#define IOMMU_HW_CAP_DIRTY_TRACKING (1 << 0)
#define IOMMU_HW_CAP_PCI_PASID_EXEC (1 << 1)
#define IOMMU_HW_CAP_PCI_PASID_PRIV (1 << 2)
#define IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED (1 << 3)

struct iommu_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len; /* in: room; out: bytes that the kernel has */
	uint64_t data_uptr;
	uint32_t out_data_type; /* in, with FLAG_INPUT_TYPE: the type that is wanted */
	uint8_t out_max_pasid_log2;
	uint8_t reserved[3];
	uint64_t out_capabilities; /* since Linux 6.7 */
};

#define IOMMU_HWPT_DIRTY_TRACKING_ENABLE 1

struct iommu_hwpt_set_dirty_tracking {
	uint32_t size;
	uint32_t flags;
	uint32_t hwpt_id;
	uint32_t reserved;
};

#define IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR 1

struct iommu_hwpt_get_dirty_bitmap {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t data; /* pointer to uint64_t; bit n: page n from iova on */
};

#define IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 0
#define IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 1

struct iommu_hwpt_invalidate {
	uint32_t size;
	uint32_t hwpt_id; /* nested HWPT or vIOMMU */
	uint64_t data_uptr;
	uint32_t data_type;
	uint32_t entry_len;
	uint32_t entry_num; /* out, even after a failure: how many were handled */
	uint32_t reserved;
};

/* A queue of page faults, and the records that are read from and written to its descriptor. */
struct iommu_fault_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_fault_id;
	uint32_t out_fault_fd;
};

#define IOMMU_PGFAULT_FLAGS_PASID_VALID (1 << 0)
#define IOMMU_PGFAULT_FLAGS_LAST_PAGE (1 << 1)

#define IOMMU_PGFAULT_PERM_READ (1 << 0)
#define IOMMU_PGFAULT_PERM_WRITE (1 << 1)
#define IOMMU_PGFAULT_PERM_EXEC (1 << 2)
#define IOMMU_PGFAULT_PERM_PRIV (1 << 3)

struct iommu_hwpt_pgfault {
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pasid;
	uint32_t grpid;
	uint32_t perm;
	uint32_t reserved;
	uint64_t addr;
	uint32_t length;
	uint32_t cookie;
};

#define IOMMUFD_PAGE_RESP_SUCCESS 0
#define IOMMUFD_PAGE_RESP_INVALID 1

struct iommu_hwpt_page_response {
	uint32_t cookie;
	uint32_t code;
};

/* A slice of an IOMMU for one virtual machine, and the objects that belong to it. */
#define IOMMU_VIOMMU_TYPE_DEFAULT 0
#define IOMMU_VIOMMU_TYPE_ARM_SMMUV3 1
#define IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV 2

struct iommu_viommu_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t type;
	uint32_t dev_id;
	uint32_t hwpt_id;
	uint32_t out_viommu_id;
	uint32_t data_len; /* from here since Linux 6.17 */
	uint32_t reserved;
	uint64_t data_uptr; /* in and out */
};

struct iommu_vdevice_alloc {
	uint32_t size;
	uint32_t viommu_id;
	uint32_t dev_id;
	uint32_t out_vdevice_id;
	uint64_t virt_id;
};

#define IOMMU_VEVENTQ_TYPE_DEFAULT 0
#define IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 1
#define IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV 2

struct iommu_veventq_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t viommu_id;
	uint32_t type;
	uint32_t veventq_depth;
	uint32_t out_veventq_id;
	uint32_t out_veventq_fd;
	uint32_t reserved;
};

#define IOMMU_VEVENTQ_FLAG_LOST_EVENTS (1U << 0)

struct iommufd_vevent_header {
	uint32_t flags;
	uint32_t sequence; /* 0 to INT32_MAX, then 0 again; a gap is the number of lost events */
};

#define IOMMU_HW_QUEUE_TYPE_DEFAULT 0
#define IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV 1

struct iommu_hw_queue_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t viommu_id;
	uint32_t type;
	uint32_t index;
	uint32_t out_hw_queue_id;
	uint64_t nesting_parent_iova;
	uint64_t length;
};

/* On a VFIO device's character device. */
#define VFIO_DEVICE_BIND_IOMMUFD _IO(';', 100 + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(';', 100 + 19)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT _IO(';', 100 + 20)

#define VFIO_DEVICE_BIND_FLAG_TOKEN (1 << 0)

struct vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr; /* since Linux 6.17 */
};

#define VFIO_DEVICE_ATTACH_PASID (1 << 0)

struct vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id; /* out: the HWPT that the device got */
	uint32_t pasid; /* since Linux 6.15 */
};

#define VFIO_DEVICE_DETACH_PASID (1 << 0)

struct vfio_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid; /* since Linux 6.15 */
};

#endif
