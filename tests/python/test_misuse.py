# SPDX-License-Identifier: MIT
"""What a user gets wrong: objects of another kind, odd numbers, copies, forks, things left open."""

from __future__ import annotations

import copy
import mmap
import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import vfiocore
from vfiocore import fake, iommufd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = mmap.PAGESIZE


@pytest.fixture
def device() -> Iterator[vfiocore.Device]:
    with vfiocore.open("fake:e1000e") as device:
        yield device


# Each would hand C an object of another kind, which it would take for its own.
STRANGERS: list[tuple[str, Callable[[vfiocore.Device, Any], object]]] = [
    ("attach", lambda device, thing: device.attach(thing)),
    ("attach_pasid", lambda device, thing: device.attach_pasid(1, thing)),
    ("copy", lambda device, thing: device.iommu.copy(thing, 0, PAGE)),
    ("cache", lambda _, thing: vfiocore.MapCache(thing)),
    ("open", lambda _, thing: vfiocore.open("fake:e1000e", iommu=thing)),
    ("adopt", lambda _, thing: vfiocore.adopt(0, iommu=thing)),
    ("beside", lambda _, thing: vfiocore.Iommu(beside=thing)),
]


@pytest.mark.parametrize("call", [call for _, call in STRANGERS], ids=[n for n, _ in STRANGERS])
def test_an_address_space_is_nothing_else(
    device: vfiocore.Device, call: Callable[[vfiocore.Device, Any], object]
) -> None:
    things: list[Any] = [device, 3, "x"]
    for thing in things:
        with pytest.raises(TypeError, match=f"is an Iommu, not {type(thing).__name__}"):
            call(device, thing)


def test_a_device_is_nothing_else(device: vfiocore.Device) -> None:
    things: list[Any] = [device.iommu, None, 3]
    for thing in things:
        for call in (
            lambda thing: device.iommu.map_region(thing, 0),
            lambda thing: fake.get(thing, fake.Knob.LINK),
            vfiocore.Nic,
        ):
            with pytest.raises(TypeError, match="the device is a Device, not"):
                call(thing)


def test_knobs_that_are_not_there(device: vfiocore.Device) -> None:
    odd: Any = 99
    with pytest.raises(vfiocore.InvalidArgument, match="no knob 99: ENTRY_LIMIT"):
        fake.get(device, odd)


def test_numbers_are_named_that_are_none(device: vfiocore.Device) -> None:
    iommu = device.iommu
    odd: Any = "x"
    buffer = mmap.mmap(-1, PAGE)
    for call, what in (
        (lambda: iommu.map(buffer, iova=odd), "IOVA"),
        (lambda: iommu.map(buffer, guard=odd), "the guard"),
        (lambda: iommu.alloc(odd), "the length"),
        (lambda: iommu.unmap(0, odd), "the length"),
        (lambda: iommu.map_file(odd), "a descriptor"),
        (lambda: device.attach_pasid(odd, iommu), "a PASID"),
        (lambda: device.bar(odd), "a BAR's index"),
        (lambda: iommu.alloc(PAGE).view(odd), "the offset"),
        (lambda: iommufd.attach(odd, 1), "the descriptor"),
    ):
        with pytest.raises(TypeError, match=f"{what} is an int, not str"):
            call()
    with device.irqs("msix", 2) as irqs:
        with pytest.raises(TypeError, match="a vector is an int, not str"):
            irqs[odd]
        with pytest.raises(TypeError, match="the timeout is a number or None, not str"):
            irqs.wait_any(odd)
        with pytest.raises(TypeError, match="the callback is a function, not str"):
            irqs.on(odd)


def test_block_accesses_want_integers(device: vfiocore.Device) -> None:
    odd: Any = 1.5
    bar = device.bar(0)
    for call in (
        lambda: bar.read_block(odd, 4),
        lambda: bar.write_block(odd, b"abcd"),
        lambda: bar.read_into(odd, bytearray(4)),
        lambda: bar.write32(0x5400, odd),
    ):
        with pytest.raises(TypeError, match="integer"):
            call()


def test_numbers_of_numpy(device: vfiocore.Device) -> None:
    iommu = device.iommu
    iova, length = np.uint64(1 << 20), np.int64(PAGE)
    buffer: Any = iommu.alloc
    with buffer(length, guard=np.uint32(PAGE)) as memory:
        assert len(memory) == PAGE
    one: Any = iommu.map
    with one(mmap.mmap(-1, PAGE), iova=iova) as mapping:
        assert iommu.find_iova(mapping.iova) is not None
    call: Any = iommu
    address = np.frombuffer(mmap.mmap(-1, PAGE), "u1")
    where = call.map_address(np.uint64(address.ctypes.data), length)
    call.unmap(np.uint64(where), length)
    assert iommu.mappings == 0
    bar: Any = device.bar(0)
    bar.write32(np.int64(0x5400), np.uint32(5))
    assert len(bar.read_block(np.int64(0), np.int64(4))) == 4


def test_buffers_that_cannot_be_mapped(device: vfiocore.Device) -> None:
    gaps = memoryview(bytearray(4 * PAGE))[::2]
    with device.iommu.cache() as cache:
        for function in (device.iommu.map, cache.get):
            with pytest.raises(TypeError, match="read-only"):
                function(memoryview(b"abc"))
            with pytest.raises(TypeError, match="gaps"):
                function(gaps)


def test_nothing_to_map_to_the_end_of(device: vfiocore.Device) -> None:
    ends = os.pipe()
    try:
        with pytest.raises(vfiocore.BadMemory, match="has 0 bytes, and nothing at offset 0x0"):
            device.iommu.map_file(ends[0])
    finally:
        for end in ends:
            os.close(end)
    with pytest.raises(vfiocore.BadMemory, match="descriptor -1 is not open"):
        device.iommu.map_file(-1)
    with pytest.raises(vfiocore.OutOfRange, match=r"BAR3.* has nothing at offset 0x1000000"):
        device.iommu.map_region(device, 3, 1 << 24)


def test_dirty_pages_of_what_is_no_mapping(device: vfiocore.Device) -> None:
    things: list[Any] = [None, 3, device.iommu]
    with device.iommu.dirty_tracking() as dirty:
        for thing in things:
            with pytest.raises(TypeError, match="a Mapping, a MappingInfo or a DmaBuffer"):
                dirty.read(thing)


def test_tokens(device: vfiocore.Device) -> None:
    odd: Any = "x" * 16
    with pytest.raises(TypeError, match="a token is bytes"):
        iommufd.bind(0, vfiocore.IommuFd(0), token=odd)
    stranger: Any = device
    with pytest.raises(TypeError, match="iommufd is an IommuFd, not Device"):
        iommufd.bind(0, stranger)


def test_no_copies(device: vfiocore.Device) -> None:
    """Two that close one thing: the second would close what it no longer is."""
    buffer = bytearray(PAGE)
    with device.irqs("msix", 1) as irqs, device.iommu.cache() as cache, cache.get(buffer) as reach:
        memory, mapping = device.iommu.alloc(PAGE), device.iommu.map(mmap.mmap(-1, PAGE))
        things = [device, device.iommu, irqs, cache, reach, memory, mapping, vfiocore.IommuFd(0)]
        for thing in things:
            for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="no copy, no pickle"):
                    attempt(thing)


def in_child(check: Callable[[], bool]) -> int:
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = check()
        finally:
            os._exit(0 if ok else 1)
    return os.waitpid(child, 0)[1]


def test_a_dma_buffer_in_a_child(device: vfiocore.Device) -> None:
    """Its memory is not there: looking would be a segmentation fault."""
    buffer = device.iommu.alloc(PAGE)

    def check() -> bool:
        for call in (lambda: buffer[0], buffer.view, buffer.close, lambda: buffer.iova):
            with pytest.raises(vfiocore.VfioError, match="a child of fork"):
                call()
        return True

    assert in_child(check) == 0
    assert buffer[0] == 0
    buffer.close()


def test_caches_left_open_go_with_the_device() -> None:
    with vfiocore.open("fake:e1000e") as device:
        cache = device.iommu.cache()
        reach = cache.get(bytearray(PAGE))
    assert [device.closed, cache.closed, reach.closed] == [True, True, True]


def test_an_exception_is_not_hidden_by_what_was_left_open() -> None:
    def work() -> None:
        with vfiocore.open("fake:e1000e") as device:
            cache = device.iommu.cache()
            cache.get(bytearray(PAGE))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        work()
    assert caught.value.__context__ is None


def test_caches_left_open_go_with_their_space() -> None:
    with vfiocore.Iommu("fake") as space:
        with vfiocore.open("fake:e1000e", iommu=space) as device:
            cache = space.cache()
            cache.get(bytearray(PAGE))
        assert [device.closed, cache.closed] == [True, False]
    assert [space.closed, cache.closed] == [True, True]


def test_a_space_with_a_device_keeps_its_caches() -> None:
    space = vfiocore.Iommu("fake")
    device = vfiocore.open("fake:e1000e", iommu=space)
    cache = space.cache()
    with pytest.raises(vfiocore.DeviceBusy):
        space.__exit__(None, None, None)
    assert not cache.closed
    cache.close()
    device.close()
    space.close()


def test_an_interrupt_thread_tells_what_it_is(device: vfiocore.Device) -> None:
    with device.irqs("msix", 1) as irqs:
        thread = irqs.on(lambda *_: None)
        assert repr(thread) == f"<IrqThread of {irqs!r}: 0 calls>"
        thread.stop()
        assert repr(thread).endswith(": ended>")
        with pytest.raises(vfiocore.ClosedError):
            thread.__enter__()
