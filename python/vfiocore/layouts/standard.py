# SPDX-License-Identifier: MIT
"""The standard capabilities, but for PCI Express, by id.

Sources: PCI Bus Power Management Interface 1.2, 3.2; PCI Local Bus 3.0, 6.8 and appendices H and I;
PCI-X 2.0, 7.2; PCI-to-PCI Bridge 1.2, 3.2.6; CompactPCI Hot Swap 2.0; AGP 3.0, 5; HyperTransport
3.10, 7; Standard Hot-Plug Controller 1.0, 4.1; Debug Port (EHCI 1.0, C.3); Serial ATA AHCI 1.3.1,
2.4; AMD I/O Virtualization 3.05, 3.2; Virtio 1.2, 4.1.4; PCI Express Base 6.0, 7.7 to 7.8.
"""

from __future__ import annotations

from ..registers import ADDRESS, Field, Layout, Register, flags
from .express import EXPRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["STANDARD"]

_STATE = ("D0", "D1", "D2", "D3hot")
_AUX = tuple(f"{current} mA" for current in (0, 55, 100, 160, 220, 270, 320, 375))

_POWER = Layout(
    Register(
        "capabilities",
        0x02,
        2,
        Field("version", 0, 3),
        *flags(3, "pme_clock immediate_readiness device_specific_init"),
        Field("aux_current", 6, 3, _AUX),
        *flags(9, "d1 d2 pme_d0 pme_d1 pme_d2 pme_d3hot pme_d3cold"),
    ),
    Register(
        "control",
        0x04,
        2,
        Field("state", 0, 2, _STATE),
        *flags(3, "no_soft_reset - - - - pme_enable"),
        Field("data_select", 9, 4),
        Field("data_scale", 13, 2),
        Field("pme_status", 15),
    ),
    Register("bridge", 0x06, 1, *flags(6, "b2_b3 clock_control")),
    Register("data", 0x07, 1),
)

_AGP_RATE = {1: "x1", 2: "x2", 3: "x1 x2", 4: "x4", 7: "x1 x2 x4"}
_AGP = Layout(
    Register("version", 0x02, 1, Field("minor", 0, 4), Field("major", 4, 4)),
    Register(
        "status",
        0x04,
        4,
        Field("rate", 0, 3, _AGP_RATE),
        *flags(3, "agp3 fast_writes above_4g host_translation gart64 coherent sideband"),
        Field("calibration", 10, 3),
        Field("async_size", 13, 3),
        Field("isochronous", 16),
        Field("requests", 24, 8),
    ),
    Register(
        "command",
        0x08,
        4,
        Field("rate", 0, 3, _AGP_RATE),
        *flags(4, "fast_writes above_4g - gart64 enable sideband"),
        Field("calibration", 10, 3),
        Field("async_size", 13, 3),
        Field("requests", 24, 8),
    ),
)

_VPD = Layout(
    Register("address", 0x02, 2, Field("address", 0, 15, "{:#x}"), Field("done", 15)),
    Register("data", 0x04, 4),
)

_SLOT_ID = Layout(
    Register("expansion", 0x02, 1, Field("slots", 0, 5), Field("first", 5)),
    Register("chassis", 0x03, 1),
)

_VECTORS = {n: str(1 << n) for n in range(6)}


def _msi(view: View) -> Iterator[Register]:
    control = view.number(0x02, 2)
    wide = 4 if control & 0x80 else 0
    yield Register("address", 0x04, 4 + wide, Field("address", 2, 30 + 8 * wide, ADDRESS))
    yield Register("data", 0x08 + wide, 2)
    if control & 0x200:
        yield Register("extended_data", 0x0A + wide, 2)
    if control & 0x100:
        yield Register("mask", 0x0C + wide, 4)
        yield Register("pending", 0x10 + wide, 4)


_MSI = Layout(
    Register(
        "control",
        0x02,
        2,
        Field("enable", 0),
        Field("capable", 1, 3, _VECTORS),
        Field("enabled", 4, 3, _VECTORS),
        *flags(7, "wide maskable extended_data_capable extended_data_enable"),
    ),
    more=_msi,
)

_HOT_SWAP = Layout(
    Register(
        "control",
        0x02,
        1,
        *flags(0, "device_hiding enum_mask pending_insert led"),
        Field("programming", 4, 2),
        *flags(6, "extraction insertion"),
    )
)

_READ_COUNT = ("512 bytes", "1024 bytes", "2048 bytes", "4096 bytes")
_SPLITS = ("1", "2", "3", "4", "8", "12", "16", "32")
_READ_SIZE = tuple(f"{1 << n} KiB" for n in range(8))
_BUS_CLOCK = {0: "conventional", 1: "66 MHz", 2: "100 MHz", 3: "133 MHz"}

_X_ENDPOINT = (
    Register(
        "command",
        0x02,
        2,
        *flags(0, "parity_recovery relaxed_ordering"),
        Field("max_read", 2, 2, _READ_COUNT),
        Field("max_split", 4, 3, _SPLITS),
        Field("version", 12, 2),
    ),
    Register(
        "status",
        0x04,
        4,
        Field("function", 0, 3),
        Field("device", 3, 5),
        Field("bus", 8, 8),
        *flags(16, "wide mhz133 split_discarded unexpected_split bridge"),
        Field("designed_read", 21, 2, _READ_COUNT),
        Field("designed_split", 23, 3, _SPLITS),
        Field("designed_size", 26, 3, _READ_SIZE),
        *flags(29, "split_error mhz266 mhz533"),
    ),
)
_SPLIT = (Field("capacity", 0, 16), Field("commitment", 16, 16))
_X_BRIDGE = (
    Register(
        "secondary_status",
        0x02,
        2,
        *flags(0, "wide mhz133 split_discarded unexpected_split split_overrun split_delayed"),
        Field("clock", 6, 3, _BUS_CLOCK),
        Field("version", 12, 2),
        *flags(14, "mhz266 mhz533"),
    ),
    Register(
        "status",
        0x04,
        4,
        Field("function", 0, 3),
        Field("device", 3, 5),
        Field("bus", 8, 8),
        *flags(16, "wide mhz133 split_discarded unexpected_split split_overrun split_delayed"),
        *flags(29, "id_messaging mhz266 mhz533"),
    ),
    Register("upstream", 0x08, 4, *_SPLIT),
    Register("downstream", 0x0C, 4, *_SPLIT),
)
_PCI_X = Layout(more=lambda view: _X_BRIDGE if view.bridge else _X_ENDPOINT)

_HT_TYPE = {
    **dict.fromkeys(range(4), "slave or primary interface"),
    **dict.fromkeys(range(4, 8), "host or secondary interface"),
    **{8: "switch", 16: "interrupt discovery", 17: "revision ID", 18: "unit ID clumping"},
    **{19: "extended config space access", 20: "address mapping", 21: "MSI mapping"},
    **{22: "direct route", 23: "VC set", 24: "retry mode", 25: "x86 encoding", 26: "generation 3"},
    **{27: "function-level extension", 28: "power management"},
}
_HT_WIDTH = ("8 bits", "16 bits", "reserved", "32 bits", "2 bits", "4 bits", "reserved", "none")
_HT_LINK_CONTROL = (
    *flags(0, "source_id crc_flood crc_start crc_force link_failure init_done end_of_chain off"),
    Field("crc_error", 8, 4),
    *flags(12, "isochronous_flow ldt_stop_tristate extended_ctl address_64"),
)
_HT_LINK_CONFIG = (
    Field("max_in", 0, 3, _HT_WIDTH),
    Field("doubleword_in", 3),
    Field("max_out", 4, 3, _HT_WIDTH),
    Field("doubleword_out", 7),
    Field("width_in", 8, 3, _HT_WIDTH),
    Field("doubleword_in_enable", 11),
    Field("width_out", 12, 3, _HT_WIDTH),
    Field("doubleword_out_enable", 15),
)
_HT_SLAVE = (
    Register(
        "command",
        0x02,
        2,
        Field("base_unit", 0, 5),
        Field("units", 5, 5),
        *flags(10, "master_host default_direction drop_on_uninitialized"),
        Field("type", 13, 3, ("slave or primary interface", "host or secondary interface")),
    ),
    Register("link_control0", 0x04, 2, *_HT_LINK_CONTROL),
    Register("link_config0", 0x06, 2, *_HT_LINK_CONFIG),
    Register("link_control1", 0x08, 2, *_HT_LINK_CONTROL),
    Register("link_config1", 0x0A, 2, *_HT_LINK_CONFIG),
    Register("revision", 0x0C, 1, Field("minor", 0, 5), Field("major", 5, 3)),
)
_HT_HOST = (
    Register(
        "command",
        0x02,
        2,
        *flags(0, "warm_reset double_ended"),
        Field("device", 2, 5),
        *flags(7, "chain_side host_hide - act_as_slave end_of_chain_error drop_on_uninitialized"),
        Field("type", 13, 3, ("slave or primary interface", "host or secondary interface")),
    ),
    Register("link_control", 0x04, 2, *_HT_LINK_CONTROL),
    Register("link_config", 0x06, 2, *_HT_LINK_CONFIG),
    Register("revision", 0x08, 1, Field("minor", 0, 5), Field("major", 5, 3)),
)
_HT_KIND = Field("type", 11, 5, _HT_TYPE)
_HT_MSI = Register("command", 0x02, 2, Field("enable", 0), Field("fixed", 1), _HT_KIND)
_HT_REVISION = Register("command", 0x02, 2, Field("minor", 0, 5), Field("major", 5, 3), _HT_KIND)


def _hypertransport(view: View) -> Iterator[Register]:
    command = view.number(0x02, 2)
    kind = command >> 11
    if kind < 8:
        yield from _HT_SLAVE if kind < 4 else _HT_HOST
    elif kind == 21:
        yield _HT_MSI
        if not command & 2:
            yield Register("address", 0x04, 8, Field("address", 20, 44, ADDRESS))
    elif kind == 17:
        yield _HT_REVISION
    else:
        yield Register("command", 0x02, 2, _HT_KIND)


_VIRTIO_VENDOR = 0x1AF4
_VIRTIO_KIND = {
    **{1: "common", 2: "notify", 3: "interrupt status", 4: "device specific"},
    **{5: "access through config space", 8: "shared memory", 9: "vendor data"},
}
_VIRTIO = (
    Register("structure", 0x03, 1, Field("kind", 0, 8, _VIRTIO_KIND)),
    Register("bar", 0x04, 1, Field("number", 0, 8)),
    Register("place", 0x08, 4),
    Register("length", 0x0C, 4),
)


def _vendor(view: View) -> Iterator[Register]:
    length = view.number(0x02, 1)
    if int.from_bytes(view.space[:2], "little") != _VIRTIO_VENDOR or length < 16:
        yield from (Register(f"byte{at}", at, 1) for at in range(3, length))
        return
    yield from _VIRTIO
    if view.number(0x03, 1) == 2 and length >= 20:
        yield Register("notify_multiplier", 0x10, 4, Field("bytes", 0, 32))


_VENDOR = Layout(Register("structure_length", 0x02, 1, Field("bytes", 0, 8)), more=_vendor)

_DEBUG_PORT = Layout(
    Register("place", 0x02, 2, Field("address", 0, 13, "{:#x}"), Field("bar", 13, 3))
)
_HOT_PLUG = Layout(
    Register("select", 0x02, 1),
    Register("pending", 0x03, 1, *flags(6, "controller interrupt")),
    Register("data", 0x04, 4),
)
_SUBSYSTEM = Layout(Register("vendor", 0x04, 2), Register("device", 0x06, 2))

_IOMMU = (
    Register("base", 0x04, 8, Field("enable", 0), Field("address", 14, 50, ADDRESS)),
    Register(
        "range",
        0x0C,
        4,
        Field("unit", 0, 5),
        Field("valid", 7),
        Field("bus", 8, 8),
        Field("first", 16, 8),
        Field("last", 24, 8),
    ),
    Register(
        "miscellaneous",
        0x10,
        4,
        Field("msi", 0, 5),
        Field("guest_address", 5, 3),
        Field("physical_address", 8, 7, "{} bits"),
        Field("virtual_address", 15, 7, "{} bits"),
        Field("ats_reserved", 22),
    ),
)
_SECURE_KIND = {2: "DMA exclusion vector", 3: "IOMMU"}
_SECURE = Layout(
    Register(
        "capabilities",
        0x00,
        4,
        Field("kind", 16, 3, _SECURE_KIND),
        Field("revision", 19, 5),
        *flags(24, "iotlb hypertransport_tunnel not_present_cache extended_features extension"),
    ),
    more=lambda view: _IOMMU if view.number(0x02, 1) & 7 == 3 else (),
)

_PLACE = (Field("bar", 0, 3), Field("address", 3, 29, ADDRESS))
_MSIX = Layout(
    Register(
        "control",
        0x02,
        2,
        Field("vectors", 0, 11, lambda last: str(last + 1)),
        *flags(14, "mask enable"),
    ),
    Register("table", 0x04, 4, *_PLACE),
    Register("pending", 0x08, 4, *_PLACE),
)

_SATA = Layout(
    Register("revision", 0x02, 2, Field("minor", 0, 4), Field("major", 4, 4)),
    Register(
        "place",
        0x04,
        4,
        Field("bar", 0, 4, lambda bar: "in the capability" if bar == 15 else f"BAR{bar - 4}"),
        Field("address", 4, 20, lambda dwords: f"{4 * dwords:#x}"),
    ),
)

_ADVANCED = Layout(
    Register("structure_length", 0x02, 1, Field("bytes", 0, 8)),
    Register("capabilities", 0x03, 1, *flags(0, "transactions_pending flr")),
    Register("control", 0x04, 1, *flags(0, "flr")),
    Register("status", 0x05, 1, *flags(0, "transactions_pending")),
)

_EA_FOR = {
    **{n: f"BAR{n}" for n in range(6)},
    **{6: "behind the bridge", 7: "not indicated", 8: "ROM"},
    **{n: f"VF BAR{n - 9}" for n in range(9, 15)},
    15: "reserved",
}
_EA_PROPERTY = {
    **{0: "memory", 1: "prefetchable memory", 2: "I/O ports", 3: "VF prefetchable memory"},
    **{4: "VF memory", 5: "memory behind the bridge", 6: "prefetchable memory behind the bridge"},
    **{7: "I/O ports behind the bridge", 0xFD: "memory, not to be used"},
    **{0xFE: "I/O ports, not to be used", 0xFF: "not to be used"},
}
_EA_ENTRY = (
    Field("dwords", 0, 3),
    Field("stands_for", 4, 4, _EA_FOR),
    Field("primary", 8, 8, _EA_PROPERTY),
    Field("secondary", 16, 8, _EA_PROPERTY),
    *flags(30, "writable enable"),
)
_EA_WIDE = 2


def _allocation(view: View) -> Iterator[Register]:
    at = 4
    if view.bridge:
        yield Register("secondary_bus", 0x04, 1)
        yield Register("subordinate_bus", 0x05, 1)
        at = 8
    for n in range(view.number(0x02, 1) & 0x3F):
        yield Register(f"entry{n}", at, 4, *_EA_ENTRY)
        yield from _allocation_entry(view, f"entry{n}", at)
        at += 4 + 4 * (view.number(at, 4) & 7)


def _allocation_entry(view: View, name: str, at: int) -> Iterator[Register]:
    left, upper = (view.number(at, 4) & 7), at + 12
    parts = (("base", at + 4), ("max_offset", at + 8))
    for number, (part, place) in enumerate(parts):
        if number >= left:
            return
        wide = view.number(place, 4) & _EA_WIDE
        yield Register(f"{name}_{part}", place, 4, Field("wide", 1), Field("low", 2, 30, ADDRESS))
        if wide and upper < at + 4 + 4 * left:
            yield Register(f"{name}_{part}_upper", upper, 4)
            upper += 4


_ALLOCATION = Layout(Register("entries", 0x02, 1, Field("count", 0, 6)), more=_allocation)

_FLATTENING = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "rid_decode memory_low memory_high"),
        Field("secondary_devices", 3, 5),
        Field("rid_vector_size", 8, 3),
        Field("memory_low_size", 16, 3),
        Field("memory_high_size", 24, 3),
    ),
    Register(
        "rid_control1",
        0x08,
        4,
        Field("enable", 0),
        Field("granularity", 4, 4),
        Field("start", 19, 13, ADDRESS),
    ),
    Register("rid_control2", 0x0C, 4, Field("secondary_start", 3, 13, ADDRESS)),
    Register(
        "memory_low_control",
        0x10,
        4,
        Field("enable", 0),
        Field("granularity", 4, 4),
        Field("start", 20, 12, ADDRESS),
    ),
    Register(
        "memory_high_control1",
        0x14,
        4,
        Field("enable", 0),
        Field("granularity", 4, 4),
        Field("start", 28, 4, ADDRESS),
    ),
    Register("memory_high_control2", 0x18, 4),
    Register("vector_access", 0x1C, 4, Field("place", 0, 8), Field("select", 14, 2)),
    Register("vector_data", 0x20, 4),
)

_NAMED = Layout()  # what it holds is not public, or is not fixed

STANDARD: dict[int, Layout] = {
    0x01: _POWER,
    0x02: _AGP,
    0x03: _VPD,
    0x04: _SLOT_ID,
    0x05: _MSI,
    0x06: _HOT_SWAP,
    0x07: _PCI_X,
    0x08: Layout(more=_hypertransport),
    0x09: _VENDOR,
    0x0A: _DEBUG_PORT,
    0x0B: _NAMED,
    0x0C: _HOT_PLUG,
    0x0D: _SUBSYSTEM,
    0x0E: _AGP,
    0x0F: _SECURE,
    0x10: EXPRESS,
    0x11: _MSIX,
    0x12: _SATA,
    0x13: _ADVANCED,
    0x14: _ALLOCATION,
    0x15: _FLATTENING,
}
