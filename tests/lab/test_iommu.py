# SPDX-License-Identifier: MIT
"""Maps in the kernel's own page tables: what is refused, limits, and that nothing leaks."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore

pytestmark = pytest.mark.machine("intel")

PAGE = mmap.PAGESIZE
LIMIT = Path("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit")


@pytest.fixture
def iommu(edu: str) -> Iterator[vfiocore.Iommu]:
    with vfiocore.open(edu) as device:
        yield device.iommu


def test_map_and_unmap(iommu: vfiocore.Iommu) -> None:
    memory = mmap.mmap(-1, 16 * PAGE)
    with iommu.map(memory) as mapping:
        assert mapping.iova % (16 * PAGE) == 0
        assert iommu.find_iova(mapping.iova + PAGE) is not None
        assert iommu.mapped == 16 * PAGE
    assert iommu.mappings == 0


def test_the_edges_of_the_windows(iommu: vfiocore.Iommu) -> None:
    memory = mmap.mmap(-1, 2 * PAGE)
    for low, high in iommu.ranges:
        for iova in (low, high + 1 - 2 * PAGE):
            with iommu.map(memory, iova=iova) as mapping:
                assert mapping.iova == iova
        with pytest.raises(vfiocore.IovaError, match="windows"):
            iommu.map(memory, iova=high + 1 - PAGE)
    assert iommu.mappings == 0


def test_a_reserved_range(iommu: vfiocore.Iommu) -> None:
    with pytest.raises(vfiocore.IovaError, match="0xfedfffff, 0xfef00000"):
        iommu.map(mmap.mmap(-1, PAGE), iova=0xFEE00000)


def test_an_iova_that_is_taken(iommu: vfiocore.Iommu) -> None:
    memory = mmap.mmap(-1, PAGE)
    with iommu.map(memory, iova=0x100000):
        with pytest.raises(vfiocore.IovaError, match="already"):
            iommu.map(memory, iova=0x100000)
        assert iommu.mappings == 1


def test_memory_that_is_not_there(iommu: vfiocore.Iommu) -> None:
    memory = mmap.mmap(-1, PAGE)
    with iommu.map(memory) as mapping:
        found = iommu.find_iova(mapping.iova)
        assert found is not None
        address = found.address
    memory.close()
    with pytest.raises(vfiocore.BadMemory, match="not mapped in this process"):
        iommu.map_address(address, PAGE)
    assert iommu.mappings == 0


def test_nothing_and_crooked(iommu: vfiocore.Iommu) -> None:
    with pytest.raises(vfiocore.InvalidArgument):
        iommu.map_address(0x10000, 0)
    with pytest.raises(vfiocore.Misaligned, match="4096"):
        iommu.map_address(0x10001, PAGE)


def test_read_only_memory_is_refused_for_writing(iommu: vfiocore.Iommu) -> None:
    """The interpreter's own code: mapped, readable, and not to be written by a device."""
    line = next(
        text
        for text in Path("/proc/self/maps").read_text().splitlines()
        if " r-xp " in text and "python" in text
    )
    address = int(line.partition("-")[0], 16)
    iova = iommu.map_address(address, PAGE, write=False)
    iommu.unmap(iova, PAGE)
    with pytest.raises(vfiocore.BadMemory, match="writable"):
        iommu.map_address(address, PAGE)


@pytest.fixture
def entry_limit() -> Iterator[int]:
    before = LIMIT.read_text()
    LIMIT.write_text("8")
    yield 8
    LIMIT.write_text(before)


def test_the_entry_limit(entry_limit: int, edu: str) -> None:
    memory = mmap.mmap(-1, PAGE)
    with vfiocore.open(edu) as device:
        maps = [device.iommu.map(memory) for _ in range(entry_limit)]
        assert device.iommu.entries_left == 0
        with pytest.raises(vfiocore.EntryLimit, match="dma_entry_limit"):
            device.iommu.map(memory)
        assert device.iommu.mappings == entry_limit
        maps.pop().close()
        device.iommu.map(memory).close()  # recovers
        for mapping in maps:
            mapping.close()


UNPRIVILEGED = """
import mmap, os, resource, sys
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
import vfiocore
with vfiocore.open(sys.argv[1]) as device:
    small = device.iommu.alloc(512 << 10)
    try:
        device.iommu.alloc(1 << 20)
    except vfiocore.MemlockLimit as error:
        assert "1024 KiB locked memory beside 512 KiB" in str(error), error
        assert "the limit is 1024 KiB" in str(error), error
        assert "ulimit -l" in str(error), error
    else:
        raise SystemExit("over the limit, and nothing was said")
    assert device.iommu.mappings == 1
    small.close()
    device.iommu.alloc(1 << 20).close()
print("ok")
"""


def test_the_locked_memory_limit(edu: str, ordinary_user: int) -> None:
    vfiocore.pci.bind(edu, uid=ordinary_user, gid=ordinary_user)
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, edu, str(ordinary_user)],
        capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
