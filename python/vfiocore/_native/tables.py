# SPDX-License-Identifier: MIT
"""What the C header says, as data: constants, enums, structs, and the types of prototypes.py.

The compiler proves it equal to the header (asserts.py).
"""

from __future__ import annotations

import ctypes

from . import enums, ring_structs, structs
from .prototypes import PROTOTYPES

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
    "vfc_error_flags": ("VFC_ERROR_", enums.ErrorFlag),
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
    "vfc_ring_layout": ring_structs.RingLayout,
    "vfc_ring": ring_structs.Ring,
    "vfc_completion": ring_structs.Completion,
    "vfc_buffer": ring_structs.Buffer,
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



def prototype(name: str) -> tuple[Any, list[Any]]:
    """The ctypes restype and argtypes of a function; ``KeyError`` when there is none."""
    result, *arguments = PROTOTYPES[name]
    return c_type(result), [c_type(argument) for argument in arguments]
