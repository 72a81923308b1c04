# SPDX-License-Identifier: MIT
"""``vfio config``: a device's PCI config space, decoded.

Source of the header's layout: PCI Local Bus 3.0 section 6.1; PCI-to-PCI Bridge 1.2 section 3.2.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

from .capabilities import capability_json, capability_rows, walk
from .classes import class_name
from .output import (
    CliError,
    add_json,
    bdf,
    hex_rows,
    is_fake,
    paint,
    print_fields,
    print_json,
    print_table,
    rule,
)
from .sysfs import device_dir, is_vfio_driver

if TYPE_CHECKING:
    from vfiocore import Capability

HELP = "decode a device's PCI config space"

EPILOG = """\
examples:
  vfio config 01:00.0
  vfio config 01:00.0 -x        with a hex dump
  vfio config 01:00.0 --json

A device bound to a VFIO driver is read through VFIO, any other through sysfs, where only root
sees more than the first 64 bytes.
"""


class _Field(NamedTuple):
    name: str
    offset: int
    width: int
    bits: dict[int, str] | None = None


_COMMAND = {0: "io", 1: "memory", 2: "master", 6: "parity", 8: "serr", 10: "intx-off"}
_STATUS = {
    3: "intx",
    4: "capabilities",
    8: "parity-error",
    11: "target-abort-sent",
    12: "target-abort",
    13: "master-abort",
    14: "serr",
    15: "parity",
}

_HEADER = (
    _Field("vendor", 0x00, 2),
    _Field("device", 0x02, 2),
    _Field("command", 0x04, 2, _COMMAND),
    _Field("status", 0x06, 2, _STATUS),
    _Field("revision", 0x08, 1),
    _Field("class", 0x09, 3),
    _Field("cache_line_size", 0x0C, 1),
    _Field("latency_timer", 0x0D, 1),
    _Field("header_type", 0x0E, 1),
    _Field("bist", 0x0F, 1),
)
_ENDPOINT = (
    *(_Field(f"bar{i}", 0x10 + 4 * i, 4) for i in range(6)),
    _Field("subsystem_vendor", 0x2C, 2),
    _Field("subsystem_device", 0x2E, 2),
    _Field("rom", 0x30, 4),
)
_BRIDGE = (
    _Field("bar0", 0x10, 4),
    _Field("bar1", 0x14, 4),
    _Field("primary_bus", 0x18, 1),
    _Field("secondary_bus", 0x19, 1),
    _Field("subordinate_bus", 0x1A, 1),
    _Field("secondary_status", 0x1E, 2, _STATUS),
    _Field("memory_base", 0x20, 2),
    _Field("memory_limit", 0x22, 2),
    _Field("rom", 0x38, 4),
    _Field("bridge_control", 0x3E, 2),
)
_INTERRUPT = (_Field("interrupt_line", 0x3C, 1), _Field("interrupt_pin", 0x3D, 1))


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument("-x", "--hex", action="store_true", help="add a hex dump of all bytes")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    name, source, space, caps = _read(args.device)
    fields = _decode(space)
    if args.json:
        document = {
            "name": name,
            "source": source,
            "length": len(space),
            "header": {field.name: value for field, value in fields},
            "capabilities": [capability_json(cap) for cap in caps],
        }
        print_json(document | ({"bytes": space.hex()} if args.hex else {}))
        return 0
    print(f"{rule(name)}  {class_name(dict_of(fields)['class'])}, {len(space)} bytes via {source}")
    print_fields(_shown_fields(fields))
    _print_caps(caps, len(space))
    if args.hex:
        print(f"\n{rule('bytes')}")
        for row in hex_rows(space):
            print(f"  {row}")
    return 0


def dict_of(fields: list[tuple[_Field, int]]) -> dict[str, int]:
    """Header values by name."""
    return {field.name: value for field, value in fields}


def _read(device: str) -> tuple[str, str, bytes, list[Capability]]:
    """Name, source, bytes and capabilities."""
    import vfiocore
    from vfiocore import pci

    name = device
    if not is_fake(device):
        info = pci.info(device)
        name = info.name
        if not is_vfio_driver(info.driver):
            space = _from_sysfs(name)
            return name, "sysfs", space, walk(space)
    with vfiocore.open(name) as opened:
        config = opened.config
        space = bytes(config.read_block(0, config.length))
        return name, f"VFIO ({opened.transport})", space, config.capabilities()


def _from_sysfs(name: str) -> bytes:
    space = (device_dir(name) / "config").read_bytes()
    if len(space) < 64:
        raise CliError(f"{name}: sysfs gave only {len(space)} bytes of config space")
    return space


def _decode(space: bytes) -> list[tuple[_Field, int]]:
    bridge = space[0x0E] & 0x7F == 1
    fields = _HEADER + (_BRIDGE if bridge else _ENDPOINT) + _INTERRUPT
    return [
        (field, int.from_bytes(space[field.offset : field.offset + field.width], "little"))
        for field in sorted(fields, key=lambda field: field.offset)
    ]


def _shown_fields(fields: list[tuple[_Field, int]]) -> list[tuple[str, str]]:
    shown, upper = [], False
    for field, value in fields:
        is_bar = field.name.startswith("bar")
        notes = "upper half" if upper else _notes(field, value)
        shown.append((field.name, f"{value:0{2 * field.width}x}".ljust(10) + notes))
        upper = is_bar and not upper and value & 7 == 4
    return shown


def _notes(field: _Field, value: int) -> str:
    if field.bits:
        return " ".join(name for bit, name in field.bits.items() if value >> bit & 1)
    if field.name == "class":
        return class_name(value)
    if field.name == "header_type":
        kind = "bridge" if value & 0x7F == 1 else "endpoint"
        return kind + (", multi-function" if value & 0x80 else "")
    if field.name == "interrupt_pin":
        return f"INT{'ABCD'[value - 1]}" if 1 <= value <= 4 else "none"
    return _bar_kind(value) if field.name.startswith("bar") and value else ""


def _bar_kind(value: int) -> str:
    if value & 1:
        return "I/O ports"
    kind = {0: "memory, 32 bits", 4: "memory, 64 bits"}.get(value & 6, "")
    return kind + (", prefetchable" if value & 8 else "")


def _print_caps(caps: list[Any], length: int) -> None:
    print(f"\n{rule('capabilities')}")
    if caps:
        print_table(*capability_rows([capability_json(cap) for cap in caps]), indent=2)
    elif length <= 64:
        print(f"  {paint('not readable: only root sees more than 64 bytes in sysfs', 'yellow')}")
    else:
        print(f"  {paint('none', 'dim')}")
