# SPDX-License-Identifier: MIT
"""What the verbs conclude from sysfs: who has a device, and whether VFIO could open it."""

from __future__ import annotations

import os

from vfiocore._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vfiocore.bus import BusInfo
    from vfiocore.pci import PciInfo

__all__ = [
    "Obstacle",
    "blockers",
    "device_dir",
    "group_members",
    "is_noiommu",
    "is_vfio_driver",
    "mode_allows",
    "node_obstacles",
    "nodes",
    "obstacles",
    "root",
    "state",
]

# Replaced by tests.
DEV = "/dev"

# Host drivers that do no DMA of their own, so the kernel lets them share a group with VFIO:
# those with .driver_managed_dma in drivers/pci.
_HARMLESS = frozenset({"pcieport", "pci-stub"})


class Obstacle(Record):
    """Why a device cannot be opened, and what to do about it."""

    problem: str
    cure: str


def _root() -> str:
    return os.environ.get("VFIOCORE_SYSFS") or "/sys"


def root() -> Path:
    """Where sysfs is mounted; ``VFIOCORE_SYSFS`` replaces it in tests."""
    from pathlib import Path  # 6 ms, which `vfio list` does without

    return Path(_root())


def device_dir(name: str) -> Path:
    """The directory of a PCI device."""
    return root() / "bus/pci/devices" / name


def is_vfio_driver(driver: str) -> bool:
    """vfio-pci and its variants for certain devices, as mlx5_vfio_pci."""
    return "vfio" in driver


def is_noiommu(group: int) -> bool:
    """Whether a group was made up by VFIO for a device that no IOMMU translates for."""
    try:
        with open(f"{_root()}/kernel/iommu_groups/{group}/name", encoding="ascii") as file:
            name = file.read().strip()
        # Groups of mediated devices have this name, too, but they are in class/vfio under theirs.
        return name == "vfio-noiommu" and not os.path.exists(f"{_root()}/class/vfio/{group}")
    except OSError:
        return False


def _names_noiommu() -> bool:
    return os.environ.get("VFIOCORE_TRANSPORT", "").startswith("noiommu")


def blockers(members: Iterable[PciInfo]) -> list[PciInfo]:
    """Those of a group's devices whose host driver keeps VFIO from owning the group."""
    return [
        member
        for member in members
        if member.driver and not is_vfio_driver(member.driver) and member.driver not in _HARMLESS
    ]


def group_members(info: PciInfo) -> list[PciInfo]:
    """All devices of the device's group, itself included."""
    from vfiocore import pci

    if info.iommu_group < 0:
        return [info]
    return [pci.info(name) for name in pci.group(info.iommu_group)]


def state(info: PciInfo, members: Sequence[PciInfo]) -> str:
    """One word: ready, blocked, unsafe (bound to VFIO); host, unbound, no-iommu (not bound)."""
    if is_vfio_driver(info.driver):
        if info.iommu_group >= 0 and is_noiommu(info.iommu_group):
            return "unsafe"
        return "blocked" if blockers(members) else "ready"
    if info.iommu_group < 0:
        return "no-iommu"
    return "host" if info.driver else "unbound"


def nodes(info: PciInfo | BusInfo) -> list[Path]:
    """The device nodes by which VFIO may offer the device, whether they exist or not."""
    from pathlib import Path

    found = []
    if info.iommu_group >= 0:
        prefix = "noiommu-" if is_noiommu(info.iommu_group) else ""
        found.append(Path(DEV) / "vfio" / f"{prefix}{info.iommu_group}")
    if info.vfio_cdev:
        found.append(Path(DEV) / "vfio/devices" / info.vfio_cdev)
    return found


def obstacles(info: PciInfo, members: Sequence[PciInfo]) -> list[Obstacle]:
    """What keeps the device from being opened, as far as is known."""
    found = []
    if info.iommu_group < 0:
        found.append(Obstacle("no IOMMU translates for it", "turn the IOMMU on: see `vfio doctor`"))
    elif is_noiommu(info.iommu_group) and not _names_noiommu():
        found.append(
            Obstacle(
                "no IOMMU translates for it: it could reach all memory",
                "turn the IOMMU on: see `vfio doctor`; or, if you trust the device,\n"
                "VFIOCORE_TRANSPORT=noiommu",
            )
        )
    if not is_vfio_driver(info.driver):
        what = f"it is bound to {info.driver}" if info.driver else "it is bound to no driver"
        found.append(Obstacle(what, f"sudo vfio bind {info.name}"))
    found += [
        Obstacle(
            f"{member.name} of group {info.iommu_group} is bound to {member.driver}",
            f"sudo vfio bind {member.name}, or unbind it from {member.driver}",
        )
        for member in blockers(members)
        if member.name != info.name
    ]
    # There is no node to look at before the device is bound.
    return found or node_obstacles(info)


def node_obstacles(info: PciInfo | BusInfo) -> list[Obstacle]:
    """Why the nodes by which VFIO offers the device cannot be opened."""
    present = [node for node in nodes(info) if node.exists()]
    if not present:
        names = " or ".join(str(node) for node in nodes(info))
        return [Obstacle(f"{names} does not exist", "modprobe vfio-pci, then bind it again")]
    if any(os.access(node, os.R_OK | os.W_OK) for node in present):
        return []
    if mode_allows(present[0]):
        return [
            Obstacle(
                f"{present[0]} may not be opened though its mode allows it: the device rules of "
                "the container or service forbid it",
                f"docker run --device {present[0]} ...; DeviceAllow={present[0]} rw in a unit",
            )
        ]
    return [
        Obstacle(
            f"{present[0]} may not be opened by this user",
            f'sudo vfio bind {info.name} --user "$USER"',
        )
    ]


def mode_allows(node: Path) -> bool:
    """Whether owner and mode of a node let this process read and write. A device cgroup may not."""
    status = node.stat()
    if os.geteuid() in (0, status.st_uid):
        return os.geteuid() == 0 or status.st_mode & 0o600 == 0o600
    if status.st_gid in (os.getegid(), *os.getgroups()):
        return status.st_mode & 0o060 == 0o060
    return status.st_mode & 0o006 == 0o006
