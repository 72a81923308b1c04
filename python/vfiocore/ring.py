# SPDX-License-Identifier: MIT
"""Descriptor rings: post buffers, ring the doorbell, reap completions, of any device whose ring a
:class:`RingLayout` tells.

>>> layout = RingLayout(style=RingStyle.DONE, done=1, length_shift=32, length_bits=16)
>>> with Ring(device, layout, 256, doorbell=(device.bar(0), 0x3818)) as ring:
...     device.bar(0).write32(0x3800, ring.iova & 0xFFFFFFFF)
...     ring.post(buffer.iova, 60, command=0x0B000000, cookie=7)
...     ring.kick()
...     for done in ring.reap():
...         print(done.cookie, done.length)

What the device writes is not believed: an index, an id or a count that cannot be is dropped and
counted in ``malformed``. A length is the device's claim, for the caller to check.
"""

from __future__ import annotations

from _thread import allocate_lock
from ctypes import Array, byref, c_uint32, c_void_p, memmove, string_at
from mmap import PAGESIZE

from . import _fork
from ._native.call import NativeObject, check, integer, native, unsigned
from ._native.enums import RingStyle
from ._native.loader import lib
from ._native.ring_structs import Buffer
from ._native.ring_structs import Completion as NativeCompletion
from ._native.ring_structs import Ring as NativeRing
from ._record import Record
from ._ring_layout import RingLayout
from .errors import Reason, VfioError, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .device import Device
    from .iommu import Iommu
    from .region import Region

    Doorbell = int | tuple[Region, int]

__all__ = ["Completion", "Ring", "RingLayout", "RingStyle", "buffers", "completions"]

# The cookie that marks an id which is not with the device.
_NONE = 2**32 - 1
_WORDS = 6  # of 32 bits in a Buffer: the length is the fifth, the cookie the last


class Completion(Record):
    """What the device is done with.

    Attributes:
        cookie: the caller's.
        length: the device's claim in bytes, to be checked; ``PHASE``: the entry's first 32 bits.
        control: the control word as the device left it.
    """

    cookie: int
    length: int
    control: int


def buffers(count: int) -> Array[Buffer]:
    """An array for :meth:`Ring.post_many`, each with ``iova``, ``length``, ``command`` and
    ``cookie``. numpy takes it without a copy: ``numpy.frombuffer(array, dtype)``."""
    return (Buffer * unsigned(count, 16, "the number of buffers"))()


def completions(count: int) -> Array[NativeCompletion]:
    """An array for :meth:`Ring.reap_into`, each with ``cookie``, ``length`` and ``control``."""
    return (NativeCompletion * unsigned(count, 16, "the number of completions"))()


class Ring(NativeObject):
    """A descriptor ring in memory that the device reaches. Context manager.

    Args:
        where: the device, whose address space it lies in, or an address space.
        layout: of its descriptors.
        entries: 2 to 32768, of ``SPLIT`` a power of two. All but one can be posted at once, with
            virtio all.
        doorbell: the tail register, ``(region, offset)``, or the address of a mapped one; with
            virtio the notification.
        consumed: ``PHASE``: the head register of the completion queue, likewise.
        queue: virtio: what the notification says.
        event_index: ``SPLIT``: ``VIRTIO_F_EVENT_IDX`` was negotiated.

    Each call takes its turn, so that threads may share it. No call raises for what the device does.

    Raises:
        InvalidArgument: the layout, the number of entries, or a cookie of 2^32-1.
        VfioError: those of ``Iommu.alloc``.

    Source: vfiocore/ring.h.
    """

    _title = "ring"

    def __init__(
        self,
        where: Device | Iommu,
        layout: RingLayout,
        entries: int,
        *,
        doorbell: Doorbell,
        consumed: Doorbell | None = None,
        queue: int = 0,
        event_index: bool = False,
    ) -> None:
        from .device import Device
        from .iommu import Iommu

        if not isinstance(layout, RingLayout):
            raise TypeError(f"the layout is a RingLayout, not {type(layout).__name__}")
        entries = unsigned(entries, 32, "the number of entries")
        queue = unsigned(queue, 16, "the queue")
        self._lock = allocate_lock()
        self._devices: set[Device] = set()
        device = where if isinstance(where, Device) else None
        space = native(device.iommu if device else where, Iommu, "where the ring lies")
        bell = self._register(doorbell, "the doorbell")
        self._ring = NativeRing()
        self.layout = layout
        self._at, self._layout_at = byref(self._ring), byref(layout._native)
        check(lib.vfc_ring_init(self._at, self._layout_at, space, entries, bell))
        try:
            if consumed is not None:
                self._ring.consumed = self._register(consumed, "the head register")
        except BaseException:
            lib.vfc_ring_destroy(self._at)
            raise
        self._ring.queue = queue
        self._ring.event_index = bool(event_index)
        self._handle = 1
        self._forks = _fork.depth
        self._done = completions(0)
        self._child_of = device
        if device is not None:
            device._children.append(self)

    def _register(self, where: Doorbell, what: str) -> int:
        """The address of a register."""
        if not isinstance(where, tuple):
            return unsigned(where, 64, f"the address of {what}")
        from .region import Region

        region, offset = where
        if not isinstance(region, Region):
            raise TypeError(f"{what} is an address or (region, offset), not {where!r}")
        offset, pointer = unsigned(offset, 64, "the offset"), c_void_p()
        if offset % 2 or offset + 4 > region.length:
            raise invalid(f"{what} at {offset:#x} is no register of {region!r}", Reason.RANGE)
        page = offset & -PAGESIZE
        handle = region._device._native()
        check(lib.vfc_region_map(handle, region.index, page, PAGESIZE, byref(pointer)))
        self._devices.add(region._device)
        return (pointer.value or 0) + offset - page

    def _native(self) -> int:
        handle = super()._native()
        _fork.refuse_child(self._forks, self._title)
        return handle

    def _live(self) -> None:
        """Raise unless it is open, and its registers are mapped."""
        self._native()
        for device in self._devices:
            device._native()

    def close(self) -> None:
        """Release its memory; stop the device before. A second call does nothing.

        Raises:
            VfioError: the kernel did not unmap; it is as before.
        """
        with self._lock:
            if self._handle is None:
                return
            check(lib.vfc_ring_destroy(self._at))
            self._handle = None
        if self._child_of is not None:
            self._child_of._children.remove(self)

    def __repr__(self) -> str:
        if self._handle is None:
            return "<Ring closed>"
        style = self.layout.style.name
        return f"<Ring {style}: {self.used} of {self.room} posted, iova {self.iova:#x}>"

    # --- posting ------------------------------------------------------------------------------

    def post(
        self,
        iova: int,
        length: int = 0,
        *,
        command: int = 0,
        cookie: int = 0,
        descriptor: bytes | None = None,
    ) -> None:
        """Write the next descriptor; the device sees it after :meth:`kick`.

        Args:
            iova: of the buffer.
            length: bytes, as far as the layout has one.
            command: the control word without length and id.
            cookie: comes back with the completion; any but 2^32-1.
            descriptor: all bytes of it, for words that are neither address nor control: an NVMe
                command. Not with virtio, which has none.

        Raises:
            VfioError: ENOSPC, nothing fits: :meth:`reap` first.
        """
        buffer = self._buffer(iova, length, command, cookie)
        with self._lock:
            self._live()
            if not lib.vfc_ring_space(self._at):
                from errno import ENOSPC

                text = f"the ring holds its {self._ring.room} buffers: kick, and reap some first"
                raise VfioError(ENOSPC, text, hint=text)
            if descriptor is not None:
                self._lay(descriptor)
            lib.vfc_ring_post(self._at, self._layout_at, byref(buffer))

    def _lay(self, descriptor: bytes) -> None:
        size = self.layout.size
        if self.layout.style in (RingStyle.SPLIT, RingStyle.PACKED):
            raise invalid("virtio's descriptors have an address and a control word alone")
        if len(descriptor) != size:
            raise invalid(f"a descriptor of {len(descriptor)} bytes: the layout says {size}")
        memmove(self._ring.descriptors + self._ring.tail * size, bytes(descriptor), size)

    def _buffer(self, iova: int, length: int = 0, command: int = 0, cookie: int = 0) -> Buffer:
        if unsigned(cookie, 32, "the cookie") == _NONE:
            raise invalid("the cookie 2^32-1 marks an id that is not with the device: take another")
        self._check_length(unsigned(length, 32, "the length"))
        iova, command = unsigned(iova, 64, "IOVA"), unsigned(command, 64, "the command")
        return Buffer(iova, command, length, cookie)

    def _check_length(self, length: int) -> None:
        if self.layout.length_bits == 16 and length > 0xFFFF:
            raise invalid(f"a length of {length} does not fit in the descriptor's 16 bits")

    def post_many(
        self, buffers: Array[Buffer] | Iterable[tuple[int, ...]], count: int | None = None
    ) -> int:
        """Post buffers in one call of C, as many as fit. Return: how many, from the first on.

        Args:
            buffers: tuples ``(iova, length, command, cookie)``, of which the later may be left out;
                or an array of :func:`buffers`, which is not built anew for each call.
            count: of an array: so many of it; None: all.
        """
        array = buffers if isinstance(buffers, Array) else self._array(buffers)
        if array._type_ is not Buffer:
            raise TypeError("the array is not one of vfiocore.ring.buffers()")
        count = len(array) if count is None else unsigned(count, 32, "the count")
        if count > len(array):
            raise invalid(f"{count} buffers of an array of {len(array)}", Reason.RANGE)
        if array is buffers:
            self._check_array(array, count)
        with self._lock:
            self._live()
            posted: int = lib.vfc_ring_post_many(self._at, self._layout_at, array, count)
        return posted

    def _array(self, given: Iterable[tuple[int, ...]]) -> Array[Buffer]:
        every = [self._buffer(*one) for one in given]
        return (Buffer * len(every))(*every)

    def _check_array(self, array: Array[Buffer], count: int) -> None:
        if not count:
            return
        with memoryview(array).cast("B").cast("I")[: count * _WORDS] as words:
            if _NONE in words[5::_WORDS]:
                raise invalid("the cookie 2^32-1 marks an id that is not with the device")
            self._check_length(max(words[4::_WORDS]))

    def report(self) -> None:
        """Ask for a completion that covers everything posted so far, where the layout has a bit for
        it. :meth:`kick` does it; long bursts do it in between."""
        with self._lock:
            self._live()
            lib.vfc_ring_report(self._at, self._layout_at)

    def kick(self) -> None:
        """Announce what was posted and ring the doorbell once, if there is anything and, with
        virtio, if the device asks for it."""
        with self._lock:
            self._live()
            lib.vfc_ring_kick(self._at, self._layout_at)

    # --- reaping ------------------------------------------------------------------------------

    def reap(self, count: int | None = None) -> list[Completion]:
        """Up to ``count`` completions that are there (None: all). Only what was announced by
        :meth:`kick` is looked at."""
        with self._lock:
            self._live()
            room = self._ring.room
            count = room if count is None else min(unsigned(count, 32, "the count"), room)
            if len(self._done) < count:
                self._done = completions(room)
            done = self._done
            n = lib.vfc_ring_reap(self._at, self._layout_at, done, count)
            return [Completion(one.cookie, one.length, one.control) for one in done[:n]]

    def reap_into(self, out: Array[NativeCompletion]) -> int:
        """Like :meth:`reap`, into an array of :func:`completions` and for its length. Return: how
        many."""
        if not isinstance(out, Array) or out._type_ is not NativeCompletion:
            raise TypeError("the array is not one of vfiocore.ring.completions()")
        with self._lock:
            self._live()
            n: int = lib.vfc_ring_reap(self._at, self._layout_at, out, len(out))
        return n

    @property
    def ready(self) -> bool:
        """Whether :meth:`reap` would find something, be it rubbish."""
        with self._lock:
            self._live()
            return bool(lib.vfc_ring_ready(self._at, self._layout_at))

    def arm(self) -> bool:
        """Let the next completion raise an interrupt, where that is said in memory (virtio).
        True: one is there already, so do not sleep."""
        with self._lock:
            self._live()
            return bool(lib.vfc_ring_arm(self._at, self._layout_at))

    def disarm(self) -> None:
        """Completions need not raise an interrupt."""
        with self._lock:
            self._live()
            lib.vfc_ring_disarm(self._at, self._layout_at)

    # --- a stopped device ---------------------------------------------------------------------

    def cancel(self) -> list[int]:
        """Take back what is posted from a device that is stopped. Return: the cookies, in the order
        of posting where the style has one. The ring is as new, the device must be told the same."""
        with self._lock:
            self._native()
            cookies = (c_uint32 * self._ring.room)()
            n: int = lib.vfc_ring_cancel(self._at, self._layout_at, cookies)
            return list(cookies[:n])

    def resize(self, entries: int) -> None:
        """Give an empty ring of a stopped device another number of entries; the IOVAs change, the
        counters go on.

        Raises:
            DeviceBusy: something is posted.
            InvalidArgument: no such number. The ring is as it was.
        """
        entries = unsigned(entries, 32, "the number of entries")
        with self._lock:
            self._native()
            check(lib.vfc_ring_resize(self._at, self._layout_at, entries))
            self._done = completions(0)

    # --- what it is ---------------------------------------------------------------------------

    def _field(self, name: str) -> int:
        self._native()
        value: int = getattr(self._ring, name)
        return value

    def _part(self, name: str) -> int:
        with self._lock:
            part = self._field(name)
            iova: int = lib.vfc_ring_iova(self._at, part)
        return iova

    @property
    def iova(self) -> int:
        """Where the device finds the descriptors."""
        return self._part("descriptors")

    @property
    def available_iova(self) -> int:
        """``SPLIT``: of the available ring. ``PACKED``: of the driver's event suppression."""
        return self._part("available")

    @property
    def completions_iova(self) -> int:
        """``HEAD``: of the index. ``PHASE``: of the completion queue. ``SPLIT``: of the used ring.
        ``PACKED``: of the device's event suppression."""
        return self._part("completions")

    @property
    def entries(self) -> int:
        """Descriptors."""
        return self._field("entries")

    @property
    def room(self) -> int:
        """How many can be posted at once."""
        return self._field("room")

    @property
    def used(self) -> int:
        """Posted and not reaped."""
        return self._field("used")

    @property
    def space(self) -> int:
        """How many more can be posted."""
        return self.room - self.used

    @property
    def doorbells(self) -> int:
        """Rung so far."""
        return self._field("doorbells")

    @property
    def errors(self) -> int:
        """Completions with one of the layout's error bits."""
        return self._field("errors")

    @property
    def malformed(self) -> int:
        """Things that the device wrote and that cannot be."""
        return self._field("malformed")

    def copy_descriptor(self, entry: int) -> bytes:
        """The bytes of a descriptor as it is now: for those who look for a fault."""
        entry, size = integer(entry, "the entry"), self.layout.size
        with self._lock:
            self._native()
            if not 0 <= entry < self._ring.entries:
                raise invalid(f"entry {entry} of {self._ring.entries}", Reason.RANGE)
            return string_at(self._ring.descriptors + entry * size, size)
