# SPDX-License-Identifier: MIT
"""Interrupts of devices that are not PCI: of kmod-tests' module vfc_device, by each transport."""

from __future__ import annotations

import errno
import resource
import select
import threading
from collections.abc import Iterator

import mdev
import pytest
from mdev import Opener

import vfiocore
from vfiocore.irq import IrqFlag

pytestmark = pytest.mark.usefixtures("vfc_device")


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room for an eventfd a vector."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_interrupt_types(opened: Opener) -> None:
    device = opened("irqs")
    types = device.irq_types
    assert len(types) == 40
    assert [info.count for info in types[:5]] == [2048, 1, 0, 16, 1]
    assert types[39].count == 4
    assert types[1].flags == IrqFlag.EVENTFD | IrqFlag.MASKABLE | IrqFlag.AUTOMASKED
    assert (types[0].name, device.irq_info("irq 39").index) == ("irq 0", 39)
    with pytest.raises(vfiocore.InvalidArgument, match="40, counted from 0"):
        device.irq_info(40)
    with pytest.raises(vfiocore.InvalidArgument, match='no interrupt type "msix"'):
        device.irqs("msix")
    with pytest.raises(vfiocore.InvalidArgument, match="the device has 0 of this type"):
        device.irqs(2, 1)


def test_types_beside_one_another(opened: Opener) -> None:
    device = opened("irqs")
    registers = device.region(0)
    sets = [device.irqs(index, 1) for index in (0, 1, *range(3, 40))]
    with pytest.raises(vfiocore.DeviceBusy, match="for that type"):
        device.irqs(39, 1)
    for irqs in sets:
        registers.write32(mdev.INDEX, irqs.index)
        registers.write32(mdev.RAISE, 1)
    for irqs in sets:
        assert irqs[0].wait(0) == 1
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0)


def _fired(irqs: vfiocore.IrqSet) -> dict[int, int]:
    """What each vector counts, without waiting."""
    found = {}
    while True:
        try:
            vector, count = irqs.wait_any(0)
        except vfiocore.WaitTimeout:
            return found
        found[vector] = found.get(vector, 0) + count


@pytest.mark.usefixtures("descriptors")
def test_2048_vectors(opened: Opener) -> None:
    device = opened("irqs")
    registers = device.region(0)
    with device.irqs(0) as irqs:
        assert len(irqs) == 2048
        for vector in range(2048):
            registers.write32(mdev.FIRST, vector)
            registers.write32(mdev.RAISE, 1)
        assert registers.read32(mdev.RAISED) == 2048
        assert irqs.wait_all(60) == [1] * 2048
        assert _fired(irqs) == {}
        registers.write32(mdev.FIRST, 0)
        registers.write32(mdev.RAISE, 2048)  # all with one write
        poll = select.epoll()
        poll.register(irqs.fileno(), select.EPOLLIN)
        assert poll.poll(5)
        assert _fired(irqs) == dict.fromkeys(range(2048), 1)
        assert not poll.poll(0)
        poll.close()
        registers.write32(mdev.FIRST, 2047)
        registers.write32(mdev.STORM, 100_000)
        assert irqs[2047].wait(60) == 100_000
        assert sum(vector.stats.fired for vector in irqs) == 2 * 2048 + 100_000
    registers.write32(mdev.RAISE, 1)
    assert registers.read32(mdev.RAISED) == 2 * 2048 + 100_000  # nobody is armed any more


@pytest.mark.usefixtures("descriptors")
def test_2048_vectors_of_an_epoll_of_the_callers(opened: Opener) -> None:
    device = opened("irqs")
    with device.irqs(0) as irqs, select.epoll() as poll:
        vectors = {vector.fileno(): vector for vector in irqs}
        for number in vectors:
            poll.register(number, select.EPOLLIN)
        device.region(0).write32(mdev.RAISE, 2048)
        ready = poll.poll(5, maxevents=4096)
        assert {number for number, _ in ready} == set(vectors)
        assert [vector.wait(0) for vector in irqs] == [1] * 2048
        assert not poll.poll(0)


@pytest.mark.usefixtures("descriptors")
def test_growing_and_shrinking(opened: Opener) -> None:
    device = opened("irqs")
    registers = device.region(0)
    with device.irqs(0, 1) as irqs:
        for count in (2, 64, 2048, 1000, 3, 2048, 1):
            irqs.resize(count)
            registers.write32(mdev.RAISE, 2048)
            assert _fired(irqs) == dict.fromkeys(range(count), 1)
        with pytest.raises(vfiocore.InvalidArgument, match="2049 vectors were asked for"):
            irqs.resize(2049)
    with device.irqs(3, 2) as fixed:  # which cannot grow, so all go off and on, and are raised once
        registers.write32(mdev.INDEX, 3)
        fixed.resize(16)
        assert set(_fired(fixed)) == {0, 1}
        registers.write32(mdev.RAISE, 16)
        assert _fired(fixed) == dict.fromkeys(range(16), 1)


def test_too_few_descriptors(opened: Opener) -> None:
    device = opened("irqs")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        with pytest.raises(vfiocore.VfioError, match="2048 vectors need as many") as failed:
            device.irqs(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert failed.value.errno == errno.EMFILE
    assert failed.value.hint
    with device.irqs(0, 4) as irqs:  # nothing was left behind
        device.region(0).write32(mdev.RAISE, 2048)
        assert irqs.wait_all(60) == [1] * 4


def test_level(opened: Opener) -> None:
    device = opened("irqs")
    registers = device.region(0)
    with device.irqs(1) as irqs:
        registers.write32(mdev.LEVEL, 1)
        assert irqs[0].wait(60) == 1
        registers.write32(mdev.LEVEL, 1)
        with pytest.raises(vfiocore.WaitTimeout):  # masked when it fired
            irqs[0].wait(0)
        registers.write32(mdev.ACK, 1)
        irqs.unmask()  # one event is left
        assert irqs[0].wait(60) == 1
        registers.write32(mdev.ACK, 1)
        irqs.unmask()
        irqs.mask()
        registers.write32(mdev.LEVEL, 1)
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0)
        irqs.unmask()
        assert irqs[0].wait(60) == 1
    with device.irqs(0, 1) as edges:
        for use in (edges.mask, edges.unmask):
            with pytest.raises(vfiocore.Unsupported, match="does not mask this type"):
                use()


def test_level_storm(opened: Opener) -> None:
    """Events come while others are handled: each is handled once, none waits for ever."""
    device = opened("irqs")
    registers, events = device.region(0), 2000
    source = threading.Thread(
        target=lambda: [registers.write32(mdev.LEVEL, 1) for _ in range(events)]
    )
    with device.irqs(1) as irqs:
        source.start()
        for _ in range(events):
            assert irqs[0].wait(60) == 1
            registers.write32(mdev.ACK, 1)
            irqs.unmask()
        source.join()
        assert registers.read32(mdev.LEVEL) == 0
        with pytest.raises(vfiocore.WaitTimeout):
            irqs[0].wait(0)
        assert irqs[0].stats.fired == events
