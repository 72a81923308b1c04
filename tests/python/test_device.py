# SPDX-License-Identifier: MIT
"""Opening, closing and describing a device."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import vfiocore
from vfiocore import fake
from vfiocore.device import DeviceFlag


def test_attributes(device: vfiocore.Device) -> None:
    assert device.name == "fake:e1000e"
    assert device.transport == "fake"
    assert device.group == -1
    assert DeviceFlag.PCI in device.flags
    assert repr(device) == "<Device fake:e1000e: fake>"


def test_regions(device: vfiocore.Device) -> None:
    assert [region.index for region in device.regions] == list(range(9))
    assert device.regions[7] is device.config
    assert device.bars == device.regions[:6]
    assert device.rom.name == "ROM"
    with pytest.raises(IndexError):
        device.region(9)
    with pytest.raises(IndexError):
        device.bar(6)


def test_close_is_idempotent() -> None:
    device = vfiocore.open("fake:e1000e")
    assert not device.closed
    device.close()
    device.close()
    assert device.closed
    assert repr(device) == "<Device fake:e1000e closed>"


def test_use_after_close(device: vfiocore.Device) -> None:
    bar, config, iommu = device.bar(0), device.config, device.iommu
    device.close()
    uses: list[Callable[[], object]] = [
        lambda: bar.read32(0),
        lambda: bar.write8(0, 0),
        lambda: bar.read_block(0, 4),
        lambda: config.vendor,
        config.capabilities,
        lambda: iommu.ranges,
        lambda: device.iommu,
        lambda: device.bars,
        lambda: device.irqs("msi"),
        device.nic,
        device.reset,
        device.__enter__,
    ]
    for use in uses:
        with pytest.raises(vfiocore.ClosedError, match="is closed"):
            use()


def test_close_with_open_children(device: vfiocore.Device) -> None:
    irqs = device.irqs("msi")
    with pytest.raises(vfiocore.DeviceBusy, match="close them first"):
        device.close()
    assert device.config.vendor == 0x8086
    irqs.close()
    device.close()


def test_close_under_another_threads_accesses(device: vfiocore.Device) -> None:
    bar, caught = device.bar(0), []

    def read() -> None:
        try:
            while True:
                bar.read32(8)
        except vfiocore.VfioError as error:
            caught.append(type(error))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    device.close()
    for thread in threads:
        thread.join(60)
    assert caught == [vfiocore.ClosedError] * 4


def test_a_close_that_fails_leaves_the_registers(device: vfiocore.Device) -> None:
    bar = device.bar(0)
    with device.irqs("msix", 1), pytest.raises(vfiocore.DeviceBusy):
        device.close()
    assert bar.read32(8) == bar.read64(8) & 0xFFFFFFFF
    assert not device.closed


def test_wrong_types() -> None:
    for name in (3, None, b"fake:e1000e"):
        with pytest.raises(TypeError, match="a device's name is a str"):
            vfiocore.open(name)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a transport is a str"):
        vfiocore.open("fake:e1000e", transport=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="iommu is an Iommu"):
        vfiocore.open("fake:e1000e", iommu="group")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NUL"):
        vfiocore.open("fake:e1000e\0x")


def test_leaving_closes_children() -> None:
    with vfiocore.open("fake:e1000e") as device:
        irqs = device.irqs("msix")
    assert irqs.closed
    assert device.closed
    with vfiocore.open("fake:e1000e") as device:
        nic = device.nic()
    assert nic.closed


def test_bus_master(device: vfiocore.Device) -> None:
    assert device.bus_master is False
    device.bus_master = True
    assert device.bus_master is True
    assert device.config.command & 4
    device.bus_master = False
    assert device.bus_master is False


def test_reset(device: vfiocore.Device) -> None:
    device.reset()
    assert fake.get(device, fake.Knob.RESETS) >= 1


def test_gone(device: vfiocore.Device) -> None:
    fake.set(device, fake.Knob.GONE, 1)
    with pytest.raises(vfiocore.DeviceGone, match="all ones"):
        device.bar(0).read32(8)
    with pytest.raises(vfiocore.DeviceGone):
        device.reset()


def test_knobs(device: vfiocore.Device) -> None:
    fake.set(device, fake.Knob.RX_LENGTH, 64)
    assert fake.get(device, fake.Knob.RX_LENGTH) == 64
    with pytest.raises(vfiocore.InvalidArgument):
        fake.set(device, fake.Knob.PINNED, 1)


def test_transport_by_argument() -> None:
    with vfiocore.open("fake:e1000e", transport="fake") as device:
        iommu = device.iommu
    assert iommu.closed
    with vfiocore.Iommu("fake") as space, pytest.raises(ValueError, match="one of the two"):
        vfiocore.open("fake:e1000e", iommu=space, transport="fake")


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-c", "import vfiocore\n" + code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_leftovers_are_closed_at_exit() -> None:
    result = run(
        "d = vfiocore.open('fake:e1000e')\n"
        "n = d.nic()\n"
        "b = d.iommu.alloc(4096); v = b.view()\n"
        "import atexit; atexit._run_exitfuncs()\n"
        "print(n.closed, d.closed, b.mapped)"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["True", "True", "0"]


def test_a_fork_leaves_the_parents_device_alone(device: vfiocore.Device) -> None:
    # The device stays open in this process; a child that exits by itself must not close it.
    from vfiocore import device as module

    assert device in module._open
    module._close_leftovers(os.getpid() + 1)
    assert not device.closed


def test_what_cannot_be_adopted() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(vfiocore.InvalidArgument, match="is pipe"):
            vfiocore.adopt(reader)
        with pytest.raises(vfiocore.InvalidArgument, match="is pipe"):
            vfiocore.Iommu.adopt(reader)
        with (
            vfiocore.Iommu("fake") as iommu,
            pytest.raises(vfiocore.InvalidArgument, match="knows no descriptors"),
        ):
            vfiocore.adopt(reader, "0000:01:00.0", iommu=iommu)
        with pytest.raises(TypeError):
            vfiocore.adopt("fd")  # type: ignore[arg-type]
        with pytest.raises(vfiocore.InvalidArgument, match="no descriptor"):
            vfiocore.Iommu.adopt(2**40)
        os.fstat(reader)  # still the caller's
    finally:
        os.close(reader)
        os.close(writer)
