# SPDX-License-Identifier: MIT
"""Frames of our own for the NIC tests."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

import vfiocore

ETHERTYPE = b"\x88\xb5"  # for local experiments (IEEE 802)
BROADCAST = b"\xff" * 6


def frame(to: bytes, source: bytes, number: int, size: int) -> bytes:
    return (to + source + ETHERTYPE + number.to_bytes(4, "big")).ljust(size, bytes([number & 255]))


def receive(nic: vfiocore.Nic, timeout: float = 60) -> bytes:
    """The next of our experiment's frames; QEMU's network may say something, too."""
    end = time.monotonic() + timeout
    while True:
        got = nic.recv(max(0, end - time.monotonic()))
        if got[12:14] == ETHERTYPE:
            return got


def exchange(nic: vfiocore.Nic, peer: socket.socket, sizes: Iterable[int]) -> None:
    """A frame of each size both ways, content and all; the peer is a raw socket of the kernel's."""
    for number, size in enumerate(sizes):
        ours = frame(BROADCAST, nic.mac_bytes, number, size)
        nic.send(ours)
        assert peer.recv(65536) == ours
        theirs = frame(nic.mac_bytes, b"\x02" * 6, number, size)
        peer.send(theirs)
        assert receive(nic) == theirs


def tcp_frame(to: bytes, port: int) -> bytes:
    """An Ethernet frame with IPv4 and TCP headers: as much as the receive filter looks at."""
    total = 40
    ip = bytes.fromhex("4500") + total.to_bytes(2, "big") + bytes.fromhex("0000000040060000")
    ip += bytes([10, 0, 2, 77, 10, 0, 2, 15])
    checksum = sum(int.from_bytes(ip[i : i + 2], "big") for i in range(0, 20, 2))
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    ip = ip[:10] + (0xFFFF - checksum).to_bytes(2, "big") + ip[12:]
    tcp = port.to_bytes(2, "big") + (80).to_bytes(2, "big") + bytes(8) + b"\x50\x02" + bytes(6)
    return (to + b"\x02" * 6 + b"\x08\x00" + ip + tcp).ljust(60, b"\0")
