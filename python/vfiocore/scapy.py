# SPDX-License-Identifier: MIT
"""A Scapy socket on a NIC that is driven from this process.

>>> from vfiocore.scapy import VfioSocket
>>> from scapy.layers.l2 import ARP, Ether
>>> with VfioSocket("0000:01:00.0") as socket:
...     answer = socket.sr1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.2.2"), timeout=2)

Only Scapy's Ethernet layer is imported: all of Scapy takes half a second, and nine in an emulated
guest. Import the layers that the packets need beside it.
"""

from __future__ import annotations

import os
import select
import time
from threading import Lock
from typing import TYPE_CHECKING, Any

try:
    from scapy.interfaces import InterfaceProvider, NetworkInterface
    from scapy.layers.l2 import Ether
    from scapy.supersocket import SuperSocket
except ImportError as error:
    raise ImportError(
        f"{error}: vfiocore.scapy needs scapy: pip install vfiocore[scapy]"
    ) from error

from . import open as open_device
from .errors import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scapy.packet import Packet

    from .device import Device
    from .nic import Nic

__all__ = ["VfioSocket"]


class _Interface(NetworkInterface):
    """A NIC as Scapy's functions take it. They close the sockets that they open: not the NIC."""

    def __init__(self, nic: Nic) -> None:
        name = nic.device.name
        data = {"name": name, "network_name": name, "description": nic.driver, "mac": nic.mac}
        super().__init__(InterfaceProvider(), {**data, "index": -1, "ips": [], "flags": 0})
        self._nic = nic

    def _socket(
        self, promisc: bool | None = None, filter: str | None = None, **_: Any
    ) -> VfioSocket:
        if filter:
            raise invalid("capture filters are the kernel's: use lfilter=")
        return VfioSocket(nic=self._nic, promisc=promisc or None)

    def l2socket(self) -> Any:
        """What opens a socket to send and receive frames."""
        return self._socket

    def l2listen(self) -> Any:
        """What opens a socket to receive frames."""
        return self._socket


# What Scapy asks its sockets to receive at most (scapy.data.MTU); every frame is shorter.
_MTU = 0xFFFF


class VfioSocket(SuperSocket):
    """Ethernet frames of a NIC, for everything in Scapy that takes an opened socket.

    ``socket.sr1(packet)``, ``socket.sr(...)``, ``sniff(opened_socket=socket)`` and
    ``AsyncSniffer(opened_socket=socket)`` use it; functions that open a socket of their own take
    ``socket.interface``: ``srp1(packet, iface=socket.interface)``.

    Args:
        device: a device's name, to open it and its NIC for this socket; the link is waited for.
        nic: or a NIC that is open already, and stays so when the socket is closed.
        link_timeout: seconds to wait for the link of a device that is opened here.
        promisc: receive frames for any address; None: as the NIC is.

    ``recv()`` never waits: it returns None when there is no frame. Scapy selects before it calls.
    """

    desc = "read/write Ethernet frames through a userspace driver (VFIO)"

    # close() is called by __del__ of an object that was not finished, too.
    closed = True

    def __init__(
        self,
        device: str | None = None,
        *,
        nic: Nic | None = None,
        link_timeout: float = 10.0,
        promisc: bool | None = None,
    ) -> None:
        if (device is None) == (nic is None):
            raise invalid("give either the name of a device or an open NIC")
        self._device: Device | None = None
        self.nic = nic if nic is not None else self._open(str(device), link_timeout)
        self.iface = self.nic.device.name
        if promisc is not None:
            self.nic.set_promisc(promisc)
        self._lock = Lock()
        self._frame: bytes | None = None
        self._arrived = 0.0
        self.closed = False
        self._fill()

    def _open(self, name: str, link_timeout: float) -> Nic:
        device = open_device(name)
        try:
            nic = device.nic()
            nic.wait_link(link_timeout)
        except BaseException:
            device.__exit__(None, None, None)
            raise
        self._device = device
        return nic

    @property
    def interface(self) -> NetworkInterface:
        """This NIC as an interface of Scapy's, for what opens a socket of its own: ``srp1()``,
        ``sendp()``, ``sniff(iface=...)``. Filters are refused: no kernel would run them."""
        return _Interface(self.nic)

    def _fill(self) -> bool:
        """Have the next frame at hand, if there is one.

        It keeps what select() relies on: the eventfd is readable while a frame is at hand, else it
        is empty and the next frame raises it. One interrupt stands for any number of frames, so
        that handing out one of them must not leave the eventfd empty over the others.
        """
        with self._lock:
            if self._frame is None:
                frame = self.nic.recv_nowait()
                if frame is None and self.nic.arm():
                    frame = self.nic.recv_nowait()
                if frame is not None:
                    self._frame, self._arrived = frame, time.time()
                    os.eventfd_write(self.nic.fileno(), 1)
            return self._frame is not None

    def recv_raw(self, x: int = _MTU) -> tuple[type[Packet] | None, bytes | None, float | None]:
        """A frame, with the time at which it was taken from the ring; (None, None, None) when
        there is none."""
        if not self._fill():
            return None, None, None
        with self._lock:
            frame, self._frame = self._frame, None
            arrived = self._arrived
        self._fill()
        return (None, None, None) if frame is None else (Ether, frame[:x], arrived)

    def send(self, x: Packet) -> int:
        """Send a packet. Return: its length in bytes.

        Raises:
            InvalidArgument: it is longer than a frame can be.
            WaitTimeout: the ring stayed full; the link may be down.
        """
        data = bytes(x)
        self.nic.send(data)
        if hasattr(x, "sent_time"):
            x.sent_time = time.time()
        return len(data)

    def fileno(self) -> int:
        """The eventfd of the receive interrupt."""
        return self.nic.fileno()

    def close(self) -> None:
        """Close the socket, and the device if the socket opened it. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        device, self._device = self._device, None
        if device is not None:
            device.__exit__(None, None, None)

    @staticmethod
    def select(sockets: Sequence[Any], remain: float | None = None) -> list[Any]:
        """Those of ``sockets`` that have something to read, after ``remain`` seconds at most
        (None: without end). Scapy's control pipes may be among them."""
        deadline = None if remain is None else time.monotonic() + remain
        while True:
            ready = [s for s in sockets if isinstance(s, VfioSocket) and s._fill()]
            if ready:
                left: float | None = 0.0
            else:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
            awake, _, _ = select.select(sockets, [], [], left)
            # A VFIO socket that woke up is looked at again: its frame may be another thread's now.
            found = [s for s in awake if not isinstance(s, VfioSocket) or s._fill()]
            if found or left == 0.0:
                return found
