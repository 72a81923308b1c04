# SPDX-License-Identifier: MIT
"""Waiting for an eventfd in asyncio, by several tasks at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar  # which asyncio imports anyway

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Readers(Generic[T]):
    """The tasks that wait for what one descriptor announces.

    An event loop has one reader callback a descriptor, so the tasks share it. It calls ``take``,
    which returns an item or None, for as long as there are both items and tasks: who waits longest
    is served first. It stays registered between two waits, for that is what costs time, until it
    is called when nobody waits, or the last one gives up. When it is called it may take with
    ``quick``, which does the same: between a wake and its task nothing shall be that is slow.
    """

    def __init__(
        self,
        descriptor: int,
        take: Callable[[], T | None],
        quick: Callable[[], T | None] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._take = take
        self._quick = quick or take
        # A loop is in here while it has the callback.
        self._waiting: dict[asyncio.AbstractEventLoop, deque[asyncio.Future[T]]] = {}
        self._given_back: deque[T] = deque()

    def _next(self) -> T | None:
        return self._given_back.popleft() if self._given_back else self._take()

    def next(self, timeout: float | None) -> Coroutine[None, None, T | None]:
        """The next item; None when there was none for ``timeout`` seconds (None: without end)."""
        return self._wait() if timeout is None else self._wait_for(timeout)

    async def _wait_for(self, timeout: float) -> T | None:
        item = self._next()
        if item is not None or timeout == 0:
            return item
        try:
            async with asyncio.timeout(timeout):
                return await self._wait()
        except TimeoutError:
            return self._next()

    async def _wait(self) -> T | None:
        item = self._next()
        if item is not None:
            return item
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        tasks = self._waiting.get(loop)
        if tasks is None:
            tasks = self._register(loop)
        tasks.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result())  # it came in the same moment
            else:
                self._give_up(loop, future)
            raise

    def _register(self, loop: asyncio.AbstractEventLoop) -> deque[asyncio.Future[T]]:
        for other in [other for other in self._waiting if other.is_closed()]:
            del self._waiting[other]
        loop.add_reader(self._descriptor, self._serve, loop)
        tasks = self._waiting[loop] = deque()
        return tasks

    def _give_back(self, item: T) -> None:
        """Nobody may lose what was taken for a task that is gone."""
        self._given_back.append(item)
        for loop in list(self._waiting):
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._serve, loop)

    def _give_up(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
        tasks = self._waiting.get(loop)
        if tasks is None or future not in tasks:
            return
        tasks.remove(future)
        if not tasks:
            self._unregister(loop)

    def _unregister(self, loop: asyncio.AbstractEventLoop) -> None:
        del self._waiting[loop]
        loop.remove_reader(self._descriptor)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        tasks = self._waiting.get(loop)
        if tasks is not None and not tasks:
            self._unregister(loop)
        while tasks:
            future = tasks[0]
            if not future.done():  # else cancelled, and its task has not run yet
                try:
                    item = self._given_back.popleft() if self._given_back else self._quick()
                except Exception as error:  # noqa: BLE001 - the task's, not the event loop's
                    future.set_exception(error)
                else:
                    if item is None:
                        return
                    future.set_result(item)
            tasks.popleft()

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
        tasks: deque[asyncio.Future[T]],
        error: Callable[[], BaseException],
    ) -> None:
        loop.remove_reader(self._descriptor)
        for future in tasks:
            if not future.done():
                future.set_exception(error())
