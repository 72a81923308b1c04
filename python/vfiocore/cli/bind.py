# SPDX-License-Identifier: MIT
"""``vfio bind``: hand devices to a VFIO driver."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from .output import add_json, bdf, paint, print_json, report_error
from .sysfs import blockers, device_dir, group_members, is_vfio_driver, nodes, root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vfiocore.pci import PciInfo

HELP = "bind devices to a VFIO driver, remembering the former one"

EPILOG = """\
examples:
  sudo vfio bind 01:00.0
  sudo vfio bind 01:00.0 01:00.1 --user "$USER"
  sudo vfio bind 01:00.0 --group-members
  vfio bind 01:00.0 --dry-run

Only the named devices are touched (driver_override). `vfio unbind` restores the former driver.
A device that the host uses is refused: a disk that is mounted, swap, or has volumes on it; a
network interface that has a route, or that a bridge, bond or VLAN stands on. All devices are bound,
or none.
"""

INTERMIXED = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("devices", type=bdf, nargs="+", metavar="BDF", help="PCI addresses")
    parser.add_argument("--driver", default="vfio-pci", help="default: %(default)s")
    parser.add_argument(
        "--user",
        metavar="NAME[:GROUP]",
        type=owner,
        help="give the device's node to this user, who then needs no root to open it",
    )
    parser.add_argument(
        "--group-members",
        action="store_true",
        help="also bind those devices of the IOMMU group that host drivers hold",
    )
    parser.add_argument("--force", action="store_true", help="even if the host uses the device")
    parser.add_argument("--dry-run", action="store_true", help="show the steps, change nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    devices = chosen(args.devices, args.group_members)
    check_all(devices, args.driver, force=args.force)
    if args.dry_run:
        return _show_steps(devices, args)
    bind_all(devices, args.driver, args.user, force=args.force)
    return _report(devices, args)


def owner(text: str) -> tuple[int, int]:
    """``NAME``, ``NAME:GROUP`` or numbers in their place, as user and group id."""
    import grp
    import pwd

    user, _, group = text.partition(":")
    try:
        uid = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
        if not group:
            return uid, -1
        return uid, int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise argparse.ArgumentTypeError(f"no such user or group: {text!r}") from None


def chosen(names: Sequence[str], with_members: bool) -> list[PciInfo]:
    """The devices, each once; with those of their groups that host drivers hold."""
    from vfiocore import pci

    chosen = {}
    for name in names:
        info = pci.info(name)
        chosen[info.name] = info
        if with_members:
            chosen |= {member.name: member for member in blockers(group_members(info))}
    return list(chosen.values())


def check_all(devices: Sequence[PciInfo], driver: str, *, force: bool = False) -> None:
    """Raise what would keep one of them from being bound, before anything is changed."""
    from vfiocore import pci

    for info in devices:
        pci.bind(info.name, driver=driver, force=force, dry_run=True)


def bind_all(
    devices: Sequence[PciInfo],
    driver: str,
    owner: tuple[int, int] | None = None,
    *,
    force: bool = False,
) -> None:
    """All or none: when one fails, the others have their former drivers and owners again."""
    from vfiocore import pci

    uid, gid = owner or (-1, -1)
    owners = _owners(devices) if owner else {}
    try:
        for info in devices:
            pci.bind(info.name, driver=driver, uid=uid, gid=gid, force=force)
    except BaseException:
        _undo(devices, driver, owners)
        raise


def _owners(devices: Sequence[PciInfo]) -> dict[Path, tuple[int, int]]:
    """Whose the nodes are that exist before anything is bound."""
    found = {}
    for node in {node for info in devices for node in nodes(info)}:
        try:
            status = node.stat()
        except FileNotFoundError:
            continue
        found[node] = (status.st_uid, status.st_gid)
    return found


def _undo(devices: Sequence[PciInfo], driver: str, owners: dict[Path, tuple[int, int]]) -> None:
    """What fails here is told, and the rest is undone nevertheless."""
    from vfiocore import pci

    for info in reversed(devices):
        try:
            # Asked for anew, since a signal may come between a bind and a note of it.
            if info.driver != driver and pci.info(info.name).driver == driver:
                pci.unbind(info.name)
        except OSError as error:
            report_error(error)
    for node, (uid, gid) in owners.items():
        try:
            os.chown(node, uid, gid)
        except OSError as error:
            report_error(error)


def _steps(info: PciInfo, driver: str, owner: tuple[int, int] | None) -> list[str]:
    steps = []
    if info.driver != driver:
        directory = device_dir(info.name)
        steps.append(f"echo {driver} > {directory}/driver_override")
        if info.driver:
            steps.append(f"echo {info.name} > {directory}/driver/unbind")
        steps.append(f"echo {info.name} > {root()}/bus/pci/drivers_probe")
    if owner:
        group = f":{owner[1]}" if owner[1] >= 0 else ""
        steps += [f"chown {owner[0]}{group} {node}" for node in nodes(info)]
    return steps


def _show_steps(devices: list[PciInfo], args: argparse.Namespace) -> int:
    plan = {info.name: _steps(info, args.driver, args.user) for info in devices}
    if args.json:
        print_json({"dry_run": True, "steps": plan})
        return 0
    for name, steps in plan.items():
        print(f"{name}: {'would run' if steps else f'nothing to do, bound to {args.driver}'}")
        for step in steps:
            print(f"  {step}")
    return 0


def _report(before: list[PciInfo], args: argparse.Namespace) -> int:
    results = [_result(info) for info in before]
    if args.json:
        print_json({"dry_run": False, "devices": results})
        return 0
    for result in results:
        _print_result(result)
    return 0


def _result(before: PciInfo) -> dict[str, Any]:
    from vfiocore import pci

    after = pci.info(before.name)
    return {
        "name": after.name,
        "former_driver": before.driver,
        "driver": after.driver,
        "changed": after.driver != before.driver,
        "iommu_group": after.iommu_group,
        "nodes": [str(node) for node in nodes(after) if node.exists()],
        "blocked_by": [
            {"name": member.name, "driver": member.driver}
            for member in (blockers(group_members(after)) if is_vfio_driver(after.driver) else [])
        ],
    }


def _print_result(result: dict[str, Any]) -> None:
    former = result["former_driver"] or "no driver"
    change = f"{former} -> {result['driver']}" if result["changed"] else f"{former}, as before"
    node = next((node for node in result["nodes"]), "")
    mine = f", {node}" if node and os.access(node, os.R_OK | os.W_OK) else ""
    print(f"{result['name']}: {change}, group {result['iommu_group']}{mine}")
    for other in result["blocked_by"]:
        text = f"the group is blocked by {other['name']}, bound to {other['driver']}"
        print(f"  {paint(text, 'yellow')}: vfio bind {other['name']}")
