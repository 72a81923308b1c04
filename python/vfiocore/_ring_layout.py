# SPDX-License-Identifier: MIT
"""What a descriptor ring looks like."""

from __future__ import annotations

from ._native.call import unsigned
from ._native.enums import RingStyle
from ._native.ring_structs import RingLayout as NativeLayout
from .errors import invalid

__all__ = ["RingLayout"]


class RingLayout:
    """What a ring is, as data.

    Args:
        style: how the device shows that it is done with a descriptor.
        size: bytes of a descriptor, a multiple of 8.
        address, control: offsets of the 64-bit buffer address, and of the 64-bit word with command,
            length and status.
        length_shift, length_bits: of the length in the control word; 16 or 32 bits, 0: it has none.
        id_shift: ``PHASE``: of the 16-bit command id in the control word.
        done: ``DONE``: bits of the control word that the device sets when it is done.
        report: ``DONE``, ``HEAD``: bits that ask for that; 0: every descriptor is completed.
        errors: bits of the control word that count in :attr:`Ring.errors`.

    All words are little-endian. :class:`Ring` refuses what cannot be.

    Source: struct vfc_ring_layout in vfiocore/ring_layout.h.
    """

    __slots__ = ("_native", "style")

    def __init__(
        self,
        *,
        style: RingStyle = RingStyle.DONE,
        size: int = 16,
        address: int = 0,
        control: int = 8,
        length_shift: int = 0,
        length_bits: int = 0,
        id_shift: int = 0,
        done: int = 0,
        report: int = 0,
        errors: int = 0,
    ) -> None:
        try:
            self.style = RingStyle(style)
        except ValueError:
            names = ", ".join(one.name for one in RingStyle)
            raise invalid(f"there is no ring style {style!r}: {names}") from None
        words = {"done": done, "report": report, "errors": errors}
        small = {
            "size": size,
            "address": address,
            "control": control,
            "length_shift": length_shift,
            "length_bits": length_bits,
            "id_shift": id_shift,
        }
        self._native = NativeLayout(
            style=self.style,
            **{name: unsigned(value, 64, f"the layout's {name}") for name, value in words.items()},
            **{name: unsigned(value, 32, f"the layout's {name}") for name, value in small.items()},
        )

    def __getattr__(self, name: str) -> int:
        if name.startswith("_") or name == "reserved":
            raise AttributeError(name)
        value: int = getattr(self._native, name)
        return value

    def __repr__(self) -> str:
        names = [name for name, *_ in NativeLayout._fields_ if name not in ("style", "reserved")]
        fields = ", ".join(f"{name}={getattr(self._native, name):#x}" for name in names)
        return f"RingLayout(style={self.style.name}, {fields})"
