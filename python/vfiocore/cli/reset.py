# SPDX-License-Identifier: MIT
"""``vfio reset``: reset a device's function, or its whole slot or bus."""

from __future__ import annotations

import argparse

from .opening import add_token, open_device
from .output import add_json, bdf, is_fake, print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vfiocore import ResetDevice

HELP = "reset a device's function"

EPILOG = """\
examples:
  vfio reset 01:00.0
  vfio reset 01:00.0 --dry-run         show the kernel's ways to reset it
  vfio reset --hot 01:00.0             the slot or bus, with all functions on it
  vfio reset --hot 01:00.0 --dry-run   show which functions that are

A hot reset is refused unless all functions that it hits are ours: bind them to
vfio-pci, and they must be in groups that nobody else has open.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument("--hot", action="store_true", help="reset the slot or bus")
    parser.add_argument("--dry-run", action="store_true", help="do not reset the device")
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vfiocore import pci

    methods = [] if is_fake(args.device) else pci.reset_methods(args.device)
    hit: list[ResetDevice] = []
    if args.hot or not args.dry_run:
        hit = _reset(args)
    if args.json:
        document = {"name": args.device, "dry_run": args.dry_run, "methods": methods}
        devices = {"devices": [device.as_dict() for device in hit]} if args.hot else {}
        print_json({**document, **devices})
    elif args.hot:
        print(f"{args.device}: {'would be hot reset' if args.dry_run else 'hot reset'}, with")
        for device in hit:
            print(f"  {device.name}  group {device.group}{'' if device.owned else '  not ours'}")
    elif args.dry_run:
        ways = " ".join(methods) if methods else "no method is known to the kernel"
        print(f"{args.device}: would be reset ({ways})")
    else:
        print(f"{args.device}: reset")
    return 0


def _reset(args: argparse.Namespace) -> list[ResetDevice]:
    with open_device(args) as device:
        hit = device.hot_reset_info() if args.hot else []
        if args.hot and not args.dry_run:
            device.hot_reset()
        elif not args.dry_run:
            device.reset()
    return hit
