# SPDX-License-Identifier: MIT
"""Power: a device in the low power of the kernel's runtime management.

Source: vfiocore/power.h.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from errno import ETIMEDOUT

from ._native.call import SLICE_NS, Closing, check, nanoseconds
from ._native.enums import PowerState, Reason
from ._native.loader import lib
from .errors import ClosedError, DeviceGone, WaitTimeout, closed

TYPE_CHECKING = False
if TYPE_CHECKING:

    from .device import Device

__all__ = ["LowPower", "PowerState"]


class LowPower(Closing):
    """A device in low power: from ``device.low_power()``. Closing it ends that. Context manager.

    Accesses of registers go through the kernel meanwhile, and wake the device: with ``wakeup``
    for good, without for as long as they take.
    """

    def __init__(self, device: Device, *, wakeup: bool = False) -> None:
        self._device = device
        self._open = True
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) if wakeup else -1
        try:
            check(lib.vfc_power_low_enter(device._native(), self._eventfd))
        except BaseException:
            self._close_eventfd()
            raise
        device._children.append(self)

    def _close_eventfd(self) -> None:
        if self._eventfd >= 0:
            os.close(self._eventfd)
        self._eventfd = -1

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return not self._open

    def fileno(self) -> int:
        """Readable once the device was woken up; it belongs to this object.

        Raises:
            ClosedError: it is closed, or was entered without ``wakeup``.
        """
        if self._eventfd < 0:
            raise closed("low power without wake-up" if self._open else "low power")
        return self._eventfd

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the device was woken up: by an access, or by itself. Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Raises:
            WaitTimeout: it was not woken up in time.
            ClosedError: entered without ``wakeup``.
        """
        total = nanoseconds(timeout)
        deadline = None if total is None else time.monotonic_ns() + total
        while True:
            left = SLICE_NS if deadline is None else deadline - time.monotonic_ns()
            seconds = min(max(left, 0), SLICE_NS) / 1e9
            if select.select([self.fileno()], [], [], seconds)[0]:
                return
            if deadline is not None and left <= SLICE_NS:
                text = f"{self._device.name} was not woken up in that time"
                raise WaitTimeout(ETIMEDOUT, text, reason=Reason.TIMEOUT, hint=text)

    def close(self) -> None:
        """End it, also when the device was woken up. A second call does nothing.

        Source: vfc_power_low_exit() in vfiocore/power.h.
        """
        if not self._open:
            return
        with suppress(DeviceGone, ClosedError):  # then there is nothing to end any more
            check(lib.vfc_power_low_exit(self._device._native()))
        self._open = False
        self._close_eventfd()
        if self in self._device._children:
            self._device._children.remove(self)

    def _refuse_closed(self) -> None:
        if not self._open:
            raise closed("low power")

    def __repr__(self) -> str:
        return f"<LowPower {self._device.name}{'' if self._open else ' closed'}>"
