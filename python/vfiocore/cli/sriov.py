# SPDX-License-Identifier: MIT
"""``vfio sriov``: show, make and remove the virtual functions of a device."""

from __future__ import annotations

import argparse

from .bind import owner
from .opening import add_token, open_device, token
from .output import CliError, add_json, at_least, bdf, print_json
from .sysfs import device_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vfiocore.pci import PciInfo

HELP = "show, make and remove a device's virtual functions (SR-IOV)"

EPILOG = """\
examples:
  vfio sriov 01:00.0                       show them
  sudo vfio sriov 01:00.0 --vfs 2 --user "$USER" --token $(uuidgen)
  sudo vfio sriov 01:00.0 --vfs 0          remove them
  vfio sriov 01:00.0 --vfs 2 --dry-run

Virtual functions are bound to vfio-pci. Where the physical one is, too, they are opened with the
token that was set last: --vf-token of the other verbs, vfiocore.open(BDF, vf_token=...).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", type=bdf, metavar="BDF", help="the physical function's address")
    parser.add_argument(
        "--vfs", type=at_least(0, int), metavar="N", help="how many to have; 0 removes them"
    )
    parser.add_argument(
        "--user", metavar="NAME[:GROUP]", type=owner, help="give their nodes to this user"
    )
    parser.add_argument(
        "--token", metavar="UUID", type=token, help="open the device, and set their token"
    )
    add_token(parser)
    parser.add_argument("--force", action="store_true", help="remove them even if in use")
    parser.add_argument("--dry-run", action="store_true", help="show the steps, change nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vfiocore import pci

    before = pci.info(args.device)
    if not before.sriov_total:
        raise CliError(
            f"{before.name} is a virtual function of {before.physfn}"
            if before.physfn
            else f"{before.name} has no SR-IOV capability",
            hint="`vfio list` shows what there is",
        )
    if not args.dry_run:
        _change(before, args)
    after = pci.info(before.name)
    if args.json:
        print_json(_as_json(before, after, args))
    elif args.dry_run:
        print("\n".join([f"{before.name}: would run", *(f"  {x}" for x in _steps(before, args))]))
    else:
        _print(after)
    return 0


def _change(info: PciInfo, args: argparse.Namespace) -> None:
    from vfiocore import sriov

    if args.token is not None:
        _set_token(args)
    if args.vfs == 0:
        if not args.force:
            _refuse_used(info.name)
        sriov.disable(info.name)
    elif args.vfs is not None:
        uid, gid = args.user or (-1, -1)
        sriov.enable(info.name, args.vfs, uid=uid, gid=gid)


def _set_token(args: argparse.Namespace) -> None:
    import vfiocore

    with open_device(args) as device:
        vfiocore.sriov.set_token(device, args.token)


def _refuse_used(name: str) -> None:
    from vfiocore import pci, sriov

    for function in sriov.functions(name):
        reason = pci.in_use(function)
        if reason:
            raise CliError(
                f"{function} is in use: {reason}",
                hint="stop using it first, or remove it nevertheless with --force",
            )


def _steps(info: PciInfo, args: argparse.Namespace) -> list[str]:
    steps = []
    if args.token is not None:
        steps.append(f"open {info.name}, and set the token of its virtual functions")
    if args.vfs is not None and args.vfs != info.sriov_count:
        steps.append(f"echo {args.vfs} > {device_dir(info.name)}/sriov_numvfs")
    if args.vfs:
        whose = f", and give their nodes to {args.user[0]}" if args.user else ""
        steps.append(f"bind each to vfio-pci, where the kernel does not{whose}")
    return steps or ["nothing"]


def _functions(name: str) -> list[PciInfo]:
    from vfiocore import pci, sriov

    return [pci.info(function) for function in sriov.functions(name)]


def _as_json(before: PciInfo, after: PciInfo, args: argparse.Namespace) -> dict[str, object]:
    steps = {"steps": _steps(before, args)} if args.dry_run else {}
    return {
        "name": after.name,
        "driver": after.driver,
        "total": after.sriov_total,
        "count": after.sriov_count,
        "changed": after.sriov_count != before.sriov_count,
        "dry_run": args.dry_run,
        "functions": [
            {"name": vf.name, "driver": vf.driver, "iommu_group": vf.iommu_group}
            for vf in _functions(after.name)
        ],
        **steps,
    }


def _print(info: PciInfo) -> None:
    driver = f"bound to {info.driver}" if info.driver else "bound to no driver"
    print(f"{info.name}: {info.sriov_count} of {info.sriov_total} virtual functions, {driver}")
    for vf in _functions(info.name):
        group = vf.iommu_group if vf.iommu_group >= 0 else "none"
        print(f"  {vf.name}  group {group}  {vf.driver or 'no driver'}")
