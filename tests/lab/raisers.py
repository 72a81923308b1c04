# SPDX-License-Identifier: MIT
"""Devices that raise an interrupt on command: what the table of test_irq_matrix.py is made of.

Each has the vector that fires, ``raise_one()``, and ``acknowledge()``, after which a level is down.
"""

from __future__ import annotations

import struct
import time

import vfiocore


class Raiser:
    """``vector`` fires once for each ``raise_one()``. ``setup()`` comes when the set is armed."""

    vector = 0

    def __init__(self, device: vfiocore.Device, kind: str) -> None:
        self.device, self.kind, self.bar = device, kind, device.bar(0)
        self.setup()

    def setup(self) -> None: ...
    def raise_one(self) -> None:
        raise NotImplementedError

    def acknowledge(self) -> None: ...
    def stop(self) -> None: ...


class Edu(Raiser):
    """QEMU docs/specs/edu.rst: the line is up, or a message sent, when a bit of status is set."""

    def raise_one(self) -> None:
        self.bar.write32(0x60, 1)

    def acknowledge(self) -> None:
        self.bar.write32(0x64, 1)

    def stop(self) -> None:
        self.acknowledge()


class Intel82574(Raiser):
    """By ICS, sections 7.4 and 10.2.4.

    A vector is throttled by EITR, messages and the line by ITR, and QEMU 7.2 knows no interval of
    less than 128 us. What comes earlier it puts off, and then forgets it (MSI) or, from then on and
    until the device is plugged in again, has each interrupt of that vector followed by another one
    (MSI-X). CTRL_EXT's INT_TIMERS_CLEAR_ENA has a write of all of IMS end the intervals.
    """

    ICR, ICS, IMS, IMC, EIAC, IVAR, CTRL_EXT = 0xC0, 0xC8, 0xD0, 0xD8, 0xDC, 0xE4, 0x18
    TXQ1, LSC, CLEAR_TIMERS = 1 << 23, 1 << 2, 1 << 29
    ALL = 0xFFFFFFFF

    def setup(self) -> None:
        self.bar.write32(self.IMC, self.ALL)
        self.bar.write32(self.ICR, self.ALL)
        self.bar.modify32(self.CTRL_EXT, 0, self.CLEAR_TIMERS)
        self.cause = self.LSC
        if self.kind == "msix":  # a message clears its cause, and masks it
            self.vector, self.cause = 3, self.TXQ1
            self.bar.write32(self.IVAR, (0x8 | self.vector) << 12)
            self.bar.write32(self.EIAC, self.cause)

    def raise_one(self) -> None:
        self.bar.write32(self.IMS, self.ALL)
        self.bar.write32(self.ICS, self.cause)
        if self.kind == "msi":
            self.acknowledge()

    def acknowledge(self) -> None:
        self.bar.write32(self.ICR, self.cause)

    def stop(self) -> None:
        self.bar.write32(self.IMS, self.ALL)  # QEMU 7.2 aborts when an interval of MSI-X ends later
        self.bar.write32(self.IMC, self.ALL)
        self.bar.write32(0, self.bar.read32(0) | 1 << 26)


class Intel82576(Raiser):
    """MSI-X by EICS, sections 7.3 and 8.8. QEMU 10.0's IMS stays 0: it raises no other type."""

    GPIE, EICS, EIMS, EIMC, EIAC = 0x1514, 0x1520, 0x1524, 0x1528, 0x152C
    MULTIPLE_MSIX = 1 << 4  # bit n of EICR is vector n

    def setup(self) -> None:
        self.vector = 5
        self.bar.write32(self.EIMC, 0xFFFFFFFF)
        self.bar.write32(self.GPIE, self.MULTIPLE_MSIX)
        self.bar.write32(self.EIAC, 1 << self.vector)
        self.bar.write32(self.EIMS, 1 << self.vector)

    def raise_one(self) -> None:
        self.bar.write32(self.EICS, 1 << self.vector)

    def stop(self) -> None:
        self.bar.write32(self.EIMC, 0xFFFFFFFF)


class Nvme(Raiser):
    """A command each: Get Features in the admin queue, whose vector is 0 (NVM Express Base 1.4,
    sections 3.1, 4.6 and 5.14)."""

    CAP, CC, CSTS, AQA, ASQ, ACQ, DOORBELLS = 0x0, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
    ENTRIES = 16
    ENABLE = 1 | 6 << 16 | 4 << 20
    GET_FEATURES, NUMBER_OF_QUEUES = 0x0A, 0x07

    def setup(self) -> None:
        self._stride = 4 << (self.bar.read64(self.CAP) >> 32 & 0xF)
        self._switch(0)
        self._memory = self.device.iommu.alloc(8192)
        self._view = self._memory.view()
        self._view[:] = bytes(8192)
        self.bar.write32(self.AQA, (self.ENTRIES - 1) << 16 | (self.ENTRIES - 1))
        self.bar.write64(self.ASQ, self._memory.iova)
        self.bar.write64(self.ACQ, self._memory.iova + 4096)
        self._tail = self._done = 0
        self._switch(self.ENABLE)

    def _switch(self, control: int) -> None:
        self.bar.write32(self.CC, control)
        end = time.monotonic() + 5
        while self.bar.read32(self.CSTS) & 1 != control & 1:
            assert time.monotonic() < end
            time.sleep(0.001)

    def raise_one(self) -> None:
        """Until its completion stands in memory: a device merges those that come together."""
        at = self._tail * 64
        command = struct.pack("<I36xI20x", self.GET_FEATURES, self.NUMBER_OF_QUEUES)
        self._view[at : at + 64] = command
        self._tail = (self._tail + 1) % self.ENTRIES
        self.bar.write32(self.DOORBELLS, self._tail)
        slot, phase = self._done % self.ENTRIES, 1 - self._done // self.ENTRIES % 2
        end = time.monotonic() + 5
        while self._view[4096 + 16 * slot + 14] & 1 != phase:
            assert time.monotonic() < end
        self._done += 1
        if self.kind == "msix":
            self.acknowledge()

    def acknowledge(self) -> None:
        self.bar.write32(self.DOORBELLS + self._stride, self._done % self.ENTRIES)

    def stop(self) -> None:
        self._switch(0)
        self._view.release()
        self._memory.close()
