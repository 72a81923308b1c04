# SPDX-License-Identifier: MIT
"""PCI config space: its registers through VFIO, and copies of it with all structures decoded."""

from __future__ import annotations

from ._native.call import check
from ._native.enums import RegionIndex
from ._native.loader import lib
from ._native.structs import PciCap
from ._record import Record
from .errors import Malformed
from .layouts.names import EXTENDED_NAMES, STANDARD_NAMES
from .region import Region
from .registers import Structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .device import Device
    from .registers import View
    from .vpd import Vpd

__all__ = [
    "COMMAND",
    "COMMAND_BUS_MASTER",
    "Capability",
    "Config",
    "ConfigSpace",
    "DecodedCapability",
    "capability_name",
]

# PCI Local Bus 3.0 section 6.1 (figure 6-1) and 6.2.
VENDOR = 0x00
DEVICE = 0x02
COMMAND = 0x04
STATUS = 0x06
REVISION = 0x08
CLASS_CODE = 0x08  # the upper 24 bits of this dword

CONVENTIONAL = 256  # bytes, without the extended space

COMMAND_MEMORY = 1 << 1
COMMAND_BUS_MASTER = 1 << 2


def capability_name(id: int, extended: bool = False) -> str:
    """The specification's name of a capability; ``"0x7f"`` when it has none."""
    return (EXTENDED_NAMES if extended else STANDARD_NAMES).get(id, f"{id:#04x}")


class Capability(Record):
    """A capability structure: its id, where it starts in config space (bytes), its version (an
    extended one's; 0 else), and whether it is an extended one."""

    id: int
    offset: int
    version: int
    extended: bool

    @property
    def name(self) -> str:
        """The specification's name, such as ``"MSI-X"``."""
        return capability_name(self.id, self.extended)


class DecodedCapability(Structure):
    """A capability with what stands in it: ``space.find(0x10).link_status.speed``.

    Attributes:
        capability: the :class:`Capability`.
        id: its id.
    """

    def __init__(self, capability: Capability, view: View) -> None:
        from .layouts import layout_of

        layout = layout_of(capability.id, capability.extended)
        super().__init__(capability.name, capability.offset, layout.decode(view))
        self.capability = capability
        self.id = capability.id


class ConfigSpace:
    """A copy of a function's config space, decoded.

    Get one from ``device.config.snapshot()``, or without VFIO from :func:`vfiocore.pci.config`.

    Args:
        data: 64 bytes (the header alone, which is what sysfs shows to ordinary users), 256, or
            4096 with the extended space of PCI Express.

    Attributes:
        data: the bytes.
        header: a :class:`vfiocore.registers.Structure`; its BARs of 64 bits are one register.

    Raises:
        InvalidArgument: the data has less than 64 bytes, or more than 4096.
    """

    def __init__(self, data: bytes) -> None:
        from .layouts.header import HEADER, LENGTH
        from .registers import View

        self.data = bytes(data)
        # First, since it checks the length. A malformed list does not hide the header.
        self._found = _caps_of(self.data)
        view = View(self.data, 0, LENGTH)
        self.header = Structure("header", 0, HEADER.decode(view))

    @property
    def is_header_only(self) -> bool:
        """True when the copy ends before the first capability."""
        return len(self.data) < CONVENTIONAL

    def walk(self) -> list[Capability]:
        """The standard and then the extended capabilities, in the order of their lists.

        Raises:
            Malformed: a list loops, leaves its space or is not aligned, or structures overlap or
                run past the end; the hint has the offset.

        Source: vfc_pci_caps_of() in vfiocore/region.h.
        """
        if isinstance(self._found, Malformed):
            raise self._found
        return [*self._found]

    @property
    def capabilities(self) -> list[DecodedCapability]:
        """All of them, decoded.

        Raises:
            Malformed: as :meth:`walk`; or what a structure says of itself runs past the end.
        """
        return [self._decode(capability) for capability in self.walk()]

    def find(self, id: int, extended: bool = False) -> DecodedCapability | None:
        """The first capability of that id, decoded, or None.

        Raises:
            Malformed: as :attr:`capabilities`.
        """
        for capability in self.walk():
            if capability.id == id and capability.extended is extended:
                return self._decode(capability)
        return None

    def windows(self) -> dict[str, tuple[int, int] | None]:
        """What a PCI bridge forwards: first and last address of ``io``, ``memory`` and
        ``prefetch``, or None of a window that is shut. Empty for what is no bridge."""
        from .layouts.header import windows

        return windows(self.header)

    def _decode(self, capability: Capability) -> DecodedCapability:
        from .registers import View

        express = next((c.offset for c in self.walk() if (c.id, c.extended) == (0x10, False)), None)
        end = len(self.data) if capability.extended else CONVENTIONAL
        return DecodedCapability(capability, View(self.data, capability.offset, end, express))


def _caps_of(data: bytes) -> list[Capability] | Malformed:
    try:
        return _walk(lambda caps, room: lib.vfc_pci_caps_of(data, len(data), caps, room))
    except Malformed as error:
        return error


def _walk(function: Callable[[Any, int], int]) -> list[Capability]:
    count = check(function(None, 0))
    caps = (PciCap * count)()
    # A list that grew in between is cut: the device is not trusted to keep it.
    count = min(count, check(function(caps, count)))
    return [Capability(cap.id, cap.offset, cap.version, bool(cap.extended)) for cap in caps[:count]]


class Config(Region):
    """A device's config space: ``device.config``.

    A write goes through the kernel, which keeps some registers (BARs, MSI) for itself.
    """

    def __init__(self, device: Device) -> None:
        super().__init__(device, RegionIndex.CONFIG)

    @property
    def vendor(self) -> int:
        """Vendor ID, 16 bits; 0xffff when the device is gone."""
        return self.read16(VENDOR)

    @property
    def device(self) -> int:
        """Device ID, 16 bits."""
        return self.read16(DEVICE)

    @property
    def command(self) -> int:
        """Command register, 16 bits (PCI Local Bus 3.0 section 6.2.2)."""
        return self.read16(COMMAND)

    @command.setter
    def command(self, value: int) -> None:
        self.write16(COMMAND, value)

    @property
    def status(self) -> int:
        """Status register, 16 bits (PCI Local Bus 3.0 section 6.2.3)."""
        return self.read16(STATUS)

    @property
    def class_code(self) -> int:
        """Base class, subclass and programming interface, 24 bits."""
        return self.read32(CLASS_CODE) >> 8

    @property
    def revision(self) -> int:
        """Revision ID, 8 bits."""
        return self.read8(REVISION)

    def capabilities(self) -> list[Capability]:
        """The standard and then the extended capabilities, in the order of their lists.

        Raises:
            Malformed: a list loops, leaves its space or is not aligned, or structures overlap or
                run past the end; the hint has the offset.

        Source: vfc_pci_caps() in vfiocore/region.h.
        """
        handle = self._device._native()
        return _walk(lambda caps, room: lib.vfc_pci_caps(handle, caps, room))

    def snapshot(self) -> ConfigSpace:
        """A copy of all of it as VFIO shows it, with its structures decoded.

        Raises:
            DeviceGone: it answers with all ones.
        """
        data = self.read_block(0, self.length)
        if data[:2] == b"\xff\xff":
            self.capabilities()  # raises, and says so
        return ConfigSpace(data)

    def find(self, id: int, extended: bool = False) -> Capability | None:
        """The first capability of that id, or None.

        Raises:
            Malformed: as :meth:`capabilities`.
        """
        for capability in self.capabilities():
            if capability.id == id and capability.extended is extended:
                return capability
        return None

    def vpd(self, timeout: float = 1.0) -> Vpd:
        """The device's vital product data, read by the handshake of its capability.

        Args:
            timeout: seconds that the device may take for each four bytes.

        Raises:
            Unsupported: it has no such capability.
            WaitTimeout: it did not answer.
            Malformed: what it answered is no VPD.
        """
        from .vpd import read

        return read(self, timeout)
