# SPDX-License-Identifier: MIT
"""``vfio reset``: reset a device's function."""

from __future__ import annotations

import argparse

from .output import add_json, bdf, is_fake, print_json
from .sysfs import device_dir

HELP = "reset a device's function"

EPILOG = """\
examples:
  vfio reset 01:00.0
  vfio reset 01:00.0 --dry-run   show the kernel's ways to reset it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument("--dry-run", action="store_true", help="do not reset the device")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    methods = _methods(args.device)
    if not args.dry_run:
        import vfiocore

        with vfiocore.open(args.device) as device:
            device.reset()
    if args.json:
        print_json({"name": args.device, "dry_run": args.dry_run, "methods": methods})
    elif args.dry_run:
        ways = " ".join(methods) if methods else "no method is known to the kernel"
        print(f"{args.device}: would be reset ({ways})")
    else:
        print(f"{args.device}: reset")
    return 0


def _methods(name: str) -> list[str]:
    """In the order in which the kernel tries them; empty also for a device outside of sysfs."""
    path = device_dir(name) / "reset_method"
    return [] if is_fake(name) or not path.exists() else path.read_text().split()
