# SPDX-License-Identifier: MIT
"""``vfio info``: everything about one device."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .capabilities import capability_json, capability_rows
from .classes import class_name
from .opening import add_token, open_device
from .output import (
    add_json,
    describe_error,
    device,
    human_size,
    is_fake,
    is_pci,
    paint,
    print_fields,
    print_json,
    print_table,
    rule,
)
from .sysfs import Obstacle, device_dir, group_members, node_obstacles, nodes, obstacles, state

if TYPE_CHECKING:
    from vfiocore import Device
    from vfiocore.bus import BusInfo
    from vfiocore.pci import PciBar, PciInfo

HELP = "show all about one device, and whether it can be opened"

EPILOG = """\
examples:
  vfio info 01:00.0
  vfio info 0000:01:00.0 --json
  vfio info 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001   a mediated device
  vfio info 01:00.0 --no-open   do not open the device to look inside

A device that can be opened is opened for a moment to show its regions and capabilities.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "device", type=device, metavar="DEVICE", help="PCI address, UUID or the like"
    )
    parser.add_argument("--no-open", action="store_true", help="only look at sysfs")
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if not (is_fake(args.device) or is_pci(args.device)):
        return _other(args)
    host = None if is_fake(args.device) else _from_sysfs(args.device)
    found = host["obstacles"] if host else []
    inside, skipped = _look_inside(args, found)
    if args.json:
        print_json(_as_json(args.device, host, inside, skipped))
        return 0
    if host:
        _print_host(host)
    else:
        print(rule(args.device))
    _print_inside(args.device, inside, skipped)
    return 0


def _other(args: argparse.Namespace) -> int:
    """A device of another bus than PCI, of which sysfs tells little."""
    from vfiocore import bus

    info = bus.info(args.device)
    found = node_obstacles(info)
    inside, skipped = _look_inside(args, found)
    if args.json:
        about = {"nodes": [str(node) for node in nodes(info)], "openable": not found}
        obstacles = [{"problem": o.problem, "cure": o.cure} for o in found]
        result = info.as_dict() | about | {"obstacles": obstacles}
        print_json(result | {"opened": inside, "not_opened": skipped or None})
        return 0
    print(f"{rule(info.name)}  on the bus {info.bus}")
    print_fields(_bus_fields(info, found))
    _print_inside(info.name, inside, skipped)
    return 0


def _bus_fields(info: BusInfo, found: Sequence[Obstacle]) -> list[tuple[str, str]]:
    none = paint("none", "dim")
    return [
        ("driver", info.driver or none),
        ("IOMMU group", str(info.iommu_group) if info.iommu_group >= 0 else none),
        ("can be opened", _verdict(found)),
    ]


def _from_sysfs(name: str) -> dict[str, Any]:
    from vfiocore import pci

    info = pci.info(name)
    members = group_members(info)
    return {
        "info": info,
        "members": members,
        "obstacles": obstacles(info, members),
        "in_use": pci.in_use(info.name),
        "reset": _reset_methods(info.name),
    }


def _reset_methods(name: str) -> list[str]:
    """The kernel's ways to reset the function; the attribute is absent when there is none."""
    try:
        return (device_dir(name) / "reset_method").read_text().split()
    except OSError:
        return []


def _look_inside(
    args: argparse.Namespace, found: Sequence[Obstacle]
) -> tuple[dict[str, Any] | None, str]:
    """What only an open device tells, or None and the reason why it was not opened."""
    from vfiocore.errors import VfioError

    if args.no_open:
        return None, "--no-open was given"
    if found:
        return None, found[0].problem
    try:
        with open_device(args) as device:
            return _describe(device), ""
    except VfioError as error:
        return None, describe_error(error)[0]


def _describe(device: Device) -> dict[str, Any]:
    pci = device.kind.name == "PCI"
    return {
        "transport": device.transport,
        "group": device.group,
        "kind": device.kind.name.lower(),
        **(_identity(device) if pci else {}),
        "regions": [
            {
                "index": region.index,
                "name": region.name.lower(),
                "length": region.length,
                "readable": bool(region.flags & 1),
                "writable": bool(region.flags & 2),
                "mappable": region.mappable,
            }
            for region in device.regions
            if region.length
        ],
        "interrupts": [{"name": info.name, "vectors": info.count} for info in device.irq_types],
        "capabilities": [capability_json(c) for c in device.config.capabilities()] if pci else [],
    }


def _identity(device: Device) -> dict[str, Any]:
    return {
        "vendor": device.config.vendor,
        "device": device.config.device,
        "class_code": device.config.class_code,
    }


def _as_json(
    name: str, host: dict[str, Any] | None, inside: dict[str, Any] | None, skipped: str
) -> dict[str, Any]:
    result: dict[str, Any] = {"name": name}
    if host:
        info: PciInfo = host["info"]
        result |= info.as_dict() | {
            "class_name": class_name(info.class_code),
            "state": state(info, host["members"]),
            "group_members": [
                {"name": member.name, "driver": member.driver} for member in host["members"]
            ],
            "nodes": [str(node) for node in nodes(info)],
            "reset_methods": host["reset"],
            "in_use": host["in_use"],
            "openable": not host["obstacles"],
            "obstacles": [{"problem": o.problem, "cure": o.cure} for o in host["obstacles"]],
        }
    return result | {"opened": inside, "not_opened": skipped or None}


# --- for people ---------------------------------------------------------------------------------


def _print_host(host: dict[str, Any]) -> None:
    info: PciInfo = host["info"]
    print(f"{rule(info.name)}  {class_name(info.class_code)} {info.vendor:04x}:{info.device:04x}")
    print_fields(_fields(info, host))
    if len(host["members"]) > 1:
        _print_group(info, host["members"])
    _print_bars(info)


def _fields(info: PciInfo, host: dict[str, Any]) -> list[tuple[str, str]]:
    none = paint("none", "dim")
    pairs = [
        ("subsystem", f"{info.subsystem_vendor:04x}:{info.subsystem_device:04x}"),
        ("class", f"{info.class_code:06x}, revision {info.revision:02x}"),
        ("driver", info.driver or none),
        ("IOMMU", info.iommu or none),
        ("IOMMU group", str(info.iommu_group) if info.iommu_group >= 0 else none),
        ("NUMA node", str(info.numa_node) if info.numa_node >= 0 else none),
        ("reset", " ".join(host["reset"]) or none),
    ]
    if info.driver_override:
        pairs.insert(3, ("driver override", info.driver_override))
    if info.sriov_total:
        pairs.append(("SR-IOV", _virtual_functions(info)))
    if info.physfn:
        pairs.append(("virtual function of", info.physfn))
    if host["in_use"]:
        pairs.append(("in use", paint(host["in_use"], "yellow")))
    pairs.append(("can be opened", _verdict(host["obstacles"])))
    return pairs


def _virtual_functions(info: PciInfo) -> str:
    from vfiocore import sriov

    names = ", ".join(sriov.functions(info.name))
    count = f"{info.sriov_count} of {info.sriov_total} virtual functions"
    return f"{count}: {names}" if names else count


def _verdict(found: Sequence[Obstacle]) -> str:
    if not found:
        return paint("yes", "green")
    lines = [paint("no", "red")]
    for obstacle in found:
        lines += [paint(obstacle.problem, "yellow"), f"  cure: {obstacle.cure}"]
    return "\n".join(lines)


def _print_group(info: PciInfo, members: Sequence[PciInfo]) -> None:
    print(f"\n{rule(f'group {info.iommu_group}')}")
    rows = [
        (
            member.name,
            member.driver or paint("-", "dim"),
            class_name(member.class_code) + (" (this one)" if member.name == info.name else ""),
        )
        for member in members
    ]
    print_table(("DEVICE", "DRIVER", "CLASS"), rows, indent=2)


def _print_bars(info: PciInfo) -> None:
    rows = [
        (f"bar{index}", f"{bar.address:#x}", human_size(bar.size), _kind(bar))
        for index, bar in enumerate(info.bars)
        if bar.size
    ]
    if info.rom_size:
        rows.append(("rom", "", human_size(info.rom_size), "expansion ROM"))
    if rows:
        print(f"\n{rule('resources')}")
        print_table(("NAME", "ADDRESS", "SIZE", "KIND"), rows, right=(1, 2), indent=2)


def _kind(bar: PciBar) -> str:
    from vfiocore.pci import BarFlag

    if BarFlag.IO in bar.flags:
        return "I/O ports"
    width = "memory, 64 bits" if BarFlag.WIDE in bar.flags else "memory, 32 bits"
    return width + (", prefetchable" if BarFlag.PREFETCH in bar.flags else "")


def _print_inside(name: str, inside: dict[str, Any] | None, skipped: str) -> None:
    if inside is None:
        print(f"\n{paint(f'regions and capabilities not shown: {skipped}', 'dim')}")
        return
    group = f", IOMMU group {inside['group']}" if inside["group"] >= 0 else ""
    kind = "" if inside["kind"] == "pci" else f"  {inside['kind']} device,"
    print(f"\n{rule('regions')}{kind}  by the transport {inside['transport']}{group}")
    rows = [
        (
            region["name"],
            str(region["index"]),
            human_size(region["length"]),
            ("r" if region["readable"] else "-") + ("w" if region["writable"] else "-"),
            "yes" if region["mappable"] else "no",
        )
        for region in inside["regions"]
    ]
    print_table(("NAME", "INDEX", "LENGTH", "ACCESS", "MAPPABLE"), rows, right=(1, 2), indent=2)
    vectors = [f"{kind['name']} {kind['vectors']}" for kind in inside["interrupts"]]
    print(f"\n{rule('interrupts')}  {', '.join(vectors)}")
    if inside["capabilities"]:
        print(f"\n{rule('capabilities')}")
        print_table(*capability_rows(inside["capabilities"]), indent=2)
