# SPDX-License-Identifier: MIT
"""Page tables of the hardware, and what it can do. Public through vfiocore.iommufd."""

from __future__ import annotations

from ctypes import byref, c_uint64

from .._native.call import check, unsigned
from .._native.enums import DirtyFlag, HwCapability, HwType
from .._native.loader import lib
from .._native.structs import Dirty
from .._record import Record
from .objects import Invalidated

# What the data of HwInfo is made of, by type (include/uapi/linux/iommufd.h): name, offset, bytes.
_REGISTERS: dict[int, list[tuple[str, int, int]]] = {
    HwType.INTEL_VTD: [("cap", 8, 8), ("ecap", 16, 8)],
    HwType.ARM_SMMUV3: [
        *((f"idr{n}", 8 + 4 * n, 4) for n in range(6)),
        ("iidr", 32, 4),
        ("aidr", 36, 4),
    ],
    HwType.AMD: [("efr", 0, 8), ("efr2", 8, 8)],
}


class HwInfo(Record):
    """The IOMMU behind a device.

    Attributes:
        type: whose registers ``data`` is; an int for one that this package does not know.
        capabilities: what it can do.
        pasid_bits: the width of a PASID; 0: the device has none.
        data: the kernel's ``struct iommu_hw_info_...`` of that type.
    """

    type: HwType | int
    capabilities: HwCapability
    pasid_bits: int
    data: bytes

    @property
    def registers(self) -> dict[str, int]:
        """The IOMMU's capability registers by name; empty for a type that has none known here."""
        from sys import byteorder

        places = _REGISTERS.get(int(self.type), [])
        if len(self.data) < max((at + size for _, at, size in places), default=0):
            return {}
        return {n: int.from_bytes(self.data[at : at + size], byteorder) for n, at, size in places}


class Hwpt(Invalidated):
    """A page table of the hardware, which devices attach to: from :meth:`IommuFd.hwpt`."""

    kind = "hwpt"

    def track(self, on: bool) -> None:
        """Start or stop keeping track of what devices write.

        Raises:
            Unsupported: it was not made with ``dirty_tracking``.

        Source: vfc_iommufd_hwpt_dirty() in vfiocore/iommufd.h.
        """
        check(lib.vfc_iommufd_hwpt_dirty(self._native(), self.id, on))

    def written(
        self, iova: int, length: int, *, page_size: int = 4096, clear: bool = True
    ) -> list[int]:
        """The IOVAs of the pages in a range that devices wrote since this was asked last.

        Args:
            iova, length: mapped all of it; multiples of ``page_size``.
            page_size: of what is told apart, a power of two.
            clear: False: tell the same again next time, as when the range is unmapped anyway.

        Source: vfc_iommufd_hwpt_dirty_bitmap() in vfiocore/iommufd.h.
        """
        range_ = Dirty.sized(
            flags=0 if clear else DirtyFlag.KEEP,
            iova=unsigned(iova, 64, "IOVA"),
            length=unsigned(length, 64, "the length"),
            page_size=unsigned(page_size, 64, "the page size"),
        )
        bitmap = (c_uint64 * (length // max(page_size, 1) // 64 + 1))()
        fd = self._native()
        check(lib.vfc_iommufd_hwpt_dirty_bitmap(fd, self.id, byref(range_), bitmap))
        return [
            iova + (n * 64 + bit) * page_size
            for n, word in enumerate(bitmap)
            if word
            for bit in range(64)
            if word >> bit & 1
        ]
