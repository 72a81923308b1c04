# SPDX-License-Identifier: MIT
"""A device that goes from one address space to another."""

from __future__ import annotations

import mmap

import pytest

import vfiocore

PAGE = mmap.PAGESIZE


def test_from_one_space_to_another() -> None:
    with vfiocore.open("fake:e1000e", transport="fake") as device:
        own = device.iommu
        with vfiocore.Iommu(beside=own) as other:
            assert other.transport == "fake"
            device.attach(other)
            assert device.iommu is other
            assert (own.devices, other.devices) == (0, 1)
            with pytest.raises(vfiocore.DeviceBusy):
                other.close()
            device.detach()
            device.detach()
            assert device.iommu is other
            assert other.devices == 0
            with pytest.raises(vfiocore.DeviceBusy, match="detached"):
                other.close()
            device.attach(own)
        assert device.iommu is own
    assert own.closed


@pytest.mark.parametrize("transport", ["fake", None])
def test_its_own_space_goes_with_it(transport: str | None) -> None:
    """Made by Python, or by C: whatever it is attached to in the end."""
    device = vfiocore.open("fake:e1000e", transport=transport)
    own = device.iommu
    other = vfiocore.Iommu(beside=own)
    guest = vfiocore.open("fake:e1000e", iommu=own)
    buffer = own.alloc(PAGE)
    device.attach(other)
    with pytest.raises(vfiocore.DeviceBusy, match="another device is attached"):
        device.close()
    assert not device.closed
    guest.close()
    device.close()
    assert own.closed
    assert buffer.mapped == 0
    buffer.close()
    assert not other.closed
    other.close()


def test_what_is_refused() -> None:
    with (
        vfiocore.open("fake:e1000e") as device,
        vfiocore.Iommu("fake") as stranger,
        vfiocore.Iommu(beside=device.iommu) as beside,
    ):
        with pytest.raises(vfiocore.InvalidArgument, match=r"open it beside"):
            device.attach(stranger)
        with pytest.raises(vfiocore.Unsupported):
            device.attach_pasid(1, beside)
        with pytest.raises(vfiocore.InvalidArgument, match="1 to 1048575"):
            device.attach_pasid(0, beside)
        with pytest.raises(vfiocore.InvalidArgument, match="does not fit"):
            device.attach_pasid(-1, beside)
        with pytest.raises(vfiocore.InvalidArgument, match="not attached"):
            device.detach_pasid(1)
        with pytest.raises(vfiocore.Unsupported):
            _ = device.iommufd_id
        with pytest.raises(vfiocore.Unsupported):
            _ = beside.iommufd
        with device.nic(), pytest.raises(vfiocore.DeviceBusy, match="NIC"):
            device.attach(beside)
        assert device.iommu.devices == 1
        assert not device.iommu.physical


def test_beside_what() -> None:
    with vfiocore.Iommu("fake") as space:
        with pytest.raises(TypeError, match="beside is an Iommu"):
            vfiocore.Iommu(beside="fake")  # type: ignore[arg-type]
        with pytest.raises(vfiocore.InvalidArgument, match="beside one of fake"):
            vfiocore.Iommu("group", beside=space)
    with pytest.raises(vfiocore.ClosedError):
        vfiocore.Iommu(beside=space)


def test_either_of_two_may_be_closed_first() -> None:
    first = vfiocore.Iommu("fake")
    second = vfiocore.Iommu(beside=first)
    first.close()
    with vfiocore.open("fake:e1000e", iommu=second), second.alloc(PAGE):
        pass
    second.close()
