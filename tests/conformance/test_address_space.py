# SPDX-License-Identifier: MIT
"""Mapping: the same rules and the same errors by every transport."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

import vfiocore

PAGE = mmap.PAGESIZE


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 16 * PAGE)


@pytest.mark.unless("pages are not joined")
def test_map_find_unmap(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory) as mapping:
        assert mapping.iova > 0
        assert mapping.iova % (16 * PAGE) == 0
        found = iommu.find_iova(mapping.iova + 5 * PAGE)
        assert found is not None
        assert (found.iova, found.length) == (mapping.iova, 16 * PAGE)
        by_address = iommu.find_address(found.address + 16 * PAGE - 1)
        assert by_address is not None
        assert by_address.iova == mapping.iova
        assert (iommu.mappings, iommu.mapped) == (1, 16 * PAGE)
    assert (iommu.mappings, iommu.mapped) == (0, 0)
    assert iommu.find_iova(mapping.iova) is None


@pytest.mark.unless("addresses are not chosen")
def test_a_taken_iova(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, iova=0x100000):
        for iova in (0x100000, 0x100000 + 15 * PAGE, 0x100000 - PAGE):
            with pytest.raises(vfiocore.IovaError, match="already"):
                iommu.map(memory, iova=iova)
        assert iommu.mappings == 1


@pytest.mark.unless("pages are not joined")
def test_part_of_a_mapping_is_not_unmapped(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory) as mapping:
        for iova, length in ((mapping.iova, PAGE), (mapping.iova + PAGE, 15 * PAGE)):
            with pytest.raises(vfiocore.IovaError, match="whole or not at all"):
                iommu.unmap(iova, length)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped"):
            iommu.unmap(mapping.iova + 16 * PAGE, PAGE)
        assert iommu.mappings == 1


@pytest.mark.unless("addresses are not chosen")
def test_a_range_of_mappings(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    """Two runs of neighbours, and one mapping beside the range."""
    at = 0x100000
    with memoryview(memory) as view:
        pages = [view[n * PAGE : (n + 1) * PAGE] for n in range(16)]
        places = [0, 1, 2, 5, 6, 9]
        mappings = [iommu.map(pages[n], iova=at + n * PAGE) for n in places]
        for first, edge in ((at - PAGE // 2, "last"), (at + PAGE // 2, "first")):
            with pytest.raises(vfiocore.IovaError, match=f"the {edge} address"):
                iommu.unmap_range(first, PAGE)
        assert iommu.mappings == len(places)
        assert iommu.unmap_range(at + PAGE, 8 * PAGE) == 4 * PAGE
        assert [m.mapped for m in mappings] == [True, False, False, False, False, True]
        assert [bool(iommu.find_iova(at + n * PAGE)) for n in places] == [
            m.mapped for m in mappings
        ]
        again = iommu.map(pages[5], iova=at + 5 * PAGE)  # the kernel has let go of it, too
        assert iommu.unmap_range(0, iommu.ranges[-1][1] + 1) == 3 * PAGE
        assert not again.mapped
        assert iommu.unmap_all() == 0
        del pages
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_memory_that_is_not_there(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory) as mapping:
        found = iommu.find_iova(mapping.iova)
        assert found is not None
        address = found.address
    memory.close()
    with pytest.raises(vfiocore.BadMemory, match="not mapped in this process"):
        iommu.map_address(address, PAGE)
    assert iommu.mappings == 0


def test_memory_that_cannot_be_written(iommu: vfiocore.Iommu) -> None:
    """The interpreter's own code: readable, and not to be written by a device."""
    line = next(
        text
        for text in Path("/proc/self/maps").read_text().splitlines()
        if " r-xp " in text and "python" in text
    )
    address = int(line.partition("-")[0], 16)
    iommu.unmap(iommu.map_address(address, PAGE, write=False), PAGE)
    with pytest.raises(vfiocore.BadMemory, match="writable"):
        iommu.map_address(address, PAGE)
    assert iommu.mappings == 0


@pytest.mark.parametrize(
    ("address", "length", "error"),
    [
        (0x10000, 0, vfiocore.InvalidArgument),
        (0x10001, PAGE, vfiocore.Misaligned),
        (0x10000, PAGE + 1, vfiocore.Misaligned),
        (2**64 - PAGE, 2 * PAGE, vfiocore.BadMemory),
    ],
)
def test_bad_requests(
    iommu: vfiocore.Iommu, address: int, length: int, error: type[vfiocore.VfioError]
) -> None:
    with pytest.raises(error):
        iommu.map_address(address, length)
    assert iommu.mappings == 0


@pytest.mark.unless("addresses are not chosen")
def test_guard(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with memoryview(memory)[:PAGE] as page:
        with iommu.map(page, guard=PAGE) as mapping:
            around = [mapping.iova - PAGE, mapping.iova + PAGE]
            for iova in around:
                with pytest.raises(vfiocore.IovaError, match="guard"):
                    iommu.map(page, iova=iova)
        for iova in around:
            with iommu.map(page, iova=iova) as mapping:
                assert mapping.iova == iova


@pytest.mark.unless("addresses are not chosen")
def test_highest_address_and_alignment(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, highest=0xFFFFFFF, align=1 << 20) as mapping:
        assert mapping.iova + len(memory) - 1 <= 0xFFFFFFF
        assert mapping.iova % (1 << 20) == 0
    with pytest.raises(vfiocore.OutOfIova):
        iommu.map(memory, highest=8 * PAGE)
    with pytest.raises(vfiocore.Misaligned, match="power of two"):
        iommu.map(memory, align=3)


def test_a_space_without_a_device_says_so(transport: str, memory: mmap.mmap) -> None:
    with vfiocore.Iommu(transport) as iommu:
        with pytest.raises(vfiocore.NoDevice, match="open a device first"):
            iommu.map(memory)
        assert (iommu.devices, iommu.ranges) == (0, [])


@pytest.mark.unless("pages are not joined")
def test_mappings_outlive_the_device_in_a_shared_space(
    transport: str, name: str, memory: mmap.mmap
) -> None:
    with vfiocore.Iommu(transport) as iommu:
        with vfiocore.open(name, iommu=iommu):
            mapping = iommu.map(memory)
            with pytest.raises(vfiocore.DeviceBusy):
                iommu.close()
        assert iommu.mappings == 1
        with vfiocore.open(name, iommu=iommu):
            assert iommu.find_iova(mapping.iova) is not None
            mapping.close()
        assert iommu.mappings == 0
