# SPDX-License-Identifier: MIT
"""``vfio unbind``: give devices back."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .output import add_json, bdf, print_json, report_error
from .sysfs import device_dir, root

if TYPE_CHECKING:
    from vfiocore.pci import PciInfo

HELP = "give devices back to the driver that they had"

EPILOG = """\
examples:
  sudo vfio unbind 01:00.0
  vfio unbind 01:00.0 --dry-run

A device that has a VFIO driver, but not from `vfio bind`, goes to whatever driver the kernel
chooses. One that a driver of the host's has is refused, as is one that the host uses.
"""

INTERMIXED = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("devices", type=bdf, nargs="+", metavar="BDF", help="PCI addresses")
    parser.add_argument(
        "--force",
        action="store_true",
        help="even if a driver of the host's has it, or the host uses it",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the steps, change nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vfiocore import pci

    devices = [pci.info(name) for name in args.devices]
    if args.dry_run:
        return _show_steps(devices, args)
    results = [_unbind(before, args.force) for before in devices]
    if args.json:
        print_json({"dry_run": False, "devices": results})
    else:
        for result in results:
            if not result["error"]:
                print("{name}: {former_driver} -> {driver}".format(**_worded(result)))
    return 1 if any(result["error"] for result in results) else 0


def _try(name: str, force: bool, dry_run: bool = False) -> str | None:
    """What is wrong is told and returned: the other devices are still to be given back."""
    from vfiocore import pci

    try:
        pci.unbind(name, force=force, dry_run=dry_run)
    except OSError as error:
        report_error(error)
        return str(error)
    return None


def _unbind(before: PciInfo, force: bool) -> dict[str, str | None]:
    from vfiocore import pci

    problem = _try(before.name, force)
    after = pci.info(before.name)
    return {
        "name": after.name,
        "former_driver": before.driver,
        "driver": after.driver,
        "error": problem,
    }


def _worded(result: dict[str, str | None]) -> dict[str, str]:
    return {key: value or "no driver" for key, value in result.items()}


def remembered(name: str) -> str | None:
    """The driver that a bind displaced, "none" if there was none; None if nothing is known."""
    state = Path(os.environ.get("VFIOCORE_STATE") or "/run/vfiocore")
    try:
        return (state / name).read_text().strip()
    except OSError:
        return None


def _steps(info: PciInfo) -> list[str]:
    directory, former = device_dir(info.name), remembered(info.name)
    steps = [f"echo > {directory}/driver_override"]
    if info.driver:
        steps.append(f"echo {info.name} > {directory}/driver/unbind")
    if former != "none":
        expected = f"   # expected: {former}" if former else ""
        steps.append(f"echo {info.name} > {root()}/bus/pci/drivers_probe{expected}")
    return steps


def _show_steps(devices: list[PciInfo], args: argparse.Namespace) -> int:
    problems = {info.name: _try(info.name, args.force, dry_run=True) for info in devices}
    refused = {name: problem for name, problem in problems.items() if problem}
    plan = {info.name: _steps(info) for info in devices if info.name not in refused}
    if args.json:
        print_json({"dry_run": True, "steps": plan, "refused": refused})
    else:
        for name, steps in plan.items():
            print(f"{name}: would run")
            for step in steps:
                print(f"  {step}")
    return 1 if refused else 0
