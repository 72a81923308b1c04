# SPDX-License-Identifier: MIT
"""Frames of the tests of network interfaces: how they are made and told from others'."""

from __future__ import annotations

import time

import vfiocore

ETHERTYPE = b"\x88\xb5"  # for local experiments (IEEE 802)
BROADCAST = b"\xff" * 6


def frame(to: bytes, source: bytes, number: int, size: int) -> bytes:
    return (to + source + ETHERTYPE + number.to_bytes(4, "big")).ljust(size, bytes([number & 255]))


def receive(nic: vfiocore.Nic, timeout: float = 5) -> bytes:
    """The next of our experiment's frames; QEMU's network may say something, too."""
    end = time.monotonic() + timeout
    while True:
        got = nic.recv(max(0, end - time.monotonic()))
        if got[12:14] == ETHERTYPE:
            return got
