# SPDX-License-Identifier: MIT
"""An IOMMU address space: which memory devices may reach, and at which IOVA."""

from __future__ import annotations

from ctypes import addressof, byref, c_char, c_char_p, c_uint64, c_void_p, cast
from errno import ENOENT

from ._native.call import NativeObject, check, encoded, open_handle, unsigned
from ._native.enums import MapFlag
from ._native.loader import lib
from ._native.structs import IommuInfo, IommuOpts, IovaRange, MapOpts
from ._native.structs import Mapping as NativeMapping
from ._record import Record
from ._text import plural
from .errors import IovaError, closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from .dma import DmaBuffer

__all__ = ["Iommu", "Mapping", "MappingInfo"]

_UNLIMITED = 2**64 - 1


class MappingInfo(Record):
    """A live mapping: IOVA, length in bytes, address in this process, what the device may do."""

    iova: int
    length: int
    address: int
    read: bool
    write: bool


class Mapping:
    """Memory of the caller that devices can reach, from :meth:`Iommu.map`.

    It keeps the buffer exported: while it is mapped the buffer can be neither closed nor resized
    (``BufferError``). Context manager.

    Attributes:
        iova: where devices find it.
        length: bytes.
        address: in this process.
    """

    def __init__(self, iommu: Iommu, iova: int, length: int, address: int) -> None:
        self._iommu: Iommu | None = iommu
        self._keep: object = None
        self.iova = iova
        self.length = length
        self.address = address

    @property
    def mapped(self) -> bool:
        """False once it was unmapped, by whomever."""
        return self._iommu is not None

    def close(self) -> None:
        """Unmap; when this returns no device can reach the memory. A second call does nothing."""
        iommu = self._iommu
        if iommu is None:
            return
        try:
            iommu.unmap(self.iova, self.length)
        except IovaError as error:
            if error.errno != ENOENT:
                raise
            iommu._mappings.pop(self.iova, None)  # vfc_device_release() has unmapped it
            self._forget()

    def _forget(self) -> None:
        """The IOMMU no longer translates to this memory: let go of it."""
        self._iommu = self._keep = None

    def __enter__(self) -> Self:
        if self._iommu is None:
            raise closed("mapping")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"iova {self.iova:#x}" if self.mapped else "unmapped"
        return f"<Mapping {state}, {self.length:#x} bytes at {self.address:#x}>"


def _map_opts(*, fixed: bool, read: bool, write: bool, align: int, highest: int) -> MapOpts:
    """The keyword arguments of :meth:`Iommu.map` as C takes them."""
    if not (read or write):
        raise invalid("a mapping that the device may neither read nor write is of no use")
    flags = MapFlag.READ * read | MapFlag.WRITE * write
    return MapOpts.sized(
        flags=int(flags | (MapFlag.FIXED if fixed else 0)),
        align=unsigned(align, 64, "the alignment"),
        highest=unsigned(highest, 64, "the highest address"),
    )


class Iommu(NativeObject):
    """An address space that devices share: ``vfiocore.open(name, iommu=space)``.

    Args:
        transport: ``"cdev"``, ``"group"``, ``"compat"`` or ``"fake"``; by default the
            environment's ``VFIOCORE_TRANSPORT``, else the best there is.

    Nothing can be mapped before the first device is attached (:class:`NoDevice`): the kernel
    knows neither windows nor page sizes until then. Mapping and unmapping are thread-safe.
    Context manager; it cannot be closed while a device is attached (:class:`DeviceBusy`).
    """

    _title = "IOMMU address space"

    def __init__(self, transport: str | None = None) -> None:
        opts = IommuOpts.sized()
        text = None if transport is None else c_char_p(encoded(transport, "a transport"))
        if text is not None:
            opts.transport = cast(text, c_void_p)
        self._setup(open_handle(lib.vfc_iommu_open, byref(opts)), owned=True)

    @classmethod
    def _borrow(cls, handle: int) -> Iommu:
        """Wrap the space that a device opened for itself and closes with itself."""
        self = cls.__new__(cls)
        self._setup(handle, owned=False)
        return self

    def _setup(self, handle: int, owned: bool) -> None:
        self._handle = handle
        self._owned = owned
        # By IOVA. It also keeps the memory alive, whatever happens to the caller's references.
        self._mappings: dict[int, Mapping] = {}

    def close(self) -> None:
        """Unmap everything and close. A second call does nothing; neither does a call for the
        space that a device has of its own: that one is closed with its device.

        Raises:
            DeviceBusy: a device is attached.
        """
        if self._handle is not None and self._owned:
            check(lib.vfc_iommu_close(self._handle))
            self._detach()

    def _detach(self) -> None:
        """The C object is gone, and every mapping with it."""
        self._handle = None
        self._forget_all()

    def _forget_all(self) -> None:
        mappings, self._mappings = self._mappings, {}
        for mapping in mappings.values():
            mapping._forget()

    def __repr__(self) -> str:
        if self._handle is None:
            return "<Iommu closed>"
        info = self._info()
        return (
            f"<Iommu {self.transport}: {plural(info.devices, 'device')}, "
            f"{plural(info.mappings, 'mapping')}, {info.mapped:#x} bytes>"
        )

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
        return None if left == _UNLIMITED else left

    @property
    def devices(self) -> int:
        """Devices attached now."""
        return int(self._info().devices)

    def map(
        self,
        buffer: Any,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
    ) -> Mapping:
        """Let the attached devices reach a buffer.

        Args:
            buffer: writable, C-contiguous and page-aligned, as an ``mmap.mmap`` is; its length is
                a multiple of the IOMMU's smallest page.
            iova: map exactly there; by default the library chooses.
            read, write: what devices may do.
            align: of the IOVA, a power of two in bytes; 0: the natural one up to 2 MiB.
            highest: the last address that the device can reach, 0xfffffff for a 28-bit engine;
                0: any.

        Raises:
            TypeError: the buffer is not writable.
            InvalidArgument, Misaligned: empty or unaligned.
            IovaError: ``iova`` is outside of the windows, or taken.
            OutOfIova, EntryLimit, MemlockLimit, BadMemory, NoDevice.

        Source: vfc_iommu_map() in vfiocore/iommu.h.
        """
        options = {"iova": iova, "read": read, "write": write, "align": align, "highest": highest}
        with memoryview(buffer) as view:
            length = view.nbytes
        export = (c_char * length).from_buffer(buffer)
        try:
            mapping = self._map(addressof(export), length, **options)
            mapping._keep = export
        finally:
            del export  # or the traceback of a failure would hold the buffer
        return mapping

    def map_address(
        self,
        address: int,
        length: int,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
    ) -> int:
        """Like :meth:`map`, for memory that the caller knows by address and must keep mapped in
        this process until it calls :meth:`unmap`. Return: the IOVA."""
        options = {"iova": iova, "read": read, "write": write, "align": align, "highest": highest}
        return self._map(address, length, **options).iova

    def _map(self, address: int, length: int, *, iova: int | None, **options: Any) -> Mapping:
        handle = self._native()
        opts = _map_opts(fixed=iova is not None, **options)
        unsigned(address, 64, "the address")
        unsigned(length, 64, "the length")
        where = c_uint64(unsigned(iova or 0, 64, "IOVA"))
        check(lib.vfc_iommu_map(handle, address, length, byref(where), byref(opts)))
        mapping = Mapping(self, where.value, length, address)
        self._mappings[mapping.iova] = mapping
        return mapping

    def unmap(self, iova: int, length: int) -> None:
        """Take back the mapping that starts at ``iova`` and has ``length`` bytes, whole.

        When this returns no device can reach the memory any more.

        Raises:
            IovaError: nothing is mapped there, or only part of a mapping was given.

        Source: vfc_iommu_unmap() in vfiocore/iommu.h.
        """
        handle = self._native()
        unsigned(iova, 64, "IOVA")
        unsigned(length, 64, "the length")
        # Out of the table first: once C has unmapped it another thread may get the same IOVA.
        mapping = self._mappings.pop(iova, None)
        rc = lib.vfc_iommu_unmap(handle, iova, length)
        if mapping is not None and rc < 0:
            self._mappings[iova] = mapping
        check(rc)
        if mapping is not None:
            mapping._forget()

    def unmap_all(self) -> int:
        """Unmap everything, a NIC's rings too. Return: bytes unmapped."""
        count = check(lib.vfc_iommu_unmap_all(self._native()))
        self._forget_all()
        return count

    def find_iova(self, iova: int) -> MappingInfo | None:
        """The mapping that holds an IOVA, or None."""
        return self._find(lib.vfc_iommu_find_iova, unsigned(iova, 64, "IOVA"))

    def find_address(self, address: int) -> MappingInfo | None:
        """The mapping that holds an address of this process, or None."""
        return self._find(lib.vfc_iommu_find_va, unsigned(address, 64, "the address"))

    def _find(self, function: Any, key: int) -> MappingInfo | None:
        found = NativeMapping()
        rc = function(self._native(), key, byref(found))
        if rc == -ENOENT:
            return None
        check(rc)
        read, write = bool(found.flags & MapFlag.READ), bool(found.flags & MapFlag.WRITE)
        return MappingInfo(found.iova, found.length, found.va or 0, read, write)

    def alloc(
        self,
        length: int,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
    ) -> DmaBuffer:
        """Zeroed memory that the attached devices can reach; arguments and errors of :meth:`map`.

        ``length`` in bytes, > 0; what is mapped is rounded up to pages.
        """
        from .dma import DmaBuffer

        return DmaBuffer(
            self, length, iova=iova, read=read, write=write, align=align, highest=highest
        )
