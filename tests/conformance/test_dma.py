# SPDX-License-Identifier: MIT
"""DMA by a device on command: what it reaches is what is mapped for it, and nothing else."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable

import pytest
from edu_engine import EDU, EDU1, FAULTS, HIGHEST, NIC, WORD, Edu, copies

import vfiocore
from vfiocore.lab.kmsg import KernelLog, faults

pytestmark = [pytest.mark.kernel_log(allow=FAULTS), pytest.mark.unless("nothing is stopped")]

PAGE = mmap.PAGESIZE
PATTERN = bytes(range(256))

Differs = Callable[[str], bool]
Operation = Callable[[int, int], None]


def test_there_and_back(edu: Edu) -> None:
    log = KernelLog()
    with edu.iommu.alloc(2 * PAGE, highest=HIGHEST) as buffer:
        assert buffer.iova + 2 * PAGE - 1 <= HIGHEST
        buffer[:256] = PATTERN
        copies(edu, buffer.iova, buffer.iova + PAGE, 256)
        assert bytes(buffer[PAGE : PAGE + 256]) == PATTERN
        assert bytes(buffer[PAGE + 256 :]) == bytes(PAGE - 256)
    assert faults(log.new()) == []


def test_the_edges_of_every_window_are_reached(edu1: Edu) -> None:
    """Also where the pages lie apart in memory: they are touched from the last one down."""
    memory = mmap.mmap(-1, 4 * PAGE)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for offset in reversed(range(0, len(memory), PAGE)):
        memory[offset] = 1
    for low, high in edu1.iommu.ranges:
        for iova in (low, high + 1 - len(memory)):
            memory[:] = PATTERN + bytes(len(memory) - 256)
            with edu1.iommu.map(memory, iova=iova):
                # The first bytes of the range to its last ones.
                copies(edu1, iova, iova + len(memory) - 256, 256)
            assert memory[-256:] == PATTERN
            assert memory[256:-256] == bytes(len(memory) - 512)


STRAYS = [
    ("read", "unmapped"),
    ("write", "unmapped"),
    ("write", "read only"),
    ("read", "write only"),
]


@pytest.mark.parametrize(("access", "state"), STRAYS)
def test_a_stray_access_is_stopped(
    edu: Edu,
    stopped: Callable[[Edu, Operation, int], bool],
    differs: Differs,
    access: str,
    state: str,
) -> None:
    """One page in the middle of three loses its rights, after the device has used them."""
    memory, page = three_pages()
    target = page(1)
    with edu.iommu.map(memory, highest=HIGHEST) as mapping:
        first, start = mapping.iova, mapping.address
        copies(edu, first + PAGE, first + PAGE, WORD)  # now the IOMMU's cache knows it
    edu.iommu.map_address(start, PAGE, iova=first)
    edu.iommu.map_address(start + 2 * PAGE, PAGE, iova=first + 2 * PAGE)
    if state != "unmapped":
        rights = {"read": state == "read only", "write": state == "write only"}
        edu.iommu.map_address(start + PAGE, PAGE, iova=first + PAGE, **rights)
    edu.take(first, WORD)
    enforced = state != "write only" or not differs("write only is readable")
    if enforced:
        assert stopped(edu, edu.take if access == "read" else edu.give, first + PAGE)
    assert page(1) == target
    assert (page(0), page(2)) == (b"\x10" * PAGE, b"\x30" * PAGE)
    # What it has now is not what it might not read, and the neighbour is still in its reach.
    edu.give(first + 2 * PAGE, WORD)
    assert page(2)[:WORD] != target[:WORD]
    assert page(2)[WORD:] == b"\x30" * (PAGE - WORD)
    if access == "write":
        assert page(2)[:WORD] == page(0)[:WORD]
    edu.iommu.unmap_all()


def three_pages() -> tuple[mmap.mmap, Callable[[int], bytes]]:
    """Memory of three pages, each filled with another byte, and what gets one of them."""
    memory = mmap.mmap(-1, 3 * PAGE)
    memory[:] = b"".join(bytes([value]) * PAGE for value in (0x10, 0x20, 0x30))
    return memory, lambda number: memory[number * PAGE : (number + 1) * PAGE]


@pytest.mark.parametrize("state", ["read only", "write only"])
def test_rights_that_are_there_are_enough(edu: Edu, state: str) -> None:
    memory, page = three_pages()
    rights = {"read": state == "read only", "write": state == "write only"}
    with (
        edu.iommu.alloc(PAGE, highest=HIGHEST) as buffer,
        edu.iommu.map(memory, highest=HIGHEST, **rights) as mapping,
    ):
        if state == "read only":
            copies(edu, mapping.iova + PAGE, buffer.iova)
            assert bytes(buffer[:64]) == page(1)[:64]
        else:
            copies(edu, buffer.iova, mapping.iova + PAGE)
            assert page(1) == bytes(64) + b"\x20" * (PAGE - 64)


@pytest.mark.parametrize("access", ["read", "write"])
def test_what_was_never_mapped(edu: Edu, access: str) -> None:
    with edu.iommu.alloc(PAGE, highest=HIGHEST) as buffer:
        before = b"\x77" * PAGE
        buffer[:] = before
        edu.take(buffer.iova, WORD)
        (edu.take if access == "read" else edu.give)(HIGHEST + 1 - PAGE, WORD)
        assert bytes(buffer[:]) == before


def test_the_same_iova_in_two_spaces(edu: Edu, edu1: Edu) -> None:
    """It is other memory for each; and once the one has none there, out of its reach."""
    iova = 0x200000
    memories = [mmap.mmap(-1, PAGE) for _ in range(2)]
    for number, memory in enumerate(memories):
        memory[:64] = bytes([0xA0 + number]) * 64
    with edu.iommu.map(memories[0], iova=iova):
        with edu1.iommu.map(memories[1], iova=iova):
            for device in (edu, edu1):
                copies(device, iova, iova + 64)
            for number, memory in enumerate(memories):
                assert memory[:128] == bytes([0xA0 + number]) * 128
                assert memory[128:] == bytes(PAGE - 128)
        before = [memory[:] for memory in memories]
        edu1.give(iova + 512, WORD)
        edu1.take(iova, WORD)
        assert [memory[:] for memory in memories] == before
        copies(edu, iova, iova + 512)
        assert memories[0][512:576] == b"\xa0" * 64
    assert memories[1][:] == before[1]


def test_a_shared_space_reaches_from_all(both: None, transport: str) -> None:
    """Everything mapped before a device came is in its reach, too; and what came after, for all."""
    with vfiocore.Iommu(transport) as iommu, vfiocore.open(NIC, iommu=iommu):
        early = [iommu.alloc(PAGE, highest=HIGHEST) for _ in range(3)]
        only_read = mmap.mmap(-1, PAGE)
        only_read[:64] = b"\x42" * 64
        mapping = iommu.map(only_read, highest=HIGHEST, write=False)
        with vfiocore.open(EDU, iommu=iommu) as a, vfiocore.open(EDU1, iommu=iommu) as b:
            assert iommu.devices == 3
            late = iommu.alloc(PAGE, highest=HIGHEST)
            for device in (Edu(a), Edu(b)):
                for target in (*early, late):
                    target[:64] = bytes(64)
                    copies(device, mapping.iova, target.iova)
                    assert bytes(target[:64]) == b"\x42" * 64
            late.close()
        assert iommu.devices == 1
        for buffer in early:
            buffer.close()
        mapping.close()


def test_a_device_that_left_a_shared_space(both: None, transport: str) -> None:
    """Its mappings stay for the others, and are none of its own when it comes back alone."""
    with vfiocore.Iommu(transport) as iommu, vfiocore.open(EDU, iommu=iommu) as first:
        with vfiocore.open(EDU1, iommu=iommu), iommu.alloc(PAGE) as buffer:
            pass
        with iommu.alloc(PAGE, highest=HIGHEST) as buffer:
            buffer[:64] = b"\x19" * 64
            with vfiocore.open(EDU1, transport=transport) as alone:
                Edu(alone).give(buffer.iova, WORD)
            assert bytes(buffer[:64]) == b"\x19" * 64
            copies(Edu(first), buffer.iova, buffer.iova + 64)
            assert bytes(buffer[64:128]) == b"\x19" * 64


def test_opened_at_the_same_time(both: None, transport: str) -> None:
    """Several threads open a device each, all into one space, and each then reaches it."""
    names = (NIC, EDU, EDU1)
    devices: list[vfiocore.Device] = []
    barrier = threading.Barrier(len(names))

    def run(name: str) -> None:
        barrier.wait(60)
        devices.append(vfiocore.open(name, iommu=iommu))

    with vfiocore.Iommu(transport) as iommu:
        threads = [threading.Thread(target=run, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(device.name for device in devices) == sorted(names)
        assert iommu.devices == len(names)
        with iommu.alloc(PAGE, highest=HIGHEST) as buffer:
            buffer[:64] = b"\x5a" * 64
            for number, device in enumerate(d for d in devices if d.name != NIC):
                copies(Edu(device), buffer.iova, buffer.iova + 64 * (number + 1))
            assert bytes(buffer[:192]) == b"\x5a" * 192
        for device in devices:
            device.close()
