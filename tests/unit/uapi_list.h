/* SPDX-License-Identifier: MIT */
/*
 * All that src/kernel/uapi.h, kvm.h and iommufd.h say, as numbers. Compiled twice, once against our header and once
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
	NUMBER(VFIO_GROUP_SET_CONTAINER),                                                        \
	NUMBER(VFIO_GROUP_GET_DEVICE_FD), NUMBER(VFIO_GROUP_FLAGS_VIABLE),                       \
	NUMBER(VFIO_GROUP_FLAGS_CONTAINER_SET), SIZE(vfio_group_status),                         \
	FIELD(vfio_group_status, flags), SIZE(vfio_info_cap_header),                             \
	FIELD(vfio_info_cap_header, version), FIELD(vfio_info_cap_header, next),                 \
	NUMBER(VFIO_DEVICE_GET_INFO), NUMBER(VFIO_DEVICE_GET_REGION_INFO),                       \
	NUMBER(VFIO_DEVICE_GET_IRQ_INFO), NUMBER(VFIO_DEVICE_SET_IRQS),                          \
	NUMBER(VFIO_DEVICE_RESET), NUMBER(VFIO_DEVICE_FLAGS_RESET),                              \
	NUMBER(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO), NUMBER(VFIO_DEVICE_PCI_HOT_RESET),           \
	SIZE(vfio_pci_dependent_device), FIELD(vfio_pci_dependent_device, segment),              \
	FIELD(vfio_pci_dependent_device, bus), FIELD(vfio_pci_dependent_device, devfn),          \
	SIZE(vfio_pci_hot_reset_info), FIELD(vfio_pci_hot_reset_info, count),                    \
	FIELD(vfio_pci_hot_reset_info, devices), SIZE(vfio_pci_hot_reset),                       \
	FIELD(vfio_pci_hot_reset, count), FIELD(vfio_pci_hot_reset, group_fds),                  \
	NUMBER(VFIO_DEVICE_FLAGS_PCI), FIELD(vfio_device_info, flags),                           \
	NUMBER(VFIO_DEVICE_FLAGS_PLATFORM), NUMBER(VFIO_DEVICE_FLAGS_AMBA),                      \
	NUMBER(VFIO_DEVICE_FLAGS_CCW), NUMBER(VFIO_DEVICE_FLAGS_AP),                             \
	NUMBER(VFIO_DEVICE_FLAGS_FSL_MC), NUMBER(VFIO_REGION_INFO_CAP_TYPE),                     \
	NUMBER(VFIO_PCI_BAR0_REGION_INDEX), NUMBER(VFIO_PCI_CONFIG_REGION_INDEX),                \
	NUMBER(VFIO_PCI_VGA_REGION_INDEX), NUMBER(VFIO_PCI_INTX_IRQ_INDEX),                      \
	NUMBER(VFIO_PCI_MSI_IRQ_INDEX), NUMBER(VFIO_PCI_MSIX_IRQ_INDEX),                         \
	NUMBER(VFIO_PCI_ERR_IRQ_INDEX), NUMBER(VFIO_PCI_REQ_IRQ_INDEX),                          \
	SIZE(vfio_region_info_cap_type), FIELD(vfio_region_info_cap_type, type),                 \
	FIELD(vfio_region_info_cap_type, subtype), NUMBER(VFIO_REGION_TYPE_PCI_VENDOR_TYPE & 0xffffffffu),    \
	NUMBER(VFIO_REGION_TYPE_GFX), NUMBER(VFIO_REGION_TYPE_CCW),                              \
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
	FIELD(vfio_iommu_type1_dma_unmap, size), NUMBER(VFIO_TYPE1_IOMMU),                       \
	NUMBER(VFIO_NOIOMMU_IOMMU), NUMBER(VFIO_DEVICE_FEATURE),                                 \
	NUMBER(VFIO_DEVICE_FEATURE_GET), NUMBER(VFIO_DEVICE_FEATURE_SET),                        \
	NUMBER(VFIO_DEVICE_FEATURE_PROBE), SIZE(vfio_device_feature),                            \
	FIELD(vfio_device_feature, flags), FIELD(vfio_device_feature, data),                     \
	NUMBER(VFIO_IOMMU_DIRTY_PAGES), NUMBER(VFIO_IOMMU_DIRTY_PAGES_FLAG_START),               \
	NUMBER(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP),                                                \
	NUMBER(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP), SIZE(vfio_iommu_type1_dirty_bitmap),     \
	FIELD(vfio_iommu_type1_dirty_bitmap, flags), FIELD(vfio_iommu_type1_dirty_bitmap, data), \
	SIZE(vfio_bitmap), FIELD(vfio_bitmap, size), FIELD(vfio_bitmap, data),                   \
	SIZE(vfio_iommu_type1_dirty_bitmap_get),                                                 \
	FIELD(vfio_iommu_type1_dirty_bitmap_get, size),                                          \
	FIELD(vfio_iommu_type1_dirty_bitmap_get, bitmap), NUMBER(VFIO_DEVICE_IOEVENTFD),         \
	NUMBER(VFIO_DEVICE_IOEVENTFD_8), NUMBER(VFIO_DEVICE_IOEVENTFD_16),                       \
	NUMBER(VFIO_DEVICE_IOEVENTFD_32), NUMBER(VFIO_DEVICE_IOEVENTFD_64),                      \
	FIELD(vfio_device_ioeventfd, flags), FIELD(vfio_device_ioeventfd, offset),               \
	FIELD(vfio_device_ioeventfd, data), FIELD(vfio_device_ioeventfd, fd)

#define UAPI_KVM_LIST                                                                           \
	NUMBER(KVM_SET_GSI_ROUTING), NUMBER(KVM_IRQFD), NUMBER(KVM_IOEVENTFD),                   \
	NUMBER(KVM_CREATE_DEVICE), NUMBER(KVM_SET_DEVICE_ATTR), SIZE(kvm_irqfd),                 \
	NUMBER(KVM_IRQFD_FLAG_DEASSIGN), NUMBER(KVM_IRQFD_FLAG_RESAMPLE), FIELD(kvm_irqfd, gsi), \
	FIELD(kvm_irqfd, flags), FIELD(kvm_irqfd, resamplefd), SIZE(kvm_ioeventfd),              \
	NUMBER(KVM_IOEVENTFD_FLAG_DATAMATCH), NUMBER(KVM_IOEVENTFD_FLAG_PIO),                    \
	NUMBER(KVM_IOEVENTFD_FLAG_DEASSIGN), FIELD(kvm_ioeventfd, addr),                         \
	FIELD(kvm_ioeventfd, len), FIELD(kvm_ioeventfd, fd), FIELD(kvm_ioeventfd, flags),        \
	NUMBER(KVM_IRQ_ROUTING_IRQCHIP), NUMBER(KVM_IRQ_ROUTING_MSI),                            \
	SIZE(kvm_irq_routing_entry), FIELD(kvm_irq_routing_entry, type),                         \
	FIELD(kvm_irq_routing_entry, flags), FIELD(kvm_irq_routing_entry, u),                    \
	SIZE(kvm_irq_routing_irqchip), FIELD(kvm_irq_routing_irqchip, pin),                      \
	SIZE(kvm_irq_routing_msi), FIELD(kvm_irq_routing_msi, address_hi),                       \
	FIELD(kvm_irq_routing_msi, data), SIZE(kvm_irq_routing), FIELD(kvm_irq_routing, flags),  \
	FIELD(kvm_irq_routing, entries), NUMBER(KVM_DEV_TYPE_VFIO), SIZE(kvm_create_device),     \
	FIELD(kvm_create_device, fd), FIELD(kvm_create_device, flags), SIZE(kvm_device_attr),    \
	FIELD(kvm_device_attr, group), FIELD(kvm_device_attr, attr), FIELD(kvm_device_attr, addr)

/* Only newer headers have these: tests/machine/test_uapi.py takes those of the lab's kernel. */
#ifdef UAPI_IOMMUFD
#define UAPI_IOMMUFD_LIST								\
	, NUMBER(KVM_DEV_VFIO_FILE), NUMBER(KVM_DEV_VFIO_FILE_ADD), NUMBER(KVM_DEV_VFIO_FILE_DEL),	\
	NUMBER(VFIO_PCI_HOT_RESET_FLAG_DEV_ID), NUMBER(VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED),	\
	NUMBER(VFIO_PCI_DEVID_OWNED), NUMBER(VFIO_PCI_DEVID_NOT_OWNED),			\
	FIELD(vfio_pci_dependent_device, devid),					\
	NUMBER(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN),					\
	NUMBER(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),					\
	NUMBER(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP),			\
	NUMBER(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT),					\
	SIZE(vfio_device_low_power_entry_with_wakeup),					\
	FIELD(vfio_device_low_power_entry_with_wakeup, wakeup_eventfd),		\
	NUMBER(IOMMU_DESTROY), NUMBER(IOMMU_IOAS_ALLOC),				\
	NUMBER(IOMMU_IOAS_ALLOW_IOVAS), NUMBER(IOMMU_IOAS_COPY),			\
	NUMBER(IOMMU_IOAS_IOVA_RANGES), NUMBER(IOMMU_IOAS_MAP),				\
	NUMBER(IOMMU_IOAS_UNMAP), NUMBER(IOMMU_OPTION), NUMBER(IOMMU_VFIO_IOAS),	\
	NUMBER(IOMMU_HWPT_ALLOC), NUMBER(IOMMU_GET_HW_INFO),				\
	NUMBER(IOMMU_HWPT_SET_DIRTY_TRACKING), NUMBER(IOMMU_HWPT_GET_DIRTY_BITMAP),	\
	NUMBER(IOMMU_HWPT_INVALIDATE), NUMBER(IOMMU_FAULT_QUEUE_ALLOC),			\
	NUMBER(IOMMU_IOAS_MAP_FILE), NUMBER(IOMMU_VIOMMU_ALLOC),			\
	NUMBER(IOMMU_VDEVICE_ALLOC), NUMBER(IOMMU_IOAS_CHANGE_PROCESS),			\
	NUMBER(IOMMU_VEVENTQ_ALLOC), NUMBER(IOMMU_HW_QUEUE_ALLOC),			\
	NUMBER(IOMMU_IOAS_NOIOMMU_GET_PA), SIZE(iommu_destroy),				\
	FIELD(iommu_destroy, id), SIZE(iommu_ioas_alloc),				\
	FIELD(iommu_ioas_alloc, flags), FIELD(iommu_ioas_alloc, out_ioas_id),		\
	SIZE(iommu_iova_range), FIELD(iommu_iova_range, last),				\
	SIZE(iommu_ioas_iova_ranges), FIELD(iommu_ioas_iova_ranges, ioas_id),		\
	FIELD(iommu_ioas_iova_ranges, num_iovas),					\
	FIELD(iommu_ioas_iova_ranges, allowed_iovas),					\
	FIELD(iommu_ioas_iova_ranges, out_iova_alignment),				\
	SIZE(iommu_ioas_allow_iovas), FIELD(iommu_ioas_allow_iovas, ioas_id),		\
	FIELD(iommu_ioas_allow_iovas, num_iovas),					\
	FIELD(iommu_ioas_allow_iovas, allowed_iovas),					\
	NUMBER(IOMMU_IOAS_MAP_FIXED_IOVA), NUMBER(IOMMU_IOAS_MAP_WRITEABLE),		\
	NUMBER(IOMMU_IOAS_MAP_READABLE), SIZE(iommu_ioas_map),				\
	FIELD(iommu_ioas_map, flags), FIELD(iommu_ioas_map, ioas_id),			\
	FIELD(iommu_ioas_map, user_va), FIELD(iommu_ioas_map, length),			\
	FIELD(iommu_ioas_map, iova), SIZE(iommu_ioas_map_file),				\
	FIELD(iommu_ioas_map_file, flags), FIELD(iommu_ioas_map_file, ioas_id),		\
	FIELD(iommu_ioas_map_file, fd), FIELD(iommu_ioas_map_file, start),		\
	FIELD(iommu_ioas_map_file, length), FIELD(iommu_ioas_map_file, iova),		\
	SIZE(iommu_ioas_copy), FIELD(iommu_ioas_copy, flags),				\
	FIELD(iommu_ioas_copy, dst_ioas_id), FIELD(iommu_ioas_copy, src_ioas_id),	\
	FIELD(iommu_ioas_copy, length), FIELD(iommu_ioas_copy, dst_iova),		\
	FIELD(iommu_ioas_copy, src_iova), SIZE(iommu_ioas_unmap),			\
	FIELD(iommu_ioas_unmap, ioas_id), FIELD(iommu_ioas_unmap, iova),		\
	FIELD(iommu_ioas_unmap, length), SIZE(iommu_ioas_change_process),		\
	SIZE(iommu_ioas_noiommu_get_pa), FIELD(iommu_ioas_noiommu_get_pa, flags),	\
	FIELD(iommu_ioas_noiommu_get_pa, ioas_id),					\
	FIELD(iommu_ioas_noiommu_get_pa, iova),						\
	FIELD(iommu_ioas_noiommu_get_pa, length),					\
	FIELD(iommu_ioas_noiommu_get_pa, out_phys), NUMBER(IOMMU_OPTION_RLIMIT_MODE),	\
	NUMBER(IOMMU_OPTION_HUGE_PAGES), NUMBER(IOMMU_OPTION_OP_SET),			\
	NUMBER(IOMMU_OPTION_OP_GET), SIZE(iommu_option),				\
	FIELD(iommu_option, option_id), FIELD(iommu_option, op),			\
	FIELD(iommu_option, object_id), FIELD(iommu_option, val64),			\
	NUMBER(IOMMU_VFIO_IOAS_GET), NUMBER(IOMMU_VFIO_IOAS_SET),			\
	NUMBER(IOMMU_VFIO_IOAS_CLEAR), SIZE(iommu_vfio_ioas),				\
	FIELD(iommu_vfio_ioas, ioas_id), FIELD(iommu_vfio_ioas, op),			\
	NUMBER(IOMMU_HWPT_ALLOC_NEST_PARENT), NUMBER(IOMMU_HWPT_ALLOC_DIRTY_TRACKING),	\
	NUMBER(IOMMU_HWPT_FAULT_ID_VALID), NUMBER(IOMMU_HWPT_ALLOC_PASID),		\
	NUMBER(IOMMU_HWPT_DATA_NONE), NUMBER(IOMMU_HWPT_DATA_VTD_S1),			\
	NUMBER(IOMMU_HWPT_DATA_ARM_SMMUV3), NUMBER(IOMMU_HWPT_DATA_AMD_GUEST),		\
	SIZE(iommu_hwpt_alloc), FIELD(iommu_hwpt_alloc, flags),				\
	FIELD(iommu_hwpt_alloc, dev_id), FIELD(iommu_hwpt_alloc, pt_id),		\
	FIELD(iommu_hwpt_alloc, out_hwpt_id), FIELD(iommu_hwpt_alloc, data_type),	\
	FIELD(iommu_hwpt_alloc, data_len), FIELD(iommu_hwpt_alloc, data_uptr),		\
	FIELD(iommu_hwpt_alloc, fault_id), NUMBER(IOMMU_HW_INFO_FLAG_INPUT_TYPE),	\
	NUMBER(IOMMU_HW_INFO_TYPE_NONE), NUMBER(IOMMU_HW_INFO_TYPE_INTEL_VTD),		\
	NUMBER(IOMMU_HW_INFO_TYPE_ARM_SMMUV3),						\
	NUMBER(IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV), NUMBER(IOMMU_HW_INFO_TYPE_AMD),	\
	NUMBER(IOMMU_HW_CAP_DIRTY_TRACKING), NUMBER(IOMMU_HW_CAP_PCI_PASID_EXEC),	\
	NUMBER(IOMMU_HW_CAP_PCI_PASID_PRIV),						\
	NUMBER(IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED), SIZE(iommu_hw_info),		\
	FIELD(iommu_hw_info, flags), FIELD(iommu_hw_info, dev_id),			\
	FIELD(iommu_hw_info, data_len), FIELD(iommu_hw_info, data_uptr),		\
	FIELD(iommu_hw_info, out_data_type), FIELD(iommu_hw_info, out_max_pasid_log2),	\
	FIELD(iommu_hw_info, out_capabilities),						\
	NUMBER(IOMMU_HWPT_DIRTY_TRACKING_ENABLE), SIZE(iommu_hwpt_set_dirty_tracking),	\
	FIELD(iommu_hwpt_set_dirty_tracking, flags),					\
	FIELD(iommu_hwpt_set_dirty_tracking, hwpt_id),					\
	NUMBER(IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR),					\
	SIZE(iommu_hwpt_get_dirty_bitmap), FIELD(iommu_hwpt_get_dirty_bitmap, hwpt_id),	\
	FIELD(iommu_hwpt_get_dirty_bitmap, flags),					\
	FIELD(iommu_hwpt_get_dirty_bitmap, iova),					\
	FIELD(iommu_hwpt_get_dirty_bitmap, length),					\
	FIELD(iommu_hwpt_get_dirty_bitmap, page_size),					\
	FIELD(iommu_hwpt_get_dirty_bitmap, data),					\
	NUMBER(IOMMU_HWPT_INVALIDATE_DATA_VTD_S1),					\
	NUMBER(IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3), SIZE(iommu_hwpt_invalidate),	\
	FIELD(iommu_hwpt_invalidate, hwpt_id), FIELD(iommu_hwpt_invalidate, data_uptr),	\
	FIELD(iommu_hwpt_invalidate, data_type),					\
	FIELD(iommu_hwpt_invalidate, entry_len),					\
	FIELD(iommu_hwpt_invalidate, entry_num), SIZE(iommu_fault_alloc),		\
	FIELD(iommu_fault_alloc, flags), FIELD(iommu_fault_alloc, out_fault_id),	\
	FIELD(iommu_fault_alloc, out_fault_fd),						\
	NUMBER(IOMMU_PGFAULT_FLAGS_PASID_VALID), NUMBER(IOMMU_PGFAULT_FLAGS_LAST_PAGE),	\
	NUMBER(IOMMU_PGFAULT_PERM_READ), NUMBER(IOMMU_PGFAULT_PERM_WRITE),		\
	NUMBER(IOMMU_PGFAULT_PERM_EXEC), NUMBER(IOMMU_PGFAULT_PERM_PRIV),		\
	SIZE(iommu_hwpt_pgfault), FIELD(iommu_hwpt_pgfault, dev_id),			\
	FIELD(iommu_hwpt_pgfault, pasid), FIELD(iommu_hwpt_pgfault, grpid),		\
	FIELD(iommu_hwpt_pgfault, perm), FIELD(iommu_hwpt_pgfault, addr),		\
	FIELD(iommu_hwpt_pgfault, length), FIELD(iommu_hwpt_pgfault, cookie),		\
	NUMBER(IOMMUFD_PAGE_RESP_SUCCESS), NUMBER(IOMMUFD_PAGE_RESP_INVALID),		\
	SIZE(iommu_hwpt_page_response), FIELD(iommu_hwpt_page_response, code),		\
	NUMBER(IOMMU_VIOMMU_TYPE_DEFAULT), NUMBER(IOMMU_VIOMMU_TYPE_ARM_SMMUV3),	\
	NUMBER(IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV), SIZE(iommu_viommu_alloc),		\
	FIELD(iommu_viommu_alloc, flags), FIELD(iommu_viommu_alloc, type),		\
	FIELD(iommu_viommu_alloc, dev_id), FIELD(iommu_viommu_alloc, hwpt_id),		\
	FIELD(iommu_viommu_alloc, out_viommu_id), FIELD(iommu_viommu_alloc, data_len),	\
	FIELD(iommu_viommu_alloc, data_uptr), SIZE(iommu_vdevice_alloc),		\
	FIELD(iommu_vdevice_alloc, viommu_id), FIELD(iommu_vdevice_alloc, dev_id),	\
	FIELD(iommu_vdevice_alloc, out_vdevice_id),					\
	FIELD(iommu_vdevice_alloc, virt_id), NUMBER(IOMMU_VEVENTQ_TYPE_DEFAULT),	\
	NUMBER(IOMMU_VEVENTQ_TYPE_ARM_SMMUV3),						\
	NUMBER(IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV), SIZE(iommu_veventq_alloc),		\
	FIELD(iommu_veventq_alloc, flags), FIELD(iommu_veventq_alloc, viommu_id),	\
	FIELD(iommu_veventq_alloc, type), FIELD(iommu_veventq_alloc, veventq_depth),	\
	FIELD(iommu_veventq_alloc, out_veventq_id),					\
	FIELD(iommu_veventq_alloc, out_veventq_fd),					\
	NUMBER(IOMMU_VEVENTQ_FLAG_LOST_EVENTS), SIZE(iommufd_vevent_header),		\
	FIELD(iommufd_vevent_header, sequence), NUMBER(IOMMU_HW_QUEUE_TYPE_DEFAULT),	\
	NUMBER(IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV), SIZE(iommu_hw_queue_alloc),		\
	FIELD(iommu_hw_queue_alloc, flags), FIELD(iommu_hw_queue_alloc, viommu_id),	\
	FIELD(iommu_hw_queue_alloc, type), FIELD(iommu_hw_queue_alloc, index),		\
	FIELD(iommu_hw_queue_alloc, out_hw_queue_id),					\
	FIELD(iommu_hw_queue_alloc, nesting_parent_iova),				\
	FIELD(iommu_hw_queue_alloc, length), NUMBER(VFIO_DEVICE_BIND_IOMMUFD),		\
	NUMBER(VFIO_DEVICE_ATTACH_IOMMUFD_PT), NUMBER(VFIO_DEVICE_DETACH_IOMMUFD_PT),	\
	NUMBER(VFIO_DEVICE_BIND_FLAG_TOKEN), SIZE(vfio_device_bind_iommufd),		\
	FIELD(vfio_device_bind_iommufd, flags),						\
	FIELD(vfio_device_bind_iommufd, iommufd),					\
	FIELD(vfio_device_bind_iommufd, out_devid),					\
	FIELD(vfio_device_bind_iommufd, token_uuid_ptr),				\
	NUMBER(VFIO_DEVICE_ATTACH_PASID), SIZE(vfio_device_attach_iommufd_pt),		\
	FIELD(vfio_device_attach_iommufd_pt, flags),					\
	FIELD(vfio_device_attach_iommufd_pt, pt_id),					\
	FIELD(vfio_device_attach_iommufd_pt, pasid), NUMBER(VFIO_DEVICE_DETACH_PASID),	\
	SIZE(vfio_device_detach_iommufd_pt),						\
	FIELD(vfio_device_detach_iommufd_pt, flags),					\
	FIELD(vfio_device_detach_iommufd_pt, pasid),					\
	NUMBER(VFIO_DEVICE_FLAGS_CDX), NUMBER(VFIO_DEVICE_FEATURE_DMA_BUF), SIZE(vfio_region_dma_range),		\
	FIELD(vfio_region_dma_range, length), SIZE(vfio_device_feature_dma_buf),	\
	FIELD(vfio_device_feature_dma_buf, open_flags),					\
	FIELD(vfio_device_feature_dma_buf, flags),					\
	FIELD(vfio_device_feature_dma_buf, nr_ranges),					\
	FIELD(vfio_device_feature_dma_buf, dma_ranges)
#else
#define UAPI_IOMMUFD_LIST
#endif

extern const struct uapi_entry uapi_kernel[];
