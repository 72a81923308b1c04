# SPDX-License-Identifier: MIT
"""What an IOMMU address space offers, and what is mapped in it."""

from __future__ import annotations

from ctypes import byref

from ._native.call import NativeObject, check
from ._native.enums import IommuFlag
from ._native.loader import lib
from ._native.structs import IommuInfo, IovaRange

__all__ = ["UNLIMITED", "SpaceInfo"]

UNLIMITED = 2**64 - 1


class SpaceInfo(NativeObject):
    """The part of :class:`Iommu` that tells of it."""

    def _info(self) -> IommuInfo:
        info = IommuInfo.sized()
        check(lib.vfc_iommu_info(self._native(), byref(info)))
        return info

    @property
    def transport(self) -> str:
        """How the kernel is reached: ``"group"``, ``"fake"``."""
        name: bytes = self._info().transport
        return name.decode()

    @property
    def page_sizes(self) -> list[int]:
        """The IOMMU's page sizes in bytes, ascending; empty before the first device."""
        bits: int = self._info().page_sizes
        return [1 << bit for bit in range(64) if bits >> bit & 1]

    @property
    def physical(self) -> bool:
        """Whether no IOMMU translates: IOVAs are physical addresses, and nothing keeps the devices
        from the rest of memory. Known after the first device."""
        return bool(self._info().flags & IommuFlag.PHYSICAL)

    @property
    def pinned(self) -> bool:
        """Whether what is mapped stays where it is in memory. ``noiommu-group`` can only lock it: a
        page that is no huge one may be moved, and a device then writes to what is somebody else's
        by now. ``vfio doctor`` tells what forbids it. Known after the first device."""
        return not self._info().flags & IommuFlag.UNPINNED

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The IOVA windows that all attached devices can use, as (first, last), ascending. The
        last address belongs to it. Reserved ranges are left out already."""
        count = check(lib.vfc_iommu_ranges(self._native(), None, 0))
        ranges = (IovaRange * count)()
        count = min(count, check(lib.vfc_iommu_ranges(self._native(), ranges, count)))
        return [(window.first, window.last) for window in ranges[:count]]

    @property
    def mappings(self) -> int:
        """Mappings live now, the library's own (of NICs) among them."""
        return int(self._info().mappings)

    @property
    def mapped(self) -> int:
        """Bytes mapped now."""
        return int(self._info().mapped)

    @property
    def entries_left(self) -> int | None:
        """Mappings that the kernel still takes; None when it does not say."""
        left: int = self._info().entries_left
        return None if left == UNLIMITED else left

    @property
    def devices(self) -> int:
        """Devices attached now."""
        return int(self._info().devices)
