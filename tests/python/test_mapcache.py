# SPDX-License-Identifier: MIT
"""The map cache: what is found again, what keeps memory alive, and what is refused."""

from __future__ import annotations

import mmap
import random
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore import fake
from vfiocore._native.structs import MapCacheEntry
from vfiocore.fake import Knob

PAGE = mmap.PAGESIZE

pytestmark = pytest.mark.usefixtures("leaks")


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


@pytest.fixture
def cache(iommu: vfiocore.Iommu) -> Iterator[vfiocore.MapCache]:
    with iommu.cache() as opened:
        yield opened


@pytest.fixture
def memory(cache: vfiocore.MapCache) -> Iterator[mmap.mmap]:
    """Closed before the cache is: what a test leaves in it is forgotten."""
    with mmap.mmap(-1, 8 * PAGE) as anonymous:
        yield anonymous
        cache.forget(anonymous)


class Block(bytearray):
    """A bytearray that a weak reference may name."""


def test_get(iommu: vfiocore.Iommu, cache: vfiocore.MapCache, memory: mmap.mmap) -> None:
    with memoryview(memory)[100:200] as view, cache.get(view) as reach:
        found = iommu.find_iova(reach.iova)
        assert found
        assert reach.iova - found.iova == reach.address - found.address == 100
        assert (reach.length, found.length) == (100, PAGE)
        first = reach.iova
        assert repr(reach) == f"<Reach iova {first:#x}, 0x64 bytes at {reach.address:#x}>"
        assert repr(cache) == f"<MapCache 1 mapping in use, 0 idle, {PAGE:#x} bytes>"
    assert reach.closed
    reach.close()
    with pytest.raises(vfiocore.ClosedError):
        _ = reach.iova
    with pytest.raises(vfiocore.ClosedError):
        reach.__enter__()
    with memoryview(memory)[100:200] as view, cache.get(view) as again:
        assert again.iova == first
    assert cache.stats == vfiocore.MapCacheStats(1, 1, 0, 0, 0, 0, 1, PAGE)


def test_any_buffer(cache: vfiocore.MapCache, memory: mmap.mmap) -> None:
    numpy = pytest.importorskip("numpy")
    for buffer in (bytearray(5), numpy.zeros(1000, "<u4"), memoryview(bytearray(70000)), memory):
        with cache.get(buffer) as reach:
            assert reach.length == memoryview(buffer).nbytes
    with pytest.raises(vfiocore.InvalidArgument, match="0 bytes"):
        cache.get(bytearray())
    with pytest.raises(TypeError):
        cache.get("text")


def test_bytes_are_for_devices_that_only_read(
    iommu: vfiocore.Iommu, cache: vfiocore.MapCache
) -> None:
    with pytest.raises(TypeError, match="write=False"):
        cache.get(b"frame")
    with iommu.cache(write=False) as constant, constant.get(b"frame") as reach:
        found = iommu.find_iova(reach.iova)
        assert found
        assert (found.read, found.write) == (True, False)
    with pytest.raises(vfiocore.InvalidArgument, match="neither read nor write"):
        iommu.cache(read=False, write=False)


def test_options(device: vfiocore.Device, memory: mmap.mmap) -> None:
    with device.iommu.cache(limit=2 * PAGE, highest=0xFFFFFFF) as cache, memoryview(memory) as view:
        for page in range(0, 8, 2):
            with view[page * PAGE : (page + 1) * PAGE] as part, cache.get(part) as reach:
                assert reach.iova <= 0xFFFFFFF
        assert (cache.stats.evictions, cache.stats.idle_bytes) == (2, 2 * PAGE)
    with device.iommu.cache(entries=1) as cache, memoryview(memory) as view:
        for page in (0, 4):
            with view[page * PAGE : (page + 1) * PAGE] as part:
                cache.get(part).close()
        assert cache.stats.idle_entries == 1
    with pytest.raises(vfiocore.InvalidArgument, match="64 bits"):
        device.iommu.cache(limit=-1)


def test_limits_of_the_kernel(
    device: vfiocore.Device, cache: vfiocore.MapCache, memory: mmap.mmap
) -> None:
    fake.set(device, Knob.ENTRY_LIMIT, 2)
    with memoryview(memory) as view:
        parts = [view[page * PAGE : (page + 1) * PAGE] for page in range(0, 8, 2)]
        for part in parts:
            cache.get(part).close()
        with cache.get(parts[0]), cache.get(parts[1]), pytest.raises(vfiocore.EntryLimit):
            cache.get(parts[2])
        cache.flush()
        for part in parts:
            part.release()


def test_memory_stays_while_it_is_mapped(cache: vfiocore.MapCache) -> None:
    """Idle, too: another buffer at the same address would be reached at the old pages."""
    memory = mmap.mmap(-1, PAGE)
    cache.get(memory).close()
    assert cache.stats.idle_entries == 1
    with pytest.raises(BufferError):
        memory.close()
    cache.forget(memory)
    memory.close()

    array = bytearray(100)
    cache.get(array).close()
    with pytest.raises(BufferError):
        array += b"more"
    cache.flush()
    array += b"more"


def test_a_dropped_buffer_lives_until_its_mapping_goes(cache: vfiocore.MapCache) -> None:
    block = Block(3 * PAGE)
    alive = weakref.ref(block)
    cache.get(block).close()
    del block
    assert alive() is not None
    cache.flush()
    assert alive() is None


def test_an_evicted_buffer_is_let_go(iommu: vfiocore.Iommu) -> None:
    with iommu.cache(limit=2 * PAGE) as cache:
        blocks = [mmap.mmap(-1, PAGE) for _ in range(5)]  # which share no page
        alive = [weakref.ref(block) for block in blocks]
        while blocks:
            cache.get(blocks.pop()).close()
        assert sum(ref() is not None for ref in alive) == cache.stats.idle_entries == 2
    assert not any(ref() for ref in alive)


def test_a_hit_holds_its_buffer_no_longer_than_it_lasts(cache: vfiocore.MapCache) -> None:
    arena = Block(4 * PAGE)
    with cache.get(arena):
        for _ in range(3):
            with memoryview(arena)[10:20] as part, cache.get(part):
                pass
        assert sum(map(len, cache._held.values())) == 1
    assert cache.stats.hits == 3


def pages_without_a_buffer(cache: vfiocore.MapCache) -> int:
    count = 0
    for address, holds in cache._held.items():
        entry = MapCacheEntry.from_address(address)
        for page in range(entry.va, entry.va + entry.length, PAGE):
            count += not any(hold.first < page + PAGE and hold.end > page for hold in holds)
    return count


def test_a_union_needs_the_buffers_of_what_it_replaced(
    cache: vfiocore.MapCache, memory: mmap.mmap
) -> None:
    with memoryview(memory) as view, view[: 2 * PAGE] as low, view[PAGE:] as high:
        with cache.get(low), cache.get(high):
            assert (cache.stats.live_entries, cache.stats.merges) == (2, 1)
        assert cache.stats.idle_bytes == len(memory)
        assert pages_without_a_buffer(cache) == 0
        cache.get(low).close()
        assert cache.stats.hits == 1


def test_every_mapped_page_has_a_buffer_that_keeps_it(
    device: vfiocore.Device, iommu: vfiocore.Iommu
) -> None:
    """Random parts of random buffers, limits that evict and merge, buffers that come and go."""
    fake.set(device, Knob.ENTRY_LIMIT, 12)
    chance = random.Random(3)
    with iommu.cache(limit=40 * PAGE, entries=10) as cache:
        buffers: list[bytearray] = []
        reaches: list[vfiocore.Reach] = []
        for _ in range(3000):
            if len(buffers) < 6:
                buffers.append(bytearray(chance.choice((30, 500, 5000, 40000, 300000))))
            buffer = chance.choice(buffers)
            start = chance.randrange(len(buffer))
            with memoryview(buffer)[start : start + chance.randrange(1, 9 * PAGE)] as part:
                window = memoryview(part)
            action = chance.random()
            if action < 0.5 and len(reaches) < 8:
                reaches.append(cache.get(window))
            elif action < 0.9 and reaches:
                reaches.pop(chance.randrange(len(reaches))).close()
            elif action < 0.95:
                buffers.remove(buffer)
            else:
                try:
                    cache.forget(window)
                except vfiocore.DeviceBusy:
                    assert reaches
            now = cache.stats
            assert len(cache._held) == now.live_entries + now.idle_entries == iommu.mappings
            assert pages_without_a_buffer(cache) == 0
        assert min(now.merges, now.evictions) > 20, now
        for reach in reaches:
            reach.close()


def test_forget(cache: vfiocore.MapCache, memory: mmap.mmap) -> None:
    with cache.get(memory) as reach:
        with pytest.raises(vfiocore.DeviceBusy, match="1 reference") as caught:
            cache.forget(memory)
        assert (caught.value.iova, caught.value.length) == (reach.iova, len(memory))
    cache.forget(memory)
    assert cache.stats.idle_entries == 0


def test_close_while_referenced(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    cache = iommu.cache()
    reach = cache.get(memory)
    with pytest.raises(vfiocore.DeviceBusy, match="1 reference to 1 mapping "):
        cache.close()
    assert not cache.closed
    reach.close()
    cache.close()
    cache.close()
    assert repr(cache) == "<MapCache closed>"
    for use in (lambda: cache.get(memory), cache.flush, lambda: cache.stats, cache.__enter__):
        with pytest.raises(vfiocore.ClosedError):
            use()


def test_it_holds_the_address_space() -> None:
    device = vfiocore.open("fake:e1000e")
    cache = device.iommu.cache()
    with pytest.raises(vfiocore.DeviceBusy, match="map caches"):
        device.close()
    cache.close()
    device.close()
    with vfiocore.Iommu("fake") as space, space.cache() as cache:
        with pytest.raises(vfiocore.NoDevice, match="open a device first"):
            cache.get(bytearray(1))
        with pytest.raises(vfiocore.DeviceBusy, match="map caches"):
            space.close()


def test_the_space_is_emptied(iommu: vfiocore.Iommu, memory: mmap.mmap) -> None:
    with iommu.cache() as cache:
        reach = cache.get(memory)
        cache.get(bytearray(10)).close()
        assert iommu.unmap_all() > 0
        assert reach.closed
        assert cache.stats.live_entries == cache.stats.idle_entries == 0
        memory.resize(PAGE)  # nothing holds it
        with cache.get(memory) as reach:
            assert iommu.find_iova(reach.iova)


def test_a_failure_holds_nothing(device: vfiocore.Device, cache: vfiocore.MapCache) -> None:
    fake.set(device, Knob.MEMLOCK_LIMIT, 0)
    memory = mmap.mmap(-1, PAGE)
    with pytest.raises(vfiocore.MemlockLimit) as caught:
        cache.get(memory)
    memory.close()
    assert caught.value.operation == "vfc_mapcache_get"


def test_threads(iommu: vfiocore.Iommu) -> None:
    failures = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(300):
                buffer = bytearray(chance.randrange(1, 30000))
                with cache.get(buffer) as one, cache.get(arena) as two:
                    for reach in (one, two):
                        found = iommu.find_iova(reach.iova)
                        assert found
                        assert found.address - found.iova == reach.address - reach.iova
        except BaseException as error:
            failures.append(error)
            raise

    with iommu.cache(entries=20) as cache:
        arena = bytearray(100000)
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pages_without_a_buffer(cache) == 0
    assert not failures


FORK = """
import errno, mmap, os, vfiocore
with vfiocore.open("fake:e1000e") as device, device.iommu.cache() as cache:
    memory = mmap.mmap(-1, 4096)
    with cache.get(memory) as reach:
        if (pid := os.fork()) == 0:
            try:
                cache.get(memory)
            except vfiocore.VfioError as error:
                assert error.errno == errno.ECHILD, error
                assert "the parent process opened it" in str(error), error
                cache.close()
                reach.close()
                memory.close()
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert cache.get(memory).iova == reach.iova
        for left in cache._open - {reach}:
            left.close()
    assert device.iommu.mappings == 1
print("ok")
"""


def test_a_child_of_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
