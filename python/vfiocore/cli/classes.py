# SPDX-License-Identifier: MIT
"""Names of PCI class codes.

Source: PCI Code and ID Assignment Specification, section 1.
"""

from __future__ import annotations

__all__ = ["class_name"]

_BASE = {
    0x00: "Unclassified device",
    0x01: "Mass storage controller",
    0x02: "Network controller",
    0x03: "Display controller",
    0x04: "Multimedia device",
    0x05: "Memory controller",
    0x06: "Bridge",
    0x07: "Communication controller",
    0x08: "System peripheral",
    0x09: "Input device",
    0x0A: "Docking station",
    0x0B: "Processor",
    0x0C: "Serial bus controller",
    0x0D: "Wireless controller",
    0x0E: "Intelligent I/O controller",
    0x0F: "Satellite controller",
    0x10: "Encryption controller",
    0x11: "Signal processing controller",
    0x12: "Processing accelerator",
    0x13: "Non-essential instrumentation",
    0x40: "Coprocessor",
    0xFF: "Unassigned class",
}

_SUB = {
    0x0000: "Unclassified device",
    0x0001: "VGA-compatible device",
    0x0100: "SCSI controller",
    0x0101: "IDE controller",
    0x0102: "Floppy controller",
    0x0104: "RAID controller",
    0x0105: "ATA controller",
    0x0106: "SATA controller",
    0x0107: "SAS controller",
    0x0108: "NVM controller",
    0x0109: "UFS controller",
    0x0200: "Ethernet controller",
    0x0203: "ATM controller",
    0x0207: "InfiniBand controller",
    0x0208: "Fabric controller",
    0x0300: "VGA controller",
    0x0301: "XGA controller",
    0x0302: "3D controller",
    0x0400: "Video device",
    0x0401: "Audio device",
    0x0403: "HD audio device",
    0x0500: "RAM",
    0x0501: "Flash",
    0x0502: "CXL memory",
    0x0600: "Host bridge",
    0x0601: "ISA bridge",
    0x0604: "PCI bridge",
    0x0607: "CardBus bridge",
    0x0609: "Semi-transparent PCI bridge",
    0x0680: "Bridge",
    0x0700: "Serial controller",
    0x0701: "Parallel controller",
    0x0703: "Modem",
    0x0780: "Communication controller",
    0x0800: "Interrupt controller",
    0x0801: "DMA controller",
    0x0802: "Timer",
    0x0803: "Real-time clock",
    0x0804: "PCI hot-plug controller",
    0x0805: "SD host controller",
    0x0806: "IOMMU",
    0x0807: "Root complex event collector",
    0x0880: "System peripheral",
    0x0900: "Keyboard controller",
    0x0902: "Mouse controller",
    0x0C00: "FireWire controller",
    0x0C03: "USB controller",
    0x0C04: "Fibre Channel",
    0x0C05: "SMBus",
    0x0C06: "InfiniBand controller",
    0x0C07: "IPMI interface",
    0x0C0A: "I3C controller",
    0x0D11: "Bluetooth controller",
    0x0D20: "802.11a controller",
    0x0D21: "802.11b controller",
    0x0D80: "Wireless controller",
    0x1000: "Network encryption controller",
    0x1101: "Performance counters",
    0x1180: "Signal processing controller",
    0x1200: "Processing accelerator",
}

_INTERFACES = {
    0x010601: "SATA controller (AHCI)",
    0x010802: "NVMe controller",
    0x010803: "NVMe administrative controller",
    0x0C0300: "USB controller (UHCI)",
    0x0C0310: "USB controller (OHCI)",
    0x0C0320: "USB controller (EHCI)",
    0x0C0330: "USB controller (xHCI)",
    0x0C0340: "USB4 host interface",
    0x0C03FE: "USB device",
}


def class_name(code: int) -> str:
    """The most specific name of a 24-bit class code (base class, subclass, interface)."""
    return (
        _INTERFACES.get(code) or _SUB.get(code >> 8) or _BASE.get(code >> 16) or f"class {code:06x}"
    )
