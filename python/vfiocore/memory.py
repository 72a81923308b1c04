# SPDX-License-Identifier: MIT
"""Mapping memory that is not the process's own: files, devices' BARs, what another space has."""

from __future__ import annotations

from ._native.call import NativeObject, fileno, native, unsigned
from ._native.loader import lib
from .errors import Reason, invalid
from .mapping import share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, Unpack

    from ._progress import Progress
    from .device import Device
    from .iommu import Iommu
    from .mapping import MapOptions, Mapping

    class File(Protocol):
        """What has a descriptor."""

        def fileno(self) -> int: ...


def _to_end(descriptor: int, offset: int) -> int:
    """Bytes of a file from an offset on."""
    import os

    try:
        size = os.fstat(descriptor).st_size
    except OSError:
        raise invalid(f"descriptor {descriptor} is not open", Reason.BAD_MEMORY) from None
    if offset >= size:
        text = f"descriptor {descriptor} has {size} bytes, and nothing at offset {offset:#x}"
        raise invalid(f"{text}: a memfd has what os.ftruncate() gave it", Reason.BAD_MEMORY)
    return size - offset


class OtherMemory(NativeObject):
    """The part of :class:`Iommu` that maps such memory."""

    def _map(
        self, function: Any, what: tuple[int, ...], length: int, address: int | None, **options: Any
    ) -> Mapping:
        raise NotImplementedError

    def map_file(
        self,
        file: int | File,
        offset: int = 0,
        length: int | None = None,
        *,
        progress: Progress | None = None,
        **options: Unpack[MapOptions],
    ) -> Mapping:
        """Let the attached devices reach a file's memory: a memfd (``os.memfd_create``) or a
        dma-buf. The file keeps it for as long as it is mapped, closed or not.

        Args:
            file: a descriptor, or what has a ``fileno()``.
            offset, length: bytes in the file, multiples of the IOMMU's smallest page; None: to its
                end.
            progress, options: as for :meth:`map`.

        Raises:
            BadMemory: this kind of file cannot be mapped, or it is shorter.
            Unsupported: the kernel cannot map files: a memfd by ``cdev`` and ``compat`` wants
                Linux 6.13, a dma-buf 6.19.

        Source: vfc_iommu_map_file() in vfiocore/iommu.h.
        """
        descriptor = fileno(file if not hasattr(file, "fileno") else file.fileno())
        offset = unsigned(offset, 64, "the offset")
        if length is None:
            length = _to_end(descriptor, offset)
        what = (descriptor, offset)
        return self._map(lib.vfc_iommu_map_file, what, length, None, progress=progress, **options)

    def map_region(
        self,
        device: Device,
        index: int,
        offset: int = 0,
        length: int | None = None,
        **options: Unpack[MapOptions],
    ) -> Mapping:
        """Let the attached devices reach a part of a BAR of ``device``, peer to peer. It is
        unmapped when ``device`` is closed.

        Args:
            index: of the region; BAR n has index n.
            offset, length: bytes in it, multiples of the IOMMU's smallest page; None: to its end.
            options: as for :meth:`map`.

        Raises:
            OutOfRange: no such region, or it ends before.
            Unsupported: this part of it cannot be mapped, or the kernel cannot hand it out: by
                ``cdev`` and ``compat`` it wants Linux 6.19.

        Source: vfc_iommu_map_region() in vfiocore/iommu.h.
        """
        from .device import Device

        handle = native(device, Device, "the device")
        region = device.region(index)
        offset = unsigned(offset, 64, "the offset")
        if length is None:
            if offset >= region.length:
                raise invalid(f"{region!r} has nothing at offset {offset:#x}", Reason.RANGE)
            length = region.length - offset
        what = (handle, region.index, offset)
        mapping = self._map(lib.vfc_iommu_map_region, what, length, None, **options)
        device._reached = [*(old for old in device._reached if old.mapped), mapping]
        return mapping

    def copy(self, source: Iommu, at: int, length: int, **options: Unpack[MapOptions]) -> Mapping:
        """Let the attached devices reach, too, what ``source`` has at IOVA ``at``: all or a part of
        one mapping. In a space beside ``source`` the memory is not pinned, nor counted, again.

        Raises:
            IovaError: that is not one mapping of ``source``.
            Unsupported: memory of a file, and the two do not share an iommufd: map the file here.

        Source: vfc_iommu_copy() in vfiocore/iommu.h.
        """
        from .iommu import Iommu

        handle = native(source, Iommu, "the source")
        at = unsigned(at, 64, "IOVA")
        found = source.find_iova(at)
        keep = None if found is None else source._kept(found.iova)
        address = None
        if found is not None and found.address is not None:
            address = found.address + (at - found.iova)
        mapping = self._map(lib.vfc_iommu_copy, (handle, at), length, address, **options)
        mapping._keep = share(keep)
        return mapping
