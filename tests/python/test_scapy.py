# SPDX-License-Identifier: MIT
"""Scapy on the looped fake: what is sent comes back."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

import vfiocore

pytest.importorskip("scapy")

if True:  # after the line above: without scapy these tests are skipped
    from scapy.layers.l2 import Ether
    from scapy.packet import Packet, Raw
    from scapy.sendrecv import AsyncSniffer, sendp, sniff, srp1

    from vfiocore.scapy import VfioSocket

TYPE = 0x88B5


@pytest.fixture
def socket(nic: vfiocore.Nic) -> Iterator[VfioSocket]:
    with VfioSocket(nic=nic) as opened:
        yield opened


def packet(socket: VfioSocket, number: int) -> Packet:
    mac = socket.nic.mac
    return Ether(src=mac, dst=mac, type=TYPE) / Raw(number.to_bytes(50, "big"))


def numbers(packets: Iterable[Packet] | None) -> list[int]:
    assert packets is not None
    return [int.from_bytes(received[Raw].load, "big") for received in packets]


def test_send_and_receive(socket: VfioSocket) -> None:
    sent = packet(socket, 7)
    assert socket.send(sent) == 64
    assert VfioSocket.select([socket], 5) == [socket]
    before = time.time()
    received = socket.recv()
    assert received is not None
    assert bytes(received) == bytes(sent)
    assert sent.sent_time is not None
    assert before - 5 < sent.sent_time <= float(received.time) <= time.time()
    assert socket.recv() is None
    assert VfioSocket.select([socket], 0.05) == []


def test_sr1(socket: VfioSocket) -> None:
    # Raw payloads answer each other, so that the looped frame is its own answer.
    answer = socket.sr1(packet(socket, 3), timeout=60, verbose=0)
    assert answer is not None
    assert numbers([answer]) == [3]


def test_sr(socket: VfioSocket) -> None:
    answered, unanswered = socket.sr(
        [packet(socket, number) for number in range(5)], timeout=60, verbose=0
    )
    assert (len(answered), len(unanswered)) == (5, 0)


def test_sr1_without_an_answer(socket: VfioSocket) -> None:
    away = Ether(src=socket.nic.mac, dst="02:00:00:00:00:99", type=TYPE) / Raw(b"x")
    assert socket.sr1(away, timeout=0.3, verbose=0) is None


def test_five_frames_by_one_interrupt(socket: VfioSocket) -> None:
    frames = [bytes(packet(socket, number)) for number in range(5)]

    def burst() -> None:
        assert socket.nic.send_many(frames) == 5

    received = sniff(opened_socket=socket, count=5, timeout=60, started_callback=burst)
    assert numbers(received) == [0, 1, 2, 3, 4]


def test_sniff_gets_every_frame(socket: VfioSocket) -> None:
    room = threading.Semaphore(128)  # the receive ring has 255 buffers

    def flood() -> None:
        for number in range(300):
            assert room.acquire(timeout=60)
            socket.send(packet(socket, number))

    thread = threading.Thread(target=flood)
    received = sniff(
        opened_socket=socket,
        count=300,
        timeout=30,
        started_callback=thread.start,
        prn=lambda _: room.release(),
    )
    thread.join()
    assert numbers(received) == list(range(300))


def test_async_sniffer(socket: VfioSocket) -> None:
    started = threading.Event()
    sniffer = AsyncSniffer(opened_socket=socket, started_callback=started.set)
    sniffer.start()
    assert started.wait(60)
    for number in range(20):
        socket.send(packet(socket, number))
    deadline = time.monotonic() + 60
    while sniffer.count < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    received = sniffer.stop()
    assert numbers(received) == list(range(20))


def test_plain_select_works_too(socket: VfioSocket) -> None:
    """The eventfd is readable exactly while there is something to receive."""
    for number in range(3):
        socket.send(packet(socket, number))
    received: list[Packet] = []
    while len(received) < 3:
        assert select.select([socket], [], [], 5)[0] == [socket]
        got = socket.recv()
        received.extend([] if got is None else [got])
    assert numbers(received) == [0, 1, 2]
    while select.select([socket], [], [], 0)[0]:
        assert socket.recv() is None


def test_functions_that_open_a_socket(socket: VfioSocket) -> None:
    answer = srp1(packet(socket, 9), iface=socket.interface, timeout=60, verbose=0)
    assert answer is not None
    assert numbers([answer]) == [9]

    def burst() -> None:
        frames = [packet(socket, number) for number in range(5)]
        sendp(frames, iface=socket.interface, verbose=0)

    received = sniff(iface=socket.interface, count=5, timeout=60, started_callback=burst)
    assert numbers(received) == [0, 1, 2, 3, 4]
    assert not socket.nic.closed
    with pytest.raises(ValueError, match="lfilter"):
        srp1(packet(socket, 0), iface=socket.interface, filter="tcp", timeout=1, verbose=0)


def test_owned_device_is_closed() -> None:
    socket = VfioSocket("fake:e1000e")
    nic = socket.nic
    assert socket.sr1(packet(socket, 1), timeout=60, verbose=0) is not None
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
