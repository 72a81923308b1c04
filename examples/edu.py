# SPDX-License-Identifier: MIT
"""A whole driver, for QEMU's teaching device "edu" (QEMU docs/specs/edu.rst).

Registers, an interrupt, and DMA by a device that has 28 address bits:

    vfio bind 0000:00:03.0
    python edu.py 0000:00:03.0
"""

import os
import sys

import vfiocore

ID, LIVENESS, FACTORIAL, STATUS, IRQ_STATUS, IRQ_ACK = 0x00, 0x04, 0x08, 0x20, 0x24, 0x64
SOURCE, DESTINATION, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98
STATUS_IRQ, IRQ_FACTORIAL, IRQ_DMA = 0x80, 1, 0x100
START, TO_MEMORY, RAISE = 1, 2, 4
INSIDE = 0x40000  # its own 4,096 bytes; half of them are used, as QEMU aborts at the last
LENGTH = 2048
HIGHEST = (1 << 28) - 1


class Edu:
    """An edu that may do DMA and raise MSIs."""

    def __init__(self, device: vfiocore.Device) -> None:
        self.bar = device.bar(0)
        if self.bar.read32(ID) & 0xFFFF != 0x00ED:
            raise SystemExit(f"{device.name} is no edu: it says {self.bar.read32(ID):#x}")
        # An MSI is a write by the device. Without bus mastering it has neither DMA nor interrupts.
        device.bus_master = True
        self.irqs = device.irqs("msi", 1)

    def alive(self) -> bool:
        """The device answers with the complement of what was written."""
        self.bar.write32(LIVENESS, 0x12345678)
        return self.bar.read32(LIVENESS) == 0x12345678 ^ 0xFFFFFFFF

    def factorial(self, number: int) -> int:
        """number!, modulo 2^32."""
        self.bar.write32(STATUS, STATUS_IRQ)
        self.bar.write32(FACTORIAL, number)
        self._finish(IRQ_FACTORIAL)
        return self.bar.read32(FACTORIAL)

    def take(self, iova: int, length: int) -> None:
        """Copy from memory into the device."""
        self._copy(iova, INSIDE, length, 0)

    def give(self, iova: int, length: int) -> None:
        """Copy what the device took last into memory."""
        self._copy(INSIDE, iova, length, TO_MEMORY)

    def _copy(self, source: int, destination: int, length: int, command: int) -> None:
        self.bar.write64(SOURCE, source)
        self.bar.write64(DESTINATION, destination)
        self.bar.write64(COUNT, length)
        self.bar.write64(COMMAND, command | START | RAISE)
        self._finish(IRQ_DMA)

    def _finish(self, reason: int) -> None:
        """Sleep until the device raises its interrupt, and acknowledge it."""
        self.irqs[0].wait(timeout=5)
        status = self.bar.read32(IRQ_STATUS)
        self.bar.write32(IRQ_ACK, status)
        if status != reason:
            raise SystemExit(f"the interrupt came for {status:#x}, not for {reason:#x}")


if len(sys.argv) != 2:
    sys.exit("usage: edu.py DEVICE (0000:00:03.0)")
with vfiocore.open(sys.argv[1]) as device:
    edu = Edu(device)
    with edu.irqs, device.iommu.alloc(2 * LENGTH, highest=HIGHEST) as memory:
        print(f"alive: {edu.alive()}")
        print(f"10! is {edu.factorial(10)}")
        memory[:LENGTH] = os.urandom(LENGTH)
        edu.take(memory.iova, LENGTH)
        edu.give(memory.iova + LENGTH, LENGTH)
        if bytes(memory[:LENGTH]) != bytes(memory[LENGTH:]):
            sys.exit("what came back is not what was sent")
        print(f"{LENGTH} bytes went there and back at IOVA {memory.iova:#x}")
        device.bus_master = False  # no DMA is under way when the memory is freed
