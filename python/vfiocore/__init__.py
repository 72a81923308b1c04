# SPDX-License-Identifier: MIT
"""Drive PCI devices from userspace through Linux VFIO.

>>> import vfiocore
>>> with vfiocore.open("0000:01:00.0") as device:
...     print(device.config.vendor, device.bar(0).read32(0))

``"fake:e1000e"`` opens a model of a network card inside of this process, for which no hardware,
privilege or kernel support is needed.

Importing this package loads nothing else: each name below is imported when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import (
        config,
        device,
        dma,
        errors,
        event,
        fake,
        iommu,
        irq,
        nic,
        pci,
        power,
        region,
    )
    from .config import Capability, Config
    from .device import Device, ResetDevice
    from .dma import DmaBuffer
    from .errors import (
        BadMemory,
        ClosedError,
        DeviceBusy,
        DeviceGone,
        EntryLimit,
        InvalidArgument,
        IovaError,
        Malformed,
        MemlockLimit,
        Misaligned,
        NoDevice,
        NoDriver,
        NoIommu,
        NotViable,
        OutOfIova,
        OutOfRange,
        PermissionDenied,
        Reason,
        Unsupported,
        VfioError,
        WaitTimeout,
    )
    from .event import Event, EventKind, Events
    from .iommu import Iommu, Mapping, MappingInfo
    from .irq import Interrupt, IrqInfo, IrqSet
    from .nic import LinkState, Nic, NicStats
    from .pci import PciBar, PciInfo
    from .power import LowPower, PowerState
    from .region import Region

__all__ = [
    "BadMemory",
    "Capability",
    "ClosedError",
    "Config",
    "Device",
    "DeviceBusy",
    "DeviceGone",
    "DmaBuffer",
    "EntryLimit",
    "Event",
    "EventKind",
    "Events",
    "Interrupt",
    "InvalidArgument",
    "Iommu",
    "IovaError",
    "IrqInfo",
    "IrqSet",
    "LinkState",
    "LowPower",
    "Malformed",
    "Mapping",
    "MappingInfo",
    "MemlockLimit",
    "Misaligned",
    "Nic",
    "NicStats",
    "NoDevice",
    "NoDriver",
    "NoIommu",
    "NotViable",
    "OutOfIova",
    "OutOfRange",
    "PciBar",
    "PciInfo",
    "PermissionDenied",
    "PowerState",
    "Reason",
    "Region",
    "ResetDevice",
    "Unsupported",
    "VfioError",
    "WaitTimeout",
    "__version__",
    "config",
    "device",
    "dma",
    "errors",
    "event",
    "events",
    "fake",
    "iommu",
    "irq",
    "nic",
    "open",
    "pci",
    "power",
    "region",
]

# Equal to the library's vfc_version(); a test says so.
__version__ = "0.1.0"

# Where a lazy name comes from; whatever is not here and is public is an error's class.
_HOME = {
    "Capability": "config",
    "Config": "config",
    "Device": "device",
    "DmaBuffer": "dma",
    "Event": "event",
    "EventKind": "event",
    "Events": "event",
    "Interrupt": "irq",
    "Iommu": "iommu",
    "IrqInfo": "irq",
    "IrqSet": "irq",
    "LinkState": "nic",
    "LowPower": "power",
    "Mapping": "iommu",
    "MappingInfo": "iommu",
    "Nic": "nic",
    "NicStats": "nic",
    "PciBar": "pci",
    "PciInfo": "pci",
    "PowerState": "power",
    "Region": "region",
    "ResetDevice": "device",
}
_MODULES = frozenset(name for name in __all__ if name.islower() and name.isalpha())


def open(name: str, *, iommu: Iommu | None = None, transport: str | None = None) -> Device:
    """Open a device and attach it to an IOMMU address space.

    Args:
        name: a PCI name, ``"0000:01:00.0"``; or ``"fake:e1000e"`` for the in-process model.
        iommu: the address space to share; by default the device gets one of its own.
        transport: how to reach the device, ``"cdev"`` (iommufd), ``"group"``, ``"compat"`` (a
            group with iommufd as its container) or ``"fake"``; by default the environment's
            ``VFIOCORE_TRANSPORT``, else the best there is. Not together with ``iommu``.

    Raises:
        NoDevice, NoDriver, NoIommu, NotViable, DeviceBusy, PermissionDenied: the message says
            what stands in the way and what to do.

    Source: vfc_device_open() in vfiocore/device.h.
    """
    from .device import Device

    return Device(name, iommu=iommu, transport=transport)


def events(*, interval: float = 0.0, buffer: int = 0) -> Events:
    """Open a stream of events: devices that come, go and change drivers, the system's sleep, and of
    watched devices errors, the host's requests, and that they are gone.

    Args:
        interval: seconds: how often watched devices are asked whether they are gone; 0: only
            when there is a reason to.
        buffer: bytes for messages of the kernel that wait to be read; 0: 1 MiB.

    Raises:
        VfioError: the kernel has no netlink, or too many descriptors are open.

    Source: vfc_events_open() in vfiocore/event.h.
    """
    from .event import Events

    return Events(interval=interval, buffer=buffer)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    value: object = getattr(import_module("." + _HOME.get(name, "errors"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
