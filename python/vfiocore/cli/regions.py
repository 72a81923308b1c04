# SPDX-License-Identifier: MIT
"""Arguments that ``vfio read`` and ``vfio write`` have in common."""

from __future__ import annotations

import argparse

from .output import device, number

__all__ = ["add_place", "region", "region_name"]

# Indices of a PCI device's regions (linux/vfio.h).
_NAMES = {**{f"bar{i}": i for i in range(6)}, "rom": 6, "config": 7, "vga": 8}


def region(text: str) -> int:
    """An argument's type: a region's name or index."""
    index = _NAMES.get(text.lower())
    if index is not None:
        return index
    try:
        return number(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither {', '.join(_NAMES)} nor an index"
        ) from None


def region_name(index: int) -> str:
    """The name for an index, or ``region 9``."""
    return next((name for name, i in _NAMES.items() if i == index), f"region {index}")


def add_place(parser: argparse.ArgumentParser) -> None:
    """The device, the region, the offset and the width."""
    parser.add_argument(
        "device", type=device, metavar="DEVICE", help="PCI address, UUID or the like"
    )
    parser.add_argument(
        "region", type=region, metavar="REGION", help="bar0 to bar5, rom, config, vga or an index"
    )
    parser.add_argument(
        "offset", type=number, metavar="OFFSET", help="in bytes, a multiple of the width"
    )
    parser.add_argument(
        "-w",
        "--width",
        type=int,
        choices=(8, 16, 32, 64),
        default=32,
        help="bits of each access, default: %(default)s",
    )
