# SPDX-License-Identifier: MIT
"""A map cache: make any buffer reachable for devices, cheaply enough to do it for each packet.

What is mapped stays mapped, idle, until it is wanted again or there is no room. Memory that went
back to the system meanwhile would be another's behind the same address, and the cache would answer
with the old pages. So a cache keeps the buffers exported that it has mapped: they are not freed,
and can be neither closed nor resized (``BufferError``), until their mapping is gone.
"""

from __future__ import annotations

import mmap
from _thread import allocate_lock
from ctypes import CFUNCTYPE, addressof, byref, c_char_p, c_void_p, cast

from ._native.call import (
    Closing,
    NativeObject,
    check,
    native,
    open_handle,
    uncopied,
    unsigned,
)
from ._native.loader import lib
from ._native.structs import MapCache as NativeMapCache
from ._native.structs import MapCacheEntry, MapCacheOpts
from ._native.structs import MapCacheStats as NativeStats
from ._native.structs import Reach as NativeReach
from ._record import Record
from ._text import plural
from .errors import closed
from .mapping import export, map_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .iommu import Iommu

__all__ = ["MapCache", "MapCacheStats", "Reach"]

_Dropped = CFUNCTYPE(None, c_void_p, c_void_p)


class MapCacheStats(Record):
    """Figures of a map cache: gets that found a mapping, gets that made one (or failed), idle
    mappings that went for want of room, mappings that went into a larger one; what is referenced
    now, and what is mapped and not referenced."""

    hits: int
    misses: int
    evictions: int
    merges: int
    live_entries: int
    live_bytes: int
    idle_entries: int
    idle_bytes: int


class Reach(Closing):
    """A buffer that devices can reach, from :meth:`MapCache.get`. Context manager.

    Attributes:
        length: bytes.
        address: in this process.
    """

    def __init__(
        self, cache: MapCache, native: NativeReach, address: int, length: int, export: object
    ) -> None:
        self._cache: MapCache | None = cache
        self._native = native
        self._export: object = export
        self.address = address
        self.length = length

    __reduce__ = uncopied

    @property
    def iova(self) -> int:
        """Where devices find the first byte.

        Raises:
            ClosedError: it is closed, or its address space was emptied.
        """
        if self._cache is None:
            raise closed("reach")
        return int(self._native.iova)

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._cache is None

    def close(self) -> None:
        """Devices are done with it. A second call does nothing."""
        if self._cache is not None:
            self._cache._put(self)

    def _forget(self) -> None:
        self._cache = self._export = None

    def _refuse_closed(self) -> None:
        if self._cache is None:
            raise closed("reach")

    def __repr__(self) -> str:
        state = "closed" if self._cache is None else f"iova {self.iova:#x}"
        return f"<Reach {state}, {self.length:#x} bytes at {self.address:#x}>"


class _Hold:
    """An export of a buffer, and which addresses are its."""

    __slots__ = ("end", "export", "first")

    def __init__(self, first: int, end: int, export: object) -> None:
        self.first, self.end, self.export = first, end, export


class MapCache(NativeObject):
    """A cache of mappings, from :meth:`Iommu.cache`. Context manager.

    >>> with device.iommu.cache() as cache, cache.get(frame) as reach:
    ...     ring.post(reach.iova, reach.length)

    It holds its address space open. Mappings are whole pages: devices reach the rest of a buffer's
    first and last page, too. Thread-safe.

    In a child of fork() there are no mappings: ``get()`` raises :class:`VfioError` with ``ECHILD``,
    and ``close()`` releases memory only.

    Args:
        limit: bytes that stay mapped, unless more are referenced; 0: 1 GiB.
        entries: mappings that stay, likewise; 0: 32768.
        read, write: what devices may do.
        highest: the last address that the device can reach; 0: any.

    Source: vfiocore/mapcache.h.
    """

    _title = "map cache"

    def __init__(
        self,
        iommu: Iommu,
        *,
        limit: int = 0,
        entries: int = 0,
        read: bool = True,
        write: bool = True,
        highest: int = 0,
    ) -> None:
        from .iommu import Iommu

        space = native(iommu, Iommu, "iommu")
        self._iommu = iommu
        self._write = write
        self._lock = allocate_lock()  # C leaves that to its caller
        self._open: set[Reach] = set()
        # What keeps the memory of each mapping, by the address of its struct; and the mappings that
        # C unmapped since we last looked.
        self._held: dict[int, set[_Hold]] = {}
        self._gone: list[int] = []
        gone = self._gone
        self._callback = _Dropped(lambda _, entry: gone.append(entry))
        opts = MapCacheOpts.sized(
            flags=int(map_flags(read, write)),
            limit=unsigned(limit, 64, "the limit"),
            entries=unsigned(entries, 64, "the number of entries"),
            highest=unsigned(highest, 64, "the highest address"),
            dropped=cast(self._callback, c_void_p),
        )
        self._handle = open_handle(lib.vfc_mapcache_open, space, byref(opts))
        self._struct = NativeMapCache.from_address(self._handle)
        iommu._caches.add(self)

    def _live(self) -> NativeMapCache:
        self._native()
        return self._struct

    def get(self, buffer: Any) -> Reach:
        """Let the attached devices reach a buffer until the result is closed.

        Args:
            buffer: C-contiguous, of any address and length: a ``bytearray``, ``memoryview``,
                ``mmap.mmap`` or numpy array that is writable; with ``write=False`` ``bytes``, too.

        Raises:
            TypeError: the buffer is not writable.
            InvalidArgument: it is empty.
            EntryLimit, MemlockLimit, OutOfIova: with nothing left to evict.
            BadMemory, NoDevice; VfioError (``ECHILD``): in a child of the process that opened it.

        Source: vfc_mapcache_get() in vfiocore/mapcache.h.
        """
        hold = self._hold(buffer)
        try:
            return self._get(hold)
        finally:
            del hold  # or the traceback of a failure would hold the buffer

    def _hold(self, buffer: Any) -> _Hold:
        if isinstance(buffer, bytes):
            if self._write:
                raise TypeError(
                    "devices may write through this cache, and bytes cannot change: "
                    "use a bytearray, or a cache with write=False"
                )
            first = cast(c_char_p(buffer), c_void_p).value or 0
            return _Hold(first, first + len(buffer), buffer)
        memory = export(buffer)
        first = addressof(memory)
        return _Hold(first, first + len(memory), memory)

    def _get(self, hold: _Hold) -> Reach:
        native, length = NativeReach(), hold.end - hold.first
        with self._lock:
            try:
                check(lib.vfc_mapcache_get(self._live(), hold.first, length, byref(native)))
                if native.entry not in self._held:
                    self._held[native.entry] = self._holds(native.entry, hold)
                reach = Reach(self, native, hold.first, length, hold.export)
                self._open.add(reach)
            finally:
                self._settle()
                del hold
        return reach

    def _holds(self, address: int, hold: _Hold) -> set[_Hold]:
        """What keeps the memory of a new mapping: when it is more than what was asked for, then
        because it takes the place of others, whose buffers it needs."""
        entry, page = MapCacheEntry.from_address(address), mmap.PAGESIZE
        first, end = entry.va, entry.va + entry.length
        if (first, end) == (hold.first & -page, (hold.end + page - 1) & -page):
            return {hold}
        others = (other for holds in self._held.values() for other in holds)
        return {hold, *(other for other in others if other.first < end and other.end > first)}

    def _settle(self) -> None:
        """Let go of the memory of mappings that are gone."""
        while self._gone:
            self._held.pop(self._gone.pop(), None)

    def _put(self, reach: Reach) -> None:
        with self._lock:
            if reach._cache is None:
                return
            lib.vfc_mapcache_put(self._struct, byref(reach._native))
            reach._forget()
            self._open.discard(reach)
            self._settle()

    def forget(self, buffer: Any) -> None:
        """Unmap what is idle of a buffer, so that it can be closed, resized or freed.

        Raises:
            DeviceBusy: a part of it is referenced; nothing has changed.

        Source: vfc_mapcache_forget() in vfiocore/mapcache.h.
        """
        hold = self._hold(buffer)
        first, length = hold.first, hold.end - hold.first
        del hold
        with self._lock:
            try:
                check(lib.vfc_mapcache_forget(self._live(), first, length))
            finally:
                self._settle()

    def flush(self) -> None:
        """Unmap all that is idle, and let go of its memory. When this returns no device can reach
        it any more."""
        with self._lock:
            try:
                check(lib.vfc_mapcache_flush(self._live()))
            finally:
                self._settle()

    def _put_all(self, first: int = 0, last: int = 2**64 - 1) -> None:
        """Those in a range of IOVAs."""
        for reach in [r for r in self._open if first <= r._native.iova <= last]:
            lib.vfc_mapcache_put(self._struct, byref(reach._native))
            reach._forget()
            self._open.discard(reach)

    def _end(self) -> None:
        """Close, whatever is referenced."""
        with self._lock:
            self._put_all()
        self.close()

    def _emptied(self, first: int, last: int) -> None:
        """Nothing of the address space is mapped there any more."""
        with self._lock:
            self._put_all(first, last)
            lib.vfc_mapcache_stats(self._struct, byref(NativeStats.sized()))  # looks what is left
            self._settle()

    @property
    def stats(self) -> MapCacheStats:
        """Figures of the cache; as slow as there are mappings."""
        native = NativeStats.sized()
        with self._lock:
            check(lib.vfc_mapcache_stats(self._live(), byref(native)))
        return MapCacheStats(*(getattr(native, name) for name in MapCacheStats._fields))

    def close(self) -> None:
        """Unmap all and close. A second call does nothing.

        Raises:
            DeviceBusy: a buffer is referenced; nothing has changed.
        """
        with self._lock:
            if self._handle is None:
                return
            try:
                check(lib.vfc_mapcache_close(self._struct))
            except BaseException:
                self._settle()
                raise
            self._handle = None
            for reach in self._open:  # in a child of fork(), else there are none
                reach._forget()
            self._open.clear()
            self._held.clear()
            self._gone.clear()
        self._iommu._caches.discard(self)

    def __repr__(self) -> str:
        if self._handle is None:
            return "<MapCache closed>"
        now = self.stats
        return (
            f"<MapCache {plural(now.live_entries, 'mapping')} in use, {now.idle_entries} idle, "
            f"{now.live_bytes + now.idle_bytes:#x} bytes>"
        )
