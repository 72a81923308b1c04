# SPDX-License-Identifier: MIT
"""Our drivers against the kernel's drivers of other devices: frames, jumbo frames, VLAN, TCP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest
from frames import BROADCAST, exchange, frame, receive
from interfaces import kernel_interface, raw_socket

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


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.lab_timeout(120)
def test_frames(pair: Pair, lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """Whole and in order at the usual MTU and at the largest; what is longer is dropped, counted,
    and harms nothing."""
    theirs = lab_machine.device(pair.theirs).bdf
    with (
        kernel_interface(theirs, pair.driver) as interface,
        raw_socket(interface, 9000) as peer,
        vfiocore.open(bound(pair.ours)) as device,
    ):
        with device.nic() as nic:
            nic.wait_link(60)
            exchange(nic, peer, (*range(60, 1515, 97), 1514))
            group = frame(b"\x01\x00\x5e\x01\x02\x03", b"\x02" * 6, 1, 60)
            peer.send(group)  # every multicast frame is taken
            assert receive(nic) == group
        with device.nic(mtu=9000, rx_entries=64) as nic:
            assert (nic.mtu, nic.frame_max) == (9000, 9018)
            nic.wait_link(60)
            exchange(nic, peer, (*range(60, 9014, 331), 2048, 4096, 4097, 8192, 9014))
            stats = nic.stats
            assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0
        with device.nic(mtu=4000) as nic:
            nic.wait_link(60)
            for size in (4019, 6000, 9000):
                peer.send(frame(nic.mac_bytes, b"\x02" * 6, size, size))
            exchange(nic, peer, (60, 4014))
            stats = nic.stats
            assert (stats.rx_frames, stats.rx_malformed) == (2, 0)
            # QEMU's virtio-net drops by itself, uncounted, what is longer than a buffer.
            assert stats.rx_errors == (1 if nic.driver == "virtio-net" else 3)


def vlan(untagged: bytes, tag: int) -> bytes:
    """With an 802.1Q tag behind the addresses."""
    return untagged[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + untagged[12:]


@pytest.mark.machine("wires")
@pytest.mark.parametrize("ours", ["nic0", "virtio0"])
def test_vlan_tags_pass_whole(
    ours: str, lab_machine: Machine, bound: Callable[[str], str]
) -> None:
    """1,518 bytes, 1,522 with FCS; the kernel may hand the tag over beside the frame."""
    other = lab_machine.device({"nic0": "virtio0", "virtio0": "nic0"}[ours]).bdf
    driver = {"nic0": "virtio-pci", "virtio0": "e1000e"}[ours]
    with (
        vfiocore.open(bound(ours)) as device,
        device.nic() as nic,
        kernel_interface(other, driver) as interface,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x8100) as peer,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as untagged,
    ):
        nic.wait_link(60)
        # Otherwise QEMU's virtio-net drops the tags of VLANs that the kernel has not asked for.
        subprocess.run(["ip", "link", "set", interface, "promisc", "on"], check=True)
        peer.bind((interface, 0x8100))
        untagged.bind((interface, 0x0003))  # all: a driver that takes the tag out tells the rest
        untagged.settimeout(60)
        for number, size in enumerate((60, 1000, 1514)):
            plain = frame(nic.mac_bytes, b"\x02" * 6, number, size)
            peer.send(vlan(plain, 0x2005))
            assert nic.recv(60) == vlan(plain, 0x2005)
            plain = frame(BROADCAST, nic.mac_bytes, number, size)
            nic.send(vlan(plain, 0x2005))
            while (got := untagged.recv(2000))[6:12] != nic.mac_bytes:
                pass
            assert got in (plain, vlan(plain, 0x2005))


@pytest.mark.machine("wires")
def test_a_wait_that_polls_first(lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """No interrupt while frames come; none of its time while none come."""
    theirs = lab_machine.device("virtio0").bdf
    with (
        kernel_interface(theirs, "virtio-pci") as interface,
        raw_socket(interface, 1500) as peer,
        vfiocore.open(bound("nic0")) as device,
    ):
        interrupts = {}
        for spin in (0, 1):
            with device.nic(spin=spin) as nic:
                nic.wait_link(60)
                for number in range(500):
                    peer.send(frame(nic.mac_bytes, b"\x02" * 6, number, 60))
                    assert receive(nic)[14:18] == number.to_bytes(4, "big")
                interrupts[spin] = nic.stats.rx_interrupts
        print(f"interrupts of 500 frames: {interrupts}")
        assert interrupts[1] == 0
        with device.nic(spin=0.001) as nic:
            nic.wait_link(60)
            before = nic.stats.rx_arms
            for _ in range(3):
                with pytest.raises(vfiocore.WaitTimeout):
                    nic.recv(0.05)
            assert 3 <= nic.stats.rx_arms - before <= 6
            waker = threading.Timer(0.1, peer.send, [frame(nic.mac_bytes, b"\2" * 6, 1, 60)])
            waker.start()
            assert receive(nic)[14:18] == b"\0\0\0\1"
            waker.join()
            assert not nic.arm()
            assert nic.stats.rx_interrupts == 1


@contextmanager
def host(name: str, interface: str, address: str) -> Iterator[list[str]]:
    """A network namespace with that interface alone; the words before a command that runs in it."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    inside = ["ip", "netns", "exec", name]
    try:
        subprocess.run(["ip", "link", "set", interface, "netns", name], check=True)
        subprocess.run([*inside, "ip", "address", "add", address, "dev", interface], check=True)
        subprocess.run([*inside, "ip", "link", "set", interface, "up"], check=True)
        yield inside
    finally:
        subprocess.run([*inside, "ip", "link", "set", interface, "netns", "1"], check=True)
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.machine("wires")
@pytest.mark.lab_timeout(180)
def test_tcp_across_our_forwarder(lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """The kernel's virtio-net to our e1000e, to our virtio-net, to the kernel's e1000e: iperf3."""
    names = [lab_machine.device(name).bdf for name in ("virtio0", "nic1")]
    ours = [bound("nic0"), bound("virtio1")]
    with ExitStack() as stack:
        left = stack.enter_context(kernel_interface(names[0], "virtio-pci"))
        right = stack.enter_context(kernel_interface(names[1], "e1000e"))
        client = stack.enter_context(host("left", left, "192.0.2.1/24"))
        server = stack.enter_context(host("right", right, "192.0.2.2/24"))
        forward = subprocess.Popen(
            [sys.executable, "-m", "vfiocore.cli", "net", "forward", *ours, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        stack.callback(forward.kill)
        listening = subprocess.Popen(
            [*server, "iperf3", "--server", "--one-off"], stdout=subprocess.DEVNULL
        )
        stack.callback(listening.kill)
        words = ["iperf3", "--client", "192.0.2.2", "--time", "3", "--json"]
        done = None
        for _ in range(20):  # until the forwarder and the link are there
            done = subprocess.run([*client, *words], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        assert done is not None
        assert done.returncode == 0, done.stdout
        end = json.loads(done.stdout)["end"]
        assert end["sum_received"]["bytes"] > 1_000_000
        assert listening.wait(60) == 0
        forward.send_signal(signal.SIGINT)
        out, errors = forward.communicate(timeout=60)
        assert forward.returncode == 0, errors
        ways = json.loads(out)["ways"]
        moved = end["sum_received"]["bytes"]
        print(f"{moved} bytes, {ways}")
        assert ways[0]["forwarded"] > moved / 1500
        assert ways[1]["forwarded"] > 0
