# SPDX-License-Identifier: MIT
"""The e1000e driver: real frames, against QEMU's network and the kernel's own driver."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from frames import BROADCAST, ETHERTYPE, frame, receive, tcp_frame

import vfiocore

pytestmark = pytest.mark.machine("intel", "iommufd")

WIRE = Path(__file__).parents[2] / "build" / "tests" / "lab" / "wire"


@pytest.fixture
def device(nic0: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(nic0) as device:
        yield device


@pytest.fixture
def nic(device: vfiocore.Device) -> Iterator[vfiocore.Nic]:
    with device.nic() as nic:
        nic.wait_link(5)
        yield nic


def test_identity(nic: vfiocore.Nic) -> None:
    assert nic.mac == "52:54:00:76:66:00"
    assert nic.link.up
    assert nic.link.speed == 1000
    assert nic.link.full_duplex


def test_every_size_both_ways(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for size in range(60, 1515, 7):
        ours = frame(BROADCAST, nic.mac_bytes, size, size)
        nic.send(ours)
        assert peer.recv(2000) == ours
        theirs = frame(nic.mac_bytes, b"\x02" * 6, size, size)
        peer.send(theirs)
        assert receive(nic) == theirs


def test_numbered_frames_against_the_kernels_counts(nic0: str, kernel_nic: str) -> None:
    done = subprocess.run(
        [str(WIRE), nic0, kernel_nic, "5000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    assert figures["tx"]["received"] == figures["rx"]["received"] == 5000
    assert figures["kernel"] == {"rx_packets": 5000, "tx_packets": 5000}


def test_statistics(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for number in range(10):
        nic.send(frame(BROADCAST, nic.mac_bytes, number, 100))
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 200))
    for _ in range(10):
        receive(nic)
    nic.drain(5)
    stats = nic.stats
    assert (stats.tx_frames, stats.tx_bytes) == (10, 1000)
    assert stats.rx_frames >= 10
    assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0


def test_address_filter_and_promiscuous(nic: vfiocore.Nic, peer: socket.socket) -> None:
    stranger = b"\x52\x54\x00\xaa\xbb\xcc"
    peer.send(frame(stranger, b"\x02" * 6, 1, 60))
    with pytest.raises(vfiocore.WaitTimeout):
        receive(nic, 0.2)
    nic.set_promisc(True)
    peer.send(frame(stranger, b"\x02" * 6, 2, 60))
    assert receive(nic)[14:18] == b"\0\0\0\2"
    nic.set_promisc(False)
    peer.send(frame(stranger, b"\x02" * 6, 3, 60))
    with pytest.raises(vfiocore.WaitTimeout):
        receive(nic, 0.2)
    nic.set_mac("52:54:00:aa:bb:cc")
    peer.send(frame(stranger, b"\x02" * 6, 4, 60))
    assert receive(nic)[14:18] == b"\0\0\0\4"


def test_asyncio(nic: vfiocore.Nic, peer: socket.socket) -> None:
    async def three() -> list[int]:
        loop = asyncio.get_running_loop()
        for number in range(3):
            loop.call_later(0.05 * number, peer.send, frame(nic.mac_bytes, b"\2" * 6, number, 60))
        numbers: list[int] = []
        while len(numbers) < 3:
            got = await nic.recv_async(5)
            if got[12:14] == ETHERTYPE:
                numbers.append(int.from_bytes(got[14:18], "big"))
        return numbers

    assert asyncio.run(three()) == [0, 1, 2]


def test_reset_under_traffic(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for round_ in range(10):
        for number in range(50):
            nic.send(frame(BROADCAST, nic.mac_bytes, number, 1000))
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 1000))
        nic.reset()
        nic.wait_link(5)
        marker = 0x1000 + round_
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, marker, 60))
        while receive(nic)[14:18] != marker.to_bytes(4, "big"):
            pass


def test_reset_by_another_thread(nic: vfiocore.Nic, peer: socket.socket) -> None:
    """While one sends and one receives: neither fails, and both go on after it."""
    over = threading.Event()
    sent = received = 0

    def send() -> None:
        nonlocal sent
        while not over.is_set():
            nic.send(frame(BROADCAST, nic.mac_bytes, sent, 60))
            sent += 1

    def take() -> None:
        nonlocal received
        while not over.is_set():
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, received, 60))
            with suppress(vfiocore.WaitTimeout):
                receive(nic, 0.05)
                received += 1

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(what) for what in (send, take)]
        try:
            for _ in range(5):
                before = sent, received
                nic.reset()
                nic.wait_link(5)
                end = time.monotonic() + 20
                while sent == before[0] or received == before[1]:
                    assert time.monotonic() < end
                    time.sleep(0.01)
        finally:
            over.set()
        for one in both:
            one.result(20)


def test_open_and_close_many_times(device: vfiocore.Device, peer: socket.socket) -> None:
    """Quiet before each close: an emulator that throttles interrupts is not caught out."""
    for number in range(20):
        with device.nic() as nic:
            nic.wait_link(5)
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
            assert receive(nic)[14:18] == number.to_bytes(4, "big")


def test_two_queues(device: vfiocore.Device, peer: socket.socket) -> None:
    """RSS spreads flows of TCP over both queues and keeps each flow on one."""
    with device.nic(queues=2) as nic:
        nic.wait_link(5)
        flows: dict[int, set[int]] = {}
        for number in range(64):
            peer.send(tcp_frame(nic.mac_bytes, 1000 + number % 32))
        end = time.monotonic() + 5
        while sum(map(len, flows.values())) < 32 and time.monotonic() < end:
            for queue in (0, 1):
                for got in nic.recv_many(64, queue):
                    if got[12:14] == b"\x08\x00" and got[23] == 6:
                        flows.setdefault(queue, set()).add(int.from_bytes(got[34:36], "big"))
        assert set(flows) == {0, 1}
        assert not flows[0] & flows[1]
        assert len(flows[0] | flows[1]) == 32


@pytest.mark.kernel_log(allow=r"DMAR:.*\[(0000:)?01:00\.0\]|DMAR: DRHD: handling fault")
def test_a_stray_address_is_stopped_and_the_nic_recovers(
    nic0: str, kernel_nic: str, peer: socket.socket
) -> None:
    """The demo's isolation step, as a test."""
    demo = Path(__file__).parents[2] / "ci" / "demo.py"
    code = f"import runpy; m = runpy.run_path({str(demo)!r}); m['isolation']({kernel_nic!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "fault addr" in done.stdout
    with vfiocore.open(nic0) as device, device.nic() as nic:
        nic.wait_link(5)
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, 1, 60))
        assert receive(nic)[14:18] == b"\0\0\0\1"
