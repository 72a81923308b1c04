# SPDX-License-Identifier: MIT
"""What the C header says, as data: constants, enums, structs, prototypes.

Prototypes are kept as the C types themselves, so that there is one text for both readers: the
compiler, which proves it equal to the header (asserts.py), and ctypes, which gets its types
through ``C_TYPES``. A test proves that header, symbol map, library and this table name the same
functions.
"""

from __future__ import annotations

import ctypes

from . import enums, structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import IntEnum, IntFlag
    from typing import Any

ABI = 0

CONSTANTS = {
    "VFC_ABI": ABI,
    "VFC_BUS_NAME": structs.BUS_NAME,
    "VFC_NAME": structs.NAME,
    "VFC_PCI_BARS": structs.PCI_BARS,
    "VFC_PCI_NAME": structs.PCI_NAME,
}

# C enum: (prefix of its enumerators, its Python class)
ENUMS: dict[str, tuple[str, type[IntEnum] | type[IntFlag]]] = {
    "vfc_reason": ("VFC_REASON_", enums.Reason),
    "vfc_device_kind": ("VFC_DEVICE_KIND_", enums.DeviceKind),
    "vfc_device_flags": ("VFC_DEVICE_", enums.DeviceFlag),
    "vfc_region_index": ("VFC_REGION_", enums.RegionIndex),
    "vfc_region_flags": ("VFC_REGION_", enums.RegionFlag),
    "vfc_map_flags": ("VFC_MAP_", enums.MapFlag),
    "vfc_iommu_flags": ("VFC_IOMMU_", enums.IommuFlag),
    "vfc_irq_index": ("VFC_IRQ_", enums.IrqIndex),
    "vfc_irq_flags": ("VFC_IRQ_", enums.IrqFlag),
    "vfc_irq_thread_flags": ("VFC_IRQ_THREAD_", enums.IrqThreadFlag),
    "vfc_ring_style": ("VFC_RING_", enums.RingStyle),
    "vfc_nic_flags": ("VFC_NIC_", enums.NicFlag),
    "vfc_pci_bar_flags": ("VFC_PCI_BAR_", enums.BarFlag),
    "vfc_fake_knob": ("VFC_FAKE_", enums.Knob),
    "vfc_iommufd_option": ("VFC_IOMMUFD_OPTION_", enums.IommuFdOption),
    "vfc_iommufd_hwpt_flags": ("VFC_IOMMUFD_HWPT_", enums.HwptFlag),
    "vfc_iommufd_hwpt_data": ("VFC_IOMMUFD_HWPT_DATA_", enums.HwptData),
    "vfc_iommufd_hw_type": ("VFC_IOMMUFD_HW_", enums.HwType),
    "vfc_iommufd_hw_caps": ("VFC_IOMMUFD_CAP_", enums.HwCapability),
    "vfc_iommufd_dirty_flags": ("VFC_IOMMUFD_DIRTY_", enums.DirtyFlag),
    "vfc_iommufd_invalidate_data": ("VFC_IOMMUFD_INVALIDATE_", enums.InvalidateData),
    "vfc_iommufd_fault_flags": ("VFC_IOMMUFD_FAULT_", enums.FaultFlag),
    "vfc_iommufd_fault_access": ("VFC_IOMMUFD_ACCESS_", enums.FaultAccess),
    "vfc_iommufd_response_code": ("VFC_IOMMUFD_RESPONSE_", enums.ResponseCode),
    "vfc_iommufd_viommu_type": ("VFC_IOMMUFD_VIOMMU_", enums.ViommuType),
    "vfc_iommufd_event_type": ("VFC_IOMMUFD_EVENT_", enums.EventType),
    "vfc_iommufd_event_flags": ("VFC_IOMMUFD_EVENT_", enums.EventFlag),
    "vfc_iommufd_hw_queue_type": ("VFC_IOMMUFD_HW_QUEUE_", enums.HwQueueType),
    "vfc_event_kind": ("VFC_EVENT_", enums.EventKind),
    "vfc_power_state": ("VFC_POWER_", enums.PowerState),
    "vfc_kvm_route_kind": ("VFC_KVM_ROUTE_", enums.KvmRouteKind),
    "vfc_kvm_io_flags": ("VFC_KVM_IO_", enums.KvmIoFlag),
    "vfc_watch_flags": ("VFC_WATCH_", enums.WatchFlag),
}

# Enumerators whose Python name is not the C name without its prefix.
RENAMED = {"VFC_PCI_BAR_WIDE": "VFC_PCI_BAR_64"}

STRUCTS: dict[str, type[ctypes.Structure]] = {
    "vfc_error": structs.Error,
    "vfc_iommu_opts": structs.IommuOpts,
    "vfc_iova_range": structs.IovaRange,
    "vfc_iommu_info": structs.IommuInfo,
    "vfc_map_opts": structs.MapOpts,
    "vfc_mapping": structs.Mapping,
    "vfc_mapcache_entry": structs.MapCacheEntry,
    "vfc_mapcache": structs.MapCache,
    "vfc_reach": structs.Reach,
    "vfc_mapcache_opts": structs.MapCacheOpts,
    "vfc_mapcache_stats": structs.MapCacheStats,
    "vfc_dma": structs.Dma,
    "vfc_pool": structs.Pool,
    "vfc_device_opts": structs.DeviceOpts,
    "vfc_device_info": structs.DeviceInfo,
    "vfc_region_info": structs.RegionInfo,
    "vfc_region_area": structs.RegionArea,
    "vfc_pci_cap": structs.PciCap,
    "vfc_irq_info": structs.IrqInfo,
    "vfc_irq_stats": structs.IrqStats,
    "vfc_irq_thread_opts": structs.IrqThreadOpts,
    "vfc_irq_thread_stats": structs.IrqThreadStats,
    "vfc_kvm_route": structs.KvmRoute,
    "vfc_pci_bar": structs.PciBar,
    "vfc_bus_info": structs.BusInfo,
    "vfc_pci_info": structs.PciInfo,
    "vfc_pci_bind_opts": structs.PciBindOpts,
    "vfc_ring_layout": structs.RingLayout,
    "vfc_ring": structs.Ring,
    "vfc_completion": structs.Completion,
    "vfc_buffer": structs.Buffer,
    "vfc_nic_opts": structs.NicOpts,
    "vfc_nic_info": structs.NicInfo,
    "vfc_nic_link": structs.NicLink,
    "vfc_nic_stats": structs.NicStats,
    "vfc_nic_vf_info": structs.NicVfInfo,
    "vfc_packet": structs.Packet,
    "vfc_iommufd_hwpt_opts": structs.HwptOpts,
    "vfc_iommufd_hw_info": structs.HwInfo,
    "vfc_iommufd_dirty": structs.Dirty,
    "vfc_iommufd_fault": structs.Fault,
    "vfc_iommufd_response": structs.Response,
    "vfc_iommufd_event": structs.IommuFdEvent,
    "vfc_events_opts": structs.EventsOpts,
    "vfc_event": structs.Event,
    "vfc_reset_device": structs.ResetDevice,
}

SCALARS: dict[str, Any] = {
    "void": None,
    "bool": ctypes.c_bool,
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "uint8_t": ctypes.c_uint8,
    "uint16_t": ctypes.c_uint16,
    "uint32_t": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "uint64_t": ctypes.c_uint64,
    "int64_t": ctypes.c_int64,
}

POINTERS: dict[str, Any] = {
    "void *": ctypes.c_void_p,
    "void **": ctypes.POINTER(ctypes.c_void_p),
    "char *": ctypes.c_char_p,
    "char (*)[16]": ctypes.POINTER(ctypes.c_char * structs.PCI_NAME),
    "uint8_t *": ctypes.c_char_p,
    "uint32_t *": ctypes.POINTER(ctypes.c_uint32),
    "uint64_t *": ctypes.POINTER(ctypes.c_uint64),
    "int *": ctypes.POINTER(ctypes.c_int),
    "void (*)(void *, uint32_t, uint64_t)": ctypes.c_void_p,
}


def c_type(text: str) -> Any:
    """The ctypes type for a C type; a handle such as ``struct vfc_nic *`` is a ``c_void_p``."""
    plain = text.replace("const ", "").replace("volatile ", "")
    if plain in SCALARS:
        return SCALARS[plain]
    if plain in POINTERS:
        return POINTERS[plain]
    name = plain.removeprefix("struct ").rstrip(" *")
    if plain.endswith(" **"):
        return POINTERS["void **"]
    return ctypes.POINTER(STRUCTS[name]) if name in STRUCTS else ctypes.c_void_p


_DEVICE = "struct vfc_device *"
_EVENTS = "struct vfc_events *"
_IOMMU = "struct vfc_iommu *"
_IRQ = "struct vfc_irq *"
_KVM = "struct vfc_kvm *"
_CACHE = "struct vfc_mapcache *"
_REACH = "struct vfc_reach *"
_IRQ_THREAD = "struct vfc_irq_thread *"
_NIC = "struct vfc_nic *"
_POOL = "struct vfc_pool *"
_RING = "struct vfc_ring *"
_LAYOUT = "const struct vfc_ring_layout *"
_PACKETS = "struct vfc_packet *"
_MMIO = "volatile void *"
_NAMES = "char (*)[16]"
_BUS_NAMES = "char (*)[64]"
_ID = "uint32_t"
_NEW_ID = "uint32_t *"

# name: (return type, argument types...)
PROTOTYPES: dict[str, tuple[str, ...]] = {
    # abi.h
    "vfc_abi": ("int",),
    "vfc_version": ("const char *",),
    # barrier.h
    "vfc_relax": ("void",),
    "vfc_to_device": ("void",),
    "vfc_from_device": ("void",),
    "vfc_flush_wc": ("void",),
    # device.h
    "vfc_device_open": (
        "int",
        "const char *",
        "const struct vfc_device_opts *",
        "struct vfc_device **",
    ),
    "vfc_device_adopt": (
        "int",
        "int",
        "const char *",
        "const struct vfc_device_opts *",
        "struct vfc_device **",
    ),
    "vfc_device_close": ("int", _DEVICE),
    "vfc_device_info": ("int", _DEVICE, "struct vfc_device_info *"),
    "vfc_device_iommu": (_IOMMU, _DEVICE),
    "vfc_device_attach": ("int", _DEVICE, _IOMMU),
    "vfc_device_detach": ("int", _DEVICE),
    "vfc_device_attach_pasid": ("int", _DEVICE, "uint32_t", _IOMMU),
    "vfc_device_detach_pasid": ("int", _DEVICE, "uint32_t"),
    "vfc_device_iommufd_id": ("int", _DEVICE, "uint32_t *"),
    "vfc_device_release": ("int", _DEVICE),
    "vfc_device_reset": ("int", _DEVICE),
    "vfc_device_hot_reset_info": ("int", _DEVICE, "struct vfc_reset_device *", "size_t"),
    "vfc_device_hot_reset": ("int", _DEVICE),
    "vfc_device_bus_master": ("int", _DEVICE, "bool"),
    # dma.h
    "vfc_dma_alloc": (
        "int",
        _IOMMU,
        "uint64_t",
        "const struct vfc_map_opts *",
        "struct vfc_dma *",
    ),
    "vfc_dma_free": ("int", "struct vfc_dma *"),
    "vfc_pool_init": ("int", _POOL, _IOMMU, "uint32_t", "uint32_t"),
    "vfc_pool_destroy": ("int", _POOL),
    "vfc_pool_get": ("int32_t", _POOL),
    "vfc_pool_put": ("void", _POOL, "uint32_t"),
    "vfc_pool_has": ("bool", "const struct vfc_pool *", "uint32_t"),
    "vfc_pool_lock": ("void", _POOL),
    "vfc_pool_unlock": ("void", _POOL),
    "vfc_pool_va": ("void *", "const struct vfc_pool *", "uint32_t"),
    "vfc_pool_iova": ("uint64_t", "const struct vfc_pool *", "uint32_t"),
    # error.h
    "vfc_error_last": ("const struct vfc_error *",),
    "vfc_error_text": ("int", "char *", "size_t"),
    # event.h
    "vfc_events_open": ("int", "const struct vfc_events_opts *", "struct vfc_events **"),
    "vfc_events_close": ("int", _EVENTS),
    "vfc_events_watch": ("int", _EVENTS, _DEVICE, "uint32_t"),
    "vfc_events_unwatch": ("int", _EVENTS, _DEVICE),
    "vfc_events_wait": ("int", _EVENTS, "int64_t", "struct vfc_event *"),
    "vfc_events_fd": ("int", _EVENTS),
    # fake.h
    "vfc_fake_set": ("int", _DEVICE, "uint32_t", "uint64_t"),
    "vfc_fake_get": ("int", _DEVICE, "uint32_t", "uint64_t *"),
    # handover.h
    "vfc_device_send": ("int", "struct vfc_device *", "int"),
    "vfc_device_receive": (
        "int",
        "int",
        "const struct vfc_device_opts *",
        "int64_t",
        "struct vfc_device **",
    ),
    "vfc_device_fd": ("int", "struct vfc_device *"),
    "vfc_iommu_fd": ("int", "struct vfc_iommu *", "uint32_t *"),
    # iommu.h
    "vfc_iommu_open": ("int", "const struct vfc_iommu_opts *", "struct vfc_iommu **"),
    "vfc_iommu_adopt": (
        "int",
        "int",
        "const struct vfc_iommu_opts *",
        "struct vfc_iommu **",
    ),
    "vfc_iommu_close": ("int", _IOMMU),
    "vfc_iommu_info": ("int", _IOMMU, "struct vfc_iommu_info *"),
    "vfc_iommu_ranges": ("int", _IOMMU, "struct vfc_iova_range *", "size_t"),
    "vfc_iommu_map": (
        "int",
        _IOMMU,
        "void *",
        "uint64_t",
        "uint64_t *",
        "const struct vfc_map_opts *",
    ),
    "vfc_iommu_map_file": (
        "int",
        _IOMMU,
        "int",
        "uint64_t",
        "uint64_t",
        "uint64_t *",
        "const struct vfc_map_opts *",
    ),
    "vfc_iommu_map_region": (
        "int",
        _IOMMU,
        _DEVICE,
        "uint32_t",
        "uint64_t",
        "uint64_t",
        "uint64_t *",
        "const struct vfc_map_opts *",
    ),
    "vfc_iommu_copy": (
        "int",
        _IOMMU,
        _IOMMU,
        "uint64_t",
        "uint64_t",
        "uint64_t *",
        "const struct vfc_map_opts *",
    ),
    "vfc_iommu_map_batch": (
        "int",
        _IOMMU,
        "struct vfc_mapping *",
        "size_t",
        "const struct vfc_map_opts *",
    ),
    "vfc_iommu_unmap_batch": ("int", _IOMMU, "const struct vfc_mapping *", "size_t"),
    "vfc_iommu_unmap": ("int", _IOMMU, "uint64_t", "uint64_t"),
    "vfc_iommu_unmap_range": ("int64_t", _IOMMU, "uint64_t", "uint64_t"),
    "vfc_iommu_unmap_all": ("int64_t", _IOMMU),
    "vfc_iommu_find_iova": ("int", _IOMMU, "uint64_t", "struct vfc_mapping *"),
    "vfc_iommu_find_va": ("int", _IOMMU, "const void *", "struct vfc_mapping *"),
    "vfc_iommu_dirty_start": ("int", _IOMMU),
    "vfc_iommu_dirty_stop": ("int", _IOMMU),
    "vfc_iommu_dirty_read": (
        "int64_t",
        _IOMMU,
        "uint64_t",
        "uint64_t",
        "uint64_t",
        "uint64_t *",
    ),
    "vfc_iommu_iommufd": ("int", _IOMMU, "uint32_t *"),
    # iommufd.h
    "vfc_iommufd_open": ("int",),
    "vfc_iommufd_destroy": ("int", "int", _ID),
    "vfc_iommufd_option_get": ("int", "int", "uint32_t", _ID, "uint64_t *"),
    "vfc_iommufd_option_set": ("int", "int", "uint32_t", _ID, "uint64_t"),
    "vfc_iommufd_compat_get": ("int", "int", _NEW_ID),
    "vfc_iommufd_compat_set": ("int", "int", _ID),
    "vfc_iommufd_compat_clear": ("int", "int"),
    "vfc_iommufd_ioas_alloc": ("int", "int", _NEW_ID),
    "vfc_iommufd_ioas_ranges": (
        "int",
        "int",
        _ID,
        "struct vfc_iova_range *",
        "size_t",
        "uint64_t *",
    ),
    "vfc_iommufd_ioas_allow": ("int", "int", _ID, "const struct vfc_iova_range *", "size_t"),
    "vfc_iommufd_ioas_map": (
        "int",
        "int",
        _ID,
        "const void *",
        "uint64_t",
        "uint64_t *",
        "uint32_t",
    ),
    "vfc_iommufd_ioas_map_file": (
        "int",
        "int",
        _ID,
        "int",
        "uint64_t",
        "uint64_t",
        "uint64_t *",
        "uint32_t",
    ),
    "vfc_iommufd_ioas_copy": (
        "int",
        "int",
        _ID,
        _ID,
        "uint64_t",
        "uint64_t",
        "uint64_t *",
        "uint32_t",
    ),
    "vfc_iommufd_ioas_unmap": ("int64_t", "int", _ID, "uint64_t", "uint64_t"),
    "vfc_iommufd_ioas_physical": ("int", "int", _ID, "uint64_t", "uint64_t *", "uint64_t *"),
    "vfc_iommufd_change_process": ("int", "int"),
    "vfc_iommufd_hw_info": (
        "int",
        "int",
        _ID,
        "struct vfc_iommufd_hw_info *",
        "void *",
        "uint32_t",
    ),
    "vfc_iommufd_hwpt_alloc": (
        "int",
        "int",
        _ID,
        _ID,
        "const struct vfc_iommufd_hwpt_opts *",
        _NEW_ID,
    ),
    "vfc_iommufd_hwpt_dirty": ("int", "int", _ID, "bool"),
    "vfc_iommufd_hwpt_dirty_bitmap": (
        "int",
        "int",
        _ID,
        "const struct vfc_iommufd_dirty *",
        "uint64_t *",
    ),
    "vfc_iommufd_invalidate": (
        "int",
        "int",
        _ID,
        "uint32_t",
        "const void *",
        "uint32_t",
        "uint32_t *",
    ),
    "vfc_iommufd_fault_queue_alloc": ("int", "int", _NEW_ID, "int *"),
    "vfc_iommufd_faults": ("int", "int", "struct vfc_iommufd_fault *", "uint32_t"),
    "vfc_iommufd_respond": ("int", "int", "const struct vfc_iommufd_response *", "uint32_t"),
    "vfc_iommufd_viommu_alloc": (
        "int",
        "int",
        _ID,
        _ID,
        "uint32_t",
        "void *",
        "uint32_t",
        _NEW_ID,
    ),
    "vfc_iommufd_vdevice_alloc": ("int", "int", _ID, _ID, "uint64_t", _NEW_ID),
    "vfc_iommufd_event_queue_alloc": (
        "int",
        "int",
        _ID,
        "uint32_t",
        "uint32_t",
        _NEW_ID,
        "int *",
    ),
    "vfc_iommufd_events": (
        "int",
        "int",
        "uint32_t",
        "uint32_t *",
        "struct vfc_iommufd_event *",
        "void *",
        "uint32_t",
    ),
    "vfc_iommufd_hw_queue_alloc": (
        "int",
        "int",
        _ID,
        "uint32_t",
        "uint32_t",
        "uint64_t",
        "uint64_t",
        _NEW_ID,
    ),
    "vfc_iommufd_bind": ("int", "int", "int", "const uint8_t *", _NEW_ID),
    "vfc_iommufd_attach": ("int", "int", _NEW_ID, "int32_t"),
    "vfc_iommufd_detach": ("int", "int", "int32_t"),
    # irq.h
    "vfc_irq_info": ("int", _DEVICE, "uint32_t", "struct vfc_irq_info *"),
    "vfc_irq_find": ("int", _DEVICE, "const char *"),
    "vfc_irq_open": ("int", _DEVICE, "uint32_t", "uint32_t", "struct vfc_irq **"),
    "vfc_irq_close": ("int", _IRQ),
    "vfc_irq_resize": ("int", _IRQ, "uint32_t"),
    "vfc_irq_arm": ("int", _IRQ, "uint32_t"),
    "vfc_irq_disarm": ("int", _IRQ, "uint32_t"),
    "vfc_irq_fd": ("int", _IRQ, "uint32_t"),
    "vfc_irq_poll_fd": ("int", _IRQ),
    "vfc_irq_wait": ("int", _IRQ, "uint32_t", "int64_t", "uint64_t *"),
    "vfc_irq_take": ("int64_t", _IRQ, "uint32_t"),
    "vfc_irq_wait_any": ("int", _IRQ, "int64_t", "uint32_t *", "uint64_t *"),
    "vfc_irq_wait_all": ("int", _IRQ, "int64_t", "uint64_t *", "uint32_t"),
    "vfc_irq_stats": ("int", _IRQ, "uint32_t", "struct vfc_irq_stats *"),
    "vfc_irq_rearm": ("int", _IRQ),
    "vfc_irq_mask": ("int", _IRQ),
    "vfc_irq_unmask": ("int", _IRQ),
    "vfc_irq_unmask_fd": ("int", _IRQ),
    "vfc_irq_trigger": ("int", _IRQ, "uint32_t"),
    "vfc_irq_thread_start": (
        "int",
        _IRQ,
        "void (*)(void *, uint32_t, uint64_t)",
        "void *",
        "const struct vfc_irq_thread_opts *",
        "struct vfc_irq_thread **",
    ),
    "vfc_irq_thread_stop": ("int", _IRQ_THREAD),
    "vfc_irq_thread_stats": ("int", _IRQ_THREAD, "struct vfc_irq_thread_stats *"),
    # kvm.h
    "vfc_kvm_open": ("int", "int", "struct vfc_kvm **"),
    "vfc_kvm_close": ("int", _KVM),
    "vfc_kvm_add": ("int", _KVM, _DEVICE),
    "vfc_kvm_remove": ("int", _KVM, _DEVICE),
    "vfc_kvm_set_routes": ("int", _KVM, "const struct vfc_kvm_route *", "uint32_t"),
    "vfc_kvm_bind": ("int", _KVM, _IRQ, "uint32_t", "uint32_t"),
    "vfc_kvm_unbind": ("int", _KVM, _IRQ, "uint32_t"),
    "vfc_kvm_ioeventfd_add": ("int", _KVM, "uint64_t", "uint32_t", "uint64_t", "uint32_t", "int"),
    "vfc_kvm_ioeventfd_remove": (
        "int",
        _KVM,
        "uint64_t",
        "uint32_t",
        "uint64_t",
        "uint32_t",
        "int",
    ),
    # mapcache.h
    "vfc_mapcache_open": (
        "int",
        _IOMMU,
        "const struct vfc_mapcache_opts *",
        "struct vfc_mapcache **",
    ),
    "vfc_mapcache_close": ("int", _CACHE),
    "vfc_mapcache_miss": ("int", _CACHE, "const void *", "uint64_t", _REACH),
    "vfc_mapcache_idle": ("void", _CACHE, "struct vfc_mapcache_entry *"),
    "vfc_mapcache_get": ("int", _CACHE, "const void *", "uint64_t", _REACH),
    "vfc_mapcache_put": ("void", _CACHE, "const struct vfc_reach *"),
    "vfc_mapcache_flush": ("int", _CACHE),
    "vfc_mapcache_forget": ("int", _CACHE, "const void *", "uint64_t"),
    "vfc_mapcache_stats": ("int", _CACHE, "struct vfc_mapcache_stats *"),
    # mmio.h
    "vfc_mmio_read8": ("uint8_t", "const volatile void *"),
    "vfc_mmio_read16": ("uint16_t", "const volatile void *"),
    "vfc_mmio_read32": ("uint32_t", "const volatile void *"),
    "vfc_mmio_read64": ("uint64_t", "const volatile void *"),
    "vfc_mmio_write8": ("void", _MMIO, "uint8_t"),
    "vfc_mmio_write16": ("void", _MMIO, "uint16_t"),
    "vfc_mmio_write32": ("void", _MMIO, "uint32_t"),
    "vfc_mmio_write64": ("void", _MMIO, "uint64_t"),
    # nic.h
    "vfc_nic_open": ("int", _DEVICE, "const struct vfc_nic_opts *", "struct vfc_nic **"),
    "vfc_nic_chunk": ("uint32_t", "uint32_t"),
    "vfc_nic_pool_init": ("int", _POOL, _IOMMU, "uint32_t"),
    "vfc_nic_pool_free": ("void", _POOL, "const struct vfc_packet *", "uint32_t"),
    "vfc_nic_pool": (_POOL, _NIC),
    "vfc_nic_close": ("int", _NIC),
    "vfc_nic_info": ("int", _NIC, "struct vfc_nic_info *"),
    "vfc_nic_link": ("int", _NIC, "struct vfc_nic_link *"),
    "vfc_nic_wait_link": ("int", _NIC, "int64_t"),
    "vfc_nic_set_mac": ("int", _NIC, "const uint8_t *"),
    "vfc_nic_promisc": ("int", _NIC, "bool"),
    "vfc_nic_stats": ("int", _NIC, "struct vfc_nic_stats *"),
    "vfc_nic_reset": ("int", _NIC),
    "vfc_nic_rx_burst": ("int", _NIC, "uint32_t", _PACKETS, "uint32_t"),
    "vfc_nic_tx_burst": ("int", _NIC, "uint32_t", _PACKETS, "uint32_t"),
    "vfc_nic_alloc": ("int", _NIC, _PACKETS, "uint32_t"),
    "vfc_nic_free": ("void", _NIC, "const struct vfc_packet *", "uint32_t"),
    "vfc_nic_fill": ("int", _NIC, _PACKETS, "uint32_t", "const void *", "uint32_t"),
    "vfc_nic_send": ("int", _NIC, "const void *", "uint32_t"),
    "vfc_nic_recv": ("int", _NIC, "void *", "uint32_t"),
    "vfc_nic_drain": ("int", _NIC, "uint32_t", "int64_t"),
    "vfc_nic_rx_wait": ("int", _NIC, "uint32_t", "int64_t"),
    "vfc_nic_rx_fd": ("int", _NIC, "uint32_t"),
    "vfc_nic_rx_arm": ("int", _NIC, "uint32_t"),
    # nic_vf.h
    "vfc_nic_vf_serve": ("int", _NIC),
    "vfc_nic_vf_fd": ("int", _NIC),
    "vfc_nic_vf_info": ("int", _NIC, "uint32_t", "struct vfc_nic_vf_info *"),
    "vfc_nic_vf_set_mac": ("int", _NIC, "uint32_t", "const uint8_t *"),
    # bus.h
    "vfc_bus_info": ("int", "const char *", "struct vfc_bus_info *"),
    "vfc_bus_list": ("int", _BUS_NAMES, "size_t"),
    # nofault.h
    "vfc_nofault_begin": ("int",),
    "vfc_nofault_end": ("int",),
    "vfc_nofault_device": ("int", _DEVICE),
    # pci.h
    "vfc_pci_list": ("int", _NAMES, "size_t"),
    "vfc_pci_info": ("int", "const char *", "struct vfc_pci_info *"),
    "vfc_pci_group": ("int", "int", _NAMES, "size_t"),
    "vfc_pci_bind": ("int", "const char *", "const struct vfc_pci_bind_opts *"),
    "vfc_pci_unbind": ("int", "const char *"),
    "vfc_pci_reset_methods": ("int", "const char *", "char *", "size_t"),
    "vfc_pci_wait_for": ("int", "const char *", "int64_t", "char *"),
    # power.h
    "vfc_power_get": ("int", _DEVICE),
    "vfc_power_set": ("int", _DEVICE, "uint32_t"),
    "vfc_power_low_enter": ("int", _DEVICE, "int"),
    "vfc_power_low_exit": ("int", _DEVICE),
    # region.h
    "vfc_region_info": ("int", _DEVICE, "uint32_t", "struct vfc_region_info *"),
    "vfc_region_find": ("int", _DEVICE, "const char *"),
    "vfc_region_areas": ("int", _DEVICE, "uint32_t", "struct vfc_region_area *", "size_t"),
    "vfc_region_read": ("int", _DEVICE, "uint32_t", "uint64_t", "uint32_t", "uint64_t *"),
    "vfc_region_load": ("int64_t", _DEVICE, "uint32_t", "uint64_t", "uint32_t"),
    "vfc_region_write": ("int", _DEVICE, "uint32_t", "uint64_t", "uint32_t", "uint64_t"),
    "vfc_region_read_block": ("int", _DEVICE, "uint32_t", "uint64_t", "void *", "size_t"),
    "vfc_region_write_block": ("int", _DEVICE, "uint32_t", "uint64_t", "const void *", "size_t"),
    "vfc_region_map": ("int", _DEVICE, "uint32_t", "uint64_t", "uint64_t", "volatile void **"),
    "vfc_region_ioeventfd": (
        "int",
        _DEVICE,
        "uint32_t",
        "uint64_t",
        "uint32_t",
        "uint64_t",
        "int",
    ),
    "vfc_pci_caps": ("int", _DEVICE, "struct vfc_pci_cap *", "size_t"),
    "vfc_pci_caps_of": ("int", "const void *", "size_t", "struct vfc_pci_cap *", "size_t"),
    # ring.h
    "vfc_ring_init": ("int", _RING, _LAYOUT, _IOMMU, "uint32_t", _MMIO),
    "vfc_ring_resize": ("int", _RING, _LAYOUT, "uint32_t"),
    "vfc_ring_cancel": ("uint32_t", _RING, _LAYOUT, "uint32_t *"),
    "vfc_ring_destroy": ("int", _RING),
    "vfc_ring_used": ("uint32_t", "const struct vfc_ring *"),
    "vfc_ring_space": ("uint32_t", "const struct vfc_ring *"),
    "vfc_ring_iova": ("uint64_t", "const struct vfc_ring *", "const void *"),
    "vfc_ring_post": ("void", _RING, _LAYOUT, "const struct vfc_buffer *"),
    "vfc_ring_post_many": (
        "uint32_t",
        _RING,
        _LAYOUT,
        "const struct vfc_buffer *",
        "uint32_t",
    ),
    "vfc_ring_fill": (
        "uint32_t",
        _RING,
        _LAYOUT,
        _POOL,
        "uint32_t",
        "uint32_t",
        "uint64_t",
    ),
    "vfc_ring_report": ("void", _RING, _LAYOUT),
    "vfc_ring_kick": ("void", _RING, _LAYOUT),
    "vfc_ring_reap": ("uint32_t", _RING, _LAYOUT, "struct vfc_completion *", "uint32_t"),
    "vfc_ring_reclaim": ("uint32_t", _RING, _LAYOUT, "uint32_t *", "uint32_t"),
    "vfc_ring_ready": ("int", _RING, _LAYOUT),
    "vfc_ring_arm": ("int", _RING, _LAYOUT),
    "vfc_ring_disarm": ("void", _RING, _LAYOUT),
    # sriov.h
    "vfc_sriov_enable": ("int", "const char *", "uint32_t", "const struct vfc_pci_bind_opts *"),
    "vfc_sriov_disable": ("int", "const char *"),
    "vfc_sriov_functions": ("int", "const char *", "char (*)[16]", "size_t"),
    "vfc_sriov_set_token": ("int", _DEVICE, "const uint8_t *"),
}


def prototype(name: str) -> tuple[Any, list[Any]]:
    """The ctypes restype and argtypes of a function; ``KeyError`` when there is none."""
    result, *arguments = PROTOTYPES[name]
    return c_type(result), [c_type(argument) for argument in arguments]
