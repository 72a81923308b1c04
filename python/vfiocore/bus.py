# SPDX-License-Identifier: MIT
"""Devices of any bus as sysfs shows them: mediated, platform, PCI... Needs no VFIO.

Source: vfiocore/bus.h. What only PCI devices have is in :mod:`vfiocore.pci`.
"""

from __future__ import annotations

from ctypes import byref, c_char

from ._native.call import check, encoded
from ._native.loader import lib
from ._native.structs import BUS_NAME
from ._native.structs import BusInfo as NativeBusInfo
from ._record import Record
from .errors import NoDevice

__all__ = ["BusInfo", "devices", "info", "names"]


class BusInfo(Record):
    """Where a device is; ``iommu_group`` is -1, the others are empty where there is none."""

    name: str
    bus: str
    driver: str
    vfio_cdev: str
    iommu_group: int


def info(name: str) -> BusInfo:
    """Where a device is.

    Args:
        name: a PCI address, the UUID of a mediated device, whatever a bus calls its device; or,
            where two buses have one of that name, the path of its folder in sysfs.

    Raises:
        InvalidArgument: no bus knows such a name, or two do.
        NoDevice: it is a PCI address, a UUID or a path, and there is no such device.

    Source: vfc_bus_info() in vfiocore/bus.h.
    """
    native = NativeBusInfo.sized()
    check(lib.vfc_bus_info(encoded(name, "a device's name"), byref(native)))
    return BusInfo(
        native.name.decode("utf-8", "replace"),
        native.bus.decode(),
        native.driver.decode(),
        native.vfio_cdev.decode(),
        native.iommu_group,
    )


def names() -> list[str]:
    """The names of all devices that VFIO has, of whatever bus; before Linux 6.1: none.

    Source: vfc_bus_list() in vfiocore/bus.h.
    """
    count, room = check(lib.vfc_bus_list(None, 0)), None
    while room is None or count > len(room):  # devices may come in between
        room = ((c_char * BUS_NAME) * count)()
        count = check(lib.vfc_bus_list(room, count))
    return [room[i].value.decode("utf-8", "replace") for i in range(count)]


def devices() -> list[BusInfo]:
    """All devices that VFIO has; one that goes away meanwhile is left out."""
    found = []
    for name in names():
        try:
            found.append(info(name))
        except NoDevice:
            continue
    return found
