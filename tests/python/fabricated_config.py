# SPDX-License-Identifier: MIT
"""Config spaces with all kinds of capabilities and random bits in them."""

from __future__ import annotations

import random
from collections.abc import Iterable

ENDPOINT, BRIDGE, CARDBUS = 0, 1, 2

# Bytes behind the header of each: as long as the structure, where its length is fixed.
STANDARD = {
    **{0x01: 6, 0x02: 10, 0x03: 6, 0x04: 2, 0x05: 22, 0x06: 2, 0x07: 14, 0x08: 26, 0x0A: 2},
    **{0x0B: 2, 0x0C: 6, 0x0D: 6, 0x0E: 10, 0x0F: 18, 0x10: 58, 0x11: 10, 0x12: 6, 0x13: 4},
    0x15: 34,
}
EXTENDED = {
    **{0x01: 68, 0x02: 36, 0x03: 8, 0x04: 12, 0x05: 28, 0x06: 8, 0x07: 8, 0x08: 36, 0x09: 36},
    **{0x0A: 16, 0x0B: 8, 0x0C: 4, 0x0D: 36, 0x0E: 4, 0x0F: 4, 0x10: 60, 0x11: 12, 0x12: 44},
    **{0x13: 12, 0x15: 48, 0x16: 44, 0x17: 8, 0x18: 4, 0x19: 72, 0x1A: 12, 0x1B: 4, 0x1C: 4},
    **{0x1D: 64, 0x1E: 12, 0x1F: 8, 0x20: 4, 0x21: 12, 0x22: 8, 0x23: 12, 0x24: 48, 0x25: 8},
    **{0x26: 60, 0x27: 132, 0x28: 12, 0x29: 12, 0x2A: 60, 0x2B: 20, 0x2C: 4, 0x2D: 4, 0x2E: 20},
    **{0x2F: 12, 0x30: 8, 0x31: 44, 0x32: 4, 0x33: 4, 0x34: 4},
}


class Fabricated:
    """Config space in the making: random bits, and lists that are right."""

    def __init__(self, seed: int, kind: int = ENDPOINT, vendor: int = 0x8086) -> None:
        self.random = random.Random(seed)
        self.space = bytearray(4096)
        self.space[0x04:0x40] = self.random.randbytes(0x3C)
        self.space[0:4] = vendor.to_bytes(2, "little") + b"\x34\x12"
        for upper in range(0x14, 0x28, 4):
            self.space[upper] &= 0xFE  # lspci takes the upper half of a BAR for one of ports
        self.space[0x06] |= 0x10
        self.space[0x0E] = kind
        self._last = 0x14 if kind == CARDBUS else 0x34
        self.space[self._last] = 0
        self._next = 0x48 if kind == CARDBUS else 0x40
        self._last_extended, self._next_extended = 0, 0x100

    def standard(self, id: int, body: bytes | None = None) -> int:
        """Append a capability; its offset."""
        at = self._next
        data = bytes((id, 0)) + (self.random.randbytes(STANDARD[id]) if body is None else body)
        assert at + len(data) <= 0x100
        self.space[at : at + len(data)] = data
        self.space[self._last] = at
        self._last, self._next = at + 1, (at + len(data) + 3) & ~3
        return at

    def extended(self, id: int, body: bytes | None = None, version: int = 1) -> int:
        """Append an extended capability; its offset."""
        at = self._next_extended
        data = self.random.randbytes(EXTENDED[id]) if body is None else body
        assert at + 4 + len(data) <= 0x1000
        self.space[at : at + 4] = (id | version << 16).to_bytes(4, "little")
        self.space[at + 4 : at + 4 + len(data)] = data
        if self._last_extended:
            link = int.from_bytes(self.space[self._last_extended + 2 :][:2], "little") & 0xF
            pointer = (link | at << 4).to_bytes(2, "little")
            self.space[self._last_extended + 2 : self._last_extended + 4] = pointer
        self._last_extended, self._next_extended = at, (at + 4 + len(data) + 3) & ~3
        return at

    def express(self, port: int, version: int = 2, slot: bool = False) -> int:
        """Append a PCI Express capability of that device/port type."""
        body = bytearray(self.random.randbytes(STANDARD[0x10]))
        body[0] = version | port << 4
        body[1] = body[1] & 0x3E | slot
        return self.standard(0x10, bytes(body))

    def bytes(self) -> bytes:
        return bytes(self.space)


def with_extended(seed: int, ids: Iterable[int], port: int = 0) -> bytes:
    """A PCI Express function with these extended capabilities."""
    made = Fabricated(seed)
    made.express(port, slot=port in (4, 6))
    for id in ids:
        body = bytearray(made.random.randbytes(EXTENDED[id]))
        # Counts that would make the structure longer than its place.
        if id in (0x02, 0x08, 0x09):
            body[0] = body[0] & 0xF8 | 1
        elif id == 0x10:
            for bar in range(0x20, 0x38, 4):
                body[bar] &= 0xFC  # of memory, 32 or 64 bits
            body[0x34] &= 0xF8  # nothing is left for the other half
        elif id == 0x18:
            body[1] &= ~0x10  # lspci has odd numbers for reserved scales
            body[3] &= ~0x10
        elif id == 0x05:
            body[1] = 1
        elif id == 0x17:
            body[1] &= ~0x06
        elif id == 0x0D:
            body[1] = 64
        made.extended(id, bytes(body), version=2 if id == 0x07 else 1)
    return made.bytes()
