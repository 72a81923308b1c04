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
    from socket import socket as Socket

    from . import (
        bus,
        config,
        device,
        dirty,
        dma,
        errors,
        event,
        fake,
        iommu,
        iommufd,
        irq,
        kvm,
        mapcache,
        mapping,
        nic,
        pci,
        power,
        region,
    )
    from ._irq_thread import IrqThread
    from .bus import BusInfo
    from .config import Capability, Config
    from .device import Device, DeviceKind, ResetDevice
    from .dirty import DirtyTracking
    from .dma import DmaBuffer
    from .errors import (
        BadMemory,
        ClosedError,
        DeviceBusy,
        DeviceGone,
        EntryLimit,
        HugePageWarning,
        InvalidArgument,
        IovaError,
        Malformed,
        MemlockLimit,
        MemoryDecodingOff,
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
    from .iommu import Iommu
    from .iommufd import IommuFd
    from .irq import Interrupt, IrqInfo, IrqSet, IrqStats
    from .kvm import Kvm
    from .mapcache import MapCache, MapCacheStats, Reach
    from .mapping import Mapping, MappingBatch, MappingInfo
    from .nic import LinkState, Nic, NicStats
    from .pci import PciBar, PciInfo
    from .power import LowPower, PowerState
    from .region import Region

__all__ = [
    "BadMemory",
    "BusInfo",
    "Capability",
    "ClosedError",
    "Config",
    "Device",
    "DeviceBusy",
    "DeviceGone",
    "DeviceKind",
    "DirtyTracking",
    "DmaBuffer",
    "EntryLimit",
    "Event",
    "EventKind",
    "Events",
    "HugePageWarning",
    "Interrupt",
    "InvalidArgument",
    "Iommu",
    "IommuFd",
    "IovaError",
    "IrqInfo",
    "IrqSet",
    "IrqStats",
    "IrqThread",
    "Kvm",
    "LinkState",
    "LowPower",
    "Malformed",
    "MapCache",
    "MapCacheStats",
    "Mapping",
    "MappingBatch",
    "MappingInfo",
    "MemlockLimit",
    "MemoryDecodingOff",
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
    "Reach",
    "Reason",
    "Region",
    "ResetDevice",
    "Unsupported",
    "VfioError",
    "WaitTimeout",
    "__version__",
    "adopt",
    "bus",
    "config",
    "device",
    "dirty",
    "dma",
    "errors",
    "event",
    "events",
    "fake",
    "iommu",
    "iommufd",
    "irq",
    "kvm",
    "mapcache",
    "mapping",
    "nic",
    "open",
    "pci",
    "power",
    "receive",
    "region",
]

# Equal to the library's vfc_version(); a test says so.
__version__ = "0.1.0"

# Where a lazy name comes from; whatever is not here and is public is an error's class.
_HOME = {
    "BusInfo": "bus",
    "Capability": "config",
    "Config": "config",
    "Device": "device",
    "DeviceKind": "device",
    "DirtyTracking": "dirty",
    "DmaBuffer": "dma",
    "Event": "event",
    "EventKind": "event",
    "Events": "event",
    "Interrupt": "irq",
    "Iommu": "iommu",
    "IommuFd": "iommufd",
    "IrqInfo": "irq",
    "IrqSet": "irq",
    "IrqStats": "irq",
    "IrqThread": "_irq_thread",
    "Kvm": "kvm",
    "LinkState": "nic",
    "LowPower": "power",
    "MapCache": "mapcache",
    "MapCacheStats": "mapcache",
    "Mapping": "mapping",
    "MappingBatch": "mapping",
    "MappingInfo": "mapping",
    "Nic": "nic",
    "NicStats": "nic",
    "PciBar": "pci",
    "PciInfo": "pci",
    "PowerState": "power",
    "Reach": "mapcache",
    "Region": "region",
    "ResetDevice": "device",
}
_MODULES = frozenset(name for name in __all__ if name.islower() and name.isalpha())


def open(name: str, *, iommu: Iommu | None = None, transport: str | None = None) -> Device:
    """Open a device and attach it to an IOMMU address space.

    Args:
        name: a PCI name, ``"0000:01:00.0"``; the UUID of a mediated device, the name of a platform
            device, or a folder in sysfs (:func:`vfiocore.bus.info`); or ``"fake:e1000e"`` for the
            in-process model.
        iommu: the address space to share; by default the device gets one of its own.
        transport: how to reach the device, ``"cdev"`` (iommufd), ``"group"``, ``"compat"`` (a
            group with iommufd as its container), ``"group-v1"`` (type1 version 1), ``"noiommu"``
            or ``"noiommu-group"`` (without an IOMMU: the device reaches all memory) or
            ``"fake"``; by default the environment's ``VFIOCORE_TRANSPORT``, else the best of the
            first two. Not together with ``iommu``. What ``vfio run`` handed over is taken when no
            transport is named.

    Raises:
        NoDevice, NoDriver, NoIommu, NotViable, DeviceBusy, PermissionDenied: the message says
            what stands in the way and what to do.

    Source: vfc_device_open() in vfiocore/device.h.
    """
    from .device import Device

    return Device(name, iommu=iommu, transport=transport)


def adopt(
    fd: int, name: str | None = None, *, iommu: Iommu | None = None, shared: bool = False
) -> Device:
    """A device of a descriptor that somebody else opened, passed over a socket or inherited.

    Args:
        fd: of ``/dev/vfio/devices/vfioN``, not bound yet or bound to the iommufd of ``iommu``; or
            a group's (``VFIO_GROUP_GET_DEVICE_FD``), whose group is in the container of ``iommu``.
            It is the library's when this returns, and unchanged when it raises.
        name: its PCI name; None: as the kernel tells it, which for a group's device Linux 7.2 does.
        iommu: the address space, as a rule from :meth:`Iommu.adopt`; None: a new one, for a
            ``vfioN`` where this process may open ``/dev/iommu``.
        shared: another process uses it, too: closing it here leaves its DMA on, and it attached
            where ``iommu`` shares an IOAS.

    Raises:
        InvalidArgument: not open, another kind of descriptor, another device than ``name``, bound
            to another iommufd, no group in the container, or no name.
        DeviceBusy, NotViable: as for :func:`open`.

    Source: vfc_device_adopt() in vfiocore/device.h.
    """
    from .device import Device

    return Device.adopt(fd, name, iommu=iommu, shared=shared)


def receive(socket: Socket, *, iommu: Iommu | None = None, timeout: float | None = None) -> Device:
    """Wait for a device that another process sends (:meth:`Device.send`), and open it: both use it
    from then on, in one address space, where each maps and unmaps what is its own.

    Args:
        socket: a connected Unix socket.
        iommu: the space of a device that came from the same space before; None: it comes with the
            device, and is closed with it.
        timeout: seconds; None: without end.

    The sender is not trusted: what is no device with its space is refused, and its descriptors are
    closed.

    Raises:
        WaitTimeout: nobody has sent one.
        Malformed: another message, or descriptors are missing or too many.
        InvalidArgument: the descriptors are of another kind or device than the message says.
        VfioError: the other side closed the socket.

    Source: vfc_device_receive() in vfiocore/handover.h.
    """
    from .device import Device

    return Device.receive(socket, iommu=iommu, timeout=timeout)


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
