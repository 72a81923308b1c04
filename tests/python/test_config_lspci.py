# SPDX-License-Identifier: MIT
"""Fabricated config spaces: each field that lspci tells equals ours.

lspci reads dumps, so this covers what no emulated device has.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated_config import BRIDGE, CARDBUS, EXTENDED, Fabricated, with_extended

import lspci_fields
from vfiocore.config import ConfigSpace

ROUNDS = 8


def compared(spaces: list[bytes], folder: Path, fields: int, count: int) -> None:
    """At least so many different fields, and so many in all: a test that grows hollow fails."""
    result = lspci_fields.Comparison()
    for number, space in enumerate(spaces):
        path = lspci_fields.dump(space, folder / f"{number}.txt")
        (sections,) = lspci_fields.run("-F", str(path)).values()
        lspci_fields.compare(ConfigSpace(space), sections, result)
    assert not result.different, "\n".join(result.different)
    assert len(result.fields) >= fields
    assert result.count >= count


def _standard(seed: int) -> list[bytes]:
    first, second, third = (Fabricated(100 * seed + n) for n in range(3))
    for id in (0x01, 0x05, 0x11, 0x07, 0x12, 0x13, 0x0D, 0x0A, 0x04):
        first.standard(id)
    for id in (0x02, 0x06, 0x0B, 0x0C, 0x0F, 0x15):
        second.standard(id)
    for command in (b"\x02\xa8", b"\x03\xa8", b"\x45\x88"):
        third.standard(0x08, command + third.random.randbytes(8))
    third.standard(0x08, third.random.randbytes(1) + b"\x10" + third.random.randbytes(24))
    third.standard(0x08, third.random.randbytes(1) + b"\x30" + third.random.randbytes(24))
    return [made.bytes() for made in (first, second, third)]


def test_standard_capabilities(tmp_path: Path) -> None:
    spaces = [space for seed in range(ROUNDS) for space in _standard(seed)]
    compared(spaces, tmp_path, 190, 2000)


@pytest.mark.parametrize(
    ("port", "fields"),
    [(0, 145), (1, 145), (4, 190), (5, 145), (6, 180), (7, 145), (8, 145), (9, 95), (10, 100)],
)
def test_express(port: int, fields: int, tmp_path: Path) -> None:
    spaces = []
    for seed in range(ROUNDS):
        made = Fabricated(seed, BRIDGE if port in (4, 5, 6, 7, 8) else 0)
        made.express(port, 1 + seed % 2, slot=bool(seed & 2) and port in (4, 6))
        spaces.append(made.bytes())
    compared(spaces, tmp_path, fields, 600)


@pytest.mark.parametrize("port", [0, 4])
def test_extended_capabilities(port: int, tmp_path: Path) -> None:
    ids = [id for id in EXTENDED if id != 0x08]
    spaces = [with_extended(seed, ids, port) for seed in range(ROUNDS)]
    compared(spaces, tmp_path, 390, 2900)


@pytest.mark.parametrize("kind", [BRIDGE, CARDBUS])
def test_bridges(kind: int, tmp_path: Path) -> None:
    spaces = []
    for seed in range(ROUNDS):
        made = Fabricated(seed, kind)
        if kind == BRIDGE:
            made.standard(0x07)
        made.standard(0x01)
        spaces.append(made.bytes())
    compared(spaces, tmp_path, 45, 350)


def test_virtio(tmp_path: Path) -> None:
    spaces = []
    for seed in range(ROUNDS):
        made = Fabricated(seed, vendor=0x1AF4)
        made.space[0x0A:0x0C] = b"\x00\x02"
        made.space[2:4] = b"\x41\x10"
        made.space[8] = 1
        for kind in (1, 2, 3, 4):
            made.standard(0x09, bytes([20, kind, seed % 6, 0, 0, 0]) + made.random.randbytes(12))
        spaces.append(made.bytes())
    compared(spaces, tmp_path, 55, 450)
