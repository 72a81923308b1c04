# SPDX-License-Identifier: MIT
"""Our drivers against the kernel's drivers of other devices: frames, jumbo frames, VLAN, TCP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import kernel_interface
from frames import BROADCAST, exchange, frame, receive

import vfiocore
from vfiocore.lab.machines import Machine


class Pair(NamedTuple):
    """Our device, and the kernel's with its driver."""

    ours: str
    theirs: str
    driver: str


def pair(machine: str, ours: str, theirs: str, driver: str) -> object:
    return pytest.param(
        Pair(ours, theirs, driver), id=f"{ours}-to-{driver}", marks=pytest.mark.machine(machine)
    )


PAIRS = [
    pair("wires", "nic0", "virtio0", "virtio-pci"),
    pair("wires", "virtio1", "nic1", "e1000e"),
    pair("igb", "igb0", "nic0", "e1000e"),
    pair("igb", "igb1", "virtio", "virtio-pci"),
    pair("igb", "nic0", "igb0", "igb"),
    pair("igb", "packed", "igb1", "igb"),
]


@contextmanager
def raw_socket(interface: str, mtu: int) -> Iterator[socket.socket]:
    """The kernel's end of the wire."""
    subprocess.run(["ip", "link", "set", interface, "mtu", str(mtu)], check=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as raw:
        raw.bind((interface, 0x88B5))
        raw.settimeout(5)
        yield raw


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.lab_timeout(120)
def test_frames(pair: Pair, lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """Whole and in order at the usual MTU and at the largest; what is longer is dropped, counted,
    and harms nothing."""
    theirs = lab_machine.device(pair.theirs).bdf
    with kernel_interface(theirs, pair.driver) as interface, vfiocore.open(
        bound(pair.ours)
    ) as device:
        with device.nic() as nic, raw_socket(interface, 1500) as peer:
            nic.wait_link(10)
            exchange(nic, peer, (*range(60, 1515, 97), 1514))
        with device.nic(mtu=9000, rx_entries=64) as nic, raw_socket(interface, 9000) as peer:
            assert (nic.mtu, nic.frame_max) == (9000, 9018)
            nic.wait_link(10)
            exchange(nic, peer, (*range(60, 9014, 331), 2048, 4096, 4097, 8192, 9014))
            stats = nic.stats
            assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0
        with device.nic(mtu=4000) as nic, raw_socket(interface, 9000) as peer:
            nic.wait_link(10)
            for size in (4019, 6000, 9000):
                peer.send(frame(nic.mac_bytes, b"\x02" * 6, size, size))
            exchange(nic, peer, (60, 4014))
            stats = nic.stats
            assert (stats.rx_frames, stats.rx_malformed) == (2, 0)
            # QEMU's virtio-net drops by itself, uncounted, what is longer than a buffer.
            assert stats.rx_errors == (1 if nic.driver == "virtio-net" else 3)
