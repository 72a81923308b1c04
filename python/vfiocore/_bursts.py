# SPDX-License-Identifier: MIT
"""Bursts of packets of a NIC: as they lie in the pool, or copied."""

from __future__ import annotations

import time
from ctypes import memmove, string_at

from ._native.call import NativeObject, check, unsigned
from ._native.loader import lib
from ._native.structs import Packet
from ._octets import frame_bytes
from .errors import invalid
from .packets import Burst

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Lock
    from typing import Any

    from ._octets import Frame
    from .packets import Pool

__all__ = ["Bursting"]


class Bursting(NativeObject):
    """The part of :class:`Nic` that receives and sends many packets in one call."""

    _pool: Pool
    _receiving: Lock
    _sending: Lock
    _asking: Lock
    frame_max: int

    @property
    def pool(self) -> Pool:
        """Where its packets are from."""
        return self._pool

    def rx_burst(self, count: int = 256, queue: int = 0, *, stamp: bool = False) -> Burst:
        """Up to ``count`` received frames that are there already, without copying.

        ``stamp``: note the time at which they were taken from the ring as ``burst.time_ns``.

        Use it in a ``with`` block, or ``free()`` it: what it holds, nothing can be received into.

        Source: vfc_nic_rx_burst() in vfiocore/nic.h.
        """
        burst = Burst(self._pool, unsigned(count, 16, "the number of frames"))
        queue = unsigned(queue, 32, "the queue")
        with self._receiving:
            packets = burst._packets
            burst._end = check(lib.vfc_nic_rx_burst(self._native(), queue, packets, count))
        if stamp:
            burst.time_ns = time.time_ns()
        return burst

    def tx_burst(self, packets: Burst | Sequence[Frame], queue: int = 0) -> int:
        """Send with one doorbell at most.

        Args:
            packets: a burst of a NIC with the same pool, without copying; its views end, and it
                keeps what did not fit into the ring. Or frames, as for :meth:`send_many`.

        Return: how many, from the first on.

        Raises:
            InvalidArgument: a burst of another pool; of the first packet, its length.
            BufferError: something was made of the burst's views and lives; none was sent.

        Source: vfc_nic_tx_burst() in vfiocore/nic.h.
        """
        if not isinstance(packets, Burst):
            return self.send_many(packets, queue)
        if packets._pool is not self._pool:
            raise invalid("the packets are of another pool: open both NICs with nic(pool=pool)")
        queue = unsigned(queue, 32, "the queue")
        if packets._base is not None:
            packets._end_views()
        with self._sending:
            count = packets._end - packets._first
            sent = check(lib.vfc_nic_tx_burst(self._native(), queue, packets._rest(), count))
            packets._first += sent
        return sent

    def alloc(self, count: int, frame: Frame = b"\0" * 60) -> Burst:
        """Packets to be filled and sent by :meth:`tx_burst`, each a copy of ``frame``.

        Return: fewer than ``count`` when the pool has no more: what is sent comes back to it.

        Raises:
            InvalidArgument: the frame's length.

        Source: vfc_nic_alloc_copies() in vfiocore/nic.h.
        """
        data = frame_bytes(frame)
        burst = Burst(self._pool, unsigned(count, 16, "the number of packets"))
        with self._asking:
            handle, size = self._native(), len(data)
            taken = lib.vfc_nic_alloc_copies(handle, burst._packets, count, data, size)
            burst._end = check(taken)
        return burst

    def recv_many(self, count: int = 256, queue: int = 0) -> list[bytes]:
        """Up to ``count`` frames that are there already, in one call of the driver."""
        packets = (Packet * unsigned(count, 16, "the number of frames"))()
        with self._receiving:
            handle = self._native()
            taken = check(lib.vfc_nic_rx_burst(handle, queue, packets, count))
            frames = [string_at(packet.data, packet.length) for packet in packets[:taken]]
            lib.vfc_nic_free(handle, packets, taken)
        return frames

    def send_many(self, frames: Sequence[Frame], queue: int = 0) -> int:
        """Send frames with one doorbell. Return: how many of them, from the first on, fitted
        into the ring.

        Raises:
            InvalidArgument: a frame is empty or longer than ``frame_max``; none was sent.
        """
        data = [frame_bytes(frame) for frame in frames]
        for frame in data:
            if not 0 < len(frame) <= self.frame_max:
                raise invalid(f"a frame of {len(frame)} bytes; 1 to {self.frame_max} can be sent")
        with self._sending:
            return self._send_packets(data, queue)

    def _send_packets(self, data: list[bytes], queue: int) -> int:
        handle = self._native()
        packets = (Packet * len(data))()
        count = check(lib.vfc_nic_alloc(handle, packets, len(data)))
        for packet, frame in zip(packets, data, strict=False):
            if not packet.data:
                break
            memmove(packet.data, frame, len(frame))
            packet.length = len(frame)
        sent = lib.vfc_nic_tx_burst(handle, queue, packets, count)
        left: Any = packets[max(sent, 0) : count]
        if left:
            lib.vfc_nic_free(handle, (Packet * len(left))(*left), len(left))
        return check(sent)
