# SPDX-License-Identifier: MIT
"""Extended capabilities of a link: speeds, lanes, power, time.

Source: PCI Express Base 6.0, 7.7.3 to 7.7.8 and 7.8.2 to 7.8.3, 7.9.10 (readiness), 7.9.15 (PTM).
"""

from __future__ import annotations

from ..registers import Field, Layout, Register, flags
from .express import has_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = [
    "ALTERNATE_PROTOCOL",
    "DATA_LINK",
    "GT16",
    "GT32",
    "GT64",
    "LATENCY",
    "MARGINING",
    "READINESS",
    "SECONDARY",
    "SUBSTATES",
    "TIME",
]


def lanes(view: View) -> int:
    """The width of the link, from the PCI Express capability of the same function; at most 32."""
    if not has_link(view.port) or view.express is None:
        return 0
    low = view.space[view.express + 0x0C : view.express + 0x0E]
    return min(int.from_bytes(low, "little") >> 4 & 0x3F, 32)


# The preset and hint of one lane, of the downstream and the upstream side.
_LANE = (
    Field("downstream_preset", 0, 4),
    Field("downstream_hint", 4, 3),
    Field("upstream_preset", 8, 4),
    Field("upstream_hint", 12, 3),
)

SECONDARY = Layout(
    Register(
        "link_control3",
        0x04,
        4,
        *flags(0, "perform_equalization equalization_interrupt"),
        Field("lower_skp", 9, 7),
    ),
    Register("lane_errors", 0x08, 4),
    more=lambda view: (Register(f"lane{n}", 0x0C + 2 * n, 2, *_LANE) for n in range(lanes(view))),
)

DATA_LINK = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        Field("scaled_flow_control", 0),
        Field("other_local", 1, 22),
        Field("exchange", 31),
    ),
    Register(
        "status",
        0x08,
        4,
        Field("remote_scaled_flow_control", 0),
        Field("other_remote", 1, 22),
        Field("remote_valid", 31),
    ),
)

_PRESETS = (Field("downstream_preset", 0, 4), Field("upstream_preset", 4, 4))
_EQUALIZATION = flags(0, "complete phase1 phase2 phase3 request")


def _presets(at: int, view: View) -> Iterator[Register]:
    return (Register(f"lane{n}", at + n, 1, *_PRESETS) for n in range(lanes(view)))


GT16 = Layout(
    Register("capabilities", 0x04, 4),
    Register("control", 0x08, 4),
    Register("status", 0x0C, 4, *_EQUALIZATION),
    Register("local_parity", 0x10, 4),
    Register("retimer1_parity", 0x14, 4),
    Register("retimer2_parity", 0x18, 4),
    more=lambda view: _presets(0x20, view),
)

GT32 = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "bypass_equalization no_equalization"),
        *flags(8, "modified_ts0 modified_ts1 modified_ts2"),
    ),
    Register(
        "control",
        0x08,
        4,
        *flags(0, "bypass_disable no_equalization_disable"),
        Field("modified_ts", 8, 3),
    ),
    Register("status", 0x0C, 4, *_EQUALIZATION, *flags(5, "modified_ts")),
    Register("received_ts1", 0x10, 4),
    Register("received_ts2", 0x14, 4),
    Register("sent_ts1", 0x18, 4),
    Register("sent_ts2", 0x1C, 4),
    more=lambda view: _presets(0x20, view),
)

GT64 = Layout(
    Register("capabilities", 0x04, 4),
    Register("control", 0x08, 4),
    Register("status", 0x0C, 4, *_EQUALIZATION),
    more=lambda view: _presets(0x10, view),
)

_MARGIN = (
    Field("receiver", 0, 3),
    Field("type", 3, 3),
    Field("usage", 6),
    Field("payload", 8, 8),
)


def _margins(view: View) -> Iterator[Register]:
    for n in range(lanes(view)):
        yield Register(f"lane{n}_control", 0x08 + 4 * n, 2, *_MARGIN)
        yield Register(f"lane{n}_status", 0x0A + 4 * n, 2, *_MARGIN)


MARGINING = Layout(
    Register("capabilities", 0x04, 2, *flags(0, "needs_driver")),
    Register("status", 0x06, 2, *flags(0, "ready driver_ready")),
    more=_margins,
)

ALTERNATE_PROTOCOL = Layout(
    Register("capabilities", 0x04, 4, Field("count", 0, 8), Field("selective_enable", 8)),
    Register("control", 0x08, 4, Field("index", 0, 8), Field("global_enable", 8)),
    Register(
        "data1",
        0x0C,
        4,
        Field("usage", 0, 3),
        Field("details", 5, 11),
        Field("vendor", 16, 16, "{:04x}"),
    ),
    Register("data2", 0x10, 4),
    more=lambda view: (Register("selective", 0x14, 4),) if view.number(0x04, 2) & 0x100 else (),
)

_T_POWER_ON = ("x 2 us", "x 10 us", "x 100 us")
_NS_SCALE = tuple(f"x {32**n} ns" for n in range(6))
_SUBSTATES = "pcipm_l1_2 pcipm_l1_1 aspm_l1_2 aspm_l1_1"

SUBSTATES = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, f"{_SUBSTATES} substates link_activation"),
        Field("common_mode_restore", 8, 8, "{} us"),
        Field("power_on_scale", 16, 2, _T_POWER_ON),
        Field("power_on_value", 19, 5),
    ),
    Register(
        "control1",
        0x08,
        4,
        *flags(0, f"{_SUBSTATES} link_activation_interrupt link_activation"),
        Field("common_mode_restore", 8, 8, "{} us"),
        Field("threshold_value", 16, 10),
        Field("threshold_scale", 29, 3, _NS_SCALE),
    ),
    Register(
        "control2",
        0x0C,
        4,
        Field("power_on_scale", 0, 2, _T_POWER_ON),
        Field("power_on_value", 3, 5),
    ),
)

_LATENCY = (Field("value", 0, 10), Field("scale", 10, 3, _NS_SCALE), Field("required", 15))
LATENCY = Layout(
    Register("max_snoop", 0x04, 2, *_LATENCY),
    Register("max_no_snoop", 0x06, 2, *_LATENCY),
)


def _granularity(ns: int) -> str:
    return {0: "unknown", 255: "more than 254 ns"}.get(ns, f"{ns} ns")


TIME = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "requester responder root propagation_delay"),
        Field("granularity", 8, 8, _granularity),
    ),
    Register(
        "control", 0x08, 4, *flags(0, "enable root"), Field("granularity", 8, 8, _granularity)
    ),
)


def _ready(name: str, low: int) -> tuple[Field, ...]:
    return Field(f"{name}_value", low, 9), Field(f"{name}_scale", low + 9, 3, _NS_SCALE)


READINESS = Layout(
    Register("times1", 0x04, 4, *_ready("reset", 0), *_ready("link_up", 12), Field("valid", 31)),
    Register("times2", 0x08, 4, *_ready("flr", 0), *_ready("d3hot", 12)),
)
