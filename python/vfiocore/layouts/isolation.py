# SPDX-License-Identifier: MIT
"""Extended capabilities for address translation, isolation and virtual functions.

Source: PCI Express Base 6.0, 7.7.11 (ACS), 7.8.8 (ARI), 7.8.9 (PASID), 9.3.3 (SR-IOV), 10.5 (ATS,
page requests).
"""

from __future__ import annotations

from ..registers import ADDRESS, HEX, Field, Layout, Register, flags
from .header import bars

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..registers import View

__all__ = ["ACCESS_CONTROL", "ALTERNATIVE_ID", "PAGE_REQUEST", "PASID", "TRANSLATION", "VIRTUAL"]

_ACCESS = (
    *flags(0, "source_validation translation_blocking request_redirect completion_redirect"),
    *flags(4, "upstream_forwarding egress_control direct_translated"),
)


def _egress_vector(view: View) -> Iterator[Register]:
    capabilities = view.number(0x04, 2)
    if capabilities & 0x20:
        bits = capabilities >> 8 or 256
        for n in range((bits + 31) // 32):
            yield Register(f"egress_vector{n}", 0x08 + 4 * n, 4)


ACCESS_CONTROL = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        *_ACCESS,
        Field("enhanced", 7),
        Field("egress_vector_size", 8, 8, "{} bits"),
    ),
    Register("control", 0x06, 2, *_ACCESS, Field("io_request_blocking", 7)),
    more=_egress_vector,
)

ALTERNATIVE_ID = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        *flags(0, "mfvc_groups acs_groups"),
        Field("next_function", 8, 8),
    ),
    Register("control", 0x06, 2, *flags(0, "mfvc_groups acs_groups"), Field("group", 4, 3)),
)

TRANSLATION = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        Field("queue_depth", 0, 5, lambda depth: str(depth or 32)),
        *flags(5, "page_aligned global_invalidate relaxed_ordering"),
    ),
    Register(
        "control",
        0x06,
        2,
        Field("smallest_unit", 0, 5, lambda power: f"{4096 << power} bytes"),
        Field("enable", 15),
    ),
)

PAGE_REQUEST = Layout(
    Register("control", 0x04, 2, *flags(0, "enable reset")),
    Register(
        "status",
        0x06,
        2,
        *flags(0, "response_failure unexpected_group"),
        *flags(8, "stopped - - - - - - pasid_required"),
    ),
    Register("capacity", 0x08, 4, Field("requests", 0, 32)),
    Register("allocation", 0x0C, 4, Field("requests", 0, 32)),
)

PASID = Layout(
    Register(
        "capabilities",
        0x04,
        2,
        *flags(1, "execute privileged"),
        Field("width", 8, 5, "{} bits"),
    ),
    Register("control", 0x06, 2, *flags(0, "enable execute privileged")),
)


def _virtual(view: View) -> Iterator[Register]:
    yield from bars(view, 0x24, 6)
    yield Register("migration_state", 0x3C, 4, Field("bar", 0, 3), Field("address", 3, 29, ADDRESS))


def page_sizes(bits: int) -> str:
    """The page sizes in a register with a bit for each, from 4 KiB on."""
    return " ".join(f"{4 << bit} KiB" for bit in range(32) if bits >> bit & 1) or "none"


VIRTUAL = Layout(
    Register(
        "capabilities",
        0x04,
        4,
        *flags(0, "migration ari_preserved tag_10_requester"),
        Field("migration_interrupt", 21, 11),
    ),
    Register(
        "control",
        0x08,
        2,
        *flags(0, "enable migration migration_interrupt memory ari tag_10_requester"),
    ),
    Register("status", 0x0A, 2, *flags(0, "migration")),
    Register("initial_vfs", 0x0C, 2, Field("count", 0, 16)),
    Register("total_vfs", 0x0E, 2, Field("count", 0, 16)),
    Register("vfs", 0x10, 2, Field("count", 0, 16)),
    Register("dependency_link", 0x12, 1, meaning=HEX),
    Register("first_vf", 0x14, 2, Field("distance", 0, 16)),
    Register("vf_stride", 0x16, 2, Field("distance", 0, 16)),
    Register("vf_device", 0x1A, 2),
    Register("page_sizes", 0x1C, 4, Field("supported", 0, 32, page_sizes)),
    Register("page_size", 0x20, 4, Field("in_use", 0, 32, page_sizes)),
    more=_virtual,
)
