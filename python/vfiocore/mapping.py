# SPDX-License-Identifier: MIT
"""Mappings of an IOMMU address space: one, many at once, and the options that they share."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import addressof, byref, c_char
from errno import ENOENT

from ._native.call import Closing, check, uncopied, unsigned
from ._native.enums import MapFlag
from ._native.loader import lib
from ._native.structs import MapOpts
from ._native.structs import Mapping as NativeMapping
from ._record import Record
from ._text import plural
from .errors import IovaError, closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypedDict, overload

    from .iommu import Iommu

    class MapOptions(TypedDict, total=False):
        """The keyword arguments of :meth:`Iommu.map` that every kind of mapping takes."""

        iova: int | None
        read: bool
        write: bool
        align: int
        highest: int
        guard: int


__all__ = ["Mapping", "MappingBatch", "MappingInfo"]


class MappingInfo(Record):
    """A live mapping: IOVA, length in bytes, address in this process (None: memory of a file or of
    a device), what the device may do."""

    iova: int
    length: int
    address: int | None
    read: bool
    write: bool


class Mapping(Closing):
    """Memory that devices can reach, from :meth:`Iommu.map` and its kin.

    It keeps the buffer exported: while it is mapped the buffer can be neither closed nor resized
    (``BufferError``). Context manager.

    Attributes:
        iova: where devices find it.
        length: bytes.
        address: in this process; None: memory of a file or of a device, which has none.
    """

    def __init__(self, iommu: Iommu, iova: int, length: int, address: int | None) -> None:
        self._iommu: Iommu | None = iommu
        self._keep: object = None
        self.iova = iova
        self.length = length
        self.address = address

    __reduce__ = uncopied

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

    def _refuse_closed(self) -> None:
        if self._iommu is None:
            raise closed("mapping")

    def __repr__(self) -> str:
        state = f"iova {self.iova:#x}" if self.mapped else "unmapped"
        where = "" if self.address is None else f" at {self.address:#x}"
        return f"<Mapping {state}, {self.length:#x} bytes{where}>"


class MappingBatch(Closing, Sequence[int]):
    """Buffers that were mapped together, from :meth:`Iommu.map_batch`: the sequence of their IOVAs.

    It keeps the buffers exported, as :class:`Mapping` does. Context manager.
    """

    def __init__(self, iommu: Iommu, buffers: Iterable[Any], options: MapOpts) -> None:
        exports = [export(buffer) for buffer in buffers]
        vector = (NativeMapping * len(exports))()
        for entry, memory in zip(vector, exports, strict=True):
            entry.va, entry.length = addressof(memory), len(memory)
        check(lib.vfc_iommu_map_batch(iommu._native(), vector, len(vector), byref(options)))
        self._iommu: Iommu | None = iommu
        self._keep: object = exports
        self._vector = vector
        self._iovas = tuple(entry.iova for entry in vector)

    __reduce__ = uncopied

    @property
    def mapped(self) -> bool:
        """False once they were unmapped."""
        return self._iommu is not None

    def close(self) -> None:
        """Unmap all; when this returns no device can reach the memory. A second call does nothing.

        Raises:
            IovaError: one was unmapped by other means; nothing was unmapped.
        """
        if self._iommu is not None:
            iommu = self._iommu
            handle = iommu._native()
            rc = lib.vfc_iommu_unmap_batch(handle, self._vector, len(self._vector))
            if rc != -ENOENT or any(map(self._lives, self._vector)):
                check(rc)
            iommu._batches.discard(self)
            self._forget()

    def _is_gone(self, first: int, last: int) -> bool:
        """Nothing of it is mapped since that range was unmapped."""
        hit = any(first <= entry.iova <= last for entry in self._vector)
        return hit and not any(map(self._lives, self._vector))

    def _lives(self, entry: NativeMapping) -> bool:
        """None does after vfc_device_release(); another may have the place then."""
        found = self._iommu.find_iova(entry.iova) if self._iommu is not None else None
        return found is not None and found.address == entry.va

    def _forget(self) -> None:
        self._iommu = self._keep = None

    def __len__(self) -> int:
        return len(self._iovas)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: int) -> int: ...
        @overload
        def __getitem__(self, key: slice) -> tuple[int, ...]: ...

    def __getitem__(self, key: int | slice) -> int | tuple[int, ...]:
        return self._iovas[key]

    def _refuse_closed(self) -> None:
        if self._iommu is None:
            raise closed("batch of mappings")

    def __repr__(self) -> str:
        return f"<MappingBatch {plural(len(self), 'buffer')}{'' if self.mapped else ', unmapped'}>"


def export(buffer: Any) -> Any:
    """The buffer's memory as a ctypes array, which keeps it from being closed or resized."""
    with memoryview(buffer) as view:
        length = view.nbytes
    try:
        return (c_char * length).from_buffer(buffer)
    except TypeError:
        raise _unusable(buffer) from None


def _unusable(buffer: Any) -> TypeError:
    with memoryview(buffer) as view:
        if not view.readonly:
            return TypeError("the buffer has gaps: map all of it, or a contiguous copy")
    return TypeError(
        "the buffer is read-only: map a writable one, an mmap.mmap, bytearray or numpy array "
        "(bytes only by a cache with write=False)"
    )


def share(keep: object) -> object:
    """What holds the memory for a second mapping, after the first has let go of it."""
    from mmap import mmap

    # Of a DMA buffer, whose memory must not be released under the copy.
    return export(keep) if isinstance(keep, mmap) else keep


def map_flags(read: object, write: object) -> MapFlag:
    """What devices may do."""
    if not (read or write):
        raise invalid("a mapping that the device may neither read nor write is of no use")
    return (MapFlag.READ if read else MapFlag(0)) | (MapFlag.WRITE if write else MapFlag(0))


def map_opts(
    *,
    iova: int | None = None,
    read: bool = True,
    write: bool = True,
    align: int = 0,
    highest: int = 0,
    guard: int = 0,
    identity: bool = False,
) -> MapOpts:
    """The keyword arguments of :meth:`Iommu.map` as C takes them."""
    flags = map_flags(read, write) | (MapFlag.IDENTITY if identity else 0)
    if identity and iova is not None:
        raise invalid("an identity mapping is at its own address: give no IOVA")
    return MapOpts.sized(
        flags=int(flags | (MapFlag.FIXED if iova is not None else 0)),
        align=unsigned(align, 64, "the alignment"),
        highest=unsigned(highest, 64, "the highest address"),
        guard=unsigned(guard, 64, "the guard"),
    )
