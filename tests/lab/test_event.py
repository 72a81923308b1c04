# SPDX-License-Identifier: MIT
"""Events of the real kernel: drivers come and go, the host wants a device, errors, strangers."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import vfiocore
from vfiocore import EventKind, pci
from vfiocore.lab.machines import Machine
from vfiocore.lab.monitor import Monitor

SYSFS = Path("/sys/bus/pci/devices")
NETLINK_KOBJECT_UEVENT = 15

both = pytest.mark.machine("intel", "iommufd")

# Who has 10.0.2.2? Tell 10.0.2.15.
ARP = "0806 0001 0800 0604 0001 525400766600 0a00020f 000000000000 0a000202"


def write_later(path: str, text: str) -> subprocess.Popen[bytes]:
    """Write to a file in another process: the kernel may make it wait."""
    return subprocess.Popen(["sh", "-c", f"echo {text} > {path}"])


def change(bdf: str) -> None:
    (SYSFS / bdf / "uevent").write_text("change")


def has_device(pid: int) -> bool:
    """Whether that process has a device open."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            link = os.readlink(entry)
            if "vfio-device" in link or "/dev/vfio/devices/" in link:
                return True
    return False


def take(stream: vfiocore.Events, kind: EventKind) -> vfiocore.Event:
    """The next event of a kind; none of the others is waited for longer than for it."""
    deadline = time.monotonic() + 60
    while True:
        event = stream.wait(max(deadline - time.monotonic(), 0))
        if event.kind is kind:
            return event


def kinds_until_silence(stream: vfiocore.Events) -> list[EventKind]:
    kinds = []
    while True:
        try:
            kinds.append(stream.wait(0.3).kind)
        except vfiocore.WaitTimeout:
            return kinds


@both
def test_drivers_come_and_go(lab_machine: Machine) -> None:
    nic0 = lab_machine.device("nic0").bdf
    with vfiocore.events() as stream:
        pci.bind(nic0)
        bound = stream.wait(60)
        pci.unbind(nic0)
        unbound = stream.wait(60)
        change(nic0)
        changed = stream.wait(60)
    assert (bound.kind, bound.name, bound.driver) == (EventKind.BIND, nic0, "vfio-pci")
    assert (unbound.kind, unbound.name, unbound.driver) == (EventKind.UNBIND, nic0, "")
    assert (changed.kind, changed.vendor, changed.device) == (EventKind.CHANGE, 0x8086, 0x10D3)
    assert [bound.sequence, unbound.sequence, changed.sequence] == [1, 2, 3]
    assert bound.time < unbound.time < changed.time < time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@both
def test_messages_of_others_than_the_kernel_are_nothing(lab_machine: Machine) -> None:
    edu = lab_machine.device("edu").bdf
    forged = f"remove@/x\0ACTION=remove\0SUBSYSTEM=pci\0PCI_SLOT_NAME={edu}\0".encode()
    with (
        vfiocore.events() as stream,
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) as stranger,
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) as witness,
    ):
        witness.bind((0, 1))
        witness.settimeout(60)
        stranger.sendto(forged, (0, 1))  # the group of the kernel's messages; root may
        assert witness.recv(4096) == forged
        change(edu)
        assert stream.wait(60).kind is EventKind.CHANGE


@both
def test_what_was_lost_is_told(lab_machine: Machine) -> None:
    edu = lab_machine.device("edu").bdf
    with vfiocore.events(buffer=4096) as stream:
        for _ in range(200):
            change(edu)
        kinds = kinds_until_silence(stream)
        assert EventKind.LOST in kinds
        assert 1 <= kinds.count(EventKind.CHANGE) < 200
        change(edu)
        assert stream.wait(60).kind is EventKind.CHANGE


@both
def test_a_clock_that_is_set_is_no_sleep() -> None:
    now = time.clock_gettime(time.CLOCK_REALTIME)
    with vfiocore.events() as stream:
        for ahead in (3600, -3600, 0):
            time.clock_settime(time.CLOCK_REALTIME, now + ahead)
            assert select.select([stream], [], [], 5)[0]  # looked at, and found to be nothing
            with pytest.raises(vfiocore.WaitTimeout):
                stream.wait(0.1)


@both
@pytest.mark.parametrize("transport", ["group", "default"])
def test_unbind_returns_when_the_device_is_released(nic0: str, transport: str) -> None:
    """Under traffic, with memory mapped and a thread that waits: nobody hangs, nobody crashes."""
    way = None if transport == "default" else transport
    with vfiocore.open(nic0, transport=way) as device:
        buffer = device.iommu.alloc(4096)
        device.release_on_request()
        with device.nic() as nic:
            nic.wait_link(60)
            sent = 0

            def send() -> None:
                nonlocal sent
                while True:
                    nic.send(b"\xff" * 12 + b"\x88\xb5" + bytes(46))
                    sent += 1

            failures: list[BaseException] = []

            def run(what: Callable[[], object]) -> None:
                try:
                    what()
                except vfiocore.VfioError as error:
                    failures.append(error)

            threads = [threading.Thread(target=run, args=(what,)) for what in (send, nic.recv)]
            for thread in threads:
                thread.start()
            while not sent:
                time.sleep(0.01)
            unbind = write_later(f"{SYSFS}/{nic0}/driver/unbind", nic0)
            assert unbind.wait(60) == 0
            assert not (SYSFS / nic0 / "driver").exists()
            assert device.released
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            assert [type(error) for error in failures] == [vfiocore.DeviceGone] * 2
            with pytest.raises(vfiocore.DeviceGone, match="given back to the host"):
                device.bar(0).read32(0)
        buffer.view()[:4] = b"ours"
        buffer.close()
    pci.bind(nic0)
    with vfiocore.open(nic0) as device, device.nic() as nic:
        assert nic.wait_link(60).up


@pytest.mark.machine("shared")
def test_one_of_a_group_is_released(bound: Callable[[str], str]) -> None:
    """The other goes on; when it is closed, nothing of the group is held any more."""
    pair = [bound("pair0"), bound("pair1")]
    with vfiocore.Iommu() as iommu, vfiocore.open(pair[0], iommu=iommu) as first:
        with vfiocore.open(pair[1], iommu=iommu) as second, iommu.alloc(4096):
            first.release()
            assert iommu.devices == 1
            assert iommu.mapped == 4096
            with iommu.alloc(4096):
                assert second.config.vendor == 0x8086
        group = f"/dev/vfio/{pci.info(pair[0]).iommu_group}"
        os.close(os.open(group, os.O_RDWR))  # which one process at a time can
        assert write_later(f"{SYSFS}/{pair[0]}/driver/unbind", pair[0]).wait(60) == 0
        with pytest.raises(vfiocore.DeviceGone):
            first.bar(0).read32(0)
    pci.bind(pair[0])


@both
def test_a_request_is_seen_and_answered_by_closing(edu: str) -> None:
    device = vfiocore.open(edu)
    with device.events() as stream:
        unbind = write_later(f"{SYSFS}/{edu}/driver/unbind", edu)
        event = stream.wait(60)
        assert (event.kind, event.name, event.released) == (EventKind.REQUEST, edu, False)
        assert unbind.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            unbind.wait(0.2)
    device.close()
    assert unbind.wait(60) == 0


@both
def test_the_command_gives_a_device_back(edu: str) -> None:
    options = ["--json", "--count", "2", "--timeout", "60"]
    command = [sys.executable, "-m", "vfiocore.cli", "events", "--watch", edu, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not has_device(process.pid):
            time.sleep(0.05)
        unbind = write_later(f"{SYSFS}/{edu}/driver/unbind", edu)
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    assert unbind.wait(60) == 0
    assert [(line["kind"], line["name"]) for line in lines] == [("request", edu), ("unbind", edu)]
    assert lines[0]["released"]
    pci.bind(edu)


@both
def test_pulled_and_plugged_in_again(lab_machine: Machine) -> None:
    """The guest's own QEMU takes nic1 away while frames are sent, and brings it back."""
    nic1 = lab_machine.device("nic1").bdf
    pci.bind(nic1)
    with Monitor() as monitor, vfiocore.events() as stream:
        with vfiocore.open(nic1) as device:
            stream.watch(device, release=True)
            with device.nic() as nic:
                nic.wait_link(60)
                monitor.command("device_del", id="nic1")
                kinds = []
                while EventKind.REMOVE not in kinds:
                    try:
                        kinds.append(stream.wait(0.01).kind)
                    except vfiocore.WaitTimeout:
                        if not device.released:
                            nic.send(b"\xff" * 12 + b"\x88\xb5" + bytes(46))
                assert kinds == [EventKind.REQUEST, EventKind.UNBIND, EventKind.REMOVE]
                assert monitor.wait("DEVICE_DELETED")["data"]["device"] == "nic1"
                with pytest.raises(vfiocore.DeviceGone):
                    nic.recv(60)
        with pytest.raises(vfiocore.WaitTimeout):
            pci.wait_for(nic1, 0.05)

        found: list[pci.PciInfo] = []
        waiting = threading.Thread(target=lambda: found.append(pci.wait_for(nic1, 20)))
        waiting.start()
        words = dict(word.split("=") for word in lab_machine.device("nic1").qemu.split(",")[1:])
        monitor.command("device_add", driver="e1000e", **words)
        waiting.join()
        assert found[0].name == nic1
        assert take(stream, EventKind.ADD).name == nic1
        pci.bind(nic1)
        with vfiocore.open(nic1) as device, device.nic() as nic:
            assert nic.wait_link(60).up
    pci.unbind(nic1)


@both
def test_the_cable_is_pulled(nic0: str) -> None:
    with Monitor() as monitor, vfiocore.open(nic0) as device, device.nic() as nic:
        for up in (True, False, True):
            monitor.command("set_link", name="nic0", up=up)
            deadline = time.monotonic() + 60
            while nic.link.up is not up and time.monotonic() < deadline:
                time.sleep(0.01)
            assert nic.link.up is up


@both
def test_asyncio(edu: str) -> None:
    async def kinds(device: vfiocore.Device) -> list[EventKind]:
        found: list[EventKind] = []
        with device.events() as stream:
            asyncio.get_running_loop().call_later(0.05, change, edu)
            async for event in stream:
                found.append(event.kind)
                if len(found) < 3:
                    change(edu)
                else:
                    stream.close()
        return found

    with vfiocore.open(edu) as device:
        assert asyncio.run(kinds(device)) == [EventKind.CHANGE] * 3


@both
def test_the_cable_is_pulled_while_one_receives(nic0: str) -> None:
    """A receiver waits on: the next frame is its own, once there is a cable again."""
    with Monitor() as monitor, vfiocore.open(nic0) as device, device.nic() as nic:

        def receive() -> None:
            while nic.recv(60)[12:14] != b"\x08\x06":  # ARP's answer; others may come before
                pass

        nic.wait_link(60)
        receiver = threading.Thread(target=receive)
        receiver.start()
        monitor.command("set_link", name="nic0", up=False)
        deadline = time.monotonic() + 60
        while nic.link.up:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert receiver.is_alive()
        monitor.command("set_link", name="nic0", up=True)
        assert nic.wait_link(60).up
        asks = bytes.fromhex(ARP) + bytes(18)
        while receiver.is_alive():
            assert time.monotonic() < deadline
            nic.send(b"\xff" * 6 + nic.mac_bytes + asks)  # the user network answers
            receiver.join(0.1)


SERR = 0x100  # Command register bit 8
REPORTING = 0xF  # Device Control bits 0 to 3 (PCI Express Base 5.0, 7.5.3.4)
EXPRESS_CONTROL = 0x8


def report_errors(device: vfiocore.Device) -> None:
    """QEMU's virtio devices report by AER only with these set; the kernel's drivers set them."""
    config = device.config
    config.command |= SERR
    express = config.find(0x10)
    assert express is not None
    control = express.offset + EXPRESS_CONTROL
    config.write16(control, config.read16(control) | REPORTING)


@pytest.mark.machine("width")
def test_errors_are_told_by_name(bound: Callable[[str], str]) -> None:
    virtio = bound("virtio")
    with Monitor() as monitor, vfiocore.open(virtio) as device, device.events() as stream:
        report_errors(device)
        for code, name, fatal in [
            ("COMP_ABORT", "Completer Abort", False),
            ("POISON_TLP", "Poisoned TLP Received", False),
            ("DLP", "Data Link Protocol Error", True),
        ]:
            report_errors(device)
            monitor.human(f"pcie_aer_inject_error virtio {code}")
            event = take(stream, EventKind.ERROR)
            assert event.name == virtio
            assert event.driver == "vfio-pci"
            assert name + (" (fatal)" if fatal else "") in event.detail, event
        monitor.human("pcie_aer_inject_error virtio RCVR")  # correctable: VFIO tells nobody
        assert EventKind.ERROR not in kinds_until_silence(stream)
        assert device.config.vendor == 0x1AF4


AER_INJECT = Path("/dev/aer_inject")
NON_FATAL = {"Completer Abort": 1 << 15, "Poisoned TLP Received": 1 << 12}  # PCIe 5.0, 7.8.4.2


def inject(bdf: str, status: int) -> None:
    """An uncorrectable error of a device that emulates none, by the kernel's driver for that."""
    domain, bus, slot = bdf.split(":")
    device, function = slot.split(".")
    place = bytes(int(part, 16) for part in (bus, device, function))
    AER_INJECT.write_bytes(struct.pack("<3sx7I", place, status, 0, 0, 0, 0, 0, int(domain, 16)))


@pytest.mark.machine("iommufd")
def test_errors_of_a_nic_in_traffic(nic0: str) -> None:
    """They are told, and frames go on: nobody but the driver decides what becomes of its device."""
    with vfiocore.open(nic0) as device, device.nic() as nic, device.events() as stream:
        nic.wait_link(60)
        for name, status in NON_FATAL.items():
            nic.send(b"\xff" * 12 + b"\x88\xb5" + bytes(46))
            inject(nic0, status)
            event = take(stream, EventKind.ERROR)
            assert (event.name, event.driver) == (nic0, "vfio-pci")
            assert name in event.detail, event
            assert "(fatal)" not in event.detail
            sent = nic.stats.tx_frames
            nic.send(b"\xff" * 12 + b"\x88\xb5" + bytes(46))
            deadline = time.monotonic() + 60
            while nic.stats.tx_frames == sent:
                assert time.monotonic() < deadline
                time.sleep(0.01)
