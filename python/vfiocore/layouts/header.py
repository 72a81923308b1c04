# SPDX-License-Identifier: MIT
"""The header of config space: endpoints, PCI bridges, CardBus bridges.

Source: PCI Local Bus 3.0, 6.1 and 6.2; PCI-to-PCI Bridge 1.2, 3.2; PC Card Standard 8.0, 4.5; PCI
Express Base 6.0, 7.5.1.
"""

from __future__ import annotations

from ..registers import ADDRESS, Field, Layout, Register, Structure, flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["HEADER", "LENGTH", "windows"]

LENGTH = 64  # bytes

_KIND = ("endpoint", "PCI bridge", "CardBus bridge")
_DEVSEL = ("fast", "medium", "slow")
_PIN = ("none", "A", "B", "C", "D")

COMMAND = Register(
    "command",
    0x04,
    2,
    *flags(0, "io memory master special_cycles memory_invalidate vga_snoop parity stepping serr"),
    *flags(9, "fast_back_to_back intx_disable"),
)
_STATUS = (
    *flags(0, "immediate_readiness - - intx capabilities mhz66 user_definable fast_back_to_back"),
    Field("parity_master", 8),
    Field("devsel", 9, 2, _DEVSEL),
    *flags(11, "target_abort_sent target_abort master_abort serr parity_error"),
)
_COMMON = (
    Register("vendor", 0x00, 2),
    Register("device", 0x02, 2),
    COMMAND,
    Register("status", 0x06, 2, *_STATUS),
    Register("revision", 0x08, 1),
    Register("class", 0x09, 3),
    Register("cache_line_size", 0x0C, 1, Field("dwords", 0, 8)),
    Register("latency_timer", 0x0D, 1, Field("clocks", 0, 8)),
    Register("header_type", 0x0E, 1, Field("kind", 0, 7, _KIND), Field("multi_function", 7)),
    Register("bist", 0x0F, 1, Field("code", 0, 4), *flags(6, "start capable")),
)
_INTERRUPT = (
    Register("interrupt_line", 0x3C, 1, Field("irq", 0, 8)),
    Register("interrupt_pin", 0x3D, 1, Field("pin", 0, 8, _PIN)),
)
_ROM = (Field("enable", 0), Field("address", 11, 21, ADDRESS))

_IO_BAR = (Field("io", 0), Field("address", 2, 30, ADDRESS))
_BAR_TYPE = ("32 bits", "below 1 MiB", "64 bits")


def _memory_bar(bits: int) -> tuple[Field, ...]:
    return (
        Field("io", 0),
        Field("type", 1, 2, _BAR_TYPE),
        Field("prefetchable", 3),
        Field("address", 4, bits - 4, ADDRESS),
    )


def bars(view: View, first: int, count: int, prefix: str = "bar") -> Iterator[Register]:
    """The BARs from offset ``first`` on; the two halves of a wide one are one register."""
    number = 0
    while number < count:
        at = first + 4 * number
        low = view.number(at, 4)
        name = f"{prefix}{number}"
        number += 1
        if low & 1:
            yield Register(name, at, 4, *_IO_BAR)
        elif low & 6 == 4 and number < count:
            number += 1
            yield Register(name, at, 8, *_memory_bar(64))
        else:
            yield Register(name, at, 4, *_memory_bar(32))


def _endpoint(view: View) -> Iterator[Register]:
    yield from bars(view, 0x10, 6)
    yield Register("cardbus_cis", 0x28, 4)
    yield Register("subsystem_vendor", 0x2C, 2)
    yield Register("subsystem_device", 0x2E, 2)
    yield Register("rom", 0x30, 4, *_ROM)
    yield Register("capabilities", 0x34, 1)
    yield from _INTERRUPT
    yield Register("min_grant", 0x3E, 1, Field("quarter_us", 0, 8))
    yield Register("max_latency", 0x3F, 1, Field("quarter_us", 0, 8))


_WINDOW = ("16 bits", "32 bits")
_WIDE_WINDOW = ("32 bits", "64 bits")

_BRIDGE = (
    Register("primary_bus", 0x18, 1),
    Register("secondary_bus", 0x19, 1),
    Register("subordinate_bus", 0x1A, 1),
    Register("secondary_latency", 0x1B, 1, Field("clocks", 0, 8)),
    Register("io_base", 0x1C, 1, Field("type", 0, 4, _WINDOW), Field("base", 4, 4)),
    Register("io_limit", 0x1D, 1, Field("type", 0, 4, _WINDOW), Field("limit", 4, 4)),
    Register("secondary_status", 0x1E, 2, *(f for f in _STATUS if f.low not in (0, 3, 4))),
    Register("memory_base", 0x20, 2, Field("base", 4, 12)),
    Register("memory_limit", 0x22, 2, Field("limit", 4, 12)),
    Register("prefetch_base", 0x24, 2, Field("type", 0, 4, _WIDE_WINDOW), Field("base", 4, 12)),
    Register("prefetch_limit", 0x26, 2, Field("type", 0, 4, _WIDE_WINDOW), Field("limit", 4, 12)),
    Register("prefetch_base_upper", 0x28, 4),
    Register("prefetch_limit_upper", 0x2C, 4),
    Register("io_base_upper", 0x30, 2),
    Register("io_limit_upper", 0x32, 2),
    Register("capabilities", 0x34, 1),
    Register("rom", 0x38, 4, *_ROM),
    *_INTERRUPT,
    Register(
        "bridge_control",
        0x3E,
        2,
        *flags(0, "parity serr isa vga vga_16_bit master_abort bus_reset fast_back_to_back"),
        *flags(8, "primary_discard secondary_discard discard_status discard_serr"),
    ),
)


def _bridge(view: View) -> Iterator[Register]:
    yield from bars(view, 0x10, 2)
    yield from _BRIDGE


_CARDBUS = (
    Register("socket_base", 0x10, 4, Field("address", 12, 20, ADDRESS)),
    Register("capabilities", 0x14, 1),
    Register("secondary_status", 0x16, 2, *(f for f in _STATUS if f.low not in (0, 3, 4))),
    Register("primary_bus", 0x18, 1),
    Register("card_bus", 0x19, 1),
    Register("subordinate_bus", 0x1A, 1),
    Register("card_latency", 0x1B, 1, Field("clocks", 0, 8)),
    Register("memory_base0", 0x1C, 4),
    Register("memory_limit0", 0x20, 4),
    Register("memory_base1", 0x24, 4),
    Register("memory_limit1", 0x28, 4),
    Register("io_base0", 0x2C, 4),
    Register("io_limit0", 0x30, 4),
    Register("io_base1", 0x34, 4),
    Register("io_limit1", 0x38, 4),
    *_INTERRUPT,
    Register(
        "bridge_control",
        0x3E,
        2,
        *flags(0, "parity serr isa vga - master_abort card_reset irq_enable"),
        *flags(8, "prefetch0 prefetch1 write_posting"),
    ),
)


def _by_kind(view: View) -> Iterator[Register]:
    kind = view.number(0x0E, 1) & 0x7F
    if kind == 1:
        yield from _bridge(view)
    elif kind == 2:
        yield from _CARDBUS
    elif kind == 0:
        yield from _endpoint(view)


HEADER = Layout(*_COMMON, more=_by_kind)


def windows(header: Structure) -> dict[str, tuple[int, int] | None]:
    """What a PCI bridge forwards: the first and last address of each window, None when it is shut.

    Empty for other headers.
    """
    if header.header_type.kind != 1:
        return {}
    io_base = header.io_base.base << 12
    io_limit = header.io_limit.limit << 12 | 0xFFF
    if header.io_base.type == 1:
        io_base |= header.io_base_upper.raw << 16
        io_limit |= header.io_limit_upper.raw << 16
    base = header.prefetch_base.base << 20
    limit = header.prefetch_limit.limit << 20 | 0xFFFFF
    if header.prefetch_base.type == 1:
        base |= header.prefetch_base_upper.raw << 32
        limit |= header.prefetch_limit_upper.raw << 32
    memory = header.memory_base.base << 20, header.memory_limit.limit << 20 | 0xFFFFF
    found = {"io": (io_base, io_limit), "memory": memory, "prefetch": (base, limit)}
    return {name: pair if pair[0] <= pair[1] else None for name, pair in found.items()}
