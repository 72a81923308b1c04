# SPDX-License-Identifier: MIT
"""A Python thread that waits for an interrupt set and calls a function: ``irqs.on(callback)``.

A thread of Python's own, and not vfc_irq_thread_start(): a callback from a foreign thread would
get a new interpreter state each time, and could not end in an exception.
"""

from __future__ import annotations

import os
import select
import threading

from ._text import plural
from .errors import ClosedError, WaitTimeout, closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .irq import IrqSet


class IrqThread:
    """A thread that calls a function at each interrupt of a set. Context manager."""

    def __init__(
        self, irqs: IrqSet, callback: Callable[[int, int], object], unmask: bool
    ) -> None:
        self._irqs = irqs
        self._callback = callback
        self._unmask = unmask
        self._error: BaseException | None = None
        self._poll = select.poll()
        self._poll.register(irqs.fileno(), select.POLLIN)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll.register(self._stop, select.POLLIN)
        self._leaving = False
        #: Calls of the function so far.
        self.calls = 0
        self._thread = threading.Thread(target=self._run, name="vfiocore-irqs", daemon=True)
        irqs._threads.append(self)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once it was stopped, or its callback raised an exception."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the call in progress end, and the thread. A second call does nothing.

        Raises:
            Exception: whatever the callback raised, which had ended the thread.
            RuntimeError: called by the callback itself.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the callback cannot wait for its own end: stop it elsewhere")
        self._end()
        if self in self._irqs._threads:
            self._irqs._threads.remove(self)
        self._raise()

    def _end(self) -> None:
        if self._stop < 0:
            return
        os.eventfd_write(self._stop, 1)
        if threading.current_thread() is self._thread:
            self._leaving = True  # close() by the callback: when that returns
            return
        self._thread.join()
        self._release()

    def _release(self) -> None:
        stop, self._stop = self._stop, -1
        if stop >= 0:
            os.close(stop)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            while self._stop not in [descriptor for descriptor, _ in self._poll.poll()]:
                self._serve()
        except ClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - for stop() to raise
            self._error = error
        if self._leaving:
            self._release()

    def _serve(self) -> None:
        try:
            vector, count = self._irqs.wait_any(0)
        except WaitTimeout:
            return  # another thread was quicker
        self.calls += 1
        self._callback(vector, count)
        if self._unmask:
            self._irqs.unmask()

    def __enter__(self) -> Self:
        if self._stop < 0:
            raise closed("interrupt thread")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = plural(self.calls, "call") if self.alive else "ended"
        return f"<IrqThread of {self._irqs!r}: {state}>"
