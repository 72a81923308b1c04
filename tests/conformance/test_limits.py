# SPDX-License-Identifier: MIT
"""How many mappings the kernel takes: the limit is told, nothing is lost, one can go on."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore import fake

LIMIT = Path("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit")

Differs = Callable[[str], bool]


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 16 * mmap.PAGESIZE)


@pytest.fixture
def entry_limit(name: str, transport: str, differs: Differs) -> Iterator[int]:
    """Eight mappings and no more, by whatever sets the limit."""
    if differs("limit by module parameter") or differs("entry limit"):
        yield 8
        return
    before = LIMIT.read_text()
    LIMIT.write_text("8")
    yield 8
    LIMIT.write_text(before)


@pytest.mark.unless("addresses are not chosen")
def test_the_entry_limit(
    entry_limit: int, name: str, transport: str, differs: Differs, memory: mmap.mmap
) -> None:
    with vfiocore.open(name, transport=transport) as device:
        if differs("limit by module parameter"):
            fake.set(device, fake.Knob.ENTRY_LIMIT, entry_limit)
        maps = [device.iommu.map(memory) for _ in range(entry_limit)]
        if differs("entry limit"):
            assert device.iommu.entries_left is None
            maps.append(device.iommu.map(memory))
        else:
            cure = rf" {entry_limit}\b.*use fewer and larger"
            with pytest.raises(vfiocore.EntryLimit, match=cure):
                device.iommu.map(memory)
            assert device.iommu.mappings == entry_limit
            assert device.iommu.entries_left == 0
            for mapping in maps:
                assert device.iommu.find_iova(mapping.iova) is not None
            maps.pop().close()
            maps.append(device.iommu.map(memory))  # recovers
        for mapping in maps:
            mapping.close()
        assert device.iommu.mappings == 0
