# SPDX-License-Identifier: MIT
"""Extended capabilities for errors and their containment.

Source: PCI Express Base 6.0, 7.8.4 (advanced error reporting), 7.9.14 (downstream port
containment).
"""

from __future__ import annotations

from ..registers import Field, Layout, Register, flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["CONTAINMENT", "ERRORS"]

_UNCORRECTABLE = (
    *flags(4, "data_link surprise_down - - - - - - poisoned flow_control completion_timeout"),
    *flags(15, "completer_abort unexpected_completion receiver_overflow malformed ecrc"),
    *flags(20, "unsupported acs_violation internal multicast_blocked atomic_blocked"),
    *flags(
        25, "tlp_prefix_blocked poisoned_egress dmwr_blocked ide_check ide_misrouted pcrc_check"
    ),
)
_CORRECTABLE = (
    *flags(0, "receiver - - - - - bad_tlp bad_dllp replay_rollover - - - replay_timeout"),
    *flags(13, "advisory_nonfatal internal header_log_overflow"),
)
_ROOT = (4, 10)  # port types: root port, root complex event collector
_PREFIX_PRESENT = 1 << 11


def _errors(view: View) -> Iterator[Register]:
    if view.port in _ROOT:
        yield Register("root_command", 0x2C, 4, *flags(0, "correctable nonfatal fatal"))
        yield Register(
            "root_status",
            0x30,
            4,
            *flags(0, "correctable multiple_correctable uncorrectable multiple_uncorrectable"),
            *flags(4, "first_fatal nonfatal fatal"),
            Field("interrupt", 27, 5),
        )
        yield Register(
            "error_source",
            0x34,
            4,
            Field("correctable", 0, 16, "{:04x}"),
            Field("uncorrectable", 16, 16, "{:04x}"),
        )
    if view.number(0x18, 4) & _PREFIX_PRESENT:
        yield from (Register(f"prefix_log{n}", 0x38 + 4 * n, 4) for n in range(4))


ERRORS = Layout(
    Register("uncorrectable_status", 0x04, 4, *_UNCORRECTABLE),
    Register("uncorrectable_mask", 0x08, 4, *_UNCORRECTABLE),
    Register("uncorrectable_severity", 0x0C, 4, *_UNCORRECTABLE),
    Register("correctable_status", 0x10, 4, *_CORRECTABLE),
    Register("correctable_mask", 0x14, 4, *_CORRECTABLE),
    Register(
        "control",
        0x18,
        4,
        Field("first_error", 0, 5),
        *flags(5, "ecrc_generation_capable ecrc_generation ecrc_check_capable ecrc_check"),
        *flags(9, "multiple_headers_capable multiple_headers prefix_log completion_timeout_log"),
    ),
    *(Register(f"header_log{n}", 0x1C + 4 * n, 4) for n in range(4)),
    more=_errors,
)

_TRIGGER = ("off", "on fatal errors", "on fatal and non-fatal errors")
_REASON = ("uncorrectable error", "non-fatal message", "fatal message", "see reason_extension")
_EXTENSION = ("RP PIO error", "software", "reserved", "reserved")
_PIO = (
    *flags(0, "config_unsupported config_abort config_timeout - - - - -"),
    *flags(8, "io_unsupported io_abort io_timeout - - - - -"),
    *flags(16, "memory_unsupported memory_abort memory_timeout"),
)


def _containment(view: View) -> Iterator[Register]:
    capabilities = view.number(0x04, 2)
    if not capabilities & 0x20:  # root port extensions
        return
    for n, name in enumerate(("status", "mask", "severity", "system_error", "exception")):
        yield Register(f"pio_{name}", 0x0C + 4 * n, 4, *_PIO)
    size = capabilities >> 8 & 0xF
    names = [f"pio_header_log{n}" for n in range(4)] + ["pio_specific_log"]
    names += [f"pio_prefix_log{n}" for n in range(4)]
    yield from (Register(name, 0x20 + 4 * n, 4) for n, name in enumerate(names[:size]))


CONTAINMENT = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        Field("interrupt", 0, 5),
        *flags(5, "root_port_extensions poisoned_egress software_trigger"),
        Field("pio_log_size", 8, 4, "{} dwords"),
        Field("link_active_errors", 12),
    ),
    Register(
        "control",
        0x06,
        2,
        Field("trigger", 0, 2, _TRIGGER),
        Field("completion", 2, 1, ("completer abort", "unsupported request")),
        *flags(3, "interrupt correctable poisoned_egress software_trigger link_active_errors"),
    ),
    Register(
        "status",
        0x08,
        2,
        Field("triggered", 0),
        Field("reason", 1, 2, _REASON),
        *flags(3, "interrupt busy"),
        Field("reason_extension", 5, 2, _EXTENSION),
        Field("first_pio_error", 8, 5),
    ),
    Register("source", 0x0A, 2),
    more=_containment,
)
