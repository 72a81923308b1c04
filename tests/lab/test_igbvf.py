# SPDX-License-Identifier: MIT
"""Virtual functions of an igb: our driver for them, below our own for the physical one.

Below the kernel's: test_igbvf_kernel.py.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from frames import BROADCAST, frame, receive
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from vf_traffic import there_and_back, wire
from virtual_functions import TOKEN, answering, physical, served, virtual

import vfiocore
from vfiocore import nic_vf, pci, sriov
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("igb")

MULTICAST = b"\x01\x00\x5e\x00\x00\x16"
MAILBOX, MEMORY = 0xC40, 0x800
REQ, ACK, VFU, PFSTS = 1, 2, 4, 0x10
NACKED, ACKED = 1 << 30, 1 << 31


@pytest.fixture
def pf(bound: Callable[[str], str]) -> Iterator[vfiocore.Device]:
    """A physical function of one test alone."""
    with physical(bound("igb1")) as device:
        yield device


@pytest.fixture(scope="module")
def nic(lab_machine: Machine) -> Iterator[vfiocore.Nic]:
    """Of the first igb, which has two virtual functions and answers them."""
    name = lab_machine.device("igb0").bdf
    pci.bind(name)
    with answering(name) as nic:
        yield nic
    pci.unbind(name)


@pytest.fixture
def functions(nic: vfiocore.Nic) -> Iterator[list[vfiocore.Device]]:
    """Its virtual functions, open, without a driver. Nothing is left of the tests before."""
    while nic.recv_many():
        pass
    with virtual(nic.device) as both:
        yield both


@pytest.fixture
def vfs(nic: vfiocore.Nic, functions: list[vfiocore.Device]) -> Iterator[list[vfiocore.Nic]]:
    """NICs of both virtual functions."""
    one, other = functions
    with one.nic() as first, other.nic() as second:
        yield [first, second]


def nothing_comes(nic: vfiocore.Nic) -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        receive(nic, 0.1)


def test_identity(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    for number, vf in enumerate(vfs):
        assert (vf.driver, vf.queues, vf.frame_max) == ("igbvf", 1, 1518)
        assert (vf.link.up, vf.link.speed, vf.link.full_duplex) == (True, 1000, True)
        info = nic_vf.info(nic, number)
        assert (info.active, info.mac) == (True, vf.mac)
        assert vf.mac_bytes[0] & 3 == 2  # locally administered, unicast
    assert len({nic.mac, vfs[0].mac, vfs[1].mac}) == 3
    with pytest.raises(vfiocore.OutOfRange, match="virtual function 2 of 2"):
        nic_vf.info(nic, 2)


def test_each_reaches_the_others(
    nic: vfiocore.Nic, vfs: list[vfiocore.Nic], peer: socket.socket
) -> None:
    there_and_back(vfs[0], nic)
    there_and_back(vfs[0], vfs[1])
    for vf in vfs:
        ours = frame(BROADCAST, vf.mac_bytes, 7, 200)
        vf.send(ours)
        assert peer.recv(2000) == ours
        theirs = frame(vf.mac_bytes, b"\x02" * 6, 8, 300)
        peer.send(theirs)
        while receive(vf) != theirs:
            pass


def test_10_000_frames(nic: vfiocore.Nic, kernel_nic: str) -> None:
    """By way of the hub."""
    wire(sriov.functions(nic.device.name)[0], kernel_nic, TOKEN.hex)


def pump(sender: vfiocore.Nic, receiver: vfiocore.Nic, bodies: list[bytes]) -> None:
    """Each body in a frame, in order, fewer in flight than there are buffers."""
    head = receiver.mac_bytes + sender.mac_bytes
    frames = [head + body for body in bodies]
    sent = received = 0
    end = time.monotonic() + 60
    while received < len(frames):
        assert time.monotonic() < end, f"{received} of {len(frames)} came"
        if sent - received < 128:
            sent += sender.send_many(frames[sent : sent + 64])
        for got in receiver.recv_many(64):
            if got[:6] == head[:6]:  # QEMU's network says something, too
                assert got == frames[received]
                received += 1


def test_10_000_frames_inside_of_the_device(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    """None is lost, damaged or out of order; by polling."""
    before = nic.stats.rx_missed
    bodies = [frame(b"", b"", number, 48 + number % 1455) for number in range(10_000)]
    for sender, receiver in ((vfs[0], nic), (nic, vfs[0]), (vfs[0], vfs[1]), (vfs[1], vfs[0])):
        pump(sender, receiver, bodies)
    for one in (nic, *vfs):
        stats = one.stats
        assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0
        assert stats.rx_missed == (before if one is nic else 0)
    assert vfs[0].stats.tx_frames == 20_000


def test_what_each_receives(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    for to in (BROADCAST, MULTICAST):
        nic.send(sent := frame(to, nic.mac_bytes, 1, 60))
        assert [receive(vf) for vf in vfs] == [sent, sent]
    nic.recv_many()  # QEMU gives the sender its own
    vfs[0].send(frame(nic.mac_bytes, vfs[0].mac_bytes, 2, 60))
    receive(nic)
    nothing_comes(vfs[1])
    vfs[0].send(frame(b"\x52\x54\x00\xaa\xbb\xcc", vfs[0].mac_bytes, 3, 60))
    nothing_comes(vfs[1])
    nothing_comes(nic)


def test_the_physical_one_is_promiscuous(nic: vfiocore.Nic, peer: socket.socket) -> None:
    stranger = frame(b"\x52\x54\x00\xaa\xbb\xcc", b"\x02" * 6, 4, 60)
    peer.send(stranger)
    nothing_comes(nic)
    nic.set_promisc(True)
    peer.send(stranger)
    assert receive(nic) == stranger
    nic.set_promisc(False)
    peer.send(stranger)
    nothing_comes(nic)


def test_an_address_is_chosen(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    before, chosen = vfs[0].mac_bytes, "52:54:00:aa:bb:cc"
    vfs[0].set_mac(chosen)
    assert nic_vf.info(nic, 0).mac == vfs[0].mac == chosen
    there_and_back(vfs[0], vfs[1])
    vfs[1].send(frame(before, vfs[1].mac_bytes, 1, 60))
    nothing_comes(vfs[0])
    for taken in (nic.mac, vfs[1].mac):
        with pytest.raises(vfiocore.PermissionDenied, match="another function has it"):
            vfs[0].set_mac(taken)
    assert vfs[0].mac == chosen


def test_promiscuous_is_refused(
    nic: vfiocore.Nic, functions: list[vfiocore.Device], vfs: list[vfiocore.Nic]
) -> None:
    with pytest.raises(vfiocore.PermissionDenied, match="frames for other addresses"):
        vfs[0].set_promisc(True)
    vfs[0].set_promisc(False)
    vfs[0].close()
    with pytest.raises(vfiocore.PermissionDenied, match="frames for other addresses"):
        functions[0].nic(promisc=True)
    with functions[0].nic() as again:
        there_and_back(again, nic)


def test_interrupts(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    """receive() sleeps on the interrupt whenever the ring is empty."""
    for number in range(20):
        for vf in vfs:
            nothing = vf.recv_many(1)
            assert nothing == []
            for _ in range(3):
                nic.send(frame(vf.mac_bytes, nic.mac_bytes, number, 60))
            for _ in range(3):
                assert receive(vf)[14:18] == number.to_bytes(4, "big")


def test_open_close_and_reset(nic: vfiocore.Nic, functions: list[vfiocore.Device]) -> None:
    macs = set()
    for _ in range(4):
        with functions[0].nic() as vf:
            there_and_back(vf, nic)
            vf.reset()
            assert vf.link.up
            vf.send(sent := frame(nic.mac_bytes, vf.mac_bytes, 5, 99))
            assert receive(nic) == sent
            macs.add(vf.mac)
        end = time.monotonic() + 60
        while nic_vf.info(nic, 0).active:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert len(macs) == 1


def test_the_physical_one_is_reset(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    nic.reset()
    nic.wait_link(60)
    for vf in vfs:
        assert not vf.link.up
        with pytest.raises(vfiocore.VfioError, match="the physical function was reset"):
            vf.set_mac("52:54:00:aa:bb:cc")
        vf.reset()
        assert vf.link.up
    there_and_back(vfs[0], vfs[1])
    there_and_back(vfs[1], nic)


def test_nobody_answers(pf: vfiocore.Device) -> None:
    with virtual(pf) as functions:
        with pytest.raises(vfiocore.WaitTimeout, match=r"is in reset: .* needs a driver"):
            functions[0].nic()
        with pf.nic() as nic:
            with pytest.raises(vfiocore.WaitTimeout, match=r"not answered: .*vfc_nic_vf_serve"):
                functions[0].nic()
            with served(nic), functions[0].nic() as vf:
                assert vf.driver == "igbvf"


def ask(vf: vfiocore.Device, *words: int) -> int:
    """Send a message by hand. Return: the first word of the answer."""
    bar = vf.bar(0)
    bar.write32(MAILBOX, VFU)
    for number, word in enumerate(words):
        bar.write32(MEMORY + 4 * number, word)
    bar.read32(MAILBOX)
    bar.write32(MAILBOX, REQ)
    end = time.monotonic() + 60
    while not bar.read32(MAILBOX) & PFSTS:
        assert time.monotonic() < end, "no answer"
        time.sleep(0.001)
    bar.write32(MAILBOX, ACK)
    return int(bar.read32(MEMORY))


MALFORMED = {
    "type 0": (0, 0, 0),
    "unknown type": (7, 0, 0),
    "large type": (0xFFFF, 0, 0),
    "an answer": (0x8000_0001, 0, 0),
    "reserved bits": (0x0100_0002, 0x0054_5202, 0),
    "all ones": (0xFFFF_FFFF,) * 3,
    "a reset with details": (0x0001_0001, 0, 0),
    "no address": (2, 0, 0),
    "a group's address": (2, 0x005E_0001, 0x1600),
    "an address of 8 bytes": (2, 0x0054_5202, 0x1_0000),
    "one of several addresses": (0x0002_0002, 0x0054_5202, 0),
    "31 hashes": (0x001F_0003, 0, 0),
    "tag 4096": (0x0001_0004, 4096, 0),
    "no length": (5, 0, 0),
    "a great length": (5, 0xFFFF_FFFF, 0),
    "length 1523": (5, 1523, 0),
    "unicast of others": (0x0001_0006, 0, 0),
    "unknown filters": (0x00F0_0006, 0, 0),
}


def test_malformed_messages(
    nic: vfiocore.Nic, functions: list[vfiocore.Device], vfs: list[vfiocore.Nic]
) -> None:
    """Each is refused and counted, and does nothing."""
    before = nic_vf.info(nic, 0)
    for what, words in MALFORMED.items():
        assert ask(functions[0], *words) & (NACKED | ACKED) == NACKED, what
    after = nic_vf.info(nic, 0)
    assert after.refused - before.refused == len(MALFORMED)
    assert (after.mac, after.active, after.granted) == (before.mac, True, before.granted)
    there_and_back(vfs[0], vfs[1])


def test_well_formed_messages(nic: vfiocore.Nic, functions: list[vfiocore.Device]) -> None:
    """Before it has reported nothing is granted; then what is asked for in bounds."""
    assert ask(functions[0], 2, 0x0054_5202, 1) & NACKED
    assert not nic_vf.info(nic, 0).active
    for words in ((1,), (2, 0x0054_5202, 1), (30 << 16 | 3,), (1 << 16 | 4, 4095), (5, 1522)):
        assert ask(functions[0], *words) & (NACKED | ACKED) == ACKED, words
    assert nic_vf.info(nic, 0).mac == "02:52:54:00:01:00"


def test_a_mailbox_that_stays_taken(
    nic: vfiocore.Nic, functions: list[vfiocore.Device], vfs: list[vfiocore.Nic]
) -> None:
    """One that asks and takes the memory back before the answer gets none; others do."""
    nic_vf.serve(nic)
    with nic._asking:  # so that it comes between
        functions[0].bar(0).write32(MAILBOX, REQ | VFU)
    end = time.monotonic() + 60
    while not nic_vf.info(nic, 0).refused:
        assert time.monotonic() < end
        time.sleep(0.01)
    vfs[1].set_mac("52:54:00:aa:bb:cc")
    functions[0].bar(0).write32(MAILBOX, 0)
    vfs[0].set_mac("52:54:00:aa:bb:cd")


def test_an_address_is_given(nic: vfiocore.Nic, vfs: list[vfiocore.Nic]) -> None:
    given = "52:54:00:11:22:33"
    nic_vf.set_mac(nic, 0, given)
    vfs[0].reset()
    assert vfs[0].mac == given
    with pytest.raises(vfiocore.PermissionDenied, match="given by the host"):
        vfs[0].set_mac("52:54:00:11:22:34")
    there_and_back(vfs[0], nic)
    for bad in ("01:00:5e:00:00:01", nic.mac, vfs[1].mac):
        with pytest.raises(vfiocore.InvalidArgument, match="not unicast, or another"):
            nic_vf.set_mac(nic, 0, bad)


def test_made_after_the_nic_was_opened(pf: vfiocore.Device) -> None:
    with pf.nic() as nic:
        with pytest.raises(vfiocore.Unsupported, match="there were no virtual functions"):
            nic_vf.serve(nic)
        (name,) = sriov.enable(pf.name, 1)
        nic.reset()
        assert nic_vf.serve(nic) == 0
        with served(nic):
            nic.wait_link(60)
            with vfiocore.open(name, vf_token=TOKEN) as function, function.nic() as vf:
                there_and_back(vf, nic)


def test_removed_while_the_nic_is_open(pf: vfiocore.Device) -> None:
    sriov.enable(pf.name, 1)
    with pf.nic() as nic:
        sriov.disable(pf.name)
        with pytest.raises(vfiocore.DeviceBusy, match="0 virtual functions, and there were 1"):
            nic_vf.serve(nic)
        nic.reset()
        assert nic.wait_link(60).up


def test_how_the_queues_are_divided(pf: vfiocore.Device) -> None:
    sriov.enable(pf.name, 7)
    with pytest.raises(vfiocore.OutOfRange, match="has 1 queue, not 2"):
        pf.nic(queues=2)
    with pf.nic() as nic:
        assert nic.queues == 1
    sriov.disable(pf.name)
    sriov.enable(pf.name, 8)
    with pytest.raises(vfiocore.OutOfRange, match="leave no queue"):
        pf.nic()


def next_for(nic: vfiocore.Nic) -> bytes:
    """The next frame for its address alone; QEMU's network says something, too."""
    while (got := nic.recv(60))[:6] != nic.mac_bytes:
        pass
    return got


def test_filters_are_one_for_all_functions(pf: vfiocore.Device) -> None:
    """A frame with a wrong checksum is dropped by who asked for that, and by nobody else."""
    with virtual(pf) as (function, _):
        with pytest.raises(vfiocore.Unsupported, match="it would be theirs"):
            pf.nic(vlan_filter=True)
        with pf.nic(rx_checksum=True) as nic, served(nic):
            for option in ({"rx_checksum": True}, {"vlan_filter": True}):
                with pytest.raises(vfiocore.Unsupported, match="igbvf has no"):
                    function.nic(**option)
            for mtu in (0, 1000):
                with function.nic(mtu=mtu) as vf:
                    vf.wait_link(60)
                    packet = IP(src="10.1.0.1", dst="10.1.0.2") / UDP(chksum=1) / b"to all"
                    nic.send(sent := bytes(Ether(dst=vf.mac, src=nic.mac) / packet))
                    assert next_for(vf)[: len(sent)] == sent
                    before = nic.stats.rx_checksum
                    vf.send(bytes(Ether(dst=nic.mac, src=vf.mac) / packet))
                    vf.send(after := frame(nic.mac_bytes, vf.mac_bytes, mtu, 60))
                    assert next_for(nic) == after
                    assert nic.stats.rx_checksum == before + 1


def test_other_drivers_have_none(bound: Callable[[str], str]) -> None:
    with (
        vfiocore.open(bound("virtio")) as device,
        device.nic() as nic,
        pytest.raises(vfiocore.Unsupported, match="virtio-net knows of no virtual functions"),
    ):
        nic_vf.serve(nic)
