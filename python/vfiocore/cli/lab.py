# SPDX-License-Identifier: MIT
"""``vfio lab``: run a command or tests in a QEMU guest with an IOMMU."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from vfiocore.lab import GuestError, LabError, emulators, guest, machines, qemu

from .output import at_least

HELP = "run a command or tests in a QEMU guest with an IOMMU"

EPILOG = """\
examples:
  vfio lab list                            the machines and their devices
  vfio lab run -- ls /sys/kernel/iommu_groups
  vfio lab run --machine none -- vfio doctor
  vfio lab run --share out -- ./capture out/log
  vfio lab test -n 2 tests/lab             pytest, in two guests

environment:
  VFIOCORE_KERNEL   a bzImage to boot, its modules beside it (or all built in);
                    without it the distribution's kernel package, or for a machine of
                    the kind "built" one from its kernel source, kept in the cache
  VFIOCORE_CACHE    where kernels and QEMU are kept (default ~/.cache/vfiocore); remove it to
                    fetch newer ones
  VFIOCORE_QEMU     the QEMU to run (default qemu-system-x86_64; where it is too old for a
                    machine a newer one is fetched, on Debian)
  VFIOCORE_ACCEL    kvm or tcg, instead of trying KVM once

exit status: the command's own; 255 if the guest failed, 1 if there is nothing to boot
"""

_RUN = """\
examples:
  vfio lab run -- sh -c 'uname -r; id'
  vfio lab run --machine none -- vfio doctor
  vfio lab run --share out --timeout 60 -- ./capture out/log

The command sees the host's files and this directory. Its standard input is empty.
exit status: the command's own; 255 if the guest failed, 1 if there is nothing to boot
"""

_TEST = """\
examples:
  vfio lab test tests/lab
  vfio lab test --machine none -n 2 tests/lab -k doctor

What follows the options is for pytest: `pytest --lab NAME -n N ...` does the same.
"""

_GUEST_FAILED = 255


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="lab_verb", required=True, metavar="list|run|test")
    _configure_list(_add(verbs, "list", "the machines and their devices", ""))
    _configure_run(_add(verbs, "run", "run a command in a guest", _RUN))
    _configure_test(_add(verbs, "test", "run pytest, each worker a guest", _TEST))


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say; the exit status."""
    actions = {"list": _list, "run": _run, "test": _test}
    return actions[args.lab_verb](args)


def _add(verbs: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--machine",
        choices=machines.MACHINES,
        default=machines.DEFAULT,
        metavar="NAME",
        help=f"the machine, default: {machines.DEFAULT}; see vfio lab list",
    )


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _configure_run(parser: argparse.ArgumentParser) -> None:
    _add_machine(parser)
    parser.add_argument(
        "--share",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a directory that the guest may write; everything else it writes is dropped",
    )
    parser.add_argument(
        "--timeout", type=at_least(0), metavar="S", help="limit the command's time, in seconds"
    )
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="QEMU's trace of each device access"
    )
    parser.add_argument("--dry-run", action="store_true", help="print QEMU's command line")
    parser.add_argument("--verbose", action="store_true", help="show the guest's console")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --")


def _configure_test(parser: argparse.ArgumentParser) -> None:
    _add_machine(parser)
    parser.add_argument(
        "-n",
        dest="guests",
        type=at_least(1, int),
        default=1,
        metavar="N",
        help="how many guests, default: %(default)s",
    )
    parser.add_argument("pytest_args", nargs=argparse.REMAINDER, metavar="PYTEST ARGS")


def _list(args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps([_as_dict(m) for m in machines.MACHINES.values()], indent=2))
        return 0
    rows = [("NAME", "KERNEL", "IOMMU", "DEVICES", "DESCRIPTION")]
    for machine in machines.MACHINES.values():
        names = ",".join(device.name for device in machine.devices)
        rows.append((machine.name, machine.kernel, machine.iommu, names, machine.doc))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[4]]))
    return 0


def _as_dict(machine: machines.Machine) -> dict[str, object]:
    devices = [{"name": d.name, "bdf": d.bdf, "doc": d.doc} for d in machine.devices]
    return {
        "name": machine.name,
        "doc": machine.doc,
        "kernel": machine.kernel,
        "iommu": machine.iommu,
        "memory_mib": machine.memory,
        "cpus": machine.cpus,
        "qemu_version": machine.qemu_version and emulators.spelled(machine.qemu_version),
        "devices": devices,
    }


def _run(args: argparse.Namespace) -> int:
    if args.dry_run:
        plan = qemu.plan(machines.find(args.machine), args.share, args.trace)
        print(shlex.join(qemu.dry_run(plan)))
        return 0
    try:
        return guest.run(
            args.machine,
            args.command,
            shares=args.share,
            timeout=args.timeout,
            trace=args.trace,
            verbose=args.verbose,
        )
    except GuestError as error:
        if error.console and not args.verbose:
            print(f"--- the console's last lines ---\n{error.console}\n---", file=sys.stderr)
        print(f"vfio: lab: {error}", file=sys.stderr)
        return _GUEST_FAILED


def _test(args: argparse.Namespace) -> int:
    machines.find(args.machine)
    for needed in ("pytest", "xdist"):
        if importlib.util.find_spec(needed) is None:
            raise LabError(f"{needed} is missing: pip install 'vfiocore[lab]'")
    lab = ["--lab", args.machine, "-n", str(args.guests)]
    return subprocess.call([sys.executable, "-m", "pytest", *lab, *args.pytest_args])
