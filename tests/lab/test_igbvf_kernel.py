# SPDX-License-Identifier: MIT
"""Virtual functions of an igb that the kernel's driver has: our driver for them, below it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from frames import BROADCAST, frame, receive
from vf_traffic import there_and_back, wire

import vfiocore
from vfiocore import pci, sriov
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("igb")


def up(bdf: str) -> str:
    """The interface that the kernel's driver made of a function, up and silent by itself."""
    name = next(Path(f"/sys/bus/pci/devices/{bdf}/net").iterdir()).name
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    carrier = Path(f"/sys/class/net/{name}/carrier")
    end = time.monotonic() + 60
    while carrier.read_text() != "1\n":
        assert time.monotonic() < end, f"{name} sees no link"
        time.sleep(0.02)
    return name


@pytest.fixture(scope="module")
def host(lab_machine: Machine) -> Iterator[tuple[str, list[str]]]:
    """The kernel's interface on the second igb, and two virtual functions of it."""
    bdf = lab_machine.device("igb1").bdf
    subprocess.run(["modprobe", "igb"], check=True)
    pci.bind(bdf, driver="igb")
    interface = up(bdf)
    yield interface, sriov.enable(bdf, 2)
    sriov.disable(bdf)
    subprocess.run(["modprobe", "-r", "igb"], check=True)


@pytest.fixture
def guests(host: tuple[str, list[str]]) -> Iterator[list[vfiocore.Nic]]:
    one, other = host[1]
    with (
        vfiocore.open(one) as first,
        vfiocore.open(other) as second,
        first.nic() as left,
        second.nic() as right,
    ):
        left.wait_link(60)
        yield [left, right]


def test_below_the_kernel(guests: list[vfiocore.Nic], peer: socket.socket) -> None:
    there_and_back(*guests)
    for vf in guests:
        vf.send(ours := frame(BROADCAST, vf.mac_bytes, 7, 1514))
        assert peer.recv(2000) == ours
        peer.send(theirs := frame(vf.mac_bytes, b"\x02" * 6, 8, 1514))
        while receive(vf) != theirs:
            pass


def test_addresses_below_the_kernel(
    host: tuple[str, list[str]], guests: list[vfiocore.Nic]
) -> None:
    guests[0].set_mac("52:54:00:aa:bb:cc")
    there_and_back(*guests)
    mac = guests[1].mac
    guests[1].reset()
    assert guests[1].mac == mac  # nobody gave one: it is the same as before
    with pytest.raises(vfiocore.PermissionDenied, match="frames for other addresses"):
        guests[0].set_promisc(True)
    given = "52:54:00:11:22:33"
    subprocess.run(["ip", "link", "set", host[0], "vf", "0", "mac", given], check=True)
    guests[0].reset()
    assert guests[0].mac == given


def test_10_000_frames_below_the_kernel(host: tuple[str, list[str]], kernel_nic: str) -> None:
    """To the physical function, and by way of the hub."""
    wire(host[1][1], host[0])
    wire(host[1][1], kernel_nic)


def test_the_kernels_interface_goes_down(
    host: tuple[str, list[str]], guests: list[vfiocore.Nic]
) -> None:
    subprocess.run(["ip", "link", "set", host[0], "down"], check=True)
    assert not guests[0].link.up
    subprocess.run(["ip", "link", "set", host[0], "up"], check=True)
    for vf in guests:
        assert not vf.link.up
        with pytest.raises(vfiocore.VfioError, match="the physical function was reset"):
            vf.set_mac("52:54:00:aa:bb:cc")
        vf.reset()
        vf.wait_link(60)
    there_and_back(*guests)
