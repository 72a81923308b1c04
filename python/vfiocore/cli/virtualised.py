# SPDX-License-Identifier: MIT
"""``vfio config --virtualised``: what the kernel makes of config space."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .opening import open_device
from .output import CliError, is_fake, plural, print_json, print_table, rule

if TYPE_CHECKING:
    from vfiocore.config import ConfigSpace
    from vfiocore.registers import RegisterValue
    from vfiocore.virtualised import Kind, VirtualisedRegister

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """The verb with ``--virtualised``, ``--write-test`` or ``--dry-run``."""
    from vfiocore import pci, virtualised

    if is_fake(args.device):
        raise CliError(f"{args.device} has no hardware behind it to compare with", status=2)
    if args.dry_run:
        return _dry_run(args, pci.config(args.device))
    with open_device(args) as device:
        real = pci.config(device.name)
        found = virtualised.examine(device, write=args.write_test)
    if args.json:
        print_json({"name": args.device, "registers": [_as_json(entry) for entry in found]})
        return 0
    print(f"{rule(args.device)}  what VFIO shows of it, and what it is")
    registers = {
        (s.offset, r.name): r
        for s in (real.header, *real.capabilities)
        for r in s.registers.values()
    }
    _print(found, {r.at: r for r in registers.values()}, args.all)
    return 0


def _dry_run(args: argparse.Namespace, space: ConfigSpace) -> int:
    from vfiocore.virtualised import probes

    found = probes(space)
    if args.json:
        print_json(
            {
                "name": args.device,
                "dry_run": True,
                "writes": [
                    {"structure": name, "register": r.name, "offset": r.at, "mask": mask}
                    for name, r, mask in found
                ],
            }
        )
        return 0
    print(f"would flip bits of {plural(len(found), 'register')} of {args.device}, and restore them")
    rows = [(f"{r.at:03x}", name, r.name, f"{mask:0{2 * r.size}x}") for name, r, mask in found]
    print_table(("AT", "STRUCTURE", "REGISTER", "BITS"), rows, indent=2)
    return 0


def _as_json(entry: VirtualisedRegister) -> dict[str, Any]:
    kinds = {kind.value: mask for kind, mask in entry.kinds.items()}
    return entry.as_dict() | {"kinds": kinds}


def _print(
    found: list[VirtualisedRegister], registers: dict[int, RegisterValue], everything: bool
) -> None:
    from vfiocore.virtualised import Kind

    rows = []
    for entry in found:
        if not everything and entry.kinds.keys() == {Kind.SAME}:
            continue
        digits = 2 * entry.size
        shown = "-" if Kind.HIDDEN in entry.kinds else f"{entry.vfio:0{digits}x}"
        words = _words(entry, registers[entry.at], everything)
        real = f"{entry.hardware:0{digits}x}"
        rows.append((f"{entry.at:03x}", entry.structure, entry.name, shown, real, words))
    if rows:
        header = ("AT", "STRUCTURE", "REGISTER", "VFIO", "HARDWARE", "THE KERNEL'S PART")
        print_table(header, rows, indent=2)
    else:
        print("  all reads alike")


def _words(entry: VirtualisedRegister, register: RegisterValue, everything: bool) -> str:
    from vfiocore.virtualised import Kind

    fields = entry.field_kinds(register)
    shown: dict[Kind, int] = {
        kind: mask for kind, mask in entry.kinds.items() if everything or kind is not Kind.SAME
    }
    if len(entry.kinds) == 1 or not fields:
        return "; ".join(
            kind.value + ("" if len(entry.kinds) == 1 else f" {mask:#x}")
            for kind, mask in shown.items()
        )
    return "; ".join(
        f"{kind.value}: {' '.join(fields.get(kind, [f'{mask:#x}']))}"
        for kind, mask in shown.items()
    )
