# SPDX-License-Identifier: MIT
"""The network interface, looped back by the fake."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable

import pytest

import vfiocore
from vfiocore import fake
from vfiocore._octets import format_mac, parse_mac

TYPE = b"\x88\xb5"  # local experimental EtherType 1, IEEE 802


def frame(nic: vfiocore.Nic, number: int = 0, length: int = 64) -> bytes:
    """A frame to ourselves."""
    head = nic.mac_bytes * 2 + TYPE + number.to_bytes(4, "big")
    return head + bytes(i & 0xFF for i in range(length - len(head)))


def test_attributes(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    assert nic.driver == "e1000e"
    assert nic.mac == format_mac(nic.mac_bytes) == "52:54:00:12:34:56"
    assert (nic.queues, nic.frame_max) == (1, 1518)
    assert nic.device is device
    assert nic.link == vfiocore.LinkState(True, 1000, True)
    assert repr(nic) == "<Nic fake:e1000e: e1000e, 52:54:00:12:34:56, 1 queue>"


@pytest.mark.parametrize("length", [60, 61, 64, 1000, 1514, 1518])
def test_loopback(nic: vfiocore.Nic, length: int) -> None:
    sent = frame(nic, length=length)
    nic.send(sent)
    assert nic.recv(60) == sent


def test_bytes_like(nic: vfiocore.Nic) -> None:
    sent = frame(nic)
    for kind in (bytearray, memoryview):
        nic.send(kind(sent))
        assert nic.recv(60) == sent


@pytest.mark.parametrize("length", [0, 1519])
def test_length(nic: vfiocore.Nic, length: int) -> None:
    with pytest.raises(vfiocore.VfioError):
        nic.send(bytes(length))
    with pytest.raises(vfiocore.InvalidArgument, match=f"{length} bytes"):
        nic.send_many([frame(nic), bytes(length)])
    assert nic.recv_nowait() is None


def test_no_frame(nic: vfiocore.Nic) -> None:
    """bytes(64) of a number would be a frame of 64 zeros."""
    for thing in (64, "text", None, [1, 2]):
        with pytest.raises(TypeError, match="bytes-like"):
            nic.send(thing)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="bytes-like"):
            nic.send_many([thing])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="bytes-like"):
        nic.set_mac(6)  # type: ignore[arg-type]
    assert nic.stats.tx_frames == 0


def test_nothing_there(nic: vfiocore.Nic) -> None:
    assert nic.recv_nowait() is None
    for timeout in (0, 0.05, 0.25):
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="no frame was received"):
            nic.recv(timeout)
        assert time.monotonic() - start >= timeout
    with pytest.raises(ValueError, match="negative"):
        nic.recv(-1)


def test_more_than_the_ring_holds(nic: vfiocore.Nic) -> None:
    count, ahead = 1000, 128  # with more under way the receive ring may run over
    for number in range(count + ahead):
        if number < count:
            nic.send(frame(nic, number))
        if number >= ahead:
            assert nic.recv(60) == frame(nic, number - ahead)
    nic.drain(60)
    stats = nic.stats
    assert (stats.tx_frames, stats.rx_frames, stats.rx_missed) == (count, count, 0)


def test_send_waits_for_room(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    device.bus_master = False  # the device can fetch nothing
    timer = threading.Timer(0.3, setattr, (device, "bus_master", True))
    timer.start()
    for number in range(300):  # the ring holds 255
        nic.send(frame(nic, number))
    timer.join()
    nic.drain(60)


def test_bursts(nic: vfiocore.Nic) -> None:
    frames = [frame(nic, number) for number in range(100)]
    doorbells = nic.stats.tx_doorbells
    assert nic.send_many(frames) == 100
    assert nic.stats.tx_doorbells == doorbells + 1
    received: list[bytes] = []
    while len(received) < 100:
        nic.drain(60)
        received += nic.recv_many(32)
    assert received == frames
    assert nic.recv_many() == []
    assert nic.send_many([]) == 0


def test_burst_that_does_not_fit(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    device.bus_master = False
    sent = nic.send_many([frame(nic)] * 1000)
    assert 0 < sent < 1000
    assert nic.send_many([frame(nic)]) == 0
    # What did not fit was given back: the pool is as full as before.
    device.bus_master = True
    nic.drain(60)
    assert nic.send_many([frame(nic)] * 10) == 10


def test_drain_times_out(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    device.bus_master = False
    nic.send(frame(nic))
    with pytest.raises(vfiocore.WaitTimeout):
        nic.drain(0.05)


def test_link(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    fake.set(device, fake.Knob.LINK, 0)
    deadline = time.monotonic() + 60
    while nic.link.up and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not nic.link.up
    with pytest.raises(vfiocore.WaitTimeout):
        nic.wait_link(0.05)
    timer = threading.Timer(0.1, fake.set, (device, fake.Knob.LINK, 1))
    timer.start()
    assert nic.wait_link(60).up
    timer.join()


def test_mac(nic: vfiocore.Nic) -> None:
    nic.set_mac("02:00:00:00:00:01")
    sent = bytes.fromhex("020000000001") * 2 + TYPE + bytes(50)
    nic.send(sent)
    assert nic.recv(60) == sent
    for bad in ("02:00:00:00:00", "no address", "02:00:00:00:00:00:01"):
        with pytest.raises(vfiocore.InvalidArgument):
            nic.set_mac(bad)
    with pytest.raises(vfiocore.InvalidArgument):
        nic.set_mac(bytes(5))
    assert parse_mac("02-00-00-00-00-01") == bytes.fromhex("020000000001")


def test_promiscuous(nic: vfiocore.Nic) -> None:
    other = bytes.fromhex("020000000099") + nic.mac_bytes + TYPE + bytes(50)
    nic.send(other)
    nic.drain(60)
    with pytest.raises(TimeoutError):
        nic.recv(0.1)
    nic.set_promisc(True)
    nic.send(other)
    assert nic.recv(60) == other


def test_options(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.VfioError):
        device.nic(rx_entries=100)
    with pytest.raises(vfiocore.InvalidArgument):
        device.nic(queues=-1)
    with device.nic(rx_entries=32, tx_entries=64, promisc=True) as nic:
        nic.wait_link(60)
        nic.send(b"\x02" * 64)
        assert nic.recv(60) == b"\x02" * 64


def test_reset(nic: vfiocore.Nic) -> None:
    nic.send(frame(nic, 1))
    nic.reset()
    nic.wait_link(60)
    while nic.recv_nowait() is not None:
        pass
    nic.send(frame(nic, 2))
    assert nic.recv(60) == frame(nic, 2)


def test_a_hostile_length(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    fake.set(device, fake.Knob.RX_LENGTH, 0xFFFF)
    nic.send(frame(nic))
    with pytest.raises(TimeoutError):
        nic.recv(0.2)
    assert nic.stats.rx_malformed == 1
    fake.set(device, fake.Knob.RX_LENGTH, 0)
    nic.send(frame(nic))
    assert nic.recv(60) == frame(nic)


def test_eventfd(nic: vfiocore.Nic) -> None:
    assert nic.arm() is False
    nic.send(frame(nic))
    assert select.select([nic], [], [], 5)[0] == [nic]
    assert nic.recv_nowait() == frame(nic)
    assert nic.arm() is False
    assert select.select([nic], [], [], 0)[0] == []


def test_iteration(nic: vfiocore.Nic) -> None:
    for number in range(3):
        nic.send(frame(nic, number))
    frames = iter(nic)
    assert [next(frames) for _ in range(3)] == [frame(nic, number) for number in range(3)]


def test_threads(nic: vfiocore.Nic) -> None:
    """Two senders, two receivers: every frame arrives once."""
    received: list[bytes] = []
    done = threading.Event()
    room = threading.Semaphore(128)  # the receive ring has 255 buffers

    def send(start: int) -> None:
        for number in range(start, start + 500):
            assert room.acquire(timeout=60)
            nic.send(frame(nic, number))

    def receive() -> None:
        while not done.is_set():
            try:
                received.append(nic.recv(0.05))
                room.release()
            except TimeoutError:
                continue

    senders = [threading.Thread(target=send, args=(start,)) for start in (0, 500)]
    receivers = [threading.Thread(target=receive) for _ in range(2)]
    for thread in senders + receivers:
        thread.start()
    for thread in senders:
        thread.join()
    deadline = time.monotonic() + 60
    while len(received) < 1000 and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    for thread in receivers:
        thread.join()
    assert sorted(received) == sorted(frame(nic, number) for number in range(1000))


def test_ctrl_c(nic: vfiocore.Nic) -> None:
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        nic.recv(30)
    timer.join()


def test_async(nic: vfiocore.Nic) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, nic.send, frame(nic, 1))
        assert await nic.recv_async(60) == frame(nic, 1)
        tasks = [asyncio.create_task(nic.recv_async(60)) for _ in range(5)]
        await asyncio.sleep(0.01)
        nic.send_many([frame(nic, number) for number in range(5)])
        assert sorted(await asyncio.gather(*tasks)) == [frame(nic, number) for number in range(5)]
        for timeout in (0, 0.02):
            with pytest.raises(vfiocore.WaitTimeout):
                await nic.recv_async(timeout)

    asyncio.run(main())


def test_close(device: vfiocore.Device) -> None:
    nic = device.nic()
    mapped = device.iommu.mappings
    assert mapped > 0
    with pytest.raises(vfiocore.DeviceBusy):
        device.close()
    nic.close()
    nic.close()
    assert device.iommu.mappings == 0
    assert repr(nic) == "<Nic fake:e1000e closed>"
    uses: list[Callable[[], object]] = [
        lambda: nic.send(bytes(64)),
        nic.recv,
        lambda: nic.mac,
        lambda: nic.stats,
        nic.fileno,
    ]
    for use in uses:
        with pytest.raises(vfiocore.ClosedError):
            use()


def test_close_ends_a_wait(device: vfiocore.Device) -> None:
    nic = device.nic()
    caught: list[BaseException] = []

    def receive() -> None:
        try:
            nic.recv()
        except vfiocore.ClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    time.sleep(0.05)
    nic.close()
    thread.join(60)
    assert len(caught) == 1


def test_close_ends_a_wait_for_the_link(device: vfiocore.Device) -> None:
    """Not by freeing what the other thread looks at."""
    nic = device.nic()
    fake.set(device, fake.Knob.LINK, 0)
    while nic.link.up:  # until the model has seen it
        time.sleep(0.001)
    caught: list[type[BaseException]] = []

    def look() -> None:
        try:
            nic.wait_link(60)
        except vfiocore.VfioError as error:
            caught.append(type(error))

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.05)
    nic.close()
    thread.join(60)
    assert caught == [vfiocore.ClosedError]


def test_async_close(device: vfiocore.Device) -> None:
    async def main() -> None:
        nic = device.nic()
        task = asyncio.create_task(nic.recv_async())
        await asyncio.sleep(0.01)
        nic.close()
        with pytest.raises(vfiocore.ClosedError):
            await task

    asyncio.run(main())


def test_records(nic: vfiocore.Nic) -> None:
    stats = nic.stats
    assert stats == nic.stats
    assert hash(stats) == hash(nic.stats)
    assert set(stats.as_dict()) == set(type(stats)._fields)
    assert repr(nic.link) == "LinkState(up=True, speed=1000, full_duplex=True)"
    with pytest.raises(AttributeError):
        stats.rx_frames = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        vfiocore.LinkState(True)  # type: ignore[call-arg]
