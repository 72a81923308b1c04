# SPDX-License-Identifier: MIT
"""Events: what happens to devices beside what they do. One stream, with one order.

Source: vfiocore/event.h.
"""

from __future__ import annotations

import os
import select
import threading
import time
from ctypes import byref
from errno import EBUSY, ETIMEDOUT

from ._native.call import NativeObject, check, error, nanoseconds, open_handle, unsigned, wait
from ._native.enums import EventKind, Reason, WatchFlag
from ._native.loader import lib
from ._native.structs import Event as NativeEvent
from ._native.structs import EventsOpts
from ._record import Record
from .errors import ClosedError, DeviceBusy, closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ._wait import Readers
    from .device import Device

__all__ = ["Event", "EventKind", "Events"]


class Event(Record):
    """Something that happened.

    Attributes:
        kind: what, :class:`EventKind`.
        sequence: 1, 2, 3, ... in its stream.
        time: when the stream learned of it, nanoseconds of ``CLOCK_BOOTTIME``.
        name: the device; empty where it is about none.
        driver: that has the device, where known.
        detail: a sentence for humans; of an error its names.
        vendor, device: ids, of devices that come and go; 0 where they are not told.
        uncorrectable, correctable, status: of an error the registers AER Uncorrectable Error
            Status, AER Correctable Error Status and PCI Express Device Status.
        slept: of a resume, how long the system slept, nanoseconds.
        released: of a request, whether the device was let go of.
    """

    kind: EventKind
    sequence: int
    time: int
    name: str
    driver: str
    detail: str
    vendor: int
    device: int
    uncorrectable: int
    correctable: int
    status: int
    slept: int
    released: bool

    def __str__(self) -> str:
        parts = [self.kind.name.lower(), self.name, self.driver and f"({self.driver})"]
        text = " ".join(part for part in parts if part)
        return f"{text}: {self.detail}" if self.detail else text


def _event(native: NativeEvent) -> Event:
    fields = {
        "kind": EventKind(native.kind),
        "released": bool(native.released),
        **{name: getattr(native, name).decode("utf-8", "replace") for name in ("name", "driver")},
        "detail": native.detail.decode("utf-8", "replace"),
    }
    numbers = {name: getattr(native, name) for name in Event._fields if name not in fields}
    return Event(**fields, **numbers)


class Events(NativeObject):
    """A stream of events: from :func:`vfiocore.events` or ``device.events()``.

    It tells of all PCI devices that they come, go, and change drivers; that the system slept; and
    of the devices that it watches the errors, the host's requests, and that they are gone.
    Context manager; ``for event in stream`` and ``async for event in stream`` go on until it is
    closed.
    """

    _title = "stream of events"

    def __init__(self, *, interval: float = 0.0, buffer: int = 0) -> None:
        period = nanoseconds(interval)
        assert period is not None
        opts = EventsOpts.sized(interval=period, buffer=unsigned(buffer, 64, "the buffer's size"))
        self._handle = open_handle(lib.vfc_events_open, byref(opts))
        self._descriptor: int = lib.vfc_events_fd(self._handle)
        self._readers: Readers[Event] | None = None
        self._inside = 0  # threads that are inside of C
        self._guard = threading.Lock()  # C takes one at a time
        self._owner: Device | None = None

    def close(self) -> None:
        """Close the stream. A second call does nothing.

        Threads and tasks that wait get :class:`ClosedError`; a loop over the stream ends.

        Raises:
            DeviceBusy: this thread itself waits further up (a signal handler called close()).
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        deadline = time.monotonic() + 2
        while self._inside:
            if time.monotonic() > deadline:
                self._handle = handle
                raise DeviceBusy(EBUSY, f"{self!r} is waited for", reason=Reason.BUSY)
            time.sleep(0.005)
        if self._readers is not None:
            self._readers.fail(lambda: closed(self._title))
        check(lib.vfc_events_close(handle))
        if self._owner is not None:
            self._owner._children.remove(self)

    def watch(self, device: Device, *, release: bool = False) -> None:
        """Have the device's errors and the host's requests in the stream, too.

        Closing the device ends it.

        Args:
            release: let go of the device when the host wants it, before the event is told:
                :meth:`Device.release`. It happens while somebody waits for events.

        Raises:
            DeviceBusy: a stream watches it already, or a set of ERR or REQ is open.

        Source: vfc_events_watch() in vfiocore/event.h.
        """
        flags = WatchFlag.RELEASE if release else WatchFlag(0)
        check(lib.vfc_events_watch(self._native(), device._native(), flags))

    def unwatch(self, device: Device) -> None:
        """Do not watch it any more.

        Raises:
            VfioError: this stream does not watch it.
        """
        check(lib.vfc_events_unwatch(self._native(), device._native()))

    def wait(self, timeout: float | None = None) -> Event:
        """Wait for the next event. Other Python threads run meanwhile, and Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Raises:
            WaitTimeout: nothing happened in time (also a ``TimeoutError``).
            ClosedError: the stream was closed, by another thread perhaps.

        Source: vfc_events_wait() in vfiocore/event.h.
        """
        native = NativeEvent.sized()

        def attempt(slice_ns: int) -> int:
            with self._guard:
                result: int = lib.vfc_events_wait(self._native(), slice_ns, byref(native))
            return result

        self._inside += 1
        try:
            wait(attempt, timeout)
        finally:
            self._inside -= 1
        return _event(native)

    async def wait_async(self, timeout: float | None = None) -> Event:
        """Like :meth:`wait`, for asyncio: other tasks run meanwhile."""
        nanoseconds(timeout)  # refuses a negative one
        if self._readers is None:
            from ._wait import Readers

            self._readers = Readers(self.fileno(), self._take)
        event = await self._readers.next(timeout)
        return event or self.wait(0)  # which raises WaitTimeout

    def _take(self) -> Event | None:
        native = NativeEvent.sized()
        with self._guard:
            rc = lib.vfc_events_wait(self._native(), 0, byref(native))
        if rc == -ETIMEDOUT:
            return None
        if rc < 0:
            raise error(rc)
        return _event(native)

    def fileno(self) -> int:
        """Readable while something waits, for ``select`` and event loops; it belongs to the
        stream."""
        self._native()
        return self._descriptor

    def __iter__(self) -> Iterator[Event]:
        """Events as they come, until the stream is closed."""
        self._native()
        while not self.closed:
            try:
                event = self.wait()
            except ClosedError:
                return
            yield event

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Like iterating, for ``async for``."""
        self._native()
        while not self.closed:
            try:
                event = await self.wait_async()
            except ClosedError:
                return
            yield event

    def __repr__(self) -> str:
        return f"<Events{' closed' if self.closed else ''}>"


class Releaser:
    """A thread that lets go of a device when the host wants it: ``release_on_request()``."""

    def __init__(self, device: Device) -> None:
        self._stream = Events()
        try:
            self._stream.watch(device, release=True)
            self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        except BaseException:
            self._stream.close()
            raise
        name = f"vfiocore-release-{device.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while self._stop not in dict(poll.poll()):
            event = self._stream._take()
            if event is not None and event.released:
                return

    def stop(self) -> None:
        """End the thread; the device is not watched any more."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._stream.close()
        os.close(self._stop)


def watch_stream(device: Device, *, release: bool, interval: float) -> Events:
    """A stream that watches a device, and is closed with it; see :meth:`Device.events`."""
    stream = Events(interval=interval)
    try:
        stream.watch(device, release=release)
    except BaseException:
        stream.close()
        raise
    stream._owner = device
    device._children.append(stream)
    return stream
