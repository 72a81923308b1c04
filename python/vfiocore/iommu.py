# SPDX-License-Identifier: MIT
"""An IOMMU address space: which memory devices may reach, and at which IOVA."""

from __future__ import annotations

from ctypes import addressof, byref, c_char_p, c_uint32, c_uint64, c_void_p, cast

from ._native.call import check, encoded, fileno, native, open_handle, unsigned
from ._native.enums import IommuFlag, MapFlag
from ._native.loader import lib
from ._native.structs import IommuOpts
from ._native.structs import Mapping as NativeMapping
from ._space_info import UNLIMITED, SpaceInfo
from ._text import plural
from .errors import VfioError
from .mapping import Mapping, MappingBatch, MappingInfo, export, map_opts
from .memory import OtherMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Unpack

    from ._progress import Progress
    from .dirty import DirtyTracking
    from .dma import DmaBuffer
    from .mapcache import MapCache
    from .mapping import MapOptions

__all__ = ["Iommu"]


def _iommu_opts(transport: str | None, **fields: int | None) -> IommuOpts:
    opts = IommuOpts.sized(**fields)
    if transport is not None:
        opts.text = c_char_p(encoded(transport, "a transport"))  # alive as long as the struct
        opts.transport = cast(opts.text, c_void_p)
    return opts


class Iommu(SpaceInfo, OtherMemory):
    """An address space that devices share: ``vfiocore.open(name, iommu=space)``.

    Args:
        transport: one of those of :func:`vfiocore.open`; by default the environment's
            ``VFIOCORE_TRANSPORT``, else the best there is.
        beside: a space whose iommufd this one shares, and whose transport it has. Devices can move
            between the two (:meth:`Device.attach`), and :meth:`copy` does not pin memory again.
            Either may be closed first.
        dirty: devices attach to page tables that note what is written; see
            :meth:`dirty_tracking`. Opening a device raises :class:`Unsupported` where its IOMMU
            cannot. ``group`` and ``fake`` need no word of it.

    Nothing can be mapped before the first device is attached (:class:`NoDevice`): the kernel
    knows neither windows nor page sizes until then. Mapping and unmapping are thread-safe.
    It cannot be closed while a device is attached or a map cache is open (:class:`DeviceBusy`).
    Context manager: leaving it closes its map caches first.
    """

    _title = "IOMMU address space"

    def __init__(
        self, transport: str | None = None, *, beside: Iommu | None = None, dirty: bool = False
    ) -> None:
        opts = _iommu_opts(
            transport,
            flags=int(IommuFlag.DIRTY) if dirty else 0,
            beside=None if beside is None else native(beside, Iommu, "beside"),
        )
        self._setup(open_handle(lib.vfc_iommu_open, byref(opts)), owned=True)

    @classmethod
    def adopt(cls, fd: int, *, transport: str | None = None, ioas: int = 0) -> Iommu:
        """An address space of a descriptor that somebody else opened, passed over a socket or
        inherited.

        Args:
            fd: of ``/dev/iommu`` (a new space in that iommufd) or ``/dev/vfio/vfio`` (that
                container's). It is the library's when this returns, and unchanged when it raises.
            transport: another that uses the same kind of descriptor, ``"compat"``, ``"group-v1"``,
                ``"noiommu"``, ``"noiommu-group"``; by default ``"cdev"`` or ``"group"``.
            ioas: of ``/dev/iommu``: the id of the IOAS to share with whoever made it, which
                :attr:`iommufd` tells; 0: a new one.

        What others map in the same container or IOAS is theirs. An IOVA that the library chooses is
        one that the kernel finds free; closing unmaps what was mapped here.

        Raises:
            InvalidArgument: not open, another kind of descriptor, or no such IOAS.
            Unsupported: a container with another IOMMU type.

        Source: vfc_iommu_adopt() in vfiocore/iommu.h.
        """
        opts = _iommu_opts(transport, ioas=unsigned(ioas, 32, "an IOAS's id"))
        self = cls.__new__(cls)
        self._setup(open_handle(lib.vfc_iommu_adopt, fileno(fd), byref(opts)), owned=True)
        return self

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
        self._caches: set[MapCache] = set()
        self._batches: set[MappingBatch] = set()

    def close(self) -> None:
        """Unmap everything and close. A second call does nothing; neither does a call for the
        space that a device has of its own: that one is closed with its device.

        Raises:
            DeviceBusy: a device is attached, or a map cache is open.
        """
        if self._handle is not None and self._owned:
            check(lib.vfc_iommu_close(self._handle))
            self._detach()

    def _end_caches(self) -> None:
        for cache in list(self._caches):
            cache._end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None and self._owned and not self.devices:
            self._end_caches()
        self.close()

    def _detach(self) -> None:
        """The C object is gone, and every mapping with it."""
        self._handle = None
        self._forget_all()

    def _forget_all(self) -> None:
        mappings, self._mappings = self._mappings, {}
        batches, self._batches = self._batches, set()
        for mapping in mappings.values():
            mapping._forget()
        for batch in batches:
            batch._forget()

    def __repr__(self) -> str:
        if self._handle is None:
            return "<Iommu closed>"
        try:
            info = self._info()
        except VfioError:
            return "<Iommu of the parent process>"
        return (
            f"<Iommu {self.transport}: {plural(info.devices, 'device')}, "
            f"{plural(info.mappings, 'mapping')}, {info.mapped:#x} bytes>"
        )

    @property
    def iommufd(self) -> tuple[int, int]:
        """The descriptor of the space's iommufd, which stays the space's, and the id of its IOAS.

        Raises:
            Unsupported: the transport has none.
        """
        ioas = c_uint32()
        descriptor = check(lib.vfc_iommu_iommufd(self._native(), byref(ioas)))
        return descriptor, ioas.value

    def fileno(self) -> int:
        """The descriptor of its iommufd or container, to pass by means of one's own; it stays the
        space's.

        Raises:
            Unsupported: by ``fake`` and ``noiommu``.

        Source: vfc_iommu_fd() in vfiocore/handover.h.
        """
        return check(lib.vfc_iommu_fd(self._native(), None))

    def map(
        self,
        buffer: Any,
        *,
        iova: int | None = None,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
        guard: int = 0,
        identity: bool = False,
        progress: Progress | None = None,
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
            guard: bytes before and behind it, rounded up to pages, in which no other mapping is
                put: a device that runs past either end meets a fault. Guards may overlap.
            identity: map at the IOVA that equals the buffer's address.
            progress: for many gigabytes, whose pinning takes seconds. The memory is mapped in
                pieces of 64 MiB, and ``progress(done, length)`` is called after each, in bytes. If
                it returns something true or raises, or a signal's handler does meanwhile (Ctrl-C),
                nothing is mapped. Without it the whole call cannot be interrupted.

        Raises:
            TypeError: the buffer is not writable.
            InvalidArgument, Misaligned: empty or unaligned.
            IovaError: ``iova`` is outside of the windows, taken, or within a guard.
            OutOfIova, EntryLimit, MemlockLimit, BadMemory, NoDevice.
            VfioError: ECANCELED, ``progress`` returned something true.

        Source: vfc_iommu_map() in vfiocore/iommu.h.
        """
        memory = export(buffer)
        try:
            mapping = self._map_memory(
                addressof(memory),
                len(memory),
                iova=iova,
                read=read,
                write=write,
                align=align,
                highest=highest,
                guard=guard,
                identity=identity,
                progress=progress,
            )
            mapping._keep = memory
        finally:
            del memory  # or the traceback of a failure would hold the buffer
        return mapping

    def map_address(
        self,
        address: int,
        length: int,
        *,
        identity: bool = False,
        progress: Progress | None = None,
        **options: Unpack[MapOptions],
    ) -> int:
        """Like :meth:`map`, for memory that the caller knows by address and must keep mapped in
        this process until it calls :meth:`unmap`. Return: the IOVA."""
        mapping = self._map_memory(address, length, identity=identity, progress=progress, **options)
        return mapping.iova

    def _map_memory(self, address: int, length: int, **options: Any) -> Mapping:
        address = unsigned(address, 64, "the address")
        return self._map(lib.vfc_iommu_map, (address,), length, address, **options)

    def _map(
        self,
        function: Any,
        what: tuple[int, ...],
        length: int,
        address: int | None,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> Mapping:
        """One of C's calls that map: ``what`` is to be mapped, ``length`` bytes of it."""
        handle = self._native()
        opts = map_opts(**options)
        length = unsigned(length, 64, "the length")
        where = c_uint64(unsigned(options.get("iova") or 0, 64, "IOVA"))

        def call() -> int:
            check(function(handle, *what, length, byref(opts), byref(where)))
            return where.value

        def undo(iova: int) -> None:
            lib.vfc_iommu_unmap(handle, iova, length)

        if progress is None:
            iova = call()
        else:
            from ._progress import with_progress

            iova = with_progress(call, undo, opts, progress)
        mapping = self._mappings[iova] = Mapping(self, iova, length, address)
        return mapping

    def _kept(self, iova: int) -> object:
        """What keeps the memory of the mapping that starts there, as far as Python knows of it."""
        holders = [self._mappings.get(iova), *self._batches]
        for holder in holders:
            if isinstance(holder, Mapping) or (holder is not None and iova in holder):
                return holder._keep
        return None

    def map_batch(
        self,
        buffers: Iterable[Any],
        *,
        read: bool = True,
        write: bool = True,
        align: int = 0,
        highest: int = 0,
    ) -> MappingBatch:
        """Map many buffers, all or none. Those that follow one another in memory, in the order
        given, become one mapping at consecutive IOVAs, so that an arena in 100,000 pieces costs one
        of the mappings that the kernel takes.

        Arguments and errors: those of :meth:`map`.

        Source: vfc_iommu_map_batch() in vfiocore/iommu.h.
        """
        opts = map_opts(read=read, write=write, align=align, highest=highest)
        batch = MappingBatch(self, buffers, opts)
        self._batches.add(batch)
        return batch

    def unmap(self, iova: int, length: int) -> None:
        """Take back the mapping that starts at ``iova`` and has ``length`` bytes, whole.

        When this returns no device can reach the memory any more.

        Raises:
            IovaError: nothing is mapped there, or only part of a mapping was given.

        Source: vfc_iommu_unmap() in vfiocore/iommu.h.
        """
        handle = self._native()
        iova = unsigned(iova, 64, "IOVA")
        length = unsigned(length, 64, "the length")
        # Out of the table first: once C has unmapped it another thread may get the same IOVA.
        mapping = self._mappings.pop(iova, None)
        rc = lib.vfc_iommu_unmap(handle, iova, length)
        if mapping is not None and rc < 0:
            self._mappings[iova] = mapping
        check(rc)
        if mapping is not None:
            mapping._forget()

    def unmap_range(self, iova: int, length: int) -> int:
        """Take back every mapping in the ``length`` bytes from ``iova`` on, whoever made it: a
        NIC's rings and what map caches hold, too. Return: bytes unmapped; 0: there was none.

        Raises:
            InvalidArgument: no bytes, or past the end of 64 bits.
            IovaError: an edge of the range is in the midst of a mapping; nothing was unmapped.
            DeviceBusy: another thread is still making one of them; nothing was unmapped.

        Source: vfc_iommu_unmap_range() in vfiocore/iommu.h.
        """
        handle = self._native()
        first = unsigned(iova, 64, "IOVA")
        last = first + unsigned(length, 64, "the length") - 1
        # Taken before, as once C has unmapped them another thread may get the same IOVAs.
        mappings = [m for m in list(self._mappings.values()) if first <= m.iova <= last]
        count = check(lib.vfc_iommu_unmap_range(handle, first, length))
        for mapping in mappings:
            if self._mappings.get(mapping.iova) is mapping:
                del self._mappings[mapping.iova]
            mapping._forget()
        for batch in [b for b in self._batches if b._is_gone(first, last)]:
            self._batches.discard(batch)
            batch._forget()
        for cache in list(self._caches):
            cache._emptied(first, last)
        return count

    def unmap_all(self) -> int:
        """Unmap everything, a NIC's rings and what map caches hold, too. Return: bytes unmapped."""
        count = check(lib.vfc_iommu_unmap_all(self._native()))
        self._forget_all()
        for cache in list(self._caches):
            cache._emptied(0, UNLIMITED)
        return count

    def find_iova(self, iova: int) -> MappingInfo | None:
        """The mapping that holds an IOVA, or None."""
        return self._find(lib.vfc_iommu_find_iova, unsigned(iova, 64, "IOVA"))

    def find_address(self, address: int) -> MappingInfo | None:
        """The mapping that holds an address of this process, or None."""
        return self._find(lib.vfc_iommu_find_va, unsigned(address, 64, "the address"))

    def _find(self, function: Any, key: int) -> MappingInfo | None:
        from errno import ENOENT

        found = NativeMapping()
        rc = function(self._native(), key, byref(found))
        if rc == -ENOENT:
            return None
        check(rc)
        read, write = bool(found.flags & MapFlag.READ), bool(found.flags & MapFlag.WRITE)
        return MappingInfo(found.iova, found.length, found.va, read, write)

    def dirty_tracking(self) -> DirtyTracking:
        """Begin to note which pages devices write to; what it returns tells them, and ends it:
        ``with iommu.dirty_tracking() as dirty: ... dirty.read(mapping)``.

        Raises:
            Unsupported: the space was not opened with ``dirty=True``, or the transport cannot.
            NoDevice.

        Source: vfc_iommu_dirty_start() in vfiocore/iommu.h.
        """
        from .dirty import DirtyTracking

        return DirtyTracking(self)

    def alloc(
        self,
        length: int,
        *,
        page: int = 0,
        progress: Progress | None = None,
        **options: Unpack[MapOptions],
    ) -> DmaBuffer:
        """Zeroed memory that the attached devices can reach.

        Args:
            length: bytes, > 0; what is mapped is rounded up to pages.
            page: the size of the pages of memory behind it, ``2 << 20`` or ``1 << 30``. With too
                few of them free, smaller ones are taken, with a :class:`HugePageWarning`;
                ``buffer.page`` tells. The IOVA is aligned to it, so that the IOMMU uses its large
                pages, too. 0: any. Where no IOMMU translates (:attr:`physical`), more than one page
                is taken from a huge page, or not at all.
            progress, options: as for :meth:`map`, whose errors it raises.
        """
        from .dma import DmaBuffer

        return DmaBuffer(self, length, page=page, progress=progress, **options)

    def cache(
        self,
        *,
        limit: int = 0,
        entries: int = 0,
        read: bool = True,
        write: bool = True,
        highest: int = 0,
    ) -> MapCache:
        """A new map cache, which makes any buffer reachable and remembers that it is.

        Arguments: see :class:`MapCache`.
        """
        from .mapcache import MapCache

        return MapCache(self, limit=limit, entries=entries, read=read, write=write, highest=highest)
