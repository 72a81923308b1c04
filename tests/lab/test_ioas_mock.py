# SPDX-License-Identifier: MIT
"""Address spaces of iommufd, and accesses of them, on the kernel's mock IOMMU."""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterator

import iommufd_mock as mock
import pytest

import vfiocore
from vfiocore.iommufd import Ioas, IommuFd

pytestmark = pytest.mark.machine("iommufd")

IOVA = mock.IOVA_FIRST
PAGE = mmap.PAGESIZE


@pytest.fixture
def device(iommufd: IommuFd, ioas: Ioas) -> Iterator[mock.MockDevice]:
    with mock.MockDevice(iommufd, ioas) as made:
        yield made


def memory(pages: int = 1) -> mmap.mmap:
    return mmap.mmap(-1, pages * PAGE)


def test_windows_of_the_device(ioas: Ioas, device: mock.MockDevice) -> None:
    assert ioas.ranges == [(mock.IOVA_FIRST, mock.IOVA_LAST)]
    assert ioas.alignment == mock.PAGE


def test_many_windows(iommufd: IommuFd, ioas: Ioas) -> None:
    for n in range(40):
        mock.reserve(iommufd, ioas, n * 0x100000, 0x1000)
    ranges = ioas.ranges
    assert len(ranges) == 40
    assert ranges[3] == (3 * 0x100000 + 0x1000, 4 * 0x100000 - 1)
    assert ranges[-1] == (39 * 0x100000 + 0x1000, 2**64 - 1)


def test_allowed_iovas(iommufd: IommuFd, ioas: Ioas) -> None:
    ioas.allow([(0x1000, 0x1FFF), (0x8000_0000, 0x8000_FFFF)])
    buffer = memory()
    with pytest.raises(OSError, match=r".") as caught:
        mock.MockDevice(iommufd, ioas)  # which does not have the first
    assert caught.value.errno == errno.EADDRINUSE
    ioas.allow([(IOVA + 0x10000, IOVA + 0x1FFFF)])
    with mock.MockDevice(iommufd, ioas):
        assert IOVA + 0x10000 <= ioas.map(buffer) <= IOVA + 0x1F000
        with pytest.raises(vfiocore.IovaError, match="attached device cannot use"):
            ioas.allow([(0, PAGE)])
        for bad in ([(5, 5)], [(6, 5)], [(IOVA, IOVA + 9), (IOVA + 5, IOVA + 20)]):
            with pytest.raises(vfiocore.InvalidArgument, match=r"ends where it begins|overlaps"):
                ioas.allow(bad)
        ioas.allow([])
        ioas.unmap_all()


def test_mapping_what_a_device_reaches(
    iommufd: IommuFd, ioas: Ioas, device: mock.MockDevice
) -> None:
    buffer = memory(4)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    iova = ioas.map(buffer)
    assert mock.maps(iommufd, device.page_table, iova, 4 * PAGE, address)
    with pytest.raises(vfiocore.IovaError, match="mapped there already"):
        ioas.map(memory(), iova=iova)
    with pytest.raises(vfiocore.IovaError, match="not within the IOVAs"):
        ioas.map(memory(), iova=0)
    with pytest.raises(vfiocore.Misaligned, match="multiples of 2048 bytes"):
        ioas.map(memory(), iova=IOVA + 512)
    with pytest.raises(vfiocore.IovaError, match="only part of a mapping"):
        ioas.unmap(iova, PAGE)
    other = iommufd.ioas()
    with mock.MockDevice(iommufd, other) as second:
        copied = other.copy(ioas, iova + PAGE, 2 * PAGE)
        assert mock.maps(iommufd, second.page_table, copied, 2 * PAGE, address + PAGE)
        assert ioas.unmap(iova, 4 * PAGE) == 4 * PAGE
        # The memory stays pinned for the copy.
        assert mock.maps(iommufd, second.page_table, copied, 2 * PAGE, address + PAGE)
        assert other.unmap_all() == 2 * PAGE
        assert not mock.maps(iommufd, second.page_table, copied, 2 * PAGE, address + PAGE)


def test_unmapping_a_superset(ioas: Ioas) -> None:
    first, second = memory(), memory(2)
    ioas.map(first, iova=0x10000)
    ioas.map(second, iova=0x20000)
    with pytest.raises(BufferError):
        first.close()  # a device may still write there
    assert ioas.unmap(0, 0x100000) == 3 * PAGE
    first.close()
    second.close()
    with pytest.raises(vfiocore.IovaError, match="nothing is mapped there"):
        ioas.unmap(0, 0x100000)
    assert ioas.unmap_all() == 0


def test_pages_in_small_batches(iommufd: IommuFd, ioas: Ioas) -> None:
    buffer = memory(64)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    mock.limit_batches(iommufd, 48)
    try:
        iova = ioas.map(buffer, iova=IOVA)
        with mock.MockDevice(iommufd, ioas) as device:
            assert mock.maps(iommufd, device.page_table, iova, 64 * PAGE, address)
    finally:
        mock.limit_batches(iommufd, 65536)
    assert ioas.unmap_all() == 64 * PAGE


# Access of devices without an IOMMU of their own.


def test_access_sees_what_is_mapped(iommufd: IommuFd, ioas: Ioas) -> None:
    buffer = memory(2)
    buffer[PAGE - 2 : PAGE + 2] = b"over"
    ioas.map(buffer, iova=0x5000)
    readable = memory()
    ioas.map(readable, iova=0x9000, write=False)
    with mock.Access(iommufd, ioas) as access:
        assert access.read(0x5000 + PAGE - 2, 4) == b"over"
        access.write(0x5003, b"written")
        assert buffer[3:10] == b"written"
        access.read(0x9000, 16)
        for refused, code in (
            (lambda: access.read(0x7000, 1), errno.ENOENT),
            (lambda: access.read(0x6FF0, 0x20), errno.ENOENT),
            (lambda: access.write(0x9000, b"no"), errno.EPERM),
        ):
            with pytest.raises(OSError, match=r".") as caught:
                refused()
            assert caught.value.errno == code
        with pytest.raises(vfiocore.DeviceBusy, match="in use"):
            ioas.close()
    assert ioas.unmap_all() == 3 * PAGE


def test_access_that_pins_is_told_of_an_unmap(iommufd: IommuFd, ioas: Ioas) -> None:
    buffer = memory(4)
    ioas.map(buffer, iova=0x10000)
    with mock.Access(iommufd, ioas, pins=True) as access:
        access.unpin(access.pin(0x10000, PAGE))
        access.pin(0x11000, 2 * PAGE)
        # The mock lets go of it when it is told, and so the unmap ends.
        assert ioas.unmap(0x10000, 4 * PAGE) == 4 * PAGE
        with pytest.raises(OSError, match=r".") as caught:
            access.pin(0x10000, PAGE)
        assert caught.value.errno == errno.ENOENT
