# SPDX-License-Identifier: MIT
"""The map cache on a real IOMMU: what is cached is reached, what was flushed is not."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edu_engine import FAULTS, HIGHEST, Edu

import vfiocore
from vfiocore.lab.kmsg import KernelLog, faults

pytestmark = [pytest.mark.kernel_log(allow=FAULTS), pytest.mark.unless("nothing is stopped")]

PAGE = mmap.PAGESIZE
SIZE = 256

LIMIT = Path("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit")
PATTERN = bytes(range(SIZE))


@pytest.fixture
def cache(edu: Edu) -> Iterator[vfiocore.MapCache]:
    with edu.iommu.cache(highest=HIGHEST) as opened:
        yield opened


def reads(edu: Edu, cache: vfiocore.MapCache, iova: int) -> bytes:
    """What the device finds at an IOVA: it gives it back to a buffer of our own."""
    edu.take(iova, SIZE)
    result = bytearray(SIZE)
    with cache.get(result) as reach:
        edu.give(reach.iova, SIZE)
    return bytes(result)


def test_any_buffer_is_reached(edu: Edu, cache: vfiocore.MapCache) -> None:
    log = KernelLog()
    source, destination = bytearray(3 * PAGE), bytearray(3 * PAGE)
    for offset in (0, 1, 100, PAGE - 7, 2 * PAGE - SIZE):
        source[offset : offset + SIZE] = PATTERN
        with (
            memoryview(source)[offset : offset + SIZE] as out,
            memoryview(destination)[offset + 3 : offset + 3 + SIZE] as back,
            cache.get(out) as one,
            cache.get(back) as two,
        ):
            edu.take(one.iova, SIZE)
            edu.give(two.iova, SIZE)
            assert back == PATTERN
        source[:] = destination[:] = bytes(3 * PAGE)
    assert faults(log.new()) == []


def test_idle_is_still_reached_and_flushed_is_not(
    edu: Edu,
    cache: vfiocore.MapCache,
    stopped: Callable[[Edu, Callable[[int, int], None], int], bool],
) -> None:
    log = KernelLog()
    with mmap.mmap(-1, PAGE) as memory:
        with cache.get(memory) as reach:
            iova = reach.iova
        edu.take(iova, SIZE)
        assert faults(log.new()) == []
        with cache.get(memory) as reach:
            assert reach.iova == iova
        assert cache.stats.hits == 1
        cache.flush()
        assert stopped(edu, edu.give, iova)
        assert memory[:] == bytes(PAGE)


def test_a_union_is_reached_as_one(edu: Edu, cache: vfiocore.MapCache) -> None:
    with mmap.mmap(-1, 4 * PAGE) as memory, memoryview(memory) as view:
        with view[: 2 * PAGE] as low, view[PAGE:] as high, cache.get(low) as one:
            memory[PAGE : PAGE + SIZE] = PATTERN
            with cache.get(high) as two:
                assert reads(edu, cache, two.iova) == PATTERN
                assert reads(edu, cache, two.iova - PAGE) == bytes(SIZE)
                assert reads(edu, cache, one.iova + PAGE) == PATTERN  # the old one stays
        cache.flush()


def address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_new_memory_at_an_old_address(edu: Edu, cache: vfiocore.MapCache) -> None:
    """The old mapping cannot outlive its memory, so that the new is what the device finds."""
    old = mmap.mmap(-1, 2 << 20)
    address = address_of(old)
    old[:SIZE] = b"\xee" * SIZE
    with memoryview(old)[:SIZE] as part:
        cache.get(part).close()
    with pytest.raises(BufferError):
        old.close()
    cache.forget(old)
    old.close()
    new = mmap.mmap(-1, 2 << 20)
    assert address_of(new) == address  # the kernel fills the gap, or this would prove nothing
    new[:SIZE] = PATTERN
    with memoryview(new)[:SIZE] as part, cache.get(part) as reach:
        assert reads(edu, cache, reach.iova) == PATTERN


def test_fork(edu: Edu, cache: vfiocore.MapCache) -> None:
    """The child gets nothing, and the parent keeps the pages that the device reaches."""
    log = KernelLog()
    with mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:SIZE] = b"\x11" * SIZE
        with cache.get(memory) as reach:
            asked, told = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(told)
                status = 1
                try:
                    cache.get(memory)
                except vfiocore.VfioError as error:
                    memory[:SIZE] = b"\x22" * SIZE
                    cache.close()
                    status = 7 if error.errno == errno.ECHILD else 2
                finally:
                    os.read(asked, 1)  # until the parent has seen what it reaches
                    os._exit(status)
            memory[:SIZE] = PATTERN
            assert reads(edu, cache, reach.iova) == PATTERN
            os.close(asked)
            os.close(told)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert reads(edu, cache, reach.iova) == PATTERN
        cache.forget(memory)
    assert faults(log.new()) == []


@pytest.fixture
def entry_limit(differs: Callable[[str], bool]) -> Iterator[bool]:
    """Eight mappings and no more, where the kernel has such a limit."""
    if differs("entry limit"):
        yield False
        return
    before = LIMIT.read_text()
    LIMIT.write_text("8")
    yield True
    LIMIT.write_text(before)


def test_the_entry_limit(entry_limit: bool, edu: Edu, cache: vfiocore.MapCache) -> None:
    """A limit of 8 carries 24 pages apart, by evicting, and 24 side by side, by merging."""
    log = KernelLog()
    with mmap.mmap(-1, 48 * PAGE) as memory, memoryview(memory) as view:
        for step in (2, 1):
            for page in range(0, 24 * step, step):
                with view[page * PAGE : page * PAGE + SIZE] as part, cache.get(part) as reach:
                    part[:] = content = bytes([page + 1] * SIZE)
                    edu.take(reach.iova, SIZE)
                    part[:] = bytes(SIZE)
                    edu.give(reach.iova, SIZE)
                    assert part == content
                assert edu.iommu.mappings <= 8 or not entry_limit
            now = cache.stats
            assert now.evictions == (16 if entry_limit else 0)
            if step == 2:
                cache.flush()
        assert (now.merges > 0) == entry_limit
        for page in range(0, 24, 5):
            with view[page * PAGE : page * PAGE + SIZE] as part, cache.get(part) as reach:
                assert reads(edu, cache, reach.iova) == bytes([page + 1] * SIZE)
        cache.flush()
    assert faults(log.new()) == []
