# SPDX-License-Identifier: MIT
"""A network made of queues: a Scapy socket, and somebody who answers at its other end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP, IPerror
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.supersocket import SuperSocket

MAC = "52:54:00:12:34:56"
ROUTER_MAC = "52:55:0a:00:02:02"


class QueueSocket(SuperSocket):
    """A socket whose other end is a pair of queues."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[bytes] = queue.Queue()
        self.outbox: queue.Queue[bytes] = queue.Queue()
        self.closed = False

    def send(self, x: Packet) -> int:
        self.outbox.put(bytes(x))
        return len(x)

    def recv(self, x: int = 65535, **_: object) -> Packet | None:
        return Ether(self.inbox.get_nowait())

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def select(sockets: list[SuperSocket], remain: float | None = None) -> list[SuperSocket]:
        end = time.monotonic() + (remain or 0)
        while time.monotonic() < end:
            ready: list[SuperSocket] = [
                s for s in sockets if isinstance(s, QueueSocket) and not s.inbox.empty()
            ]
            if ready:
                return ready
            time.sleep(0.001)
        return []


class Network:
    """The far end: answers as QEMU's user network does, and can be told to misbehave."""

    def __init__(self) -> None:
        self.socket = QueueSocket()
        self.seen: list[Packet] = []
        self.drop: Callable[[Packet], bool] = lambda packet: False
        self.dhcp_answers = {1: 2, 3: 5}  # DISCOVER -> OFFER, REQUEST -> ACK
        self.asks_arp = False
        self.unreachable = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def reply(self, packet: Packet) -> None:
        self.socket.inbox.put(bytes(packet))

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                packet = Ether(self.socket.outbox.get(timeout=0.01))
            except queue.Empty:
                continue
            self.seen.append(packet)
            if not self.drop(packet):
                self._answer(packet)

    def _answer(self, packet: Packet) -> None:
        if DHCP in packet:
            self._answer_dhcp(packet)
        elif ARP in packet and packet[ARP].op == 1 and packet[ARP].pdst == "10.0.2.2":
            self.reply(
                Ether(src=ROUTER_MAC, dst=MAC)
                / ARP(op=2, hwsrc=ROUTER_MAC, psrc="10.0.2.2", hwdst=MAC, pdst=packet[ARP].psrc)
            )
        elif ICMP in packet:
            self._answer_echo(packet)

    def _answer_dhcp(self, packet: Packet) -> None:
        kind = packet[DHCP].options[0][1]
        answer = (
            Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff")
            / IP(src="10.0.2.2", dst="255.255.255.255")
            / UDP(sport=67, dport=68)
            / BOOTP(op=2, xid=packet[BOOTP].xid, yiaddr="10.0.2.15", chaddr=packet[BOOTP].chaddr)
        )
        options = [
            ("message-type", self.dhcp_answers[kind]),
            ("server_id", "10.0.2.2"),
            ("subnet_mask", "255.255.255.0"),
            ("router", "10.0.2.2"),
            ("name_server", "10.0.2.3", "10.0.2.4"),
            ("domain", b"example.org\0"),
            ("lease_time", 86400),
            "end",
        ]
        # Somebody else's transaction first: it must not be taken for ours.
        other = answer.copy()
        other[BOOTP].xid ^= 1
        other[BOOTP].yiaddr = "10.0.2.99"
        self.reply(other / DHCP(options=options))
        self.reply(answer / DHCP(options=options))

    def _answer_echo(self, packet: Packet) -> None:
        if self.asks_arp:
            self.reply(
                Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff")
                / ARP(op=1, hwsrc=ROUTER_MAC, psrc="10.0.2.2", pdst=packet[IP].src)
            )
        back = Ether(src=ROUTER_MAC, dst=MAC)
        if self.unreachable:
            quoted = IPerror(bytes(packet[IP])[:28])
            back /= IP(src="10.0.2.2", dst=packet[IP].src) / ICMP(type=3, code=1) / quoted
        else:
            icmp = packet[ICMP]
            back /= (
                IP(src=packet[IP].dst, dst=packet[IP].src, ttl=255)
                / ICMP(type=0, id=icmp.id, seq=icmp.seq)
                / bytes(icmp.payload)
            )
        self.reply(back)
