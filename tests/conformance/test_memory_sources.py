# SPDX-License-Identifier: MIT
"""Memory of all kinds: files, copies, batches, in pieces, at its own address, large pages."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vfiocore

PAGE = mmap.PAGESIZE
PIECE = 64 << 20

Differs = Callable[[str], bool]


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, 8 * PAGE) as anonymous:
        yield anonymous


@pytest.fixture
def memfd() -> Iterator[int]:
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    yield fd
    os.close(fd)


def locked() -> int:
    """Bytes that count against the locked-memory limit: type1 calls it locked, iommufd pinned."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("VmLck", "VmPin")))


@pytest.mark.unless("addresses are not chosen")
def test_a_file(iommu: vfiocore.Iommu, memfd: int) -> None:
    with iommu.map_file(memfd, PAGE, 2 * PAGE, highest=0xFFFFFFF) as mapping:
        assert (mapping.length, mapping.address) == (2 * PAGE, None)
        assert mapping.iova + 2 * PAGE - 1 <= 0xFFFFFFF
        found = iommu.find_iova(mapping.iova + PAGE)
        assert found is not None
        assert (found.iova, found.length, found.address) == (mapping.iova, 2 * PAGE, None)
        with pytest.raises(vfiocore.IovaError, match="already"):
            iommu.map_file(memfd, iova=mapping.iova)
        with iommu.map_file(memfd) as again:  # as a whole, beside it
            assert again.length == 4 * PAGE
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_files_that_cannot_be_mapped(iommu: vfiocore.Iommu, memfd: int) -> None:
    for offset, length in ((4 * PAGE, PAGE), (3 * PAGE, 2 * PAGE)):
        with pytest.raises(vfiocore.BadMemory, match="shorter"):
            iommu.map_file(memfd, offset, length)
    with pytest.raises(vfiocore.BadMemory):
        iommu.map_file(-1, 0, PAGE)
    with open("/dev/null", "r+b") as null, pytest.raises(vfiocore.BadMemory):
        iommu.map_file(null, 0, PAGE)
    with pytest.raises(vfiocore.Misaligned):
        iommu.map_file(memfd, 1, PAGE)
    with pytest.raises(vfiocore.InvalidArgument):
        iommu.map_file(memfd, 0, 0)
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_a_descriptor_for_reading(iommu: vfiocore.Iommu, memfd: int, differs: Differs) -> None:
    reading = os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY)
    with iommu.map_file(reading, write=False):
        pass
    if differs("a file for reading is written"):
        iommu.map_file(reading).close()
    else:
        with pytest.raises(vfiocore.BadMemory, match="for writing"):
            iommu.map_file(reading)
    os.close(reading)
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_a_copy_outlives_its_source(
    device: vfiocore.Device, transport: str, memory: mmap.mmap, differs: Differs
) -> None:
    source = device.iommu
    mapping = source.map(memory)
    with vfiocore.Iommu(transport, beside=source) as to:
        with pytest.raises(vfiocore.NoDevice, match="open a device first"):
            to.copy(source, mapping.iova, PAGE)
        if differs("a device is not moved"):
            mapping.close()
            return
        device.attach(to)
        copy = to.copy(source, mapping.iova + PAGE, 2 * PAGE, highest=0xFFFFFFF)
        assert (to.mapped, source.mapped) == (2 * PAGE, 8 * PAGE)
        found = to.find_iova(copy.iova)
        assert found is not None
        assert mapping.address is not None
        assert found.address == mapping.address + PAGE
        mapping.close()
        with pytest.raises(BufferError):
            memory.resize(PAGE)
        copy.close()
        assert (to.mappings, source.mappings) == (0, 0)
        device.attach(source)


@pytest.mark.unless("addresses are not chosen")
def test_a_copy_is_of_one_mapping(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    """Within one space, too: another IOVA for the same memory."""
    with iommu.map(memory, iova=0x100000) as mapping:
        with iommu.copy(iommu, 0x100000 + PAGE, PAGE) as copy:
            assert copy.iova != mapping.iova
            assert iommu.mapped == 9 * PAGE
        with pytest.raises(vfiocore.IovaError, match="a copy is of one mapping"):
            iommu.copy(iommu, 0x100000 + PAGE, 8 * PAGE)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped"):
            iommu.copy(iommu, 0x100000 + 8 * PAGE, PAGE)
        with pytest.raises(vfiocore.IovaError, match="already"):
            iommu.copy(iommu, 0x100000, PAGE, iova=0x100000)
        with pytest.raises(vfiocore.Misaligned):
            iommu.copy(iommu, 0x100001, PAGE)
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_a_batch(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with memoryview(memory) as view, mmap.mmap(-1, PAGE) as alone:
        pieces = [view[at : at + PAGE] for at in range(0, 8 * PAGE, PAGE)]
        with iommu.map_batch([*pieces, alone], highest=0xFFFFFFF) as batch:
            assert (iommu.mappings, iommu.mapped) == (2, 9 * PAGE)
            assert [iova - batch[0] for iova in batch[:8]] == list(range(0, 8 * PAGE, PAGE))
            for piece, iova in zip(pieces, batch, strict=False):
                found = iommu.find_iova(iova)
                assert found is not None
                assert found.iova == batch[0]
                assert found.length == 8 * len(piece)
        assert iommu.mappings == 0
        for piece in pieces:
            piece.release()


@pytest.mark.unless("pages are not joined")
def test_a_batch_is_all_or_nothing(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    """One in the middle is bad, or there is no place for one."""
    before = locked()
    with mmap.mmap(-1, PAGE) as first, mmap.mmap(-1, PAGE) as last:
        with memoryview(memory)[:100] as unaligned, pytest.raises(vfiocore.Misaligned):
            iommu.map_batch([first, unaligned, last])
        with pytest.raises(vfiocore.OutOfIova):
            iommu.map_batch([first, memory, last], highest=8 * PAGE)
    assert iommu.mappings == 0
    assert locked() == before
    memory.resize(PAGE)


@pytest.mark.unless("pages are not joined")
def test_progress(iommu: vfiocore.Iommu) -> None:
    told = []
    length = PIECE + 2 * PAGE
    before = locked()
    with mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as large:
        with iommu.map(large, write=False, progress=lambda done, _: told.append(done)) as mapping:
            assert told == [PIECE, length]
            found = iommu.find_iova(mapping.iova + PIECE)
            assert found is not None
            assert (found.iova, found.length, iommu.mappings) == (mapping.iova, length, 1)
        for stop in (PIECE, length):
            with pytest.raises(vfiocore.VfioError, match="stopped by its progress function"):
                iommu.map(large, write=False, progress=lambda done, _: done == stop)  # noqa: B023
            assert iommu.mappings == 0
    assert locked() == before


INTERRUPTED = """
import mmap, pathlib, signal, sys
import vfiocore

def locked():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(("VmLck", "VmPin"))]

def progress(done, length):
    print(done, flush=True)
    if done == length:
        signal.pause()  # it must not be done before the signal comes

with vfiocore.open(sys.argv[1], transport=sys.argv[2]) as device:
    memory = mmap.mmap(-1, 320 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    before = locked()
    try:
        device.iommu.map(memory, write=False, progress=progress)
    except KeyboardInterrupt:
        assert device.iommu.mappings == 0
        assert locked() == before, (locked(), before)
        memory.close()
        device.iommu.alloc(4096).close()
        print("interrupted")
"""


@pytest.mark.unless("pages are not joined")
def test_ctrl_c_during_a_mapping(transport: str, name: str) -> None:
    child = [sys.executable, "-c", INTERRUPTED, name, transport]
    with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == PIECE
        process.send_signal(signal.SIGINT)
        *done, last = process.stdout.read().split()
    assert (last, process.returncode) == ("interrupted", 0)
    assert [int(number) for number in done] == [PIECE * (n + 2) for n in range(len(done))]


@pytest.mark.unless("addresses are not chosen")
def test_identity(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    """With 48 bits the IOMMU translates what an address has; with 39 it says why not."""
    with iommu.map(memory) as mapping:
        address = mapping.address
    assert address is not None
    if any(low <= address <= high for low, high in iommu.ranges):
        with iommu.map(memory, identity=True) as mapping:
            assert mapping.iova == address
            with pytest.raises(vfiocore.IovaError, match="already"):
                iommu.map(memory, identity=True)
    else:
        with pytest.raises(vfiocore.IovaError, match="windows"):
            iommu.map(memory, identity=True)
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_large_pages_or_a_warning(iommu: vfiocore.Iommu) -> None:
    """What this system has free; the IOVA is aligned to what was taken."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        buffer = iommu.alloc(3 * PAGE, page=2 << 20)
    with buffer:
        assert bool(caught) == (buffer.page == PAGE)
        assert buffer.iova % buffer.page == 0
        assert buffer.mapped == max(3 * PAGE, buffer.page)
    for warning in caught:
        assert warning.category is vfiocore.HugePageWarning
    assert iommu.mappings == 0


@pytest.mark.unless("pages are not joined")
def test_dirty_pages(device: vfiocore.Device, memory: mmap.mmap, differs: Differs) -> None:
    iommu = device.iommu
    with iommu.map(memory) as mapping:
        if differs("dirty pages are not tracked"):
            with pytest.raises(vfiocore.Unsupported):
                iommu.dirty_tracking()
            return
        for _ in range(2):  # it can be begun again
            with iommu.dirty_tracking() as dirty:
                every = [n * PAGE for n in range(8)]
                expected = every if differs("all pages are dirty") else []
                assert [dirty.read(mapping) for _ in range(2)] == [expected] * 2
                assert dirty.read_bitmap(mapping) == (b"\xff" if expected else b"\0")
                with iommu.alloc(PAGE) as late:
                    assert dirty.read(late) == expected[:1]
            with pytest.raises(vfiocore.ClosedError):
                dirty.read(mapping)


@pytest.mark.parametrize("mapped", [False, True])
def test_tracking_ends_after_the_device(
    transport: str, name: str, memory: mmap.mmap, mapped: bool, differs: Differs
) -> None:
    if differs("dirty pages are not tracked"):
        return
    with vfiocore.Iommu(transport, dirty=True) as iommu:
        with vfiocore.open(name, iommu=iommu) as device, iommu.dirty_tracking():
            mapping = iommu.map(memory)
            if not mapped:
                mapping.close()
            device.close()
        mapping.close()
        with vfiocore.open(name, iommu=iommu), iommu.dirty_tracking():
            pass


def test_a_space_to_track_dirty_pages_in(transport: str, name: str, differs: Differs) -> None:
    """Where they are not, it says so when the device comes, or at once."""
    if differs("dirty pages are not tracked"):
        with (
            pytest.raises(
                vfiocore.Unsupported, match=r"VFC_IOMMU_DIRTY|use cdev or group|without an IOMMU"
            ),
            vfiocore.Iommu(transport, dirty=True) as iommu,
        ):
            vfiocore.open(name, iommu=iommu)
    else:
        with (
            vfiocore.Iommu(transport, dirty=True) as iommu,
            vfiocore.open(name, iommu=iommu),
            iommu.dirty_tracking() as dirty,
        ):
            assert dirty.page == PAGE
