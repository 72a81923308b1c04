# SPDX-License-Identifier: MIT
"""Interrupts: blocking, asyncio, several waiters, Ctrl-C, the end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore.irq import IrqFlag, IrqIndex


@pytest.fixture
def irqs(device: vfiocore.Device) -> Iterator[vfiocore.IrqSet]:
    with device.irqs("msix") as opened:
        yield opened


def test_info(device: vfiocore.Device) -> None:
    info = device.irq_info("msix")
    assert (info.index, info.count) == (2, 5)
    assert IrqFlag.EVENTFD in info.flags
    assert device.irq_info(IrqIndex.MSI).count == 1
    assert device.irq_info("MSI-X") == info
    intx = device.irq_info("intx")
    assert IrqFlag.AUTOMASKED in intx.flags
    with pytest.raises(vfiocore.InvalidArgument, match="there are intx, msi, msix"):
        device.irq_info("nmi")
    with pytest.raises(vfiocore.InvalidArgument):
        device.irq_info(-1)


def test_set(irqs: vfiocore.IrqSet) -> None:
    assert len(irqs) == 5
    assert [interrupt.vector for interrupt in irqs] == [0, 1, 2, 3, 4]
    assert repr(irqs) == "<IrqSet fake:e1000e MSIX: 5 vectors>"
    for vector in (-1, 5):
        with pytest.raises(IndexError):
            irqs[vector]


def test_count_and_limit(device: vfiocore.Device) -> None:
    with device.irqs("msix", 2) as irqs:
        assert len(irqs) == 2
    with pytest.raises(vfiocore.OutOfRange, match="the device has 5"):
        device.irqs("msix", 6)
    with device.irqs("msi"), pytest.raises(vfiocore.DeviceBusy, match="close it first"):
        device.irqs("msix")


def test_wait(irqs: vfiocore.IrqSet) -> None:
    irqs[3].trigger()
    assert irqs[3].wait(60) == 1
    irqs[3].trigger()
    irqs[3].trigger()
    assert irqs[3].wait() == 2
    with pytest.raises(vfiocore.WaitTimeout):
        irqs[2].wait(0)


@pytest.mark.parametrize("timeout", [0.05, 0.3])
def test_timeout(irqs: vfiocore.IrqSet, timeout: float) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        irqs[0].wait(timeout)
    assert time.monotonic() - start >= timeout
    with pytest.raises(vfiocore.InvalidArgument, match="negative"):
        irqs[0].wait(-1)


def test_other_threads_run_while_one_waits(irqs: vfiocore.IrqSet) -> None:
    timer = threading.Timer(0.05, irqs[1].trigger)
    timer.start()
    assert irqs[1].wait(60) == 1
    timer.join()


def test_eventfd(irqs: vfiocore.IrqSet) -> None:
    descriptor = irqs[4].fileno()
    assert not os.get_blocking(descriptor)
    assert select.select([irqs[4]], [], [], 0)[0] == []
    irqs[4].trigger()
    assert select.select([irqs[4]], [], [], 1)[0] == [irqs[4]]
    assert irqs[4].wait(0) == 1
    assert select.select([irqs[4]], [], [], 0)[0] == []


def test_intx_is_unmasked(device: vfiocore.Device) -> None:
    with device.irqs("intx") as irqs:
        for _ in range(3):
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1
            irqs.unmask()


def test_rearm_after_reset(device: vfiocore.Device, irqs: vfiocore.IrqSet) -> None:
    device.reset()
    irqs.rearm()
    irqs[0].trigger()
    assert irqs[0].wait(60) == 1


def test_ctrl_c(irqs: vfiocore.IrqSet) -> None:
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come as soon as the timer runs
        timer.start()
        irqs[0].wait(600)
    timer.join()


def test_ctrl_c_that_another_thread_gets(irqs: vfiocore.IrqSet) -> None:
    # The kernel may give the signal to any thread: here to one that is not in wait().
    def kill_myself() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=kill_myself)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come as soon as the thread runs
        thread.start()
        irqs[0].wait(600)
    thread.join()


def test_a_signal_that_is_handled_does_not_end_the_wait(irqs: vfiocore.IrqSet) -> None:
    seen = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        timers = [
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)),
            threading.Timer(0.15, irqs[0].trigger),
        ]
        for timer in timers:
            timer.start()
        assert irqs[0].wait(60) == 1
        for timer in timers:
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert seen == [signal.SIGUSR1]


def test_close_ends_a_wait(device: vfiocore.Device) -> None:
    irqs = device.irqs("msix")
    caught: list[BaseException] = []

    def waiter() -> None:
        try:
            irqs[0].wait()
        except vfiocore.ClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=waiter)
    thread.start()
    time.sleep(0.05)
    irqs.close()
    thread.join(60)
    assert not thread.is_alive()
    assert len(caught) == 1
    irqs.close()


def test_close_by_a_handler_inside_of_the_wait(irqs: vfiocore.IrqSet) -> None:
    def handler(number: int, frame: object) -> None:
        with pytest.raises(vfiocore.DeviceBusy, match="is waited for"):
            irqs.close()
        irqs[0].trigger()

    former = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        assert irqs[0].wait(60) == 1
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, former)


def test_use_after_close(device: vfiocore.Device) -> None:
    irqs = device.irqs("msix")
    interrupt = irqs[0]
    irqs.close()
    uses = [interrupt.trigger, lambda: interrupt.wait(0), interrupt.fileno, irqs.rearm, irqs.unmask]
    for use in uses:
        with pytest.raises(vfiocore.ClosedError):
            use()


def test_async(irqs: vfiocore.IrqSet) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for vector in range(5):
            loop.call_later(0.01 * vector, irqs[vector].trigger)
        assert await asyncio.gather(*(irq.wait_async(60) for irq in irqs)) == [1] * 5
        irqs[0].trigger()
        assert await irqs[0].wait_async(0) == 1
        for timeout in (0, 0.02):
            with pytest.raises(vfiocore.WaitTimeout):
                await irqs[0].wait_async(timeout)
        with pytest.raises(ValueError, match="negative"):
            await irqs[0].wait_async(-1)

    asyncio.run(main())


def test_async_several_tasks_share_a_vector(irqs: vfiocore.IrqSet) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(irqs[0].wait_async(60)) for _ in range(3)]
        for _ in tasks:
            await asyncio.sleep(0.01)
            irqs[0].trigger()
        assert await asyncio.gather(*tasks) == [1, 1, 1]

    asyncio.run(main())


def test_async_cancel(irqs: vfiocore.IrqSet) -> None:
    async def main() -> None:
        first = asyncio.create_task(irqs[0].wait_async())
        second = asyncio.create_task(irqs[0].wait_async(60))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        irqs[0].trigger()
        assert await second == 1

    asyncio.run(main())


def test_async_close(device: vfiocore.Device) -> None:
    async def main() -> None:
        irqs = device.irqs("msix")
        task = asyncio.create_task(irqs[0].wait_async())
        await asyncio.sleep(0.01)
        irqs.close()
        with pytest.raises(vfiocore.ClosedError):
            await task

    asyncio.run(main())


WAITING = """
import threading, time
import vfiocore
device = vfiocore.open("fake:e1000e")
irqs, events = device.irqs("msix"), device.events()
for wait in (irqs[0].wait, irqs.wait_any, irqs.wait_all, events.wait):
    threading.Thread(target=wait, daemon=True).start()
time.sleep(0.2)
"""


def test_threads_that_wait_when_the_interpreter_exits() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITING], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
