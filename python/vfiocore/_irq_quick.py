# SPDX-License-Identifier: MIT
"""Reading a vector's eventfd without a call into C, which would be a sixth of a wake in asyncio."""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .irq import IrqSet

# Reads that are kept one by one until they are summed up.
KEPT = 1000


class QuickReader:
    """Takes what one vector has counted, and keeps account of it, which else C does.

    Args:
        take: the way through C, for when the set is about to change.
    """

    def __init__(self, irqs: IrqSet, descriptor: int, take: Callable[[], int | None]) -> None:
        self._irqs = irqs
        self._descriptor = descriptor
        self._take = take
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget the account: the vector has joined its set again."""
        with self._lock:
            self._reads: list[int] = []
            self._fired = self._wakeups = 0

    def __call__(self) -> int | None:
        """Interrupts since the last wait; None when there were none."""
        irqs = self._irqs
        irqs._inside.append(None)  # the descriptor stays open meanwhile
        try:
            steady = irqs._steady
            if steady is None:
                return self._take()
            try:
                count = os.eventfd_read(self._descriptor)
            except BlockingIOError:
                return None
            if irqs._steady is not steady:  # that was a resize, perhaps, which wakes who waits
                os.eventfd_write(self._descriptor, count)
                return self._take()
        finally:
            irqs._inside.pop()
        self._reads.append(count)
        if len(self._reads) >= KEPT:
            self.account()
        return count

    def account(self) -> tuple[int, int]:
        """Interrupts, and the reads that found them, as in IrqStats."""
        with self._lock:
            reads = self._reads[:]
            del self._reads[: len(reads)]
            self._fired += sum(reads)
            self._wakeups += len(reads)
            return self._fired, self._wakeups
