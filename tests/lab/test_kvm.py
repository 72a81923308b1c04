# SPDX-License-Identifier: MIT
"""A virtual machine in the guest has a device: its interrupts, its registers, and who is woken."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore._native.loader import lib
from vfiocore.kvm import Kvm, Route

pytestmark = pytest.mark.machine("intel", "iommufd")

GROUP = pytest.param("group", marks=pytest.mark.machine("intel", "iommufd"))
CDEV = pytest.param("cdev", marks=pytest.mark.machine("iommufd"))

PROGRAM = Path(__file__).parents[2] / "build" / "tests" / "lab" / "kvm_vm"

# Documentation/virt/kvm/api.rst; an emulated CPU has AMD's kind of virtualization.
KVM_CREATE_VM, KVM_CREATE_IRQCHIP, KVM_ENABLE_CAP = 0xAE01, 0xAE60, 0x4068AEA3
KVM_CAP_SPLIT_IRQCHIP = 121

# QEMU docs/specs/edu.rst
EDU_IRQ_RAISE, EDU_IRQ_ACK, EDU_DMA_SOURCE = 0x60, 0x64, 0x80


@pytest.fixture(scope="module", autouse=True)
def module() -> None:
    subprocess.run(["modprobe", "kvm-amd"], check=True)


@pytest.fixture
def vm() -> Iterator[int]:
    """An empty virtual machine's descriptor."""
    kvm = os.open("/dev/kvm", os.O_RDWR)
    vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    os.close(kvm)
    yield vm
    os.close(vm)


@pytest.fixture
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def run(kind: str, bdf: str, transport: str, count: int) -> dict[str, int]:
    done = subprocess.run(
        [str(PROGRAM), kind, bdf, str(count)],
        env={**os.environ, "VFIOCORE_TRANSPORT": transport},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@pytest.mark.parametrize("count", [1, 1_000])
@pytest.mark.parametrize("kind", ["intx", "msi", "doorbell"])
@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_the_guest_handles_them_alone(edu: str, transport: str, kind: str, count: int) -> None:
    """Each interrupt has its handler's run in there; nobody here is woken, KVM_RUN never ends."""
    told = run(kind, edu, transport, count)
    assert told == {"raised": count, "handled": count, "exits": 1, "wakes": 0, "fired": 0}


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_msix_in_the_guest(nic0: str, transport: str) -> None:
    """QEMU's e1000e raises some more when its throttling ends: they, too, go to the guest."""
    told = run("msix", nic0, transport, 1_000)
    assert told["handled"] >= max(told["raised"], 1_000)
    assert (told["exits"], told["wakes"], told["fired"]) == (1, 0, 0)


@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_kvm_is_told_of_the_device(edu: str, vm: int, transport: str) -> None:
    with vfiocore.open(edu, transport=transport) as device, Kvm(vm) as kvm:
        for _ in range(3):
            kvm.add(device)
            with pytest.raises(vfiocore.DeviceBusy, match="added to the machine already"):
                kvm.add(device)
            kvm.remove(device)
        kvm.add(device)
        with Kvm(vm) as second, pytest.raises(vfiocore.DeviceBusy, match="another machine"):
            second.add(device)


@pytest.mark.parametrize("transport", [GROUP, CDEV])
@pytest.mark.parametrize("release", [False, True])
def test_a_device_that_is_closed_leaves(edu: str, vm: int, transport: str, release: bool) -> None:
    """KVM holds no file of it: it can be opened at once, while the machine lives."""
    with Kvm(vm) as kvm:
        for _ in range(3):
            with vfiocore.open(edu, transport=transport) as device:
                kvm.add(device)
                if release:
                    device.release()
                    with vfiocore.open(edu, transport=transport) as again:
                        kvm.add(again)


def test_without_a_controller(edu: str, vm: int) -> None:
    with vfiocore.open(edu) as device, Kvm(vm) as kvm, device.irqs("msi", 1) as irqs:
        with pytest.raises(vfiocore.InvalidArgument, match="no interrupt controller"):
            kvm.bind(irqs[0], 24)
        with pytest.raises(vfiocore.VfioError, match="KVM_CREATE_IRQCHIP"):
            kvm.set_routes([Route.msi(24, 0xFEE00000, 0x41)])
        irqs[0].trigger()
        assert irqs[0].wait(60) == 1


def test_a_split_controller(edu: str, vm: int) -> None:
    """Where the I/O APIC is the monitor's, so is INTx; messages go through the table of routes."""
    cap = struct.pack("=II4Q64x", KVM_CAP_SPLIT_IRQCHIP, 0, 24, 0, 0, 0)
    fcntl.ioctl(vm, KVM_ENABLE_CAP, cap)
    with vfiocore.open(edu) as device, Kvm(vm) as kvm:
        with device.irqs("intx", 1) as irqs:
            with pytest.raises(vfiocore.InvalidArgument, match="leaves INTx to you"):
                kvm.bind(irqs[0], 10)
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1
        with device.irqs("msi", 1) as irqs:
            kvm.set_routes([Route.msi(24, 0xFEE00000, 0x41)])
            kvm.bind(irqs[0], 24)
            irqs[0].trigger()
            with pytest.raises(vfiocore.DeviceBusy, match="fires there"):
                irqs[0].wait(60)
            assert irqs[0].stats.fired == 0
            kvm.unbind(irqs[0])
            with pytest.raises(vfiocore.WaitTimeout):  # it was the machine's
                irqs[0].wait(0.05)
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1


def test_those_who_wait_are_told(edu: str, vm: int) -> None:
    """A thread that sleeps in C without end, and a task; and the guest gets nothing of it."""
    fcntl.ioctl(vm, KVM_CREATE_IRQCHIP, 0)
    with vfiocore.open(edu) as device, Kvm(vm) as kvm, device.irqs("msi", 1) as irqs:
        found: list[int] = []
        waited = (irqs._native(), 0, -1, None)
        thread = threading.Thread(target=lambda: found.append(lib.vfc_irq_wait(*waited)))
        thread.start()

        async def main() -> None:
            task = asyncio.create_task(irqs[0].wait_async())
            await asyncio.sleep(0.05)  # both sleep by then
            kvm.bind(irqs[0], 5)
            with pytest.raises(vfiocore.DeviceBusy, match="in a virtual machine now"):
                await task

        asyncio.run(main())
        thread.join(60)
        assert found == [-errno.EBUSY]
        kvm.unbind(irqs[0])
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0.05)
        irqs[0].trigger()
        assert irqs[0].wait(60) == 1


def test_what_came_before_goes_along(edu: str, vm: int) -> None:
    """What nobody has waited for is the machine's, and not raised twice; INTx is unmasked."""
    fcntl.ioctl(vm, KVM_CREATE_IRQCHIP, 0)
    with vfiocore.open(edu) as device, Kvm(vm) as kvm, device.irqs("intx", 1) as irqs:
        device.bar(0).write32(EDU_IRQ_RAISE, 1)
        kvm.bind(irqs[0], 10)
        kvm.unbind(irqs[0])  # the machine told no end: it is asserted still, and fires here
        assert irqs[0].wait(60) == 1
        device.bar(0).write32(EDU_IRQ_ACK, 1)
        irqs.unmask()
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0.05)


def test_closing_the_set_unbinds(edu: str, vm: int) -> None:
    fcntl.ioctl(vm, KVM_CREATE_IRQCHIP, 0)
    with vfiocore.open(edu) as device, Kvm(vm) as kvm:
        for _ in range(3):
            with device.irqs("msi", 1) as irqs:
                kvm.bind(irqs[0], 5)
                with pytest.raises(vfiocore.DeviceBusy, match="bound to a virtual machine already"):
                    kvm.bind(irqs[0], 6)


def test_other_descriptors() -> None:
    wanted = "misc/kvm: wanted is a virtual machine's"
    with (
        Path("/dev/kvm").open("rb+", buffering=0) as kvm,
        pytest.raises(vfiocore.InvalidArgument, match=wanted),
    ):
        Kvm(kvm.fileno())


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("transport", [GROUP, CDEV])
def test_an_eventfd_writes(edu: str, eventfd: int, transport: str, width: int) -> None:
    """Once each time that it is raised, with all its bytes, until it is ended."""
    value = 0x1122334455667788 & (1 << 8 * width) - 1
    with vfiocore.open(edu, transport=transport) as device:
        bar = device.bar(0)
        bar.ioeventfd(eventfd, EDU_DMA_SOURCE, width, value)
        with pytest.raises(vfiocore.VfioError, match="end it first"):
            bar.ioeventfd(eventfd, EDU_DMA_SOURCE, width, value)
        for _ in range(3):
            bar.write64(EDU_DMA_SOURCE, 0)
            os.eventfd_write(eventfd, 1)
            assert bar.read64(EDU_DMA_SOURCE) == value
        bar.ioeventfd(None, EDU_DMA_SOURCE, width, value)
        with pytest.raises(vfiocore.VfioError, match="there is none"):
            bar.ioeventfd(None, EDU_DMA_SOURCE, width, value)
        bar.write64(EDU_DMA_SOURCE, 0)
        os.eventfd_write(eventfd, 1)
        assert bar.read64(EDU_DMA_SOURCE) == 0


def test_an_eventfd_writes_a_byte(bound: Callable[[str], str], eventfd: int) -> None:
    """QEMU's pci-testdev counts writes of one byte at an offset that it tells."""
    with vfiocore.open(bound("testdev")) as device:
        bar = device.bar(0)
        bar.write8(0, 0)
        offset, value, count = bar.read32(4), bar.read8(8), bar.read32(12)
        bar.ioeventfd(eventfd, offset, 1, value)
        for _ in range(100):
            os.eventfd_write(eventfd, 1)
        assert bar.read32(12) == count + 100


def test_the_table_of_vectors_is_the_kernels(nic0: str, eventfd: int) -> None:
    with vfiocore.open(nic0) as device:
        table = device.bar(3)  # 82574L, section 10.1: MSI-X
        with pytest.raises(vfiocore.VfioError, match="MSI-X table"):
            table.ioeventfd(eventfd, 0, 4, 1)
