# SPDX-License-Identifier: MIT
"""The virtio-net driver with each kind of ring: QEMU's network, the kernel's e1000e, each other."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from frames import BROADCAST, frame, receive

import vfiocore
from vfiocore import cli

pytestmark = pytest.mark.machine("igb")

STRANGER = b"\x52\x54\x00\xaa\xbb\xcc"
GATEWAY = "10.0.2.2"
WIRE = Path(__file__).parents[2] / "build" / "tests" / "lab" / "wire"


class Ring(NamedTuple):
    """A device of the machine, and the kind of ring that it is told to use."""

    device: str
    packed: bool


# Event indices: the devices virtio and packed have them, plain has not.
RINGS = [
    pytest.param(Ring("virtio", False), id="split"),
    pytest.param(Ring("packed", True), id="packed"),
    pytest.param(Ring("plain", False), id="split-without-event-index"),
    pytest.param(Ring("plain", True), id="packed-without-event-index"),
]
MANAGED = RINGS[:2]  # with a control queue


@pytest.fixture
def bdf(ring: Ring, bound: Callable[[str], str]) -> str:
    return bound(ring.device)


@pytest.fixture
def nic(ring: Ring, bdf: str) -> Iterator[vfiocore.Nic]:
    with vfiocore.open(bdf) as device, device.nic(packed=ring.packed) as nic:
        nic.wait_link(5)
        yield nic
        stats = nic.stats
        assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0


@pytest.mark.parametrize("ring", RINGS)
def test_identity(ring: Ring, nic: vfiocore.Nic) -> None:
    plain = ring.device == "plain"
    assert nic.driver == "virtio-net"
    assert nic.mac[:15] == "52:54:00:76:67:"
    assert nic.link == vfiocore.LinkState(True, 10000 if plain else 0, plain)
    assert nic.frame_max == (1218 if plain else 1518)


@pytest.mark.parametrize("ring", RINGS)
def test_every_size_both_ways(nic: vfiocore.Nic, peer: socket.socket) -> None:
    for size in range(60, min(nic.frame_max, 1514) + 1, 5):
        ours = frame(BROADCAST, nic.mac_bytes, size, size)
        nic.send(ours)
        assert peer.recv(2000) == ours
        theirs = frame(nic.mac_bytes, b"\x02" * 6, size, size)
        peer.send(theirs)
        assert receive(nic) == theirs


@pytest.mark.parametrize("ring", MANAGED)
def test_a_hundred_thousand_frames_both_ways(ring: Ring, bdf: str, kernel_nic: str) -> None:
    words = [str(WIRE), bdf, kernel_nic, "100000", *(["packed"] if ring.packed else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    for way in ("tx", "rx"):
        assert figures[way]["received"] == 100_000
        assert figures[way]["lost"] == figures[way]["reordered"] == figures[way]["damaged"] == 0
    assert figures["errors"] == figures["malformed"] == 0


@pytest.mark.parametrize("ring", RINGS)
def test_an_interrupt_for_each_wait(nic: vfiocore.Nic, peer: socket.socket) -> None:
    """Each frame is sent while its receiver sleeps; a ring's lap of 256 is passed."""
    for number in range(300):
        timer = threading.Timer(0.001, peer.send, [frame(nic.mac_bytes, b"\2" * 6, number, 60)])
        timer.start()
        assert receive(nic)[14:18] == number.to_bytes(4, "big")
        timer.join()


@pytest.mark.parametrize("ring", RINGS)
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


@pytest.mark.parametrize("ring", RINGS)
def test_open_and_close_under_traffic(ring: Ring, bdf: str, peer: socket.socket) -> None:
    with vfiocore.open(bdf) as device:
        for number in range(20):
            with device.nic(packed=ring.packed) as nic:
                nic.wait_link(5)
                peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
                while receive(nic)[14:18] != number.to_bytes(4, "big"):
                    pass
                for _ in range(50):
                    peer.send(frame(nic.mac_bytes, b"\x02" * 6, 0xFFFF, 1000))
                    nic.send(frame(BROADCAST, nic.mac_bytes, 0xFFFF, 1000))


@pytest.mark.parametrize("ring", MANAGED)
def test_address_filter_and_promiscuous(nic: vfiocore.Nic, peer: socket.socket) -> None:
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


@pytest.mark.parametrize("ring", RINGS[2:])
def test_what_a_device_lacks_is_refused(ring: Ring, bdf: str) -> None:
    with vfiocore.open(bdf) as device:
        with device.nic(packed=ring.packed) as nic:
            with pytest.raises(vfiocore.Unsupported, match="CTRL_RX"):
                nic.set_promisc(True)
            nic.set_promisc(False)
            with pytest.raises(vfiocore.Unsupported, match="CTRL_MAC_ADDR"):
                nic.set_mac("52:54:00:aa:bb:cc")
            assert nic.mac == "52:54:00:76:67:13"
            with pytest.raises(vfiocore.InvalidArgument, match="1 to 1218"):
                nic.send(bytes(1219))
        with pytest.raises(vfiocore.Unsupported, match="CTRL_RX"):
            device.nic(promisc=True)
        with pytest.raises(vfiocore.Unsupported, match="VIRTIO_NET_F_MQ"):
            device.nic(queues=2)
        with device.nic(packed=ring.packed, rx_entries=1024, tx_entries=8) as nic:
            nic.wait_link(5)


def test_packed_rings_must_be_offered(bound: Callable[[str], str]) -> None:
    with (
        vfiocore.open(bound("virtio")) as device,
        pytest.raises(vfiocore.Unsupported, match="packed=on"),
    ):
        device.nic(packed=True)


def test_two_of_ours(bound: Callable[[str], str]) -> None:
    """Bursts from split rings to packed ones and back, in one process."""
    with (
        vfiocore.open(bound("virtio")) as one,
        vfiocore.open(bound("packed")) as two,
        one.nic() as split,
        two.nic(packed=True) as packed,
    ):
        for sender, receiver in ((split, packed), (packed, split)):
            sender.wait_link(5)
            receiver.wait_link(5)
            next_ = 0
            while next_ < 5000:
                burst = [
                    frame(receiver.mac_bytes, sender.mac_bytes, n, 60 + n % 1455)
                    for n in range(next_, next_ + 50)
                ]
                assert sender.send_many(burst) == 50
                for sent in burst:
                    assert receive(receiver) == sent
                next_ += 50
            assert sender.stats.tx_frames == 5000


@pytest.mark.parametrize("ring", RINGS)
def test_dhcp_and_ping(nic: vfiocore.Nic) -> None:
    from vfiocore.net import dhcp, ping
    from vfiocore.scapy import VfioSocket

    link = VfioSocket(nic=nic)
    lease = dhcp(link, nic.mac)
    assert lease.router == GATEWAY
    replies = list(ping(link, lease, GATEWAY, count=3, interval=0.05))
    assert [reply.sequence for reply in replies if reply.rtt is not None] == [1, 2, 3]


@pytest.mark.machine("width", "width-built")
def test_the_command_pings_and_leases(
    bound: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = bound("virtio")
    assert cli.main(["net", "ping", name, "-c", "3", "-i", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["received"] == 3
    assert cli.main(["net", "dhcp", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lease"]["server"] == GATEWAY
