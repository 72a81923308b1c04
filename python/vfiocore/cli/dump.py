# SPDX-License-Identifier: MIT
"""``vfio dump``: the bytes of a region."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .opening import add_token, open_device
from .output import add_json, bdf, hex_rows, human_size, number, print_json, print_table, rule
from .regions import region, region_name

if TYPE_CHECKING:
    from vfiocore.rom import RomImage

HELP = "dump a region of a device: its ROM, config space or memory"

EPILOG = """\
examples:
  vfio dump 01:00.0 rom --output card.rom     and say which images are in it
  vfio dump 01:00.0 config
  vfio dump 01:00.0 bar0 --offset 0x100 --length 0x40

The kernel chooses the width of the accesses: use `vfio read` for registers. A ROM is readable
while the device decodes memory; its enable bit need not be set, the kernel does that.
"""

_ROM = 6


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument(
        "region", type=region, metavar="REGION", help="bar0 to bar5, rom, config, vga or an index"
    )
    parser.add_argument(
        "--offset", type=number, default=0, metavar="BYTES", help="where to begin; default: 0"
    )
    parser.add_argument(
        "--length", type=number, metavar="BYTES", help="how much; default: to the end"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the bytes to a file")
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_device(args) as device:
        source = device.region(args.region)
        length = max(source.length - args.offset, 0) if args.length is None else args.length
        data = source.read_block(args.offset, length)
    whole_rom = args.region == _ROM and not args.offset
    found, problem = _images(data) if whole_rom else ([], "")
    if args.output:
        with open(args.output, "wb") as file:
            file.write(data)
    if args.json:
        document = {
            "name": args.device,
            "region": region_name(args.region),
            "offset": args.offset,
            "length": len(data),
            "output": args.output,
        }
        document |= {"images": [_as_json(image) for image in found], "problem": problem or None}
        print_json(document | ({} if args.output else {"bytes": data.hex()}))
        return 0
    if args.output:
        place = f"{region_name(args.region)} of {args.device}"
        print(f"{human_size(len(data))} of {place} written to {args.output}")
    else:
        for row in hex_rows(data, args.offset):
            print(row)
    _print_images(found, problem)
    return 0


def _images(data: bytes) -> tuple[list[RomImage], str]:
    """The ROM's images, or why there are none."""
    from vfiocore import Malformed
    from vfiocore.rom import images

    try:
        return images(data), ""
    except Malformed as error:
        return [], error.hint


def _as_json(image: RomImage) -> dict[str, Any]:
    return image.as_dict() | {"code": image.code}


def _print_images(found: list[RomImage], problem: str) -> None:
    if problem:
        print(problem)
    if not found:
        return
    print(f"{rule('images')}")
    rows = [
        (
            f"{image.offset:05x}",
            human_size(image.length),
            f"{image.vendor:04x}:{image.device:04x}",
            f"{image.class_code:06x}",
            image.code,
        )
        for image in found
    ]
    print_table(("AT", "LENGTH", "DEVICE", "CLASS", "CODE"), rows, right=(1,), indent=2)
