# SPDX-License-Identifier: MIT
"""Mapping in pieces, in batches, at its own address; files, regions and copies; dirty pages."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import threading
import warnings
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore import fake
from vfiocore.fake import Knob

PAGE = mmap.PAGESIZE
PIECE = 64 << 20
LARGE = 2 * PIECE + PAGE

pytestmark = pytest.mark.usefixtures("leaks")


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, 8 * PAGE) as anonymous:
        yield anonymous


@pytest.fixture
def large() -> Iterator[mmap.mmap]:
    """To be mapped for reading only, or all of it would be needed."""
    with mmap.mmap(-1, LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as anonymous:
        yield anonymous


@pytest.fixture
def memfd() -> Iterator[int]:
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    yield fd
    os.close(fd)


def nothing_left(device: vfiocore.Device) -> None:
    assert device.iommu.mappings == 0
    assert fake.get(device, Knob.MAPPINGS) == 0


def test_progress(device: vfiocore.Device, large: mmap.mmap) -> None:
    told: list[tuple[int, int]] = []
    threads = set()

    def progress(done: int, length: int) -> None:
        told.append((done, length))
        threads.add(threading.current_thread())

    with device.iommu.map(large, write=False, progress=progress) as mapping:
        assert told == [(PIECE, LARGE), (2 * PIECE, LARGE), (LARGE, LARGE)]
        assert threads == {threading.current_thread()}
        assert fake.get(device, Knob.MAPPINGS) == 3
        assert device.iommu.find_iova(mapping.iova) is not None
    nothing_left(device)


@pytest.mark.parametrize("at", [PIECE, 2 * PIECE, LARGE])
def test_progress_that_stops(device: vfiocore.Device, large: mmap.mmap, at: int) -> None:
    with pytest.raises(vfiocore.VfioError, match="stopped by its progress function") as caught:
        device.iommu.map(large, write=False, progress=lambda done, _: done == at)
    assert caught.value.errno == errno.ECANCELED
    nothing_left(device)
    large.resize(PAGE)  # nothing holds it


@pytest.mark.parametrize("at", [PIECE, LARGE])
def test_progress_that_raises(device: vfiocore.Device, large: mmap.mmap, at: int) -> None:
    def progress(done: int, _: int) -> None:
        if done == at:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        device.iommu.map(large, write=False, progress=progress)
    nothing_left(device)


def test_a_signal_during_a_mapping(device: vfiocore.Device, large: mmap.mmap) -> None:
    """Sent while C works, or we wait for it."""
    sender = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT))

    def progress(done: int, _: int) -> None:
        if done == PIECE:
            sender.start()
        else:
            sender.join()

    with pytest.raises(KeyboardInterrupt):
        device.iommu.map(large, write=False, progress=progress)
    sender.join()
    nothing_left(device)
    assert "vfiocore map" not in [thread.name for thread in threading.enumerate()]


def test_bad_memory_in_pieces(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.BadMemory, match="/proc/self/maps"):
        device.iommu.map_address(PAGE, PAGE, progress=lambda *_: None)
    nothing_left(device)


def test_identity(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    # 39 bits of the model's IOMMU are fewer than an address has.
    with pytest.raises(vfiocore.IovaError, match="0x7fffffffff"):
        iommu.map(memory, identity=True)
    with pytest.raises(vfiocore.InvalidArgument, match="give no IOVA"):
        iommu.map(memory, identity=True, iova=0)


def test_a_file(iommu: vfiocore.Iommu, memfd: int) -> None:
    with iommu.map_file(memfd) as mapping:
        assert (mapping.length, mapping.address) == (4 * PAGE, None)
        assert repr(mapping) == f"<Mapping iova {mapping.iova:#x}, 0x4000 bytes>"
        found = iommu.find_iova(mapping.iova)
        assert found is not None
        assert (found.address, found.length) == (None, 4 * PAGE)
    with os.fdopen(os.dup(memfd), "rb") as file, iommu.map_file(file, PAGE, PAGE) as mapping:
        assert mapping.length == PAGE
    with iommu.map_file(memfd, PAGE, highest=0xFFFFFFF, write=False) as mapping:
        assert mapping.length == 3 * PAGE
        assert mapping.iova <= 0xFFFFFFF


def test_bad_files(iommu: vfiocore.Iommu, memfd: int) -> None:
    with pytest.raises(vfiocore.BadMemory):
        iommu.map_file(-1, 0, PAGE)
    with pytest.raises(vfiocore.BadMemory):
        iommu.map_file(memfd, 4 * PAGE, PAGE)
    with pytest.raises(vfiocore.BadMemory, match="nothing at offset 0x4000"):
        iommu.map_file(memfd, 4 * PAGE)
    with pytest.raises(vfiocore.InvalidArgument, match="64 bits"):
        iommu.map_file(memfd, -PAGE)
    with pytest.raises(vfiocore.Misaligned):
        iommu.map_file(memfd, 100, PAGE)
    with pytest.raises(TypeError, match="a descriptor is an int, not str"):
        iommu.map_file("name")  # type: ignore[arg-type]
    with pytest.raises(vfiocore.InvalidArgument, match="memory of this process"):
        iommu.map_file(memfd, identity=True)  # type: ignore[call-arg]


def test_a_region(iommu: vfiocore.Iommu) -> None:
    peer = vfiocore.open("fake:e1000e")
    mapping = iommu.map_region(peer, 1, PAGE, PAGE)
    assert (mapping.length, mapping.address) == (PAGE, None)
    closed = iommu.map_region(peer, 1)
    assert closed.length == peer.bar(1).length
    closed.close()
    with pytest.raises(vfiocore.Unsupported, match="cannot be mapped"):
        iommu.map_region(peer, 3, 0, PAGE)
    with pytest.raises(vfiocore.OutOfRange):
        iommu.map_region(peer, 1, peer.bar(1).length, PAGE)
    with pytest.raises(vfiocore.OutOfRange):
        iommu.map_region(peer, 100)
    peer.close()
    assert not mapping.mapped  # with its device


@pytest.mark.parametrize("related", [True, False])
def test_copy(iommu: vfiocore.Iommu, memory: mmap.mmap, related: bool) -> None:
    with (
        vfiocore.Iommu("fake", beside=iommu if related else None) as to,
        vfiocore.open("fake:e1000e", iommu=to),
    ):
        mapping = iommu.map(memory)
        copy = to.copy(iommu, mapping.iova + PAGE, 2 * PAGE, highest=0xFFFFFFF)
        assert copy.address == mapping.address + PAGE if mapping.address else None
        assert (copy.length, to.mapped) == (2 * PAGE, 2 * PAGE)
        mapping.close()
        with pytest.raises(BufferError):
            memory.resize(PAGE)  # the copy reaches it still
        copy.close()
        memory.resize(PAGE)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped"):
            to.copy(iommu, mapping.iova, PAGE)


def test_a_copy_of_a_buffer_holds_it(iommu: vfiocore.Iommu) -> None:
    with (
        vfiocore.Iommu(beside=iommu) as to,
        vfiocore.open("fake:e1000e", iommu=to),
        iommu.alloc(PAGE) as buffer,
    ):
        with to.copy(iommu, buffer.iova, PAGE), pytest.raises(BufferError):
            buffer.close()
        assert buffer.mapped == PAGE


def test_batch(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with memoryview(memory) as view, mmap.mmap(-1, PAGE) as other:
        pieces = [view[at : at + PAGE] for at in range(0, 4 * PAGE, PAGE)]
        with iommu.map_batch([*pieces, other], highest=0xFFFFFFF) as batch:
            assert iommu.mappings == 2
            assert [iova - batch[0] for iova in batch[:4]] == [0, PAGE, 2 * PAGE, 3 * PAGE]
            assert len(batch) == 5
            assert batch[4] in batch
            assert repr(batch) == "<MappingBatch 5 buffers>"
            with pytest.raises(BufferError):
                other.resize(2 * PAGE)
        assert iommu.mappings == 0
        other.resize(2 * PAGE)
        assert not batch.mapped
        batch.close()
        with pytest.raises(vfiocore.ClosedError):
            batch.__enter__()
        for piece in pieces:
            piece.release()
    assert len(iommu.map_batch([])) == 0


def test_a_batch_is_all_or_nothing(device: vfiocore.Device, memory: mmap.mmap) -> None:
    with mmap.mmap(-1, PAGE) as other:
        fake.set(device, Knob.ENTRY_LIMIT, 2)
        with pytest.raises(vfiocore.EntryLimit):
            device.iommu.map_batch([memory, other, memory])
        nothing_left(device)
        with pytest.raises(vfiocore.InvalidArgument, match="neither read nor write"):
            device.iommu.map_batch([memory], read=False, write=False)
        memory.resize(PAGE)
        other.resize(2 * PAGE)


def test_a_batch_that_lost_one(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with mmap.mmap(-1, PAGE) as other:
        batch = iommu.map_batch([memory, other])
        iommu.unmap(batch[1], PAGE)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped"):
            batch.close()
        assert (batch.mapped, iommu.mappings) == (True, 1)
        iommu.unmap_all()
        assert not batch.mapped


@pytest.mark.parametrize("page", [2 << 20, 1 << 30])
def test_huge_pages_or_a_warning(iommu: vfiocore.Iommu, page: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        buffer = iommu.alloc(3 * PAGE, page=page)
    with buffer:
        assert len(buffer) == 3 * PAGE
        assert buffer.iova % buffer.page == 0
        assert buffer.mapped == max(buffer.page, 3 * PAGE)
        assert bool(caught) == (buffer.page < page)
    for warning in caught:
        assert warning.category is vfiocore.HugePageWarning
        assert warning.filename == __file__
        assert "nr_hugepages" in str(warning.message)


def test_pages_that_there_are_not(iommu: vfiocore.Iommu) -> None:
    for page in (1, 8192, 3 << 20, -PAGE, 1 << 40):
        with pytest.raises(vfiocore.InvalidArgument, match="2 << 20 and 1 << 30"):
            iommu.alloc(PAGE, page=page)
    with iommu.alloc(PAGE, page=PAGE) as buffer:
        assert buffer.page == PAGE


def test_dirty_pages(device: vfiocore.Device, memory: mmap.mmap) -> None:
    iommu = device.iommu
    with iommu.map(memory) as mapping, iommu.alloc(PAGE) as buffer:
        with iommu.dirty_tracking() as dirty:
            assert dirty.page == PAGE
            assert repr(dirty) == "<DirtyTracking>"
            found = iommu.find_iova(mapping.iova)
            assert found is not None
            for mapped in (mapping, buffer, found):
                assert dirty.read(mapped) == []
            assert dirty.read_bitmap(mapping) == bytes(1)
        with pytest.raises(vfiocore.ClosedError):
            dirty.read(mapping)
        dirty.close()
        with iommu.dirty_tracking() as dirty:
            mapping.close()
            with pytest.raises(vfiocore.IovaError, match="nothing is mapped"):
                dirty.read(mapping)


def test_the_nic_dirties_what_it_writes(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    """Rings and buffers are the library's own: they are found by their IOVAs."""
    iommu = device.iommu
    found = (iommu.find_iova(iova) for iova in range(0, 32 << 20, PAGE))
    mapped = {info.iova: info for info in found if info is not None}
    assert len(mapped) == iommu.mappings
    with iommu.dirty_tracking() as dirty:
        nic.send(nic.mac_bytes + bytes(54))
        nic.recv(timeout=60)
        # A descriptor of each ring, and a buffer that was received into.
        assert sum(len(dirty.read(info)) for info in mapped.values()) >= 3
