# SPDX-License-Identifier: MIT
"""``vfio list``: all PCI devices, and what VFIO has on other buses, from sysfs."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

from .classes import class_name
from .output import add_json, paint, print_json, print_table
from .sysfs import is_noiommu, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vfiocore.bus import BusInfo
    from vfiocore.pci import PciInfo

HELP = "list PCI devices, what VFIO could do with them, and what else it has"

EPILOG = """\
examples:
  vfio list
  vfio list -d 8086:            all devices by Intel
  vfio list --driver vfio-pci   what is bound to VFIO
  vfio list --json | jq -r '.[] | select(.state == "ready") | .name'

the column VFIO:
  ready     bound to a VFIO driver, and so is its group: it can be opened
  blocked   bound to a VFIO driver, but another device of its group is held by a host driver
  unsafe    bound without an IOMMU: its DMA is not contained
  no IOMMU  nothing translates for it: see `vfio doctor`
  -         not bound to a VFIO driver

Devices of other buses (mediated, platform) come last, if VFIO has them (Linux 6.1).
"""

_SHOWN = {
    "ready": ("ready", "green"),
    "blocked": ("blocked", "yellow"),
    "unsafe": ("unsafe", "red"),
    "no-iommu": ("no IOMMU", "dim"),
    "host": ("-", "dim"),
    "unbound": ("-", "dim"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d",
        "--device",
        type=_ids,
        metavar="VENDOR:DEVICE",
        help="only devices with these hexadecimal ids; either may be left out",
    )
    parser.add_argument("--driver", help="only devices bound to this driver")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vfiocore import pci

    devices = pci.devices()
    states = _states(devices)
    chosen = [info for info in devices if _wanted(info, args)]
    others = _others(args)
    if args.json:
        pci_devices = [_as_json(info, states[info.name]) for info in chosen]
        print_json([*pci_devices, *({**info.as_dict(), "state": _word(info)} for info in others)])
    elif chosen or others:
        _print(chosen, states, others)
    else:
        print("vfio: no such PCI device" if devices else "vfio: no PCI devices", file=sys.stderr)
    return 0


def _others(args: argparse.Namespace) -> list[BusInfo]:
    from vfiocore import bus

    if args.device:
        return []
    return [
        info for info in bus.devices() if info.bus != "pci" and args.driver in (None, info.driver)
    ]


def _word(info: BusInfo) -> str:
    return "unsafe" if is_noiommu(info.iommu_group) else "ready"


def _ids(text: str) -> tuple[int | None, int | None]:
    vendor, colon, device = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return (int(vendor, 16) if vendor else None, int(device, 16) if device else None)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not VENDOR:DEVICE such as 8086:10d3 or 8086:"
        ) from None


def _wanted(info: PciInfo, args: argparse.Namespace) -> bool:
    vendor, device = args.device or (None, None)
    return (
        vendor in (None, info.vendor)
        and device in (None, info.device)
        and args.driver in (None, info.driver)
    )


def _states(devices: list[PciInfo]) -> dict[str, str]:
    groups: dict[int, list[PciInfo]] = defaultdict(list)
    for info in devices:
        groups[info.iommu_group].append(info)
    return {
        info.name: state(info, groups[info.iommu_group] if info.iommu_group >= 0 else [info])
        for info in devices
    }


def _as_json(info: PciInfo, word: str) -> dict[str, object]:
    return {
        **info.as_dict(),
        "bus": "pci",
        "class_name": class_name(info.class_code),
        "state": word,
    }


def _print(devices: list[PciInfo], states: dict[str, str], others: list[BusInfo]) -> None:
    rows = []
    for info in devices:
        shown, style = _SHOWN[states[info.name]]
        rows.append(
            (
                info.name,
                f"{info.vendor:04x}:{info.device:04x}",
                info.driver or paint("-", "dim"),
                str(info.iommu_group) if info.iommu_group >= 0 else paint("-", "dim"),
                paint(shown, style),
                class_name(info.class_code),
            )
        )
    for other in others:
        shown, style = _SHOWN[_word(other)]
        group = str(other.iommu_group)
        rows.append((other.name, other.bus, other.driver, group, paint(shown, style), ""))
    print_table(("DEVICE", "ID", "DRIVER", "GROUP", "VFIO", "CLASS"), rows, right=(3,))
