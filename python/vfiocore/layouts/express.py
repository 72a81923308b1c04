# SPDX-License-Identifier: MIT
"""The PCI Express capability.

Source: PCI Express Base 6.0, 7.5.3.
"""

from __future__ import annotations

from ..registers import Field, Layout, Register, flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["EXPRESS", "SPEED", "has_link", "port_type"]

_TYPE = {
    0: "endpoint",
    1: "legacy endpoint",
    4: "root port",
    5: "upstream port",
    6: "downstream port",
    7: "PCI Express to PCI bridge",
    8: "PCI to PCI Express bridge",
    9: "root complex integrated endpoint",
    10: "root complex event collector",
}
_ROOT_PORT, _DOWNSTREAM, _TO_EXPRESS, _INTEGRATED, _COLLECTOR = 4, 6, 8, 9, 10

_RATES = ("2.5", "5", "8", "16", "32", "64")
SPEED = {i + 1: f"{rate} GT/s" for i, rate in enumerate(_RATES)}
_PAYLOAD = {n: f"{128 << n} bytes" for n in range(6)}
_L0S = ("64 ns", "128 ns", "256 ns", "512 ns", "1 us", "2 us", "4 us", "unlimited")
_L0S_EXIT = (*_L0S[:-1], "more than 4 us")
_L1 = ("1 us", "2 us", "4 us", "8 us", "16 us", "32 us", "64 us", "unlimited")
_L1_EXIT = (*_L1[:-1], "more than 64 us")
_ASPM = ("none", "L0s", "L1", "L0s and L1")
_PHANTOM = ("none", "1 bit", "2 bits", "3 bits")
_INDICATOR = {1: "on", 2: "blink", 3: "off"}
_LINE = ("INTA", "INTB", "INTC", "INTD")
_RANGES = {0: "none", 1: "A", 2: "B", 3: "A B", 6: "B C", 7: "A B C", 14: "B C D", 15: "A B C D"}
_TIMEOUT = {
    **{0: "50 us to 50 ms", 1: "50 us to 100 us", 2: "1 ms to 10 ms", 5: "16 ms to 55 ms"},
    **{6: "65 ms to 210 ms", 9: "260 ms to 900 ms", 10: "1 s to 3.5 s", 13: "4 s to 13 s"},
    14: "17 s to 64 s",
}
_TPH = {0: "none", 1: "TPH", 3: "TPH and extended TPH"}
_OBFF = ("none", "message", "WAKE#", "message and WAKE#")
_OBFF_ON = ("off", "message A", "message B", "WAKE#")
_DEEMPHASIS = ("-6 dB", "-3.5 dB")
_POWER_SCALE = (1.0, 0.1, 0.01, 0.001)


def _speeds(value: int) -> str:
    return " ".join(rate for bit, rate in enumerate(_RATES) if value >> bit & 1) + " GT/s"


_FLAGS = Register(
    "flags",
    0x02,
    2,
    Field("version", 0, 4),
    Field("type", 4, 4, _TYPE),
    Field("slot", 8),
    Field("interrupt", 9, 5),
    Field("flit_mode", 15),
)
_DEVICE = (
    Register(
        "device_capabilities",
        0x04,
        4,
        Field("max_payload", 0, 3, _PAYLOAD),
        Field("phantom_functions", 3, 2, _PHANTOM),
        Field("extended_tag", 5),
        Field("l0s_latency", 6, 3, _L0S),
        Field("l1_latency", 9, 3, _L1),
        *flags(12, "attention_button attention_indicator power_indicator role_based_errors"),
        Field("error_subclass", 16),
        Field("slot_power", 18, 8),
        Field("slot_power_scale", 26, 2, tuple(f"x {scale:g} W" for scale in _POWER_SCALE)),
        Field("flr", 28),
    ),
    Register(
        "device_control",
        0x08,
        2,
        *flags(0, "correctable nonfatal fatal unsupported relaxed_ordering"),
        Field("max_payload", 5, 3, _PAYLOAD),
        *flags(8, "extended_tag phantom_functions aux_power no_snoop"),
        Field("max_read_request", 12, 3, _PAYLOAD),
        Field("flr", 15),  # of a bridge to PCI: configuration retry
    ),
    Register(
        "device_status",
        0x0A,
        2,
        *flags(0, "correctable nonfatal fatal unsupported aux_power transactions_pending"),
        Field("emergency_power_reduction", 6),
    ),
)
_LINK = (
    Register(
        "link_capabilities",
        0x0C,
        4,
        Field("speed", 0, 4, SPEED),
        Field("width", 4, 6, "x{}"),
        Field("aspm", 10, 2, _ASPM),
        Field("l0s_exit", 12, 3, _L0S_EXIT),
        Field("l1_exit", 15, 3, _L1_EXIT),
        *flags(18, "clock_pm surprise_down link_active bandwidth_notification aspm_optionality"),
        Field("port", 24, 8),
    ),
    Register(
        "link_control",
        0x10,
        2,
        Field("aspm", 0, 2, _ASPM),
        Field("read_completion_boundary", 3, 1, ("64 bytes", "128 bytes")),
        *flags(4, "disable retrain common_clock extended_synch clock_pm"),
        *flags(9, "autonomous_width_disable bandwidth_interrupt autonomous_bandwidth_interrupt"),
    ),
    Register(
        "link_status",
        0x12,
        2,
        Field("speed", 0, 4, SPEED),
        Field("width", 4, 6, "x{}"),
        *flags(10, "training_error training slot_clock link_active bandwidth autonomous_bandwidth"),
    ),
)
_SLOT = (
    Register(
        "slot_capabilities",
        0x14,
        4,
        *flags(0, "attention_button power_controller latch_sensor attention_indicator"),
        *flags(4, "power_indicator surprise hotplug"),
        Field("power_limit", 7, 8),
        Field("power_scale", 15, 2, tuple(f"x {scale:g} W" for scale in _POWER_SCALE)),
        *flags(17, "interlock no_command_completed"),
        Field("slot", 19, 13),
    ),
    Register(
        "slot_control",
        0x18,
        2,
        *flags(0, "attention_button power_fault latch_changed presence_changed command_completed"),
        Field("hotplug_interrupt", 5),
        Field("attention_indicator", 6, 2, _INDICATOR),
        Field("power_indicator", 8, 2, _INDICATOR),
        *flags(10, "power_off interlock link_changed"),
    ),
    Register(
        "slot_status",
        0x1A,
        2,
        *flags(0, "attention_button power_fault latch_changed presence_changed command_completed"),
        *flags(5, "latch_open presence interlock link_changed"),
    ),
)
_ROOT = (
    Register(
        "root_control", 0x1C, 2, *flags(0, "correctable nonfatal fatal pme_interrupt crs_visible")
    ),
    Register("root_capabilities", 0x1E, 2, *flags(0, "crs_visible")),
    Register(
        "root_status",
        0x20,
        4,
        Field("pme_requester", 0, 16, "{:04x}"),
        *flags(16, "pme_status pme_pending"),
    ),
)
_DEVICE2 = (
    Register(
        "device_capabilities2",
        0x24,
        4,
        Field("timeout_ranges", 0, 4, _RANGES),
        *flags(4, "timeout_disable ari atomic_routing atomic_32 atomic_64 cas_128"),
        *flags(10, "no_relaxed_routing ltr"),
        Field("tph_completer", 12, 2, _TPH),
        Field("ln_system_cls", 14, 2),
        *flags(16, "tag_10_completer tag_10_requester"),
        Field("obff", 18, 2, _OBFF),
        *flags(20, "extended_format tlp_prefix"),
        Field("max_tlp_prefixes", 22, 2, ("4", "1", "2", "3")),
        Field("emergency_power", 24, 2),
        *flags(26, "emergency_power_init - - - - frs"),
    ),
    Register(
        "device_control2",
        0x28,
        2,
        Field("timeout", 0, 4, _TIMEOUT),
        *flags(4, "timeout_disable ari atomic_requester atomic_egress_block ido_request"),
        *flags(9, "ido_completion ltr emergency_power_request tag_10_requester"),
        Field("obff", 13, 2, _OBFF_ON),
        Field("tlp_prefix_block", 15),
    ),
    Register("device_status2", 0x2A, 2),
)
_LINK2 = (
    Register(
        "link_capabilities2",
        0x2C,
        4,
        Field("speeds", 1, 7, _speeds),
        Field("crosslink", 8),
        Field("lower_skp_generation", 9, 7, _speeds),
        Field("lower_skp_reception", 16, 7, _speeds),
        *flags(23, "retimer two_retimers"),
        Field("drs", 31),
    ),
    Register(
        "link_control2",
        0x30,
        2,
        # Zero is allowed where there is only one speed (7.5.3.19).
        Field("target_speed", 0, 4, {0: SPEED[1], **SPEED}),
        *flags(4, "enter_compliance autonomous_speed_disable"),
        Field("selectable_deemphasis", 6, 1, _DEEMPHASIS),
        Field("transmit_margin", 7, 3),
        *flags(10, "modified_compliance compliance_sos"),
        Field("compliance_preset", 12, 4),
    ),
    Register(
        "link_status2",
        0x32,
        2,
        Field("deemphasis", 0, 1, _DEEMPHASIS),
        *flags(1, "equalization phase1 phase2 phase3 equalization_request retimer two_retimers"),
        Field("crosslink", 8, 2, ("unsupported", "upstream", "downstream", "incomplete")),
        Field("downstream_component", 12, 3),
        Field("drs", 15),
    ),
)
_SLOT2 = (
    Register("slot_capabilities2", 0x34, 4),
    Register("slot_control2", 0x38, 2),
    Register("slot_status2", 0x3A, 2),
)


def port_type(flags: int) -> int:
    """The device/port type in the capability's flags."""
    return flags >> 4 & 0xF


def has_link(port: int | None) -> bool:
    """Whether a function of that device/port type has a link of its own."""
    return port not in (None, _INTEGRATED, _COLLECTOR)


def _registers(view: View) -> Iterator[Register]:
    flags_ = view.number(0x02, 2)
    port, version = port_type(flags_), flags_ & 0xF
    slot = flags_ & 0x100 and port in (_ROOT_PORT, _DOWNSTREAM)
    yield from _LINK if has_link(port) else ()
    yield from _SLOT if slot else ()
    yield from _ROOT if port in (_ROOT_PORT, _COLLECTOR) else ()
    if version >= 2:
        yield from _DEVICE2
        yield from _LINK2 if has_link(port) else ()
        yield from _SLOT2 if slot else ()


EXPRESS = Layout(_FLAGS, *_DEVICE, more=_registers)
