# SPDX-License-Identifier: MIT
"""What the kernel makes of config space between a VFIO user and the hardware, bit by bit.

VFIO shows a copy that the kernel keeps beside the hardware's registers (vfio_pci_config.c). sysfs
shows the hardware's. Comparing the two tells what is hidden or shown otherwise; where a write ends
up is found by writing.
"""

from __future__ import annotations

from enum import Enum
from errno import EACCES, EIO

from ._record import Record
from .config import ConfigSpace
from .errors import PermissionDenied, Reason, VfioError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .device import Device
    from .registers import RegisterValue, Structure

__all__ = ["Kind", "VirtualisedRegister", "examine", "probes"]


class Kind(Enum):
    """What the kernel does with a bit.

    The first four are found by writing, ``VIRTUALISED`` also without.
    """

    THROUGH = "passed through"  # reads and writes are the hardware's
    READ_ONLY = "read-only"  # a write changes neither
    EMULATED = "emulated"  # a write changes what VFIO shows, not the hardware
    VIRTUALISED = "virtualised"  # VFIO shows something else than the hardware has
    HIDDEN = "hidden"  # of a capability that VFIO leaves out
    SAME = "same"  # reads alike; was not written


class VirtualisedRegister(Record):
    """A register as both sides show it.

    ``structure`` is ``"header"`` or a capability's name; ``at`` an offset in bytes; ``vfio`` and
    ``hardware`` the values (``vfio`` is 0 of a hidden one); ``kinds`` has a mask of bits for each
    :class:`Kind` that occurs.
    """

    structure: str
    name: str
    at: int
    size: int
    vfio: int
    hardware: int
    kinds: dict[Kind, int]

    def field_kinds(self, register: RegisterValue) -> dict[Kind, list[str]]:
        """For each kind the fields of ``register`` that have bits of it."""
        names: dict[Kind, list[str]] = {}
        for value in register.fields.values():
            mask = (1 << value.field.width) - 1 << value.field.low
            for kind, bits in self.kinds.items():
                if bits & mask:
                    names.setdefault(kind, []).append(value.field.name)
        return names


# Bits that may be flipped for a moment while nobody uses the device. Not here: what resets,
# changes the power state, turns interrupts on, retrains the link, or is cleared by writing ones.
_BAR = 0xFFFFFFFF_FFFFFFFF
_PROBES: dict[tuple[str, str], int] = {
    ("header", "command"): 0x0547,
    ("header", "cache_line_size"): 0xFF,
    ("header", "latency_timer"): 0xFF,
    **{("header", f"bar{n}"): _BAR for n in range(6)},
    ("header", "rom"): 0xFFFFF801,
    ("header", "subsystem_vendor"): 0xFFFF,
    ("header", "interrupt_line"): 0xFF,
    ("header", "interrupt_pin"): 0xFF,
    ("Power Management", "control"): 0x0100,
    ("MSI", "control"): 0x0070,
    ("MSI", "address"): 0xFFFFFFFF_FFFFFFFC,
    ("MSI", "data"): 0xFFFF,
    ("MSI-X", "control"): 0x4000,
    ("MSI-X", "table"): 0xFFFFFFFF,
    ("PCI Express", "device_control"): 0x193F,
    ("PCI Express", "link_control"): 0x00C0,
    ("PCI Express", "device_control2"): 0x0010,
    ("Advanced Error Reporting", "uncorrectable_mask"): 0x07FFF030,
    ("Advanced Error Reporting", "uncorrectable_severity"): 0x07FFF030,
    ("Advanced Error Reporting", "correctable_mask"): 0x0000F1C1,
    ("Device Serial Number", "serial"): 0xFFFFFFFF_FFFFFFFF,
}


def _structures(space: ConfigSpace) -> Iterator[Structure]:
    yield space.header
    yield from space.capabilities


def probes(space: ConfigSpace) -> list[tuple[str, RegisterValue, int]]:
    """What a write test of this config space flips: structure, register, mask."""
    found = []
    for structure in _structures(space):
        for register in structure.registers.values():
            mask = _PROBES.get((structure.name, register.name), 0)
            mask &= (1 << 8 * register.size) - 1
            if mask:
                found.append((structure.name, register, mask))
    return found


def examine(
    device: Device, write: bool = False, hardware: Callable[[], ConfigSpace] | None = None
) -> list[VirtualisedRegister]:
    """Every register of the header and of the hardware's capabilities, with what the kernel does.

    Args:
        write: flip the bits of :func:`probes` one register after the other, and put each back at
            once. Memory decoding and bus mastering are among them: only while nobody uses the
            device.
        hardware: what gives the hardware's config space; default: sysfs.

    Raises:
        PermissionDenied: sysfs shows the header alone to this user.
        VfioError: EIO when a register did not take its former value back.
        Malformed: one of the lists.
    """
    from . import pci

    look = hardware or (lambda: pci.config(device.name))
    real, shown = look(), device.config.snapshot()
    if real.is_header_only:
        text = f"{device.name}: sysfs shows only root more than 64 bytes of config space"
        raise PermissionDenied(EACCES, text, reason=Reason.PERMISSION, hint=text)
    found = [*_compare(shown, real)]
    if not write:
        return found
    masks = {(name, r.at): mask for name, r, mask in probes(shown)}
    return [_tested(device, entry, masks, look) for entry in found]


def _compare(shown: ConfigSpace, real: ConfigSpace) -> Iterator[VirtualisedRegister]:
    visible = {(c.id, c.extended, c.offset) for c in shown.walk()}
    for structure in _structures(real):
        capability = getattr(structure, "capability", None)
        hidden = capability is not None and (
            (capability.id, capability.extended, capability.offset) not in visible
        )
        for register in structure.registers.values():
            data = shown.data[register.at : register.at + register.size]
            vfio = 0 if hidden else int.from_bytes(data, "little")
            kinds = _kinds(register, vfio, hidden)
            yield VirtualisedRegister(
                structure.name, register.name, register.at, register.size, vfio, register.raw, kinds
            )


def _kinds(register: RegisterValue, vfio: int, hidden: bool) -> dict[Kind, int]:
    every = (1 << 8 * register.size) - 1
    if hidden:
        return {Kind.HIDDEN: every}
    differs = vfio ^ register.raw
    return _present({Kind.VIRTUALISED: differs, Kind.SAME: every & ~differs})


def _present(kinds: dict[Kind, int]) -> dict[Kind, int]:
    return {kind: mask for kind, mask in kinds.items() if mask}


def _tested(
    device: Device,
    entry: VirtualisedRegister,
    masks: dict[tuple[str, int], int],
    look: Callable[[], ConfigSpace],
) -> VirtualisedRegister:
    mask = masks.get((entry.structure, entry.at), 0)
    if not mask or Kind.HIDDEN in entry.kinds:
        return entry
    by_vfio, by_hardware = _flip(device, entry, mask, look)
    every = (1 << 8 * entry.size) - 1
    moved = by_vfio | by_hardware
    differs = (entry.vfio ^ entry.hardware) & ~(by_vfio & mask)
    kinds = {
        Kind.THROUGH: mask & by_vfio & by_hardware,
        Kind.EMULATED: mask & by_vfio & ~by_hardware,
        Kind.VIRTUALISED: differs | mask & by_hardware & ~by_vfio,
        Kind.READ_ONLY: mask & ~moved & ~differs,
        Kind.SAME: every & ~mask & ~differs,
    }
    return VirtualisedRegister(**entry.__dict__ | {"kinds": _present(kinds)})


def _flip(
    device: Device, entry: VirtualisedRegister, mask: int, look: Callable[[], ConfigSpace]
) -> tuple[int, int]:
    """The bits that changed on both sides when those in ``mask`` were written the other way."""
    before, real = _read(device, entry), _number(look().data, entry)
    try:
        _write(device, entry, before ^ mask)
        by_vfio = _read(device, entry) ^ before
        by_hardware = _number(look().data, entry) ^ real
    finally:
        _write(device, entry, before)
    if (_read(device, entry), _number(look().data, entry)) != (before, real):
        text = (
            f"{device.name}: {entry.structure} {entry.name} at {entry.at:#x} did not take its "
            f"former value {before:#x} back: reset the device"
        )
        raise VfioError(EIO, text, object=device.name, hint=text)
    return by_vfio, by_hardware


def _number(data: bytes, entry: VirtualisedRegister) -> int:
    return int.from_bytes(data[entry.at : entry.at + entry.size], "little")


def _read(device: Device, entry: VirtualisedRegister) -> int:
    return int.from_bytes(device.config.read_block(entry.at, entry.size), "little")


def _write(device: Device, entry: VirtualisedRegister, value: int) -> None:
    # Config accesses have at most 32 bits.
    for at in range(0, entry.size, 4):
        width = min(entry.size - at, 4)
        part = value >> 8 * at & (1 << 8 * width) - 1
        device.config.write(entry.at + at, width, part)
