# SPDX-License-Identifier: MIT
"""The ring engine from Python, against a device that is played in Python."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ring_player import LAYOUTS, Player

import vfiocore
from vfiocore import fake
from vfiocore.ring import Ring, RingLayout, RingStyle, buffers, completions

Open = Callable[..., tuple[Ring, Player]]
TDT = 0x3818  # 82574L datasheet, section 10.2.6.11

IN_ORDER = ("done", "report", "wide", "head")


@pytest.fixture
def start(device: vfiocore.Device, leaks: None) -> Iterator[Open]:
    rings: list[Ring] = []

    def opened(name: str, entries: int = 16) -> tuple[Ring, Player]:
        player = Player(LAYOUTS[name])
        ring = Ring(device, LAYOUTS[name], entries, doorbell=player.doorbell)
        player.follow(ring)
        rings.append(ring)
        return ring, player

    yield opened
    for ring in rings:
        ring.close()


@pytest.mark.parametrize("name", LAYOUTS)
def test_everything_comes_back(start: Open, name: str) -> None:
    """Many laps in bursts of random size; out of order, where the style allows it."""
    ring, player = start(name)
    dice, posted, back = random.Random(name), 0, []
    for _ in range(300):
        burst = [(0x1000 * n, 60, 0, n) for n in range(posted, posted + dice.randint(0, 12))]
        posted += ring.post_many(burst)
        ring.kick()
        player.take()
        for _ in range(dice.randint(0, len(player.taken))):
            player.finish(dice.randrange(len(player.taken)) if name not in IN_ORDER else 0)
        back += ring.reap()
        assert ring.used == posted - len(back) == ring.room - ring.space
    while player.taken:
        player.finish()
    back += ring.reap()
    cookies = [one.cookie for one in back]
    assert posted > 10 * ring.entries
    assert (cookies if name in IN_ORDER else sorted(cookies)) == list(range(posted))
    if name not in ("head", "report"):
        assert {one.length for one in back} == {60}
    assert (ring.used, ring.malformed, ring.errors) == (0, 0, 0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_the_device_sees(start: Open, name: str) -> None:
    ring, player = start(name)
    ring.post(0x1234_5678_9000, 100 if ring.layout.length_bits else 0, cookie=5)
    assert player.take() == 0  # before the doorbell
    assert (ring.doorbells, ring.used) == (0, 1)
    ring.kick()
    ring.kick()
    assert player.take() == 1
    assert ring.doorbells == 1
    assert player.address(player.taken[0][0]) == 0x1234_5678_9000
    assert not ring.ready
    player.finish()
    assert ring.ready
    assert [one.cookie for one in ring.reap()] == [5]
    assert not ring.ready
    assert ring.reap() == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_full(start: Open, name: str) -> None:
    ring, _ = start(name)
    every = [(0, 0, 0, n) for n in range(100)]
    assert ring.post_many(every) == ring.room == 16 - (name not in ("split", "packed"))
    assert ring.space == 0
    assert ring.post_many(every) == 0
    with pytest.raises(vfiocore.VfioError, match="reap some first"):
        ring.post(0)
    assert sorted(ring.cancel()) == list(range(ring.room))
    assert (ring.used, ring.space) == (0, ring.room)
    assert ring.post_many([]) == 0


def test_arrays(start: Open) -> None:
    ring, player = start("done", 64)
    array, out = buffers(32), completions(20)
    for number, buffer in enumerate(array):
        buffer.iova, buffer.length, buffer.cookie = 4096 * number, number, 1000 + number
    assert ring.post_many(array, 30) == 30
    ring.kick()
    player.take()
    for _ in range(30):
        player.finish(length=7)
    assert ring.reap_into(out) == 20
    assert [one.cookie for one in out] == list(range(1000, 1020))
    assert ring.reap(5)[0] == vfiocore.Completion(cookie=1020, length=7, control=1 | 7 << 32)
    assert ring.reap_into(out) == 5
    assert ring.post_many(array) == 32


def test_what_is_refused(start: Open) -> None:
    ring, _ = start("done")
    array = buffers(3)
    array[2].cookie = 2**32 - 1
    for call in (
        lambda: ring.post(0, cookie=2**32 - 1),
        lambda: ring.post_many([(0, 0, 0, 1), (0, 0, 0, 2**32 - 1)]),
        lambda: ring.post_many(array),
    ):
        with pytest.raises(vfiocore.InvalidArgument, match="marks an id that is not with"):
            call()
    array[2].cookie, array[1].length = 0, 0x10000
    with pytest.raises(vfiocore.InvalidArgument, match="descriptor's 16 bits"):
        ring.post_many(array)
    with pytest.raises(vfiocore.InvalidArgument, match="descriptor's 16 bits"):
        ring.post(0, 0x10000)
    with pytest.raises(vfiocore.OutOfRange, match="4 buffers of an array of 3"):
        ring.post_many(array, 4)
    with pytest.raises(vfiocore.InvalidArgument, match="64 bits"):
        ring.post(-1)
    with pytest.raises(TypeError, match="buffers"):
        ring.post_many(completions(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="completions"):
        ring.reap_into(buffers(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ring.post("0")  # type: ignore[arg-type]
    assert ring.used == 0


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ({}, "no done bit"),
        ({"done": 1 << 70}, "layout's done"),
        ({"done": 1, "size": 12}, "outside of the descriptor"),
        ({"done": 1, "control": 12}, "outside of the descriptor"),
        ({"done": 1, "length_bits": 8}, "0, 16 or 32 bits"),
        ({"done": 1, "length_bits": 32, "length_shift": 40}, "above bit 63"),
        ({"style": RingStyle.SPLIT, "size": 32}, "virtio"),
        ({"style": 9}, "no ring style 9"),
    ],
)
def test_layouts_that_cannot_be(
    device: vfiocore.Device, leaks: None, layout: dict[str, Any], says: str
) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match=says):
        Ring(device, RingLayout(**layout), 16, doorbell=Player(LAYOUTS["done"]).doorbell)


@pytest.mark.parametrize(
    ("name", "entries"),
    [("done", 0), ("done", 1), ("done", 32769), ("split", 24), ("done", -1), ("done", 2**32)],
)
def test_entries_that_cannot_be(start: Open, name: str, entries: int) -> None:
    with pytest.raises(vfiocore.InvalidArgument):
        start(name, entries)


def test_doorbells(device: vfiocore.Device, leaks: None) -> None:
    layout, bar = LAYOUTS["done"], device.bar(0)
    for bad, says in ((0, "mapped register"), (3, "mapped register"), (-1, "64 bits")):
        with pytest.raises(vfiocore.InvalidArgument, match=says):
            Ring(device, layout, 16, doorbell=bad)
    for offset in (bar.length, bar.length - 2, 0x3819):
        with pytest.raises(vfiocore.OutOfRange, match="is no register of"):
            Ring(device, layout, 16, doorbell=(bar, offset))
    with pytest.raises(TypeError, match="address or"):
        Ring(device, layout, 16, doorbell=("bar", 0))  # type: ignore[arg-type]
    with pytest.raises(vfiocore.VfioError):
        Ring(device, layout, 16, doorbell=4, consumed=(device.bar(3), 0))
    with pytest.raises(TypeError, match="RingLayout"):
        Ring(device, None, 16, doorbell=4)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="where the ring lies"):
        Ring(None, layout, 16, doorbell=4)  # type: ignore[arg-type]
    with Ring(device.iommu, layout, 16, doorbell=(bar, TDT)) as ring:
        ring.post(0)
        ring.kick()
        assert (ring.doorbells, bar.read32(TDT)) == (1, 1)


def test_a_report_covers_what_was_posted_before(start: Open) -> None:
    ring, player = start("report")
    ring.post_many([(0, 60, 0, n) for n in range(3)])
    ring.report()
    ring.post_many([(0, 60, 0, n) for n in range(3, 5)])
    ring.kick()
    player.take()
    for _ in range(4):
        player.finish()
    assert [one.cookie for one in ring.reap()] == [0, 1, 2]
    player.finish(status=1 << 33)
    assert [one.cookie for one in ring.reap()] == [3, 4]
    assert ring.errors == 1


def test_a_whole_descriptor(start: Open) -> None:
    """An NVMe command has words that are neither address nor control."""
    ring, player = start("phase")
    ring.post(0x5000, command=2, cookie=9, descriptor=bytes(range(64)))
    ring.kick()
    player.take()
    laid = ring.copy_descriptor(0)
    assert laid[8:24] == bytes(range(8, 24))
    assert laid[32:] == bytes(range(32, 64))
    assert laid[24:32] == (0x5000).to_bytes(8, "little")
    assert int.from_bytes(laid[:8], "little") & 0xFFFF == 2
    with pytest.raises(vfiocore.InvalidArgument, match="of 16 bytes: the layout says 64"):
        ring.post(0, descriptor=bytes(16))
    with pytest.raises(vfiocore.OutOfRange):
        ring.copy_descriptor(16)
    split, _ = start("split")
    with pytest.raises(vfiocore.InvalidArgument, match="virtio's descriptors"):
        split.post(0, descriptor=bytes(16))


def test_the_head_register_and_the_queue(device: vfiocore.Device, leaks: None) -> None:
    import ctypes

    player = Player(LAYOUTS["phase"])
    told = ctypes.addressof(player.consumed)
    with Ring(device, player.layout, 8, doorbell=player.doorbell, consumed=told) as ring:
        player.follow(ring)
        ring.post_many([(0, 0, 0, n) for n in range(5)])
        ring.kick()
        player.take()
        player.finish()
        player.finish()
        assert len(ring.reap()) == 2
        assert player.consumed.value == 2
    player = Player(LAYOUTS["packed"])
    with Ring(device, player.layout, 8, doorbell=player.doorbell, queue=3) as ring:
        ring.post(0)
        ring.kick()
        assert player.bell.value == 3


@pytest.mark.parametrize("event_index", [False, True])
def test_asking_for_an_interrupt(device: vfiocore.Device, leaks: None, event_index: bool) -> None:
    player = Player(LAYOUTS["split"])
    with Ring(device, player.layout, 8, doorbell=player.doorbell, event_index=event_index) as ring:
        player.follow(ring)
        ring.disarm()
        ring.post(0)
        ring.kick()
        player.take()
        assert ring.arm() is False
        player.finish()
        assert ring.arm() is True


def test_rubbish_is_counted(start: Open) -> None:
    ring, player = start("split")
    ring.post(0, cookie=1)
    ring.kick()
    player.take()
    player.taken.append((99, 99))
    player.finish(1)
    assert ring.reap() == []
    assert ring.malformed == 1
    assert ring.used == 1


def test_where_the_parts_lie(start: Open, device: vfiocore.Device) -> None:
    ring, _ = start("split")
    places = [ring.iova, ring.available_iova, ring.completions_iova]
    assert places == sorted(set(places))
    mapping = device.iommu.find_iova(ring.iova)
    assert mapping is not None
    assert mapping.iova <= places[0] < places[2] < mapping.iova + mapping.length


def test_resize(start: Open) -> None:
    ring, _ = start("done")
    ring.post(0)
    with pytest.raises(vfiocore.DeviceBusy, match="posted"):
        ring.resize(32)
    ring.kick()
    assert ring.cancel() == [0]
    with pytest.raises(vfiocore.InvalidArgument):
        ring.resize(1)
    assert ring.entries == 16
    ring.resize(64)
    assert (ring.entries, ring.room, ring.doorbells) == (64, 63, 1)
    assert ring.post_many([(0,)] * 100) == 63


def test_closed(start: Open) -> None:
    ring, _ = start("done")
    assert repr(ring).startswith("<Ring DONE: 0 of 15 posted, iova 0x")
    ring.close()
    ring.close()
    assert ring.closed
    assert repr(ring) == "<Ring closed>"
    for call in (
        lambda: ring.post(0), lambda: ring.post_many([]), ring.kick, ring.reap, ring.report,
        ring.cancel, lambda: ring.resize(8), ring.arm, ring.disarm, lambda: ring.used,
        lambda: ring.iova, lambda: ring.ready, lambda: ring.copy_descriptor(0),
        lambda: ring.reap_into(completions(1)), ring.__enter__,
    ):  # fmt: skip
        with pytest.raises(vfiocore.ClosedError):
            call()


def test_the_devices_block_ends_it() -> None:
    with vfiocore.open("fake:e1000e") as device:
        ring = Ring(device, LAYOUTS["done"], 16, doorbell=(device.bar(0), TDT))
        with pytest.raises(vfiocore.DeviceBusy):
            device.close()
        ring.post(0)
    assert ring.closed


def test_registers_of_a_closed_device() -> None:
    """In a shared space the ring outlives the device, whose registers are not mapped any more."""
    with vfiocore.Iommu("fake") as space:
        device = vfiocore.open("fake:e1000e", iommu=space)
        with Ring(space, LAYOUTS["done"], 16, doorbell=(device.bar(0), TDT)) as ring:
            ring.post(0)
            device.close()
            with pytest.raises(vfiocore.ClosedError, match="device"):
                ring.kick()
            assert ring.cancel() == [0]


def test_threads_take_turns(start: Open) -> None:
    ring, player = start("packed", 128)
    stop, back = threading.Event(), []

    def play() -> None:
        while not stop.is_set():
            player.take()
            while player.taken:
                player.finish()

    def reap() -> None:
        while not stop.is_set():
            back.extend(ring.reap())

    threads = [threading.Thread(target=play), threading.Thread(target=reap)]
    for thread in threads:
        thread.start()
    number = 0
    while number < 3000:
        number += ring.post_many([(0, 1, 0, n) for n in range(number, min(number + 9, 3000))])
        ring.kick()
    while len(back) < 3000:
        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(one.cookie for one in back) == list(range(3000))


def test_layout() -> None:
    layout = LAYOUTS["wide"]
    assert (layout.size, layout.address, layout.control) == (32, 16, 24)
    assert repr(layout).startswith("RingLayout(style=DONE, done=0xc000000000000000")
    with pytest.raises(AttributeError):
        _ = layout.nothing


def test_nothing_is_left_when_memory_is_short(device: vfiocore.Device, leaks: None) -> None:
    fake.set(device, fake.Knob.MEMLOCK_LIMIT, 0)
    with pytest.raises(vfiocore.MemlockLimit):
        Ring(device, LAYOUTS["done"], 16, doorbell=4)


def test_a_child_has_none_of_it(start: Open) -> None:
    ring, _ = start("done")
    child = os.fork()
    if child == 0:
        try:
            ring.post(0)
        except vfiocore.VfioError as error:
            os._exit(0 if error.errno == errno.ECHILD else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert ring.used == 0
