# SPDX-License-Identifier: MIT
"""A NIC's MTU, its adaptive waiting, its timestamps; and what is refused, by name."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

import vfiocore
from vfiocore.cli import main
from vfiocore.cli.net.forward import Way, forward
from vfiocore.cli.net.generate import generate

TYPE = b"\x88\xb5"  # local experimental EtherType 1, IEEE 802
FAKE = "fake:e1000e"


def frame(nic: vfiocore.Nic, length: int) -> bytes:
    """A frame to ourselves."""
    head = nic.mac_bytes * 2 + TYPE
    return head + bytes(i & 0xFF for i in range(length - len(head)))


@pytest.mark.parametrize("mtu", [68, 1500, 1501, 4000, 9000])
def test_mtu(device: vfiocore.Device, mtu: int) -> None:
    with device.nic(mtu=mtu) as nic:
        nic.wait_link(60)
        assert (nic.mtu, nic.frame_max) == (mtu, mtu + 18)
        for length in (60, mtu + 17, mtu + 18):
            sent = frame(nic, length)
            nic.send(sent)
            assert nic.recv(60) == sent
            assert nic.send_many([sent]) == 1
            nic.drain(60)
            assert nic.recv_many() == [sent]
        with pytest.raises(vfiocore.InvalidArgument, match=f"{mtu + 19} bytes: .* 1 to {mtu + 18}"):
            nic.send(bytes(mtu + 19))
        assert nic.stats.rx_errors == 0


def test_a_pool_for_an_mtu(device: vfiocore.Device) -> None:
    with vfiocore.Pool(device, 1200, mtu=9000) as pool, device.nic(pool=pool, mtu=9000) as nic:
        nic.wait_link(60)
        with nic.alloc(1, frame(nic, 9018)) as burst:
            burst.set_length(0, 9216)
            with pytest.raises(vfiocore.InvalidArgument, match="room for 9216"):
                burst.set_length(0, 9217)
            with pytest.raises(vfiocore.InvalidArgument, match=r"9216 bytes: .* 1 to 9018"):
                nic.tx_burst(burst)
            burst.set_length(0, 9018)
            assert nic.tx_burst(burst) == 1
        assert nic.recv(60) == frame(nic, 9018)
    with vfiocore.Pool(device, 1200) as pool:
        with pytest.raises(vfiocore.InvalidArgument, match="2112 bytes, an MTU of 9000 needs 9280"):
            device.nic(pool=pool, mtu=9000)
        with device.nic(pool=pool) as nic:
            assert nic.mtu == 1500
    with pytest.raises(vfiocore.InvalidArgument, match="MTU of 70000"):
        vfiocore.Pool(device, 8, mtu=70000)


def test_what_is_refused(device: vfiocore.Device) -> None:
    for entries in (1, 7, 100, 65536):
        for which in ("rx_entries", "tx_entries"):
            with pytest.raises(vfiocore.InvalidArgument, match=f"{which} is {entries}: .* 8 to"):
                device.nic(**{which: entries})
    for mtu in (1, 67, 9001, 20000):
        with pytest.raises(vfiocore.OutOfRange, match=f"MTU of {mtu} bytes: e1000e has 68 to 9000"):
            device.nic(mtu=mtu)
    with pytest.raises(vfiocore.OutOfRange, match=r"1500000000 ns: .* at most"):
        device.nic(spin=1.5)
    with pytest.raises(vfiocore.InvalidArgument, match="negative"):
        device.nic(spin=-1)
    with pytest.raises(vfiocore.OutOfRange, match="3 queues were asked for, e1000e has 2"):
        device.nic(queues=3)
    with device.nic() as nic, pytest.raises(vfiocore.DeviceBusy, match="close it first"):
        device.nic()
    with pytest.raises(vfiocore.ClosedError, match="NIC"):
        nic.send(bytes(60))


def test_no_interrupt_under_load(device: vfiocore.Device) -> None:
    with device.nic(spin=1) as nic:
        nic.wait_link(60)
        for _ in range(1000):
            nic.send(frame(nic, 60))
            nic.recv(60)
        stats = nic.stats
        assert (stats.rx_frames, stats.rx_arms, stats.rx_interrupts) == (1000, 0, 0)


def test_an_interrupt_when_idle(device: vfiocore.Device) -> None:
    with device.nic(spin=0.0001) as nic:
        nic.wait_link(60)
        with pytest.raises(vfiocore.WaitTimeout):
            nic.recv(0.05)
        assert nic.stats.rx_arms == 1
        timer = threading.Timer(0.1, nic.send, [frame(nic, 60)])
        timer.start()
        assert nic.recv(60) == frame(nic, 60)
        timer.join()
        assert not nic.arm()
        assert nic.stats.rx_interrupts == 1


def test_timestamps_on_request(nic: vfiocore.Nic) -> None:
    before = time.time_ns()
    nic.send(frame(nic, 60))
    nic.drain(60)
    with nic.rx_burst(stamp=True) as burst:
        assert len(burst) == 1
        assert burst.time_ns is not None
        assert before <= burst.time_ns <= time.time_ns()
    with nic.rx_burst() as burst:
        assert burst.time_ns is None


def test_the_commands_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["net", "generate", FAKE, "-n", "10", "--json", "--size"]
    assert main([*words, "9018", "--mtu", "9000"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 10
    assert main([*words, "1519"]) == 2
    assert "1518" in capsys.readouterr().err
    assert main([*words, "60", "--mtu", "20000"]) == 1
    assert "68 to 9000" in capsys.readouterr().err
    words = ["net", "forward", FAKE, FAKE, "--mtu", "4000", "--spin", "0.01", "--seconds", "0.1"]
    assert main([*words, "--json"]) == 0
    assert [way["interrupts"] for way in json.loads(capsys.readouterr().out)["ways"]] == [0, 0]


@pytest.mark.parametrize("verb", ["forward", "generate"])
def test_ctrl_c_under_load(nic: vfiocore.Nic, verb: str) -> None:
    """Bursts come and go all the time: it must not be lost in the end of one."""

    def press() -> None:
        while nic.stats.tx_frames < 1000:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    if verb == "generate":
        assert generate(nic, frame(nic, 60)) >= 1000
    else:
        nic.send_many([frame(nic, 60)] * 20)  # round and round
        way = Way(nic, nic)
        forward(way, way)
        assert way.forwarded >= 900
    presser.join()
