# SPDX-License-Identifier: MIT
"""A NIC is reset, or closed and opened, with frames under way in both directions.

Of those, some may be lost. All that come are intact, in order and come once; no other is lost,
before or after; and no buffer is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
from frames import ETHERTYPE, frame
from virtual_functions import TOKEN, answering

import vfiocore
from vfiocore import Pool, sriov

pytestmark = pytest.mark.machine("igb")

ROUNDS = 10
FRAMES = 500  # each way, between one moment and the next
WINDOW = 120  # under way: those from before and after fit together into the smallest ring, of 256
CHUNKS = 1024
BURST = 32
PATIENCE = 20
TRICKLE = 0.002  # between two frames, so that some come at each step of a reset


@dataclass
class Way:
    """A direction. One thread sends, one receives."""

    to: bytes
    source: bytes
    sent: int = 0  # accepted by the NIC
    next: int = 0  # the number that is expected
    may_be_lost: range = range(0)
    lost: int = 0

    def frame(self, number: int) -> bytes:
        return frame(self.to, self.source, number, 60 + number * 97 % 1455)

    @property
    def under_way(self) -> int:
        return self.sent - max(self.next, self.may_be_lost.stop)

    def send(self, nic: vfiocore.Nic, most: int) -> None:
        count = min(most, BURST, WINDOW - self.under_way)
        self.sent += nic.send_many([self.frame(self.sent + i) for i in range(count)])

    def check(self, got: bytes) -> None:
        if got[12:14] != ETHERTYPE:
            return  # QEMU's network says something, too
        number = int.from_bytes(got[14:18], "big")
        assert got == self.frame(number)
        assert number >= self.next, "it came before"
        missing = range(self.next, number)
        assert all(one in self.may_be_lost for one in missing), (missing, self.may_be_lost)
        self.lost += len(missing)
        self.next = number + 1

    def receive(self, nic: vfiocore.Nic) -> None:
        for got in nic.recv_many(64):
            self.check(got)


@dataclass
class Traffic:
    """Between the NIC under test and a partner that a thread drives, which never stops."""

    there: Way  # to the partner
    back: Way
    partner: vfiocore.Nic
    cutting: threading.Event = field(default_factory=threading.Event)
    returned: threading.Event = field(default_factory=threading.Event)
    seen: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> None:
        try:
            while not self.over.is_set():
                if self.returned.is_set():
                    self.returned.clear()
                    self.back.may_be_lost = range(self.back.next, self.back.sent)
                    self.seen.set()
                if self.cutting.is_set():
                    time.sleep(TRICKLE)
                self.back.send(self.partner, 1 if self.cutting.is_set() else BURST)
                self.there.receive(self.partner)
        finally:
            self.over.set()

    def until(self, done: Callable[[], bool], step: Callable[[], None]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, self
            assert not self.over.is_set(), "the partner failed"
            step()

    def run(self, nic: vfiocore.Nic) -> None:
        """So many frames each way, and all that were sent arrive."""
        end, back_end = self.there.sent + FRAMES, self.back.next + FRAMES

        def step() -> None:
            self.there.send(nic, end - self.there.sent)
            self.back.receive(nic)

        def done() -> bool:
            there = self.there.sent == end and not self.there.under_way
            return there and self.back.next >= back_end

        self.until(done, step)

    def fill(self, nic: vfiocore.Nic, count: int) -> None:
        """Frames of which nobody was told that they are sent, and some that nobody has received."""
        self.cutting.set()
        self.until(lambda: self.back.under_way >= count, lambda: time.sleep(0))
        nic.drain(60)
        reported = self.there.sent
        end = reported + count
        self.until(
            lambda: self.there.sent == end, lambda: self.there.send(nic, end - self.there.sent)
        )
        self.there.may_be_lost = range(reported, end)

    def resume(self, nic: vfiocore.Nic) -> None:
        """What the partner sends from now on arrives."""
        nic.wait_link(60)
        self.cutting.clear()
        self.seen.clear()
        self.returned.set()
        self.until(self.seen.is_set, lambda: time.sleep(0))


@contextmanager
def held(nic: vfiocore.Nic, way: Way) -> Iterator[int]:
    """Received frames that stay in our hands meanwhile. Yields how many."""
    with nic.rx_burst(8) as burst:
        before = [bytes(one) for one in burst]
        for one in before:
            way.check(one)
        yield len(burst)
        assert [bytes(one) for one in burst] == before


# The partner is of virtio-net, whose emulator sends by itself, at any moment of a reset.
SUBJECTS = [
    pytest.param("nic0", "virtio", id="e1000e"),
    pytest.param("igb0", "virtio", id="igb"),
    pytest.param("igb0 vf", "virtio", id="igbvf"),
    pytest.param("virtio", "packed", id="virtio-split"),
    pytest.param("packed", "virtio", id="virtio-packed"),
]


@contextmanager
def opened(short: str, bound: Callable[[str], str]) -> Iterator[vfiocore.Device]:
    name, _, virtual = short.partition(" ")
    bdf = bound(name)
    with ExitStack() as stack:
        if virtual:
            stack.enter_context(answering(bdf))
            bdf = sriov.functions(bdf)[0]
        yield stack.enter_context(vfiocore.open(bdf, vf_token=TOKEN if virtual else None))


@contextmanager
def traffic(short: str, bound: Callable[[str], str], mac: bytes) -> Iterator[Traffic]:
    """Between that address and a partner, once it is served by a NIC and resume() was called."""
    with opened(short, bound) as device, Pool(device, CHUNKS) as pool:
        with device.nic(pool=pool, packed=short == "packed") as nic:
            nic.wait_link(60)
            ours = nic.mac_bytes
            running = Traffic(Way(ours, mac), Way(mac, ours), nic)
            with ThreadPoolExecutor(1) as threads:
                serving = threads.submit(running.serve)
                try:
                    yield running
                finally:
                    running.over.set()
                    serving.result(PATIENCE)
            check_counters(nic)
        assert pool.free == CHUNKS


def check_counters(nic: vfiocore.Nic) -> None:
    stats = nic.stats
    assert stats.rx_errors == stats.rx_malformed == stats.tx_errors == 0


def report(running: Traffic) -> None:
    there, back = running.there, running.back
    print(f"{there.sent} there, {there.lost} lost; {back.sent} back, {back.lost} lost")


@pytest.mark.parametrize(("short", "other"), SUBJECTS)
def test_reset(short: str, other: str, bound: Callable[[str], str]) -> None:
    options = {"packed": short == "packed"}
    with opened(short, bound) as device, Pool(device, CHUNKS) as pool:
        with device.nic(pool=pool, **options) as nic:
            nic.wait_link(60)
            before = pool.free
            with traffic(other, bound, nic.mac_bytes) as running:
                for round_ in range(ROUNDS):
                    running.resume(nic)
                    running.run(nic)
                    running.fill(nic, 1 + round_ * 9)
                    with held(nic, running.back) as count:
                        nic.reset()
                        assert pool.free == before - count
                    assert pool.free == before
                running.resume(nic)
                running.run(nic)
                report(running)
            check_counters(nic)
        assert pool.free == CHUNKS


@pytest.mark.parametrize(("short", "other"), SUBJECTS)
def test_close_and_open(short: str, other: str, bound: Callable[[str], str]) -> None:
    options = {"packed": short == "packed"}
    with opened(short, bound) as device, Pool(device, CHUNKS) as pool:
        with device.nic(pool=pool, **options) as nic:
            mac = nic.mac_bytes
        with traffic(other, bound, mac) as running:
            for round_ in range(ROUNDS):
                nic = device.nic(pool=pool, **options)
                running.resume(nic)
                running.run(nic)
                running.fill(nic, 1 + round_ * 9)
                check_counters(nic)
                with held(nic, running.back) as count:
                    nic.close()
                    assert pool.free == CHUNKS - count
                assert pool.free == CHUNKS
            with device.nic(pool=pool, **options) as nic:
                running.resume(nic)
                running.run(nic)
                report(running)
