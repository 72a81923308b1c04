# SPDX-License-Identifier: MIT
"""What a virtual machine gets of an IOMMU. Public through vfiocore.iommufd."""

from __future__ import annotations

from ctypes import byref, c_int, c_uint32

from .._native.call import check, unsigned
from .._native.loader import lib
from ..errors import invalid
from .objects import Invalidated, IommuFdObject, identity, new_object
from .queues import EVENT_SIZES, EventQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.enums import EventType, HwQueueType


class Vdevice(IommuFdObject):
    """A device as a virtual machine knows it: from :meth:`Viommu.vdevice`."""

    kind = "vdevice"


class HwQueue(IommuFdObject):
    """A queue that the hardware reads from a virtual machine's memory."""

    kind = "hardware queue"


class Viommu(Invalidated):
    """The part of an IOMMU that one virtual machine gets: from :meth:`IommuFd.viommu`."""

    kind = "viommu"

    def vdevice(self, device: int, virtual_id: int) -> Vdevice:
        """A device, by the number that the machine knows it by. Close it before the device.

        Raises:
            DeviceBusy: the device has one, or the number is taken.

        Source: vfc_iommufd_vdevice_alloc() in vfiocore/iommufd.h.
        """
        ids = self.id, identity(device), unsigned(virtual_id, 64, "the virtual id")
        new = new_object(lib.vfc_iommufd_vdevice_alloc, self._native(), *ids)
        return Vdevice(self._parent(), new)

    def event_queue(
        self, kind: EventType | int, *, depth: int = 256, data_size: int | None = None
    ) -> EventQueue:
        """A queue for its events of one type.

        Args:
            depth: events that it holds; more are lost.
            data_size: bytes of an event's data; by default what the type has.

        Raises:
            DeviceBusy: there is one for that type.

        Source: vfc_iommufd_event_queue_alloc() in vfiocore/iommufd.h.
        """
        size = EVENT_SIZES.get(int(kind)) if data_size is None else data_size
        if not size or not 0 < size <= 65536:
            raise invalid(f"give the data_size of events of the type {int(kind)}, 1 to 65536 bytes")
        what = unsigned(kind, 32, "the type"), unsigned(depth, 32, "the depth")
        new, fd, parent = c_uint32(), c_int(), self._parent()
        function = lib.vfc_iommufd_event_queue_alloc
        check(function(self._native(), self.id, *what, byref(new), byref(fd)))
        return EventQueue(parent, new.value, fd.value, size)

    def hw_queue(self, kind: HwQueueType | int, index: int, iova: int, length: int) -> HwQueue:
        """A queue in memory that is mapped at ``iova`` and physically contiguous.

        Source: vfc_iommufd_hw_queue_alloc() in vfiocore/iommufd.h.
        """
        what = unsigned(kind, 32, "the type"), unsigned(index, 32, "the index")
        where = unsigned(iova, 64, "IOVA"), unsigned(length, 64, "the length")
        function = lib.vfc_iommufd_hw_queue_alloc
        return HwQueue(self._parent(), new_object(function, self._native(), self.id, *what, *where))
