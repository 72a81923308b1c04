# SPDX-License-Identifier: MIT
"""PCI config space: the header's registers and the capability lists."""

from __future__ import annotations

from ._native.call import check
from ._native.enums import RegionIndex
from ._native.loader import lib
from ._native.structs import PciCap
from ._record import Record
from .region import Region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device

__all__ = ["COMMAND", "COMMAND_BUS_MASTER", "Capability", "Config", "capability_name"]

# PCI Local Bus 3.0 section 6.1 (figure 6-1) and 6.2.
VENDOR = 0x00
DEVICE = 0x02
COMMAND = 0x04
STATUS = 0x06
REVISION = 0x08
CLASS_CODE = 0x08  # the upper 24 bits of this dword

COMMAND_MEMORY = 1 << 1
COMMAND_BUS_MASTER = 1 << 2

# PCI Code and ID Assignment Specification 1.16, section 2.
STANDARD_NAMES = {
    0x01: "Power Management",
    0x02: "AGP",
    0x03: "Vital Product Data",
    0x04: "Slot Identification",
    0x05: "MSI",
    0x06: "CompactPCI Hot Swap",
    0x07: "PCI-X",
    0x08: "HyperTransport",
    0x09: "Vendor Specific",
    0x0A: "Debug Port",
    0x0B: "CompactPCI Resource Control",
    0x0C: "PCI Hot-Plug",
    0x0D: "Subsystem Vendor ID",
    0x0E: "AGP 8x",
    0x0F: "Secure Device",
    0x10: "PCI Express",
    0x11: "MSI-X",
    0x12: "SATA Configuration",
    0x13: "Advanced Features",
    0x14: "Enhanced Allocation",
    0x15: "Flattening Portal Bridge",
}

# The same document, section 3.
EXTENDED_NAMES = {
    0x00: "Null",
    0x01: "Advanced Error Reporting",
    0x02: "Virtual Channel",
    0x03: "Device Serial Number",
    0x04: "Power Budgeting",
    0x05: "Root Complex Link Declaration",
    0x06: "Root Complex Internal Link Control",
    0x07: "Root Complex Event Collector Endpoint Association",
    0x08: "Multi-Function Virtual Channel",
    0x09: "Virtual Channel (MFVC)",
    0x0A: "Root Complex Register Block",
    0x0B: "Vendor Specific",
    0x0C: "Configuration Access Correlation",
    0x0D: "Access Control Services",
    0x0E: "Alternative Routing-ID",
    0x0F: "Address Translation Services",
    0x10: "SR-IOV",
    0x11: "Multi-Root I/O Virtualization",
    0x12: "Multicast",
    0x13: "Page Request Interface",
    0x15: "Resizable BAR",
    0x16: "Dynamic Power Allocation",
    0x17: "TPH Requester",
    0x18: "Latency Tolerance Reporting",
    0x19: "Secondary PCI Express",
    0x1A: "Protocol Multiplexing",
    0x1B: "Process Address Space ID",
    0x1C: "LN Requester",
    0x1D: "Downstream Port Containment",
    0x1E: "L1 PM Substates",
    0x1F: "Precision Time Measurement",
    0x20: "PCI Express over M-PHY",
    0x21: "FRS Queueing",
    0x22: "Readiness Time Reporting",
    0x23: "Designated Vendor Specific",
    0x24: "VF Resizable BAR",
    0x25: "Data Link Feature",
    0x26: "Physical Layer 16.0 GT/s",
    0x27: "Lane Margining at the Receiver",
    0x28: "Hierarchy ID",
    0x29: "Native PCIe Enclosure Management",
    0x2A: "Physical Layer 32.0 GT/s",
    0x2B: "Alternate Protocol",
    0x2C: "System Firmware Intermediary",
    0x2D: "Shadow Functions",
    0x2E: "Data Object Exchange",
    0x2F: "Device 3",
    0x30: "Integrity and Data Encryption",
    0x31: "Physical Layer 64.0 GT/s",
    0x32: "Flit Logging",
    0x33: "Flit Performance Measurement",
    0x34: "Flit Error Injection",
}


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
            Malformed: a list loops, leaves its space or is not aligned; the hint has the offset.

        Source: vfc_pci_caps() in vfiocore/region.h.
        """
        handle = self._device._native()
        count = check(lib.vfc_pci_caps(handle, None, 0))
        caps = (PciCap * count)()
        # A list that grew in between is cut: the device is not trusted to keep it.
        count = min(count, check(lib.vfc_pci_caps(handle, caps, count)))
        return [
            Capability(cap.id, cap.offset, cap.version, bool(cap.extended)) for cap in caps[:count]
        ]

    def find(self, id: int, extended: bool = False) -> Capability | None:
        """The first capability of that id, or None.

        Raises:
            Malformed: as :meth:`capabilities`.
        """
        for capability in self.capabilities():
            if capability.id == id and capability.extended is extended:
                return capability
        return None
