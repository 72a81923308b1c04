# SPDX-License-Identifier: MIT
"""What iommufd does with IOMMUs that QEMU does not emulate: on the kernel's mock IOMMU."""

from __future__ import annotations

import errno
import mmap
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import iommufd_mock as mock
import pytest

import vfiocore
from vfiocore.iommufd import (
    FaultAccess,
    FaultQueue,
    HwCapability,
    Hwpt,
    Ioas,
    IommuFd,
    PageFault,
    Viommu,
)

pytestmark = pytest.mark.machine("iommufd")

IOVA = mock.IOVA_FIRST
PAGE = mmap.PAGESIZE


@pytest.fixture
def device(iommufd: IommuFd, ioas: Ioas) -> Iterator[mock.MockDevice]:
    with mock.MockDevice(iommufd, ioas) as made:
        yield made


@pytest.fixture
def parent(iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice) -> Iterator[Hwpt]:
    with iommufd.hwpt(device.id, ioas, nest_parent=True) as made:
        yield made


@pytest.fixture
def viommu(iommufd: IommuFd, device: mock.MockDevice, parent: Hwpt) -> Iterator[Viommu]:
    with iommufd.viommu(device.id, parent, mock.VIOMMU_TYPE) as made:
        # The device stands on the nest parent, as under a virtual machine.
        device.attach(parent)
        yield made
        with iommufd.ioas() as other:
            device.attach(other)
            device.attach(iommufd.ioas())


def memory(pages: int = 1) -> mmap.mmap:
    return mmap.mmap(-1, pages * PAGE)


def nested_data(value: int) -> bytes:
    return struct.pack("=2I", value, 0)


# Hardware info.


def test_hardware_info(iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice) -> None:
    info = iommufd.hw_info(device.id)
    assert info.type == mock.HW_TYPE
    assert info.data == struct.pack("=2I", 0, mock.HW_REGISTER)
    assert info.registers == {}
    assert info.capabilities == HwCapability.DIRTY_TRACKING | HwCapability.NO_ATS
    assert info.pasid_bits == 0
    assert iommufd.hw_info(device.id, mock.HW_TYPE) == info
    with pytest.raises(vfiocore.Unsupported, match="no info of the type"):
        iommufd.hw_info(device.id, 1)
    with pytest.raises(vfiocore.VfioError, match="no device of that id") as caught:
        iommufd.hw_info(ioas.id)
    assert caught.value.errno == errno.ENOENT
    with mock.MockDevice(iommufd, ioas, mock.PASID | mock.NO_DIRTY) as other:
        info = iommufd.hw_info(other.id)
        assert info.pasid_bits == mock.PASID_BITS
        assert HwCapability.DIRTY_TRACKING not in info.capabilities


# Address spaces.


# What devices write.


def test_written_pages_are_told_exactly(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice
) -> None:
    # Page by page, since a huge one is written as a whole.
    ioas.huge_pages = False
    pages = 3 * 64  # more than one word of the bitmap
    ioas.map(memory(pages), iova=IOVA)
    length = pages * PAGE
    numbers = [0, 1, 63, 64, 100, pages - 1]
    iovas = [IOVA + n * PAGE for n in numbers]
    with iommufd.hwpt(device.id, ioas, dirty_tracking=True) as table:
        table.track(True)
        assert table.written(IOVA, length) == []
        assert mock.write_pages(iommufd, table, IOVA, numbers, PAGE) == len(numbers)
        assert table.written(IOVA, length, clear=False) == iovas
        half = table.written(IOVA + length // 2, length // 2, clear=False)
        assert half == [iova for iova in iovas if iova >= IOVA + length // 2]
        coarse = table.written(IOVA, length, page_size=2 * PAGE, clear=False)
        assert coarse == sorted({iova & -2 * PAGE for iova in iovas})
        assert table.written(IOVA, length) == iovas
        assert table.written(IOVA, length) == []
        # What was written before it starts again is forgotten.
        mock.write_pages(iommufd, table, IOVA, [5], PAGE)
        table.track(False)
        table.track(True)
        assert table.written(IOVA, length) == []
        for iova, size, page in (
            (IOVA, 0, PAGE),
            (IOVA + 1, PAGE, PAGE),
            (IOVA, PAGE, 3),
            (IOVA, PAGE, 0),
        ):
            with pytest.raises(vfiocore.InvalidArgument):
                table.written(iova, size, page_size=page)
        with pytest.raises(vfiocore.Misaligned, match="IOMMU's page"):
            table.written(IOVA, 512, page_size=512)
        table.track(False)


def test_a_device_whose_iommu_does_not_track(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice
) -> None:
    with iommufd.hwpt(device.id, ioas) as table:
        with pytest.raises(vfiocore.Unsupported, match="not made with DIRTY_TRACKING"):
            table.track(True)
        ioas.map(memory(), iova=IOVA)
        with pytest.raises(vfiocore.Unsupported, match="not made with DIRTY_TRACKING"):
            table.written(IOVA, PAGE)
    with (
        mock.MockDevice(iommufd, ioas, mock.NO_DIRTY) as other,
        pytest.raises(vfiocore.Unsupported, match="cannot track what devices write"),
    ):
        iommufd.hwpt(other.id, ioas, dirty_tracking=True)


# Nesting.


def test_nested_page_table_and_its_invalidation(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, parent: Hwpt
) -> None:
    with iommufd.hwpt(device.id, parent, kind=mock.HWPT_DATA, data=nested_data(77)) as nested:
        device.attach(nested)
        with pytest.raises(vfiocore.DeviceBusy, match="detach devices"):
            nested.close()
        with pytest.raises(vfiocore.DeviceBusy, match="in use"):
            parent.close()
        assert nested.invalidate(mock.INVALIDATE_HWPT, []) == 0
        assert nested.invalidate(mock.INVALIDATE_HWPT, [struct.pack("=2I", 0, 2)]) == 1
        state = [mock.tlb_is(iommufd, nested, n, 77) for n in range(mock.TLB_ENTRIES)]
        assert state == [True, True, False, True]
        assert mock.tlb_is(iommufd, nested, 2, 0)
        # The second entry has a flag that there is not: the first took effect, the third did not.
        entries = [struct.pack("=2I", *words) for words in ((0, 0), (8, 1), (0, 3))]
        with pytest.raises(vfiocore.Unsupported, match="entry 1 of 3 was refused"):
            nested.invalidate(mock.INVALIDATE_HWPT, entries)
        assert mock.tlb_is(iommufd, nested, 0, 0)
        assert mock.tlb_is(iommufd, nested, 3, 77)
        with pytest.raises(vfiocore.InvalidArgument, match="entry 0 of 1 was refused"):
            nested.invalidate(mock.INVALIDATE_HWPT, [struct.pack("=2I", 0, 99)])
        with pytest.raises(vfiocore.InvalidArgument, match="data type"):
            nested.invalidate(1, [bytes(8)])
        with pytest.raises(vfiocore.InvalidArgument, match="different lengths"):
            nested.invalidate(mock.INVALIDATE_HWPT, [bytes(8), bytes(4)])
        with pytest.raises(vfiocore.InvalidArgument):
            parent.invalidate(mock.INVALIDATE_HWPT, [bytes(8)])  # not a nested one
        assert nested.invalidate(mock.INVALIDATE_HWPT, [struct.pack("=2I", 1, 0)]) == 1
        assert all(mock.tlb_is(iommufd, nested, n, 0) for n in range(mock.TLB_ENTRIES))
        device.attach(ioas)


def test_nesting_that_is_refused(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, parent: Hwpt
) -> None:
    with pytest.raises(vfiocore.Unsupported, match="nested page tables of that data type"):
        iommufd.hwpt(device.id, parent, kind=1, data=bytes(24))
    with pytest.raises(vfiocore.InvalidArgument, match="data without a type"):
        iommufd.hwpt(device.id, parent, data=bytes(8))
    with pytest.raises(vfiocore.Unsupported, match="nested page table has no data"):
        iommufd.hwpt(device.id, parent)
    with iommufd.hwpt(device.id, ioas) as plain, pytest.raises(vfiocore.InvalidArgument):
        iommufd.hwpt(device.id, plain, kind=mock.HWPT_DATA, data=nested_data(1))
    with iommufd.fault_queue() as faults:
        with pytest.raises(vfiocore.Unsupported, match="give it to the nested page table"):
            iommufd.hwpt(device.id, ioas, nest_parent=True, faults=faults)
        with pytest.raises(vfiocore.InvalidArgument, match="the parent is no"):
            iommufd.hwpt(device.id, faults.id)
    with pytest.raises(vfiocore.VfioError, match="no such device"):
        iommufd.hwpt(ioas.id, ioas)


# PASIDs.


def test_page_tables_of_pasids(iommufd: IommuFd, ioas: Ioas) -> None:
    with (
        mock.MockDevice(iommufd, ioas, mock.PASID) as device,
        iommufd.hwpt(device.id, ioas, pasid=True) as own,
        iommufd.hwpt(device.id, ioas, pasid=True) as other,
    ):
        device.attach(own)
        device.attach_pasid(5, other)
        assert device.pasid_is_at(5, other)
        with pytest.raises(vfiocore.DeviceBusy):
            other.close()
        device.detach_pasid(5)
        assert device.pasid_is_at(5, None)
        device.attach(ioas)


# Page faults.


@pytest.fixture
def faults(iommufd: IommuFd) -> FaultQueue:
    return iommufd.fault_queue()


@pytest.fixture
def faulting(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, faults: FaultQueue
) -> Iterator[mock.MockDevice]:
    """A device at a page table with a fault queue."""
    with iommufd.hwpt(device.id, ioas, faults=faults) as table:
        device.attach(table)
        with pytest.raises(vfiocore.DeviceBusy):
            iommufd.destroy(faults.id)
        yield device
        device.attach(ioas)


def test_a_fault_is_read_and_answered(faulting: mock.MockDevice, faults: FaultQueue) -> None:
    assert faults.read() == []
    assert not faults.wait(0)
    access = FaultAccess.READ | FaultAccess.WRITE
    faulting.fault(0xABCD000, group=3, access=int(access))
    assert faults.wait(60)
    (fault,) = faults.read()
    assert fault == PageFault(
        device=faulting.id,
        pasid=None,
        group=3,
        access=access,
        address=0xABCD000,
        length=0,
        cookie=fault.cookie,
        last=True,
    )
    assert not faults.wait(0)
    with pytest.raises(vfiocore.InvalidArgument, match="no group of faults waits"):
        faults.respond(fault.cookie + 1)
    faults.respond(fault)
    with pytest.raises(vfiocore.InvalidArgument, match="no group of faults waits"):
        faults.respond(fault)  # it is answered once


def test_faults_of_several_groups(faulting: mock.MockDevice, faults: FaultQueue) -> None:
    for group in range(5):
        faulting.fault(group * PAGE, group=group)
    first = faults.read(2)
    rest = faults.read()
    assert [fault.group for fault in first] == [0, 1]
    assert [fault.group for fault in rest] == [2, 3, 4]
    cookies = [fault.cookie for fault in first + rest]
    assert len(set(cookies)) == 5
    for number, cookie in enumerate(reversed(cookies)):
        faults.respond(cookie, success=bool(number % 2))


def test_a_fault_queue_in_use_is_kept(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, faults: FaultQueue
) -> None:
    table = iommufd.hwpt(device.id, ioas, faults=faults)
    with pytest.raises(vfiocore.DeviceBusy, match="queue's descriptor"):
        iommufd.destroy(faults.id)
    table.close()
    faults.close()
    faults.close()
    assert faults.closed
    with pytest.raises(vfiocore.ClosedError):
        faults.read()


# vIOMMUs.


def test_a_viommu_with_data_and_memory(
    iommufd: IommuFd, device: mock.MockDevice, parent: Hwpt
) -> None:
    data = bytearray(struct.pack("=2I2Q", 0x1234, 0, 0, 0))
    with iommufd.viommu(device.id, parent, mock.VIOMMU_TYPE, data) as viommu:
        _, echo, offset, length = struct.unpack("=2I2Q", data)
        assert echo == 0x1234
        with mmap.mmap(iommufd.fileno(), length, offset=offset) as shared:
            assert int.from_bytes(shared[:4], "little") == 0x1234
            with pytest.raises(vfiocore.DeviceBusy, match="in use"):
                viommu.close()


def test_a_viommu_that_is_refused(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, parent: Hwpt
) -> None:
    for kind in (0, 1, 99):
        with pytest.raises(vfiocore.Unsupported, match="no vIOMMU of that type"):
            iommufd.viommu(device.id, parent, kind)
    with (
        iommufd.hwpt(device.id, ioas) as plain,
        pytest.raises(vfiocore.InvalidArgument, match="no nest parent"),
    ):
        iommufd.viommu(device.id, plain, mock.VIOMMU_TYPE)
    with pytest.raises(vfiocore.VfioError, match="no such device or page table"):
        iommufd.viommu(device.id, ioas.id, mock.VIOMMU_TYPE)


def test_a_virtual_device_and_its_caches(
    iommufd: IommuFd, device: mock.MockDevice, viommu: Viommu
) -> None:
    with viommu.vdevice(device.id, 0x99) as vdevice:
        with pytest.raises(vfiocore.DeviceBusy, match="has a vDEVICE already"):
            viommu.vdevice(device.id, 0x98)
        assert viommu.invalidate(mock.INVALIDATE_VIOMMU, []) == 0
        assert viommu.invalidate(mock.INVALIDATE_VIOMMU, [struct.pack("=3I", 0, 0x99, 1)]) == 1
        state = [device.cache_is(n, mock.CACHE_FILL) for n in range(mock.CACHE_ENTRIES)]
        assert state == [True, False, True, True]
        with pytest.raises(vfiocore.InvalidArgument, match="entry 0 of 1"):
            viommu.invalidate(mock.INVALIDATE_VIOMMU, [struct.pack("=3I", 0, 0x98, 1)])
        with pytest.raises(vfiocore.DeviceBusy, match="in use"):
            viommu.close()
        assert repr(vdevice) == f"<Vdevice {vdevice.id}>"
    with pytest.raises(vfiocore.VfioError, match="no such vIOMMU or device"):
        viommu.vdevice(12345, 1)
    # Nested page tables may hang on the vIOMMU, too.
    with iommufd.hwpt(device.id, viommu, kind=mock.HWPT_DATA, data=nested_data(3)) as nested:
        assert mock.tlb_is(iommufd, nested, 0, 3)


def test_events_and_their_loss(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, viommu: Viommu
) -> None:
    with (
        viommu.vdevice(device.id, 0x99),
        iommufd.hwpt(device.id, viommu, kind=mock.HWPT_DATA, data=nested_data(0)) as nested,
        viommu.event_queue(mock.EVENT_TYPE, depth=2, data_size=4) as events,
    ):
        device.attach(nested)
        data = struct.pack("=I", 0x99)
        assert events.read() == []
        assert not events.wait(0)
        device.event()
        assert events.wait(60)
        (event,) = events.read()
        assert (event.sequence, event.lost, event.data) == (0, 0, data)
        for _ in range(4):  # two more than it holds
            device.event()
        one, two, word = events.read()
        assert [(e.sequence, e.lost, e.data) for e in (one, two)] == [(1, 0, data), (2, 0, data)]
        assert (word.lost, word.data) == (2, b"")
        device.event()
        (event,) = events.read()
        assert (event.sequence, event.lost) == (5, 0)
        for _ in range(3):
            device.event()
        assert [event.sequence for event in events.read(1)] == [6]
        device.event()
        # The word of the loss is gone now, and the gap tells of it.
        assert [(e.sequence, e.lost) for e in events.read()] == [(7, 0), (9, 1)]
        with pytest.raises(vfiocore.DeviceBusy, match="queue for events of that type already"):
            viommu.event_queue(mock.EVENT_TYPE, data_size=4)
        device.attach(ioas)


def test_an_event_that_is_larger_than_expected(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, viommu: Viommu
) -> None:
    with (
        viommu.vdevice(device.id, 0x99),
        iommufd.hwpt(device.id, viommu, kind=mock.HWPT_DATA, data=nested_data(0)) as nested,
        viommu.event_queue(mock.EVENT_TYPE, data_size=2) as events,
    ):
        device.attach(nested)
        device.event()
        with pytest.raises(vfiocore.InvalidArgument, match="more than 2 bytes"):
            events.read(1)
        device.attach(ioas)


def test_event_queues_that_are_refused(viommu: Viommu) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match="give the data_size"):
        viommu.event_queue(mock.EVENT_TYPE)
    with pytest.raises(vfiocore.InvalidArgument, match="the depth is"):
        viommu.event_queue(mock.EVENT_TYPE, depth=0, data_size=4)
    with pytest.raises(vfiocore.Unsupported, match="no such type of events"):
        viommu.event_queue(0, data_size=4)


def test_hardware_queues(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice, viommu: Viommu
) -> None:
    ioas.map(memory(4), iova=IOVA)
    with pytest.raises(vfiocore.InvalidArgument, match="lower indices come first"):
        viommu.hw_queue(mock.HW_QUEUE_TYPE, 1, IOVA, PAGE)
    with viommu.hw_queue(mock.HW_QUEUE_TYPE, 0, IOVA, PAGE) as first:
        with pytest.raises(vfiocore.DeviceBusy, match="that index already"):
            viommu.hw_queue(mock.HW_QUEUE_TYPE, 0, IOVA, PAGE)
        with viommu.hw_queue(mock.HW_QUEUE_TYPE, 1, IOVA + PAGE + 16, 64):
            with pytest.raises(vfiocore.DeviceBusy):
                first.close()  # the second depends on it
            with pytest.raises(vfiocore.DeviceBusy, match="hardware queue lies there"):
                ioas.unmap(IOVA, 4 * PAGE)
    for index, iova, length, what in (
        (mock.HW_QUEUES, IOVA, PAGE, vfiocore.InvalidArgument),
        (0, IOVA, 0, vfiocore.InvalidArgument),
        (0, 2**64 - 1, PAGE, vfiocore.IovaError),
        (0, IOVA + 64 * PAGE, PAGE, vfiocore.IovaError),
    ):
        with pytest.raises(what):
            viommu.hw_queue(mock.HW_QUEUE_TYPE, index, iova, length)
    with pytest.raises(vfiocore.Unsupported, match="no hardware queues of that type"):
        viommu.hw_queue(1, 0, IOVA, PAGE)
    assert ioas.unmap(IOVA, 4 * PAGE) == 4 * PAGE


# All or nothing.


def test_each_system_call_failing_in_turn() -> None:
    program = Path(__file__).parents[2] / "build/tests/unit/unit-iommufd"
    done = subprocess.run([str(program), "real"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "points of failure" in done.stderr


def test_closing_in_the_right_order(iommufd: IommuFd, ioas: Ioas) -> None:
    with mock.MockDevice(iommufd, ioas) as device:
        parent = iommufd.hwpt(device.id, ioas, nest_parent=True)
        viommu = iommufd.viommu(device.id, parent, mock.VIOMMU_TYPE)
        viommu.vdevice(device.id, 7)
        viommu.event_queue(mock.EVENT_TYPE, data_size=4)
        iommufd.hwpt(device.id, viommu, kind=mock.HWPT_DATA, data=nested_data(1))
        # The device itself stands at an automatic page table of the address space.
        with pytest.raises(vfiocore.DeviceBusy, match=f"object {ioas.id}"):
            iommufd.close()
        assert viommu.closed
        assert not ioas.closed
        assert not iommufd.closed
    iommufd.close()
    assert ioas.closed
