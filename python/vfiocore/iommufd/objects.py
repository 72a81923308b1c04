# SPDX-License-Identifier: MIT
"""What every object of an iommufd has. Public through vfiocore.iommufd."""

from __future__ import annotations

from ctypes import byref, c_uint32

from .._native.call import Closing, check, uncopied, unsigned
from .._native.loader import lib
from ..errors import closed, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._native.enums import InvalidateData
    from . import IommuFd


class IommuFdObject(Closing):
    """An object of an iommufd, destroyed by ``close()``. Context manager.

    Attributes:
        id: the kernel's, which the C functions take.
    """

    kind = "object"

    def __init__(self, iommufd: IommuFd, identity: int, *, own: bool = True) -> None:
        self.id = identity
        self._iommufd: IommuFd | None = iommufd
        self._own = own
        iommufd._objects.append(self)

    __reduce__ = uncopied

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._iommufd is None

    def _parent(self) -> IommuFd:
        if self._iommufd is None:
            raise closed(f"{self.kind} {self.id}")
        return self._iommufd

    def _native(self) -> int:
        """The iommufd's descriptor; raises ClosedError when the object is closed."""
        return self._parent().fileno()

    def close(self) -> None:
        """Destroy the object; a second call does nothing.

        Raises:
            DeviceBusy: another object or a device uses it.

        Source: vfc_iommufd_destroy() in vfiocore/iommufd.h.
        """
        if self._iommufd is None:
            return
        if self._own:
            self._destroy()
        self._iommufd._objects.remove(self)
        self._iommufd = None

    def _destroy(self) -> None:
        check(lib.vfc_iommufd_destroy(self._native(), self.id))

    def _refuse_closed(self) -> None:
        self._native()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}{', closed' if self.closed else ''}>"


def identity(thing: IommuFdObject | int) -> int:
    """The id of an object, or an id as it is."""
    if isinstance(thing, IommuFdObject):
        thing._native()
        return thing.id
    return unsigned(thing, 32, "the id")


def new_object(function: Any, *arguments: Any) -> int:
    """Call a function whose last argument receives a new object's id."""
    new = c_uint32()
    check(function(*arguments, byref(new)))
    return new.value


class Invalidated(IommuFdObject):
    """What has caches that the user's page tables fill."""

    def invalidate(self, kind: InvalidateData | int, entries: Sequence[bytes]) -> int:
        """Tell of changes to a nested page table, or to what a vIOMMU caches.

        Args:
            kind: whose the entries are.
            entries: of one length; the kernel's struct of that kind. None at all: ask whether the
                kind is known.

        Returns:
            How many were dealt with: all.

        Raises:
            VfioError: the message has the number of the entry that was refused; those before it
                have taken effect.

        Source: vfc_iommufd_invalidate() in vfiocore/iommufd.h.
        """
        size = len(entries[0]) if entries else 0
        if any(len(entry) != size for entry in entries):
            raise invalid("the entries are of different lengths")
        count, kind = c_uint32(len(entries)), unsigned(kind, 32, "the kind of data")
        fd, data = self._native(), b"".join(entries)
        check(lib.vfc_iommufd_invalidate(fd, self.id, kind, data, size, byref(count)))
        return count.value
