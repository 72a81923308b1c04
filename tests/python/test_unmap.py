# SPDX-License-Identifier: MIT
"""Ranges of mappings taken back at once, and what a child of fork() may not touch."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable

import pytest

import vfiocore

PAGE = mmap.PAGESIZE
AT = 0x4000_0000


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


def test_what_lies_in_the_range_is_let_go_of(iommu: vfiocore.Iommu) -> None:
    inside, outside = mmap.mmap(-1, PAGE), mmap.mmap(-1, PAGE)
    mapping = iommu.map(inside, iova=AT)
    other = iommu.map(outside, iova=AT + PAGE)
    assert iommu.unmap_range(AT - PAGE, 2 * PAGE) == PAGE
    assert (mapping.mapped, other.mapped, iommu.mappings) == (False, True, 1)
    mapping.close()
    inside.close()  # nothing holds it
    with pytest.raises(BufferError):
        outside.close()
    assert iommu.unmap_range(AT, PAGE) == 0
    assert iommu.unmap_range(0, 1 << 39) == PAGE
    outside.close()


def test_an_edge_in_a_mapping(iommu: vfiocore.Iommu) -> None:
    with iommu.map(mmap.mmap(-1, 2 * PAGE), iova=AT) as mapping:
        for first, edge in ((AT - PAGE, "last"), (AT + PAGE, "first")):
            with pytest.raises(vfiocore.IovaError, match=f"the {edge} address of the range"):
                iommu.unmap_range(first, 2 * PAGE)
        assert mapping.mapped
        assert iommu.mappings == 1


@pytest.mark.parametrize(
    ("iova", "length"), [(AT, 0), (AT, -1), (-1, PAGE), (AT, 1 << 64), (AT, (1 << 64) - 1)]
)
def test_bad_ranges(iommu: vfiocore.Iommu, iova: int, length: int) -> None:
    with pytest.raises(vfiocore.InvalidArgument):
        iommu.unmap_range(iova, length)


def test_a_dma_buffer_in_the_range(iommu: vfiocore.Iommu) -> None:
    buffer = iommu.alloc(PAGE)
    assert iommu.unmap_range(buffer.iova, PAGE) == PAGE
    with pytest.raises(vfiocore.ClosedError):
        _ = buffer.iova
    buffer.close()


def test_batches_in_the_range(iommu: vfiocore.Iommu) -> None:
    """One of which a part is left stays, and is to be taken whole, or by the range of the rest."""
    memory = mmap.mmap(-1, 5 * PAGE)
    with memoryview(memory) as view:
        batch = iommu.map_batch([view[:PAGE], view[2 * PAGE : 3 * PAGE]])
        assert iommu.unmap_range(batch[0], PAGE) == PAGE
        assert batch.mapped
        with pytest.raises(vfiocore.IovaError):
            batch.close()
        assert iommu.unmap_range(batch[1], PAGE) == PAGE
        assert not batch.mapped
        batch.close()
    memory.close()


def test_map_caches_map_anew(iommu: vfiocore.Iommu) -> None:
    low, high = mmap.mmap(-1, PAGE), mmap.mmap(-1, PAGE)
    with iommu.cache() as cache:
        taken, kept = cache.get(low), cache.get(high)
        found = iommu.find_iova(taken.iova)
        assert found is not None
        assert iommu.unmap_range(found.iova, found.length) == found.length
        assert taken.closed
        with cache.get(low) as again:
            assert iommu.find_iova(again.iova) is not None
        assert not kept.closed
        assert iommu.find_iova(kept.iova) is not None
        kept.close()


def test_a_cache_of_a_device_that_was_released(device: vfiocore.Device) -> None:
    memory = bytearray(PAGE)
    with device.iommu.cache() as cache:
        cache.get(memory).close()
        device.release()
        for _ in range(2):
            with pytest.raises(vfiocore.NoDevice, match="no device is attached"):
                cache.get(memory)


def test_tracking_ends_after_the_device() -> None:
    with vfiocore.Iommu("fake", dirty=True) as space:
        device = vfiocore.open("fake:e1000e", iommu=space)
        with space.dirty_tracking():
            device.close()
    with vfiocore.open("fake:e1000e") as device, device.iommu.dirty_tracking():
        device.release()


def in_child(check: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        failed = True
        try:
            check()
            failed = False
        finally:
            os._exit(failed)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_space_in_a_child_of_fork(device: vfiocore.Device) -> None:
    iommu, memory = device.iommu, mmap.mmap(-1, PAGE)
    mapping = iommu.map(memory)
    calls: list[Callable[[], object]] = [
        lambda: iommu.map(memory),
        lambda: iommu.alloc(PAGE),
        lambda: iommu.unmap(mapping.iova, PAGE),
        mapping.close,
        iommu.unmap_all,
        lambda: iommu.unmap_range(0, PAGE),
        lambda: iommu.find_iova(mapping.iova),
        lambda: iommu.ranges,
        iommu.cache,
        iommu.dirty_tracking,
        device.detach,
    ]

    def check() -> None:
        for call in calls:
            with pytest.raises(vfiocore.VfioError, match="parent process") as caught:
                call()
            assert caught.value.errno == errno.ECHILD
        assert repr(iommu) == "<Iommu of the parent process>"

    assert in_child(check) == 0
    assert iommu.find_iova(mapping.iova) is not None
    mapping.close()
