# SPDX-License-Identifier: MIT
"""Power states and low power on the fake transport."""

from __future__ import annotations

import threading
from errno import EIO

import pytest

import vfiocore
from vfiocore import PowerState, fake
from vfiocore.fake import Knob


def test_states(device: vfiocore.Device) -> None:
    assert device.power_state is PowerState.D0
    device.power_state = PowerState.D3HOT
    with pytest.raises(vfiocore.VfioError) as caught:
        device.bar(0).read32(8)
    assert caught.value.errno == EIO
    device.power_state = PowerState.D0
    assert device.bar(0).read32(8)
    with pytest.raises(vfiocore.InvalidArgument):
        device.power_state = 4
    with device.nic(), pytest.raises(vfiocore.DeviceBusy):
        device.power_state = PowerState.D3HOT


def test_low_power(device: vfiocore.Device) -> None:
    with device.low_power() as low:
        assert fake.get(device, Knob.LOW_POWER) == 1
        assert device.bar(0).read32(8)  # through the kernel
        with pytest.raises(vfiocore.ClosedError, match="without wake-up"):
            low.wait(0)
        with pytest.raises(vfiocore.VfioError):
            device.low_power()
    assert low.closed
    assert fake.get(device, Knob.LOW_POWER) == 0
    low.close()


def test_wakeup(device: vfiocore.Device) -> None:
    with device.low_power(wakeup=True) as low:
        with pytest.raises(vfiocore.WaitTimeout):
            low.wait(0.01)
        timer = threading.Timer(0.05, device.config.read16, (0,))
        timer.start()
        low.wait(60)
        low.wait(0)
        timer.join()
        assert fake.get(device, Knob.LOW_POWER) == 0
    with pytest.raises(vfiocore.ClosedError):
        low.fileno()


def test_leaving_the_device_ends_it() -> None:
    with vfiocore.open("fake:e1000e") as device:
        low = device.low_power(wakeup=True)
    assert low.closed
    with vfiocore.open("fake:e1000e") as device:
        low = device.low_power(wakeup=True)
        device.release()
    assert low.closed
