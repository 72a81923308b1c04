# SPDX-License-Identifier: MIT
"""What works everywhere, also where no IOMMU translates: mappings of one page, at any address."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

import vfiocore

PAGE = mmap.PAGESIZE

Differs = Callable[[str], bool]


@pytest.fixture
def page() -> mmap.mmap:
    return mmap.mmap(-1, PAGE)


def test_mapped_and_unmapped_in_each_way(iommu: vfiocore.Iommu, page: mmap.mmap) -> None:
    ways: list[Callable[[vfiocore.Mapping], object]] = [
        lambda mapping: mapping.close(),
        lambda mapping: iommu.unmap(mapping.iova, PAGE),
        lambda mapping: iommu.unmap_range(mapping.iova, PAGE),
        lambda mapping: iommu.unmap_range(0, mapping.iova + PAGE),
        lambda mapping: iommu.unmap_all(),
    ]
    for unmap in ways:
        mapping = iommu.map(page)
        found = iommu.find_iova(mapping.iova + PAGE - 1)
        assert found is not None
        assert (found.iova, found.address) == (mapping.iova, mapping.address)
        assert (iommu.mappings, iommu.mapped) == (1, PAGE)
        unmap(mapping)
        assert not mapping.mapped
        assert (iommu.mappings, iommu.mapped) == (0, 0)
        assert iommu.unmap_range(mapping.iova, PAGE) == 0


def test_whether_an_iommu_translates(iommu: vfiocore.Iommu, differs: Differs) -> None:
    assert iommu.physical == differs("addresses are not chosen")
    assert iommu.pinned != differs("pages are not pinned")


def test_what_only_an_iommu_can(iommu: vfiocore.Iommu, page: mmap.mmap, differs: Differs) -> None:
    uses: list[Callable[[], vfiocore.Mapping | vfiocore.MapCache]] = [
        lambda: iommu.map(page, iova=0x100000),
        lambda: iommu.map(page, guard=PAGE),
        iommu.cache,
    ]
    for use in uses:
        if differs("addresses are not chosen"):
            with pytest.raises(vfiocore.Unsupported, match="no IOMMU translates"):
                use()
        else:
            use().close()
    assert iommu.mappings == 0


def test_a_second_mapping_of_the_same_page(
    iommu: vfiocore.Iommu, page: mmap.mmap, differs: Differs
) -> None:
    with iommu.map(page) as mapping:
        if differs("addresses are not chosen"):
            with pytest.raises(vfiocore.IovaError, match="has one address"):
                iommu.map(page)
        else:
            with iommu.map(page) as again:
                assert again.iova != mapping.iova
        assert iommu.mappings == 1
