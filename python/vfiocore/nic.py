# SPDX-License-Identifier: MIT
"""Network interfaces: send and receive Ethernet frames by a driver in this process.

A frame is the bytes from destination address to payload's end, without FCS.
"""

from __future__ import annotations

import select
import time
from ctypes import byref, c_char, string_at
from errno import EAGAIN, ETIMEDOUT
from threading import Lock

from ._bursts import Bursting
from ._native.call import (
    SLICE_NS,
    check,
    error,
    nanoseconds,
    native,
    open_handle,
    unsigned,
    wait,
)
from ._native.enums import NicFlag, Reason
from ._native.loader import lib
from ._native.structs import NicInfo, NicLink, NicOpts
from ._native.structs import NicStats as NativeNicStats
from ._octets import format_mac, frame_bytes, mac_bytes
from ._record import Record
from ._text import plural
from .errors import WaitTimeout, closed
from .packets import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._octets import Frame
    from ._wait import Readers
    from .device import Device


__all__ = ["LinkState", "Nic", "NicStats"]

# Between two looks of wait_link().
_LINK_POLL = 0.01

_HEADER = 18  # VFC_NIC_HEADER of vfiocore/nic.h

# How long send() waits for a full ring to drain: 256 frames at 10 Mbit/s take 0.3 s.
DRAIN_SECONDS = 2.0


class LinkState(Record):
    """The link: is it up, its speed in Mbit/s (0 when down or not told), its duplex mode."""

    up: bool
    speed: int
    full_duplex: bool


class NicStats(Record):
    """Counters since the NIC was opened; what each means: vfc_nic_stats in vfiocore/nic.h."""

    rx_frames: int
    rx_bytes: int
    tx_frames: int
    tx_bytes: int
    rx_errors: int
    rx_missed: int
    rx_malformed: int
    tx_errors: int
    rx_doorbells: int
    tx_doorbells: int
    rx_arms: int
    rx_interrupts: int
    rx_checksum: int


class Nic(Bursting):
    """A network interface in service: from ``device.nic()``.

    Args:
        device: a device that a driver of the library knows (Intel 82574L, 82576, virtio-net).
        queues: of each direction. With more than one, received frames are spread over them.
        rx_entries, tx_entries: descriptors per queue, a power of two; 0: 256; virtio-net: as many
            as the device has at most.
        promisc: receive frames for any address from the start.
        packed: virtio-net: use packed rings.
        rx_checksum: Intel: the device looks at the checksums of IPv4, TCP and UDP, and frames with
            a wrong one are dropped and counted.
        vlan_filter: Intel: frames with a VLAN tag come only as ``set_vlan()`` says.
        mtu: bytes behind the header that a frame may have, 68 to 9000 (e1000e), 9706 (igb) or 65517
            (virtio-net); 0: 1500, or what a virtio-net device says, when that is less.
        spin: seconds, up to 1, that ``recv()``, ``recv_async()`` and ``arm()`` look for a frame
            before they let the interrupt through and sleep: under load none is raised.
        pool: buffers to use, which other NICs may share; by default it has a pool of its own.

    One thread may send while another receives; more than one of a kind take turns.
    Context manager.

    Raises:
        Unsupported: no driver for this device, or it has no packed rings, no filter of VLANs,
            looks at no checksums, or has not so many queues.
        InvalidArgument: an option.
        OutOfRange: more queues, or another MTU, than the device has.

    Source: vfiocore/nic.h.
    """

    _title = "NIC"

    def __init__(
        self,
        device: Device,
        *,
        queues: int = 1,
        rx_entries: int = 0,
        tx_entries: int = 0,
        promisc: bool = False,
        packed: bool = False,
        rx_checksum: bool = False,
        vlan_filter: bool = False,
        mtu: int = 0,
        spin: float = 0,
        pool: Pool | None = None,
    ) -> None:
        from .device import Device

        self._device = device
        opts = NicOpts.sized(
            flags=(NicFlag.PROMISC if promisc else 0)
            | (NicFlag.PACKED if packed else 0)
            | (NicFlag.RX_CHECKSUM if rx_checksum else 0)
            | (NicFlag.VLAN_FILTER if vlan_filter else 0),
            queues=unsigned(queues, 32, "the number of queues"),
            rx_entries=unsigned(rx_entries, 32, "the number of receive descriptors"),
            tx_entries=unsigned(tx_entries, 32, "the number of send descriptors"),
            mtu=unsigned(mtu, 32, "the MTU"),
            spin=nanoseconds(spin),
            pool=None if pool is None else native(pool, Pool, "the pool"),
        )
        # Calls that end at once take turns with close(), which frees what they look at.
        self._asking = Lock()
        self._handle = open_handle(
            lib.vfc_nic_open, native(device, Device, "the device"), byref(opts)
        )
        self._pool = Pool._of(self._handle) if pool is None else pool
        self._own_pool = pool is None
        self._pool._nics.add(self)
        info = self._info()
        self.driver: str = info.driver.decode()
        self.queues: int = info.queues
        self.frame_max: int = info.frame_max
        self._buffer = (c_char * self.frame_max)()
        # The library wants one thread per direction; an AsyncSniffer beside sr() is two.
        self._receiving = Lock()
        self._sending = Lock()
        self._readers: Readers[bytes] | None = None
        device._children.append(self)

    def close(self) -> None:
        """Stop the device and release everything. A second call does nothing.

        Threads and tasks that wait get :class:`ClosedError`.

        Raises:
            BufferError: views of its packets live, and its pool ends with it; it stays open.
        """
        # First of all, so that a thread that waits does not take the locks again and again.
        handle, self._handle = self._handle, None
        if handle is None:
            return
        entered = False
        try:
            with self._receiving, self._sending, self._asking:
                entered = True
                if self._own_pool:
                    try:
                        self._pool._end_views()
                    except BufferError:
                        self._handle = handle
                        raise
                if self._readers is not None:
                    self._readers.fail(lambda: closed(self._title))
                self._end(handle)
        finally:
            if not entered:  # Ctrl-C while a lock was waited for
                self._handle = handle
        self._device._children.remove(self)

    def _end(self, handle: int) -> None:
        pool = self._pool
        with pool._lock:
            rc = lib.vfc_nic_close(handle)
            if rc < 0:
                self._handle = handle
                raise error(rc)
            if self._own_pool:
                pool._handle = None
        pool._nics.discard(self)

    def __repr__(self) -> str:
        if self._handle is None:
            return f"<Nic {self._device.name} closed>"
        counted = plural(self.queues, "queue")
        return f"<Nic {self._device.name}: {self.driver}, {self.mac}, {counted}>"

    def _ask(self, function: Any, *arguments: Any) -> int:
        with self._asking:
            rc: int = function(self._native(), *arguments)
        return rc

    def _info(self) -> NicInfo:
        info = NicInfo.sized()
        check(self._ask(lib.vfc_nic_info, byref(info)))
        return info

    @property
    def device(self) -> Device:
        """The device it drives."""
        return self._device

    @property
    def mtu(self) -> int:
        """Bytes behind the header that a frame may have; ``frame_max`` is 18 more."""
        return self.frame_max - _HEADER

    @property
    def mac_bytes(self) -> bytes:
        """The MAC address, 6 bytes."""
        return bytes(self._info().mac)

    @property
    def mac(self) -> str:
        """The MAC address, ``"52:54:00:12:34:56"``."""
        return format_mac(self.mac_bytes)

    def set_mac(self, address: str | bytes) -> None:
        """Receive for this unicast address from now on, until a reset.

        Raises:
            InvalidArgument: it is not a unicast address.
        """
        check(self._ask(lib.vfc_nic_set_mac, mac_bytes(address)))

    def set_promisc(self, on: bool) -> None:
        """Receive every frame; or those for our address, broadcast, and all multicast."""
        check(self._ask(lib.vfc_nic_promisc, bool(on)))

    def set_vlan(self, vlan: int, on: bool = True) -> None:
        """With ``vlan_filter``: receive frames whose tag has this id, 0 to 4095, or no longer. At
        first none with a tag come; those without always do.

        Raises:
            InvalidArgument: opened without ``vlan_filter``.
            OutOfRange: the id.

        Source: vfc_nic_vlan() in vfiocore/nic.h.
        """
        check(self._ask(lib.vfc_nic_vlan, unsigned(vlan, 32, "the VLAN"), bool(on)))

    @property
    def link(self) -> LinkState:
        """The link now."""
        link = NicLink.sized()
        check(self._ask(lib.vfc_nic_link, byref(link)))
        return LinkState(bool(link.up), link.speed, bool(link.full_duplex))

    def wait_link(self, timeout: float | None = None) -> LinkState:
        """Wait until the link is up, ``timeout`` seconds at most (None: without end).

        Raises:
            WaitTimeout: it did not come up in time.
        """

        def attempt(slice_ns: int) -> int:
            rc = self._ask(lib.vfc_nic_wait_link, 0)
            if rc == -ETIMEDOUT:  # sleep out here, where close() is not kept waiting
                time.sleep(min(slice_ns / 1e9, _LINK_POLL))
            return rc

        wait(attempt, timeout)
        return self.link

    @property
    def stats(self) -> NicStats:
        """The counters."""
        stats = NativeNicStats.sized()
        check(self._ask(lib.vfc_nic_stats, byref(stats)))
        return NicStats(**{name: getattr(stats, name) for name in NicStats._fields})

    def reset(self) -> None:
        """Reset the function and start afresh, under traffic too. Frames in flight are lost."""
        with self._receiving, self._sending, self._asking:
            check(lib.vfc_nic_reset(self._native()))

    def send(self, frame: Frame) -> None:
        """Copy a frame into queue 0 and send it; waits while the ring is full.

        Args:
            frame: 1 to ``frame_max`` bytes.

        Raises:
            InvalidArgument: its length.
            WaitTimeout: the ring stayed full for 2 s; the link may be down.

        Source: vfc_nic_send() in vfiocore/nic.h.
        """
        data = frame_bytes(frame)
        rc = self._send(data)
        if rc == -EAGAIN:
            self.drain(DRAIN_SECONDS)
            rc = self._send(data)
        check(rc)

    def _send(self, data: bytes) -> int:
        with self._sending:
            rc: int = lib.vfc_nic_send(self._native(), data, len(data))
        return rc

    def drain(self, timeout: float | None = None, queue: int = 0) -> None:
        """Wait until the device has sent all that was given to it on a queue.

        Raises:
            WaitTimeout: it did not in ``timeout`` seconds (None: without end).
        """

        def attempt(slice_ns: int) -> int:
            with self._sending:
                rc: int = lib.vfc_nic_drain(self._native(), queue, slice_ns)
            return rc

        queue = unsigned(queue, 32, "the queue")
        wait(attempt, timeout)

    def recv_nowait(self) -> bytes | None:
        """A received frame of queue 0, or None when there is none."""
        buffer = self._buffer
        with self._receiving:
            length = lib.vfc_nic_recv(self._native(), buffer, self.frame_max)
            if length > 0:
                return string_at(buffer, length)
        check(length)
        return None

    def recv(self, timeout: float | None = None) -> bytes:
        """Wait for a frame on queue 0. Other Python threads run meanwhile, and Ctrl-C ends it.

        Args:
            timeout: seconds; 0: only look; None: without end.

        Raises:
            WaitTimeout: none came in time (also a ``TimeoutError``).
        """
        frame = self.recv_nowait()
        if frame is not None:
            return frame
        left = nanoseconds(timeout)
        deadline = None if left is None else time.monotonic_ns() + left
        while left is None or left > 0:
            self._wait_readable(SLICE_NS if left is None else min(left, SLICE_NS))
            frame = self.recv_nowait()
            if frame is not None:
                return frame
            left = None if deadline is None else deadline - time.monotonic_ns()
        raise self._timed_out()

    def _wait_readable(self, slice_ns: int) -> None:
        """Sleep until a frame may be there, with no lock held and without missing one: arm()
        looks at the ring again after it has let the interrupt through."""
        descriptor = self.fileno()
        if self.arm():
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(-(-slice_ns // 1_000_000))

    def _timed_out(self) -> WaitTimeout:
        text = f"no frame was received on {self._device.name} in the time given"
        return WaitTimeout(
            ETIMEDOUT, text, reason=Reason.TIMEOUT, object=self._device.name, hint=text
        )

    async def recv_async(self, timeout: float | None = None) -> bytes:
        """Like :meth:`recv`, for asyncio: other tasks run meanwhile."""
        nanoseconds(timeout)  # refuses a negative one
        if self._readers is None:
            from ._wait import Readers

            self._readers = Readers(self.fileno(), self._take)
        frame = await self._readers.next(timeout)
        if frame is None:
            raise self._timed_out()
        return frame

    def _take(self) -> bytes | None:
        """A frame that is here; None: there is none, and the next one will raise an interrupt."""
        frame = self.recv_nowait()
        return self.recv_nowait() if frame is None and self.arm() else frame

    def __iter__(self) -> Iterator[bytes]:
        """Frames as they come, without end."""
        while True:
            yield self.recv()

    def fileno(self, queue: int = 0) -> int:
        """The eventfd of a queue's receive interrupt, for ``select`` and event loops; it belongs
        to the NIC. Call :meth:`arm` before sleeping on it."""
        return check(self._ask(lib.vfc_nic_rx_fd, unsigned(queue, 32, "the queue")))

    def arm(self, queue: int = 0) -> bool:
        """Empty the eventfd and let the next frame raise it. True: a frame is there already, or
        came within ``spin``, so do not sleep."""
        queue = unsigned(queue, 32, "the queue")
        with self._receiving:
            return bool(check(lib.vfc_nic_rx_arm(self._native(), queue)))
