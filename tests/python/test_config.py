# SPDX-License-Identifier: MIT
"""Config space and its capability lists."""

from __future__ import annotations

import pytest

import vfiocore
from vfiocore import fake
from vfiocore.config import Capability, capability_name


def test_header(device: vfiocore.Device) -> None:
    config = device.config
    assert (config.vendor, config.device) == (0x8086, 0x10D3)
    assert (config.class_code, config.revision) == (0x020000, 0)
    assert config.command & 3 == 3
    assert config.status & 0x10  # it has a capability list
    assert config.name == "config"
    config.command &= ~2
    assert not config.command & 2


def test_capabilities(device: vfiocore.Device) -> None:
    caps = device.config.capabilities()
    assert [cap.name for cap in caps] == [
        "Power Management",
        "MSI",
        "PCI Express",
        "MSI-X",
        "Advanced Error Reporting",
        "Device Serial Number",
    ]
    assert [cap.extended for cap in caps] == [False] * 4 + [True] * 2
    for cap in caps:
        read = device.config.read16 if cap.extended else device.config.read8
        assert read(cap.offset) == cap.id
    assert caps[0].as_dict() == {"id": 1, "offset": 0xC8, "version": 0, "extended": False}


def test_find(device: vfiocore.Device) -> None:
    assert device.config.find(0x11) == Capability(0x11, 0xA0, 0, False)
    assert device.config.find(0x03, extended=True) == Capability(3, 0x140, 1, True)
    assert device.config.find(0x03) is None
    # Power management and AER have the same number in the two lists.
    first, second = device.config.find(1), device.config.find(1, extended=True)
    assert first
    assert second
    assert first.offset != second.offset


def test_a_list_of_a_device_that_is_gone(device: vfiocore.Device) -> None:
    # All ones could be taken for a list that starts at 0xfc, whose entry points at itself.
    fake.set(device, fake.Knob.GONE, 1)
    with pytest.raises(vfiocore.DeviceGone):
        device.config.capabilities()
    with pytest.raises(vfiocore.DeviceGone):
        device.config.find(0x11)


def test_names() -> None:
    assert capability_name(0x10) == "PCI Express"
    assert capability_name(0x10, extended=True) == "SR-IOV"
    assert capability_name(0x7F) == "0x7f"
