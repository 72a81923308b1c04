# SPDX-License-Identifier: MIT
"""Capability lists as the verbs show them, and a walk of one in a copy of config space.

Source: PCI Local Bus 3.0 section 6.7; PCI Express Base section 7.6.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .output import CliError

if TYPE_CHECKING:
    from vfiocore import Capability

__all__ = ["capability_json", "capability_rows", "walk"]

_STATUS, _STATUS_LIST, _POINTER = 0x06, 0x10, 0x34
_STANDARD = range(0x40, 0x100)
_EXTENDED = range(0x100, 0x1000)


def capability_json(cap: Capability) -> dict[str, Any]:
    """A capability with stable keys."""
    return {
        "offset": cap.offset,
        "id": cap.id,
        "name": cap.name,
        "extended": cap.extended,
        "version": cap.version if cap.extended else None,
    }


def capability_rows(
    caps: Sequence[dict[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a table of what :func:`capability_json` gave."""
    rows: list[tuple[str, ...]] = [
        (
            f"{cap['offset']:03x}",
            f"{cap['id']:04x}" if cap["extended"] else f"{cap['id']:02x}",
            cap["name"] + (f" (version {cap['version']})" if cap["extended"] else ""),
        )
        for cap in caps
    ]
    return ("AT", "ID", "CAPABILITY"), rows


def walk(space: bytes) -> list[Capability]:
    """The capabilities in a copy of config space; one that is cut short ends the list early."""
    return [*_standard(space), *_extended(space)]


def _standard(space: bytes) -> Iterator[Capability]:
    from vfiocore import Capability

    if not space[_STATUS] & _STATUS_LIST:
        return
    at, seen = space[_POINTER] & ~3, set[int]()
    while at and at + 2 <= len(space):
        _check(at, seen, _STANDARD)
        yield Capability(space[at], at, 0, False)
        at = space[at + 1] & ~3


def _extended(space: bytes) -> Iterator[Capability]:
    from vfiocore import Capability

    at, seen = 0x100, set[int]()
    while at and at + 4 <= len(space):
        _check(at, seen, _EXTENDED)
        header = int.from_bytes(space[at : at + 4], "little")
        if header in (0, 0xFFFFFFFF):  # an empty list, or a device that does not answer
            return
        yield Capability(header & 0xFFFF, at, header >> 16 & 0xF, True)
        at = header >> 20 & ~3


def _check(at: int, seen: set[int], space: range) -> None:
    # A device is not trusted: its list may point anywhere, and back at itself.
    if at in seen or at not in space:
        raise CliError(f"the capability list is malformed at offset {at:#x}")
    seen.add(at)
