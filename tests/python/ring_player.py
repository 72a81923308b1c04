# SPDX-License-Identifier: MIT
"""The other side of a ring, for tests: a device of each style, played in Python."""

from __future__ import annotations

import ctypes

from vfiocore.ring import Ring, RingLayout, RingStyle

LAYOUTS = {
    "done": RingLayout(done=1, length_shift=32, length_bits=16),
    "report": RingLayout(done=1 << 32, report=1 << 27, errors=1 << 33, length_bits=16),
    "wide": RingLayout(
        done=3 << 62, size=32, address=16, control=24, length_shift=16, length_bits=16
    ),
    "head": RingLayout(style=RingStyle.HEAD, length_bits=16),
    "phase": RingLayout(style=RingStyle.PHASE, size=64, address=24, control=0, id_shift=16),
    "split": RingLayout(style=RingStyle.SPLIT, length_bits=32),
    "packed": RingLayout(style=RingStyle.PACKED, length_bits=32),
}
_AVAIL, _USED = 1 << 55, 1 << 63
_PHASE_ENTRY = 16


class Player:
    """It takes what was announced and finishes it when told, in any order where the style allows
    it. Its registers are ``bell`` and ``consumed``."""

    def __init__(self, layout: RingLayout) -> None:
        self.layout = layout
        self.bell, self.consumed = ctypes.c_uint32(0), ctypes.c_uint32(0)
        self.doorbell = ctypes.addressof(self.bell)
        self.taken: list[tuple[int, int]] = []  # descriptor, id
        self.head = self.tail = self.index = self.used = 0
        self.wrap = self.phase = True

    def follow(self, ring: Ring) -> None:
        self.ring = ring

    def _word(self, part: str, offset: int, kind: type = ctypes.c_uint64):  # type: ignore[no-untyped-def]
        """A word of the ring's memory, where the device would write by DMA."""
        return kind.from_address(getattr(self.ring._ring, part) + offset)  # type: ignore[attr-defined]

    def control(self, slot: int):  # type: ignore[no-untyped-def]
        return self._word("descriptors", slot * self.layout.size + self.layout.control)

    def address(self, slot: int) -> int:
        where = slot * self.layout.size + self.layout.address
        return int(self._word("descriptors", where).value)

    def _sees(self) -> bool:
        style = self.layout.style
        if style is RingStyle.SPLIT:
            return self.index & 0xFFFF != self._word("available", 2, ctypes.c_uint16).value
        if style is RingStyle.PACKED:
            control = self.control(self.head).value
            return bool(control & _AVAIL) == self.wrap != bool(control & _USED)
        return self.head != self.bell.value

    def take(self) -> int:
        """All that was announced."""
        count = len(self.taken)
        while self._sees():
            slot, style = self.head, self.layout.style
            if style is RingStyle.SPLIT:
                at = 4 + 2 * (self.index & (self.ring.entries - 1))
                slot = self._word("available", at, ctypes.c_uint16).value
                self.index += 1
            control = self.control(slot).value
            ids = {
                RingStyle.PHASE: control >> self.layout.id_shift,
                RingStyle.PACKED: control >> 32,
            }
            self.taken.append((slot, ids.get(style, slot) & 0xFFFF))
            self.head = (self.head + 1) % self.ring.entries
            self.wrap ^= self.head == 0
        return len(self.taken) - count

    def finish(self, which: int = 0, length: int = 60, status: int = 0) -> None:
        """One of those that were taken."""
        layout, style = self.layout, self.layout.style
        slot, number = self.taken.pop(which)
        if style is RingStyle.DONE:
            control = self.control(slot)
            if not layout.report or control.value & layout.report:
                control.value = layout.done | status | length << layout.length_shift
        elif style is RingStyle.HEAD:
            self._word("completions", 0).value = (slot + 1) % self.ring.entries
        else:
            self._entry(number, length)

    def _entry(self, number: int, length: int) -> None:
        if self.layout.style is RingStyle.PHASE:
            at = self.tail * _PHASE_ENTRY
            self._word("completions", at).value = length
            self._word("completions", at + 8).value = number << 32 | self.phase << 48
        elif self.layout.style is RingStyle.SPLIT:
            at = 4 + 8 * self.tail
            self._word("completions", at).value = number | length << 32
            self.used += 1
            self._word("completions", 2, ctypes.c_uint16).value = self.used
        else:
            flags = _AVAIL | _USED if self.phase else 0
            self.control(self.tail).value = length | number << 32 | flags
        self.tail = (self.tail + 1) % self.ring.entries
        self.phase ^= self.tail == 0
