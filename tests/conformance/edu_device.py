# SPDX-License-Identifier: MIT
"""DMA by a device on command: edu copies between memory and a buffer of its own.

QEMU docs/specs/edu.rst. It has 28 address bits.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Callable

import vfiocore
from vfiocore.lab.kmsg import KernelLog
from vfiocore.lab.machines import MACHINES

# What the kernel says of DMA that was stopped.
FAULTS = r"DMAR:.*\[(0000:)?00:03\.0\]|DMAR: DRHD: handling fault"

EDU = MACHINES["intel"].device("edu").bdf
SOURCE, DESTINATION, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98
START, TO_MEMORY = 1, 2
INSIDE = 0x40000
HIGHEST = (1 << 28) - 1
SIZE = 256
PAGE = mmap.PAGESIZE


class Edu:
    def __init__(self, device: vfiocore.Device) -> None:
        self.device, self.iommu, self.bar = device, device.iommu, device.bar(0)
        device.bus_master = True
        self.log = KernelLog()

    def _run(self, source: int, destination: int, command: int) -> None:
        for register, value in ((SOURCE, source), (DESTINATION, destination), (COUNT, SIZE)):
            self.bar.write64(register, value)
        self.bar.write64(COMMAND, command | START)
        end = time.monotonic() + 5
        while self.bar.read64(COMMAND) & START:
            assert time.monotonic() < end, "edu's DMA does not end"
            time.sleep(0.01)

    def take(self, iova: int) -> None:
        """Memory to edu."""
        self._run(iova, INSIDE, 0)

    def give(self, iova: int) -> None:
        """Edu to memory."""
        self._run(INSIDE, iova, TO_MEMORY)

    def is_stopped(self, operate: Callable[[int], None], iova: int) -> bool:
        """Whether the IOMMU reports this device and address when it tries.

        Tried again after a while: the kernel reports ten faults in five seconds and no more
        (dmar_fault() in drivers/iommu/intel/dmar.c).
        """
        pattern = re.compile(
            # Linux 7 names the domain, too.
            rf"DMAR:.*\[(0000:)?00:03\.0\].*fault addr 0x{iova & ~(PAGE - 1):x} "
        )
        for _ in range(3):
            self.log.new()
            operate(iova)
            time.sleep(0.05)
            if any(pattern.search(text) for text in self.log.new()):
                return True
            time.sleep(5.5)
        return False
