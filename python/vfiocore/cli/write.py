# SPDX-License-Identifier: MIT
"""``vfio write``: one register of a device."""

from __future__ import annotations

import argparse

from .opening import add_token, open_device
from .output import CliError, add_json, number, print_json
from .regions import add_place, region_name

HELP = "write a register of a device"

EPILOG = """\
examples:
  vfio write 01:00.0 bar0 0x0 0x40
  vfio write 01:00.0 bar0 0x38 0x8100 --read-back
  vfio write 01:00.0 config 0x0c 16 -w 8 --dry-run

The kernel resets a device that can be reset when it is opened and when it is closed, so a value
does not outlive the command: use the Python package for more than one access.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("value", type=number, metavar="VALUE", help="what to write")
    parser.add_argument(
        "-r", "--read-back", action="store_true", help="read it again and show the value"
    )
    parser.add_argument("--dry-run", action="store_true", help="do not open the device")
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.value >> args.width:
        raise CliError(f"{args.value:#x} does not fit into {args.width} bits", status=2)
    now = None if args.dry_run else _write(args)
    digits = args.width // 4
    if args.json:
        print_json(
            {
                "name": args.device,
                "region": region_name(args.region),
                "offset": args.offset,
                "width": args.width,
                "value": args.value,
                "dry_run": args.dry_run,
                "read_back": now,
            }
        )
    elif args.dry_run:
        place = f"{region_name(args.region)} + {args.offset:#x} of {args.device}"
        print(f"would write 0x{args.value:0{digits}x} ({args.width} bits) to {place}")
    elif now is not None:
        print(f"0x{now:0{digits}x}")
    return 0


def _write(args: argparse.Namespace) -> int | None:

    with open_device(args) as device:
        region = device.region(args.region)
        region.write(args.offset, args.width // 8, args.value)
        return region.read(args.offset, args.width // 8) if args.read_back else None
