# SPDX-License-Identifier: MIT
"""What the actions on a network interface share: opening it, and saving what passes."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..opening import open_device, open_each
from ..output import CliError, is_fake

if TYPE_CHECKING:
    from scapy.packet import Packet
    from scapy.supersocket import SuperSocket

    from vfiocore import Nic
    from vfiocore.net import Lease

__all__ = [
    "Capture",
    "ctrl_c",
    "lease",
    "open_nic",
    "open_pair",
    "open_socket",
    "progress",
    "rate_text",
    "require_scapy",
    "experiment",
]

_INBOUND, _OUTBOUND = 1, 2  # pcapng, section 4.3.1: flags of an enhanced packet block
_ETHERNET = 1  # LINKTYPE_ETHERNET
# IEEE 802, local experimental EtherType 1: what no one else takes for theirs.
_EXPERIMENTAL = bytes.fromhex("88b5")
_ENTRIES, _SPARE = 1024, 2048  # descriptors of each ring of a pair, and what its bursts hold


def require_scapy() -> None:
    """Raises a clear error when Scapy is not installed."""
    if importlib.util.find_spec("scapy") is None:
        raise CliError("this needs the package scapy", hint="pip install vfiocore[scapy]")
    # Its remarks about interfaces and routes of the kernel have no meaning here.
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)


def progress(text: str) -> None:
    """A line on stderr that the next one replaces, when a person is looking; "" removes it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


@contextmanager
def open_nic(args: argparse.Namespace) -> Iterator[Nic]:
    """The device's network interface with its link up."""
    spin = getattr(args, "spin", 0.0)
    with open_device(args) as device, device.nic(mtu=args.mtu, spin=spin) as nic:
        _wait_link(args, nic)
        yield nic


def _wait_link(args: argparse.Namespace, nic: Nic) -> None:
    progress("waiting for the link...")
    try:
        nic.wait_link(args.link_timeout)
    except TimeoutError:
        raise CliError(
            f"{nic.device.name}: the link is down",
            hint="is the cable plugged in? --link-timeout waits longer",
        ) from None
    finally:
        progress("")


@contextmanager
def open_pair(args: argparse.Namespace, *, promisc: bool = False) -> Iterator[tuple[Nic, Nic]]:
    """Two interfaces with their links up, in one address space and of one pool."""
    import vfiocore

    if args.device == args.peer and not is_fake(args.device):
        raise CliError(f"{args.device} cannot be both: name two devices", status=2)
    with ExitStack() as stack:
        space = vfiocore.Iommu("fake" if is_fake(args.device) else None)
        stack.enter_context(space)
        first, second = (
            stack.enter_context(open_each(args, name, space)) for name in (args.device, args.peer)
        )
        chunks, mtu = 4 * _ENTRIES + _SPARE, args.mtu or 1500
        pool = stack.enter_context(vfiocore.Pool(space, chunks, mtu=mtu))
        left, right = (
            stack.enter_context(
                device.nic(
                    pool=pool,
                    promisc=promisc,
                    mtu=args.mtu,
                    rx_entries=_ENTRIES,
                    tx_entries=_ENTRIES,
                )
            )
            for device in (first, second)
        )
        _wait_link(args, left)
        _wait_link(args, right)
        yield left, right


@contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """What tells whether Ctrl-C was pressed in this block. As an exception it can be lost: Python
    drops one that is raised in a finaliser, such as a burst's."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def experiment(size: int, source: bytes, to: bytes = b"\xff" * 6) -> bytes:
    """What no protocol takes for its own."""
    header = to + source + _EXPERIMENTAL
    return header + bytes(i & 0xFF for i in range(size - len(header)))


def rate_text(rate: float) -> str:
    """``"1.23 M frames/s"``."""
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if rate >= factor:
            return f"{rate / factor:.2f}{unit} frames/s"
    return f"{rate:.0f} frames/s"


def lease(args: argparse.Namespace, nic: Nic, socket: SuperSocket) -> Lease:
    """An address by DHCP."""
    from vfiocore.net import NoAnswer, dhcp

    progress("DHCP...")
    try:
        return dhcp(socket, nic.mac, timeout=args.timeout, hostname=getattr(args, "hostname", ""))
    except NoAnswer as error:
        raise CliError(
            f"{args.device}: {error}",
            hint="is there a DHCP server? --timeout waits longer, --write saves what passed",
        ) from None
    finally:
        progress("")


class _Frame(bytes):
    """A frame with what Scapy's writer looks for: no need to dissect it."""

    time: float
    direction: int


class Capture:
    """A pcapng file of frames with their direction."""

    def __init__(self, path: str) -> None:
        from scapy.utils import PcapNgWriter

        self._writer: Any = PcapNgWriter(path)
        self._writer.linktype = _ETHERNET
        self.count = 0

    def add(self, data: bytes, *, outbound: bool = False, at: float | None = None) -> None:
        """Append one frame."""
        frame = _Frame(data)
        frame.time = time.time() if at is None else at
        frame.direction = _OUTBOUND if outbound else _INBOUND
        self._writer.write(frame)
        self.count += 1

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


@contextmanager
def open_socket(args: argparse.Namespace) -> Iterator[tuple[Nic, SuperSocket]]:
    """The interface and a Scapy socket on it; ``args.write`` saves what passes through it."""
    require_scapy()
    from vfiocore.scapy import VfioSocket

    with ExitStack() as stack:
        # The file first: a path that cannot be written is better known before a lease is taken.
        capture = stack.enter_context(Capture(args.write)) if args.write else None
        nic = stack.enter_context(open_nic(args))
        socket: SuperSocket = VfioSocket(nic=nic)
        stack.callback(socket.close)
        yield nic, tap(socket, capture) if capture else socket


def tap(socket: SuperSocket, capture: Capture) -> SuperSocket:
    """``socket``, with what it sends and receives added to ``capture``."""
    from scapy.supersocket import SuperSocket as Base

    class Tap(Base):
        """Both directions of another socket, recorded."""

        desc = "records another socket"

        def __init__(self) -> None:  # the other socket has the file descriptors
            inner: Any = socket
            self.ins = self.outs = inner

        def send(self, x: Packet) -> int:
            at = time.time()
            sent = socket.send(x)
            capture.add(bytes(x), outbound=True, at=at)
            return sent

        def recv(self, x: int = 65535, **kwargs: Any) -> Packet | None:
            packet = socket.recv(x, **kwargs)
            if packet is not None:
                capture.add(bytes(packet), at=float(packet.time))
            return packet

        def close(self) -> None:
            socket.close()

        @staticmethod
        def select(sockets: list[Any], remain: float | None = None) -> list[Any]:
            return sockets if type(socket).select([socket], remain) else []

    return Tap()
