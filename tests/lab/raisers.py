# SPDX-License-Identifier: MIT
"""Devices that raise an interrupt on command: what the table of test_irq_matrix.py is made of.

Each has the vector that fires, ``raise_one()``, and ``acknowledge()``, which is called when it was
seen; then a level is down.
"""

from __future__ import annotations

import struct
import time

import vfiocore


class Raiser:
    """``vector`` fires once for each ``raise_one()``. ``setup()`` comes when the set is armed."""

    vector = 0
    merged = 1000  # messages that one wait may take; 1: sent later, when two could become one

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
            self.bar.write32(self.ICR, self.cause)

    def acknowledge(self) -> None:
        self.bar.write32(self.ICR, self.cause)

    def stop(self) -> None:
        self.bar.write32(self.IMS, self.ALL)  # QEMU 7.2 aborts when an interval of MSI-X ends later
        self.bar.write32(self.IMC, self.ALL)
        self.bar.write32(0, self.bar.read32(0) | 1 << 26)


class Intel82576(Raiser):
    """MSI-X by EICS, the others by ICS, sections 7.3 and 8.8. ICR, ICS, IMS and IMC are used at the
    82574's addresses, as by Linux: QEMU's igb has them there only, and reads 0 at 0x1508.
    """

    ICR, ICS, IMS, IMC = 0xC0, 0xC8, 0xD0, 0xD8
    GPIE, EICS, EIMS, EIMC, EIAC = 0x1514, 0x1520, 0x1524, 0x1528, 0x152C
    MULTIPLE_MSIX = 1 << 4  # bit n of EICR is vector n
    LSC = 1 << 2
    ALL = 0xFFFFFFFF

    def setup(self) -> None:
        self.bar.write32(self.EIMC, self.ALL)
        self.bar.write32(self.IMC, self.ALL)
        if self.kind == "msix":
            self.vector = 5
            self.bar.write32(self.GPIE, self.MULTIPLE_MSIX)
            self.bar.write32(self.EIAC, 1 << self.vector)
            self.bar.write32(self.EIMS, 1 << self.vector)
        else:
            self.bar.write32(self.GPIE, 0)
            self.bar.write32(self.ICR, self.ALL)
            self.bar.write32(self.IMS, self.LSC)

    def raise_one(self) -> None:
        if self.kind == "msix":
            self.bar.write32(self.EICS, 1 << self.vector)
            return
        self.bar.write32(self.ICS, self.LSC)
        if self.kind == "msi":
            self.bar.write32(self.ICR, self.LSC)

    def acknowledge(self) -> None:
        self.bar.write32(self.ICR, self.LSC)

    def stop(self) -> None:
        self.bar.write32(self.EIMC, self.ALL)
        self.bar.write32(self.IMC, self.ALL)


class Nvme(Raiser):
    """A command each: Get Features in the admin queue, whose vector is 0 (NVM Express Base 1.4,
    sections 3.1, 4.6 and 5.14)."""

    merged = 1
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
        end = time.monotonic() + 60
        while self.bar.read32(self.CSTS) & 1 != control & 1:
            assert time.monotonic() < end
            time.sleep(0.001)

    def raise_one(self) -> None:
        at = self._tail * 64
        command = struct.pack("<I36xI20x", self.GET_FEATURES, self.NUMBER_OF_QUEUES)
        self._view[at : at + 64] = command
        self._tail = (self._tail + 1) % self.ENTRIES
        self.bar.write32(self.DOORBELLS, self._tail)

    def acknowledge(self) -> None:
        slot, phase = self._done % self.ENTRIES, 1 - self._done // self.ENTRIES % 2
        assert self._view[4096 + 16 * slot + 14] & 1 == phase
        self._done += 1
        self.bar.write32(self.DOORBELLS + self._stride, self._done % self.ENTRIES)

    def stop(self) -> None:
        self._switch(0)
        self._view.release()
        self._memory.close()


class VirtioNet(Raiser):
    """A command each: "promiscuous: no" in the control queue, a chain of two descriptors in a split
    ring (Virtual I/O Device 1.2, sections 2.7, 3.1, 4.1.4 and 5.1.6.5)."""

    merged = 1
    VENDOR, COMMON, NOTIFY, ISR = 0x9, 1, 2, 3
    SELECT, DRIVER_SELECT, DRIVER, STATUS = 0x00, 0x08, 0x0C, 0x14
    QUEUE, SIZE, QUEUE_VECTOR, QUEUE_ENABLE, QUEUE_NOTIFY = 0x16, 0x18, 0x1A, 0x1C, 0x1E
    DESCRIPTORS, AVAILABLE, USED = (0x20, 0), (0x28, 256), (0x30, 512)
    COMMAND, ANSWER = 1024, 1032
    CONTROL, ENTRIES = 2, 4  # the third queue, since only one pair was asked for
    CTRL_VQ, VERSION_1, ACCESS_PLATFORM = 1 << 17, 1 << 0, 1 << 1  # two of the upper half
    NEXT, WRITE = 1, 2

    def setup(self) -> None:
        self._places = {}
        snapshot = self.device.config.snapshot()
        for capability in snapshot.walk():
            if capability.id == self.VENDOR:
                at = capability.offset
                kind, bar, offset, more = struct.unpack_from("<3xBB3xI4xI", snapshot.data, at)
                self._places.setdefault(kind, (self.device.bar(bar), offset, more))
        self.bar, self._common, _ = self._places[self.COMMON]
        self._memory = self.device.iommu.alloc(4096)
        self._view = self._memory.view()
        self._view[:] = bytes(4096)
        self._features()
        self._queue()
        self.bar.write8(self._common + self.STATUS, 15)

    def _features(self) -> None:
        status = self._common + self.STATUS
        self.bar.write8(status, 0)
        while self.bar.read8(status):
            time.sleep(0.001)
        self.bar.write8(status, 3)
        for half, features in enumerate((self.CTRL_VQ, self.VERSION_1 | self.ACCESS_PLATFORM)):
            self.bar.write32(self._common + self.DRIVER_SELECT, half)
            self.bar.write32(self._common + self.DRIVER, features)
        self.bar.write8(status, 11)
        assert self.bar.read8(status) == 11

    def _queue(self) -> None:
        bar, common = self.bar, self._common
        bar.write16(common + self.QUEUE, self.CONTROL)
        bar.write16(common + self.SIZE, self.ENTRIES)
        if self.kind == "msix":
            self.vector = 2
            bar.write16(common + self.QUEUE_VECTOR, self.vector)
            assert bar.read16(common + self.QUEUE_VECTOR) == self.vector
        iova = self._memory.iova
        for register, offset in (self.DESCRIPTORS, self.AVAILABLE, self.USED):
            bar.write32(common + register, iova + offset & 0xFFFFFFFF)
            bar.write32(common + register + 4, iova + offset >> 32)
        command = struct.pack("<QIHH", iova + self.COMMAND, 3, self.NEXT, 1)
        answer = struct.pack("<QIHH", iova + self.ANSWER, 1, self.WRITE, 0)
        self._view[:32] = command + answer
        region, offset, multiplier = self._places[self.NOTIFY]
        self._doorbell = region, offset + bar.read16(common + self.QUEUE_NOTIFY) * multiplier
        bar.write16(common + self.QUEUE_ENABLE, 1)
        self._index = 0

    def raise_one(self) -> None:
        self._index = self._index + 1 & 0xFFFF  # every entry of the ring names the same chain
        struct.pack_into("<H", self._view, self.AVAILABLE[1] + 2, self._index)
        region, offset = self._doorbell
        region.write16(offset, self.CONTROL)

    def acknowledge(self) -> None:
        """To read it is what clears it (section 4.1.4.5)."""
        assert struct.unpack_from("<H", self._view, self.USED[1] + 2)[0] == self._index
        region, offset, _ = self._places[self.ISR]
        if self.kind == "intx":
            assert region.read8(offset) & 1

    def stop(self) -> None:
        self.bar.write8(self._common + self.STATUS, 0)
        self._view.release()
        self._memory.close()
