# SPDX-License-Identifier: MIT
"""The other extended capabilities, and all of them by id.

Source: PCI Express Base 6.0, 7.7 to 7.9, 6.30 (DOE), 6.33 (IDE).
"""

from __future__ import annotations

from ..registers import ADDRESS, Field, Layout, Register, flags
from . import faults, isolation, link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["EXTENDED"]

_NAMED = Layout()  # what it holds is not public, or was never built

# --- virtual channels, multicast ----------------------------------------------------------------

_CLOCK = ("100 ns",)
_ENTRY_BITS = ("1 bit", "2 bits", "4 bits", "8 bits")
_PORT_ARBITRATION = "fixed round_robin32 round_robin64 round_robin128"
_VC_ARBITRATION = f"{_PORT_ARBITRATION} time_based128 round_robin256"
_VC = (
    Register(
        "capabilities",
        0x00,
        4,
        *flags(0, _VC_ARBITRATION),
        *flags(14, "advanced_switching reject_snoop"),
        Field("max_slots", 16, 7),
        Field("table_place", 24, 8),
    ),
    Register(
        "control",
        0x04,
        4,
        Field("traffic_classes", 0, 8, "{:02x}"),
        Field("load_table", 16),
        Field("arbitration", 17, 3),
        Field("id", 24, 3),
        Field("enable", 31),
    ),
    Register("status", 0x0A, 2, *flags(0, "table_loading negotiation")),
)


def _channels(view: View) -> Iterator[Register]:
    for n in range((view.number(0x04, 4) & 7) + 1):
        for register in _VC:
            yield register.at(0x10 + 12 * n + register.offset, f"vc{n}_{register.name}")


_VIRTUAL_CHANNEL = Layout(
    Register(
        "capabilities1",
        0x04,
        4,
        Field("extra_channels", 0, 3),
        Field("low_priority", 4, 3),
        Field("reference_clock", 8, 2, _CLOCK),
        Field("table_entry", 10, 2, _ENTRY_BITS),
    ),
    Register("capabilities2", 0x08, 4, *flags(0, _PORT_ARBITRATION), Field("table_place", 24, 8)),
    Register("control", 0x0C, 2, Field("load_table", 0), Field("arbitration", 1, 3)),
    Register("status", 0x0E, 2, *flags(0, "table_loading")),
    more=_channels,
)

_SWITCHES = (4, 5, 6)  # port types that forward: root, upstream, downstream port


def _overlay(view: View) -> Iterator[Register]:
    if view.port in _SWITCHES:
        yield Register(
            "overlay_bar", 0x28, 8, Field("power", 0, 6), Field("address", 6, 58, ADDRESS)
        )


_MULTICAST = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        Field("groups", 0, 6, lambda last: str(last + 1)),
        Field("window_power", 8, 6),
        Field("ecrc_regeneration", 15),
    ),
    Register(
        "control", 0x06, 2, Field("groups", 0, 6, lambda last: str(last + 1)), Field("enable", 15)
    ),
    Register("base", 0x08, 8, Field("index", 0, 6), Field("address", 12, 52, ADDRESS)),
    Register("receive", 0x10, 8),
    Register("block_all", 0x18, 8),
    Register("block_untranslated", 0x20, 8),
    more=_overlay,
)

# --- root complex -------------------------------------------------------------------------------

_ELEMENT = {0: "configuration space", 1: "egress port", 2: "internal link"}


def _links(view: View) -> Iterator[Register]:
    for n in range(view.number(0x05, 1)):
        at = 0x10 + 16 * n
        yield Register(
            f"link{n}",
            at,
            4,
            Field("valid", 0),
            Field("type", 1, 1, ("memory mapped", "configuration space")),
            Field("associate_rcrb", 2),
            Field("component", 16, 8),
            Field("port", 24, 8),
        )
        yield Register(f"link{n}_address", at + 8, 8)


_LINK_DECLARATION = Layout(
    Register(
        "element",
        0x04,
        4,
        Field("type", 0, 4, _ELEMENT),
        Field("links", 8, 8),
        Field("component", 16, 8),
        Field("port", 24, 8),
    ),
    more=_links,
)
_INTERNAL_LINK = Layout(
    Register("capabilities", 0x04, 4),
    Register("control", 0x08, 2),
    Register("status", 0x0A, 2),
)


def _collector(view: View) -> Iterator[Register]:
    if view.number(0x02, 1) & 0xF >= 2:  # the capability's version
        yield Register("buses", 0x08, 4, Field("next", 8, 8), Field("last", 16, 8))


_EVENT_COLLECTOR = Layout(Register("devices", 0x04, 4), more=_collector)
_REGISTER_BLOCK = Layout(
    Register("vendor", 0x04, 2),
    Register("device", 0x06, 2),
    Register("capabilities", 0x08, 4, *flags(0, "crs_visible")),
    Register("control", 0x0C, 4, *flags(0, "crs_visible")),
)

# --- identity, vendors --------------------------------------------------------------------------

_SERIAL = Layout(Register("serial", 0x04, 8, meaning="{:016x}"))
_VENDOR = Layout(
    Register(
        "identity",
        0x04,
        4,
        Field("id", 0, 16, "{:04x}"),
        Field("revision", 16, 4),
        Field("length", 20, 12),
    )
)
_DESIGNATED = Layout(
    Register(
        "vendor",
        0x04,
        4,
        Field("id", 0, 16, "{:04x}"),
        Field("revision", 16, 4),
        Field("length", 20, 12),
    ),
    Register("identity", 0x08, 2, Field("id", 0, 16, "{:04x}")),
)
_HIERARCHY = Layout(
    Register("status", 0x04, 4, Field("message", 0, 20), Field("valid", 31)),
    Register("id_low", 0x08, 4),
    Register("id_high", 0x0C, 4),
)

# --- power --------------------------------------------------------------------------------------

_POWER_TYPE = {
    **{0: "PME auxiliary", 1: "auxiliary", 2: "idle", 3: "sustained"},
    **{4: "sustained, emergency", 5: "maximum, emergency", 7: "maximum"},
}
_RAIL = {0: "12 V", 1: "3.3 V", 2: "1.5 V or 1.8 V", 7: "thermal"}
_BUDGET = Layout(
    Register("select", 0x04, 1),
    Register(
        "data",
        0x08,
        4,
        Field("base_power", 0, 8),
        Field("scale", 8, 2, ("x 1 W", "x 0.1 W", "x 0.01 W", "x 0.001 W")),
        Field("substate", 10, 3),
        Field("state", 13, 2, ("D0", "D1", "D2", "D3")),
        Field("type", 15, 3, _POWER_TYPE),
        Field("rail", 18, 3, _RAIL),
    ),
    Register("capabilities", 0x0C, 1, *flags(0, "in_system_budget")),
)

_LATENCY_UNIT = ("1 ms", "10 ms", "100 ms")
_DYNAMIC_POWER = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        Field("last_substate", 0, 5),
        Field("latency_unit", 8, 2, _LATENCY_UNIT),
        Field("power_scale", 12, 2, ("x 10 W", "x 1 W", "x 0.1 W", "x 0.01 W")),
        Field("latency0", 16, 8),
        Field("latency1", 24, 8),
    ),
    Register("latency_indicator", 0x08, 4),
    Register("status", 0x0C, 2, Field("substate", 0, 5), Field("control_enabled", 8)),
    Register("control", 0x0E, 2, Field("substate", 0, 5)),
    more=lambda view: (
        Register(f"power{n}", 0x10 + n, 1) for n in range((view.number(0x04, 1) & 0x1F) + 1)
    ),
)

# --- BARs, hints, mailboxes, enclosures ---------------------------------------------------------


def _sizes(bits: int) -> str:
    names = [f"{1 << n % 10} {'MGTPE'[n // 10]}iB" for n in range(44) if bits >> n & 1]
    return " ".join(names) or "none"


def _bar_size(power: int) -> str:
    return _sizes(1 << power) if power < 44 else f"reserved ({power})"


def _resizable(view: View) -> Iterator[Register]:
    for n in range(max(view.number(0x08, 4) >> 5 & 7, 1)):
        at = 0x04 + 8 * n
        yield Register(f"capabilities{n}", at, 4, Field("sizes", 4, 28, _sizes))
        yield Register(
            f"control{n}",
            at + 4,
            4,
            Field("bar", 0, 3),
            Field("bars", 5, 3),
            Field("bar_size", 8, 6, _bar_size),
            Field("upper_sizes", 16, 16, lambda bits: _sizes(bits << 28)),
        )


_RESIZABLE = Layout(more=_resizable)

_ST_PLACE = ("none", "in the capability", "in the MSI-X table")


def _steering(view: View) -> Iterator[Register]:
    capabilities = view.number(0x04, 4)
    if capabilities >> 9 & 3 == 1:
        for n in range((capabilities >> 16 & 0x7FF) + 1):
            yield Register(f"tag{n}", 0x0C + 2 * n, 2)


_HINTS = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "no_tags interrupt_vector device_specific - - - - - extended"),
        Field("table_in", 9, 2, _ST_PLACE),
        Field("tags", 16, 11, lambda last: str(last + 1)),
    ),
    Register(
        "control",
        0x08,
        4,
        Field("mode", 0, 3, ("no tags", "interrupt vector", "device specific")),
        Field("requester", 8, 2, {0: "off", 1: "TPH", 3: "TPH and extended TPH"}),
    ),
    more=_steering,
)

_MAILBOX = Layout(
    Register("capabilities", 0x04, 4, Field("interrupt", 0), Field("message", 1, 11)),
    Register("control", 0x08, 4, *flags(0, "abort interrupt"), Field("go", 31)),
    Register("status", 0x0C, 4, *flags(0, "busy interrupt error"), Field("ready", 31)),
)

_ENCLOSURE_STATES = (
    *flags(2, "ok locate fail rebuild predicted_failure hot_spare in_critical_array"),
    *flags(9, "in_failed_array invalid_type disabled"),
    Field("specific", 24, 8, "{:02x}"),
)
_ENCLOSURE = Layout(
    Register("capabilities", 0x04, 4, *flags(0, "supported reset"), *_ENCLOSURE_STATES),
    Register("control", 0x08, 4, *flags(0, "enable reset"), *_ENCLOSURE_STATES),
    Register("status", 0x0C, 4, *flags(0, "completed"), Field("specific", 24, 8, "{:02x}")),
)

_LIGHTWEIGHT = Layout(
    Register("capabilities", 0x04, 2, *flags(0, "bytes64 bytes128"), Field("registrations", 8, 5)),
    Register("control", 0x06, 2, *flags(0, "enable bytes128"), Field("registrations", 8, 5)),
)
_FRS = Layout(
    Register("capabilities", 0x04, 4, Field("depth", 0, 12), Field("interrupt", 16, 5)),
    Register("status", 0x08, 2, *flags(0, "received overflow")),
    Register("control", 0x0A, 2, *flags(0, "interrupt")),
    Register(
        "queue",
        0x0C,
        4,
        Field("function", 0, 16, "{:04x}"),
        Field("reason", 16, 4),
        Field("depth", 20, 11),
    ),
)
_MULTIPLEXING = Layout(
    Register("capabilities", 0x04, 4),
    Register("control", 0x08, 4),
    Register("status", 0x0C, 4),
)

_DEVICE3 = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "dmwr_routing tag_14_completer tag_14_requester receiver_l0p"),
        Field("port_l0p_exit", 4, 3),
        Field("retimer_l0p_exit", 7, 3),
    ),
    Register(
        "control",
        0x08,
        4,
        *flags(0, "dmwr_requester dmwr_egress_block tag_14_requester l0p"),
        Field("target_width", 4, 3),
    ),
    Register(
        "status", 0x0C, 4, Field("initial_width", 0, 3), *flags(3, "segment_captured remote_l0p")
    ),
)
_ENCRYPTION = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "link selective flow_through partial_header aggregation pcrc key_management"),
        Field("algorithms", 8, 5),
        Field("link_classes", 13, 3, lambda last: str(last + 1)),
        Field("selective_streams", 16, 8, lambda last: str(last + 1)),
        Field("tee_limited", 24),
    ),
    Register("control", 0x08, 4, *flags(2, "flow_through")),
)

EXTENDED: dict[int, Layout] = {
    0x01: faults.ERRORS,
    0x02: _VIRTUAL_CHANNEL,
    0x03: _SERIAL,
    0x04: _BUDGET,
    0x05: _LINK_DECLARATION,
    0x06: _INTERNAL_LINK,
    0x07: _EVENT_COLLECTOR,
    0x08: _VIRTUAL_CHANNEL,
    0x09: _VIRTUAL_CHANNEL,
    0x0A: _REGISTER_BLOCK,
    0x0B: _VENDOR,
    0x0C: _NAMED,
    0x0D: isolation.ACCESS_CONTROL,
    0x0E: isolation.ALTERNATIVE_ID,
    0x0F: isolation.TRANSLATION,
    0x10: isolation.VIRTUAL,
    0x11: _NAMED,
    0x12: _MULTICAST,
    0x13: isolation.PAGE_REQUEST,
    0x15: _RESIZABLE,
    0x16: _DYNAMIC_POWER,
    0x17: _HINTS,
    0x18: link.LATENCY,
    0x19: link.SECONDARY,
    0x1A: _MULTIPLEXING,
    0x1B: isolation.PASID,
    0x1C: _LIGHTWEIGHT,
    0x1D: faults.CONTAINMENT,
    0x1E: link.SUBSTATES,
    0x1F: link.TIME,
    0x20: _NAMED,
    0x21: _FRS,
    0x22: link.READINESS,
    0x23: _DESIGNATED,
    0x24: _RESIZABLE,
    0x25: link.DATA_LINK,
    0x26: link.GT16,
    0x27: link.MARGINING,
    0x28: _HIERARCHY,
    0x29: _ENCLOSURE,
    0x2A: link.GT32,
    0x2B: link.ALTERNATE_PROTOCOL,
    0x2C: _NAMED,
    0x2D: _NAMED,
    0x2E: _MAILBOX,
    0x2F: _DEVICE3,
    0x30: _ENCRYPTION,
    0x31: link.GT64,
    0x32: _NAMED,
    0x33: _NAMED,
    0x34: _NAMED,
}
