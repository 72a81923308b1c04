# SPDX-License-Identifier: MIT
"""DHCP, ARP and ping over a Scapy socket: enough of IPv4 to prove that an interface works.

The kernel knows nothing of an interface that is driven from userspace, so nobody answers ARP for
its address: while :func:`ping` waits it does that itself.

>>> from vfiocore.net import dhcp, ping
>>> from vfiocore.scapy import VfioSocket
>>> with vfiocore.open("0000:01:00.0") as device, device.nic() as nic:
...     socket = VfioSocket(nic=nic)
...     lease = dhcp(socket, nic.mac)
...     for reply in ping(socket, lease, lease.router):
...         print(reply.sequence, reply.rtt)

Any Scapy ``SuperSocket`` for Ethernet frames will do. Only three of Scapy's layers are imported:
all of them together take seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any

try:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.inet import ICMP, IP, UDP, ICMPerror
    from scapy.layers.l2 import ARP, Ether
except ImportError as error:
    raise ImportError(f"{error}: vfiocore.net needs scapy: pip install vfiocore[scapy]") from error

if TYPE_CHECKING:
    from scapy.packet import Packet
    from scapy.supersocket import SuperSocket

__all__ = [
    "Host",
    "Lease",
    "NoAnswer",
    "PingSummary",
    "Refused",
    "Reply",
    "dhcp",
    "ping",
    "resolve",
]

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_ARP_REQUEST, _ARP_REPLY = 1, 2
_ECHO_REPLY, _UNREACHABLE, _ECHO_REQUEST, _TIME_EXCEEDED = 0, 3, 8, 11
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK = 1, 2, 3, 5, 6  # RFC 2132 section 9.6
_BOOTP_LEAST = 300  # RFC 1542 section 2.1: servers may drop what is shorter
_RETRY_MOST = 4.0


class NoAnswer(TimeoutError):
    """Nobody answered in time."""


class Refused(OSError):
    """The DHCP server refused."""


@dataclass(frozen=True, slots=True)
class Host:
    """Who we are on the network."""

    mac: str
    address: str
    prefix: int = 24
    router: str = ""

    def next_hop(self, address: str) -> str:
        """Whom to give a packet for ``address``: itself when it is a neighbour, else the router.

        Raises:
            ValueError: it is no neighbour and there is no router.
        """
        network = IPv4Interface(f"{self.address}/{self.prefix}").network
        if IPv4Interface(address).ip in network:
            return address
        if not self.router:
            raise ValueError(f"{address} is outside of {network} and there is no router")
        return self.router


@dataclass(frozen=True, slots=True)
class Lease(Host):
    """What a DHCP server gave; ``seconds`` is how long it lasts."""

    dns: tuple[str, ...] = ()
    domain: str = ""
    server: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one echo request; ``rtt`` in seconds, None when it was lost."""

    sequence: int
    rtt: float | None
    source: str = ""
    ttl: int = 0
    size: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class PingSummary:
    """Counts, and round-trip times in seconds (0 when nothing came back)."""

    sent: int
    received: int
    minimum: float
    average: float
    maximum: float

    @property
    def loss(self) -> float:
        """The share that was lost, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 0.0

    @classmethod
    def of(cls, replies: Iterable[Reply]) -> PingSummary:
        """Sum replies up."""
        every = list(replies)
        times = [reply.rtt for reply in every if reply.rtt is not None]
        if not times:
            return cls(len(every), 0, 0.0, 0.0, 0.0)
        return cls(len(every), len(times), min(times), sum(times) / len(times), max(times))


# --- DHCP (RFC 2131) ----------------------------------------------------------------------------


def dhcp(
    socket: SuperSocket, mac: str | bytes, *, timeout: float = 15.0, hostname: str = ""
) -> Lease:
    """Obtain a lease: DISCOVER, OFFER, REQUEST, ACK.

    Args:
        socket: a Scapy socket on the network.
        mac: our Ethernet address.
        timeout: seconds for all of it; requests are repeated after 1, 2, 4, 4... seconds.
        hostname: sent to the server when not empty.

    Raises:
        NoAnswer: no server answered in time.
        Refused: the server took its offer back (NAK).
    """
    mac = _mac_text(mac)
    xid = random.getrandbits(32)
    deadline = time.monotonic() + timeout
    common = [("hostname", hostname)] if hostname else []

    discover = _bootp(mac, xid, _DISCOVER, common)
    offer = _transact(socket, discover, _dhcp_answer(xid, {_OFFER}), deadline, "DHCPDISCOVER")
    wanted = [
        ("requested_addr", offer[BOOTP].yiaddr),
        ("server_id", _option(offer, "server_id", offer[IP].src)),
        *common,
    ]
    request = _bootp(mac, xid, _REQUEST, wanted)
    answer = _transact(socket, request, _dhcp_answer(xid, {_ACK, _NAK}), deadline, "DHCPREQUEST")
    if _option(answer, "message-type", 0) == _NAK:
        raise Refused(f"the DHCP server {answer[IP].src} refused {offer[BOOTP].yiaddr}")
    return _lease(mac, answer)


def _bootp(mac: str, xid: int, kind: int, options: list[tuple[str, Any]]) -> Packet:
    asked = ("param_req_list", [1, 3, 6, 15, 51])  # mask, router, DNS, domain, lease time
    listed: list[Any] = [("message-type", kind), *options, asked, "end"]
    # The broadcast flag: we have no address yet that a server could send to.
    packet = (
        Ether(src=mac, dst=_BROADCAST)
        / IP(src="0.0.0.0", dst="255.255.255.255", ttl=64)
        / UDP(sport=68, dport=67)
        / BOOTP(op=1, chaddr=bytes.fromhex(mac.replace(":", "")), xid=xid, flags=0x8000)
    )
    missing = _BOOTP_LEAST - len((packet / DHCP(options=listed))[BOOTP])
    return packet / DHCP(options=listed + ["pad"] * max(0, missing))


def _dhcp_answer(xid: int, kinds: set[int]) -> Callable[[Packet], bool]:
    def wanted(packet: Packet) -> bool:
        return (
            DHCP in packet
            and packet[BOOTP].op == 2
            and packet[BOOTP].xid == xid
            and _option(packet, "message-type", 0) in kinds
        )

    return wanted


def _options(packet: Packet, name: str) -> tuple[Any, ...]:
    """All values of an option; empty when it is absent."""
    for option in packet[DHCP].options:
        if isinstance(option, tuple) and option[0] == name:
            return tuple(option[1:])
    return ()


def _option(packet: Packet, name: str, default: Any) -> Any:
    return next(iter(_options(packet, name)), default)


def _lease(mac: str, answer: Packet) -> Lease:
    address = answer[BOOTP].yiaddr
    mask = _option(answer, "subnet_mask", "255.255.255.0")
    domain = _option(answer, "domain", b"")
    return Lease(
        mac=mac,
        address=address,
        prefix=IPv4Interface(f"{address}/{mask}").network.prefixlen,
        router=_option(answer, "router", ""),
        dns=_options(answer, "name_server"),
        domain=bytes(domain).rstrip(b"\0").decode("ascii", "replace"),
        server=_option(answer, "server_id", answer[IP].src),
        seconds=_option(answer, "lease_time", 0),
    )


# --- ARP (RFC 826) ------------------------------------------------------------------------------


def resolve(socket: SuperSocket, host: Host, address: str, *, timeout: float = 5.0) -> str:
    """The Ethernet address of a neighbour.

    Raises:
        NoAnswer: nobody has that address.
    """
    request = Ether(src=host.mac, dst=_BROADCAST) / ARP(
        op=_ARP_REQUEST, hwsrc=host.mac, psrc=host.address, hwdst="00:00:00:00:00:00", pdst=address
    )

    def wanted(packet: Packet) -> bool:
        _answer_arp(socket, host, packet)
        return ARP in packet and packet[ARP].op == _ARP_REPLY and packet[ARP].psrc == address

    deadline = time.monotonic() + timeout
    answer = _transact(socket, request, wanted, deadline, f"ARP for {address}")
    return str(answer[ARP].hwsrc)


def _answer_arp(socket: SuperSocket, host: Host, packet: Packet) -> None:
    """Tell whoever asks for our address; the kernel cannot, it does not know of us."""
    if ARP not in packet or packet[ARP].op != _ARP_REQUEST or packet[ARP].pdst != host.address:
        return
    asker = packet[ARP]
    socket.send(
        Ether(src=host.mac, dst=asker.hwsrc)
        / ARP(
            op=_ARP_REPLY,
            hwsrc=host.mac,
            psrc=host.address,
            hwdst=asker.hwsrc,
            pdst=asker.psrc,
        )
    )


# --- ICMP echo (RFC 792) ------------------------------------------------------------------------


def ping(
    socket: SuperSocket,
    host: Host,
    address: str,
    *,
    count: int = 4,
    interval: float = 1.0,
    timeout: float = 1.0,
    size: int = 56,
) -> Iterator[Reply]:
    """Send ``count`` echo requests and yield the outcome of each as it is known.

    Args:
        host: who we are; a :class:`Lease` is one.
        interval, timeout: seconds between two requests, and to wait for each reply.
        size: bytes of payload.

    Raises:
        NoAnswer: the next hop does not answer ARP.
        ValueError: the address cannot be reached without a router.
    """
    hop = resolve(socket, host, host.next_hop(address))
    number = random.getrandbits(16)
    payload = bytes(i & 0xFF for i in range(size))
    for sequence in (i & 0xFFFF for i in range(1, count + 1)):
        request = (
            Ether(src=host.mac, dst=hop)
            / IP(src=host.address, dst=address, ttl=64, id=sequence)
            / ICMP(type=_ECHO_REQUEST, id=number, seq=sequence)
            / payload
        )
        request = Ether(bytes(request))  # built now: Scapy takes milliseconds in a slow guest
        started, sent = time.monotonic(), time.time()
        socket.send(request)
        yield _await_reply(socket, host, (number, sequence), sent, started + timeout)
        if sequence != count & 0xFFFF:
            for packet in _frames(socket, started + interval):
                _answer_arp(socket, host, packet)


def _await_reply(
    socket: SuperSocket, host: Host, echo: tuple[int, int], sent: float, deadline: float
) -> Reply:
    _, sequence = echo
    for packet in _frames(socket, deadline):
        _answer_arp(socket, host, packet)
        if IP not in packet or packet[IP].dst != host.address or ICMP not in packet:
            continue
        ip, icmp = packet[IP], packet[ICMP]
        if ICMPerror in packet and _echo_of(packet[ICMPerror]) == echo:
            return Reply(sequence, None, source=ip.src, error=_icmp_error(icmp))
        if icmp.type == _ECHO_REPLY and _echo_of(icmp) == echo:
            # A packet's time is taken before it is dissected, by the wall clock.
            rtt = max(0.0, float(packet.time) - sent)
            return Reply(sequence, rtt, source=ip.src, ttl=ip.ttl, size=ip.len - 4 * ip.ihl)
    return Reply(sequence, None, error="no answer")


def _echo_of(icmp: Packet) -> tuple[int, int]:
    return icmp.id, icmp.seq


def _icmp_error(icmp: Packet) -> str:
    kinds = {_UNREACHABLE: "destination unreachable", _TIME_EXCEEDED: "time exceeded"}
    return f"{kinds.get(icmp.type, f'ICMP type {icmp.type}')} (code {icmp.code})"


# --- waiting ------------------------------------------------------------------------------------


def _frames(socket: SuperSocket, deadline: float) -> Iterator[Packet]:
    """What is received until the deadline."""
    while (left := deadline - time.monotonic()) > 0:
        if not type(socket).select([socket], left):
            continue
        packet = socket.recv()
        if packet is not None:
            yield packet


def _transact(
    socket: SuperSocket,
    request: Packet,
    wanted: Callable[[Packet], bool],
    deadline: float,
    what: str,
) -> Packet:
    """Send until something wanted is received."""
    pause, tries = 1.0, 0
    while time.monotonic() < deadline:
        socket.send(request)
        tries += 1
        for packet in _frames(socket, min(deadline, time.monotonic() + pause)):
            if wanted(packet):
                return packet
        pause = min(2 * pause, _RETRY_MOST)
    raise NoAnswer(f"no answer to {what}, sent {tries} time{'s' if tries != 1 else ''}")


def _mac_text(mac: str | bytes) -> str:
    return mac.lower() if isinstance(mac, str) else mac.hex(":")
