# SPDX-License-Identifier: MIT
"""One transmit queue of an igb's virtual function: enough to make it read and write memory.

Source: Intel 82576EB datasheet, sections 7.2.2 (descriptors), 8.12 (transmit registers) and 8.26
(registers of a virtual function).
"""

from __future__ import annotations

import time

import vfiocore

TCTL, TCTL_EN = 0x400, 1 << 1
TDBAL, TDBAH, TDLEN, TDH, TDT, TXDCTL = 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3828
TXDCTL_ENABLE = 1 << 25

# Advanced data descriptor: end of packet, insert FCS, report status, extension, type 3.
COMMAND = 1 << 24 | 1 << 25 | 1 << 27 | 1 << 29 | 3 << 20
DONE = 1

RING_BYTES = 128  # the least that TDLEN takes: 8 descriptors


def allow(pf: vfiocore.Device) -> None:
    """What only the physical function can do: turn the transmitter on."""
    pf.bar(0).write32(TCTL, pf.bar(0).read32(TCTL) | TCTL_EN)


def frame() -> bytes:
    return b"\xff" * 6 + b"\x52\x54\x00\x76\x67\x80" + b"\x88\xb5" + bytes(46)


class Transmitter:
    """The first transmit queue, with its ring at `ring`, an IOVA."""

    def __init__(self, vf: vfiocore.Device, ring: int) -> None:
        self._bar = vf.bar(0)
        vf.bus_master = True
        for register, value in (
            (TDBAL, ring & 0xFFFF_FFFF),
            (TDBAH, ring >> 32),
            (TDLEN, RING_BYTES),
            (TDH, 0),
            (TXDCTL, TXDCTL_ENABLE),
        ):
            self._bar.write32(register, value)

    def start(self) -> None:
        """Let it fetch the first descriptor."""
        self._bar.write32(TDT, 1)


def descriptor(address: int, length: int) -> bytes:
    return b"".join(
        value.to_bytes(size, "little")
        for value, size in ((address, 8), (COMMAND | length, 4), (length << 14, 4))
    )


def is_done(ring: vfiocore.DmaBuffer) -> bool:
    return bool(ring[12] & DONE)


def finish(ring: vfiocore.DmaBuffer) -> None:
    """Wait until the device wrote its status into the descriptor."""
    end = time.monotonic() + 60
    while not is_done(ring):
        assert time.monotonic() < end, "the device did not write the descriptor back"
        time.sleep(0.001)
