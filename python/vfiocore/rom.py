# SPDX-License-Identifier: MIT
"""Expansion ROMs: the images in one.

Source: PCI Firmware Specification 3.3, 5.1.
"""

from __future__ import annotations

from errno import EBADMSG

from ._record import Record
from .errors import Malformed, Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

__all__ = ["RomImage", "images"]

_SIGNATURE = b"\x55\xaa"
_POINTER = 0x18  # 16 bits: where the data structure is, from the image's start
_STRUCTURE, _STRUCTURE_LENGTH = b"PCIR", 0x18
_UNIT = 512  # bytes that an image's length counts
_LAST = 0x80
_CODE = {0: "x86 BIOS", 1: "Open Firmware", 2: "PA-RISC", 3: "UEFI"}


class RomImage(Record):
    """One image: where it starts and how long it is (bytes), whom it is for, and what runs it."""

    offset: int
    length: int
    vendor: int
    device: int
    class_code: int
    code_type: int
    code_revision: int
    last: bool

    @property
    def code(self) -> str:
        """The code type in words."""
        return _CODE.get(self.code_type, f"{self.code_type:#04x}")


def images(data: bytes) -> list[RomImage]:
    """The images in a ROM's bytes, such as ``device.rom.read_block(0, device.rom.length)``.

    Raises:
        Malformed: there is no image, or one that does not fit; the hint has the offset.
    """
    found: list[RomImage] = []
    while not found or not found[-1].last:
        at = found[-1].offset + found[-1].length if found else 0
        found.append(_image(data, at))
    return found


def _image(data: bytes, at: int) -> RomImage:
    if data[at : at + 2] != _SIGNATURE:
        _refuse(f"no image begins at offset {at:#x} of the ROM: the signature 55 aa is missing")
    where = at + int.from_bytes(data[at + _POINTER : at + _POINTER + 2], "little")
    pcir = data[where : where + _STRUCTURE_LENGTH]
    if len(pcir) < _STRUCTURE_LENGTH or pcir[:4] != _STRUCTURE:
        _refuse(f"the image at offset {at:#x} of the ROM has no PCI data structure at {where:#x}")

    def number(offset: int, width: int) -> int:
        return int.from_bytes(pcir[offset : offset + width], "little")

    length = number(0x10, 2) * _UNIT
    if not 0 < length <= len(data) - at:
        _refuse(
            f"the image at offset {at:#x} of the ROM says that it has {length:#x} bytes, the ROM "
            f"has {len(data):#x}"
        )
    return RomImage(
        offset=at,
        length=length,
        vendor=number(0x04, 2),
        device=number(0x06, 2),
        class_code=number(0x0D, 3),
        code_type=number(0x14, 1),
        code_revision=number(0x12, 2),
        last=bool(number(0x15, 1) & _LAST),
    )


def _refuse(text: str) -> Never:
    raise Malformed(EBADMSG, text, reason=Reason.MALFORMED, hint=text)
