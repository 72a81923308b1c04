# SPDX-License-Identifier: MIT
"""A device, its regions and its interrupts: the same by every transport."""

from __future__ import annotations

import errno
import os

import pytest

import vfiocore


def test_what_it_is(device: vfiocore.Device) -> None:
    assert (device.config.vendor, device.config.device) == (0x8086, 0x10D3)
    assert [bar.length for bar in device.bars] == [0x20000, 0x20000, 32, 0x4000, 0, 0]
    assert [bar.mappable for bar in device.bars[:4]] == [True, True, False, True]
    assert len(device.config) == 4096
    assert device.irq_info("msix").count == 5
    assert device.irq_info("msi").count == 1
    offsets = {(c.id, c.extended): c.offset for c in device.config.capabilities()}
    assert offsets[0x11, False] == 0xA0
    assert offsets[0x10, False] == 0xE0
    assert offsets[0x01, True] == 0x100


def test_one_owner(device: vfiocore.Device, name: str, transport: str) -> None:
    if transport == "fake":  # every open makes a model of its own
        vfiocore.open(name).close()
        return
    with pytest.raises(vfiocore.DeviceBusy):
        vfiocore.open(name, transport=transport)


def test_one_handle_in_a_space(device: vfiocore.Device, name: str, transport: str) -> None:
    """A second one would take the first one's interrupts, and end its bus mastering."""
    device.bus_master = True
    with device.irqs("msix", 2) as irqs:
        if transport == "fake":
            vfiocore.open(name, iommu=device.iommu).close()
        else:
            with pytest.raises(vfiocore.DeviceBusy, match="open already"):
                vfiocore.open(name, iommu=device.iommu)
        irqs[1].trigger()
        irqs[1].wait(60)
    assert device.bus_master


def descriptors() -> set[int]:
    """Those that are open, without the one that lists them."""
    listed = [int(name) for name in os.listdir("/proc/self/fd")]
    return {fd for fd in listed if os.path.exists(f"/proc/self/fd/{fd}")}


def test_no_program_inherits_a_descriptor(name: str, transport: str) -> None:
    """It would be a right to DMA."""
    before = descriptors()
    with (
        vfiocore.open(name, transport=transport) as device,
        device.irqs("msix") as irqs,
        device.events(),
    ):
        irqs[0].fileno()
        opened = descriptors() - before
        assert len(opened) > len(irqs)
        assert not [os.readlink(f"/proc/self/fd/{fd}") for fd in opened if os.get_inheritable(fd)]


def test_a_space_of_another_transport(name: str, transport: str) -> None:
    """A space of the model takes models only."""
    stranger = "0000:00:00.0" if transport == "fake" else name
    with vfiocore.Iommu("fake") as iommu, pytest.raises(vfiocore.NoDevice, match="no model"):
        vfiocore.open(stranger, iommu=iommu)


def test_reset_and_bus_master(device: vfiocore.Device) -> None:
    assert not device.bus_master
    device.bus_master = True
    assert device.bus_master
    device.reset()
    # What a reset clears is the device's affair (QEMU's 82574L: little); that it comes back is not.
    assert device.config.vendor == 0x8086
    assert device.bar(0).read32(0x8) != 0xFFFFFFFF


def test_decoding_off_is_an_error_and_no_signal(device: vfiocore.Device) -> None:
    """A load from a mapping that the kernel has taken away would be a SIGBUS."""
    status = device.bar(0).read32(0x8)
    command = device.config.read16(4)
    device.config.write16(4, command & ~2)
    with pytest.raises(vfiocore.VfioError, match="decoding") as caught:
        device.bar(0).read32(0x8)
    assert caught.value.errno == errno.EIO
    with pytest.raises(vfiocore.VfioError, match="decoding"):
        device.bar(0).write32(0x38, 0)
    device.config.write16(4, command | 2)
    assert device.bar(0).read32(0x8) == status


def test_every_vector(device: vfiocore.Device) -> None:
    with device.irqs("msix") as irqs:
        assert len(irqs) == 5
        for vector in range(5):
            irqs[vector].trigger()
        assert [irqs[vector].wait(60) for vector in range(5)] == [1] * 5
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0)
        with pytest.raises(vfiocore.DeviceBusy):
            device.irqs("msi", 1)
    for kind in ("msi", "intx"):
        with device.irqs(kind, 1) as irqs:
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1


def test_interrupts_after_a_reset(device: vfiocore.Device) -> None:
    with device.irqs("msix", 2) as irqs:
        device.reset()
        irqs.rearm()
        irqs[1].trigger()
        assert irqs[1].wait(60) == 1


@pytest.mark.parametrize(
    ("bar", "offset", "error"),
    [
        (0, 0x20000, vfiocore.OutOfRange),
        (0, 2, vfiocore.Misaligned),
        (4, 0, vfiocore.OutOfRange),
    ],
)
def test_bad_registers(
    device: vfiocore.Device, bar: int, offset: int, error: type[vfiocore.VfioError]
) -> None:
    with pytest.raises(error):
        device.bar(bar).read32(offset)


def test_nothing_stays_open(name: str, transport: str) -> None:
    vfiocore.open(name, transport=transport).close()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with vfiocore.open(name, transport=transport) as device:
            buffer = device.iommu.alloc(8192)
            with device.irqs("msix", 3):
                pass
            buffer.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_bus_master_is_switched(device: vfiocore.Device) -> None:
    """By the Command register and by its name, off when opened; the rest of it stays."""
    bit = 4  # PCI Local Bus 3.0, 6.2.2
    assert not device.config.command & bit
    before = device.config.command
    for on in (True, False):
        device.config.command = before | bit if on else before
        assert device.bus_master is on
    for on in (True, False):
        device.bus_master = on
        assert device.config.command == (before | bit if on else before)


def test_the_ids_are_those_of_sysfs(device: vfiocore.Device, name: str, transport: str) -> None:
    if transport == "fake":  # sysfs knows no model
        return
    info = vfiocore.pci.info(name)
    assert (device.config.vendor, device.config.device) == (info.vendor, info.device)


def none_is_lost(irqs: vfiocore.IrqSet) -> None:
    for interrupt in irqs:
        interrupt.trigger()
    assert [interrupt.wait(60) for interrupt in irqs] == [1] * len(irqs)


def test_misused_interrupts(device: vfiocore.Device) -> None:
    """An error each, and the set is what it was."""
    for kind, count in (("msix", 3), ("msi", 1)):
        with device.irqs(kind, count) as irqs:
            for vector in (-1, count):
                with pytest.raises(IndexError):
                    irqs[vector]
            for refused in (irqs.mask, irqs.unmask, irqs.unmask_fd):
                with pytest.raises(vfiocore.Unsupported, match="only INTx"):
                    refused()
            with pytest.raises(vfiocore.VfioError, match="armed already") as caught:
                irqs[0].arm()
            assert caught.value.errno == errno.EALREADY
            irqs[0].disarm()
            with pytest.raises(vfiocore.VfioError, match="disarmed already"):
                irqs[0].disarm()
            irqs[0].arm()
            for size in (0, 6):
                with pytest.raises(vfiocore.OutOfRange):
                    irqs.resize(size)
            none_is_lost(irqs)
        with pytest.raises(vfiocore.ClosedError):
            irqs.wait_any(0)


def test_a_descriptor_closed_behind_our_back(device: vfiocore.Device) -> None:
    with device.irqs("msix", 2) as irqs:
        os.close(irqs[0].fileno())
        with pytest.raises(vfiocore.VfioError, match="vector 0") as caught:
            irqs[0].wait(60)
        assert caught.value.errno == errno.EBADF
        irqs[1].trigger()
        assert irqs[1].wait(60) == 1


def test_fork_while_armed(device: vfiocore.Device) -> None:
    """The child may not wait, and takes nothing from its parent."""
    with device.irqs("msix", 2) as irqs:
        irqs[1].trigger()
        child = os.fork()
        if not child:
            try:
                irqs[1].wait(60)
            except vfiocore.VfioError as error:
                os._exit(error.errno == errno.ECHILD)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert irqs[1].wait(60) == 1
        none_is_lost(irqs)
