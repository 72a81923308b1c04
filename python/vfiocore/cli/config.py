# SPDX-License-Identifier: MIT
"""``vfio config``: a device's PCI config space, decoded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .capabilities import capability_json, capability_title
from .classes import class_name
from .opening import add_token, open_device
from .output import (
    add_json,
    bdf,
    hex_rows,
    human_size,
    is_fake,
    paint,
    print_json,
    print_table,
    rule,
)
from .sysfs import is_vfio_driver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vfiocore.config import ConfigSpace, DecodedCapability
    from vfiocore.registers import FieldValue, RegisterValue

HELP = "decode a device's PCI config space"

EPILOG = """\
examples:
  vfio config 01:00.0
  vfio config 01:00.0 -a        every field, those that are off or zero too
  vfio config 01:00.0 -x        with a hex dump
  vfio config 01:00.0 --json
  vfio config 01:00.0 --virtualised               what the kernel shows in place of the hardware
  vfio config 01:00.0 --virtualised --write-test  and what becomes of writes

A device bound to a VFIO driver is read through VFIO, any other through sysfs, where only root
sees more than the first 64 bytes. --write-test flips bits of registers where that does no harm
while nobody uses the device, and puts each back at once.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument("-a", "--all", action="store_true", help="show every register and field")
    parser.add_argument("-x", "--hex", action="store_true", help="add a hex dump of all bytes")
    parser.add_argument("--sysfs", action="store_true", help="read sysfs even where VFIO could be")
    parser.add_argument(
        "--virtualised",
        action="store_true",
        help="compare what VFIO shows with what sysfs shows, bit by bit",
    )
    parser.add_argument(
        "--write-test",
        action="store_true",
        help="with --virtualised: find out by writing, restoring each register",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --write-test: only say what would be written"
    )
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.virtualised or args.write_test or args.dry_run:
        from .virtualised import run as run_virtualised

        return run_virtualised(args)
    name, source, space, sizes = _read(args)
    capabilities = space.capabilities
    if args.json:
        print_json(_as_json(name, source, space, sizes) | _hex(args, space))
        return 0
    title = class_name(space.header.registers["class"].raw)
    print(f"{rule(name)}  {title}, {len(space.data)} bytes via {source}")
    _print_registers(space.header.registers.values(), args.all, _notes(space, sizes))
    for capability in capabilities:
        title = capability_title(capability_json(capability.capability))
        print(f"\n{rule(f'{capability.offset:03x}')}  {title}")
        _print_registers(capability.registers.values(), args.all)
    if space.is_header_only:
        text = "capabilities are not readable: only root sees more than 64 bytes in sysfs"
        print(f"\n{paint(text, 'yellow')}")
    elif not capabilities:
        print(f"\n{paint('no capabilities', 'dim')}")
    if args.hex:
        print(f"\n{rule('bytes')}")
        for row in hex_rows(space.data):
            print(f"  {row}")
    return 0


def _read(args: argparse.Namespace) -> tuple[str, str, ConfigSpace, dict[str, int]]:
    """Name, source, config space, and the sizes of BARs and ROM in bytes."""
    from vfiocore import pci

    name = args.device
    if not is_fake(name):
        info = pci.info(name)
        name = info.name
        if args.sysfs or not is_vfio_driver(info.driver):
            found = {f"bar{n}": bar.size for n, bar in enumerate(info.bars)}
            return name, "sysfs", pci.config(name), found | {"rom": info.rom_size}
    with open_device(args) as opened:
        found = {f"bar{n}": bar.length for n, bar in enumerate(opened.bars)}
        found["rom"] = opened.rom.length
        return name, f"VFIO ({opened.transport})", opened.config.snapshot(), found


def _as_json(name: str, source: str, space: ConfigSpace, sizes: dict[str, int]) -> dict[str, Any]:
    header = space.header.registers
    return {
        "name": name,
        "source": source,
        "length": len(space.data),
        "header_only": space.is_header_only,
        "header": {key: register.raw for key, register in header.items()},
        "registers": {key: register.as_dict() for key, register in header.items()},
        "sizes": {key: size for key, size in sizes.items() if size},
        "windows": space.windows(),
        "capabilities": [_capability(capability) for capability in space.capabilities],
    }


def _capability(capability: DecodedCapability) -> dict[str, Any]:
    registers = {key: register.as_dict() for key, register in capability.registers.items()}
    return capability_json(capability.capability) | {"registers": registers}


def _hex(args: argparse.Namespace, space: ConfigSpace) -> dict[str, str]:
    return {"bytes": space.data.hex()} if args.hex else {}


# --- for people ---------------------------------------------------------------------------------


def _notes(space: ConfigSpace, sizes: dict[str, int]) -> dict[str, str]:
    """What is known beside a register's own bits."""
    notes = {"class": class_name(space.header.registers["class"].raw)}
    notes |= {key: human_size(size) for key, size in sizes.items() if size}
    for window, pair in space.windows().items():
        text = f"forwards {pair[0]:#x} to {pair[1]:#x}" if pair else "forwards nothing"
        notes[f"{window}_base"] = text
    return notes


def _print_registers(
    registers: Iterable[RegisterValue], everything: bool, notes: dict[str, str] | None = None
) -> None:
    rows = []
    for register in registers:
        shown = (f for f in register.fields.values() if everything or f.raw or f.has_words)
        words = [_say(field) for field in shown]
        note = (notes or {}).get(register.name)
        raw = f"{register.raw:0{2 * register.size}x}"
        text = ", ".join([*words, *([note] if note else [])])
        rows.append((f"{register.at:03x}", register.name, raw, text))
    if rows:
        print_table(("AT", "REGISTER", "VALUE", "MEANING"), rows, indent=2)


def _say(field: FieldValue) -> str:
    name = field.field.name
    if field.is_flag:
        return paint(name, "green") if field.raw else paint(f"no {name}", "dim")
    return f"{name} {field.text}"
