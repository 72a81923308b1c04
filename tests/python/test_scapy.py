# SPDX-License-Identifier: MIT
"""Scapy on the looped fake: what is sent comes back."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator

import pytest

scapy_l2 = pytest.importorskip("scapy.layers.l2")

from scapy.config import conf
from scapy.packet import Packet, Raw
from scapy.sendrecv import AsyncSniffer, sniff, srp1

import vfiocore
from vfiocore.scapy import VfioSocket

Ether = scapy_l2.Ether
TYPE = 0x88B5


@pytest.fixture
def socket(nic: vfiocore.Nic) -> Iterator[VfioSocket]:
    with VfioSocket(nic=nic) as opened:
        yield opened


def packet(socket: VfioSocket, number: int) -> Packet:
    mac = socket.nic.mac
    return Ether(src=mac, dst=mac, type=TYPE) / Raw(number.to_bytes(50, "big"))


def numbers(packets: list[Packet]) -> list[int]:
    return [int.from_bytes(received[Raw].load, "big") for received in packets]


def test_send_and_receive(socket: VfioSocket) -> None:
    sent = packet(socket, 7)
    assert socket.send(sent) == 64
    assert VfioSocket.select([socket], 5) == [socket]
    before = time.time()
    received = socket.recv()
    assert received is not None
    assert bytes(received) == bytes(sent)
    assert before - 5 < received.time <= time.time()
    assert sent.sent_time <= received.time
    assert socket.recv() is None
    assert VfioSocket.select([socket], 0.05) == []


def test_sr1(socket: VfioSocket) -> None:
    # Raw payloads answer each other, so that the looped frame is its own answer.
    answer = socket.sr1(packet(socket, 3), timeout=5, verbose=0)
    assert answer is not None
    assert numbers([answer]) == [3]


def test_sr(socket: VfioSocket) -> None:
    answered, unanswered = socket.sr(
        [packet(socket, number) for number in range(5)], timeout=5, verbose=0
    )
    assert (len(answered), len(unanswered)) == (5, 0)


def test_sr1_without_an_answer(socket: VfioSocket) -> None:
    away = Ether(src=socket.nic.mac, dst="02:00:00:00:00:99", type=TYPE) / Raw(b"x")
    start = time.monotonic()
    assert socket.sr1(away, timeout=0.3, verbose=0) is None
    assert time.monotonic() - start < 5


def test_five_frames_by_one_interrupt(socket: VfioSocket) -> None:
    frames = [bytes(packet(socket, number)) for number in range(5)]

    def burst() -> None:
        assert socket.nic.send_many(frames) == 5

    received = sniff(opened_socket=socket, count=5, timeout=10, started_callback=burst)
    assert numbers(received) == [0, 1, 2, 3, 4]


def test_sniff_gets_every_frame(socket: VfioSocket) -> None:
    def flood() -> None:
        for number in range(300):
            socket.send(packet(socket, number))
            time.sleep(0.001)

    thread = threading.Thread(target=flood)
    received = sniff(
        opened_socket=socket, count=300, timeout=30, started_callback=thread.start
    )
    thread.join()
    assert numbers(received) == list(range(300))


def test_async_sniffer(socket: VfioSocket) -> None:
    started = threading.Event()
    sniffer = AsyncSniffer(opened_socket=socket, started_callback=started.set)
    sniffer.start()
    assert started.wait(10)
    for number in range(20):
        socket.send(packet(socket, number))
    deadline = time.monotonic() + 10
    while sniffer.count < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    start = time.monotonic()
    received = sniffer.stop()
    assert time.monotonic() - start < 1
    assert numbers(received) == list(range(20))


def test_plain_select_works_too(socket: VfioSocket) -> None:
    """The eventfd is readable exactly while there is something to receive."""
    for number in range(3):
        socket.send(packet(socket, number))
    received = []
    while len(received) < 3:
        assert select.select([socket], [], [], 5)[0] == [socket]
        got = socket.recv()
        received.extend([] if got is None else [got])
    assert numbers(received) == [0, 1, 2]
    while select.select([socket], [], [], 0)[0]:
        assert socket.recv() is None


def test_layer_two_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "L2socket", VfioSocket)
    monkeypatch.setattr(conf, "L2listen", VfioSocket)
    mac = "52:54:00:12:34:56"
    sent = Ether(src=mac, dst=mac, type=TYPE) / Raw(b"hello")
    with VfioSocket("fake:e1000e") as socket:
        answer = socket.sr1(sent, timeout=5, verbose=0)
        assert answer is not None
        assert answer[Raw].load.startswith(b"hello")


def test_owned_device_is_closed() -> None:
    socket = VfioSocket("fake:e1000e")
    nic = socket.nic
    socket.close()
    socket.close()
    assert nic.closed
    assert nic.device.closed


def test_borrowed_nic_stays_open(nic: vfiocore.Nic) -> None:
    VfioSocket(nic=nic).close()
    assert not nic.closed


def test_arguments(nic: vfiocore.Nic) -> None:
    with pytest.raises(ValueError, match="either the name"):
        VfioSocket()
    with pytest.raises(ValueError, match="either the name"):
        VfioSocket("fake:e1000e", nic=nic)
    with pytest.raises(ValueError, match="lfilter"):
        VfioSocket(nic=nic, filter="tcp")
    with pytest.raises(vfiocore.NoDevice):
        VfioSocket("fake:nothing")


def test_only_the_ethernet_layer_is_imported() -> None:
    import subprocess
    import sys

    code = "import sys, vfiocore.scapy; print([m for m in sys.modules if 'scapy.layers' in m])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "scapy.layers.inet'" not in result.stdout
    assert srp1 is not None
