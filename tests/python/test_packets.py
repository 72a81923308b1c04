# SPDX-License-Identifier: MIT
"""Bursts without copying, and pools that interfaces share."""

from __future__ import annotations

import errno
import gc
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import vfiocore

TYPE = b"\x88\xb5"  # local experimental EtherType 1, IEEE 802


def frame(nic: vfiocore.Nic, number: int = 0, length: int = 64) -> bytes:
    """A frame to ourselves."""
    return (nic.mac_bytes * 2 + TYPE + number.to_bytes(4, "big")).ljust(length, b"\xa5")


def receive(nic: vfiocore.Nic, count: int, timeout: float = 60) -> list[bytes]:
    frames: list[bytes] = []
    end = time.monotonic() + timeout
    while len(frames) < count and time.monotonic() < end:
        with nic.rx_burst(32) as burst:
            frames += [bytes(view) for view in burst]
    return frames


@pytest.fixture
def pair(leaks: None) -> Iterator[tuple[vfiocore.Nic, vfiocore.Nic]]:
    """Two interfaces of one pool, each looped back to itself."""
    with ExitStack() as stack:
        space = stack.enter_context(vfiocore.Iommu("fake"))
        opened = [vfiocore.open("fake:e1000e", iommu=space) for _ in range(2)]
        devices = [stack.enter_context(device) for device in opened]
        pool = stack.enter_context(vfiocore.Pool(space, 2048))
        left, right = (
            stack.enter_context(device.nic(pool=pool, promisc=True)) for device in devices
        )
        left.wait_link(60)
        right.wait_link(60)
        yield left, right


def test_alloc_send_receive(nic: vfiocore.Nic) -> None:
    doorbells, free = nic.stats.tx_doorbells, nic.pool.free
    burst = nic.alloc(100, frame(nic))
    assert (len(burst), burst.lengths) == (100, [64] * 100)
    assert nic.pool.free == free - 100
    for number, view in enumerate(burst):
        view[14:18] = number.to_bytes(4, "big")
    assert nic.tx_burst(burst) == 100
    assert nic.stats.tx_doorbells == doorbells + 1
    assert not burst
    assert receive(nic, 100) == [frame(nic, number) for number in range(100)]
    nic.drain(60)
    assert nic.rx_burst().lengths == []
    assert nic.tx_burst([frame(nic, 7)]) == 1
    assert receive(nic, 1) == [frame(nic, 7)]


def test_an_array_is_used_again_once_its_burst_is_gone(nic: vfiocore.Nic) -> None:
    first, second = nic.alloc(4, frame(nic, 1)), nic.alloc(4, frame(nic, 2))
    assert first._packets is not second._packets
    old = first._packets
    first.free()
    assert nic.alloc(4)._packets is not old  # it may still be asked for what it had
    del first
    third = nic.alloc(4, frame(nic, 3))
    assert third._packets is old
    assert nic.tx_burst(second) == nic.tx_burst(third) == 4
    assert nic.tx_burst(second) == 0
    assert receive(nic, 8) == [frame(nic, 2)] * 4 + [frame(nic, 3)] * 4
    free = nic.pool.free
    with nic.alloc(5, frame(nic, 4)) as fourth:
        assert (len(fourth), nic.pool.free) == (5, free - 5)
        assert [view[17] for view in fourth] == [4] * 5


def test_views_end_with_the_burst(nic: vfiocore.Nic) -> None:
    nic.send(frame(nic))
    nic.drain(60)
    with nic.rx_burst() as burst:
        view = burst[0]
        assert burst[-1] == view
        assert view.nbytes == 64
        assert not view.readonly
    with pytest.raises(ValueError, match="released"):
        _ = view[0]
    assert len(burst) == 0
    with pytest.raises(IndexError):
        _ = burst[0]
    burst.free()
    sent = nic.alloc(1, frame(nic))
    view = sent[0]
    nic.tx_burst(sent)
    with pytest.raises(ValueError, match="released"):
        view[0] = 1


def test_what_was_made_of_a_view_keeps_it(nic: vfiocore.Nic) -> None:
    burst = nic.alloc(4, frame(nic))
    part = burst[2][4:8]
    for call in (burst.free, lambda: nic.tx_burst(burst), nic.close):
        with pytest.raises(BufferError, match="drop what holds them"):
            call()
    assert (len(burst), nic.closed) == (4, False)
    part[0] = 3
    assert burst[2][4] == 3
    del part
    assert nic.tx_burst(burst) == 4


def test_numpy(nic: vfiocore.Nic) -> None:
    import numpy

    burst = nic.alloc(1, frame(nic))
    array = numpy.frombuffer(burst[0], "u1")
    array[14] = 9
    with pytest.raises(BufferError):
        burst.free()
    del array
    nic.tx_burst(burst)
    assert receive(nic, 1)[0][14] == 9


def test_closing_with_a_burst(device: vfiocore.Device) -> None:
    with device.nic() as nic:
        nic.wait_link(60)
        burst = nic.alloc(4, frame(nic))
        view = burst[0]
        pool = nic.pool
        assert repr(burst) == "<Burst of 4 packets>"
    with pytest.raises(ValueError, match="released"):
        _ = view[0]
    for call in (lambda: burst[0], burst.__enter__, lambda: pool.free, lambda: pool.chunks):
        with pytest.raises(vfiocore.ClosedError):
            call()
    burst.free()
    assert repr(pool) == "<Pool closed>"


def test_a_forgotten_burst_gives_back(nic: vfiocore.Nic) -> None:
    free = nic.pool.free
    nic.alloc(50)
    gc.collect()
    assert nic.pool.free == free
    part = nic.alloc(3)[1]
    with pytest.raises(ValueError, match="released"):
        _ = part[0]
    kept = slice_of(nic)
    gc.collect()
    assert nic.pool.free == free - 3  # used again they would change under the slice
    with pytest.raises(BufferError):
        nic.close()
    assert kept[0] == 0
    del kept
    nic.close()


def slice_of(nic: vfiocore.Nic) -> memoryview:
    burst = nic.alloc(3)
    return burst[1][4:8]


def test_lengths(nic: vfiocore.Nic) -> None:
    with nic.alloc(2, b"\x02" * 100) as burst:
        burst.set_length(0, 1500)
        burst.set_length(-1, 40)
        assert burst.lengths == [1500, 40]
        assert len(burst[0]) == 1500
        for bad in (-1, 2049):
            with pytest.raises(vfiocore.InvalidArgument, match="room for 2048"):
                burst.set_length(0, bad)
        burst.set_length(0, 1519)
        with pytest.raises(vfiocore.InvalidArgument, match="1519 bytes"):
            nic.tx_burst(burst)
        assert len(burst) == 2
    for bad in (b"", bytes(1519)):
        with pytest.raises(vfiocore.InvalidArgument, match="1 to 1518"):
            nic.alloc(1, bad)
    free = nic.pool.free
    with pytest.raises(TypeError):
        nic.alloc(1, 64)  # type: ignore[arg-type]
    assert nic.pool.free == free


def test_what_does_not_fit_stays(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    device.bus_master = False
    sent = 0
    with nic.alloc(400, frame(nic)) as burst:
        sent += nic.tx_burst(burst)
        assert (sent, len(burst)) == (255, 145)
        assert nic.tx_burst(burst) == 0
        burst[0][14:18] = b"next"
        device.bus_master = True
        nic.drain(60)
        assert nic.tx_burst(burst) == 145
    nic.drain(60)
    nic.recv_many(1000)
    assert nic.stats.tx_frames == 400


def test_the_pool_runs_out(nic: vfiocore.Nic) -> None:
    burst = nic.alloc(5000)
    assert 0 < len(burst) < nic.pool.chunks
    assert nic.pool.free == 0
    assert len(nic.alloc(1)) == 0
    burst.free()
    assert nic.pool.free > 0


def test_forward_between_two(pair: tuple[vfiocore.Nic, vfiocore.Nic]) -> None:
    left, right = pair
    assert left.pool is right.pool
    left.tx_burst([frame(left, number) for number in range(50)])
    moved, end = 0, time.monotonic() + 60
    while moved < 50 and time.monotonic() < end:
        with left.rx_burst() as burst:
            moved += right.tx_burst(burst)
    assert receive(right, 50) == [frame(left, number) for number in range(50)]
    with pytest.raises(vfiocore.DeviceBusy, match="2 NICs use this pool"):
        left.pool.close()


def test_a_burst_outlives_its_interface(pair: tuple[vfiocore.Nic, vfiocore.Nic]) -> None:
    left, right = pair
    burst = left.alloc(3, frame(left))
    left.close()
    burst[0][14] = 77
    assert right.tx_burst(burst) == 3
    assert receive(right, 3)[0][14] == 77
    held = right.alloc(2)
    right.close()
    free = right.pool.free
    held.free()
    assert right.pool.free == free + 2


def test_of_another_pool(nic: vfiocore.Nic, pair: tuple[vfiocore.Nic, vfiocore.Nic]) -> None:
    burst = pair[0].alloc(1)
    with pytest.raises(vfiocore.InvalidArgument, match="another pool"):
        nic.tx_burst(burst)
    assert len(burst) == 1


def test_pools_that_cannot_be(device: vfiocore.Device, leaks: None) -> None:
    for bad in (0, -1, 2**32 - 1):
        with pytest.raises(vfiocore.InvalidArgument):
            vfiocore.Pool(device, bad)
    with pytest.raises(TypeError, match="where the pool lies"):
        vfiocore.Pool(3, 10)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the pool is a Pool"):
        device.nic(pool=3)  # type: ignore[arg-type]
    with vfiocore.open("fake:e1000e") as other, vfiocore.Pool(other, 600) as pool:
        with pytest.raises(vfiocore.InvalidArgument, match="opts->pool is not one"):
            device.nic(pool=pool)
        assert repr(pool) == "<Pool: 600 of 600 free>"
    assert pool.closed


def test_the_devices_block_ends_the_pool() -> None:
    with vfiocore.open("fake:e1000e") as device:
        pool = vfiocore.Pool(device, 600)
        nic = device.nic(pool=pool)
    assert (nic.closed, pool.closed) == (True, True)


def test_closed(nic: vfiocore.Nic) -> None:
    burst = nic.alloc(1)
    nic.close()
    for call in (nic.rx_burst, lambda: nic.alloc(1), lambda: nic.tx_burst([b"\2" * 60])):
        with pytest.raises(vfiocore.ClosedError):
            call()
    with pytest.raises(vfiocore.ClosedError):
        nic.tx_burst(burst)
    with pytest.raises(vfiocore.InvalidArgument, match="16 bits"):
        nic.rx_burst(65536)


def test_a_child_has_none_of_it(nic: vfiocore.Nic) -> None:
    burst, free = nic.alloc(2), nic.pool.free
    child = os.fork()
    if child == 0:
        try:
            burst[0]
        except vfiocore.VfioError as error:
            burst.free()
            os._exit(0 if error.errno == errno.ECHILD else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert nic.pool.free == free
