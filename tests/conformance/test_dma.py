# SPDX-License-Identifier: MIT
"""DMA by a device on command: what it reaches is what is mapped for it, and nothing else."""

from __future__ import annotations

import mmap

import pytest
from edu_device import EDU, FAULTS, HIGHEST, PAGE, SIZE, Edu

import vfiocore
from vfiocore import pci
from vfiocore.lab.machines import MACHINES

pytestmark = pytest.mark.kernel_log(allow=FAULTS)

def test_there_and_back(edu: Edu) -> None:
    pattern = bytes(range(SIZE))
    with edu.iommu.alloc(2 * PAGE, highest=HIGHEST) as buffer:
        assert buffer.iova + 2 * PAGE - 1 <= HIGHEST
        buffer[:SIZE] = pattern
        edu.take(buffer.iova)
        edu.give(buffer.iova + PAGE)
        assert bytes(buffer[PAGE : PAGE + SIZE]) == pattern
    assert edu.log.new() == []


def test_unmapped_memory_cannot_be_read(edu: Edu) -> None:
    secret, harmless = b"\x5a" * SIZE, b"\x01" * SIZE
    with edu.iommu.alloc(PAGE, highest=HIGHEST) as buffer:
        buffer[:SIZE] = harmless
        edu.take(buffer.iova)
        memory = mmap.mmap(-1, PAGE)
        memory[:SIZE] = secret
        with edu.iommu.map(memory, highest=HIGHEST) as mapping:
            iova = mapping.iova
        assert edu.is_stopped(edu.take, iova)
        edu.give(buffer.iova)
        assert bytes(buffer[:SIZE]) != secret


@pytest.mark.parametrize("why", ["unmapped", "read only", "never mapped"])
def test_memory_is_not_written(edu: Edu, why: str) -> None:
    before = b"\xa5" * PAGE
    memory = mmap.mmap(-1, 3 * PAGE)
    memory[:] = before * 3
    with edu.iommu.map(memory, highest=HIGHEST, write=why != "read only") as mapping:
        first = mapping.iova
        if why == "read only":
            assert edu.is_stopped(edu.give, first + PAGE)
    if why != "read only":
        target = first + PAGE if why == "unmapped" else HIGHEST + 1 - PAGE
        assert edu.is_stopped(edu.give, target)
    assert memory[:] == before * 3


def test_the_neighbours_of_a_gap(edu: Edu) -> None:
    """The page between two mapped ones is out of reach, they are not."""
    memory = mmap.mmap(-1, 3 * PAGE)
    with edu.iommu.map(memory, highest=HIGHEST) as mapping:
        first, found = mapping.iova, edu.iommu.find_iova(mapping.iova)
    assert found is not None
    below = edu.iommu.map_address(found.address, PAGE, iova=first)
    above = edu.iommu.map_address(found.address + 2 * PAGE, PAGE, iova=first + 2 * PAGE)
    with edu.iommu.alloc(PAGE, highest=HIGHEST) as buffer:
        buffer[:SIZE] = b"\x77" * SIZE
        edu.take(buffer.iova)
        assert edu.is_stopped(edu.give, first + PAGE)
        assert memory[:] == bytes(3 * PAGE)
        edu.give(above)
        assert memory[2 * PAGE : 2 * PAGE + SIZE] == b"\x77" * SIZE
        assert memory[: 2 * PAGE] == bytes(2 * PAGE)
    edu.iommu.unmap(below, PAGE)
    edu.iommu.unmap(above, PAGE)


def test_two_spaces_are_independent(edu: Edu, transport: str) -> None:
    """The same IOVA, mapped for another device only, is out of this one's reach."""
    nic = MACHINES["intel"].device("nic0").bdf
    pci.bind(nic)
    memory = mmap.mmap(-1, PAGE)
    with (
        vfiocore.open(nic, transport=transport) as other,
        other.iommu.map(memory, iova=0x200000),
    ):
        assert edu.is_stopped(edu.give, 0x200000)
        assert memory[:] == bytes(PAGE)
    pci.unbind(nic)


def test_a_shared_space_reaches_from_both(transport: str) -> None:
    """Mapped once, before the second device came: late attach with live mappings."""
    nic = MACHINES["intel"].device("nic0").bdf
    pci.bind(nic)
    pci.bind(EDU)
    with (
        vfiocore.Iommu(transport) as iommu,
        vfiocore.open(nic, iommu=iommu),
        iommu.alloc(PAGE, highest=HIGHEST) as buffer,
    ):
        buffer[:SIZE] = b"\x3c" * SIZE
        with vfiocore.open(EDU, iommu=iommu) as second:
            device = Edu(second)
            device.take(buffer.iova)
            buffer[:SIZE] = bytes(SIZE)
            device.give(buffer.iova)
            assert bytes(buffer[:SIZE]) == b"\x3c" * SIZE
    pci.unbind(EDU)
    pci.unbind(nic)
