# SPDX-License-Identifier: MIT
"""The size of page with which VT-d really maps a buffer, read from its page table.

The kernel prints the table in debugfs, an entry a line: the IOVA's page number, then the entries
that lead to it, from the fifth level down (drivers/iommu/intel/debugfs.c). So a line that ends
with the third level is a page of 1 GiB, one level more is 2 MiB, and all five are 4 KiB.
"""

from __future__ import annotations

import mmap
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("iommufd", "iommufd39", "scalable", "scalable39")

PAGE, MEGA2, GIGA = 1 << 12, 1 << 21, 1 << 30
SIZES = {3: GIGA, 4: MEGA2, 5: PAGE}

# <linux/mman.h>: Python 3.11 does not know them.
MAP_HUGETLB, MAP_HUGE_SHIFT = 0x40000, 26
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


@pytest.fixture(params=["group", "cdev"])
def device(request: pytest.FixtureRequest, edu: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(edu, transport=request.param) as device:
        yield device


def huge(length: int, page: int) -> mmap.mmap:
    """Memory of huge pages."""
    flags = ANONYMOUS | MAP_HUGETLB | page.bit_length() - 1 << MAP_HUGE_SHIFT
    return mmap.mmap(-1, length, flags=flags)


def scattered(length: int) -> mmap.mmap:
    """Memory of small pages, no two of which lie in a row but by chance."""
    memory = mmap.mmap(-1, length, flags=ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    pages = list(range(0, length, PAGE))
    random.Random(1).shuffle(pages)
    for offset in pages:
        memory[offset] = 1
    return memory


def table(device: vfiocore.Device) -> str:
    """The page table that the IOMMU walks for the device."""
    root = Path("/sys/kernel/debug/iommu/intel")
    return (root / device.name / "domain_translation_struct").read_text()


def used(device: vfiocore.Device, iova: int, length: int) -> Counter[int]:
    """How many pages of which size the IOMMU has in a range."""
    found: Counter[int] = Counter()
    for line in table(device).splitlines():
        number, bar, entries = line.partition(" |")
        if bar and iova <= int(number, 16) * PAGE < iova + length:
            found[SIZES[len(entries.split())]] += 1
    return found


def test_mode(device: vfiocore.Device, lab_machine: Machine) -> None:
    """Only scalable mode finds its table by PASID."""
    with device.iommu.alloc(PAGE):
        assert ("with pasid 0 " in table(device)) == lab_machine.name.startswith("scalable")


def test_small_pages(device: vfiocore.Device) -> None:
    for length in (PAGE, 5 * PAGE):
        with device.iommu.map(scattered(length)) as mapping:
            assert used(device, mapping.iova, length) == {PAGE: length // PAGE}


def test_pages_of_2_mib(device: vfiocore.Device) -> None:
    with device.iommu.map(huge(4 * MEGA2, MEGA2)) as mapping:
        assert used(device, mapping.iova, 4 * MEGA2) == {MEGA2: 4}


def test_a_page_of_1_gib(device: vfiocore.Device) -> None:
    memory = huge(GIGA, GIGA)
    with device.iommu.map(memory, align=GIGA) as mapping:
        assert used(device, mapping.iova, GIGA) == {GIGA: 1}
    with device.iommu.map(memory, iova=GIGA + MEGA2) as mapping:
        assert used(device, mapping.iova, GIGA) == {MEGA2: GIGA // MEGA2}


def test_a_border_that_is_not_aligned(device: vfiocore.Device) -> None:
    with device.iommu.map(huge(2 * MEGA2, MEGA2), iova=MEGA2 + PAGE) as mapping:
        assert used(device, mapping.iova, 2 * MEGA2) == {PAGE: 2 * MEGA2 // PAGE}


def test_small_pages_behind_an_aligned_iova(device: vfiocore.Device) -> None:
    with device.iommu.map(scattered(MEGA2), iova=2 * MEGA2) as mapping:
        assert used(device, mapping.iova, MEGA2) == {PAGE: MEGA2 // PAGE}


def test_unmapping_leaves_nothing(device: vfiocore.Device) -> None:
    with device.iommu.map(huge(MEGA2, MEGA2)) as mapping:
        iova = mapping.iova
        assert used(device, iova, MEGA2) == {MEGA2: 1}
    assert used(device, iova, MEGA2) == {}
