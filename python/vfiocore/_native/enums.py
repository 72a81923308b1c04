# SPDX-License-Identifier: MIT
"""The C header's enums. The values are proved equal to the header's by asserts.py."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "BarFlag",
    "DeviceFlag",
    "EventKind",
    "IommuFlag",
    "IrqFlag",
    "IrqIndex",
    "Knob",
    "MapFlag",
    "NicFlag",
    "PowerState",
    "Reason",
    "RegionFlag",
    "RegionIndex",
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


class DeviceFlag(IntFlag):
    """What a device can do (vfiocore/device.h)."""

    RESET = 1
    PCI = 2
    RELEASED = 4


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


class NicFlag(IntFlag):
    """How a NIC starts (vfiocore/nic.h)."""

    PROMISC = 1


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
    ERROR = 11
    REQUEST = 12
    STRANGER = 13
    LOW_POWER = 14


class PowerState(IntEnum):
    """State of a PCI function (vfiocore/power.h)."""

    D0 = 0
    D1 = 1
    D2 = 2
    D3HOT = 3


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
