# SPDX-License-Identifier: MIT
"""Function resets and hot resets on the real kernel, and who owns what a hot reset hits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import vfiocore
from vfiocore import pci
from vfiocore.cli import main

CTRL, RST = 0x0, 1 << 26  # 82574L, section 10.2.2.1
RAL = 0x5400


def quiesce(device: vfiocore.Device) -> None:
    """QEMU 7.2's e1000e must be silent when its function is reset."""
    bar = device.bar(0)
    bar.write32(0xD8, 0xFFFF_FFFF)  # IMC
    bar.write32(CTRL, bar.read32(CTRL) | RST)


@pytest.mark.machine("intel", "iommufd")
def test_methods_are_the_kernels(nic0: str, edu: str) -> None:
    assert pci.reset_methods(nic0) == ["pm", "bus"]
    assert pci.reset_methods(edu) == []
    with pytest.raises(vfiocore.NoDevice):
        pci.reset_methods("0000:77:00.0")


@pytest.mark.machine("intel", "iommufd")
def test_a_reset_ends_dma(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        device.bus_master = True
        quiesce(device)
        device.reset()
        assert not device.bus_master
        assert device.config.command & 2  # and decodes


@pytest.mark.machine("intel", "iommufd")
@pytest.mark.parametrize("transport", ["group", "default"])
def test_hot_reset(nic0: str, transport: str) -> None:
    way = None if transport == "default" else transport
    with vfiocore.open(nic0, transport=way) as device:
        group = pci.info(nic0).iommu_group
        (hit,) = device.hot_reset_info()
        assert (hit.name, hit.group, hit.owned) == (nic0, group, True)
        assert (hit.id > 0) is (device.transport == "cdev")
        device.bus_master = True
        quiesce(device)
        station = device.bar(0).read32(RAL)
        device.bar(0).write32(RAL, 0x12345678)
        device.hot_reset()
        assert not device.bus_master
        assert device.bar(0).read32(RAL) == station
        assert device.config.command & 2  # and decodes
        with device.nic() as nic:
            assert nic.wait_link(60).up


@pytest.mark.machine("intel", "iommufd")
def test_no_hot_reset_on_the_root_bus(edu: str) -> None:
    with vfiocore.open(edu) as device:
        with pytest.raises(vfiocore.Unsupported):
            device.hot_reset_info()
        with pytest.raises(vfiocore.Unsupported, match="root bus"):
            device.hot_reset()


@pytest.mark.machine("shared")
def test_a_group_is_reset_by_either_of_its_devices(bound: Callable[[str], str]) -> None:
    pair = [bound("pair0"), bound("pair1")]
    with vfiocore.Iommu() as iommu, vfiocore.open(pair[1], iommu=iommu) as second:
        station = second.bar(0).read32(RAL)
        second.bar(0).write32(RAL, 0x12345678)
        with vfiocore.open(pair[0], iommu=iommu) as first:
            hit = first.hot_reset_info()
            assert [(device.name, device.owned) for device in hit] == [(n, True) for n in pair]
            assert {device.group for device in hit} == {second.group}
            first.hot_reset()
        assert second.bar(0).read32(RAL) == station


@pytest.mark.machine("iommufd", "intel")
def test_command(nic0: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reset", "--hot", nic0, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{nic0}: would be hot reset, with"
    assert main(["reset", "--hot", nic0]) == 0
    assert f"  {nic0}  group" in capsys.readouterr().out
