# SPDX-License-Identifier: MIT
"""What can be said of virtual machines without one: the rest is in tests/lab/test_kvm.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore.kvm import Kvm, KvmRouteKind, Route


@pytest.fixture
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    yield fd
    os.close(fd)


def test_other_descriptors(eventfd: int) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match=r"eventfd.*wanted is a virtual machine's"):
        Kvm(eventfd)
    with pytest.raises(vfiocore.VfioError, match="is not open"):
        Kvm(-1)
    with pytest.raises(TypeError, match="a descriptor is an int"):
        Kvm("/dev/kvm")  # type: ignore[arg-type]


def test_routes() -> None:
    route = Route.msi(24, 0xFEE00000, 0x41)
    assert (route.kind, route.address, route.data) == (KvmRouteKind.MSI, 0xFEE00000, 0x41)
    assert Route.to_pin(10, 11) == Route(10, KvmRouteKind.PIN, 2, 11, 0, 0)
    with pytest.raises(vfiocore.InvalidArgument, match="the data 0x100000000 does not fit"):
        Route.msi(24, 0, 1 << 32)._raw()


def test_the_model_writes_nothing_for_an_eventfd(device: vfiocore.Device, eventfd: int) -> None:
    with pytest.raises(vfiocore.Unsupported, match="vfio-pci does"):
        device.bar(0).ioeventfd(eventfd, 0, 4, 1)
    with pytest.raises(vfiocore.Misaligned):
        device.bar(0).ioeventfd(eventfd, 2, 4, 1)
    with pytest.raises(vfiocore.InvalidArgument, match="does not fit in 1 bytes"):
        device.bar(0).ioeventfd(eventfd, 0, 1, 256)
    with pytest.raises(vfiocore.OutOfRange, match="is no BAR"):
        device.config.ioeventfd(None, 0, 4, 1)
