# SPDX-License-Identifier: MIT
"""Address spaces: mapping, limits, and what is said when one is reached."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore import fake
from vfiocore.fake import Knob

PAGE = mmap.PAGESIZE
MSI_WINDOW = 0xFEE00000

pytestmark = pytest.mark.usefixtures("leaks")


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, 4 * PAGE) as anonymous:
        yield anonymous


def test_attributes(iommu: vfiocore.Iommu) -> None:
    assert iommu.transport == "fake"
    assert iommu.page_sizes[0] == 4096
    assert iommu.devices == 1
    assert (iommu.mappings, iommu.mapped) == (0, 0)
    assert iommu.entries_left == 65535
    assert all(first <= last for first, last in iommu.ranges)
    assert not any(first <= MSI_WINDOW <= last for first, last in iommu.ranges)
    assert repr(iommu) == "<Iommu fake: 1 device, 0 mappings, 0x0 bytes>"


def test_map(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory) as mapping:
        assert mapping.iova != 0
        assert mapping.length == len(memory)
        assert (iommu.mappings, iommu.mapped) == (1, len(memory))
        found = iommu.find_iova(mapping.iova + PAGE + 3)
        assert found == iommu.find_address(mapping.address)
        assert found == vfiocore.MappingInfo(
            mapping.iova, mapping.length, mapping.address, True, True
        )
        assert iommu.find_iova(mapping.iova + mapping.length) is None
    assert not mapping.mapped
    mapping.close()
    assert iommu.find_iova(mapping.iova) is None
    with pytest.raises(vfiocore.ClosedError):
        mapping.__enter__()


def test_mapped_memory_cannot_go_away(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    mapping = iommu.map(memory)
    for attempt in (memory.close, lambda: memory.resize(PAGE)):
        with pytest.raises(BufferError):
            attempt()
    iommu.unmap(mapping.iova, mapping.length)
    assert not mapping.mapped
    memory.resize(PAGE)


def test_part_of_a_buffer(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with memoryview(memory)[PAGE : 2 * PAGE] as view, iommu.map(view) as mapping:
        assert mapping.length == PAGE


def test_guard(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with (
        memoryview(memory)[:PAGE] as page,
        iommu.alloc(PAGE, align=1 << 20, guard=3 * PAGE - 1) as buffer,
    ):
        for distance in (-3, -1, 1, 3):
            with pytest.raises(vfiocore.IovaError, match="guard of one reaches"):
                iommu.map(page, iova=buffer.iova + distance * PAGE)
        with pytest.raises(vfiocore.IovaError, match="guard of one reaches"):
            iommu.map(page, iova=buffer.iova + 9 * PAGE, guard=9 * PAGE)
        with iommu.map(page, iova=buffer.iova + 4 * PAGE, guard=2 * PAGE) as near:
            assert near.mapped
        at = buffer.iova + PAGE
        buffer.close()
        iommu.unmap(iommu.map_address(_address(memory), PAGE, iova=at, guard=PAGE), PAGE)
        with pytest.raises(vfiocore.InvalidArgument, match="the most is"):
            iommu.map(page, guard=1 << 60)


def test_guards_take_up_space(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(PAGE, guard=16 * PAGE, highest=64 * PAGE - 1) as first:
        assert first.iova == PAGE  # the guard reaches over the window's border
        with iommu.alloc(PAGE, highest=64 * PAGE - 1) as second:
            assert second.iova == 18 * PAGE
            with pytest.raises(vfiocore.OutOfIova, match="guard of 0x2e000"):
                iommu.alloc(PAGE, guard=46 * PAGE, highest=64 * PAGE - 1)


def test_direction(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, write=False) as mapping:
        found = iommu.find_iova(mapping.iova)
        assert found
        assert (found.read, found.write) == (True, False)
    with pytest.raises(vfiocore.InvalidArgument, match="neither read nor write"):
        iommu.map(memory, read=False, write=False)


def test_where(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, iova=0x123000) as mapping:
        assert mapping.iova == 0x123000
    with iommu.map(memory, iova=0) as mapping:
        assert mapping.iova == 0
    with iommu.map(memory, align=1 << 30) as mapping:
        assert mapping.iova % (1 << 30) == 0
    with iommu.map(memory, highest=0xFFFFFFF) as mapping:
        assert mapping.iova + mapping.length - 1 <= 0xFFFFFFF


def test_taken(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, iova=0x10000):
        with mmap.mmap(-1, PAGE) as other:
            with pytest.raises(vfiocore.IovaError, match="a mapping is there already") as caught:
                iommu.map(other, iova=0x11000)
            assert (caught.value.iova, caught.value.length) == (0x11000, PAGE)
        assert iommu.mappings == 1


@pytest.mark.parametrize("iova", [MSI_WINDOW, 1 << 60])
def test_outside_of_the_windows(iommu: vfiocore.Iommu, memory: mmap.mmap, iova: int) -> None:
    with pytest.raises(vfiocore.IovaError, match="0xfedfffff") as caught:
        iommu.map(memory, iova=iova)
    assert caught.value.iova == iova
    assert iommu.mappings == 0
    memory.resize(PAGE)  # the failure holds no export of it


def test_no_room(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with pytest.raises(vfiocore.OutOfIova, match="no free range"):
        iommu.map(memory, highest=0xFFF)


def test_bad_arguments(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match="0 bytes"):
        iommu.map_address(0x10000, 0)
    with memoryview(memory)[1 : PAGE + 1] as view, pytest.raises(vfiocore.Misaligned):
        iommu.map(view)
    with memoryview(memory)[:100] as view, pytest.raises(vfiocore.Misaligned, match="4096"):
        iommu.map(view)
    with pytest.raises(vfiocore.Misaligned):
        iommu.map(memory, iova=0x10001)
    with pytest.raises(vfiocore.Misaligned, match="power of two"):
        iommu.map(memory, align=3 * PAGE)
    with pytest.raises(vfiocore.InvalidArgument, match="does not fit in 64 bits"):
        iommu.map(memory, iova=-PAGE)
    with pytest.raises(TypeError):
        iommu.map(bytes(PAGE))


def test_memory_that_is_not_there(iommu: vfiocore.Iommu) -> None:
    with pytest.raises(vfiocore.BadMemory, match="/proc/self/maps"):
        iommu.map_address(PAGE, PAGE)


def test_entry_limit(device: vfiocore.Device, memory: mmap.mmap) -> None:
    fake.set(device, Knob.ENTRY_LIMIT, 2)
    with device.iommu.alloc(PAGE), device.iommu.alloc(PAGE):
        assert device.iommu.entries_left == 0
        with pytest.raises(vfiocore.EntryLimit, match="use fewer and larger ones"):
            device.iommu.map(memory)
        assert device.iommu.mappings == 2
    with device.iommu.map(memory):
        pass


def test_memlock_limit(device: vfiocore.Device) -> None:
    fake.set(device, Knob.MEMLOCK_LIMIT, 3 * PAGE)
    with device.iommu.alloc(2 * PAGE):
        with pytest.raises(vfiocore.MemlockLimit, match="needs 8 KiB locked memory"):
            device.iommu.alloc(2 * PAGE)
        assert fake.get(device, Knob.PINNED) == 2 * PAGE


def test_unmap_errors(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.map(memory, iova=0x10000) as mapping:
        with pytest.raises(vfiocore.IovaError, match="taken whole or not at all"):
            iommu.unmap(0x10000, PAGE)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped there"):
            iommu.unmap(0x50000, PAGE)
        assert mapping.mapped
        assert iommu.mappings == 1


def test_unmap_all(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    mapping, buffer = iommu.map(memory), iommu.alloc(PAGE)
    assert iommu.unmap_all() == len(memory) + PAGE
    assert not mapping.mapped
    with pytest.raises(vfiocore.ClosedError):
        _ = buffer.iova
    mapping.close()
    buffer.close()


def test_by_address(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(PAGE) as buffer:
        address = buffer.address
        iommu.unmap(buffer.iova, PAGE)
        iova = iommu.map_address(address, PAGE)
        assert iommu.find_iova(iova) == iommu.find_address(address)
        iommu.unmap(iova, PAGE)


def test_shared_by_devices() -> None:
    with (
        vfiocore.Iommu("fake") as space,
        vfiocore.open("fake:e1000e", iommu=space) as one,
        vfiocore.open("fake:e1000e", iommu=space) as two,
    ):
        assert one.iommu is two.iommu is space
        assert space.devices == 2
        with pytest.raises(vfiocore.DeviceBusy, match="2 attached devices"):
            space.close()
        assert not space.closed
    assert space.closed


def test_before_the_first_device() -> None:
    with vfiocore.Iommu("fake") as space:
        assert space.page_sizes == []
        assert space.ranges == []
        with pytest.raises(vfiocore.NoDevice, match="open a device first"):
            space.alloc(PAGE)


def test_close() -> None:
    space = vfiocore.Iommu("fake")
    space.close()
    space.close()
    assert repr(space) == "<Iommu closed>"
    for use in (lambda: space.ranges, lambda: space.alloc(1), space.unmap_all, space.__enter__):
        with pytest.raises(vfiocore.ClosedError):
            use()


def test_a_devices_own_space_is_closed_with_it() -> None:
    with vfiocore.open("fake:e1000e") as device, mmap.mmap(-1, PAGE) as memory:
        device.iommu.close()  # not the caller's to close
        mapping = device.iommu.map(memory)
        device.close()
        assert not mapping.mapped  # so that the memory can be closed
