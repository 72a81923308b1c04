# SPDX-License-Identifier: MIT
"""``vfio read``: registers of a device."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .opening import add_token, open_device
from .output import CliError, add_json, number, plural, print_json
from .regions import add_place, region_name

HELP = "read registers of a device"

EPILOG = """\
examples:
  vfio read 01:00.0 bar0 0x8              one 32-bit register
  vfio read 01:00.0 bar0 0x5400 -n 2      two, one after the other
  vfio read 01:00.0 config 0 -w 16
  vfio read 01:00.0 bar0 8 --json | jq .values[0]

Each value is one access of exactly that width. Opening a device resets it, so what it had in its
registers before may be gone.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "-n", "--count", type=number, default=1, help="how many values, default: %(default)s"
    )
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if not args.count:
        raise CliError("a count of 0 reads nothing", status=2)
    step = args.width // 8
    offsets = range(args.offset, args.offset + args.count * step, step)
    with open_device(args) as device:
        region = device.region(args.region)
        if args.count > 1 and offsets.stop > region.length:
            # Before the first access: reading may have side effects.
            raise CliError(
                f"{plural(args.count, 'value')} of {args.width} bits from {args.offset:#x} on run "
                f"past the end of {region_name(args.region)}, which has {region.length:#x} bytes"
            )
        values = [region.read(offset, step) for offset in offsets]
    if args.json:
        print_json(
            {
                "name": args.device,
                "region": region_name(args.region),
                "offset": args.offset,
                "width": args.width,
                "values": values,
            }
        )
        return 0
    for line in _lines(values, args.offset, args.width):
        print(line)
    return 0


def _lines(values: Sequence[int], offset: int, width: int) -> list[str]:
    digits = width // 4
    if len(values) == 1:
        return [f"0x{values[0]:0{digits}x}"]
    step = width // 8
    per_row = 16 // step
    places = max(3, len(f"{offset + (len(values) - 1) * step:x}"))
    return [
        f"{offset + at * step:0{places}x}: "
        + " ".join(f"{value:0{digits}x}" for value in values[at : at + per_row])
        for at in range(0, len(values), per_row)
    ]
