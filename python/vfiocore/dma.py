# SPDX-License-Identifier: MIT
"""DMA buffers: memory of Python's own, pinned and with an IOVA.

The memory is an anonymous ``mmap``, whose live exports the interpreter counts. So a view that is
still used keeps it mapped, and ``close()`` can refuse; a pointer cast by ctypes would outlive the
memory and fault.
"""

from __future__ import annotations

import mmap
from ctypes import addressof, c_char

from . import _fork
from ._native.call import Closing, integer, uncopied, unsigned
from .errors import HugePageWarning, Reason, VfioError, closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Unpack, overload

    from ._progress import Progress
    from .iommu import Iommu
    from .mapping import MapOptions

__all__ = ["DmaBuffer"]

# linux/mman.h: the size of a huge page is in the flags, as the power of two.
_MAP_HUGETLB = 0x40000
_MAP_HUGE_SHIFT = 26
_HUGE_PAGES = {1 << 30: 30, 2 << 20: 21}


def _round_up(length: int, page: int) -> int:
    return (length + page - 1) & -page


def _huge(length: int, page: int) -> mmap.mmap | None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_HUGETLB
    flags |= _HUGE_PAGES[page] << _MAP_HUGE_SHIFT
    try:
        return mmap.mmap(-1, _round_up(length, page), flags=flags)
    except (OSError, OverflowError):
        return None


def _too_few(page: int) -> str:
    kib = page >> 10
    return (
        f"not enough free huge pages of {kib} KiB: reserve them "
        f"(/sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages)"
    )


def _memory(length: int, page: int, smallest: int, *, must: bool) -> tuple[mmap.mmap, int]:
    """Memory for ``length`` bytes and the size of its pages: ``page``, or less unless it must."""
    for size in _HUGE_PAGES:
        if size > page:
            continue
        memory = _huge(length, size)
        if memory is not None:
            return memory, size
        if must:
            from errno import ENOMEM

            text = f"no IOMMU translates, and {_too_few(size)}"
            raise VfioError(ENOMEM, text, length=length, hint=text)
        from warnings import warn

        warn(HugePageWarning(_too_few(size)), stacklevel=4)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        return mmap.mmap(-1, _round_up(length, smallest), flags=flags), mmap.PAGESIZE
    except (OSError, OverflowError):
        from errno import ENOMEM

        text = f"the system has no {length} bytes of memory for a DMA buffer"
        raise VfioError(ENOMEM, text, length=length, hint=text) from None


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
            "views or copies (Iommu.copy) of this DMA buffer are in use: end them, or drop "
            "what holds them"
        ) from None
    except OSError:
        return  # the count was looked at; that huge pages are not resized is another matter


class DmaBuffer(Closing):
    """Zeroed memory that devices reach at ``iova``: from ``iommu.alloc(length)``.

    ``buffer[i]`` is a byte, ``buffer[a:b]`` a copy; assigning to either writes. ``view()`` is the
    memory itself, which numpy takes without a copy: ``numpy.frombuffer(buffer.view(), "<u4")``.

    The memory is not inherited by a child of fork(): copy-on-write would part the device's pages
    from the parent's. Context manager.

    Arguments of the constructor: those of ``Iommu.alloc``; errors: those of ``Iommu.map``, and
    ``OSError`` when there is no memory.
    """

    def __init__(
        self,
        iommu: Iommu,
        length: int,
        *,
        page: int = 0,
        progress: Progress | None = None,
        **options: Unpack[MapOptions],
    ) -> None:
        if (length := integer(length, "the length")) <= 0:
            raise invalid(f"a DMA buffer of {length} bytes")
        if page not in (0, mmap.PAGESIZE, *_HUGE_PAGES):
            raise invalid(f"pages of {page} bytes: there are {mmap.PAGESIZE}, 2 << 20 and 1 << 30")
        length = unsigned(length, 64, "the length")
        must = iommu.physical and length > mmap.PAGESIZE  # only a page is contiguous for sure
        if must and not page:
            page = min(size for size in _HUGE_PAGES if size >= length or size == 1 << 30)
        smallest = max([mmap.PAGESIZE, *iommu.page_sizes[:1]])
        memory, self._page = _memory(length, page, smallest, must=must)
        if self._page > mmap.PAGESIZE and not options.get("align") and options.get("iova") is None:
            options["align"] = self._page  # or the IOMMU could not use large pages
        try:
            memory.madvise(mmap.MADV_DONTFORK)
            # Python's own memory rather than an export of it is kept: exports are the user's.
            self._address = _address(memory)
            self._mapping = iommu._map_memory(
                self._address, len(memory), progress=progress, **options
            )
            self._mapping._keep = memory
        except BaseException:
            memory.close()
            raise
        self._memory: mmap.mmap | None = memory
        self._length = length
        self._forks = _fork.depth

    __reduce__ = uncopied

    def _live(self) -> mmap.mmap:
        if self._memory is None:
            raise closed("DMA buffer")
        _fork.refuse_child(self._forks, "DMA buffer")
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
        return self._address

    @property
    def mapped(self) -> int:
        """Bytes that devices can reach: the length rounded up to pages; 0 once unmapped."""
        return self._mapping.length if self._mapping.mapped else 0

    @property
    def page(self) -> int:
        """Size of the pages of memory behind it, bytes: may be less than was asked for."""
        return self._page

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
        offset = integer(offset, "the offset")
        length = None if length is None else integer(length, "the length")
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
        if self._memory is None:
            return
        memory = self._live()
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

    def _refuse_closed(self) -> None:
        self._live()

    def __repr__(self) -> str:
        if self._memory is None:
            return "<DmaBuffer closed>"
        where = f"iova {self._mapping.iova:#x}" if self._mapping.mapped else "unmapped"
        return f"<DmaBuffer {where}, {self._length:#x} bytes>"
