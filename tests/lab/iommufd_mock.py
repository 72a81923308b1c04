# SPDX-License-Identifier: MIT
"""Mock devices, and the mock IOMMU behind them, of a kernel with CONFIG_IOMMUFD_TEST.

They do what no emulated IOMMU does: nest page tables, note what is written, report page faults and
a vIOMMU's events. Everything goes through one request of the iommufd, as the kernel that is tested
has it (drivers/iommu/iommufd/iommufd_test.h): it is no interface that anybody promises.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from types import TracebackType
from typing import Self

from vfiocore.iommufd import Hwpt, Ioas, IommuFd

_REQUEST = (ord(";") << 8) | 0xA0  # _IO(';', 0xa0) on x86

# What an object of the mock IOMMU is called in the general requests.
HW_TYPE = 0xFEEDBEEF
HW_REGISTER = 0xDEADBEEF
HWPT_DATA = 0xDEAD
INVALIDATE_HWPT = INVALIDATE_VIOMMU = 0xDEADBEEF
VIOMMU_TYPE = 0xDEADBEEF
EVENT_TYPE = 0xBEEFBEEF
HW_QUEUE_TYPE = 0xDEADBEEF
HW_QUEUES = 2

PAGE = 2048  # of the mock IOMMU
IOVA_FIRST, IOVA_LAST = 1 << 24, (1 << 31) - 1
PASID_BITS = 20
CACHE_FILL, CACHE_ENTRIES = 0xBADDAD, 4
TLB_ENTRIES = 4

NO_DIRTY, PASID = 1 << 0, 1 << 2  # flags of a device
_WRITE = 1 << 0

(
    _ADD_RESERVED,
    _DOMAIN,
    _CHECK_MAP,
    _CHECK_REFERENCES,
    _ACCESS_CREATE,
    _ACCESS_UNPIN,
    _ACCESS_PIN,
    _ACCESS_COPY,
    _BATCH_LIMIT,
    _REPLACE,
    _ACCESS_REPLACE,
    _DOMAIN_FLAGS,
    _DIRTY,
    _CHECK_TLB,
    _FAULT,
    _CHECK_CACHE,
    _EVENT,
    _PASID_ATTACH,
    _PASID_REPLACE,
    _PASID_DETACH,
    _PASID_CHECK,
) = range(1, 22)


def _command(iommufd: IommuFd, operation: int, identity: int, form: str, *values: int) -> tuple:
    """Run one: `form` and `values` are its part of the union; what it is afterwards comes back."""
    union = struct.pack("@" + form, *values).ljust(48, b"\0")
    command = bytearray(struct.pack("@4I", 72, operation, identity, 0) + union + bytes(8))
    fcntl.ioctl(iommufd.fileno(), _REQUEST, command)
    return struct.unpack_from("@" + form, command, 16)


def _holds(iommufd: IommuFd, operation: int, identity: int, form: str, *values: int) -> bool:
    """Whether one that looks whether something is so says yes: EINVAL is no."""
    try:
        _command(iommufd, operation, identity, form, *values)
    except OSError as error:
        if error.errno != 22:
            raise
        return False
    return True


def tlb_is(iommufd: IommuFd, nested: Hwpt, entry: int, value: int) -> bool:
    """Whether an entry of a nested page table's TLB has that value; 0: it was invalidated."""
    return _holds(iommufd, _CHECK_TLB, nested.id, "2I", entry, value)


def write_pages(iommufd: IommuFd, hwpt: Hwpt, iova: int, pages: list[int], size: int = PAGE) -> int:
    """Have the pages of these numbers, from `iova` on, written as if by a device."""
    count = (max(pages) // 64 + 1) * 64
    bitmap = (ctypes.c_uint64 * (count // 64))()
    for page in pages:
        bitmap[page // 64] |= 1 << page % 64
    values = (0, iova, count * size, size, ctypes.addressof(bitmap), 0)
    return _command(iommufd, _DIRTY, hwpt.id, "I4x5Q", *values)[-1]


def reserve(iommufd: IommuFd, ioas: Ioas, first: int, length: int) -> None:
    """Take IOVAs away, as a device does that has them reserved."""
    _command(iommufd, _ADD_RESERVED, ioas.id, "2Q", first, length)


def limit_batches(iommufd: IommuFd, length: int) -> None:
    """The kernel gathers pages in so many bytes at a time; 65536 when it starts."""
    _command(iommufd, _BATCH_LIMIT, 0, "I", length)


def maps(iommufd: IommuFd, hwpt: int, iova: int, length: int, address: int) -> bool:
    """Whether a page table has the memory at `address` at `iova`."""
    return _holds(iommufd, _CHECK_MAP, hwpt, "3Q", iova, length, address)


class _Closing:
    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class MockDevice(_Closing):
    """A device, attached to an address space from the beginning. Context manager.

    Attributes:
        id: its id in the iommufd, as of a device that was bound.
        page_table: the one it was attached to at first.
    """

    def __init__(self, iommufd: IommuFd, ioas: Ioas, flags: int = 0) -> None:
        self._iommufd = iommufd
        form = (0, 0, 0, flags)
        answer = _command(iommufd, _DOMAIN_FLAGS, ioas.id, "4I", *form)
        self._self, self.page_table, self.id = answer[:3]

    def attach(self, page_table: Hwpt | Ioas) -> None:
        _command(self._iommufd, _REPLACE, self._self, "I", page_table.id)

    def attach_pasid(self, pasid: int, page_table: Hwpt | Ioas) -> None:
        _command(self._iommufd, _PASID_ATTACH, self._self, "2I", pasid, page_table.id)

    def detach_pasid(self, pasid: int) -> None:
        _command(self._iommufd, _PASID_DETACH, self._self, "I", pasid)

    def pasid_is_at(self, pasid: int, page_table: Hwpt | None) -> bool:
        table = page_table.id if page_table else 0
        return _holds(self._iommufd, _PASID_CHECK, self._self, "2I", pasid, table)

    def fault(self, address: int, *, pasid: int = 0, group: int = 0, access: int = 1) -> None:
        """Ask for a page that is not there."""
        values = self.id, pasid, group, access, address
        _command(self._iommufd, _FAULT, 0, "4IQ", *values)

    def event(self) -> None:
        """Have the vIOMMU report an event, whose data is the device's virtual id."""
        _command(self._iommufd, _EVENT, 0, "I", self.id)

    def cache_is(self, entry: int, value: int) -> bool:
        return _holds(self._iommufd, _CHECK_CACHE, self.id, "2I", entry, value)

    def close(self) -> None:
        self._iommufd.destroy(self._self)


class Access(_Closing):
    """What a device without an IOMMU of its own has, such as a mediated one. Context manager."""

    def __init__(self, iommufd: IommuFd, ioas: Ioas, *, pins: bool = False) -> None:
        self._iommufd = iommufd
        self._fd = _command(iommufd, _ACCESS_CREATE, ioas.id, "2I", 0, int(pins))[0]

    def _copy(self, iova: int, memory: ctypes.Array, flags: int) -> None:
        values = iova, len(memory), ctypes.addressof(memory), flags
        _command(self._iommufd, _ACCESS_COPY, self._fd, "3QI", *values)

    def read(self, iova: int, length: int) -> bytes:
        memory = (ctypes.c_char * length)()
        self._copy(iova, memory, 0)
        return memory.raw

    def write(self, iova: int, data: bytes) -> None:
        self._copy(iova, ctypes.create_string_buffer(data, len(data)), _WRITE)

    def pin(self, iova: int, length: int, *, write: bool = True) -> int:
        """Keep pages; the number of the pin, for :meth:`unpin`."""
        values = int(write), 0, iova, length, 0
        return _command(self._iommufd, _ACCESS_PIN, self._fd, "2I3Q", *values)[1]

    def unpin(self, number: int) -> None:
        _command(self._iommufd, _ACCESS_UNPIN, self._fd, "I", number)

    def close(self) -> None:
        os.close(self._fd)
