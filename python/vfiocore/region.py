# SPDX-License-Identifier: MIT
"""Regions of a device: BARs, expansion ROM, config space.

Every access is one call of an exported C function with exactly the width that is asked for: a
slice or a ctypes cast of a mapping may be split, merged or doubled by the interpreter's memcpy.

No access of a region ends the interpreter by SIGBUS. While a device is open the library has a
handler of that signal (vfiocore/nofault.h), which hands on what it has not caused itself: to
:mod:`faulthandler`, or a handler of yours. Install those before the first device is opened: a
handler that is installed later comes first, and would have to hand on likewise.
"""

from __future__ import annotations

from ctypes import (
    ArgumentError,
    byref,
    c_char,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
)
from operator import index as integer

from ._native.call import check, error, fileno, unsigned
from ._native.enums import Reason, RegionFlag, RegionIndex
from ._native.loader import lib
from ._native.structs import RegionArea, RegionInfo
from .errors import closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Never

    from .device import Device

__all__ = ["Region", "RegionFlag", "RegionIndex"]

_FOUR = c_uint32(4)
_WIDTHS = (1, 2, 4, 8)


class Region:
    """One region of an open device; get it from ``device.bar(0)`` or ``device.regions``.

    Attributes:
        index: the kernel's region index; BAR n has index n.
        name: ``"BAR0"``, ``"config"``; by its type, ``"edid"``; of a device tree; else
            ``"region 9"``.
        length: bytes; 0 when the device does not implement it.
        flags: what it allows, :class:`RegionFlag`.
        type, subtype: what a driver's own region is (linux/vfio.h); 0: its index says it all.

    The accessors, which raise what stands below, are thread-safe. Offsets are bytes from the
    region's start and a multiple of the access width; values are in host byte order.

    Raises:
        InvalidArgument: the value does not fit (also a ``ValueError``).
        Misaligned, OutOfRange: the offset.
        VfioError: EACCES when the region cannot be read or written.
        MemoryDecodingOff: the device does not answer to its BARs, or sleeps; also when that begins
            in the middle of the access, by another thread or process.
        DeviceGone: the device was pulled, or given back.
        ClosedError: the device is closed.
    """

    # All are replaced when the device is closed, so that the hot path has nothing to check.
    _load: Callable[..., int]
    _load_wide: Callable[..., int]
    _store: Callable[..., int]

    def __init__(self, device: Device, index: int) -> None:
        self._device = device
        self.index = index
        info = RegionInfo.sized()
        check(lib.vfc_region_info(device._native(), index, byref(info)))
        self.name: str = info.name.decode("utf-8", "replace")
        self.length: int = info.length
        self.type: int = info.type
        self.subtype: int = info.subtype
        self.flags = RegionFlag(info.flags & 7)
        # As ctypes objects once and for all: converting a number costs 50 ns a call.
        self._handle = c_void_p(device._native())
        self._index = c_uint32(index)
        self._connect()

    def _connect(self) -> None:
        self._load = lib.vfc_region_load
        self._load_wide = lib.vfc_region_read
        self._store = lib.vfc_region_write

    @property
    def mappable(self) -> bool:
        """True when the kernel lets it be mapped, so that an access costs no system call."""
        return RegionFlag.MMAP in self.flags

    @property
    def areas(self) -> tuple[tuple[int, int], ...]:
        """The parts that can be mapped, as offset and length; accesses elsewhere in the region go
        through the kernel.

        Source: vfc_region_areas() in vfiocore/region.h.
        """
        handle = self._device._native()
        room = (RegionArea * check(lib.vfc_region_areas(handle, self.index, None, 0)))()
        check(lib.vfc_region_areas(handle, self.index, room, len(room)))
        return tuple((area.offset, area.length) for area in room)

    def __len__(self) -> int:
        return self.length

    def __bool__(self) -> bool:
        return self.length > 0

    def __repr__(self) -> str:
        flags = "|".join(str(flag.name).lower() for flag in RegionFlag if flag in self.flags)
        what = f"{self.length:#x} bytes, {flags}" if self.length else "not implemented"
        return f"<{type(self).__name__} {self._device.name} {self.name}: {what}>"

    def _invalidate(self) -> None:
        """The device was closed: every access from now on says so."""

        def refuse(*_: Any) -> Never:
            raise closed(f"device {self._device.name}")

        self._load = self._load_wide = self._store = refuse

    def read8(self, offset: int) -> int:
        """Read 8 bits."""
        return self.read(offset, 1)

    def read16(self, offset: int) -> int:
        """Read 16 bits."""
        return self.read(offset, 2)

    def read32(self, offset: int) -> int:
        """Read 32 bits."""
        # Written out: this is what bring-up scripts call in loops.
        try:
            value = self._load(self._handle, self._index, offset, _FOUR)
        except ArgumentError:  # which is no TypeError, and does not say what is wrong
            value = self._load(self._handle, self._index, integer(offset), _FOUR)
        if value < 0 or offset > self.length:
            self._explain(value, offset)
        return value

    def read64(self, offset: int) -> int:
        """Read 64 bits."""
        return self.read(offset, 8)

    def write8(self, offset: int, value: int) -> None:
        """Write 8 bits."""
        self.write(offset, 1, value)

    def write16(self, offset: int, value: int) -> None:
        """Write 16 bits."""
        self.write(offset, 2, value)

    def write32(self, offset: int, value: int) -> None:
        """Write 32 bits."""
        self.write(offset, 4, value)

    def write64(self, offset: int, value: int) -> None:
        """Write 64 bits."""
        self.write(offset, 8, value)

    def read(self, offset: int, width: int) -> int:
        """Read ``width`` bytes, 1, 2, 4 or 8, as one access.

        Source: vfc_region_read(), vfc_region_load() in vfiocore/region.h.
        """
        offset, width = integer(offset), integer(width)
        if width != 8:
            value = self._load(self._handle, self._index, offset, width)
            if value < 0 or offset > self.length:
                self._explain(value, offset)
            return value
        wide = c_uint64()
        rc = self._load_wide(self._handle, self._index, offset, width, byref(wide))
        if rc or offset > self.length:
            self._explain(rc, offset)
        return wide.value

    def write(self, offset: int, width: int, value: int) -> None:
        """Write ``width`` bytes, 1, 2, 4 or 8, as one access.

        Source: vfc_region_write() in vfiocore/region.h.
        """
        offset, value = integer(offset), integer(value)
        if width not in _WIDTHS:
            raise invalid(f"an access is 1, 2, 4 or 8 bytes wide, not {width}")
        if value < 0 or value >> (width << 3):
            raise invalid(f"{value:#x} does not fit in {8 * width} bits")
        if not 0 <= offset <= self.length:
            raise invalid(f"offset {offset:#x} is outside of {self!r}", Reason.RANGE)
        rc = self._store(self._handle, self._index, offset, width, value)
        if rc:
            raise error(rc)

    def ioeventfd(self, fd: int | None, offset: int, width: int, value: int) -> None:
        """From now on the kernel writes ``value`` each time the eventfd ``fd`` is raised: by
        another thread or process, or by KVM. Of BARs; closing the device ends it.

        Args:
            fd: the caller's; None: no more, for the same register, width and value.
            width: bytes: 1, 2, 4 or 8.

        Raises:
            VfioError: EEXIST: there is one; ENOENT: there is none to end.
            Unsupported: the transport; 8 bytes on some kernels.

        Source: vfc_region_ioeventfd() in vfiocore/region.h.
        """
        check(
            lib.vfc_region_ioeventfd(
                self._device._native(),
                self.index,
                unsigned(offset, 64, "the offset"),
                unsigned(width, 32, "the width"),
                unsigned(value, 64, "the value"),
                -1 if fd is None else fileno(fd),
            )
        )

    def modify32(self, offset: int, clear: int, set: int) -> int:
        """Read 32 bits, clear some, set some, write them back. Return: what was written.

        Two accesses: not atomic against other threads or the device.
        """
        value = self.read32(offset) & ~unsigned(clear, 32, "the mask") | unsigned(set, 32, "bits")
        self.write32(offset, value)
        return value

    def read_block(self, offset: int, length: int) -> bytes:
        """Read ``length`` bytes. The kernel chooses the access widths, so this is for config
        space, ROM and memory-like BARs, not for registers.

        Source: vfc_region_read_block() in vfiocore/region.h.
        """
        handle = self._device._native()
        offset, length = integer(offset), integer(length)
        self._check_span(offset, length)
        data = create_string_buffer(length)
        check(lib.vfc_region_read_block(handle, self.index, offset, data, length))
        return data.raw

    def read_into(self, offset: int, buffer: Any) -> int:
        """Like :meth:`read_block`, into a writable buffer and for its length. Return: bytes."""
        handle = self._device._native()
        offset = integer(offset)
        with memoryview(buffer) as view:
            length = view.nbytes
            self._check_span(offset, length)
            data = (c_char * length).from_buffer(view)
            check(lib.vfc_region_read_block(handle, self.index, offset, data, length))
            del data  # it exports the view, which could not be released otherwise
        return length

    def write_block(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes; see :meth:`read_block` for what it is good for.

        Source: vfc_region_write_block() in vfiocore/region.h.
        """
        handle = self._device._native()
        offset = integer(offset)
        self._check_span(offset, memoryview(data).nbytes)
        copy = bytes(data)
        check(lib.vfc_region_write_block(handle, self.index, offset, copy, len(copy)))

    def _check_span(self, offset: int, length: int) -> None:
        # ctypes would wrap such numbers around, and allocating comes before C's own check.
        if offset < 0 or length < 0 or offset + length > self.length:
            end = offset + length
            raise invalid(f"{offset:#x}..{end:#x} is outside of {self!r}", Reason.RANGE)

    def _explain(self, rc: int, offset: int) -> None:
        """Raise for a failed access. ctypes cuts an offset to 64 bits, so that one beyond may
        have succeeded somewhere else."""
        if rc < 0:
            raise error(rc)
        raise invalid(f"offset {offset:#x} is outside of {self!r}", Reason.RANGE)
