# SPDX-License-Identifier: MIT
"""Power of a real function, by the real kernel."""

from __future__ import annotations

import time
from errno import EIO
from pathlib import Path

import pytest

import vfiocore
from vfiocore import PowerState

pytestmark = pytest.mark.machine("intel", "iommufd")

STATUS = 8  # 82574L, section 10.2.2.2


def becomes(bdf: str, status: str) -> bool:
    """Whether the kernel's runtime management gets there; it does so by itself, and soon."""
    path = Path(f"/sys/bus/pci/devices/{bdf}/power/runtime_status")
    deadline = time.monotonic() + 60
    while path.read_text().strip() != status and time.monotonic() < deadline:
        time.sleep(0.01)
    return path.read_text().strip() == status


@pytest.mark.parametrize("transport", ["group", "default"])
def test_d3hot_and_back(nic0: str, transport: str) -> None:
    way = None if transport == "default" else transport
    with vfiocore.open(nic0, transport=way) as device:
        bar = device.bar(0)
        before = bar.read32(STATUS)
        for _ in range(3):
            device.power_state = PowerState.D3HOT
            assert device.power_state is PowerState.D3HOT
            with pytest.raises(vfiocore.VfioError) as caught:
                bar.read32(STATUS)
            assert caught.value.errno == EIO
            device.power_state = PowerState.D0
            assert bar.read32(STATUS) == before
        with pytest.raises(vfiocore.Unsupported, match="D2"):
            device.power_state = PowerState.D2
        assert device.power_state is PowerState.D0
        with device.nic() as nic:
            assert nic.wait_link(60).up


def test_no_power_management(edu: str) -> None:
    with vfiocore.open(edu) as device, pytest.raises(vfiocore.Unsupported):
        device.power_state = PowerState.D3HOT


def test_low_power(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        bar = device.bar(0)
        before = bar.read32(STATUS)  # mapped from here on
        with device.low_power():
            assert becomes(nic0, "suspended")
            assert device.config.vendor == 0x8086  # wakes it for a moment
            assert bar.read32(STATUS) == before  # where the mapping is a SIGBUS
            with pytest.raises(vfiocore.VfioError):
                device.low_power()
        assert becomes(nic0, "active")
        assert bar.read32(STATUS) == before
        with device.nic() as nic:
            assert nic.wait_link(60).up


def test_an_access_wakes_it_up(nic0: str) -> None:
    with vfiocore.open(nic0) as device, device.events(interval=0.01):
        before = device.bar(0).read32(STATUS)
        with device.low_power(wakeup=True) as low:
            with pytest.raises(vfiocore.WaitTimeout):
                low.wait(0.1)
            assert becomes(nic0, "suspended")
            assert device.config.vendor == 0x8086
            low.wait(60)
            assert becomes(nic0, "active")
            assert device.bar(0).read32(STATUS) == before
        assert device.bar(0).read32(STATUS) == before
