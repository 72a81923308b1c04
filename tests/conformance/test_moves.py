# SPDX-License-Identifier: MIT
"""Devices that go from one address space to another."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

import vfiocore

PAGE = mmap.PAGESIZE

Differs = Callable[[str], bool]


def test_to_another_space_and_back(
    device: vfiocore.Device, transport: str, differs: Differs
) -> None:
    own = device.iommu
    with vfiocore.Iommu(transport, beside=own) as other:
        if differs("a device is not moved"):
            for move in (lambda: device.attach(other), device.detach):
                with pytest.raises(vfiocore.Unsupported, match="close it, and open it in that one"):
                    move()
            return
        device.attach(other)
        assert device.iommu is other
        assert (own.devices, other.devices) == (0, 1)
        with pytest.raises(vfiocore.NoDevice), mmap.mmap(-1, PAGE) as memory:
            own.map(memory)
        with other.alloc(PAGE):
            pass
        with pytest.raises(vfiocore.DeviceBusy):
            other.close()
        device.attach(own)
        assert other.devices == 0


def test_a_detached_device_has_a_way_back(
    device: vfiocore.Device, transport: str, differs: Differs
) -> None:
    if differs("a device is not moved"):
        assert device.iommu.devices == 1
        return
    own = device.iommu
    with own.alloc(PAGE) as buffer:
        device.detach()
        device.detach()
        assert (own.devices, own.mappings) == (0, 1)
        with pytest.raises(vfiocore.NoDevice, match="open a device first"):
            own.alloc(PAGE)
        device.attach(own)
        found = own.find_iova(buffer.iova)
        assert found is not None
        own.alloc(PAGE).close()
    device.detach()


def test_a_space_of_another_iommufd(
    device: vfiocore.Device, transport: str, differs: Differs
) -> None:
    kind = vfiocore.Unsupported if differs("a device is not moved") else vfiocore.InvalidArgument
    with vfiocore.Iommu(transport) as stranger:
        with pytest.raises(kind):
            device.attach(stranger)
        assert (device.iommu.devices, stranger.devices) == (1, 0)


def test_a_nic_keeps_its_device_where_it_is(device: vfiocore.Device, transport: str) -> None:
    with vfiocore.Iommu(transport, beside=device.iommu) as other, device.nic():
        with pytest.raises(vfiocore.DeviceBusy, match="NIC"):
            device.attach(other)
        with pytest.raises(vfiocore.DeviceBusy, match="NIC"):
            device.detach()


def test_pasids(transport: str, name: str, differs: Differs) -> None:
    """The kernel asks the IOMMU, and not the device, which has none here."""
    with vfiocore.open(name, transport=transport) as device:
        own = device.iommu
        other = vfiocore.Iommu(transport, beside=own)
        for bad in (0, 1 << 20):
            with pytest.raises(vfiocore.InvalidArgument, match="1 to 1048575"):
                device.attach_pasid(bad, other)
        with pytest.raises(vfiocore.InvalidArgument, match="not attached"):
            device.detach_pasid(5)
        if differs("no PASIDs"):
            with pytest.raises(vfiocore.Unsupported, match="PASID"):
                device.attach_pasid(5, other)
            assert (own.devices, other.devices) == (1, 0)
        else:
            device.attach_pasid(5, other)
            device.attach_pasid((1 << 20) - 1, own)
            assert (own.devices, other.devices) == (2, 1)
            other.alloc(PAGE).close()
            device.attach_pasid(5, own)  # moved
            device.attach_pasid(6, other)
            assert (own.devices, other.devices) == (3, 1)
            device.attach(other)  # the device itself, among its PASIDs
            assert (own.devices, other.devices) == (2, 2)
            device.detach_pasid(5)
            assert own.devices == 1
            with pytest.raises(vfiocore.DeviceBusy):
                other.close()
    assert own.closed
    assert other.devices == 0
    other.close()
