# SPDX-License-Identifier: MIT
"""PCI devices as sysfs shows them: discovery, details, driver binding. Needs no VFIO.

Source: vfiocore/pci.h; Documentation/ABI/testing/sysfs-bus-pci. ``VFIOCORE_SYSFS`` names another
root than /sys, for tests.
"""

from __future__ import annotations

import os
from ctypes import byref, c_char, c_char_p, c_void_p, cast, create_string_buffer
from errno import EBADMSG

from ._native.call import check, encoded, wait
from ._native.enums import BarFlag, BindFlag
from ._native.loader import lib
from ._native.structs import PCI_NAME, PciBindOpts, PciUseOpts
from ._native.structs import PciInfo as NativePciInfo
from ._record import Record
from .errors import Malformed, NoDevice, Reason, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .config import ConfigSpace

__all__ = [
    "BarFlag",
    "PciBar",
    "PciInfo",
    "bind",
    "config",
    "devices",
    "group",
    "in_use",
    "info",
    "names",
    "reset_methods",
    "unbind",
    "wait_for",
]


class PciBar(Record):
    """A BAR: bus address (0 when unassigned), size in bytes (0: not implemented), kind."""

    address: int
    size: int
    flags: BarFlag


class PciInfo(Record):
    """What sysfs says of a device; the fields are those of ``struct vfc_pci_info``.

    ``numa_node`` and ``iommu_group`` are -1 where there is none; ``driver``, ``driver_override``,
    ``iommu``, ``vfio_cdev`` and ``physfn`` are empty where there is none; ``rom_size`` in bytes.
    """

    name: str
    vendor: int
    device: int
    subsystem_vendor: int
    subsystem_device: int
    class_code: int
    revision: int
    numa_node: int
    iommu_group: int
    sriov_total: int
    sriov_count: int
    physfn: str
    driver: str
    driver_override: str
    iommu: str
    vfio_cdev: str
    bars: tuple[PciBar, ...]
    rom_size: int


def _value(native: NativePciInfo, field: str) -> Any:
    value = getattr(native, field)
    if field == "bars":
        return tuple(PciBar(bar.address, bar.size, BarFlag(bar.flags & 7)) for bar in value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def names() -> list[str]:
    """The names of all PCI devices, sorted."""
    return _names(lib.vfc_pci_list)


def _names(function: Any) -> list[str]:
    """Ask until the room is enough: devices may come in between."""
    count, room = check(function(None, 0)), None
    while room is None or count > len(room):
        room = ((c_char * PCI_NAME) * count)()
        count = check(function(room, count))
    return [room[i].value.decode() for i in range(count)]


def info(name: str) -> PciInfo:
    """The details of one device.

    Args:
        name: ``"0000:01:00.0"``, or ``"01:00.0"`` in domain 0.

    Raises:
        InvalidArgument: it is not such a name.
        NoDevice: there is no such device.
    """
    native = NativePciInfo.sized()
    check(lib.vfc_pci_info(encoded(name, "a device's name"), byref(native)))
    return PciInfo(**{field: _value(native, field) for field in PciInfo._fields})


def config(name: str) -> ConfigSpace:
    """A function's config space as sysfs shows it: the hardware's, where VFIO's is the kernel's.

    Ordinary users are shown the first 64 bytes: ``is_header_only`` is set then.

    Raises:
        InvalidArgument: it is not a device's name.
        NoDevice: there is no such device.
        Malformed: sysfs gave less than a header.
    """
    from .config import ConfigSpace

    path = f"{os.environ.get('VFIOCORE_SYSFS') or '/sys'}/bus/pci/devices/{info(name).name}/config"
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 64:
        text = f"{path} has only {len(data)} bytes of config space, a header is 64"
        raise Malformed(EBADMSG, text, reason=Reason.MALFORMED, object=name, hint=text)
    return ConfigSpace(data)


def devices() -> list[PciInfo]:
    """All PCI devices, sorted by name. One that goes away meanwhile is left out."""
    found = []
    for name in names():
        try:
            found.append(info(name))
        except NoDevice:
            continue
    return found


def group(number: int) -> list[str]:
    """The names of the devices in an IOMMU group, sorted.

    Raises:
        VfioError: there is no such group.
    """
    if not 0 <= number < 2**31:
        raise invalid(f"{number} is no IOMMU group")
    return _names(lambda room, count: lib.vfc_pci_group(number, room, count))


def bind(
    name: str,
    driver: str = "vfio-pci",
    uid: int = -1,
    gid: int = -1,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> None:
    """Bind a device to a VFIO driver, remembering what it was bound to. Needs root.

    All or nothing: when it fails, the device has its former driver again.

    Args:
        driver: which VFIO driver.
        uid, gid: give the VFIO group's node to this user and group; -1: leave it.
        force: take it away though the host uses it, see :func:`in_use`.
        dry_run: raise what can be known beforehand, and change nothing. Needs no root.

    Raises:
        NoDevice: there is no such device.
        NoDriver, NoIommu: the driver is not loaded, or did not take the device.
        DeviceBusy: the host uses it, or it is open through VFIO somewhere.
        Unsupported: it is a bridge.
        InvalidArgument: ``driver`` is not the name of a driver.
        PermissionDenied: not root.

    Source: vfc_pci_bind() in vfiocore/pci.h.
    """
    text = c_char_p(encoded(driver, "a driver's name"))
    opts = PciBindOpts.sized(uid=uid, gid=gid, flags=_flags(force, dry_run))
    opts.driver = cast(text, c_void_p)
    check(lib.vfc_pci_bind(encoded(name, "a device's name"), byref(opts)))


def _flags(force: bool, dry_run: bool) -> int:
    return (BindFlag.FORCE if force else 0) | (BindFlag.DRY_RUN if dry_run else 0)


def unbind(name: str, *, force: bool = False, dry_run: bool = False) -> None:
    """Undo :func:`bind`: the former driver gets the device back. Needs root.

    A device that a driver of the host's has stays there, unless :func:`bind` bound it to that.

    Args:
        force: take it away from the host's driver, though the host may use it.
        dry_run: raise what can be known beforehand, and change nothing. Needs no root.

    Raises:
        NoDevice: there is no such device.
        PermissionDenied: not root.
        DeviceBusy: a driver of the host's has it, or it is open through VFIO somewhere.

    Source: vfc_pci_unbind_with() in vfiocore/pci.h.
    """
    flags = _flags(force, dry_run)
    check(lib.vfc_pci_unbind_with(encoded(name, "a device's name"), flags))


def reset_methods(name: str) -> list[str]:
    """The ways in which the kernel can reset a function, in its order: ``["flr", "bus"]``.

    Raises:
        NoDevice: there is no such device.

    Source: vfc_pci_reset_methods() in vfiocore/pci.h.
    """
    text = create_string_buffer(128)
    check(lib.vfc_pci_reset_methods(encoded(name, "a device's name"), text, len(text)))
    return text.value.decode().split()


def wait_for(device: str, timeout: float | None = None) -> PciInfo:
    """Wait until a device is there: plugged in, or already. Ctrl-C ends it.

    Args:
        device: its address, ``"0000:01:00.0"``, or its ids, ``"8086:10d3"``.
        timeout: seconds; 0: only look; None: without end.

    Raises:
        WaitTimeout: none came in time (also a ``TimeoutError``).
        InvalidArgument: it is neither an address nor ids.

    Source: vfc_pci_wait_for() in vfiocore/pci.h.
    """
    text, name = encoded(device, "a device's address or ids"), create_string_buffer(PCI_NAME)

    def attempt(slice_ns: int) -> int:
        result: int = lib.vfc_pci_wait_for(text, slice_ns, name)
        return result

    wait(attempt, timeout)
    return info(name.value.decode())


def in_use(name: str, sysfs: str | None = None, proc: str | None = None) -> str | None:
    """Why the host would miss the device if it were taken away from its driver, or None.

    A route goes through one of its network interfaces; one of its disks is mounted, swap, or
    claimed by a file system or a program; or something is stacked on one of them, such as a bond, a
    bridge or a volume of device mapper. What is stacked is looked at as well.

    Args:
        name: the name of a device.
        sysfs, proc: where those are mounted; by default ``VFIOCORE_SYSFS`` or /sys, and
            ``VFIOCORE_PROC`` or /proc.

    Raises:
        NoDevice: there is no such device.
        InvalidArgument: it is not a device's name.

    Source: vfc_pci_in_use() in vfiocore/pci.h.
    """
    why = create_string_buffer(1024)
    roots = [c_char_p(encoded(root, "a folder")) if root else None for root in (sysfs, proc)]
    opts = PciUseOpts.sized()
    opts.sysfs, opts.proc = (cast(root, c_void_p) if root else None for root in roots)
    name_text = encoded(name, "a device's name")
    used = check(lib.vfc_pci_in_use(name_text, byref(opts), why, len(why)))
    return os.fsdecode(why.value) if used else None
