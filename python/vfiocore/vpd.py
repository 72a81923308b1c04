# SPDX-License-Identifier: MIT
"""Vital product data: part and serial numbers, read four bytes at a time.

Source: PCI Local Bus 3.0, 6.4 and appendix I.
"""

from __future__ import annotations

from errno import EBADMSG, EOPNOTSUPP, ETIMEDOUT

from ._record import Record
from .errors import Malformed, Reason, Unsupported, WaitTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never

    from .config import Config

__all__ = ["Vpd", "parse", "read"]

_CAPABILITY = 0x03
_ADDRESS, _DATA = 2, 4  # from the capability's start
_DONE = 1 << 15
_LENGTH = 1 << 15  # bytes that the address reaches
_IDENTIFIER, _READ_ONLY, _READ_WRITE, _END = 0x82, 0x90, 0x91, 0x78
_CHECKSUM = "RV"


class Vpd(Record):
    """The product's name, and fields by their two letters: ``PN`` part number, ``SN`` serial
    number, ``EC`` change level, ``MN`` manufacturer, ``V0`` and so on the vendor's own.

    ``checksum`` says whether the sum over the first part is right.
    """

    identifier: str
    read_only: dict[str, bytes]
    read_write: dict[str, bytes]
    checksum: bool


def read(config: Config, timeout: float = 1.0) -> Vpd:
    """As :meth:`vfiocore.config.Config.vpd`."""
    capability = config.find(_CAPABILITY)
    if capability is None:
        text = f"{config!r} has no Vital Product Data capability"
        raise Unsupported(EOPNOTSUPP, text, reason=Reason.UNSUPPORTED, hint=text)
    at = capability.offset
    return parse(lambda offset: _word(config, at, offset, timeout))


def _word(config: Config, at: int, offset: int, timeout: float) -> bytes:
    import time

    config.write16(at + _ADDRESS, offset)
    end = time.monotonic() + timeout
    while not config.read16(at + _ADDRESS) & _DONE:
        if time.monotonic() > end:
            text = f"the device gave no vital product data at {offset:#x} within {timeout} s"
            raise WaitTimeout(ETIMEDOUT, text, reason=Reason.TIMEOUT, hint=text)
        time.sleep(0.001)
    return config.read32(at + _DATA).to_bytes(4, "little")


def parse(word: Callable[[int], bytes]) -> Vpd:
    """VPD from ``word(offset)``, which gives four bytes at a multiple of four.

    Raises:
        Malformed: a resource is of no kind that occurs here, or runs past the end.
    """
    data = bytearray()

    def need(end: int) -> None:
        if end > _LENGTH:
            _refuse(f"a resource runs past the end: up to {end:#x} of {_LENGTH:#x} bytes")
        while len(data) < end:
            data.extend(word(len(data)))

    name, at, checksum = "", 0, False
    parts: dict[int, dict[str, bytes]] = {_READ_ONLY: {}, _READ_WRITE: {}}
    while True:
        need(at + 3)
        tag = data[at]
        if tag == _END:
            return Vpd(name, parts[_READ_ONLY], parts[_READ_WRITE], checksum)
        if tag not in (_IDENTIFIER, _READ_ONLY, _READ_WRITE):
            _refuse(f"at {at:#x} there is a resource of kind {tag:#04x}")
        start = at + 3
        at = start + int.from_bytes(data[at + 1 : start], "little")
        need(at)
        if tag == _IDENTIFIER:
            name = data[start:at].decode("latin-1").rstrip("\0 ")
            continue
        fields = _fields(bytes(data[start:at]), start)
        if _CHECKSUM in fields:
            first = data.index(_CHECKSUM.encode(), start)
            checksum = sum(data[: first + 4]) % 256 == 0
        parts[tag] |= fields


def _fields(data: bytes, start: int) -> dict[str, bytes]:
    fields: dict[str, bytes] = {}
    at = 0
    while at + 3 <= len(data):
        end = at + 3 + data[at + 2]
        if end > len(data):
            _refuse(f"the field at {start + at:#x} runs past the end of its resource")
        fields[data[at : at + 2].decode("latin-1")] = data[at + 3 : end]
        at = end
    return fields


def _refuse(text: str) -> Never:
    text = f"the vital product data are malformed: {text}"
    raise Malformed(EBADMSG, text, reason=Reason.MALFORMED, hint=text)
