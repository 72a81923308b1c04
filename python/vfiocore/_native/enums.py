# SPDX-License-Identifier: MIT
"""The C header's enums. The values are proved equal to the header's by asserts.py."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "BarFlag",
    "DeviceFlag",
    "DeviceKind",
    "DirtyFlag",
    "ErrorFlag",
    "EventFlag",
    "EventType",
    "FaultAccess",
    "FaultFlag",
    "HwCapability",
    "HwQueueType",
    "HwType",
    "HwptData",
    "HwptFlag",
    "InvalidateData",
    "IommuFdOption",
    "EventKind",
    "IommuFlag",
    "IrqFlag",
    "IrqIndex",
    "IrqThreadFlag",
    "Knob",
    "MapFlag",
    "NicFlag",
    "PowerState",
    "Reason",
    "RegionFlag",
    "RegionIndex",
    "ResponseCode",
    "ViommuType",
    "WatchFlag",
]


class Reason(IntEnum):
    """Why a call failed, where that is more than errno says (vfiocore/error.h)."""

    NONE = 0
    ARGUMENT = 1
    ALIGNMENT = 2
    RANGE = 3
    NO_DEVICE = 4
    NO_DRIVER = 5
    NO_IOMMU = 6
    NOT_VIABLE = 7
    BUSY = 8
    PERMISSION = 9
    MEMLOCK = 10
    ENTRY_LIMIT = 11
    IOVA = 12
    OUT_OF_IOVA = 13
    BAD_MEMORY = 14
    GONE = 15
    MALFORMED = 16
    TIMEOUT = 17
    UNSUPPORTED = 18
    DECODING = 19


class ErrorFlag(IntFlag):
    """What a record has (vfiocore/error.h)."""

    IOVA = 1


class DeviceFlag(IntFlag):
    """What a device can do (vfiocore/device.h)."""

    RESET = 1
    PCI = 2
    RELEASED = 4
    SHARED = 8


class DeviceKind(IntEnum):
    """What a device is, as the kernel's driver says (vfiocore/device.h)."""

    OTHER = 0
    PCI = 1
    PLATFORM = 2
    AMBA = 3
    CCW = 4
    AP = 5
    FSL_MC = 6
    CDX = 7


class RegionIndex(IntEnum):
    """Indices of a PCI device's regions; BAR n has index n (vfiocore/region.h)."""

    BAR0 = 0
    BAR5 = 5
    ROM = 6
    CONFIG = 7
    VGA = 8


class RegionFlag(IntFlag):
    """What a region allows (vfiocore/region.h)."""

    READ = 1
    WRITE = 2
    MMAP = 4


class MapFlag(IntFlag):
    """How memory is mapped (vfiocore/iommu.h)."""

    READ = 1
    WRITE = 2
    FIXED = 4
    IDENTITY = 8


class IommuFlag(IntFlag):
    """How an address space is opened, and what it is (vfiocore/iommu.h)."""

    DIRTY = 1
    PHYSICAL = 2
    UNPINNED = 4


class IrqIndex(IntEnum):
    """Indices of a PCI device's interrupt types (vfiocore/irq.h)."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERR = 3
    REQ = 4


class IrqFlag(IntFlag):
    """How an interrupt type behaves (vfiocore/irq.h)."""

    EVENTFD = 1
    MASKABLE = 2
    AUTOMASKED = 4
    NORESIZE = 8


class IrqThreadFlag(IntFlag):
    """How the library's thread serves a set (vfiocore/irq.h); Python has its own."""

    PIN = 1
    UNMASK = 2


class RingStyle(IntEnum):
    """How a device shows that it is done with a descriptor (vfiocore/ring.h)."""

    DONE = 0
    HEAD = 1
    PHASE = 2
    SPLIT = 3
    PACKED = 4


class NicFlag(IntFlag):
    """How a NIC starts (vfiocore/nic.h)."""

    PROMISC = 1
    PACKED = 2
    RX_CHECKSUM = 4
    VLAN_FILTER = 8


class BarFlag(IntFlag):
    """What kind of BAR it is (vfiocore/pci.h)."""

    IO = 1
    # The header's name, VFC_PCI_BAR_64, without its prefix is no identifier.
    WIDE = 2
    PREFETCH = 4


class Knob(IntEnum):
    """What a fake device lets a test turn or read (vfiocore/fake.h)."""

    ENTRY_LIMIT = 0
    MEMLOCK_LIMIT = 1
    LINK = 2
    GONE = 3
    RX_LENGTH = 4
    MAPPINGS = 5
    PINNED = 6
    FAULTS = 7
    FAULT_IOVA = 8
    RESETS = 9
    DROPPED = 10
    HIGHEST = 11
    NORESIZE = 12
    RAISE = 13
    ERROR = 14
    REQUEST = 15
    STRANGER = 16
    LOW_POWER = 17


class IommuFdOption(IntEnum):
    """Settings of an iommufd, or of one address space (vfiocore/iommufd.h)."""

    RLIMIT_MODE = 0
    HUGE_PAGES = 1


class HwptFlag(IntFlag):
    """What a page table is to be able to do (vfiocore/iommufd.h)."""

    NEST_PARENT = 1
    DIRTY_TRACKING = 2
    PASID = 8


class HwptData(IntEnum):
    """Whose the data of a nested page table is (vfiocore/iommufd.h)."""

    NONE = 0
    VTD_S1 = 1
    ARM_SMMUV3 = 2
    AMD_GUEST = 3


class HwType(IntEnum):
    """Whose registers describe an IOMMU (vfiocore/iommufd.h)."""

    NONE = 0
    INTEL_VTD = 1
    ARM_SMMUV3 = 2
    TEGRA241_CMDQV = 3
    AMD = 4


class HwCapability(IntFlag):
    """What an IOMMU can do for a device (vfiocore/iommufd.h)."""

    DIRTY_TRACKING = 1
    PASID_EXEC = 2
    PASID_PRIV = 4
    NO_ATS = 8


class DirtyFlag(IntFlag):
    """How written pages are read (vfiocore/iommufd.h)."""

    KEEP = 1


class InvalidateData(IntEnum):
    """Whose the entries of an invalidation are (vfiocore/iommufd.h)."""

    VTD_S1 = 0
    ARM_SMMUV3 = 1


class FaultFlag(IntFlag):
    """What a page fault says of itself (vfiocore/iommufd.h)."""

    PASID = 1
    LAST = 2


class FaultAccess(IntFlag):
    """What a device wanted to do to the page (vfiocore/iommufd.h)."""

    READ = 1
    WRITE = 2
    EXEC = 4
    PRIV = 8


class ResponseCode(IntEnum):
    """The answer to a group of page faults (vfiocore/iommufd.h)."""

    SUCCESS = 0
    INVALID = 1


class ViommuType(IntEnum):
    """Kinds of a vIOMMU (vfiocore/iommufd.h)."""

    ARM_SMMUV3 = 1
    TEGRA241_CMDQV = 2


class EventType(IntEnum):
    """Kinds of a vIOMMU's events (vfiocore/iommufd.h)."""

    ARM_SMMUV3 = 1
    TEGRA241_CMDQV = 2


class EventFlag(IntFlag):
    """What an event says of itself (vfiocore/iommufd.h)."""

    LOST = 1


class HwQueueType(IntEnum):
    """Kinds of queues that the hardware reads (vfiocore/iommufd.h)."""

    TEGRA241_CMDQV = 1


class PowerState(IntEnum):
    """State of a PCI function (vfiocore/power.h)."""

    D0 = 0
    D1 = 1
    D2 = 2
    D3HOT = 3


class KvmRouteKind(IntEnum):
    """Where an interrupt of a virtual machine leads (vfiocore/kvm.h)."""

    PIN = 1
    MSI = 2


class KvmIoFlag(IntFlag):
    """Of an address in a virtual machine (vfiocore/kvm.h)."""

    PORT = 1 << 0


class EventKind(IntEnum):
    """What happened (vfiocore/event.h)."""

    ERROR = 1
    REQUEST = 2
    GONE = 3
    ADD = 4
    REMOVE = 5
    BIND = 6
    UNBIND = 7
    CHANGE = 8
    RESUME = 9
    LOST = 10


class WatchFlag(IntFlag):
    """How a stream of events watches a device (vfiocore/event.h)."""

    RELEASE = 1
