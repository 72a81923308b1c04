# SPDX-License-Identifier: MIT
"""The queues of an iommufd, and what comes out of them. Public through vfiocore.iommufd."""

from __future__ import annotations

import os
from ctypes import byref, c_uint32, create_string_buffer

from .._native.call import check, nanoseconds, unsigned
from .._native.enums import EventFlag, FaultAccess, FaultFlag, ResponseCode
from .._native.loader import lib
from .._native.structs import Fault, Response
from .._native.structs import IommuFdEvent as NativeEvent
from .._record import Record
from .objects import IommuFdObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import IommuFd

# Of events, by EventType: bytes of data (include/uapi/linux/iommufd.h, struct iommu_vevent_...).
EVENT_SIZES = {1: 32, 2: 16}


class PageFault(Record):
    """A page that a device asked for and that is not mapped.

    Attributes:
        device: its id.
        pasid: None when the request was made without one.
        group: the device's number for requests that belong together.
        access: what it wanted to do.
        address: IOVA.
        length: bytes that it expects to want; 0: it does not say.
        cookie: what :meth:`FaultQueue.respond` takes.
        last: whether it is the last of its group, the one that is answered.
    """

    device: int
    pasid: int | None
    group: int
    access: FaultAccess
    address: int
    length: int
    cookie: int
    last: bool


class Event(Record):
    """An event of a vIOMMU.

    Attributes:
        sequence: its number, 0 to 2**31 - 1, then 0 again.
        lost: how many are missing between the one before and this one.
        data: the IOMMU's record; empty when there is no event but only word of a loss.
    """

    sequence: int
    lost: int
    data: bytes


class Queue(IommuFdObject):
    """An object with a descriptor that can be read when there is something."""

    def __init__(self, iommufd: IommuFd, identity: int, descriptor: int) -> None:
        self._descriptor = descriptor
        super().__init__(iommufd, identity)

    def fileno(self) -> int:
        """The descriptor, for ``select`` and event loops; it belongs to the queue."""
        self._native()
        return self._descriptor

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is something to read. Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Returns:
            Whether there is.
        """
        import select

        nanoseconds(timeout)  # refuses a negative one
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _destroy(self) -> None:
        # The kernel keeps the object as long as its descriptor is open.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        super()._destroy()


def _page_fault(fault: Fault) -> PageFault:
    has_pasid = fault.flags & FaultFlag.PASID
    return PageFault(
        device=fault.device,
        pasid=fault.pasid if has_pasid else None,
        group=fault.group,
        access=FaultAccess(fault.access & 15),
        address=fault.address,
        length=fault.length,
        cookie=fault.cookie,
        last=bool(fault.flags & FaultFlag.LAST),
    )


class FaultQueue(Queue):
    """Page faults of the devices at the page tables that were made with it."""

    kind = "fault queue"

    def read(self, count: int = 64) -> list[PageFault]:
        """Take up to ``count`` faults out; without waiting. Those of a group come together.

        Raises:
            InvalidArgument: the next group has more than ``count``.
            Malformed: the kernel handed over something impossible.

        Source: vfc_iommufd_faults() in vfiocore/iommufd.h.
        """
        faults = (Fault * unsigned(count, 16, "the number of faults"))()
        taken = check(lib.vfc_iommufd_faults(self.fileno(), faults, count))
        return [_page_fault(fault) for fault in faults[:taken]]

    def respond(self, fault: PageFault | int, *, success: bool = True) -> None:
        """Answer a group of faults, once, by the last of them or its cookie.

        Args:
            success: True: the page is mapped now, and the device tries again; False: it gives up.

        Raises:
            InvalidArgument: no group waits for an answer to that cookie.

        Source: vfc_iommufd_respond() in vfiocore/iommufd.h.
        """
        cookie = fault.cookie if isinstance(fault, PageFault) else unsigned(fault, 32, "cookie")
        code = ResponseCode.SUCCESS if success else ResponseCode.INVALID
        check(lib.vfc_iommufd_respond(self.fileno(), byref(Response(cookie, code)), 1))


class EventQueue(Queue):
    """Events of one type from a vIOMMU: from :meth:`Viommu.event_queue`."""

    kind = "event queue"

    def __init__(self, iommufd: IommuFd, identity: int, descriptor: int, data_size: int) -> None:
        self._data_size = data_size
        self._next = c_uint32()
        super().__init__(iommufd, identity, descriptor)

    def read(self, count: int = 64) -> list[Event]:
        """Take up to ``count`` events out; without waiting.

        Raises:
            InvalidArgument: events have more data than ``data_size``.
            Malformed: the kernel handed over something impossible.

        Source: vfc_iommufd_events() in vfiocore/iommufd.h.
        """
        size = self._data_size
        events = (NativeEvent * unsigned(count, 16, "the number of events"))()
        data = create_string_buffer(max(1, count * size))
        queue, after = self.fileno(), byref(self._next)
        taken = check(lib.vfc_iommufd_events(queue, size, after, events, data, count))
        return [
            Event(
                event.sequence,
                event.lost,
                b"" if event.flags & EventFlag.LOST else data.raw[n * size : (n + 1) * size],
            )
            for n, event in enumerate(events[:taken])
        ]
