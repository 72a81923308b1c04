# SPDX-License-Identifier: MIT
"""DMA on command: QEMU's edu copies between memory and 4 KiB of its own (docs/specs/edu.rst)."""

from __future__ import annotations

import time

import vfiocore
from vfiocore.lab.machines import MACHINES

NIC, EDU, EDU1 = (MACHINES["intel"].device(name).bdf for name in ("nic0", "edu", "edu1"))

# What the kernel says when either edu is stopped: VT-d, then virtio-iommu, which reports each word
# of a stray access, so that it is short.
FAULTS = r"DMAR:.*\[(0000:)?00:0[35]\.0\]|DMAR: DRHD: handling fault|page fault from EP (24|40) "
WORD = 4

SOURCE, DESTINATION, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98
START, TO_MEMORY = 1, 2
INSIDE = 0x40000

# The last address of one with 28 address bits, as it is by default.
HIGHEST = (1 << 28) - 1


class Edu:
    """An edu that may do DMA."""

    def __init__(self, device: vfiocore.Device) -> None:
        self.device, self.iommu, self._bar = device, device.iommu, device.bar(0)
        device.bus_master = True

    def take(self, iova: int, length: int) -> None:
        """Memory to edu."""
        self._run(iova, INSIDE, length, START)

    def give(self, iova: int, length: int) -> None:
        """Edu to memory: what it took last."""
        self._run(INSIDE, iova, length, START | TO_MEMORY)

    def _run(self, source: int, destination: int, length: int, command: int) -> None:
        for register, value in ((SOURCE, source), (DESTINATION, destination), (COUNT, length)):
            self._bar.write64(register, value)
        self._bar.write64(COMMAND, command)
        end = time.monotonic() + 60
        while self._bar.read64(COMMAND) & START:
            if time.monotonic() > end:
                raise TimeoutError("edu's DMA does not end")
            time.sleep(0.005)


def copies(edu: Edu, source: int, destination: int, length: int = 64) -> None:
    """Memory to memory."""
    edu.take(source, length)
    edu.give(destination, length)
