# SPDX-License-Identifier: MIT
"""Which pages of mapped memory devices wrote to."""

from __future__ import annotations

import sys
from ctypes import c_uint64

from ._native.call import Closing, check
from ._native.loader import lib
from .errors import closed

TYPE_CHECKING = False
if TYPE_CHECKING:

    from .dma import DmaBuffer
    from .iommu import Iommu
    from .mapping import Mapping, MappingInfo

    Mapped = Mapping | MappingInfo | DmaBuffer

__all__ = ["DirtyTracking"]


class DirtyTracking(Closing):
    """The noting of written pages, from :meth:`Iommu.dirty_tracking`, until it is closed.

    Pages that the kernel cannot tell apart are reported as written: by ``group`` all memory of a
    device behind an IOMMU, always. Context manager.

    Attributes:
        page: bytes that are noted as one: the IOMMU's smallest page.
    """

    def __init__(self, iommu: Iommu) -> None:
        check(lib.vfc_iommu_dirty_start(iommu._native()))
        self._iommu: Iommu | None = iommu
        self.page = iommu.page_sizes[0]

    def read_bitmap(self, mapping: Mapped) -> bytes:
        """What :meth:`read` tells, as a bit a page: page n is bit n % 8 of byte n // 8."""
        if self._iommu is None:
            raise closed("dirty tracking")
        iova, length = _range(mapping)
        pages = length // self.page
        bitmap = (c_uint64 * ((pages + 63) // 64))()
        handle = self._iommu._native()
        check(lib.vfc_iommu_dirty_read(handle, iova, length, self.page, bitmap))
        if sys.byteorder == "big":
            for place, word in enumerate(bitmap):
                bitmap[place] = int.from_bytes(word.to_bytes(8, "little"), "big")
        return bytes(bitmap)[: (pages + 7) // 8]

    def read(self, mapping: Mapped) -> list[int]:
        """The pages written since they were last read, or since tracking began: offsets in the
        mapping, bytes, ascending. Reading forgets them.

        Args:
            mapping: a whole one: a :class:`Mapping`, a :class:`DmaBuffer`, or what
                :meth:`Iommu.find_iova` found.

        Raises:
            IovaError: it is not mapped.
            VfioError: the kernel failed; some may be forgotten, so take all for written.

        Source: vfc_iommu_dirty_read() in vfiocore/iommu.h.
        """
        bits = self.read_bitmap(mapping)
        return [
            (8 * place + bit) * self.page
            for place, byte in enumerate(bits)
            if byte
            for bit in range(8)
            if byte >> bit & 1
        ]

    def close(self) -> None:
        """Note no more. A second call does nothing."""
        if self._iommu is not None and not self._iommu.closed:
            check(lib.vfc_iommu_dirty_stop(self._iommu._native()))
        self._iommu = None

    def _refuse_closed(self) -> None:
        if self._iommu is None:
            raise closed("dirty tracking")

    def __repr__(self) -> str:
        return f"<DirtyTracking{' closed' if self._iommu is None else ''}>"


def _range(mapping: Mapped) -> tuple[int, int]:
    from .dma import DmaBuffer
    from .mapping import Mapping, MappingInfo

    if isinstance(mapping, DmaBuffer):
        return mapping.iova, mapping.mapped
    if isinstance(mapping, Mapping | MappingInfo):
        return mapping.iova, mapping.length
    raise TypeError(
        f"what is asked for is a Mapping, a MappingInfo or a DmaBuffer, not "
        f"{type(mapping).__name__}"
    )
