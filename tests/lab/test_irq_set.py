# SPDX-License-Identifier: MIT
"""Every interrupt type on the real kernel: resized, switched, masked, closed.

That all of them are counted is in test_irq_matrix.py.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vfiocore
from vfiocore._native.loader import lib
from vfiocore._native.structs import IrqThreadOpts, IrqThreadStats
from vfiocore.irq import IrqFlag
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("intel", "iommufd", "width", "width-built")

GROUP = pytest.param("group", marks=pytest.mark.machine("intel", "iommufd", "width", "width-built"))
CDEV = pytest.param("cdev", marks=pytest.mark.machine("iommufd", "width-built"))
NICS = [
    pytest.param("group", marks=pytest.mark.machine("intel", "iommufd")),
    pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
]
NVMES = [
    pytest.param("group", marks=pytest.mark.machine("width", "width-built")),
    pytest.param("cdev", marks=pytest.mark.machine("width-built")),
]

# QEMU docs/specs/edu.rst
EDU_IRQ_RAISE, EDU_IRQ_ACK = 0x60, 0x64


def kernel_interrupts(bdf: str) -> list[str]:
    """What the kernel has requested for the device: vfio-intx(BDF), vfio-msix[3](BDF)."""
    lines = Path("/proc/interrupts").read_text().splitlines()
    return [line.split()[-1] for line in lines if f"({bdf})" in line]


@pytest.fixture
def nvme(bound: Callable[[str], str]) -> str:
    """The BDF of the nvme, with 65 MSI-X vectors, bound to vfio-pci."""
    return bound("nvme")


@contextmanager
def opened(bdf: str, transport: str) -> Iterator[vfiocore.Device]:
    """A device that can send messages, of which the kernel has nothing left afterwards."""
    with vfiocore.open(bdf, transport=transport) as device:
        device.bus_master = True
        yield device
    assert kernel_interrupts(bdf) == []


def nothing(irqs: vfiocore.IrqSet) -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        irqs.wait_any(0.05)


@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize("count", [1, 1_000, 100_000])
@pytest.mark.parametrize("transport", NVMES)
def test_loopback(nvme: str, transport: str, count: int) -> None:
    with opened(nvme, transport) as device, device.irqs("msix", 2) as irqs:
        for _ in range(count):
            irqs[1].trigger()
        assert irqs[1].wait(60) == count
        nothing(irqs)


@pytest.mark.parametrize("transport", NICS)
def test_types_in_turn(nic0: str, transport: str) -> None:
    """Also with ERR and REQ beside them."""
    with opened(nic0, transport) as device, device.irqs("err") as err, device.irqs("req") as req:
        for kind in ("intx", "msi", "msix", "intx"):
            with device.irqs(kind) as irqs:
                names = kernel_interrupts(nic0)
                assert len(names) == len(irqs)
                assert all(name.startswith(f"vfio-{kind}") for name in names)
                for vector in irqs:
                    vector.trigger()
                assert irqs.wait_all(60) == [1] * len(irqs)
            assert kernel_interrupts(nic0) == []
        for side in (err, req):
            side[0].trigger()
            assert side[0].wait(60) == 1
            side[0].disarm()


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_types_of_a_device_that_raises_them(edu: str, transport: str) -> None:
    with opened(edu, transport) as device:
        bar = device.bar(0)
        for kind in ("intx", "msi", "intx", "msi"):
            with device.irqs(kind) as irqs:
                bar.write32(EDU_IRQ_RAISE, 1)
                assert irqs.wait_any(60) == (0, 1)
                bar.write32(EDU_IRQ_ACK, 1)
                nothing(irqs)


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_unmask_by_eventfd(edu: str, transport: str) -> None:
    with opened(edu, transport) as device, device.irqs("intx") as irqs:
        bar, unmask = device.bar(0), irqs.unmask_fd()
        bar.write32(EDU_IRQ_RAISE, 1)
        for _ in range(100):  # the line stays up: it fires again each time
            assert irqs[0].wait(60) == 1
            os.eventfd_write(unmask, 1)
        irqs.rearm()  # the kernel knows that eventfd already
        assert irqs[0].wait(60) == 1
        bar.write32(EDU_IRQ_ACK, 1)
        os.eventfd_write(unmask, 1)
        nothing(irqs)
        irqs.mask()
        bar.write32(EDU_IRQ_RAISE, 1)
        nothing(irqs)
        os.eventfd_write(unmask, 1)
        assert irqs[0].wait(60) == 1
        bar.write32(EDU_IRQ_ACK, 1)


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_storm_with_a_handler(edu: str, transport: str) -> None:
    """The line stays up for a thousand calls: others run meanwhile, and none is lost after it."""
    calls = 0
    with opened(edu, transport) as device, device.irqs("intx") as irqs:
        bar = device.bar(0)

        def handler(vector: int, count: int) -> None:
            nonlocal calls
            calls += count
            if calls >= 1000:
                bar.write32(EDU_IRQ_ACK, 1)

        with irqs.on(handler):
            for rounds in range(1, 4):
                bar.write32(EDU_IRQ_RAISE, 1)
                while calls < 999 + rounds:
                    time.sleep(0.001)
        assert calls == 1002
        irqs.unmask()
        nothing(irqs)


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_storm_and_a_rate(edu: str, transport: str) -> None:
    """The library's own thread makes no more calls than it may: INTx stays masked meanwhile."""
    calls: list[int] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64)(
        lambda argument, vector, count: calls.append(count)
    )
    options = IrqThreadOpts.sized(flags=2, rate=50)
    stats, thread = IrqThreadStats.sized(), ctypes.c_void_p()
    with opened(edu, transport) as device, device.irqs("intx") as irqs:
        bar = device.bar(0)
        start = time.monotonic()
        rc = lib.vfc_irq_thread_start(irqs._native(), callback, None, options, ctypes.byref(thread))
        assert rc == 0
        bar.write32(EDU_IRQ_RAISE, 1)
        while len(calls) < 25:
            time.sleep(0.01)
        assert lib.vfc_irq_thread_stats(thread, stats) == 0
        elapsed = time.monotonic() - start
        assert lib.vfc_irq_thread_stop(thread) == 0
        assert stats.calls <= elapsed * 50 + 1
        assert stats.error == 0
        assert stats.throttled >= 24
        bar.write32(EDU_IRQ_ACK, 1)


@pytest.mark.parametrize("transport", NVMES)
def test_all_vectors_and_subsets(nvme: str, transport: str) -> None:
    with opened(nvme, transport) as device, device.irqs("msix") as irqs:
        assert len(irqs) == len(kernel_interrupts(nvme)) == 65
        for vector in irqs:
            vector.trigger()
        assert irqs.wait_all(60) == [1] * 65
        odd = range(1, 65, 2)
        for vector in odd:
            irqs[vector].disarm()
        assert len(kernel_interrupts(nvme)) == 33
        for vector in irqs:
            vector.trigger()
        assert irqs.wait_all(60) == [1, 0] * 32 + [1]
        for vector in odd:
            irqs[vector].arm()
        for vector in irqs:
            vector.trigger()
        assert sorted(irqs.wait_any(60) for _ in range(65)) == [(v, 1) for v in range(65)]
        nothing(irqs)


@pytest.mark.parametrize("transport", NVMES)
def test_growing_at_run_time(nvme: str, transport: str, lab_machine: Machine) -> None:
    """One after the other to 65, and back: at once on Linux 6.5 and later, by a restart before."""
    noresize = lab_machine.kernel == "stock"
    with opened(nvme, transport) as device, device.irqs("msix", 1) as irqs:
        assert (IrqFlag.NORESIZE in irqs.flags) == noresize
        for count in range(2, 66):
            irqs.resize(count)
            assert len(kernel_interrupts(nvme)) == count
            if noresize:  # one may have come while all were off
                for vector in range(count - 1):
                    assert irqs[vector].wait(60) == 1
            irqs[count - 1].trigger()
            assert irqs.wait_any(60) == (count - 1, 1)
        for vector in irqs:
            vector.trigger()
        assert irqs.wait_all(60) == [1] * 65
        for count in (64, 33, 1):
            irqs.resize(count)
            assert len(kernel_interrupts(nvme)) == count
            for vector in irqs:
                vector.trigger()
            assert irqs.wait_all(60) == [1] * count
            nothing(irqs)


@pytest.mark.parametrize("transport", NVMES)
def test_armed_again_after_a_reset(nvme: str, transport: str) -> None:
    with opened(nvme, transport) as device:
        for kind in ("msix", "intx"):
            with device.irqs(kind) as irqs:
                if kind == "intx":
                    unmask = irqs.unmask_fd()
                for _ in range(3):
                    device.reset()
                    irqs.rearm()
                    for vector in irqs:
                        vector.trigger()
                    assert irqs.wait_all(60) == [1] * len(irqs)
                    if kind == "intx":
                        os.eventfd_write(unmask, 1)


@pytest.mark.parametrize("transport", NVMES)
def test_waiting_for_any_and_all(nvme: str, transport: str) -> None:
    with opened(nvme, transport) as device, device.irqs("msix", 8) as irqs:
        poll = select.poll()
        poll.register(irqs, select.POLLIN)
        nothing(irqs)
        for vector in (1, 5):
            irqs[vector].trigger()
        assert poll.poll(5000)
        for _ in range(2):
            with pytest.raises(vfiocore.WaitTimeout):
                irqs.wait_all(0.02)
        for vector in (0, 2, 3, 4, 6, 7):
            irqs[vector].trigger()
        assert irqs.wait_all(60) == [1] * 8
        seen = [0] * 8
        for _ in range(80):  # all the time, all of them
            for vector in irqs:
                vector.trigger()
            seen[irqs.wait_any(60)[0]] += 1
        assert seen == [10] * 8


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_async_for(edu: str, transport: str) -> None:
    async def main(device: vfiocore.Device, irqs: vfiocore.IrqSet) -> int:
        bar, seen = device.bar(0), 0
        bar.write32(EDU_IRQ_RAISE, 1)
        async for vector, count in irqs:
            assert vector == 0
            seen += count
            if seen == 200:
                return seen
            bar.write32(EDU_IRQ_RAISE, 1)
        return -1

    with opened(edu, transport) as device, device.irqs("msi") as irqs:
        assert asyncio.run(main(device, irqs)) == 200
        device.bar(0).write32(EDU_IRQ_ACK, 1)
