# SPDX-License-Identifier: MIT
"""Interrupt sets as a whole: resized, waited for together, served by threads and tasks."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import vfiocore
from vfiocore import fake
from vfiocore.irq import IrqFlag


@pytest.fixture
def irqs(device: vfiocore.Device) -> Iterator[vfiocore.IrqSet]:
    with device.irqs("msix", 3) as opened:
        yield opened


@pytest.fixture
def fire(device: vfiocore.Device) -> Callable[[int], None]:
    """The device raises a vector."""
    return lambda vector: fake.set(device, fake.Knob.RAISE, vector)


def soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_arm_and_disarm(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    assert irqs[1].stats.armed
    irqs[1].disarm()
    assert not irqs[1].stats.armed
    with pytest.raises(vfiocore.VfioError, match="disarmed already") as caught:
        irqs[1].disarm()
    assert caught.value.errno == errno.EALREADY
    fire(1)
    irqs[1].arm()
    with pytest.raises(vfiocore.WaitTimeout):
        irqs[1].wait(0)
    fire(1)
    assert irqs[1].wait(60) == 1


def test_stats(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    for _ in range(3):
        fire(0)
    assert irqs[0].wait(60) == 3
    stats = irqs[0].stats
    assert (stats.fired, stats.wakeups, stats.merged, stats.spurious) == (3, 1, 2, 0)


def test_stats_of_tasks(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    """More of them than are kept one by one; half of them taken by a thread."""
    rounds = 1500

    async def main() -> None:
        for number in range(rounds):
            if number % 2:
                fire(0)
                assert irqs[0].wait(60) == 1
            asyncio.get_running_loop().call_soon(fire, 0)
            assert await irqs[0].wait_async() == 1

    asyncio.run(main())
    stats = irqs[0].stats
    assert (stats.fired, stats.wakeups) == (rounds * 3 // 2, rounds * 3 // 2)
    irqs.resize(1)
    irqs.resize(3)
    assert irqs[0].stats.fired == rounds * 3 // 2


def test_stats_begin_when_a_vector_joins(
    irqs: vfiocore.IrqSet, fire: Callable[[int], None]
) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(fire, 2)
        assert await irqs[2].wait_async() == 1

    asyncio.run(main())
    assert irqs[2].stats.fired == 1
    last = irqs[2]
    irqs.resize(2)
    irqs.resize(3)
    assert irqs[2] is last
    assert last.stats.fired == last.stats.wakeups == 0


def test_a_read_in_the_midst_of_a_change_is_given_back(
    irqs: vfiocore.IrqSet, fire: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.eventfd_read

    def resized_meanwhile(descriptor: int) -> int:
        count = read(descriptor)
        irqs.resize(2)
        return count

    async def main() -> None:
        monkeypatch.setattr(os, "eventfd_read", resized_meanwhile)
        waiting = asyncio.create_task(irqs[1].wait_async())
        gone = asyncio.create_task(irqs[2].wait_async())
        await asyncio.sleep(0)
        fire(1)
        assert await waiting == 1
        with pytest.raises(vfiocore.OutOfRange):
            await gone

    asyncio.run(main())
    assert irqs[1].stats.fired == 1  # C's account, since it was C that took it in the end


@pytest.mark.parametrize("noresize", [0, 1])
def test_resize(device: vfiocore.Device, fire: Callable[[int], None], noresize: int) -> None:
    fake.set(device, fake.Knob.NORESIZE, noresize)
    with device.irqs("msix", 1) as irqs:
        assert (IrqFlag.NORESIZE in irqs.flags) == noresize
        first = irqs[0]
        irqs.resize(5)
        assert len(irqs) == len(list(irqs)) == 5
        if noresize:
            assert first.wait(0) == 1  # one may have come while all were off
        fire(4)
        assert irqs.wait_any(60) == (4, 1)
        last = irqs[4]
        irqs.resize(2)
        with pytest.raises(IndexError):
            irqs[4]
        with pytest.raises(vfiocore.OutOfRange, match="vectors 0 to 1"):
            last.wait(0)
        for count in (0, 6):
            with pytest.raises(vfiocore.OutOfRange):
                irqs.resize(count)
        irqs.resize(5)
        assert irqs[4] is last
        fire(4)
        assert last.wait(60) == 1


def test_resize_wakes_those_who_wait(irqs: vfiocore.IrqSet) -> None:
    caught: list[BaseException] = []

    def waiter() -> None:
        try:
            irqs[2].wait()
        except vfiocore.OutOfRange as error:
            caught.append(error)

    async def task() -> None:
        waiting = asyncio.create_task(irqs[1].wait_async())
        await asyncio.sleep(0.01)
        irqs.resize(1)
        with pytest.raises(vfiocore.OutOfRange, match="took the vector away"):
            await waiting

    thread = threading.Thread(target=waiter)
    thread.start()
    time.sleep(0.05)
    asyncio.run(task())
    thread.join(60)
    assert len(caught) == 1


def test_wait_any(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        irqs.wait_any(0.01)
    seen = []
    for _ in range(30):
        for vector in range(3):
            fire(vector)
        seen.append(irqs.wait_any(60)[0])
    assert [seen.count(vector) for vector in range(3)] == [10, 10, 10]


def test_wait_all_goes_on(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    fire(0)
    fire(0)
    fire(2)
    for _ in range(2):
        with pytest.raises(vfiocore.WaitTimeout):
            irqs.wait_all(0.01)
    fire(1)
    assert irqs.wait_all(60) == [2, 1, 1]
    irqs[1].disarm()
    fire(0)
    fire(2)
    assert irqs.wait_all(60) == [1, 0, 1]


def test_poll(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    poll = select.poll()
    poll.register(irqs, select.POLLIN)
    assert poll.poll(0) == []
    fire(2)
    assert poll.poll(1000)
    assert irqs.wait_any(0) == (2, 1)
    assert poll.poll(0) == []


def test_masks(device: vfiocore.Device, fire: Callable[[int], None]) -> None:
    with device.irqs("msix") as irqs:
        for refused in (irqs.mask, irqs.unmask, irqs.unmask_fd):
            with pytest.raises(vfiocore.Unsupported, match="only INTx"):
                refused()
    with device.irqs("intx") as irqs:
        irqs.mask()
        fire(0)
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0)
        os.eventfd_write(irqs.unmask_fd(), 1)
        assert irqs[0].wait(60) == 1


def test_thread(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    seen: dict[int, int] = {}

    def callback(vector: int, count: int) -> None:
        seen[vector] = seen.get(vector, 0) + count

    with irqs.on(callback) as thread:
        assert thread.alive
        irqs.resize(5)
        for _ in range(100):
            for vector in (0, 1, 4):
                fire(vector)
        soon(lambda: seen == {0: 100, 1: 100, 4: 100})
        assert 3 <= thread.calls <= 300
    assert not thread.alive
    thread.stop()
    fire(0)
    assert irqs[0].wait(60) == 1


def test_thread_unmasks(device: vfiocore.Device, fire: Callable[[int], None]) -> None:
    seen: list[int] = []
    with device.irqs("intx") as irqs, irqs.on(lambda vector, count: seen.append(count)):
        for number in range(1, 11):
            fire(0)
            soon(lambda number=number: len(seen) == number)  # type: ignore[misc]


@pytest.mark.parametrize("how", ["stop", "close"])
def test_thread_whose_callback_fails(
    device: vfiocore.Device, fire: Callable[[int], None], how: str
) -> None:
    def callback(vector: int, count: int) -> None:
        raise LookupError(vector)

    irqs = device.irqs("msix")
    thread = irqs.on(callback)
    fire(3)
    soon(lambda: not thread.alive)
    with pytest.raises(LookupError, match="3"):
        thread.stop() if how == "stop" else irqs.close()
    thread.stop()
    irqs.close()
    assert irqs.closed


def test_thread_that_closes(device: vfiocore.Device, fire: Callable[[int], None]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    irqs = device.irqs("msix")
    caught: list[BaseException] = []

    def callback(vector: int, count: int) -> None:
        try:
            thread.stop()
        except RuntimeError as error:
            caught.append(error)
        irqs.close()

    thread = irqs.on(callback)
    fire(0)
    soon(lambda: not thread.alive)
    assert irqs.closed
    assert len(caught) == 1
    thread.stop()
    assert len(os.listdir("/proc/self/fd")) == before


def test_async_for(device: vfiocore.Device, fire: Callable[[int], None]) -> None:
    async def main() -> list[tuple[int, int]]:
        irqs = device.irqs("msix")
        loop = asyncio.get_running_loop()
        seen: list[tuple[int, int]] = []
        for vector in range(5):
            loop.call_later(0.01 * vector, fire, vector)
        async for fired in irqs:
            seen.append(fired)
            if len(seen) == 5:
                loop.call_later(0.01, irqs.close)
        return seen

    assert asyncio.run(main()) == [(vector, 1) for vector in range(5)]


def test_async_any(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    async def main() -> None:
        with pytest.raises(vfiocore.WaitTimeout):
            await irqs.wait_any_async(0.01)
        with pytest.raises(ValueError, match="negative"):
            await irqs.wait_any_async(-1)
        tasks = [asyncio.create_task(irqs.wait_any_async(5)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for vector in (2, 0, 1):
            fire(vector)
        assert sorted(await asyncio.gather(*tasks)) == [(0, 1), (1, 1), (2, 1)]

    asyncio.run(main())


def test_async_storm_lets_others_run(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    async def main() -> None:
        ran = asyncio.create_task(asyncio.sleep(0))
        fire(0)
        async for vector, _ in irqs:
            fire(vector)
            if ran.done():
                break

    asyncio.run(asyncio.wait_for(main(), 10))


def test_async_cancelled_in_the_same_moment(
    irqs: vfiocore.IrqSet, fire: Callable[[int], None]
) -> None:
    """What was handed to a task that is cancelled before it runs goes to the next one."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            task = asyncio.create_task(irqs[0].wait_async())
            await asyncio.sleep(0)
            fire(0)
            readers = irqs[0]._readers
            assert readers is not None
            readers._serve(loop)  # as the event loop does, before it lets the task go on
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await irqs[0].wait_async(60) == 1

    asyncio.run(main())


def test_child_of_fork(irqs: vfiocore.IrqSet, fire: Callable[[int], None]) -> None:
    irqs.fileno()
    child = os.fork()
    if not child:
        try:
            irqs[0].wait(60)
        except vfiocore.VfioError as error:
            os._exit(error.errno == errno.ECHILD)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    fire(0)
    assert irqs.wait_any(60) == (0, 1)


def test_use_after_close(device: vfiocore.Device) -> None:
    irqs = device.irqs("msix")
    interrupt = irqs[0]
    irqs.close()
    uses: list[Callable[[], object]] = [
        interrupt.arm,
        interrupt.disarm,
        irqs.mask,
        irqs.unmask_fd,
        irqs.fileno,
        lambda: interrupt.stats,
        lambda: irqs.resize(2),
        lambda: irqs.wait_any(0),
        lambda: irqs.wait_all(0),
        lambda: irqs.on(print),
    ]
    for use in uses:
        with pytest.raises(vfiocore.ClosedError):
            use()
