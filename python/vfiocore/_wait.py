# SPDX-License-Identifier: MIT
"""Waiting for an eventfd in asyncio, by several tasks at once."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Readers:
    """The tasks that wait for one descriptor.

    An event loop has one reader callback a descriptor, so the tasks share it: it is there while
    anybody waits. All are woken, since only they can tell whether what came was theirs.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}

    async def wait(self) -> None:
        """Return once the descriptor is readable."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        tasks = self._waiting.setdefault(loop, set())
        if not tasks:
            loop.add_reader(self._descriptor, self._wake, loop)
        tasks.add(future)
        try:
            await future
        finally:
            self._discard(loop, future)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        # Off at once: the descriptor stays readable until a task that was woken has run.
        loop.remove_reader(self._descriptor)
        for future in self._waiting.pop(loop, ()):
            if not future.done():
                future.set_result(None)

    def _discard(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        """A task gave up (timeout, cancellation)."""
        tasks = self._waiting.get(loop)
        if tasks is None or future not in tasks:
            return
        tasks.remove(future)
        if not tasks:
            del self._waiting[loop]
            loop.remove_reader(self._descriptor)

    async def until(self, attempt: Callable[[], int], timeout: float | None) -> int:
        """Call ``attempt`` each time that the descriptor is readable, until it returns something
        other than 0, or until ``timeout`` seconds have passed: 0 then."""
        result = attempt()
        if result or timeout == 0:
            return result
        try:
            async with asyncio.timeout(timeout):
                while not result:
                    await self.wait()
                    result = attempt()
        except TimeoutError:
            result = attempt()
        return result

    def fail(self, error: Callable[[], BaseException]) -> None:
        """Wake everybody with an exception: the descriptor is about to be closed."""
        while self._waiting:
            loop, tasks = self._waiting.popitem()
            if loop.is_closed():
                continue
            if asyncio._get_running_loop() is loop:  # now, before the number is used again
                self._fail(loop, tasks, error)
            else:
                loop.call_soon_threadsafe(self._fail, loop, tasks, error)

    def _fail(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: set[asyncio.Future[None]],
        error: Callable[[], BaseException],
    ) -> None:
        loop.remove_reader(self._descriptor)
        for future in tasks:
            if not future.done():
                future.set_exception(error())
