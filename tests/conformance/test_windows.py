# SPDX-License-Identifier: MIT
"""Which IOVAs there are: every border is exact, and beyond it is a clear error."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

import vfiocore

pytestmark = pytest.mark.unless("addresses are not chosen")

PAGE = mmap.PAGESIZE


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 16 * PAGE)


def test_windows(
    iommu: vfiocore.Iommu, width: tuple[int, ...], holes: tuple[tuple[int, int], ...]
) -> None:
    first, last = iommu.ranges[0][0], iommu.ranges[-1][1]
    assert first == 0
    # The last page of 64 bits is never given out (see leave_the_last_page() in iommu.c).
    assert last in [(1 << bits) - 1 - (PAGE if bits == 64 else 0) for bits in width]
    lows = [low for low, _ in iommu.ranges[1:]]
    highs = [high for _, high in iommu.ranges[:-1]]
    between = [(high + 1, low - 1) for high, low in zip(highs, lows, strict=True)]
    assert between == [hole for hole in holes if hole[0] < last]


def test_page_sizes(iommu: vfiocore.Iommu, differs: Callable[[str], bool]) -> None:
    sizes = iommu.page_sizes
    assert sizes[0] == PAGE
    if not differs("page sizes"):
        assert {1 << 12, 1 << 21, 1 << 30} <= set(sizes)


def test_the_edges_of_every_window(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    length = len(memory)
    for low, high in iommu.ranges:
        for iova in (low, high + 1 - length):
            with iommu.map(memory, iova=iova) as mapping:
                assert mapping.iova == iova
                for inside in (iova, iova + length - 1):
                    found = iommu.find_iova(inside)
                    assert found is not None
                    assert found.iova == iova
                if iova:
                    assert iommu.find_iova(iova - 1) is None
    assert iommu.mappings == 0


def test_one_over_each_border(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    length = len(memory)
    for low, high in iommu.ranges:
        over = [high + 1 - PAGE, high + 1 - length + PAGE]
        over += [low - PAGE, low - length + PAGE] if low else []
        over += [high + 1]  # wholly behind it
        for iova in over:
            with pytest.raises(vfiocore.IovaError, match="windows") as caught:
                iommu.map(memory, iova=iova)
            assert f"{high:#x}" in str(caught.value)
    assert iommu.mappings == 0


def test_across_a_reserved_range(iommu: vfiocore.Iommu) -> None:
    """From one window into the next, over what lies between."""
    (_, high), (low, _) = iommu.ranges[:2]
    memory = mmap.mmap(-1, low - high - 1 + 2 * PAGE)
    with pytest.raises(vfiocore.IovaError, match=f"{high:#x}, {low:#x}"):
        iommu.map(memory, iova=high + 1 - PAGE)
    for inside in (high + 1, low - PAGE):
        with pytest.raises(vfiocore.IovaError, match=f"{high:#x}, {low:#x}"):
            iommu.map(mmap.mmap(-1, PAGE), iova=inside)
    assert iommu.mappings == 0


@pytest.mark.parametrize("bit", [28, 31, 32, 38, 39, 40, 47, 48, 56, 57, 63])
def test_an_iova_with_that_many_bits(iommu: vfiocore.Iommu, memory: mmap.mmap, bit: int) -> None:
    """It is mapped there if the IOMMU has so many bits, and else refused."""
    length = len(memory)
    for iova in (1 << bit, (1 << bit) - length, (2 << bit) - length):
        if any(low <= iova and iova + length - 1 <= high for low, high in iommu.ranges):
            with iommu.map(memory, iova=iova) as mapping:
                assert mapping.iova == iova
        else:
            with pytest.raises(vfiocore.IovaError, match="windows"):
                iommu.map(memory, iova=iova)
    assert iommu.mappings == 0


def test_a_highest_address_beyond_the_iommus(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    last = iommu.ranges[-1][1]
    with iommu.map(memory, highest=(1 << 64) - 1) as mapping:
        assert mapping.iova + len(memory) - 1 <= last


def test_the_end_of_the_numbers(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    """A range that wraps around is none."""
    for iova in ((1 << 64) - PAGE, (1 << 64) - len(memory) + PAGE):
        with pytest.raises(vfiocore.IovaError, match="windows"):
            iommu.map(memory, iova=iova)
    assert iommu.mappings == 0


def test_the_last_page_in_each_way(iommu: vfiocore.Iommu) -> None:
    """The highest page of the highest window, where an end that is one too far wraps around."""
    iova = iommu.ranges[-1][1] + 1 - PAGE
    memory = mmap.mmap(-1, PAGE)
    for unmap in (
        lambda: iommu.unmap(iova, PAGE),
        lambda: iommu.unmap_range(iova, PAGE),
        lambda: iommu.unmap_range(iova, (1 << 64) - iova),
        iommu.unmap_all,
    ):
        mapping = iommu.map(memory, iova=iova)
        assert mapping.iova == iova
        assert unmap() in (None, PAGE)
        assert not mapping.mapped
        assert (iommu.mappings, iommu.mapped) == (0, 0)


def test_unmapping_past_the_end_of_the_numbers(iommu: vfiocore.Iommu) -> None:
    """Nothing that is mapped is touched by it."""
    memory = mmap.mmap(-1, PAGE)
    with iommu.map(memory, iova=iommu.ranges[-1][1] + 1 - PAGE) as mapping:
        with pytest.raises(vfiocore.VfioError):
            iommu.unmap((1 << 64) - PAGE, 2 * PAGE)
        with pytest.raises(vfiocore.InvalidArgument):
            iommu.unmap_range((1 << 64) - PAGE, 2 * PAGE)
        assert mapping.mapped
        assert iommu.mappings == 1
