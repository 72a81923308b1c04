# SPDX-License-Identifier: MIT
"""A device that copies memory, again and again: what arrives is exact, what strays does no harm to
the next copy, and no interrupt comes but those that were asked for."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest
from edu_engine import FAULTS, HIGHEST, WORD, Edu, copies

import vfiocore

pytestmark = [pytest.mark.kernel_log(allow=FAULTS), pytest.mark.unless("nothing is stopped")]

PAGE = mmap.PAGESIZE
SIZE = 2048  # half of what edu has: QEMU ends at an access up to its very end
STORM = 24  # copies; a tenth of a second each way
RAISE, ACKNOWLEDGE = 0x60, 0x64


@pytest.fixture
def msi(edu1: Edu) -> Iterator[vfiocore.Interrupt]:
    with edu1.device.irqs("msi", 1) as irqs:
        yield irqs[0]


def silent(msi: vfiocore.Interrupt) -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        msi.wait(0.02)


def raised_once(edu: Edu, msi: vfiocore.Interrupt) -> None:
    edu.device.bar(0).write32(RAISE, 1)
    assert msi.wait(60) == 1
    edu.device.bar(0).write32(ACKNOWLEDGE, 1)
    silent(msi)


@pytest.mark.lab_timeout(120)
def test_a_storm(edu1: Edu, msi: vfiocore.Interrupt) -> None:
    """Each page is copied to the next one."""
    pattern = bytes(value * 7 % 251 for value in range(SIZE))
    with edu1.iommu.alloc((STORM + 1) * PAGE) as buffer:
        buffer[:SIZE] = pattern
        for page in range(STORM):
            copies(edu1, buffer.iova + page * PAGE, buffer.iova + (page + 1) * PAGE, SIZE)
        assert bytes(buffer[:]) == (pattern + bytes(PAGE - SIZE)) * (STORM + 1)
        silent(msi)
        raised_once(edu1, msi)


@pytest.mark.parametrize("stray", ["source", "destination"])
def test_strays_between_copies_and_interrupts(
    edu1: Edu, msi: vfiocore.Interrupt, stray: str
) -> None:
    """In turn: a copy, one from or to where nothing is, an interrupt. None disturbs the next."""
    with edu1.iommu.alloc(2 * PAGE) as buffer:
        nowhere = HIGHEST + 1 - PAGE
        assert edu1.iommu.find_iova(nowhere) is None
        for turn in range(3):
            buffer[:] = bytes([turn + 1]) * PAGE + bytes(PAGE)
            copies(edu1, buffer.iova, buffer.iova + PAGE, 256)
            after = bytes([turn + 1]) * (PAGE + 256) + bytes(PAGE - 256)
            assert bytes(buffer[:]) == after
            if stray == "source":
                edu1.take(nowhere, WORD)
            else:
                edu1.give(nowhere, WORD)
            assert bytes(buffer[:]) == after
            silent(msi)
            raised_once(edu1, msi)
