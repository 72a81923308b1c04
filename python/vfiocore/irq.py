# SPDX-License-Identifier: MIT
"""Interrupts: INTx, MSI or MSI-X vectors of a device, each delivered to an eventfd."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from ctypes import byref, c_uint32, c_uint64
from errno import EBUSY, ETIMEDOUT

from ._native.call import (
    NativeObject,
    check,
    encoded,
    error,
    integer,
    nanoseconds,
    open_handle,
    unsigned,
    wait,
)
from ._native.enums import DeviceKind, IrqFlag, IrqIndex, Reason
from ._native.loader import lib
from ._native.structs import IrqInfo as NativeIrqInfo
from ._native.structs import IrqStats as NativeIrqStats
from ._record import Record
from ._text import plural
from .errors import ClosedError, DeviceBusy, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from ._irq_quick import QuickReader
    from ._irq_thread import IrqThread
    from ._wait import Readers
    from .device import Device

__all__ = ["Interrupt", "IrqFlag", "IrqIndex", "IrqInfo", "IrqSet", "IrqStats", "irq_index"]

# Interrupts that `async for` hands out without a break, before other tasks have their turn.
EAGER = 32


class IrqInfo(Record):
    """What a device offers of one interrupt type: the kernel's index, how it behaves, how many
    vectors (0: none of this type), and its name: ``"msix"``, ``"io"``, else ``"irq 9"``."""

    index: int
    flags: IrqFlag
    count: int
    name: str


class IrqStats(Record):
    """What a vector has done since it joined its set: is it armed, how many interrupts were
    consumed (``fired``) by how many waits (``wakeups``; the others were merged), and how many waits
    woke to find that another had been quicker (``spurious``)."""

    armed: bool
    fired: int
    wakeups: int
    spurious: int

    @property
    def merged(self) -> int:
        """Interrupts that had no wait of their own."""
        return self.fired - self.wakeups


def irq_index(device: Device, index: int | str) -> int:
    """The kernel's index of an interrupt type: of a PCI device 2 for 2, ``"msix"``, ``"MSI-X"``."""
    if not isinstance(index, str):
        return unsigned(index, 32, "the interrupt index")
    name = index.replace("-", "") if device.kind is DeviceKind.PCI else index
    found: int = lib.vfc_irq_find(device._native(), encoded(name, "an interrupt type"))
    if found < 0:
        raise invalid(error(found).hint)
    return found


def irq_info(device: Device, index: int | str) -> IrqInfo:
    """What ``device`` offers of one type; see :meth:`Device.irq_info`."""
    info = NativeIrqInfo.sized()
    check(lib.vfc_irq_info(device._native(), irq_index(device, index), byref(info)))
    name = info.name.decode("utf-8", "replace")
    return IrqInfo(info.index, IrqFlag(info.flags & 15), info.count, name)


class Interrupt:
    """One vector of an open set: ``irqs[3]``.

    Several threads and tasks may wait for it; each interrupt counts for one of them.
    """

    def __init__(self, irqs: IrqSet, vector: int) -> None:
        self._irqs = irqs
        self.vector = vector
        self._readers: Readers[int] | None = None
        self._quick: QuickReader | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it fires. Other Python threads run meanwhile, and Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Returns:
            Interrupts since the last wait: they are merged, not lost.

        Raises:
            WaitTimeout: it did not fire in time (also a ``TimeoutError``).
            ClosedError: the set was closed, by another thread perhaps.
            OutOfRange: a resize has taken the vector away.

        Source: vfc_irq_wait() in vfiocore/irq.h.
        """
        count = c_uint64()
        reference = byref(count)
        irqs = self._irqs

        def attempt(slice_ns: int) -> int:
            result: int = lib.vfc_irq_wait(irqs._native(), self.vector, slice_ns, reference)
            return result

        irqs._wait(attempt, timeout)
        return count.value

    async def wait_async(self, timeout: float | None = None) -> int:
        """Like :meth:`wait`, for asyncio: other tasks run meanwhile."""
        nanoseconds(timeout)  # refuses a negative one
        if self._readers is None:
            from ._irq_quick import QuickReader
            from ._wait import Readers

            descriptor = self.fileno()
            self._quick = QuickReader(self._irqs, descriptor, self._take)
            self._readers = Readers(descriptor, self._take, self._quick)
        count = await self._readers.next(timeout)
        return count or self.wait(0)  # which raises WaitTimeout

    def _take(self) -> int | None:
        """Interrupts since the last wait, without waiting; None when there were none."""
        irqs = self._irqs
        count: int = lib.vfc_irq_take(irqs._handle or irqs._native(), self.vector)
        if count < 0:
            raise error(count)
        return count or None

    def fileno(self) -> int:
        """The eventfd, non-blocking, for ``select`` and event loops; it belongs to the set."""
        return check(lib.vfc_irq_fd(self._irqs._native(), self.vector))

    def arm(self) -> None:
        """Have the kernel deliver it again, after :meth:`disarm`.

        INTx that fired meanwhile is masked, and nobody was told: ``irqs.unmask()``.

        Raises:
            VfioError: it is armed already (EALREADY).

        Source: vfc_irq_arm() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_arm(self._irqs._native(), self.vector))

    def disarm(self) -> None:
        """Have the kernel deliver it no more; the other vectors do not notice.

        What fired before stays to be waited for.

        Raises:
            VfioError: it is disarmed already (EALREADY).

        Source: vfc_irq_disarm() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_disarm(self._irqs._native(), self.vector))

    @property
    def stats(self) -> IrqStats:
        """What it has done so far.

        Source: vfc_irq_stats() in vfiocore/irq.h.
        """
        raw = NativeIrqStats.sized()
        check(lib.vfc_irq_stats(self._irqs._native(), self.vector, byref(raw)))
        fired, wakeups = self._quick.account() if self._quick else (0, 0)
        return IrqStats(bool(raw.armed), raw.fired + fired, raw.wakeups + wakeups, raw.spurious)

    def trigger(self) -> None:
        """Have the kernel raise it as if the device had, for tests; nothing when it is disarmed.

        Source: vfc_irq_trigger() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_trigger(self._irqs._native(), self.vector))

    def __repr__(self) -> str:
        return f"<Interrupt {self.vector} of {self._irqs!r}>"


class IrqSet(NativeObject):
    """The armed vectors of one type: from ``device.irqs("msix")``. ``irqs[n]`` is vector n.

    MSI and MSI-X messages are writes by the device: they need ``device.bus_master = True``.
    The set belongs to the process that opened it: in a child of ``os.fork()`` waits fail (ECHILD).

    Context manager. ``async for vector, count in irqs`` goes on until the set is closed.
    """

    _title = "interrupt set"

    def __init__(self, device: Device, index: int | str, count: int | None = None) -> None:
        self._device = device
        self.index = irq_index(device, index)
        info = irq_info(device, self.index)
        self.flags = info.flags
        native = device._native()
        count = unsigned(info.count if count is None else count, 32, "the number of vectors")
        self._handle = open_handle(lib.vfc_irq_open, native, self.index, count)
        self._count = count
        # One that a resize takes away is kept: it may come back.
        self._vectors = [Interrupt(self, vector) for vector in range(count)]
        self._inside: list[None] = []  # one for each thread that waits inside of C, or reads
        self._steady: object | None = object()  # another after each change; None: meanwhile
        self._changing = threading.RLock()
        self._readers: Readers[tuple[int, int]] | None = None
        self._eager = 0
        self._look = lib.held("vfc_irq_wait_any")  # with a timeout of 0
        self._fired: dict[int, int] = {}  # by vector: what wait_all() has, and could not return
        self._threads: list[IrqThread] = []
        device._children.append(self)

    def close(self) -> None:
        """Disarm, turn the type off, close the eventfds. A second call does nothing.

        Threads and tasks that wait get :class:`ClosedError`; those of :meth:`on` end.

        Raises:
            DeviceBusy: this thread itself waits further up (a signal handler called close()).
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        self._steady = None
        self._release_waiters(handle)
        rc = lib.vfc_irq_close(handle)
        if rc < 0:
            self._handle, self._steady = handle, object()
            raise error(rc)
        self._device._children.remove(self)
        for thread in self._threads:
            thread._raise()

    def _release_waiters(self, handle: int) -> None:
        """Nobody may be inside of C when the set is freed; a waiter looks up every 200 ms."""
        for thread in self._threads:
            thread._end()
        deadline = time.monotonic() + 2
        while self._inside:
            if time.monotonic() > deadline:
                self._handle, self._steady = handle, object()
                text = f"{self!r} is waited for"
                raise DeviceBusy(EBUSY, text, reason=Reason.BUSY, hint=text)
            time.sleep(0.005)
        from .errors import closed

        for readers in (self._readers, *(v._readers for v in self._vectors)):
            if readers is not None:
                readers.fail(lambda: closed(self._title))

    def _wait(self, attempt: Callable[[int], int], timeout: float | None) -> None:
        self._inside.append(None)
        try:
            wait(attempt, timeout)
        finally:
            self._inside.pop()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Eventfds are raised that no interrupt came for: only C tells them apart."""
        with self._changing:
            self._steady = None
            try:
                yield
            finally:
                self._steady = object()

    def resize(self, count: int) -> None:
        """The set has vectors 0 to ``count`` - 1 from now on.

        Where the kernel cannot add vectors (``IrqFlag.NORESIZE`` in ``flags``) all are turned off
        and on again; then every armed one is raised once, so that no interrupt is missed. Who
        waits for a vector that goes gets :class:`OutOfRange`.

        Raises:
            OutOfRange: more than the device has, or none. The set is as before.

        Source: vfc_irq_resize() in vfiocore/irq.h.
        """
        with self._change():
            check(lib.vfc_irq_resize(self._native(), unsigned(count, 32, "the number of vectors")))
        for again in self._vectors[self._count : count]:
            if again._quick is not None:
                again._quick.reset()
        for gone in self._vectors[count:]:
            if gone._readers is not None:
                gone._readers.fail(lambda: invalid("a resize took the vector away", Reason.RANGE))
        for vector in range(len(self._vectors), count):
            self._vectors.append(Interrupt(self, vector))
        self._count = count
        self._fired = {v: fired for v, fired in self._fired.items() if v < count}

    def wait_any(self, timeout: float | None = None) -> tuple[int, int]:
        """Wait until some vector fires. Those that fire all the time take turns.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Returns:
            The vector, and its interrupts since it was last waited for.

        Raises:
            WaitTimeout, ClosedError: see :meth:`Interrupt.wait`.

        Source: vfc_irq_wait_any() in vfiocore/irq.h.
        """
        vector, count = c_uint32(), c_uint64()
        references = byref(vector), byref(count)

        def attempt(slice_ns: int) -> int:
            result: int = lib.vfc_irq_wait_any(self._native(), slice_ns, *references)
            return result

        self._wait(attempt, timeout)
        return vector.value, count.value

    def wait_all(self, timeout: float | None = None) -> list[int]:
        """Wait until every armed vector has fired.

        Returns:
            The interrupts of each vector, 0 for one that is not armed. What had fired when a wait
            ended in an exception is not lost: the next call goes on from there.

        Raises:
            WaitTimeout, ClosedError: see :meth:`Interrupt.wait`.

        Source: vfc_irq_wait_all() in vfiocore/irq.h.
        """
        size = self._count
        counts = (c_uint64 * size)()
        fired, self._fired = self._fired, {}
        for vector, count in fired.items():
            counts[vector] = count

        def attempt(slice_ns: int) -> int:
            result: int = lib.vfc_irq_wait_all(self._native(), slice_ns, counts, size)
            return result

        try:
            self._wait(attempt, timeout)
        except BaseException:
            for vector, count in enumerate(counts):
                if count:
                    self._fired[vector] = self._fired.get(vector, 0) + count
            raise
        return list(counts)

    async def wait_any_async(self, timeout: float | None = None) -> tuple[int, int]:
        """Like :meth:`wait_any`, for asyncio: other tasks run meanwhile."""
        nanoseconds(timeout)  # refuses a negative one
        if self._readers is None:
            from ._wait import Readers

            self._readers = Readers(self.fileno(), self._take)
        result = await self._readers.next(timeout)
        return result or self.wait_any(0)  # which raises WaitTimeout

    def _take(self) -> tuple[int, int] | None:
        vector, count = c_uint32(), c_uint64()
        rc = self._look(self._native(), 0, byref(vector), byref(count))
        if rc >= 0:
            return vector.value, count.value
        if rc == -ETIMEDOUT:
            return None
        raise error(rc)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, int]:
        self._eager = (self._eager + 1) % EAGER
        try:
            if not self._eager:
                from asyncio import sleep

                await sleep(0)  # a storm shall not keep other tasks from running
            return await self.wait_any_async()
        except ClosedError:
            raise StopAsyncIteration from None

    def fileno(self) -> int:
        """A descriptor that can be read from while any vector has fired and was not waited for: for
        ``select`` and event loops. It is an epoll instance, and belongs to the set.

        Source: vfc_irq_poll_fd() in vfiocore/irq.h.
        """
        return check(lib.vfc_irq_poll_fd(self._native()))

    def on(
        self, callback: Callable[[int, int], object], *, unmask: bool | None = None
    ) -> IrqThread:
        """Call ``callback(vector, count)`` from a thread of its own at each interrupt of the set,
        also of vectors that a resize adds, until the thread is stopped or the set closed.

        Args:
            callback: an exception that it raises ends the thread, and is raised again by its
                ``stop()``, or by ``close()`` of the set.
            unmask: let INTx fire again after each call; None: yes, where the kernel masks it.

        Returns:
            The thread, a context manager which stops it.
        """
        from ._irq_thread import IrqThread

        self._native()
        if not callable(callback):
            raise TypeError(f"the callback is a function, not {type(callback).__name__}")
        if unmask is None:
            unmask = IrqFlag.AUTOMASKED in self.flags
        return IrqThread(self, callback, unmask)

    def rearm(self) -> None:
        """Arm the same eventfds again, as is needed after ``device.reset()``.

        Source: vfc_irq_rearm() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_rearm(self._native()))

    def mask(self) -> None:
        """Keep INTx from firing, as the kernel does each time it fires.

        Raises:
            Unsupported: MSI and MSI-X are masked in the device's own registers.

        Source: vfc_irq_mask() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_mask(self._native()))

    def unmask(self) -> None:
        """Let INTx, which the kernel masked when it fired, fire again.

        Raises:
            Unsupported: MSI and MSI-X are masked in the device's own registers.

        Source: vfc_irq_unmask() in vfiocore/irq.h.
        """
        check(lib.vfc_irq_unmask(self._native()))

    def unmask_fd(self) -> int:
        """An eventfd that unmasks INTx when it is written to, by another process or KVM, say.
        Non-blocking; it belongs to the set.

        Raises:
            Unsupported: MSI and MSI-X are masked in the device's own registers.

        Source: vfc_irq_unmask_fd() in vfiocore/irq.h.
        """
        return check(lib.vfc_irq_unmask_fd(self._native()))

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, vector: int) -> Interrupt:
        if not 0 <= integer(vector, "a vector") < self._count:
            raise invalid(f"vector {vector} of {self._count}", Reason.RANGE)
        return self._vectors[vector]

    def __iter__(self) -> Iterator[Interrupt]:
        return iter(self._vectors[: self._count])

    def __repr__(self) -> str:
        try:
            name = IrqIndex(self.index).name
        except ValueError:
            name = f"irq {self.index}"
        state = ", closed" if self.closed else ""
        return f"<IrqSet {self._device.name} {name}: {plural(len(self), 'vector')}{state}>"
