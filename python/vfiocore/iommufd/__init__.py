# SPDX-License-Identifier: MIT
"""iommufd's own objects: address spaces, page tables, fault queues, vIOMMUs.

For what :class:`vfiocore.Iommu` does not do. Each method stands for one request of the kernel's;
vfiocore/iommufd.h says what it does exactly, and with which Linux it came.

>>> with IommuFd() as iommufd, iommufd.ioas() as ioas:
...     iova = ioas.map(memory)

An object is made by its parent, is a context manager, and is destroyed by ``close()``, which a
second time does nothing; while it is in use that raises :class:`DeviceBusy`. A device is an id,
such as :func:`bind` returns. Lengths and addresses are bytes.

What every method can raise: :class:`ClosedError`; :class:`Unsupported` (the kernel is older, or the
IOMMU cannot do it: the message tells); :class:`InvalidArgument`; and :class:`VfioError` with errno
ENOENT for an id that does not exist (any more).
"""

from __future__ import annotations

import os
from ctypes import addressof, byref, c_int, c_uint32, c_uint64, create_string_buffer

from .._native.call import Closing, check, uncopied, unsigned
from .._native.enums import (
    EventType,
    FaultAccess,
    HwCapability,
    HwptData,
    HwptFlag,
    HwQueueType,
    HwType,
    InvalidateData,
    IommuFdOption,
    ViommuType,
)
from .._native.loader import lib
from .._native.structs import HwInfo as NativeHwInfo
from .._native.structs import HwptOpts
from ..errors import closed, invalid
from ..mapping import export
from .hwpt import HwInfo, Hwpt
from .ioas import Ioas, PhysicalRange
from .objects import IommuFdObject, identity, new_object
from .queues import Event, EventQueue, FaultQueue, PageFault
from .viommu import HwQueue, Vdevice, Viommu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Event",
    "EventQueue",
    "EventType",
    "FaultAccess",
    "FaultQueue",
    "HwCapability",
    "HwInfo",
    "HwQueue",
    "HwQueueType",
    "HwType",
    "Hwpt",
    "HwptData",
    "InvalidateData",
    "Ioas",
    "IommuFd",
    "PageFault",
    "PhysicalRange",
    "Vdevice",
    "Viommu",
    "ViommuType",
    "attach",
    "bind",
    "detach",
]


class IommuFd(Closing):
    """An iommufd. Context manager.

    Args:
        fd: one that is open already, which stays its owner's and is not closed here; by default
            a new one.

    Raises:
        Unsupported: the kernel has no iommufd.
        PermissionDenied: the node /dev/iommu is not yours.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._own = fd is None
        self._fd = check(lib.vfc_iommufd_open()) if fd is None else unsigned(fd, 31, "descriptor")
        self._objects: list[IommuFdObject] = []

    __reduce__ = uncopied

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._fd < 0

    def fileno(self) -> int:
        """The descriptor; also for ``mmap`` at an offset that a vIOMMU's data has."""
        if self._fd < 0:
            raise closed("the iommufd")
        return self._fd

    def close(self) -> None:
        """Destroy the objects that were made here, the youngest first, and close the descriptor.

        Raises:
            DeviceBusy: one of them is in use, by a device perhaps; the older ones are left open.
        """
        if self._fd < 0:
            return
        for thing in reversed(self._objects[:]):
            thing.close()
        fd, self._fd = self._fd, -1
        if self._own:
            os.close(fd)

    def destroy(self, identity: int) -> None:
        """Destroy an object by its id, such as one whose owner is gone."""
        check(lib.vfc_iommufd_destroy(self.fileno(), unsigned(identity, 32, "the id")))

    def _option(self, option: IommuFdOption, thing: int) -> int:
        value = c_uint64()
        check(lib.vfc_iommufd_option_get(self.fileno(), option, thing, byref(value)))
        return value.value

    def _set_option(self, option: IommuFdOption, thing: int, value: int) -> None:
        check(lib.vfc_iommufd_option_set(self.fileno(), option, thing, value))

    @property
    def counts_by_process(self) -> bool:
        """Whether pinned memory counts against the limit of the process; else of the user.

        It is set before there is any object (else :class:`DeviceBusy`), and by root.
        """
        return bool(self._option(IommuFdOption.RLIMIT_MODE, 0))

    @counts_by_process.setter
    def counts_by_process(self, on: bool) -> None:
        self._set_option(IommuFdOption.RLIMIT_MODE, 0, int(on))

    @property
    def compat_ioas(self) -> int | None:
        """The id of the address space that a group gets whose container this is; None: none.

        It can be set to an :class:`Ioas`, an id, or None.
        """
        from errno import ENODEV

        new = c_uint32()
        rc = lib.vfc_iommufd_compat_get(self.fileno(), byref(new))
        if rc == -ENODEV:
            return None
        check(rc)
        return new.value

    @compat_ioas.setter
    def compat_ioas(self, ioas: Ioas | int | None) -> None:
        if ioas is None:
            check(lib.vfc_iommufd_compat_clear(self.fileno()))
        else:
            check(lib.vfc_iommufd_compat_set(self.fileno(), identity(ioas)))

    def change_process(self) -> None:
        """What is pinned counts for this process from now on, as after a hand-over.

        Raises:
            InvalidArgument: something else than files is mapped.
            MemlockLimit.

        Source: vfc_iommufd_change_process() in vfiocore/iommufd.h.
        """
        check(lib.vfc_iommufd_change_process(self.fileno()))

    def ioas(self, id: int | None = None) -> Ioas:
        """A new address space; or the one of that id, which ``close()`` does not destroy."""
        if id is not None:
            return Ioas(self, unsigned(id, 32, "the id"), own=False)
        return Ioas(self, new_object(lib.vfc_iommufd_ioas_alloc, self.fileno()))

    def fault_queue(self) -> FaultQueue:
        """A queue for page faults, for :meth:`hwpt`.

        Source: vfc_iommufd_fault_queue_alloc() in vfiocore/iommufd.h.
        """
        new, fd = c_uint32(), c_int()
        check(lib.vfc_iommufd_fault_queue_alloc(self.fileno(), byref(new), byref(fd)))
        return FaultQueue(self, new.value, fd.value)

    def hw_info(self, device: int, type: HwType | int = HwType.NONE) -> HwInfo:
        """The IOMMU behind a device.

        Args:
            type: whose info is wanted; by default the IOMMU's own.

        Raises:
            Unsupported: there is no IOMMU, or no info of that type.

        Source: vfc_iommufd_hw_info() in vfiocore/iommufd.h.
        """
        room = create_string_buffer(256)
        info = NativeHwInfo.sized(type=unsigned(type, 32, "the type"))
        ids = self.fileno(), identity(device)
        check(lib.vfc_iommufd_hw_info(*ids, byref(info), room, len(room)))
        known = [kind for kind in HwType if kind == info.type]
        return HwInfo(
            type=known[0] if known else info.type,
            capabilities=HwCapability(info.capabilities & 15),
            pasid_bits=info.pasid_bits,
            data=room.raw[: min(info.data_length, len(room))],
        )

    def hwpt(
        self,
        device: int,
        parent: Ioas | Hwpt | Viommu | int,
        *,
        nest_parent: bool = False,
        dirty_tracking: bool = False,
        pasid: bool = False,
        faults: FaultQueue | None = None,
        kind: HwptData | int = HwptData.NONE,
        data: bytes = b"",
    ) -> Hwpt:
        """A page table of the hardware behind ``device``.

        Args:
            parent: the address space whose mappings it has and follows; or, for a nested one, a
                page table with ``nest_parent``, or a vIOMMU.
            nest_parent: others may nest on it.
            dirty_tracking: it can tell what devices write.
            pasid: PASIDs of a device can be attached to it.
            faults: gets its page faults.
            kind, data: of a nested one, the kernel's ``struct iommu_hwpt_...``.

        Raises:
            Unsupported: the message says what this IOMMU cannot do.
            MemlockLimit, BadMemory: pinning what the address space has mapped.

        Source: vfc_iommufd_hwpt_alloc() in vfiocore/iommufd.h.
        """
        flags = HwptFlag.NEST_PARENT if nest_parent else HwptFlag(0)
        flags |= HwptFlag.DIRTY_TRACKING if dirty_tracking else HwptFlag(0)
        flags |= HwptFlag.PASID if pasid else HwptFlag(0)
        memory = create_string_buffer(data, len(data) or 1)
        opts = HwptOpts.sized(
            flags=flags,
            fault=0 if faults is None else identity(faults),
            data_type=unsigned(kind, 32, "the kind of data"),
            data_length=len(data),
            data=addressof(memory) if data else None,
        )
        ids = self.fileno(), identity(device), identity(parent)
        return Hwpt(self, new_object(lib.vfc_iommufd_hwpt_alloc, *ids, byref(opts)))

    def viommu(
        self, device: int, parent: Hwpt | int, kind: ViommuType | int, data: Any = None
    ) -> Viommu:
        """The part of the IOMMU behind ``device`` that one virtual machine gets.

        Args:
            parent: the machine's memory, made with ``nest_parent``.
            data: a writable buffer, in and out: the kernel's ``struct iommu_viommu_...``.

        Raises:
            Unsupported: this IOMMU has none of that kind.

        Source: vfc_iommufd_viommu_alloc() in vfiocore/iommufd.h.
        """
        ids = self.fileno(), identity(device), identity(parent), unsigned(kind, 32, "the kind")
        memory = None if data is None else export(data)
        length = 0 if memory is None else len(memory)
        return Viommu(self, new_object(lib.vfc_iommufd_viommu_alloc, *ids, memory, length))

    def _refuse_closed(self) -> None:
        self.fileno()

    def __repr__(self) -> str:
        if self.closed:
            return "<IommuFd, closed>"
        return f"<IommuFd, descriptor {self._fd}: {self._objects!r}>"


def _fileno(device: Any) -> int:
    fd = device.fileno() if hasattr(device, "fileno") else device
    return unsigned(fd, 31, "the descriptor")


def _token(token: bytes | None) -> bytes | None:
    if token is None:
        return None
    if not isinstance(token, bytes):
        raise TypeError(f"a token is bytes (uuid.UUID(...).bytes), not {type(token).__name__}")
    if len(token) != 16:
        raise invalid(f"a token has 16 bytes, not {len(token)} (uuid.UUID(...).bytes)")
    return token


def bind(device: Any, iommufd: IommuFd, *, token: bytes | None = None) -> int:
    """Make a VFIO device one of an iommufd's. Return: its id there. Closing the device undoes it.

    Args:
        device: an open /dev/vfio/devices/vfioN, or its descriptor.
        token: 16 bytes, the UUID that guards a virtual function.

    Raises:
        DeviceBusy: it is open elsewhere.
        PermissionDenied: the token; or interrupts are not isolated here.

    Source: vfc_iommufd_bind() in vfiocore/iommufd.h.
    """
    if not isinstance(iommufd, IommuFd):
        raise TypeError(f"iommufd is an IommuFd, not {type(iommufd).__name__}")
    ids = _fileno(device), iommufd.fileno()
    return new_object(lib.vfc_iommufd_bind, *ids, _token(token))


def _pasid(pasid: int | None) -> int:
    return -1 if pasid is None else unsigned(pasid, 31, "PASID")


def attach(device: Any, page_table: Ioas | Hwpt | int, *, pasid: int | None = None) -> int:
    """Let a device that was bound, or one PASID of it, use a page table in place of the one before.

    Args:
        page_table: an address space gets one made by the kernel.

    Returns:
        The id of the page table.

    Raises:
        IovaError: something is mapped or allowed at IOVAs that this device cannot use.

    Source: vfc_iommufd_attach() in vfiocore/iommufd.h.
    """
    table = c_uint32(identity(page_table))
    check(lib.vfc_iommufd_attach(_fileno(device), byref(table), _pasid(pasid)))
    return table.value


def detach(device: Any, *, pasid: int | None = None) -> None:
    """Undo :func:`attach`: the device's DMA is blocked. Fine when nothing is attached.

    Source: vfc_iommufd_detach() in vfiocore/iommufd.h.
    """
    check(lib.vfc_iommufd_detach(_fileno(device), _pasid(pasid)))
