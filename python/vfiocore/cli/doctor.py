# SPDX-License-Identifier: MIT
"""``vfio doctor``: what stops VFIO on this machine, in the order in which to cure it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from .checks import FAILED, OK, WARNING, Check, System, check_all
from .output import add_json, bdf, paint, plural, print_json

HELP = "explain what stops VFIO on this machine, and the cure"

EPILOG = """\
examples:
  vfio doctor
  vfio doctor 01:00.0          this device too
  vfio doctor --json | jq -r '.checks[] | select(.status == "failed") | .cure'

Run it as the user who is going to use the device: permissions and limits are that user's.
Exit status: 0 when nothing failed (there may be warnings), 1 when something did.
"""

_STYLES = {OK: "green", WARNING: "yellow", FAILED: "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", nargs="?", help="also check this device")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    checks = list(check_all(System.of_this_machine(), args.device))
    failed = sum(check.status == FAILED for check in checks)
    if args.json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    return 1 if failed else 0


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = paint(check.status.ljust(len(WARNING)), _STYLES[check.status], "bold")
        print(f"{mark}  {check.name.ljust(width)}  {check.detail}")
        if check.cure:
            first, *rest = check.cure.split("\n")
            margin = " " * (len(WARNING) + 2)
            print(f"{margin}{'cure:'.rjust(width)}  {first}")
            for line in rest:
                print(f"{margin}{' ' * width}  {line}")
    print(_summary(checks))
    sys.stdout.flush()


def _summary(checks: list[Check]) -> str:
    failed = sum(check.status == FAILED for check in checks)
    warned = sum(check.status == WARNING for check in checks)
    if failed:
        # Later failures often follow from earlier ones: one at a time is the quickest way.
        return paint(
            f"\n{plural(failed, 'check')} failed: cure the first, then run this again", "red"
        )
    if warned:
        return paint(f"\nVFIO can work here, with {plural(warned, 'warning')}", "yellow")
    return paint("\nVFIO can work here", "green")
