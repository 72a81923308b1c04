# SPDX-License-Identifier: MIT
"""Address spaces of an iommufd. Public through vfiocore.iommufd."""

from __future__ import annotations

from ctypes import addressof, byref, c_uint64

from .._native.call import check, unsigned
from .._native.enums import IommuFdOption, MapFlag
from .._native.loader import lib
from .._native.structs import IovaRange
from .._record import Record
from ..mapping import export, map_flags
from .objects import IommuFdObject, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from . import IommuFd

_ALL = 2**64 - 1


class PhysicalRange(Record):
    """Physically contiguous memory: where it is, and how many bytes."""

    address: int
    length: int


class Ioas(IommuFdObject):
    """An address space of an iommufd: what is mapped, and at which IOVA."""

    kind = "ioas"

    def __init__(self, iommufd: IommuFd, identity: int, *, own: bool = True) -> None:
        super().__init__(iommufd, identity, own=own)
        self._exports: dict[int, object] = {}  # of memory that is mapped, by IOVA

    def close(self) -> None:
        """Unmap all and destroy it; a second call does nothing.

        Raises:
            DeviceBusy: a page table or a device uses it.
        """
        super().close()
        self._exports.clear()

    def _ranges(self) -> tuple[list[tuple[int, int]], int]:
        fd, count, alignment = self._native(), 16, c_uint64()
        while True:
            ranges = (IovaRange * count)()
            there = check(lib.vfc_iommufd_ioas_ranges(fd, self.id, ranges, count, byref(alignment)))
            if there <= count:
                return [(r.first, r.last) for r in ranges[:there]], alignment.value
            count = there

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The IOVAs that can be mapped: first and last of each window, ascending."""
        return self._ranges()[0]

    @property
    def alignment(self) -> int:
        """What an IOVA and a length must be multiples of."""
        return self._ranges()[1]

    def allow(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Promise that these IOVAs, first and last, stay usable; in place of those before.

        A device that would narrow them cannot be attached, and IOVAs that the kernel chooses lie
        within.

        Raises:
            IovaError: one of them is not usable now.

        Source: vfc_iommufd_ioas_allow() in vfiocore/iommufd.h.
        """
        pairs = [(unsigned(a, 64, "IOVA"), unsigned(b, 64, "IOVA")) for a, b in ranges]
        array = (IovaRange * len(pairs))(*(IovaRange(*pair) for pair in pairs))
        check(lib.vfc_iommufd_ioas_allow(self._native(), self.id, array, len(pairs)))

    def _map(self, function: Any, *memory: int, iova: int | None, read: bool, write: bool) -> int:
        flags = map_flags(read, write)
        where = c_uint64(unsigned(iova or 0, 64, "IOVA"))
        if iova is not None:
            flags |= MapFlag.FIXED
        check(function(self._native(), self.id, *memory, flags, byref(where)))
        return where.value

    def map(
        self, buffer: Any, *, iova: int | None = None, read: bool = True, write: bool = True
    ) -> int:
        """Map a writable, C-contiguous buffer, which then stays exported until it is unmapped.

        Args:
            iova: map exactly there; by default the kernel chooses.
            read, write: what devices may do.

        Returns:
            The IOVA.

        Raises:
            IovaError: reserved, or mapped already.
            Misaligned, BadMemory, OutOfIova, MemlockLimit.

        Source: vfc_iommufd_ioas_map() in vfiocore/iommufd.h.
        """
        memory = export(buffer)
        try:
            where = self.map_address(
                addressof(memory), len(memory), iova=iova, read=read, write=write
            )
            self._exports[where] = memory
        finally:
            del memory  # or the traceback of a failure would hold the buffer
        return where

    def map_address(
        self,
        address: int,
        length: int,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
    ) -> int:
        """Like :meth:`map`, for memory that the caller knows by address and keeps mapped."""
        memory = unsigned(address, 64, "the address"), unsigned(length, 64, "the length")
        return self._map(lib.vfc_iommufd_ioas_map, *memory, iova=iova, read=read, write=write)

    def map_file(
        self,
        file: int,
        length: int,
        *,
        start: int = 0,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
    ) -> int:
        """Map ``length`` bytes of a memfd, or of a VFIO device's dma-buf, from ``start`` on.

        Args:
            file: the descriptor; it may be closed afterwards.

        Source: vfc_iommufd_ioas_map_file() in vfiocore/iommufd.h.
        """
        memory = file, unsigned(start, 64, "the start"), unsigned(length, 64, "the length")
        return self._map(lib.vfc_iommufd_ioas_map_file, *memory, iova=iova, read=read, write=write)

    def copy(
        self,
        source: Ioas | int,
        source_iova: int,
        length: int,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
    ) -> int:
        """Map here, too, what ``source`` has mapped there; the memory is pinned once only.

        Source: vfc_iommufd_ioas_copy() in vfiocore/iommufd.h.
        """
        range_ = unsigned(source_iova, 64, "IOVA"), unsigned(length, 64, "the length")
        memory = identity(source), *range_
        return self._map(lib.vfc_iommufd_ioas_copy, *memory, iova=iova, read=read, write=write)

    def unmap(self, iova: int, length: int) -> int:
        """Unmap all mappings that lie in a range. Return: bytes unmapped.

        Raises:
            IovaError: nothing is mapped there, or a mapping only in part.
            DeviceBusy: a hardware queue lies there.

        Source: vfc_iommufd_ioas_unmap() in vfiocore/iommufd.h.
        """
        range_ = unsigned(iova, 64, "IOVA"), unsigned(length, 64, "the length")
        count: int = check(lib.vfc_iommufd_ioas_unmap(self._native(), self.id, *range_))
        for key in [key for key in self._exports if iova <= key < iova + length]:
            del self._exports[key]
        return count

    def unmap_all(self) -> int:
        """Unmap everything. Return: bytes unmapped."""
        return self.unmap(0, _ALL)

    def physical(self, iova: int, length: int) -> PhysicalRange:
        """The physical address behind an IOVA, for devices without an IOMMU; as root only.

        Args:
            length: look at no more bytes than these.

        Source: vfc_iommufd_ioas_physical() in vfiocore/iommufd.h.
        """
        count, address = c_uint64(unsigned(length, 64, "the length")), c_uint64()
        where = unsigned(iova, 64, "IOVA")
        fd = self._native()
        check(lib.vfc_iommufd_ioas_physical(fd, self.id, where, byref(count), byref(address)))
        return PhysicalRange(address.value, count.value)

    @property
    def huge_pages(self) -> bool:
        """Whether pages that are contiguous are mapped together; off: each by itself.

        It cannot be turned off when memory is mapped for a device (:class:`InvalidArgument`).
        """
        return bool(self._parent()._option(IommuFdOption.HUGE_PAGES, self.id))

    @huge_pages.setter
    def huge_pages(self, on: bool) -> None:
        self._parent()._set_option(IommuFdOption.HUGE_PAGES, self.id, int(on))
