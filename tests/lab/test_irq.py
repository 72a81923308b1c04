# SPDX-License-Identifier: MIT
"""Interrupts raised by a device, and by the kernel on our request."""

from __future__ import annotations

import asyncio
import threading

import pytest

import vfiocore

pytestmark = pytest.mark.machine("intel", "iommufd")

# QEMU docs/specs/edu.rst
EDU_IRQ_STATUS, EDU_IRQ_RAISE, EDU_IRQ_ACK = 0x24, 0x60, 0x64


@pytest.mark.parametrize("kind", ["msi", "intx"])
def test_interrupts_are_counted_exactly(edu: str, kind: str) -> None:
    with vfiocore.open(edu) as device:
        device.bus_master = True
        bar = device.bar(0)
        with device.irqs(kind, 1) as irqs:
            for number in range(1, 101):
                bar.write32(EDU_IRQ_RAISE, number)
                assert irqs[0].wait(60) == 1
                assert bar.read32(EDU_IRQ_STATUS) == number
                bar.write32(EDU_IRQ_ACK, number)
                if kind == "intx":
                    irqs.unmask()  # the kernel masked it when it fired
            with pytest.raises(vfiocore.WaitTimeout):
                irqs[0].wait(0.05)


def test_intx_stays_masked_until_unmasked(edu: str) -> None:
    with vfiocore.open(edu) as device, device.irqs("intx", 1) as irqs:
        bar = device.bar(0)
        bar.write32(EDU_IRQ_RAISE, 1)
        assert irqs[0].wait(60) == 1
        irqs.unmask()  # the device still raises its line: it fires again at once
        assert irqs[0].wait(60) == 1
        bar.write32(EDU_IRQ_ACK, 1)
        irqs.unmask()
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0.05)


def test_asyncio(edu: str) -> None:
    async def one(device: vfiocore.Device, irqs: vfiocore.IrqSet) -> int:
        asyncio.get_running_loop().call_later(0.05, device.bar(0).write32, EDU_IRQ_RAISE, 1)
        return await irqs[0].wait_async(60)

    with vfiocore.open(edu) as device:
        device.bus_master = True
        with device.irqs("msi", 1) as irqs:
            assert asyncio.run(one(device, irqs)) == 1
            with pytest.raises(TimeoutError):
                asyncio.run(irqs[0].wait_async(0.05))
            device.bar(0).write32(EDU_IRQ_ACK, 1)


def test_waiting_leaves_other_threads_running(edu: str) -> None:
    with vfiocore.open(edu) as device:
        device.bus_master = True
        with device.irqs("msi", 1) as irqs:
            timer = threading.Timer(0.1, device.bar(0).write32, (EDU_IRQ_RAISE, 1))
            timer.start()
            assert irqs[0].wait(60) == 1
            timer.join()
            device.bar(0).write32(EDU_IRQ_ACK, 1)


def test_every_msix_vector_by_the_kernel(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        assert device.irq_info("msix").count == 5
        with device.irqs("msix", 5) as irqs:
            for vector in range(5):
                irqs[vector].trigger()
            assert [irqs[vector].wait(60) for vector in range(5)] == [1] * 5
            irqs[3].trigger()
            irqs[3].trigger()
            assert irqs[3].wait(60) == 2
        with device.irqs("msi", 1) as irqs:  # the type can be changed
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1


def test_msix_raised_by_the_nic_after_a_reset(nic0: str) -> None:
    """Armed again, the same descriptors work; the device is quiet before it is reset."""
    ivar, ics, ims, imc, eiac = 0xE4, 0xC8, 0xD0, 0xD8, 0xDC  # 82574L, section 10.2.4
    rxq0 = 1 << 20
    with vfiocore.open(nic0) as device, device.irqs("msix", 3) as irqs:
        bar = device.bar(0)
        for _ in range(3):
            device.bus_master = True
            bar.write32(ivar, 0x8 | 2)  # receive queue 0 to vector 2
            bar.write32(eiac, rxq0)
            bar.write32(ims, rxq0)
            bar.write32(ics, rxq0)
            assert irqs[2].wait(60) == 1
            bar.write32(imc, 0xFFFFFFFF)
            bar.write32(0, bar.read32(0) | 1 << 26)  # CTRL.RST
            device.reset()
            irqs.rearm()
