# SPDX-License-Identifier: MIT
"""Frames that the device keeps away: those of other VLANs, and those with a wrong checksum."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from nics import NICS, Row
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

import vfiocore

INTEL = [nic for nic in NICS if nic.id in ("e1000e", "igb")]
OTHERS = [nic for nic in NICS if nic not in INTEL]
WRONG = 0x1234


@pytest.fixture
def device(row: Row, bound: Callable[[str], str]) -> Iterator[vfiocore.Device]:
    with vfiocore.open(bound(row.device)) as device:
        yield device


def marked(nic: vfiocore.Nic, *layers: Packet) -> list[bytes]:
    """A frame of each, numbered in its last byte."""
    frames = []
    for number, layer in enumerate(layers):
        head = Ether(dst=nic.mac, src="02:00:00:00:00:01")
        frames.append(bytes(head / layer / Raw(b"vfiocore".ljust(63, b".") + bytes([number]))))
    return frames


def come(nic: vfiocore.Nic, peer: socket.socket, frames: list[bytes]) -> list[int]:
    """Which of the frames are received, by whichever queue; a last one, no IP, is queue 0's."""
    end = nic.mac_bytes + b"\x02" * 6 + b"\x88\xb5" + b"end".ljust(46, b"\0")
    for frame in [*frames, end]:
        peer.send(frame)
    got: list[bytes] = []
    while end not in got:
        got.append(nic.recv(60))
    for queue in range(1, nic.queues):
        got += nic.recv_many(queue=queue)
    return sorted(frames.index(frame) for frame in got if frame in frames)


@pytest.mark.parametrize("row", INTEL)
def test_vlans(device: vfiocore.Device, peer: socket.socket) -> None:
    with device.nic(vlan_filter=True) as nic:
        nic.wait_link(60)
        tags = Dot1Q(vlan=5), Dot1Q(vlan=4095), Dot1Q(vlan=37), Dot1Q(vlan=5, prio=7)
        frames = marked(nic, *tags)
        assert come(nic, peer, frames) == []
        nic.set_vlan(5)
        nic.set_vlan(4095)
        assert come(nic, peer, frames) == [0, 1, 3]
        nic.reset()
        nic.wait_link(60)
        assert come(nic, peer, frames) == [0, 1, 3]
        nic.set_promisc(True)
        assert come(nic, peer, frames) == [0, 1, 3]
        nic.set_vlan(5, False)
        assert come(nic, peer, frames) == [1]
        with pytest.raises(vfiocore.OutOfRange, match="VLAN 4096"):
            nic.set_vlan(4096)
    with device.nic() as nic:
        nic.wait_link(60)
        assert come(nic, peer, frames) == [0, 1, 2, 3]
        with pytest.raises(vfiocore.InvalidArgument, match="VLAN_FILTER"):
            nic.set_vlan(5)


@pytest.mark.parametrize("row", INTEL)
def test_checksums(device: vfiocore.Device, peer: socket.socket) -> None:
    for queues in (1, 2):
        with device.nic(rx_checksum=True, queues=queues) as nic:
            nic.wait_link(60)
            four, six = IP(src="10.1.0.1", dst="10.1.0.2"), IPv6(src="fd00::1", dst="fd00::2")
            broken = IP(src="10.1.0.1", dst="10.1.0.2", chksum=WRONG)
            frames = marked(
                nic,
                *(four / UDP(), four / UDP(chksum=WRONG), broken / UDP()),
                *(four / TCP(), four / TCP(chksum=WRONG), broken / TCP()),
                *(six / UDP(), six / UDP(chksum=WRONG), six / TCP(), six / TCP(chksum=WRONG)),
                four / UDP(chksum=0),  # the sender made none
            )
            assert come(nic, peer, frames) == [0, 3, 6, 8, 10]
            assert nic.stats.rx_checksum == 6
            assert nic.stats.rx_errors == nic.stats.rx_malformed == 0
    with device.nic() as nic:
        nic.wait_link(60)
        assert come(nic, peer, frames) == list(range(11))
        assert nic.stats.rx_checksum == 0


@pytest.mark.parametrize("row", OTHERS)
def test_devices_without_filters(row: Row, device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.Unsupported, match="has no filter of VLANs"):
        device.nic(**row.options, vlan_filter=True)
    with pytest.raises(vfiocore.Unsupported, match="has no verification of checksums"):
        device.nic(**row.options, rx_checksum=True)
