# SPDX-License-Identifier: MIT
"""Memory of files in containers with mediated devices, for which type1 keeps an address and pins
nothing: at each of a device's accesses it looks up what this process has there."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mdev
import pytest
from mdev import Opener

import vfiocore
from vfiocore import pci

sys.path.append(str(Path(__file__).resolve().parents[1] / "conformance"))

from edu_engine import EDU1, Edu

PAGE = mmap.PAGESIZE
MULTICAST_TABLE = 0x5200  # of the 82574L: 128 words that do nothing alone

pytestmark = [pytest.mark.usefixtures("vfc_device"), mdev.anywhere]


@pytest.fixture
def opened() -> Iterator[Opener]:
    with mdev.opener("group") as opener:
        yield opener


@pytest.fixture
def memfd() -> Iterator[int]:
    """16 pages of F."""
    fd = os.memfd_create("vfiocore-lent")
    os.write(fd, b"F" * (16 * PAGE))
    yield fd
    os.close(fd)


def mapped_here() -> int:
    return Path("/proc/self/maps").read_text().count("vfiocore-lent")


@pytest.mark.parametrize("command", [mdev.COPY, mdev.PINNED_COPY])
def test_a_mediated_device_reaches_the_file(opened: Opener, memfd: int, command: int) -> None:
    device = opened("dma")
    with device.iommu.alloc(4 * PAGE) as memory, device.iommu.map_file(memfd) as file:
        assert mdev.dma(device, command, file.iova, memory.iova, PAGE) == 0
        assert memory[:PAGE] == b"F" * PAGE
        memory[:PAGE] = b"D" * PAGE
        assert mdev.dma(device, command, memory.iova, file.iova + 2 * PAGE, PAGE) == 0
        assert os.pread(memfd, 4 * PAGE, 0) == b"F" * 2 * PAGE + b"D" * PAGE + b"F" * PAGE


def test_no_other_memory_is_touched(opened: Opener, memfd: int) -> None:
    """Where an address was given up too early, the next memory of the process comes to lie."""
    device = opened("dma")
    with device.iommu.alloc(16 * PAGE) as source, device.iommu.map_file(memfd) as file:
        source[:] = b"D" * (16 * PAGE)
        others = [mmap.mmap(-1, 16 * PAGE) for _ in range(8)]
        for other in others:
            other[:] = b"." * (16 * PAGE)
        assert mdev.dma(device, mdev.COPY, source.iova, file.iova, 16 * PAGE) == 0
        assert [other[:] == b"." * (16 * PAGE) for other in others] == [True] * 8
        assert os.pread(memfd, 16 * PAGE, 0) == b"D" * (16 * PAGE)
        for other in others:
            other.close()


def test_its_address_goes_with_the_mapping(opened: Opener, memfd: int) -> None:
    device = opened("dma")
    iommu = device.iommu
    first, second, third = (iommu.map_file(memfd, at * PAGE, PAGE) for at in range(3))
    assert mapped_here() == 3
    second.close()
    assert mapped_here() == 2
    with iommu.alloc(PAGE) as memory:
        assert mdev.dma(device, mdev.COPY, first.iova, memory.iova, PAGE) == 0
        assert mdev.dma(device, mdev.COPY, second.iova, memory.iova, PAGE) != 0
        assert mdev.dma(device, mdev.COPY, third.iova, memory.iova, PAGE) == 0
    iommu.unmap_all()
    assert mapped_here() == 0
    iommu.map_file(memfd)
    device.close()
    assert mapped_here() == 0


def test_beside_a_pci_device(bound: Callable[[str], str], opened: Opener, memfd: int) -> None:
    """The pages are pinned for the PCI device; the mediated one still goes by the address."""
    with vfiocore.open(bound("edu1"), transport="group") as other:
        device, edu = opened("dma", iommu=other.iommu), Edu(other)
        with other.iommu.alloc(PAGE) as memory, other.iommu.map_file(memfd) as file:
            assert mdev.dma(device, mdev.COPY, file.iova, memory.iova, PAGE) == 0
            assert memory[:PAGE] == b"F" * PAGE
            memory[:64] = b"E" * 64
            edu.take(memory.iova, 64)
            edu.give(file.iova, 64)
            assert mdev.dma(device, mdev.PINNED_COPY, file.iova, memory.iova, PAGE) == 0
            assert memory[:66] == b"E" * 64 + b"FF"
        device.close()


def test_before_a_pci_device(bound: Callable[[str], str], opened: Opener, memfd: int) -> None:
    """The first device with an IOMMU has the mappings made again, by their addresses."""
    device, name = opened("dma"), bound("edu1")
    assert name == EDU1
    with device.iommu.alloc(PAGE) as memory, device.iommu.map_file(memfd) as file:
        others = [mmap.mmap(-1, 16 * PAGE) for _ in range(8)]
        with vfiocore.open(name, iommu=device.iommu) as other:
            edu = Edu(other)
            edu.take(file.iova, 64)
            edu.give(memory.iova, 64)
            assert memory[:66] == b"F" * 64 + bytes(2)
            memory[:64] = b"E" * 64
            edu.take(memory.iova, 64)
            edu.give(file.iova, 64)
        assert os.pread(memfd, 66, 0) == b"E" * 64 + b"FF"
        assert [any(other[:]) for other in others] == [False] * 8
        for each in others:
            each.close()


@contextmanager
def multicast_table(name: str) -> Iterator[ctypes.Array[ctypes.c_uint32]]:
    """As the host has it, with memory decoding on."""
    folder = Path("/sys/bus/pci/devices") / name
    (folder / "enable").write_text("1")
    with (
        open(folder / "resource0", "r+b", buffering=0) as resource,
        mmap.mmap(resource.fileno(), 0x6000) as registers,
    ):
        words = (ctypes.c_uint32 * 16).from_buffer(registers, MULTICAST_TABLE)
        yield words
        del words
    (folder / "enable").write_text("0")


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.kernel_log(allow=r"DMAR:.*\[(0000:)?00:05\.0\]|DMAR: DRHD: handling fault")
def test_a_bar_that_the_host_has_back(bound: Callable[[str], str], *, apart: bool) -> None:
    """Other devices reach a BAR until its device is given back, in whatever space they are."""
    name, place = bound("nic0"), MULTICAST_TABLE - 0x5000
    with (
        vfiocore.open(bound("edu1"), transport="group") as other,
        vfiocore.Iommu("group") as own,
        vfiocore.open(name, iommu=own if apart else other.iommu) as peer,
        other.iommu.alloc(PAGE) as memory,
    ):
        edu, iommu = Edu(other), other.iommu
        bar = iommu.map_region(peer, 0, 0x5000, PAGE)
        memory[:64] = b"B" * 64
        edu.take(memory.iova, 64)
        edu.give(bar.iova + place, 64)
        assert peer.bar(0).read32(MULTICAST_TABLE) == 0x42424242
        peer.release()
        assert iommu.mappings == 1
        pci.unbind(name)
        edu.take(memory.iova, 64)
        with multicast_table(name) as words:
            for index in range(16):
                words[index] = 0x48484848
            edu.give(bar.iova + place, 64)
            seen = set(words)
            del words
        assert seen == {0x48484848}
        bar.close()
