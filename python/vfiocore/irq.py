# SPDX-License-Identifier: MIT
"""Interrupts: INTx, MSI or MSI-X vectors of a device, each delivered to an eventfd."""

from __future__ import annotations

import time
from ctypes import byref, c_uint64
from errno import EBUSY, ETIMEDOUT

from ._native.call import NativeObject, check, error, nanoseconds, open_handle, unsigned, wait
from ._native.enums import IrqFlag, IrqIndex, Reason
from ._native.loader import lib
from ._native.structs import IrqInfo as NativeIrqInfo
from ._record import Record
from ._text import plural
from .errors import DeviceBusy, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._wait import Readers
    from .device import Device

__all__ = ["Interrupt", "IrqFlag", "IrqIndex", "IrqInfo", "IrqSet", "irq_index"]


class IrqInfo(Record):
    """What a device offers of one interrupt type: the kernel's index, how it behaves, and how
    many vectors (0: none of this type)."""

    index: int
    flags: IrqFlag
    count: int


def irq_index(index: int | str) -> int:
    """The kernel's index of an interrupt type: 2 for 2 or ``"msix"``."""
    if not isinstance(index, str):
        return unsigned(index, 32, "the interrupt index")
    try:
        return int(IrqIndex[index.upper().replace("-", "")])
    except KeyError:
        names = ", ".join(member.name.lower() for member in IrqIndex)
        raise invalid(f"no interrupt type {index!r}; there are {names}") from None


def irq_info(device: Device, index: int | str) -> IrqInfo:
    """What ``device`` offers of one type; see :meth:`Device.irq_info`."""
    info = NativeIrqInfo.sized()
    check(lib.vfc_irq_info(device._native(), irq_index(index), byref(info)))
    return IrqInfo(info.index, IrqFlag(info.flags & 15), info.count)


class Interrupt:
    """One vector of an open set: ``irqs[3]``.

    Several threads and tasks may wait for it; each interrupt counts for one of them.
    """

    def __init__(self, irqs: IrqSet, vector: int) -> None:
        self._irqs = irqs
        self.vector = vector
        self._readers: Readers | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it fires. Other Python threads run meanwhile, and Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Returns:
            Interrupts since the last wait; the kernel may merge some.

        Raises:
            WaitTimeout: it did not fire in time (also a ``TimeoutError``).
            ClosedError: the set was closed, by another thread perhaps.

        Source: vfc_irq_wait() in vfiocore/irq.h.
        """
        count = c_uint64()
        reference = byref(count)
        irqs = self._irqs

        def attempt(slice_ns: int) -> int:
            result: int = lib.vfc_irq_wait(irqs._native(), self.vector, slice_ns, reference)
            return result

        irqs._waiting.append(self)
        try:
            wait(attempt, timeout)
        finally:
            irqs._waiting.pop()
        return count.value

    async def wait_async(self, timeout: float | None = None) -> int:
        """Like :meth:`wait`, for asyncio: other tasks run meanwhile."""
        nanoseconds(timeout)  # refuses a negative one
        if self._readers is None:
            from ._wait import Readers

            self._readers = Readers(self.fileno())
        count = await self._readers.until(self._take, timeout)
        return count or self.wait(0)  # which raises WaitTimeout

    def _take(self) -> int:
        """Interrupts since the last wait, without waiting; 0 when there were none."""
        count = c_uint64()
        rc = lib.vfc_irq_wait(self._irqs._native(), self.vector, 0, byref(count))
        if rc < 0 and rc != -ETIMEDOUT:
            raise error(rc)
        return count.value if rc >= 0 else 0

    def fileno(self) -> int:
        """The eventfd, non-blocking, for ``select`` and event loops; it belongs to the set."""
        return check(lib.vfc_irq_fd(self._irqs._native(), self.vector))

    def trigger(self) -> None:
        """Have the kernel raise it as if the device had, for tests.

        Source: vfc_irq_trigger() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_trigger(self._irqs._native(), self.vector))

    def __repr__(self) -> str:
        return f"<Interrupt {self.vector} of {self._irqs!r}>"


class IrqSet(NativeObject):
    """The armed vectors of one type: from ``device.irqs("msix")``. ``irqs[n]`` is vector n.

    MSI and MSI-X messages are writes by the device: they need ``device.bus_master = True``.
    Context manager.
    """

    _title = "interrupt set"

    def __init__(self, device: Device, index: int | str, count: int | None = None) -> None:
        self._device = device
        self.index = irq_index(index)
        if count is None:
            count = irq_info(device, index).count
        native = device._native()
        self._count = unsigned(count, 32, "the number of vectors")
        self._handle = open_handle(lib.vfc_irq_open, native, self.index, self._count)
        self._vectors = [Interrupt(self, vector) for vector in range(self._count)]
        self._waiting: list[Interrupt] = []  # those of threads that are inside of C
        device._children.append(self)

    def close(self) -> None:
        """Disarm, turn the type off, close the eventfds. A second call does nothing.

        Threads and tasks that wait get :class:`ClosedError`.

        Raises:
            DeviceBusy: this thread itself waits further up (a signal handler called close()).
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        self._release_waiters(handle)
        rc = lib.vfc_irq_close(handle)
        if rc < 0:
            self._handle = handle
            raise error(rc)
        self._device._children.remove(self)

    def _release_waiters(self, handle: int) -> None:
        """Nobody may be inside of C when the set is freed; a waiter looks up every 200 ms."""
        deadline = time.monotonic() + 2
        while self._waiting:
            if time.monotonic() > deadline:
                self._handle = handle
                text = f"{self!r} is waited for"
                raise DeviceBusy(EBUSY, text, reason=Reason.BUSY, hint=text)
            time.sleep(0.005)
        from .errors import closed

        for interrupt in self._vectors:
            if interrupt._readers is not None:
                interrupt._readers.fail(lambda: closed(self._title))

    def rearm(self) -> None:
        """Arm the same eventfds again, as is needed after ``device.reset()``.

        Source: vfc_irq_rearm() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_rearm(self._native()))

    def unmask(self) -> None:
        """Let INTx, which the kernel masked when it fired, fire again.

        Source: vfc_irq_unmask() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_unmask(self._native()))

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, vector: int) -> Interrupt:
        if not 0 <= vector < self._count:
            raise invalid(f"vector {vector} of {self._count}", Reason.RANGE)
        return self._vectors[vector]

    def __iter__(self) -> Iterator[Interrupt]:
        return iter(self._vectors)

    def __repr__(self) -> str:
        try:
            name = IrqIndex(self.index).name
        except ValueError:
            name = f"irq {self.index}"
        state = ", closed" if self.closed else ""
        return f"<IrqSet {self._device.name} {name}: {plural(self._count, 'vector')}{state}>"
