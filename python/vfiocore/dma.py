# SPDX-License-Identifier: MIT
"""DMA buffers: memory of Python's own, pinned and with an IOVA.

The memory is an anonymous ``mmap``, whose live exports the interpreter counts. So a view that is
still used keeps it mapped, and ``close()`` can refuse; a pointer cast by ctypes would outlive the
memory and fault.
"""

from __future__ import annotations

import mmap
from ctypes import addressof, c_char

from ._native.call import unsigned
from .errors import Reason, VfioError, closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self, overload

    from .iommu import Iommu

__all__ = ["DmaBuffer"]

# linux/mman.h
_MAP_HUGETLB, _MAP_HUGE_SHIFT = 0x40000, 26
_MIB2, _GIB = 2 << 20, 1 << 30


def _round_up(length: int, page: int) -> int:
    return (length + page - 1) & -page


def _memory(size: int, flags: int = 0) -> mmap.mmap:
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)


def _huge(size: int, page: int) -> mmap.mmap:
    """Huge pages: without an IOMMU memory is contiguous in one page only."""
    from errno import ENOMEM

    try:
        return _memory(size, _MAP_HUGETLB | (page.bit_length() - 1) << _MAP_HUGE_SHIFT)
    except OSError:
        hint = (
            f"not enough free huge pages of {page >> 10} KiB: reserve them "
            f"(/sys/kernel/mm/hugepages/hugepages-{page >> 10}kB/nr_hugepages)"
        )
        raise VfioError(
            ENOMEM, f"DMA buffer of {size} bytes: {hint}", length=size, hint=hint
        ) from None


def _address(memory: mmap.mmap) -> int:
    # The array is an export of the memory; it ends with this function.
    return addressof((c_char * len(memory)).from_buffer(memory))


def _refuse_exported(memory: mmap.mmap) -> None:
    """Raise ``BufferError`` when anybody holds a view of the memory.

    The interpreter's own count is not readable, but resize() looks at it before anything else;
    resizing to the size that it has is an mremap() that changes nothing.
    """
    try:
        memory.resize(len(memory))
    except BufferError:
        raise BufferError(
            "views of this DMA buffer are in use: release() them, or drop what holds them"
        ) from None


class DmaBuffer:
    """Zeroed memory that devices reach at ``iova``: from ``iommu.alloc(length)``.

    ``buffer[i]`` is a byte, ``buffer[a:b]`` a copy; assigning to either writes. ``view()`` is the
    memory itself, which numpy takes without a copy: ``numpy.frombuffer(buffer.view(), "<u4")``.

    The memory is not inherited by a child of fork(): copy-on-write would part the device's pages
    from the parent's. Context manager.

    Errors of the constructor: those of ``Iommu.map``; ``OSError`` when there is no memory.
    """

    def __init__(
        self,
        iommu: Iommu,
        length: int,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
        guard: int = 0,
    ) -> None:
        if length <= 0:
            raise invalid(f"a DMA buffer of {length} bytes")
        options = {
            "iova": iova,
            "read": read,
            "write": write,
            "align": align,
            "highest": highest,
            "guard": guard,
        }
        page = max([mmap.PAGESIZE, *iommu.page_sizes[:1]])
        unsigned(length, 64, "the length")
        if length > page and iommu.physical:
            page = _MIB2 if length <= _MIB2 else _GIB
        size = _round_up(length, page)
        memory = _huge(size, page) if page >= _MIB2 else _memory(size)
        try:
            memory.madvise(mmap.MADV_DONTFORK)
            # Python's own memory rather than an export of it is kept: exports are the user's.
            self._mapping = iommu._map(_address(memory), size, **options)
            self._mapping._keep = memory
        except BaseException:
            memory.close()
            raise
        self._memory: mmap.mmap | None = memory
        self._length = length

    def _live(self) -> mmap.mmap:
        if self._memory is None:
            raise closed("DMA buffer")
        return self._memory

    @property
    def iova(self) -> int:
        """Where devices find the first byte.

        Raises:
            ClosedError: it is closed, or its address space was emptied or closed under it.
        """
        self._live()
        if not self._mapping.mapped:
            raise closed("the mapping of this DMA buffer")
        return self._mapping.iova

    @property
    def address(self) -> int:
        """Of the first byte in this process."""
        self._live()
        return self._mapping.address

    @property
    def mapped(self) -> int:
        """Bytes that devices can reach: the length rounded up to pages; 0 once unmapped."""
        return self._mapping.length if self._mapping.mapped else 0

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._memory is None

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """The memory itself, as a writable ``memoryview`` of bytes, without a copy.

        While the view lives, ``close()`` raises ``BufferError``; ``view.release()`` ends it.

        Args:
            offset: bytes from the start.
            length: bytes; None: to the end.

        Raises:
            OutOfRange: it does not lie inside of the buffer.
        """
        memory = self._live()
        end = self._length if length is None else offset + length
        if not 0 <= offset <= end <= self._length:
            raise invalid(f"bytes {offset}..{end} of a DMA buffer of {self._length}", Reason.RANGE)
        with memoryview(memory) as whole:
            return whole[offset:end]

    def close(self) -> None:
        """Unmap and release. A second call does nothing.

        Raises:
            BufferError: views of the memory live; nothing has changed.
            VfioError: the kernel did not unmap; the memory is kept.
        """
        memory = self._memory
        if memory is None:
            return
        _refuse_exported(memory)
        self._memory = None  # from here on nobody gets a view
        try:
            self._mapping.close()
        except BaseException:
            self._memory = memory
            raise
        memory.close()

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: int) -> int: ...
        @overload
        def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        with self.view() as view:
            return bytes(view[key]) if isinstance(key, slice) else view[key]

    def __setitem__(self, key: int | slice, value: Any) -> None:
        with self.view() as view:
            view[key] = value

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._memory is None:
            return "<DmaBuffer closed>"
        where = f"iova {self._mapping.iova:#x}" if self._mapping.mapped else "unmapped"
        return f"<DmaBuffer {where}, {self._length:#x} bytes>"
