/* SPDX-License-Identifier: MIT */
/*
 * All that src/kernel/uapi.h says, as numbers. Compiled twice, once against our header and once
 * against the kernel's: tests/unit/uapi.c compares.
 */
#include <stddef.h>

struct uapi_entry {
	const char *name;
	unsigned long long value;
};

#define NUMBER(x) {#x, (unsigned long long)(x)}
#define SIZE(type) {"sizeof " #type, sizeof(struct type)}
#define FIELD(type, field) {#type "." #field, offsetof(struct type, field)}

#define UAPI_LIST                                                                               \
	NUMBER(VFIO_API_VERSION), NUMBER(VFIO_TYPE1v2_IOMMU), NUMBER(VFIO_GET_API_VERSION),      \
	NUMBER(VFIO_CHECK_EXTENSION), NUMBER(VFIO_SET_IOMMU), NUMBER(VFIO_GROUP_GET_STATUS),     \
	NUMBER(VFIO_GROUP_SET_CONTAINER), NUMBER(VFIO_GROUP_UNSET_CONTAINER),                    \
	NUMBER(VFIO_GROUP_GET_DEVICE_FD), NUMBER(VFIO_GROUP_FLAGS_VIABLE),                       \
	NUMBER(VFIO_GROUP_FLAGS_CONTAINER_SET), SIZE(vfio_group_status),                         \
	FIELD(vfio_group_status, flags), SIZE(vfio_info_cap_header),                             \
	FIELD(vfio_info_cap_header, version), FIELD(vfio_info_cap_header, next),                 \
	NUMBER(VFIO_DEVICE_GET_INFO), NUMBER(VFIO_DEVICE_GET_REGION_INFO),                       \
	NUMBER(VFIO_DEVICE_GET_IRQ_INFO), NUMBER(VFIO_DEVICE_SET_IRQS),                          \
	NUMBER(VFIO_DEVICE_RESET), NUMBER(VFIO_DEVICE_FLAGS_RESET),                              \
	NUMBER(VFIO_DEVICE_FLAGS_PCI), FIELD(vfio_device_info, flags),                           \
	FIELD(vfio_device_info, num_regions), FIELD(vfio_device_info, num_irqs),                 \
	FIELD(vfio_device_info, cap_offset), NUMBER(VFIO_REGION_INFO_FLAG_READ),                 \
	NUMBER(VFIO_REGION_INFO_FLAG_WRITE), NUMBER(VFIO_REGION_INFO_FLAG_MMAP),                 \
	NUMBER(VFIO_REGION_INFO_FLAG_CAPS), SIZE(vfio_region_info),                              \
	FIELD(vfio_region_info, index), FIELD(vfio_region_info, cap_offset),                     \
	FIELD(vfio_region_info, size), FIELD(vfio_region_info, offset),                          \
	NUMBER(VFIO_REGION_INFO_CAP_SPARSE_MMAP), NUMBER(VFIO_REGION_INFO_CAP_MSIX_MAPPABLE),    \
	SIZE(vfio_region_sparse_mmap_area), FIELD(vfio_region_sparse_mmap_area, size),           \
	SIZE(vfio_region_info_cap_sparse_mmap),                                                  \
	FIELD(vfio_region_info_cap_sparse_mmap, nr_areas),                                       \
	FIELD(vfio_region_info_cap_sparse_mmap, areas), NUMBER(VFIO_IRQ_INFO_EVENTFD),           \
	NUMBER(VFIO_IRQ_INFO_MASKABLE), NUMBER(VFIO_IRQ_INFO_AUTOMASKED),                        \
	NUMBER(VFIO_IRQ_INFO_NORESIZE), SIZE(vfio_irq_info), FIELD(vfio_irq_info, index),        \
	FIELD(vfio_irq_info, count), NUMBER(VFIO_IRQ_SET_DATA_NONE),                             \
	NUMBER(VFIO_IRQ_SET_DATA_BOOL), NUMBER(VFIO_IRQ_SET_DATA_EVENTFD),                       \
	NUMBER(VFIO_IRQ_SET_ACTION_MASK), NUMBER(VFIO_IRQ_SET_ACTION_UNMASK),                    \
	NUMBER(VFIO_IRQ_SET_ACTION_TRIGGER), SIZE(vfio_irq_set), FIELD(vfio_irq_set, index),     \
	FIELD(vfio_irq_set, start), FIELD(vfio_irq_set, count), FIELD(vfio_irq_set, data),       \
	NUMBER(VFIO_IOMMU_GET_INFO), NUMBER(VFIO_IOMMU_MAP_DMA), NUMBER(VFIO_IOMMU_UNMAP_DMA),   \
	NUMBER(VFIO_IOMMU_INFO_PGSIZES), NUMBER(VFIO_IOMMU_INFO_CAPS),                           \
	FIELD(vfio_iommu_type1_info, iova_pgsizes), FIELD(vfio_iommu_type1_info, cap_offset),    \
	NUMBER(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE), NUMBER(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL),   \
	SIZE(vfio_iova_range), FIELD(vfio_iova_range, end),                                      \
	SIZE(vfio_iommu_type1_info_cap_iova_range),                                              \
	FIELD(vfio_iommu_type1_info_cap_iova_range, nr_iovas),                                   \
	FIELD(vfio_iommu_type1_info_cap_iova_range, iova_ranges),                                \
	SIZE(vfio_iommu_type1_info_dma_avail), FIELD(vfio_iommu_type1_info_dma_avail, avail),    \
	NUMBER(VFIO_DMA_MAP_FLAG_READ), NUMBER(VFIO_DMA_MAP_FLAG_WRITE),                         \
	SIZE(vfio_iommu_type1_dma_map), FIELD(vfio_iommu_type1_dma_map, vaddr),                  \
	FIELD(vfio_iommu_type1_dma_map, iova), FIELD(vfio_iommu_type1_dma_map, size),            \
	SIZE(vfio_iommu_type1_dma_unmap), FIELD(vfio_iommu_type1_dma_unmap, iova),               \
	FIELD(vfio_iommu_type1_dma_unmap, size)

/* Only newer headers have these: tests/machine/test_uapi.py takes those of the lab's kernel. */
#ifdef UAPI_IOMMUFD
#define UAPI_IOMMUFD_LIST                                                                       \
	, NUMBER(IOMMU_IOAS_ALLOC), NUMBER(IOMMU_IOAS_IOVA_RANGES), NUMBER(IOMMU_IOAS_MAP),      \
	NUMBER(IOMMU_IOAS_UNMAP), SIZE(iommu_ioas_alloc), FIELD(iommu_ioas_alloc, flags),        \
	FIELD(iommu_ioas_alloc, out_ioas_id), SIZE(iommu_iova_range),                            \
	FIELD(iommu_iova_range, last), SIZE(iommu_ioas_iova_ranges),                             \
	FIELD(iommu_ioas_iova_ranges, ioas_id), FIELD(iommu_ioas_iova_ranges, num_iovas),        \
	FIELD(iommu_ioas_iova_ranges, allowed_iovas),                                            \
	FIELD(iommu_ioas_iova_ranges, out_iova_alignment),                                       \
	NUMBER(IOMMU_IOAS_MAP_FIXED_IOVA), NUMBER(IOMMU_IOAS_MAP_WRITEABLE),                     \
	NUMBER(IOMMU_IOAS_MAP_READABLE), SIZE(iommu_ioas_map), FIELD(iommu_ioas_map, flags),     \
	FIELD(iommu_ioas_map, ioas_id), FIELD(iommu_ioas_map, user_va),                          \
	FIELD(iommu_ioas_map, length), FIELD(iommu_ioas_map, iova), SIZE(iommu_ioas_unmap),      \
	FIELD(iommu_ioas_unmap, ioas_id), FIELD(iommu_ioas_unmap, iova),                         \
	FIELD(iommu_ioas_unmap, length), NUMBER(VFIO_DEVICE_BIND_IOMMUFD),                       \
	NUMBER(VFIO_DEVICE_ATTACH_IOMMUFD_PT), FIELD(vfio_device_bind_iommufd, iommufd),         \
	FIELD(vfio_device_bind_iommufd, out_devid),                                              \
	FIELD(vfio_device_attach_iommufd_pt, pt_id)
#else
#define UAPI_IOMMUFD_LIST
#endif

extern const struct uapi_entry uapi_kernel[];
