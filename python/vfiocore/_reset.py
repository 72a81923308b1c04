# SPDX-License-Identifier: MIT
"""Resets of a device, and its power state."""

from __future__ import annotations

from ._native.call import NativeObject, check, unsigned
from ._native.enums import PowerState
from ._native.loader import lib
from ._native.structs import ResetDevice as NativeResetDevice
from ._record import Record

__all__ = ["ResetDevice", "Resettable"]


class ResetDevice(Record):
    """A device that a hot reset resets: its address, its IOMMU group (-1: none), its id in the
    iommufd (0: it is not open; -1: not ours, or no iommufd), and whether it is ours to reset."""

    name: str
    group: int
    id: int
    owned: bool


class Resettable(NativeObject):
    """The part of :class:`Device` that puts the device into another state."""

    def reset(self) -> None:
        """Reset the function. Quiesce it first; DMA is turned off before and stays off
        (:attr:`bus_master`); interrupts must be armed again (:meth:`IrqSet.rearm`).

        Raises:
            Unsupported: it has no reset method.

        Source: vfc_device_reset() in vfiocore/device.h.
        """
        check(lib.vfc_device_reset(self._native()))

    @property
    def power_state(self) -> PowerState:
        """D0 to D3hot. Quiesce the device before it is set; in D3hot accesses of BARs raise
        :class:`VfioError` (EIO), and on the way back most devices have lost their registers, and
        interrupts must be armed again.

        Raises:
            Unsupported: no power management, or no such state.
            DeviceBusy: a NIC of it is open.

        Source: vfc_power_get() and vfc_power_set() in vfiocore/power.h.
        """
        return PowerState(check(lib.vfc_power_get(self._native())))

    @power_state.setter
    def power_state(self, state: PowerState | int) -> None:
        check(lib.vfc_power_set(self._native(), unsigned(state, 32, "the state")))

    def hot_reset_info(self) -> list[ResetDevice]:
        """What :meth:`hot_reset` would reset; the device itself is among it.

        Raises:
            Unsupported: the device's bus cannot be reset.

        Source: vfc_device_hot_reset_info() in vfiocore/device.h.
        """
        handle = self._native()
        count, room = check(lib.vfc_device_hot_reset_info(handle, None, 0)), None
        while room is None or count > len(room):
            room = (NativeResetDevice * count)()
            count = check(lib.vfc_device_hot_reset_info(handle, room, count))
        return [
            ResetDevice(device.name.decode(), device.group, device.id, bool(device.owned))
            for device in room[:count]
        ]

    def hot_reset(self) -> None:
        """Reset its slot or bus, with all functions on it. Quiesce them all first; what
        :meth:`reset` says of DMA and interrupts holds.

        Raises:
            DeviceBusy: it would hit devices that are not ours; the message lists them. Open them
                in one address space, ``iommu=``.
            Unsupported: the device's bus cannot be reset.

        Source: vfc_device_hot_reset() in vfiocore/device.h.
        """
        check(lib.vfc_device_hot_reset(self._native()))
