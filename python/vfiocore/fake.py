# SPDX-License-Identifier: MIT
"""The knobs of a fake device (``vfiocore.open("fake:e1000e")``): limits, faults, removal.

Source: vfiocore/fake.h.
"""

from __future__ import annotations

from ctypes import byref, c_uint64

from ._native.call import check, unsigned
from ._native.enums import Knob
from ._native.loader import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device

__all__ = ["Knob", "get", "set"]


def set(device: Device, knob: Knob, value: int) -> None:
    """Turn a knob.

    Raises:
        Unsupported: the device is not a fake one.
        InvalidArgument: the knob can only be read.
    """
    check(lib.vfc_fake_set(device._native(), int(knob), unsigned(value, 64, "the value")))


def get(device: Device, knob: Knob) -> int:
    """Read a knob.

    Raises:
        Unsupported: the device is not a fake one.
    """
    value = c_uint64()
    check(lib.vfc_fake_get(device._native(), int(knob), byref(value)))
    return value.value
