# SPDX-License-Identifier: MIT
"""The virtio-net driver with each kind of ring: QEMU's network, the kernel's e1000e, each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from frames import frame, receive

import vfiocore
from vfiocore import cli

pytestmark = pytest.mark.machine("igb")

GATEWAY = "10.0.2.2"


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


@pytest.fixture
def bdf(ring: Ring, bound: Callable[[str], str]) -> str:
    return bound(ring.device)


@pytest.fixture
def nic(ring: Ring, bdf: str) -> Iterator[vfiocore.Nic]:
    with vfiocore.open(bdf) as device, device.nic(packed=ring.packed) as nic:
        nic.wait_link(60)
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
            nic.wait_link(60)


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
            sender.wait_link(60)
            receiver.wait_link(60)
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
