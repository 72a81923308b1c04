# SPDX-License-Identifier: MIT
"""What every driver does: real frames, against the kernel's own e1000e."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from frames import BROADCAST, ETHERTYPE, exchange, frame, receive, tcp_frame
from nics import NICS, Row

import vfiocore

pytestmark = pytest.mark.parametrize("row", NICS)

WIRE = Path(__file__).parents[2] / "build" / "tests" / "lab" / "wire"
STRANGER = b"\x52\x54\x00\xaa\xbb\xcc"


@pytest.fixture
def bdf(row: Row, bound: Callable[[str], str]) -> str:
    return bound(row.device)


@pytest.fixture
def nic(row: Row, bdf: str) -> Iterator[vfiocore.Nic]:
    with row.open(bdf) as nic:
        assert nic.driver == row.driver
        yield nic
        stats = nic.stats
        assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0


def test_every_size_both_ways(nic: vfiocore.Nic, peer: socket.socket) -> None:
    exchange(nic, peer, range(60, min(nic.frame_max, 1514) + 1, 5))


@pytest.mark.lab_timeout(300)
def test_numbered_frames_each_way(row: Row, bdf: str, kernel_nic: str) -> None:
    words = [str(WIRE), bdf, kernel_nic, str(row.frames), *row.options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    for way in ("tx", "rx"):
        assert figures[way]["received"] == row.frames
        assert figures[way]["lost"] == figures[way]["damaged"] == figures[way]["reordered"] == 0
    assert figures["errors"] == figures["malformed"] == 0
    # The kernel may have had a frame of its own to send or to receive, such as for IPv6.
    assert figures["kernel"].keys() == {"rx_packets", "tx_packets"}
    assert min(figures["kernel"].values()) >= row.frames


def test_statistics(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for number in range(10):
        nic.send(frame(BROADCAST, nic.mac_bytes, number, 100))
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 200))
    for _ in range(10):
        receive(nic)
    nic.drain(60)
    stats = nic.stats
    assert (stats.tx_frames, stats.tx_bytes) == (10, 1000)
    assert stats.rx_frames >= 10
    assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0


def test_address_filter_and_promiscuous(
    row: Row, nic: vfiocore.Nic, peer: socket.socket
) -> None:
    if not row.managed:
        with pytest.raises(vfiocore.Unsupported, match="CTRL_RX"):
            nic.set_promisc(True)
        nic.set_promisc(False)
        with pytest.raises(vfiocore.Unsupported, match="CTRL_MAC_ADDR"):
            nic.set_mac("52:54:00:aa:bb:cc")
        return
    peer.send(frame(STRANGER, b"\x02" * 6, 1, 60))
    with pytest.raises(vfiocore.WaitTimeout):
        receive(nic, 0.2)
    nic.set_promisc(True)
    peer.send(frame(STRANGER, b"\x02" * 6, 2, 60))
    assert receive(nic)[14:18] == b"\0\0\0\2"
    nic.reset()  # stays promiscuous
    peer.send(frame(STRANGER, b"\x02" * 6, 3, 60))
    assert receive(nic)[14:18] == b"\0\0\0\3"
    nic.set_promisc(False)
    peer.send(frame(STRANGER, b"\x02" * 6, 4, 60))
    with pytest.raises(vfiocore.WaitTimeout):
        receive(nic, 0.2)
    peer.send(frame(b"\x01\x00\x5e\x01\x02\x03", b"\x02" * 6, 5, 60))
    assert receive(nic)[14:18] == b"\0\0\0\5"
    nic.set_mac(STRANGER)
    peer.send(frame(STRANGER, b"\x02" * 6, 6, 60))
    assert receive(nic)[14:18] == b"\0\0\0\6"


def test_asyncio(nic: vfiocore.Nic, peer: socket.socket) -> None:
    async def three() -> list[int]:
        loop = asyncio.get_running_loop()
        for number in range(3):
            loop.call_later(0.05 * number, peer.send, frame(nic.mac_bytes, b"\2" * 6, number, 60))
        numbers: list[int] = []
        while len(numbers) < 3:
            got = await nic.recv_async(60)
            if got[12:14] == ETHERTYPE:
                numbers.append(int.from_bytes(got[14:18], "big"))
        return numbers

    assert asyncio.run(three()) == [0, 1, 2]


def test_an_interrupt_for_each_wait(nic: vfiocore.Nic, peer: socket.socket) -> None:
    """Each frame is sent while its receiver sleeps; a ring's lap of 256 is passed."""
    for number in range(300):
        timer = threading.Timer(0.001, peer.send, [frame(nic.mac_bytes, b"\2" * 6, number, 60)])
        timer.start()
        assert receive(nic)[14:18] == number.to_bytes(4, "big")
        timer.join()


def test_reset_under_traffic(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for round_ in range(10):
        for number in range(50):
            nic.send(frame(BROADCAST, nic.mac_bytes, number, 1000))
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 1000))
        nic.reset()
        nic.wait_link(60)
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
                nic.wait_link(60)
                end = time.monotonic() + 60
                while sent == before[0] or received == before[1]:
                    assert time.monotonic() < end
                    time.sleep(0.01)
        finally:
            over.set()
        for one in both:
            one.result(20)


def test_open_and_close_under_traffic(row: Row, bdf: str, peer: socket.socket) -> None:
    with vfiocore.open(bdf) as device:
        for number in range(20):
            with device.nic(**row.options) as nic:
                nic.wait_link(60)
                peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
                while receive(nic)[14:18] != number.to_bytes(4, "big"):
                    pass
                for _ in range(0 if row.throttled else 50):
                    peer.send(frame(nic.mac_bytes, b"\x02" * 6, 0xFFFF, 1000))
                    nic.send(frame(BROADCAST, nic.mac_bytes, 0xFFFF, 1000))


def flows_by_queue(nic: vfiocore.Nic, peer: socket.socket, flows: int) -> dict[int, set[int]]:
    """Where frames of so many TCP flows arrive, two of each."""
    got_by: dict[int, set[int]] = {}
    for number in range(2 * flows):
        peer.send(tcp_frame(nic.mac_bytes, 1000 + number % flows))
        if number % 32 == 31:
            time.sleep(0.01)
    end = time.monotonic() + 60
    while sum(map(len, got_by.values())) < flows and time.monotonic() < end:
        for queue in range(nic.queues):
            for got in nic.recv_many(64, queue):
                if got[12:14] == b"\x08\x00" and got[23] == 6:
                    got_by.setdefault(queue, set()).add(int.from_bytes(got[34:36], "big"))
    return got_by


def test_queues(row: Row, bdf: str, peer: socket.socket) -> None:
    """RSS spreads flows of TCP over all queues, and keeps each on one."""
    with vfiocore.open(bdf) as device:
        for queues in row.queues:
            with device.nic(queues=queues) as nic:
                nic.wait_link(60)
                flows = flows_by_queue(nic, peer, 16 * queues)
                assert set(flows) == set(range(queues))
                assert len(set.union(*flows.values())) == 16 * queues
                assert sum(map(len, flows.values())) == 16 * queues
        with pytest.raises((vfiocore.OutOfRange, vfiocore.Unsupported), match=r"has|MQ"):
            device.nic(queues=max(row.queues, default=1) + 1, **row.options)
