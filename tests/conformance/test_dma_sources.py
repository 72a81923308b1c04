# SPDX-License-Identifier: MIT
"""DMA by a device on command, into memory of all kinds, and from one address space to another."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edu_engine import HIGHEST, Edu, copies

import vfiocore
from vfiocore.lab.machines import MACHINES

# What a device asks for while it is detached is a fault: VT-d's, then virtio-iommu's words for it.
pytestmark = [
    pytest.mark.kernel_log(
        allow=r"DMAR:.*\[(0000:)?00:03\.0\]|DMAR: DRHD: handling fault|page fault from EP 24 "
    ),
    pytest.mark.unless("addresses are not chosen"),
]

NIC = MACHINES["intel"].device("nic0").bdf
PAGE, HUGE = mmap.PAGESIZE, 2 << 20
PATTERN = bytes(range(1, 65))

# Of an e1000e: the multicast table, 128 words that are memory, and readable (82574L datasheet,
# section 10.2.5.17).
MULTICAST_TABLE = 0x5200

Differs = Callable[[str], bool]
Stopped = Callable[[Edu, Callable[[int, int], None], int], bool]


def locked() -> int:
    """Bytes that count against the locked-memory limit: type1 calls it locked, iommufd pinned."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("VmLck", "VmPin")))


@pytest.fixture
def huge_pages() -> Iterator[int]:
    """Four huge pages that are free."""
    knob = Path("/proc/sys/vm/nr_hugepages")
    before = knob.read_text()
    knob.write_text("4")
    assert knob.read_text() == "4\n", "there is not enough contiguous memory for the test"
    yield 4
    knob.write_text(before)


def test_a_file(edu: Edu) -> None:
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    os.pwrite(fd, PATTERN, PAGE)
    mapping = edu.iommu.map_file(fd, PAGE, 3 * PAGE, highest=HIGHEST)
    copies(edu, mapping.iova, mapping.iova + PAGE)
    assert os.pread(fd, 64, 2 * PAGE) == PATTERN
    # The mapping, and not the descriptor, keeps the memory.
    other = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    os.close(fd)
    os.pwrite(other, PATTERN[::-1], PAGE)
    copies(edu, mapping.iova, mapping.iova + 2 * PAGE)
    assert os.pread(other, 64, 3 * PAGE) == PATTERN[::-1]
    mapping.close()
    os.close(other)


def test_a_batch(edu: Edu) -> None:
    """Each buffer is at its own IOVA, also within a run."""
    with mmap.mmap(-1, 4 * PAGE) as arena, mmap.mmap(-1, PAGE) as alone:
        pieces = [memoryview(arena)[at : at + PAGE] for at in range(0, 4 * PAGE, PAGE)]
        with edu.iommu.map_batch([pieces[1], pieces[2], alone, pieces[0]], highest=HIGHEST) as at:
            alone[:64] = PATTERN
            edu.take(at[2], 64)
            for iova in at:
                edu.give(iova + 128, 64)
        for piece in (*pieces[:3], alone):
            assert bytes(piece[128:192]) == PATTERN
        assert bytes(pieces[3]) == bytes(PAGE)
        for piece in pieces:
            piece.release()


def test_pieces_are_one_mapping(edu: Edu) -> None:
    """Across the border between two of the kernel's entries."""
    piece = 64 << 20
    with (
        mmap.mmap(-1, piece + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as large,
        edu.iommu.map(large, highest=HIGHEST, progress=lambda *_: False) as mapping,
    ):
        large[:64] = PATTERN
        copies(edu, mapping.iova, mapping.iova + piece - 32)
        assert large[piece - 32 : piece + 32] == PATTERN


def test_huge_pages(edu: Edu, huge_pages: int) -> None:
    with edu.iommu.alloc(HUGE + 1, page=HUGE, highest=HIGHEST) as buffer:
        assert (buffer.page, buffer.mapped, buffer.iova % HUGE) == (HUGE, 2 * HUGE, 0)
        buffer[:64] = PATTERN
        copies(edu, buffer.iova, buffer.iova + HUGE - 63)
        assert buffer[HUGE - 63 :] == PATTERN
        with buffer.view(), pytest.raises(BufferError):
            buffer.close()
    assert edu.iommu.mappings == 0


def test_too_few_huge_pages(edu: Edu, huge_pages: int) -> None:
    with pytest.warns(vfiocore.HugePageWarning, match="hugepages-2048kB"):
        buffer = edu.iommu.alloc((huge_pages + 1) * HUGE, page=HUGE)
    assert (buffer.page, buffer.mapped) == (PAGE, 5 * HUGE)
    buffer.close()


def test_into_another_devices_bar(edu: Edu, transport: str) -> None:
    """Peer to peer, both ways, and not beyond what was mapped."""
    with vfiocore.open(NIC, transport=transport) as peer, edu.iommu.alloc(PAGE) as buffer:
        bar = peer.bar(0)
        bar.write32(MULTICAST_TABLE + 64, 0x600DF00D)
        mapping = edu.iommu.map_region(peer, 0, 0x5000, PAGE, highest=HIGHEST)
        assert (mapping.address, mapping.length) == (None, PAGE)
        buffer[:64] = PATTERN
        inside = mapping.iova + MULTICAST_TABLE - 0x5000
        copies(edu, buffer.iova, inside)
        words = [bar.read32(MULTICAST_TABLE + at) for at in range(0, 68, 4)]
        assert b"".join(word.to_bytes(4, "little") for word in words[:16]) == PATTERN
        assert words[16] == 0x600DF00D
        copies(edu, inside + 32, buffer.iova + 128)
        assert buffer[128:192] == PATTERN[32:] + (0x600DF00D).to_bytes(4, "little") + bytes(28)
        peer.close()
        assert not mapping.mapped


def test_bars_that_cannot_be_reached(edu: Edu, transport: str) -> None:
    with vfiocore.open(NIC, transport=transport) as peer:
        with pytest.raises(vfiocore.Misaligned):
            edu.iommu.map_region(peer, 2)  # 32 bytes of I/O
        with pytest.raises(vfiocore.Unsupported, match="cannot be mapped"):
            edu.iommu.map_region(peer, vfiocore.region.RegionIndex.CONFIG)
        with pytest.raises(vfiocore.Misaligned):
            edu.iommu.map_region(peer, 0, 0x10, PAGE)
        with pytest.raises(vfiocore.OutOfRange):
            edu.iommu.map_region(peer, 0, peer.bar(0).length, PAGE)
    assert edu.iommu.mappings == 0


def test_a_copy_reaches_the_same_memory(edu: Edu, transport: str) -> None:
    """Of a space that shares an iommufd, and of one that has nothing to do with it."""
    with vfiocore.open(NIC, transport=transport) as other, mmap.mmap(-1, 2 * PAGE) as memory:
        with other.iommu.map(memory) as source:
            copy = edu.iommu.copy(other.iommu, source.iova + PAGE, PAGE, highest=HIGHEST)
        memory[PAGE : PAGE + 64] = PATTERN
        copies(edu, copy.iova, copy.iova + 1024)
        assert memory[PAGE + 1024 : PAGE + 1088] == PATTERN
        assert memory[:PAGE] == bytes(PAGE)
        copy.close()


def test_a_copy_beside_is_not_pinned_again(edu: Edu, transport: str, differs: Differs) -> None:
    length = 4 << 20
    with (
        vfiocore.Iommu(transport, beside=edu.iommu) as beside,
        vfiocore.open(NIC, iommu=beside),
        mmap.mmap(-1, length) as memory,
    ):
        pinned = [locked()]
        source = edu.iommu.map(memory)
        pinned.append(locked())
        copy = beside.copy(edu.iommu, source.iova, length)
        pinned.append(locked())
        source.close()
        pinned.append(locked())
        copy.close()
        pinned.append(locked())
    twice = 2 if differs("a copy is pinned again") else 1
    assert [now - pinned[0] for now in pinned] == [0, length, twice * length, length, 0]


def test_moved_under_live_mappings(edu: Edu, differs: Differs, stopped: Stopped) -> None:
    """The same IOVA is other memory at once, and none for a device that is detached."""
    device, first = edu.device, edu.iommu
    if differs("a device is not moved"):
        with pytest.raises(vfiocore.Unsupported):
            device.detach()
        return
    with (
        vfiocore.Iommu(beside=first) as second,
        vfiocore.open(NIC, iommu=second),
        mmap.mmap(-1, PAGE) as one,
        mmap.mmap(-1, PAGE) as two,
        first.alloc(PAGE, highest=HIGHEST) as source,
    ):
        source[:64] = PATTERN
        edu.take(source.iova, 64)
        first.map(one, iova=0x100000)
        second.map(two, iova=0x100000)
        for space, reached in ((second, [two]), (None, []), (first, [one]), (second, [two])):
            one[:64] = two[:64] = bytes(64)
            if space is None:
                device.detach()
                assert stopped(edu, edu.give, 0x100000)
            else:
                device.attach(space)
                edu.give(0x100000, 64)
            assert [memory[:64] == PATTERN for memory in (one, two)] == [
                memory in reached for memory in (one, two)
            ]
        device.attach(first)
        first.unmap(0x100000, PAGE)
        second.unmap(0x100000, PAGE)


def test_a_copied_file(edu: Edu, transport: str, differs: Differs) -> None:
    """Its memory has no address, so only one iommufd knows what to copy."""
    fd = os.memfd_create("test")
    os.truncate(fd, PAGE)
    with (
        vfiocore.Iommu(transport, beside=edu.iommu) as other,
        vfiocore.open(NIC, iommu=other),
        other.map_file(fd) as source,
    ):
        if differs("a device is not moved"):
            with pytest.raises(vfiocore.Unsupported, match="map the file here"):
                edu.iommu.copy(other, source.iova, PAGE)
        else:
            with edu.iommu.copy(other, source.iova, PAGE, highest=HIGHEST) as copy:
                os.pwrite(fd, PATTERN, 0)
                copies(edu, copy.iova, copy.iova + 64)
                assert os.pread(fd, 64, 64) == PATTERN
    os.close(fd)


def test_what_was_written_is_dirty(edu: Edu, differs: Differs) -> None:
    if differs("dirty pages are not tracked"):
        with pytest.raises(vfiocore.Unsupported):
            edu.iommu.dirty_tracking()
        return
    with edu.iommu.alloc(4 * PAGE, highest=HIGHEST) as buffer:
        with edu.iommu.dirty_tracking() as dirty:
            copies(edu, buffer.iova, buffer.iova + 2 * PAGE)
            pages = dirty.read(buffer)
        assert 2 * PAGE in pages
        assert differs("all pages are dirty") == (len(pages) == 4)


def test_all_and_parts_of_its_own_bars(edu: Edu, transport: str) -> None:
    """Each BAR of memory: whole, its first page, and from its second page on."""
    with vfiocore.open(NIC, transport=transport) as device:
        for number in (0, 1, 3):
            length = device.bar(number).length
            for offset, size in ((0, length), (0, PAGE), (PAGE, length - PAGE)):
                with device.iommu.map_region(device, number, offset, size) as mapping:
                    assert mapping.length == size
                    assert device.iommu.mapped == size
                assert device.iommu.mappings == 0
