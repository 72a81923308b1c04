# SPDX-License-Identifier: MIT
"""The knobs of a fake device (``vfiocore.open("fake:e1000e")``): limits, faults, removal.

Source: vfiocore/fake.h.
"""

from __future__ import annotations

from ctypes import byref, c_uint64

from ._native.call import check, integer, native, unsigned
from ._native.enums import Knob
from ._native.loader import lib
from .errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device

__all__ = ["Knob", "get", "set"]


def _native(device: Device) -> int:
    from .device import Device

    return native(device, Device, "the device")


def _knob(knob: Knob) -> int:
    number = integer(knob, "a knob")
    if number not in [*Knob]:
        raise invalid(f"there is no knob {number}: {', '.join(one.name for one in Knob)}")
    return number


def set(device: Device, knob: Knob, value: int) -> None:
    """Turn a knob.

    Raises:
        Unsupported: the device is not a fake one.
        InvalidArgument: the knob can only be read.
    """
    value = unsigned(value, 64, "the value")
    check(lib.vfc_fake_set(_native(device), _knob(knob), value))


def get(device: Device, knob: Knob) -> int:
    """Read a knob.

    Raises:
        Unsupported: the device is not a fake one.
    """
    value = c_uint64()
    check(lib.vfc_fake_get(_native(device), _knob(knob), byref(value)))
    return value.value
