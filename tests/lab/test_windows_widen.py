# SPDX-License-Identifier: MIT
"""Windows of a space in which a device with fewer addresses was: the mock IOMMU, with 2 GiB."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import iommufd_mock as mock
import pytest

import vfiocore
from vfiocore.iommufd import IommuFd

pytestmark = pytest.mark.machine("iommufd")


def leave_by_closing(device: vfiocore.Device) -> None:
    device.close()


def leave_by_detaching(device: vfiocore.Device) -> None:
    device.detach()


def leave_by_releasing(device: vfiocore.Device) -> None:
    device.release()


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_detaching, leave_by_releasing])
def test_windows_widen_when_a_device_leaves(
    bound: Callable[[str], str], leave: Callable[[vfiocore.Device], None]
) -> None:
    edu, nic = bound("edu"), bound("nic0")
    with vfiocore.Iommu("cdev") as space, vfiocore.open(edu, iommu=space):
        wide = space.ranges
        descriptor, number = space.iommufd
        with IommuFd(descriptor) as iommufd:
            with mock.MockDevice(iommufd, iommufd.ioas(number)):
                device = vfiocore.open(nic, iommu=space)  # which is when they are read
                assert (space.ranges[0][0], space.ranges[-1][1]) == (
                    mock.IOVA_FIRST,
                    mock.IOVA_LAST,
                )
                with pytest.raises(vfiocore.IovaError, match="windows"):
                    space.map(mmap.mmap(-1, mmap.PAGESIZE), iova=mock.IOVA_LAST + 1)
            leave(device)
            assert space.ranges == wide
            space.map(mmap.mmap(-1, mmap.PAGESIZE), iova=mock.IOVA_LAST + 1).close()
            device.close()
