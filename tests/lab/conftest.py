# SPDX-License-Identifier: MIT
"""These tests run in a guest; on the host there is nothing here to collect."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import mdev
import pytest
from interfaces import kernel_interface

from vfiocore import pci
from vfiocore.iommufd import Ioas, IommuFd
from vfiocore.lab.machines import Machine
from vfiocore.lab.plugin import in_guest

collect_ignore_glob = [] if in_guest() else ["test_*.py"]


@pytest.fixture
def bound(lab_machine: Machine) -> Iterator[Callable[[str], str]]:
    """Bind a device of the machine to vfio-pci by its short name; undone after the test."""
    names: list[str] = []

    def bind(short: str) -> str:
        bdf = lab_machine.device(short).bdf
        pci.bind(bdf)
        names.append(bdf)
        return bdf

    yield bind
    for bdf in names:
        pci.unbind(bdf)


@pytest.fixture
def nic0(bound: Callable[[str], str]) -> str:
    """The BDF of the first e1000e, bound to vfio-pci."""
    return bound("nic0")


@pytest.fixture
def edu(bound: Callable[[str], str]) -> str:
    """The BDF of the device edu, bound to vfio-pci."""
    return bound("edu")


@pytest.fixture
def huge() -> Iterator[None]:
    """Huge pages, without which memory of more than a page is in pieces."""
    pages = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    before = pages.read_text()
    pages.write_text("16")
    assert int(pages.read_text()) == 16
    yield
    pages.write_text(before)


@pytest.fixture(scope="module")
def kernel_nic(lab_machine: Machine) -> Iterator[str]:
    """Of nic1, or of the machine's only e1000e. For a whole module: it takes seconds to see its
    link."""
    names = [device.name for device in lab_machine.devices]
    nic1 = lab_machine.device("nic1" if "nic1" in names else "nic0")
    with kernel_interface(nic1.bdf) as interface:
        yield interface


@pytest.fixture
def peer(kernel_nic: str) -> Iterator[socket.socket]:
    """A raw socket on the kernel's end of the wire that sees our experiments only."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as raw:
        raw.bind((kernel_nic, 0x88B5))
        raw.settimeout(60)
        yield raw


@pytest.fixture
def iommufd() -> Iterator[IommuFd]:
    """After each test everything could be destroyed, and no descriptor is left."""
    before = sorted(os.listdir("/proc/self/fd"))
    with IommuFd() as opened:
        yield opened
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def ioas(iommufd: IommuFd) -> Ioas:
    """An address space of it."""
    return iommufd.ioas()


@pytest.fixture(scope="module")
def vfc_device() -> Iterator[None]:
    """kmod-tests' module, for a whole module of tests."""
    with mdev.loaded("vfc_device", "mdev"):
        yield


@pytest.fixture(params=mdev.TRANSPORTS)
def opened(request: pytest.FixtureRequest) -> Iterator[mdev.Opener]:
    """Make a mediated device of a type and open it; both are undone after the test."""
    with mdev.opener(request.param) as open_one:
        yield open_one
