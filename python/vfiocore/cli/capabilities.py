# SPDX-License-Identifier: MIT
"""Capability lists as the verbs show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vfiocore import Capability

__all__ = ["capability_json", "capability_rows", "capability_title"]


def capability_json(cap: Capability) -> dict[str, Any]:
    """A capability with stable keys."""
    return {
        "offset": cap.offset,
        "id": cap.id,
        "name": cap.name,
        "extended": cap.extended,
        "version": cap.version if cap.extended else None,
    }


def capability_title(cap: dict[str, Any]) -> str:
    """The name in what :func:`capability_json` gave, with the version of an extended one."""
    return str(cap["name"]) + (f" (version {cap['version']})" if cap["extended"] else "")


def capability_rows(
    caps: Sequence[dict[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a table of what :func:`capability_json` gave."""
    rows: list[tuple[str, ...]] = [
        (
            f"{cap['offset']:03x}",
            f"{cap['id']:04x}" if cap["extended"] else f"{cap['id']:02x}",
            capability_title(cap),
        )
        for cap in caps
    ]
    return ("AT", "ID", "CAPABILITY"), rows
