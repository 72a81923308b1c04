# SPDX-License-Identifier: MIT
"""The igb driver: real frames, against QEMU's network and the kernel's own e1000e."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from frames import BROADCAST, frame, receive, tcp_frame

import vfiocore
from vfiocore import cli

pytestmark = pytest.mark.machine("igb")

WIRE = Path(__file__).parents[2] / "build" / "tests" / "lab" / "wire"
GATEWAY = "10.0.2.2"


@pytest.fixture
def igb0(bound: Callable[[str], str]) -> str:
    """The BDF of the first igb, bound to vfio-pci."""
    return bound("igb0")


@pytest.fixture
def device(igb0: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(igb0) as device:
        yield device


@pytest.fixture
def nic(device: vfiocore.Device) -> Iterator[vfiocore.Nic]:
    with device.nic() as nic:
        nic.wait_link(5)
        yield nic


def test_identity(nic: vfiocore.Nic) -> None:
    assert (nic.driver, nic.mac) == ("igb", "52:54:00:76:67:00")
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


@pytest.mark.lab_timeout(300)
def test_100_000_numbered_frames_each_way(igb0: str, kernel_nic: str) -> None:
    done = subprocess.run(
        [str(WIRE), igb0, kernel_nic, "100000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    for way in ("tx", "rx"):
        assert figures[way]["received"] == 100_000
        assert figures[way]["lost"] == figures[way]["damaged"] == figures[way]["reordered"] == 0
    assert figures["kernel"] == {"rx_packets": 100_000, "tx_packets": 100_000}
    print(done.stdout)


def test_the_command_pings_the_gateway(igb0: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["net", "ping", igb0, "-c", "2", "-i", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["received"] == 2


def test_between_two_igb(nic: vfiocore.Nic, bound: Callable[[str], str]) -> None:
    with vfiocore.open(bound("igb1")) as device, device.nic() as other:
        other.wait_link(5)
        for number in range(200):
            there = frame(other.mac_bytes, nic.mac_bytes, number, 60 + 7 * number)
            nic.send(there)
            assert receive(other) == there
            back = frame(nic.mac_bytes, other.mac_bytes, number, 60 + 7 * number)
            other.send(back)
            assert receive(nic) == back


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


def test_one_interrupt_wakes_for_each_burst(nic: vfiocore.Nic, peer: socket.socket) -> None:
    """receive() sleeps on the interrupt whenever the ring is empty."""
    for number in range(50):
        with pytest.raises(vfiocore.WaitTimeout):
            receive(nic, 0)
        for _ in range(3):
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
        for _ in range(3):
            assert receive(nic)[14:18] == number.to_bytes(4, "big")


def test_reset_under_traffic(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for round_ in range(5):
        for number in range(50):
            nic.send(frame(BROADCAST, nic.mac_bytes, number, 1000))
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 1000))
        nic.reset()
        nic.wait_link(5)
        marker = 0x1000 + round_
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, marker, 60))
        while receive(nic)[14:18] != marker.to_bytes(4, "big"):
            pass


def test_open_and_close_many_times(device: vfiocore.Device, peer: socket.socket) -> None:
    for number in range(10):
        with device.nic() as nic:
            nic.wait_link(5)
            peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
            assert receive(nic)[14:18] == number.to_bytes(4, "big")


@pytest.mark.parametrize("queues", [2, 3, 8])
def test_queues(device: vfiocore.Device, peer: socket.socket, queues: int) -> None:
    """RSS spreads flows of TCP over all queues, and keeps each on one."""
    with device.nic(queues=queues) as nic:
        nic.wait_link(5)
        flows: dict[int, set[int]] = {}
        for number in range(256):
            peer.send(tcp_frame(nic.mac_bytes, 1000 + number % 128))
            if number % 32 == 31:
                time.sleep(0.01)
        end = time.monotonic() + 5
        while sum(map(len, flows.values())) < 128 and time.monotonic() < end:
            for queue in range(queues):
                for got in nic.recv_many(64, queue):
                    if got[12:14] == b"\x08\x00" and got[23] == 6:
                        flows.setdefault(queue, set()).add(int.from_bytes(got[34:36], "big"))
        assert set(flows) == set(range(queues))
        assert sum(map(len, flows.values())) == len(set.union(*flows.values())) == 128


def test_more_queues_than_there_are(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.OutOfRange, match="igb has 8"):
        device.nic(queues=9)


