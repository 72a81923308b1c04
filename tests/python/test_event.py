# SPDX-License-Identifier: MIT
"""Events on the fake transport, with threads, asyncio and the host's request."""

from __future__ import annotations

import asyncio
import json
import mmap
import threading
import time
from pathlib import Path

import pytest
from fabricated_sysfs import DISK, NIC, Machine

import vfiocore
from vfiocore import EventKind, fake, pci
from vfiocore.fake import Knob

OURS = {EventKind.ERROR, EventKind.REQUEST, EventKind.GONE}


def take(stream: vfiocore.Events) -> vfiocore.Event:
    """The next event of the fake; what the machine does to its own devices is not ours."""
    while True:
        event = stream.wait(60)
        if event.kind in OURS:
            return event


def test_an_error_is_decoded(device: vfiocore.Device) -> None:
    with device.events() as stream:
        fake.set(device, Knob.ERROR, 1 << 18)
        event = take(stream)
    assert event.kind is EventKind.ERROR
    assert event.name == "fake:e1000e"
    assert event.uncorrectable == 1 << 18
    assert str(event).startswith("error fake:e1000e: Malformed TLP; device status: Non-Fatal")
    assert json.loads(json.dumps(event.as_dict()))["kind"] == 1
    assert event.time <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_iteration_ends_when_the_stream_is_closed(device: vfiocore.Device) -> None:
    kinds = []
    with vfiocore.events() as stream:
        stream.watch(device)
        fake.set(device, Knob.REQUEST, 1)
        timer = threading.Timer(0.3, stream.close)
        timer.start()
        for event in stream:
            kinds.append(event.kind)
        timer.join()
        assert stream.closed
    assert EventKind.REQUEST in kinds
    with pytest.raises(vfiocore.ClosedError):
        iter(stream).__next__()
    with pytest.raises(vfiocore.ClosedError):
        stream.fileno()


def test_async_iteration(device: vfiocore.Device) -> None:
    async def run() -> list[EventKind]:
        kinds: list[EventKind] = []
        with device.events() as stream:
            asyncio.get_running_loop().call_later(0.05, fake.set, device, Knob.REQUEST, 1)
            async for event in stream:
                if event.kind in OURS:
                    kinds.append(event.kind)
                    fake.set(device, Knob.ERROR, 1)
                if len(kinds) == 3:
                    stream.close()
        return kinds

    assert asyncio.run(run()) == [EventKind.REQUEST, EventKind.ERROR, EventKind.ERROR]


def test_closing_wakes_tasks(device: vfiocore.Device) -> None:
    async def run() -> None:
        stream = device.events()
        task = asyncio.create_task(stream.wait_async())
        await asyncio.sleep(0.01)
        stream.close()
        with pytest.raises(vfiocore.ClosedError):
            await task

    asyncio.run(run())


def test_timeouts(device: vfiocore.Device) -> None:
    with device.events() as stream:
        with pytest.raises(vfiocore.InvalidArgument):
            stream.wait(-1)
        with pytest.raises(vfiocore.InvalidArgument):
            vfiocore.events(interval=-1)
        with pytest.raises(vfiocore.InvalidArgument):
            vfiocore.events(buffer=1 << 40)


def test_watched_once(device: vfiocore.Device) -> None:
    with device.events() as stream, vfiocore.events() as second:
        with pytest.raises(vfiocore.DeviceBusy):
            second.watch(device)
        with pytest.raises(vfiocore.DeviceBusy):
            device.irqs("err")
        with pytest.raises(vfiocore.DeviceBusy):
            device.release_on_request()
        stream.unwatch(device)
        with pytest.raises(vfiocore.VfioError):
            stream.unwatch(device)
        second.watch(device)


def test_closing_the_device_closes_its_stream() -> None:
    with vfiocore.open("fake:e1000e") as device:
        stream = device.events()
        other = vfiocore.events()
    assert stream.closed
    with pytest.raises(vfiocore.ClosedError):
        device.events()
    device = vfiocore.open("fake:e1000e")
    other.watch(device)
    device.close()
    other.close()


def test_gone_is_found_by_an_access(device: vfiocore.Device) -> None:
    with device.events() as stream:
        fake.set(device, Knob.GONE, 1)
        with pytest.raises(vfiocore.DeviceGone):
            device.bar(0).read32(8)
        assert take(stream).kind is EventKind.GONE


def test_gone_is_found_by_asking(device: vfiocore.Device) -> None:
    with device.events(interval=0.01) as stream:
        fake.set(device, Knob.GONE, 1)
        assert take(stream).kind is EventKind.GONE


def test_the_stream_releases(device: vfiocore.Device) -> None:
    device.bus_master = True
    with device.events(release=True) as stream:
        assert not device.released
        fake.set(device, Knob.REQUEST, 1)
        event = take(stream)
        assert event.released
        assert device.released
        assert "has it" in event.detail


def test_release_wakes_whoever_waits(nic: vfiocore.Nic, device: vfiocore.Device) -> None:
    """Threads that receive without end, and send, and a buffer whose views live."""
    failures: list[type] = []

    def run(what: str) -> None:
        try:
            while True:
                nic.send(bytes(60)) if what == "send" else nic.recv()
        except vfiocore.VfioError as error:
            failures.append(type(error))

    buffer = device.iommu.alloc(4096)
    view = buffer.view()
    device.release_on_request()
    device.release_on_request()
    threads = [threading.Thread(target=run, args=(what,)) for what in ("send", "recv")]
    for thread in threads:
        thread.start()
    fake.set(device, Knob.REQUEST, 1)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == [vfiocore.DeviceGone] * 2
    assert device.released
    assert fake.get(device, Knob.MAPPINGS) == 0
    view[:3] = b"own"  # unmapped, and still there
    view.release()
    buffer.close()


def test_release_takes_mappings_of_all_kinds(device: vfiocore.Device) -> None:
    iommu = device.iommu
    buffers = [mmap.mmap(-1, 8192) for _ in range(4)]
    one, batch = iommu.map(buffers[0]), iommu.map_batch(buffers[1:3])
    with iommu.cache() as cache, cache.get(buffers[3]), iommu.alloc(4096):
        device.release()
        assert iommu.mapped == 0
        assert one.mapped  # nobody has told them
        assert batch.mapped
        batch.close()
        one.close()
        assert not one.mapped
        assert not batch.mapped
        with pytest.raises(vfiocore.NoDevice):
            iommu.map(buffers[0])
    for buffer in buffers:
        buffer.close()


def test_release_by_hand(device: vfiocore.Device) -> None:
    irqs = device.irqs("msix", 2)
    device.release()
    device.release()
    assert irqs[1].wait(60) == 1
    with pytest.raises(vfiocore.DeviceGone, match="given back to the host"):
        device.config.read16(0)
    with pytest.raises(vfiocore.DeviceGone):
        device.irqs("req")


def test_a_device_that_is_closed_ends_its_thread() -> None:
    before = threading.active_count()
    for _ in range(3):
        with vfiocore.open("fake:e1000e") as device:
            device.release_on_request()
            assert threading.active_count() == before + 1
        assert threading.active_count() == before


def test_wait_for() -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        pci.wait_for("fedc:ba98", 0.01)
    with pytest.raises(vfiocore.InvalidArgument):
        pci.wait_for("tomorrow", 0.01)


def test_wait_for_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    assert pci.wait_for("1b36:0010", 0).name == DISK
    assert pci.wait_for(NIC.removeprefix("0000:"), 0).name == NIC


def test_wait_for_what_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No message of the kernel tells of a fabricated device: it is looked for now and then."""
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    timer = threading.Timer(0.05, machine.device, ("0000:07:00.0", 0x1234, 0x5678, 0x020000))
    timer.start()
    assert pci.wait_for("1234:5678", 10).name == "0000:07:00.0"
    timer.join()
