# SPDX-License-Identifier: MIT
"""Whether the host needs a PCI device right now: routes, mounts, swap."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/route.h
_RTF_UP = 1


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def default_routes(proc: str) -> list[str]:
    """Interfaces of default routes, of IPv4 (net/route) and IPv6 (net/ipv6_route)."""
    found = []
    for line in _lines(f"{proc}/net/route")[1:]:
        field = line.split()
        if len(field) > 7 and field[1] == field[7] == "00000000" and int(field[3], 16) & _RTF_UP:
            found.append(field[0])
    for line in _lines(f"{proc}/net/ipv6_route"):
        field = line.split()
        # The kernel's "unreachable" default route hangs on lo.
        if len(field) > 9 and field[0] == "0" * 32 and field[1] == "00" and field[9] != "lo":
            found.append(field[9])
    return list(dict.fromkeys(found))


def _unescape(text: str) -> str:
    """mounts and swaps write a space as \\040 and so on."""
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def used_blocks(proc: str) -> Iterator[tuple[str, str]]:
    """(kernel name of a block device, what it is used for)."""
    for line in _lines(f"{proc}/self/mounts"):
        field = line.split()
        if len(field) > 1 and field[0].startswith("/dev/"):
            node = os.path.realpath(_unescape(field[0]))
            yield os.path.basename(node), f"is mounted on {_unescape(field[1])}"
    for line in _lines(f"{proc}/swaps")[1:]:
        field = line.split()
        if field and field[0].startswith("/dev/"):
            yield os.path.basename(os.path.realpath(_unescape(field[0]))), "is swap"


def _children(directory: str, prefix: str = "") -> list[str]:
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory)
                if name.startswith(prefix)]  # fmt: skip
    except OSError:
        return []


def _physical(path: str, below: str, seen: set[str]) -> Iterator[str]:
    """The sysfs directories of the hardware that ``path`` stands on.

    ``below`` is how a stacked device names what it stands on: links lower_* of an interface,
    entries of slaves/ of a block device.
    """
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    yield real
    under = _children(real, "lower_") if below == "lower_" else _children(f"{real}/slaves")
    if os.path.basename(os.path.dirname(real)).startswith("nvme-subsys"):
        # A multipath namespace belongs to the subsystem, which links to its controllers.
        under += [path for path in _children(os.path.dirname(real), "nvme") if os.path.islink(path)]
    for child in under:
        yield from _physical(child, below, seen)


def _stands_on(path: str, below: str, device: str) -> bool:
    return any(f"{real}/".startswith(f"{device}/") for real in _physical(path, below, set()))


def in_use(name: str, sysfs: str | None, proc: str) -> str | None:
    """See :func:`vfiocore.pci.in_use`."""
    root = sysfs or os.environ.get("VFIOCORE_SYSFS") or "/sys"
    device = os.path.realpath(f"{root}/bus/pci/devices/{name}")
    for interface in default_routes(proc):
        if _stands_on(f"{root}/class/net/{interface}", "lower_", device):
            return f"the default route goes through it, by {interface}"
    for block, purpose in used_blocks(proc):
        if _stands_on(f"{root}/class/block/{block}", "slaves", device):
            return f"its disk {block} {purpose}"
    return None
