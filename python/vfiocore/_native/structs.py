# SPDX-License-Identifier: MIT
"""Mirrors of the C header's structs. Sizes, offsets and field types are proved by asserts.py.

A struct that starts with ``size`` is built by its ``sized()``, so that the library sees which
version of it the caller knows.
"""

from __future__ import annotations

from ctypes import (
    Structure,
    c_char,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

PCI_BARS = 6
PCI_NAME = 16
BUS_NAME = 64
NAME = 32


class Sized(Structure):
    """A struct whose first field is its own size, in bytes."""

    @classmethod
    def sized(cls, **fields: Any) -> Self:
        """A zeroed struct with ``size`` and the given fields filled in."""
        return cls(size=sizeof(cls), **fields)


class Error(Structure):
    _fields_ = [
        ("code", c_int32),
        ("reason", c_uint32),
        ("operation", c_char * 40),
        ("call", c_char * 40),
        ("object", c_char * 64),
        ("iova", c_uint64),
        ("length", c_uint64),
        ("hint", c_char * 400),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class IommuOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("transport", c_void_p),
        ("beside", c_void_p),
        ("ioas", c_uint32),
        ("reserved", c_uint32),
    ]


class IovaRange(Structure):
    _fields_ = [("first", c_uint64), ("last", c_uint64)]


class IommuInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("devices", c_uint32),
        ("page_sizes", c_uint64),
        ("mappings", c_uint64),
        ("mapped", c_uint64),
        ("entries_left", c_uint64),
        ("transport", c_char * 16),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class MapOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("align", c_uint64),
        ("highest", c_uint64),
        ("guard", c_uint64),
        ("page", c_uint64),
        ("progress", c_void_p),
        ("progress_argument", c_void_p),
    ]


class Mapping(Structure):
    _fields_ = [
        ("iova", c_uint64),
        ("length", c_uint64),
        ("va", c_void_p),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class MapCacheEntry(Structure):
    _fields_ = [
        ("va", c_uint64),
        ("length", c_uint64),
        ("iova", c_uint64),
        ("refs", c_uint32),
        ("used", c_uint16),
        ("queued", c_uint16),
    ]


class MapCache(Structure):
    _fields_ = [("slots", c_void_p), ("mask", c_uint64), ("hits", c_uint64)]


class Reach(Structure):
    _fields_ = [("iova", c_uint64), ("entry", c_void_p)]


class MapCacheOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("limit", c_uint64),
        ("entries", c_uint64),
        ("granule", c_uint64),
        ("highest", c_uint64),
        ("dropped", c_void_p),
        ("context", c_void_p),
    ]


class MapCacheStats(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("hits", c_uint64),
        ("misses", c_uint64),
        ("evictions", c_uint64),
        ("merges", c_uint64),
        ("live_entries", c_uint64),
        ("live_bytes", c_uint64),
        ("idle_entries", c_uint64),
        ("idle_bytes", c_uint64),
    ]


class Dma(Structure):
    _fields_ = [
        ("va", c_void_p),
        ("iova", c_uint64),
        ("length", c_uint64),
        ("page", c_uint64),
        ("iommu", c_void_p),
    ]


class Pool(Structure):
    _fields_ = [
        ("memory", Dma),
        ("chunk", c_uint32),
        ("chunks", c_uint32),
        ("free", c_uint32),
        ("limit", c_uint32),
        ("lock", c_uint32),
        ("reserved", c_uint32),
        ("stack", c_void_p),
    ]


class DeviceOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("iommu", c_void_p),
        ("transport", c_void_p),
        ("vf_token", c_void_p),
    ]


class DeviceInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("regions", c_uint32),
        ("irqs", c_uint32),
        ("group", c_int32),
        ("kind", c_uint32),
        ("name", c_char * BUS_NAME),
        ("transport", c_char * 16),
    ]


class RegionInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("index", c_uint32),
        ("flags", c_uint32),
        ("areas", c_uint32),
        ("length", c_uint64),
        ("type", c_uint32),
        ("subtype", c_uint32),
        ("name", c_char * NAME),
        ("position", c_uint64),
    ]


class RegionArea(Structure):
    _fields_ = [("offset", c_uint64), ("length", c_uint64)]


class PciCap(Structure):
    _fields_ = [
        ("id", c_uint16),
        ("offset", c_uint16),
        ("version", c_uint8),
        ("extended", c_uint8),
        ("reserved", c_uint16),
    ]


class IrqInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("index", c_uint32),
        ("flags", c_uint32),
        ("count", c_uint32),
        ("name", c_char * NAME),
    ]


class IrqStats(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("armed", c_uint32),
        ("fired", c_uint64),
        ("wakeups", c_uint64),
        ("spurious", c_uint64),
    ]


class IrqThreadOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("rate", c_uint32),
    ]


class IrqThreadStats(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("error", c_int32),
        ("calls", c_uint64),
        ("throttled", c_uint64),
    ]


class KvmRoute(Structure):
    _fields_ = [
        ("gsi", c_uint32),
        ("kind", c_uint32),
        ("chip", c_uint32),
        ("pin", c_uint32),
        ("address", c_uint64),
        ("data", c_uint32),
        ("reserved", c_uint32),
    ]


class BusInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("iommu_group", c_int32),
        ("name", c_char * BUS_NAME),
        ("bus", c_char * 16),
        ("driver", c_char * 32),
        ("vfio_cdev", c_char * 32),
    ]


class PciBar(Structure):
    _fields_ = [
        ("address", c_uint64),
        ("size", c_uint64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class PciInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("vendor", c_uint16),
        ("device", c_uint16),
        ("subsystem_vendor", c_uint16),
        ("subsystem_device", c_uint16),
        ("class_code", c_uint32),
        ("revision", c_uint32),
        ("numa_node", c_int32),
        ("iommu_group", c_int32),
        ("sriov_total", c_uint32),
        ("sriov_count", c_uint32),
        ("reserved", c_uint32),
        ("name", c_char * PCI_NAME),
        ("physfn", c_char * PCI_NAME),
        ("driver", c_char * 32),
        ("driver_override", c_char * 32),
        ("iommu", c_char * 32),
        ("vfio_cdev", c_char * 32),
        ("bars", PciBar * PCI_BARS),
        ("rom_size", c_uint64),
    ]


class PciBindOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("uid", c_int32),
        ("gid", c_int32),
        ("flags", c_uint32),
        ("driver", c_void_p),
    ]


class PciUseOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("sysfs", c_void_p),
        ("proc", c_void_p),
    ]


class NicOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("queues", c_uint32),
        ("rx_entries", c_uint32),
        ("tx_entries", c_uint32),
        ("mtu", c_uint32),
        ("pool", c_void_p),
        ("spin", c_uint64),
    ]


class NicInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("queues", c_uint32),
        ("rx_entries", c_uint32),
        ("tx_entries", c_uint32),
        ("frame_max", c_uint32),
        ("mac", c_uint8 * 6),
        ("reserved", c_uint8 * 2),
        ("driver", c_char * 16),
    ]


class NicLink(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("up", c_uint32),
        ("speed", c_uint32),
        ("full_duplex", c_uint32),
    ]


class NicStats(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("rx_frames", c_uint64),
        ("rx_bytes", c_uint64),
        ("tx_frames", c_uint64),
        ("tx_bytes", c_uint64),
        ("rx_errors", c_uint64),
        ("rx_missed", c_uint64),
        ("rx_malformed", c_uint64),
        ("tx_errors", c_uint64),
        ("rx_doorbells", c_uint64),
        ("tx_doorbells", c_uint64),
        ("rx_arms", c_uint64),
        ("rx_interrupts", c_uint64),
        ("rx_checksum", c_uint64),
    ]


class NicVfInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("active", c_uint32),
        ("mac", c_uint8 * 6),
        ("reserved", c_uint8 * 2),
        ("granted", c_uint64),
        ("refused", c_uint64),
    ]


class Packet(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("iova", c_uint64),
        ("length", c_uint32),
        ("chunk", c_uint32),
    ]


class HwptOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("fault", c_uint32),
        ("data_type", c_uint32),
        ("data_length", c_uint32),
        ("reserved", c_uint32),
        ("data", c_void_p),
    ]


class HwInfo(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("type", c_uint32),
        ("capabilities", c_uint64),
        ("pasid_bits", c_uint32),
        ("data_length", c_uint32),
    ]


class Dirty(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("iova", c_uint64),
        ("length", c_uint64),
        ("page_size", c_uint64),
    ]


class Fault(Structure):
    _fields_ = [
        ("flags", c_uint32),
        ("device", c_uint32),
        ("pasid", c_uint32),
        ("group", c_uint32),
        ("access", c_uint32),
        ("reserved", c_uint32),
        ("address", c_uint64),
        ("length", c_uint32),
        ("cookie", c_uint32),
    ]


class Response(Structure):
    _fields_ = [("cookie", c_uint32), ("code", c_uint32)]


class IommuFdEvent(Structure):
    _fields_ = [
        ("flags", c_uint32),
        ("sequence", c_uint32),
        ("lost", c_uint32),
        ("length", c_uint32),
    ]


class EventsOpts(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("interval", c_int64),
        ("buffer", c_uint64),
    ]


class Event(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("kind", c_uint32),
        ("sequence", c_uint64),
        ("time", c_uint64),
        ("slept", c_uint64),
        ("uncorrectable", c_uint32),
        ("correctable", c_uint32),
        ("status", c_uint32),
        ("released", c_uint32),
        ("vendor", c_uint16),
        ("device", c_uint16),
        ("reserved", c_uint32),
        ("name", c_char * BUS_NAME),
        ("driver", c_char * 32),
        ("detail", c_char * 256),
    ]


class ResetDevice(Structure):
    _fields_ = [
        ("name", c_char * 16),
        ("group", c_int32),
        ("id", c_int32),
        ("owned", c_uint32),
        ("reserved", c_uint32),
    ]
