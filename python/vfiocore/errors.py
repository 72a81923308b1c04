# SPDX-License-Identifier: MIT
"""Errors: one class for each thing that people catch, all of them :class:`VfioError`.

They carry the record that libvfiocore keeps of a thread's latest failure (vfiocore/error.h): what
was attempted, which system call refused, on which object, and a hint computed from the system's
state. Where Python has a class for the same thing (``TimeoutError``, ``PermissionError``,
``ValueError``, ``IndexError``) the error is one of those too.
"""

from __future__ import annotations

import os
from errno import EBADF, EINVAL

from ._native.enums import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BadMemory",
    "ClosedError",
    "DeviceBusy",
    "DeviceGone",
    "EntryLimit",
    "HugePageWarning",
    "InvalidArgument",
    "IovaError",
    "Malformed",
    "MemlockLimit",
    "MemoryDecodingOff",
    "Misaligned",
    "NoDevice",
    "NoDriver",
    "NoIommu",
    "NotViable",
    "OutOfIova",
    "OutOfRange",
    "PermissionDenied",
    "Reason",
    "Unsupported",
    "VfioError",
    "WaitTimeout",
]


class VfioError(OSError):
    """A call of libvfiocore failed.

    ``str()`` of it is one line: what failed, why, and what to do about it.

    Attributes:
        errno, strerror: as in every ``OSError``.
        reason: why, where that is more than errno says.
        operation: the public C function, ``"vfc_iommu_map"``.
        call: the system call or ioctl, ``"VFIO_IOMMU_MAP_DMA"``; may be empty.
        object: the device, group or path; may be empty.
        iova, length: of a mapping, in bytes; 0 where there is none. The text tells an IOVA 0, too.
        hint: cause and cure; may be empty.
    """

    def __init__(
        self,
        errno: int,
        text: str,
        *,
        reason: Reason = Reason.NONE,
        operation: str = "",
        call: str = "",
        object: str = "",
        iova: int = 0,
        length: int = 0,
        hint: str = "",
    ) -> None:
        super().__init__(errno, os.strerror(errno))
        self.text = text
        self.reason = reason
        self.operation = operation
        self.call = call
        self.object = object
        self.iova = iova
        self.length = length
        self.hint = hint

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError would rebuild itself from (errno, strerror) and lose the record.
        return (_restore, (type(self), self.errno, self.text), self.__dict__)


def _restore(kind: type[VfioError], errno: int, text: str) -> VfioError:
    return kind(errno, text)


class InvalidArgument(VfioError, ValueError):
    """An argument is invalid in itself."""


class Misaligned(InvalidArgument):
    """An address, offset or length is not aligned as the device or the IOMMU needs it."""


class OutOfRange(InvalidArgument, IndexError):
    """An index or offset lies outside of the object."""


class ClosedError(InvalidArgument):
    """The object was closed before."""


class NoDevice(VfioError):
    """There is no such device."""


class NoDriver(VfioError):
    """No VFIO driver: its module is missing, or the device is bound to another driver."""


class NoIommu(VfioError):
    """The device has no IOMMU group."""


class NotViable(VfioError):
    """Another device of the same IOMMU group is held by a host driver."""


class DeviceBusy(VfioError):
    """Somebody else, or an open child object, holds it."""


class PermissionDenied(VfioError, PermissionError):
    """The caller may not open the device's node."""


class MemlockLimit(VfioError):
    """Mapping would exceed the locked-memory limit, ``ulimit -l``."""


class EntryLimit(VfioError):
    """The kernel's limit on the number of mappings is reached."""


class IovaError(VfioError):
    """The IOVA is outside of the windows, or mapped already."""


class OutOfIova(VfioError):
    """No free IOVA range satisfies the request."""


class BadMemory(VfioError):
    """The memory is not mapped in this process, or not writable."""


class DeviceGone(VfioError):
    """The device answers with all ones: it was unplugged, or is in reset."""


class MemoryDecodingOff(VfioError):
    """The device does not answer to its BARs: memory decoding is off, or it sleeps (D3)."""


class Malformed(VfioError):
    """A device or the kernel handed over something impossible."""


class WaitTimeout(VfioError, TimeoutError):
    """The time that the caller gave has passed."""


class Unsupported(VfioError):
    """This device, kernel or transport cannot do it."""


class HugePageWarning(UserWarning):
    """Too few huge pages are free: smaller ones were taken. A warning, and no error."""


BY_REASON: dict[Reason, type[VfioError]] = {
    Reason.ARGUMENT: InvalidArgument,
    Reason.ALIGNMENT: Misaligned,
    Reason.RANGE: OutOfRange,
    Reason.NO_DEVICE: NoDevice,
    Reason.NO_DRIVER: NoDriver,
    Reason.NO_IOMMU: NoIommu,
    Reason.NOT_VIABLE: NotViable,
    Reason.BUSY: DeviceBusy,
    Reason.PERMISSION: PermissionDenied,
    Reason.MEMLOCK: MemlockLimit,
    Reason.ENTRY_LIMIT: EntryLimit,
    Reason.IOVA: IovaError,
    Reason.OUT_OF_IOVA: OutOfIova,
    Reason.BAD_MEMORY: BadMemory,
    Reason.GONE: DeviceGone,
    Reason.MALFORMED: Malformed,
    Reason.TIMEOUT: WaitTimeout,
    Reason.UNSUPPORTED: Unsupported,
    Reason.DECODING: MemoryDecodingOff,
}


def invalid(text: str, reason: Reason = Reason.ARGUMENT) -> VfioError:
    """An error found on the Python side of the fence, before C was called."""
    return BY_REASON[reason](EINVAL, text, reason=reason, hint=text)


def closed(what: str) -> ClosedError:
    """The error of using an object after its ``close()``."""
    text = f"{what} is closed"
    return ClosedError(EBADF, text, reason=Reason.ARGUMENT, object=what, hint=text)
