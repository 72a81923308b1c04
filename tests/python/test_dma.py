# SPDX-License-Identifier: MIT
"""DMA buffers: memory, views and their end."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable

import pytest

import vfiocore
from vfiocore import fake

PAGE = mmap.PAGESIZE

pytestmark = pytest.mark.usefixtures("leaks")


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


def test_attributes(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(100) as buffer:
        assert (len(buffer), buffer.mapped) == (100, PAGE)
        found = iommu.find_iova(buffer.iova)
        assert found
        assert found.address == buffer.address
        assert repr(buffer) == f"<DmaBuffer iova {buffer.iova:#x}, 0x64 bytes>"
    assert repr(buffer) == "<DmaBuffer closed>"


def test_content(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(PAGE) as buffer:
        assert buffer[:] == bytes(PAGE)
        buffer[0] = 0xAB
        buffer[1:4] = b"cde"
        assert buffer[:5] == b"\xabcde\0"
        assert buffer[3] == ord("e")
        with pytest.raises(IndexError):
            _ = buffer[PAGE]
        with pytest.raises(ValueError, match=r"assignment|structures"):
            buffer[0:2] = b"too long"


def test_view_is_the_memory(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(PAGE) as buffer:
        with buffer.view() as view, buffer.view(16, 4) as part:
            part[:] = b"abcd"
            assert bytes(view[16:20]) == b"abcd"
            assert len(view) == PAGE
            assert not view.readonly
        for bad in ((-1, 1), (0, PAGE + 1), (PAGE, 1), (1, -1)):
            with pytest.raises(vfiocore.OutOfRange):
                buffer.view(*bad)


def test_close_with_live_views_changes_nothing(
    device: vfiocore.Device, iommu: vfiocore.Iommu
) -> None:
    buffer = iommu.alloc(PAGE)
    view = buffer.view(0, 8)
    slice_of_it = view[2:4]
    view.release()
    for _ in range(2):
        with pytest.raises(BufferError, match="in use"):
            buffer.close()
    assert not buffer.closed
    assert fake.get(device, fake.Knob.MAPPINGS) == 1
    slice_of_it[:] = b"ok"
    assert buffer[2:4] == b"ok"
    slice_of_it.release()
    address = buffer.address
    buffer.close()
    buffer.close()
    assert buffer.closed
    assert iommu.find_address(address) is None


def test_view_in_another_object_keeps_it(iommu: vfiocore.Iommu) -> None:
    class Holder:
        def __init__(self, view: memoryview) -> None:
            self.words = view.cast("I")

    buffer = iommu.alloc(PAGE)
    holder = Holder(buffer.view())
    with pytest.raises(BufferError):
        buffer.close()
    holder.words[0] = 0xDEADBEEF
    del holder
    buffer.close()


def test_numpy(iommu: vfiocore.Iommu) -> None:
    numpy = pytest.importorskip("numpy")
    buffer = iommu.alloc(PAGE)
    array = numpy.frombuffer(buffer.view(), "<u4")
    array[1] = 7
    assert buffer[4] == 7
    with pytest.raises(BufferError):
        buffer.close()
    del array
    buffer.close()


def test_use_after_close(iommu: vfiocore.Iommu) -> None:
    buffer = iommu.alloc(1)
    buffer.close()
    uses: list[Callable[[], object]] = [
        buffer.view,
        lambda: buffer.iova,
        lambda: buffer[0],
        buffer.__enter__,
    ]
    for use in uses:
        with pytest.raises(vfiocore.ClosedError):
            use()


@pytest.mark.parametrize("length", [0, -1])
def test_no_length(iommu: vfiocore.Iommu, length: int) -> None:
    with pytest.raises(vfiocore.InvalidArgument):
        iommu.alloc(length)


@pytest.mark.parametrize("page", [0, 2 << 20])
@pytest.mark.parametrize("length", [1 << 62, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.filterwarnings("ignore::vfiocore.HugePageWarning")
def test_no_memory_for_it(iommu: vfiocore.Iommu, length: int, page: int) -> None:
    with pytest.raises(vfiocore.VfioError, match=f"no {length} bytes of memory"):
        iommu.alloc(length, page=page)


def test_memory_outlives_its_device() -> None:
    with vfiocore.open("fake:e1000e") as device:
        buffer = device.iommu.alloc(PAGE)
        view = buffer.view()
    view[0] = 1  # would fault if the memory were gone
    assert buffer.mapped == 0
    assert repr(buffer) == f"<DmaBuffer unmapped, {PAGE:#x} bytes>"
    view.release()
    buffer.close()


def test_dropped_buffer_stays_mapped(device: vfiocore.Device) -> None:
    # A device may be writing to it: only close() or the end of the space unmaps.
    iova = device.iommu.alloc(PAGE).iova
    found = device.iommu.find_iova(iova)
    assert found
    device.iommu.unmap(iova, PAGE)


def test_not_inherited_by_a_child(iommu: vfiocore.Iommu) -> None:
    with iommu.alloc(PAGE) as buffer:
        start = f"{buffer.address:x}-"
        with open("/proc/self/smaps", encoding="ascii") as smaps:
            lines = iter(smaps.read().splitlines())
        block = next(line for line in lines if line.startswith(start))
        flags = next(line for line in lines if line.startswith("VmFlags"))
        assert block
        assert "dc" in flags.split()  # "do not copy area on fork"


def test_failure_leaves_no_memory_behind(device: vfiocore.Device) -> None:
    fake.set(device, fake.Knob.MEMLOCK_LIMIT, 0)
    with open("/proc/self/statm", encoding="ascii") as statm:
        before = int(statm.read().split()[0])
    for _ in range(20):
        with pytest.raises(vfiocore.MemlockLimit):
            device.iommu.alloc(1 << 26)
    with open("/proc/self/statm", encoding="ascii") as statm:
        after = int(statm.read().split()[0])
    assert after - before < (1 << 26) // os.sysconf("SC_PAGE_SIZE")
