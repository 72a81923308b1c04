# SPDX-License-Identifier: MIT
"""Packets without copying: bursts of them, and the pools that their memory comes from.

>>> with vfiocore.Pool(space, 4096) as pool:
...     with first.nic(pool=pool) as left, second.nic(pool=pool) as right:
...         while True:
...             with left.rx_burst() as burst:
...                 right.tx_burst(burst)

A burst is received, sent and given back by one call of C each, in which other Python threads run.
"""

from __future__ import annotations

import weakref
from _thread import allocate_lock
from ctypes import addressof, byref, c_char

from . import _fork
from ._native.call import Closing, NativeObject, check, integer, native, uncopied, unsigned
from ._native.loader import lib
from ._native.structs import Packet
from ._native.structs import Pool as NativePool
from .errors import DeviceBusy, Reason, closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from ctypes import Array
    from typing import Any, Self

    from .device import Device
    from .iommu import Iommu
    from .nic import Nic

__all__ = ["Burst", "Pool"]

_HEADROOM = 64  # VFC_NIC_HEADROOM of vfiocore/nic.h
_KEPT = 8  # arrays for the bursts to come
_LIVE = "views of these packets are in use: end them, or drop what holds them"


class Pool(NativeObject):
    """Buffers for the network interfaces of one address space: ``device.nic(pool=pool)``.

    Interfaces that share a pool can send what another one received without copying.
    Context manager.

    Args:
        where: a device, in whose address space it lies, or an address space.
        chunks: buffers, each for one frame. Each queue of an interface holds as many as its rings
            have descriptors, bursts hold the rest.
        mtu: the largest of the interfaces. Above 4,000 the buffers lie in huge pages of 2 MiB,
            when there are enough; without, QEMU's e1000e and igb send no frame over 4 KiB.

    Raises:
        InvalidArgument: no chunk, or 128 GiB of them; an MTU that no interface has.
        VfioError: those of ``Iommu.alloc``.

    Source: vfc_nic_chunk(), vfc_nic_pool_init() in vfiocore/nic.h.
    """

    _title = "pool"

    def __init__(self, where: Device | Iommu, chunks: int, *, mtu: int = 1500) -> None:
        from .device import Device
        from .iommu import Iommu

        device = where if isinstance(where, Device) else None
        space: Any = where.iommu if isinstance(where, Device) else where
        handle = native(space, Iommu, "where the pool lies")
        pool = NativePool()
        chunks = unsigned(chunks, 32, "the number of chunks")
        chunk = lib.vfc_nic_chunk(unsigned(mtu, 32, "the MTU"))
        if not chunk:
            raise invalid(f"an MTU of {mtu} bytes: no interface has that")
        check(lib.vfc_pool_init(byref(pool), handle, chunk, chunks))
        self._setup(pool)
        self._child_of = device
        if device is not None:
            device._children.append(self)

    @classmethod
    def _of(cls, nic: int) -> Pool:
        """A NIC's own, which ends with it."""
        self = cls.__new__(cls)
        self._setup(lib.vfc_nic_pool(nic).contents)
        self._child_of = None
        return self

    def _setup(self, pool: NativePool) -> None:
        self._struct = pool
        self._handle = addressof(pool)
        self._forks = _fork.depth
        self._lock = allocate_lock()  # close() takes turns with bursts that are given back
        self._nics: set[Nic] = set()
        # By length, such as no burst has any more: a new array is filled with zeros first.
        self._arrays: dict[int, Array[Packet]] = {}
        self._viewed: weakref.WeakSet[Burst] = weakref.WeakSet()
        self._orphans: list[weakref.ref[Any]] = []  # memory of bursts that are gone, still viewed

    def _native(self) -> int:
        if self._handle is None or self._forks != _fork.depth:
            _fork.refuse_child(self._forks, self._title)
            raise closed(self._title)
        return self._handle

    def close(self) -> None:
        """Unmap and release. A second call does nothing.

        Raises:
            DeviceBusy: a NIC uses it.
            BufferError: views of packets live; nothing has changed.
            VfioError: the kernel did not unmap; it is as before.
        """
        if self._handle is None:
            return
        if self._nics:
            from errno import EBUSY

            text = f"{len(self._nics)} NICs use this pool: close them first"
            raise DeviceBusy(EBUSY, text, reason=Reason.BUSY, hint=text)
        self._end_views()
        with self._lock:
            check(lib.vfc_pool_destroy(byref(self._struct)))
            self._handle = None
        if self._child_of is not None:
            self._child_of._children.remove(self)

    def _end_views(self) -> None:
        """All that were handed out. Raises ``BufferError`` when others hold on to the memory."""
        for burst in list(self._viewed):
            burst._end_views()
        self._orphans = [memory for memory in self._orphans if memory() is not None]
        if self._orphans:
            raise BufferError(_LIVE)

    @property
    def chunks(self) -> int:
        """Buffers in all."""
        self._native()
        return int(self._struct.chunks)

    @property
    def free(self) -> int:
        """Buffers that nobody holds now, neither a ring nor a burst."""
        self._native()
        return int(self._struct.free)

    def __repr__(self) -> str:
        if self._handle is None:
            return "<Pool closed>"
        return f"<Pool: {self.free} of {self.chunks} free>"


class Burst(Closing):
    """Packets that are held without a copy, from ``nic.rx_burst()`` and ``nic.alloc()``.

    ``burst[i]`` is the frame, a writable ``memoryview`` of the memory that the device wrote or will
    read; iterating gives each. All of them end with :meth:`free`, ``nic.tx_burst(burst)`` and the
    ``with`` block; using one afterwards raises ``ValueError``. What was made of them, such as a
    slice or an array of numpy, has to be dropped before, or those raise ``BufferError`` and change
    nothing. A burst that is forgotten gives its packets back. For one thread at a time.
    """

    # Of the class, what most bursts never change: one is made for each call of C.

    #: When it was received, nanoseconds as of ``time.time_ns()``; None: that was not asked for.
    time_ns: int | None = None
    _first = 0  # what comes before was sent
    _end = 0  # packets that C put into the array
    _base: memoryview | None = None
    _memory: weakref.ref[Any] | None = None
    _views: list[memoryview]  # when there is a _base

    def __init__(self, pool: Pool, room: int) -> None:
        self._pool = pool
        left = pool._arrays.pop(room, None)
        self._packets = left or (Packet * room)()

    __reduce__ = uncopied

    def __len__(self) -> int:
        return self._end - self._first

    def __bool__(self) -> bool:
        return self._end > self._first

    def __repr__(self) -> str:
        return f"<Burst of {len(self)} packets>"

    def __enter__(self) -> Self:  # as Closing's, with fewer calls: there is one for each burst
        self._pool._native()
        return self

    def _packet(self, index: int) -> Packet:
        self._pool._native()
        at = integer(index, "the index")
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(f"packet {index} of a burst of {len(self)}")
        return self._packets[self._first + at]

    def __getitem__(self, index: int) -> memoryview:
        return self._view(self._packet(index))

    def __iter__(self) -> Iterator[memoryview]:
        for index in range(len(self)):
            yield self[index]

    def _view(self, packet: Packet) -> memoryview:
        """Whoever views it, holds on to an object of our own, whose end can be seen."""
        memory = self._pool._struct.memory
        if self._base is None:
            exporter = (c_char * memory.length).from_address(memory.va)
            self._base = memoryview(exporter).cast("B")
            self._views = []
            self._memory = weakref.ref(exporter)
            self._pool._viewed.add(self)
        start = packet.data - memory.va
        view = self._base[start : start + packet.length]
        self._views.append(view)
        return view

    def _end_views(self) -> None:
        if self._base is None:
            return
        while self._views:
            try:
                self._views[-1].release()
            except BufferError:
                raise BufferError(_LIVE) from None
            self._views.pop()
        self._base.release()
        self._base = None
        exporter = self._memory() if self._memory else None
        if exporter is not None:
            # A view of our own again, so that the next attempt finds those of others.
            self._base = memoryview(exporter).cast("B")
            raise BufferError(_LIVE)
        self._pool._viewed.discard(self)

    @property
    def lengths(self) -> list[int]:
        """Of each frame, bytes."""
        return [packet.length for packet in self._packets[self._first : self._end]]

    def set_length(self, index: int, length: int) -> None:
        """Let a frame have another number of bytes, up to 2048 or what the pool's MTU takes; views
        that exist stay as they are. More than ``nic.frame_max`` is not sent."""
        packet = self._packet(index)
        room = self._pool._struct.chunk - _HEADROOM
        if not 0 <= integer(length, "the length") <= room:
            raise invalid(f"a frame of {length} bytes: a packet has room for {room}")
        packet.length = length

    def free(self) -> None:
        """Give the packets back. A second call does nothing.

        Raises:
            BufferError: something was made of the views and lives; nothing has changed.
        """
        if self._first == self._end:
            return
        if self._base is not None:
            self._end_views()
        pool = self._pool
        with pool._lock:
            if pool._handle is not None and pool._forks == _fork.depth:
                lib.vfc_nic_pool_free(byref(pool._struct), self._rest(), self._end - self._first)
        self._first = self._end

    close = free

    def _rest(self) -> Any:
        """The packets that are left, as C takes them."""
        if self._first in (0, self._end):
            return self._packets
        return byref(self._packets[self._first])

    def __del__(self) -> None:
        try:
            if self._first < self._end:
                self.free()
            arrays = self._pool._arrays
            if len(arrays) < _KEPT:
                arrays[len(self._packets)] = self._packets
        except AttributeError:  # not constructed
            pass
        except BufferError:  # the memory cannot be used again before its pool ends
            if self._memory is not None:
                self._pool._orphans.append(self._memory)
