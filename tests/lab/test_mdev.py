# SPDX-License-Identifier: MIT
"""Devices that are not PCI: mediated ones of kmod-tests' module vfc_device, by each transport."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mdev
import pytest
from mdev import TRANSPORTS, Opener, anywhere

import vfiocore
from vfiocore import DeviceKind, EventKind, bus
from vfiocore.cli import main
from vfiocore.region import RegionFlag

NODE = re.compile(r"\[vfio-device\]|/dev/vfio/")
PARAMETERS = Path("/sys/module/vfc_device/parameters")
PAGE = 4096
RW = RegionFlag.READ | RegionFlag.WRITE

pytestmark = pytest.mark.usefixtures("vfc_device")


@pytest.fixture
def parameter() -> Iterator[Callable[[str, int], None]]:
    """Set a parameter of the module; 0 again after the test."""
    names = set()

    def write(name: str, value: int) -> None:
        names.add(name)
        (PARAMETERS / name).write_text(str(value))

    yield write
    for name in names:
        (PARAMETERS / name).write_text("0")


# --- names --------------------------------------------------------------------------------------


@anywhere
def test_names(parameter: Callable[[str, int], None]) -> None:
    with mdev.created("dma") as name:
        path = str((mdev.DEVICES / name).resolve())
        info = bus.info(name)
        assert (info.name, info.bus, info.driver) == (name, "mdev", "vfc_device")
        assert info.iommu_group >= 0
        assert bus.info(path) == bus.info(f"/sys/bus/mdev/devices/{name}/") == info
        assert name in bus.names()
        for given in (name, path):
            with vfiocore.open(given) as device:
                assert (device.name, device.group) == (name, info.iommu_group)
                assert device.kind is DeviceKind.CCW
                assert device.region(0).read32(mdev.ID).to_bytes(4, "little") == b"VFCD"
    with pytest.raises(vfiocore.NoDevice, match="mediated"):
        vfiocore.open(name)
    with pytest.raises(vfiocore.NoDevice, match="folder in sysfs"):
        vfiocore.open(path)
    assert name not in bus.names()


KINDS = {1: "PCI", 2: "PLATFORM", 3: "AMBA", 4: "CCW", 5: "AP", 6: "FSL_MC", 8: "CDX", 12: "OTHER"}


@anywhere
def test_kinds(parameter: Callable[[str, int], None]) -> None:
    with mdev.created("irqs") as name:
        for bit, kind in KINDS.items():
            parameter("flags", 1 << bit)
            with vfiocore.open(name) as device:
                assert device.kind is DeviceKind[kind]


def test_what_is_pci_s_alone(opened: Opener) -> None:
    device = opened("regions")
    for use in (
        lambda: device.config,
        lambda: device.bars,
        lambda: device.rom,
        lambda: device.bus_master,
        lambda: setattr(device, "bus_master", True),
        device.nic,
        device.low_power,
        device.hot_reset,
    ):
        with pytest.raises(vfiocore.Unsupported) as refused:
            use()
        assert refused.value.hint
    device.reset()


@pytest.mark.parametrize(("number", "raised"), [(errno.EBUSY, "DeviceBusy"), (errno.EPERM, "")])
def test_open_fails(
    opened: Opener, parameter: Callable[[str, int], None], number: int, raised: str
) -> None:
    parameter("open_error", number)
    with pytest.raises(vfiocore.VfioError) as failed:
        opened("dma")
    assert failed.value.errno == number
    assert type(failed.value).__name__ == raised or not raised
    assert failed.value.hint
    parameter("open_error", 0)
    opened("dma")


@anywhere
def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with mdev.created("regions") as name:
        assert main(["list"]) == 0
        row = next(line for line in capsys.readouterr().out.splitlines() if name in line)
        assert row.split()[1:3] == ["mdev", "vfc_device"]
        assert main(["list", "--json"]) == 0
        shown = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
        assert (shown[name]["bus"], shown[name]["state"]) == ("mdev", "ready")
        assert main(["info", name]) == 0
        text = capsys.readouterr().out
        assert "on the bus mdev" in text
        assert "platform device" in text
        assert "edid" in text
        assert main(["info", name, "--json"]) == 0
        about = json.loads(capsys.readouterr().out)
        assert (about["openable"], about["opened"]["kind"]) == (True, "platform")
        assert len(about["opened"]["regions"]) == 11
        assert main(["read", name, "0", "0"]) == 0
        assert capsys.readouterr().out == "0x44434656\n"
        assert main(["bind", name]) == 2
        assert "not a PCI address" in capsys.readouterr().err


# --- regions ------------------------------------------------------------------------------------


def test_regions(opened: Opener) -> None:
    device = opened("regions")
    regions = device.regions
    assert len(regions) == 12
    assert [region.index for region in regions if not region] == [8]
    assert regions[2].name == "edid"
    assert (regions[2].type, regions[2].subtype) == (1, 1)
    assert (regions[9].name, regions[9].type, regions[9].subtype) == ("region 9", 0x80001234, 77)
    assert device.region("EDID") is regions[2]
    assert device.region("region 11") is regions[11]
    with pytest.raises(vfiocore.InvalidArgument, match="there are region 0, region 1, edid"):
        device.region("BAR0")
    with pytest.raises(vfiocore.OutOfRange):
        device.region(12)


def test_widths(opened: Opener) -> None:
    device = opened("regions")
    for index in (1, 2, 5, 7, 9, 10, 11):  # mapped, or through the kernel
        region = device.region(index)
        for width in (1, 2, 4, 8):
            value = 0x1122334455667788 >> (64 - 8 * width)
            region.write(8 * width, width, value)
            assert region.read(8 * width, width) == value
            assert region.read_block(8 * width, width) == value.to_bytes(width, "little")


def test_regions_without_a_right(opened: Opener) -> None:
    device = opened("regions")
    readable, writable, absent = device.region(3), device.region(4), device.region(8)
    assert (readable.flags, writable.flags) == (RegionFlag.READ, RegionFlag.WRITE)
    assert readable.read32(0) == 0
    writable.write32(0, 1)
    for use in (lambda: readable.write32(0, 1), lambda: writable.read32(0)):
        with pytest.raises(vfiocore.VfioError, match="cannot be") as refused:
            use()
        assert refused.value.errno == errno.EACCES
    with pytest.raises(vfiocore.InvalidArgument, match="does not implement region 8"):
        absent.read32(0)


def test_odd_sizes(opened: Opener) -> None:
    device = opened("regions")
    region, small = device.region(5), device.region(6)
    assert (len(region), len(small)) == (0x1804, 3)
    region.write32(0x1800, 0xDEADBEEF)
    assert region.read32(0x1800) == 0xDEADBEEF
    with pytest.raises(vfiocore.OutOfRange):
        region.read64(0x1800)
    small.write_block(0, b"abc")
    assert (small.read8(2), small.read_block(0, 3)) == (ord("c"), b"abc")
    with pytest.raises(vfiocore.OutOfRange):
        small.read32(0)


def test_sparse_mapping(opened: Opener) -> None:
    device = opened("regions")
    sparse, shifted, whole, plain = (device.region(i) for i in (1, 10, 11, 5))
    assert sparse.areas == ((0, 2 * PAGE), (4 * PAGE, 4 * PAGE))
    assert shifted.areas == ((PAGE, PAGE),)  # an area of 0x800-0x2800 has one whole page
    assert whole.areas == ((0, 4 * PAGE),)
    assert (plain.areas, plain.mappable) == ((), False)
    for region in (sparse, shifted):  # also in the hole, and across its ends
        for offset in range(0, len(region), PAGE // 2):
            region.write32(offset, offset)
        for offset in range(0, len(region), PAGE // 2):
            assert region.read32(offset) == offset
            assert region.read_block(offset, 4) == offset.to_bytes(4, "little")
    maps = Path("/proc/self/maps").read_text().splitlines()
    sizes = [
        int(end, 16) - int(start, 16)
        for start, end in (line.split()[0].split("-") for line in maps if NODE.search(line))
    ]
    assert sorted(sizes) == [PAGE, 2 * PAGE, 4 * PAGE]


# --- DMA ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [mdev.COPY, mdev.PINNED_COPY])
def test_copies(opened: Opener, command: int) -> None:
    device = opened("dma")
    with device.iommu.alloc(8 * PAGE) as memory:
        data = os.urandom(3 * PAGE)
        memory[: 3 * PAGE] = data
        assert mdev.dma(device, command, memory.iova, memory.iova + 4 * PAGE, 3 * PAGE) == 0
        assert memory[4 * PAGE : 7 * PAGE] == data
        assert memory[7 * PAGE :] == bytes(PAGE)
        beyond = memory.iova + 8 * PAGE
        assert mdev.dma(device, command, beyond, memory.iova, PAGE) != 0
        assert mdev.dma(device, command, memory.iova, beyond - PAGE, 2 * PAGE) != 0


def test_memory_that_the_device_may_only_read(opened: Opener) -> None:
    device = opened("dma")
    with device.iommu.alloc(PAGE) as memory, device.iommu.alloc(PAGE) as other:
        memory[:5] = b"hello"
        with device.iommu.map(memory.view(), write=False) as only_read:
            assert mdev.dma(device, mdev.COPY, only_read.iova, other.iova, 5) == 0
            assert mdev.dma(device, mdev.COPY, other.iova, only_read.iova, 5) != 0
        assert other[:5] == b"hello"


def test_unmapping_unpins(opened: Opener) -> None:
    device = opened("dma")
    registers = device.region(0)
    first, second = device.iommu.alloc(4 * PAGE), device.iommu.alloc(2 * PAGE)
    assert mdev.dma(device, mdev.PIN, 0, first.iova, 4 * PAGE) == 0
    assert mdev.dma(device, mdev.PIN, 0, second.iova, 2 * PAGE) == 0
    assert registers.read32(mdev.PINNED) == 6
    unmaps = registers.read32(mdev.UNMAPS)
    first.close()
    assert registers.read32(mdev.PINNED) == 2
    assert registers.read32(mdev.UNMAPS) > unmaps
    registers.write32(mdev.COMMAND, mdev.UNPIN)
    assert registers.read32(mdev.PINNED) == 0
    second.close()


@anywhere
def test_dirty_pages() -> None:
    """What the device wrote to, and nothing else: the kernel did it for the device, so it knows."""
    with mdev.created("dma") as name, vfiocore.open(name, transport="group") as device:
        iommu = device.iommu
        with iommu.alloc(64 * PAGE) as memory, iommu.dirty_tracking() as dirty:
            assert dirty.page == PAGE
            assert dirty.read(memory) == []
            pages = [3, 17, 18, 63]
            for page in pages:
                at = memory.iova + page * PAGE
                assert mdev.dma(device, mdev.COPY, memory.iova, at + 100, 8) == 0
            assert dirty.read(memory) == [page * PAGE for page in pages]
            assert dirty.read(memory) == []
            assert mdev.dma(device, mdev.PINNED_COPY, memory.iova, at - PAGE, PAGE) == 0
            assert 62 * PAGE in dirty.read(memory)


def test_two_devices_in_one_space(opened: Opener) -> None:
    one = opened("dma")
    two = opened("dma", iommu=one.iommu)
    assert one.group != two.group
    with one.iommu.alloc(4 * PAGE) as memory:
        memory[:4] = b"ping"
        assert mdev.dma(one, mdev.PINNED_COPY, memory.iova, memory.iova + PAGE, PAGE) == 0
        assert mdev.dma(two, mdev.COPY, memory.iova + PAGE, memory.iova + 2 * PAGE, 4) == 0
        assert memory[2 * PAGE : 2 * PAGE + 4] == b"ping"
        for device in (one, two):
            assert mdev.dma(device, mdev.PIN, 0, memory.iova, PAGE) == 0
    assert [device.region(0).read32(mdev.PINNED) for device in (one, two)] == [0, 0]
    two.close()
    with one.iommu.alloc(PAGE) as memory:
        assert mdev.dma(one, mdev.COPY, memory.iova, memory.iova, PAGE) == 0


@pytest.mark.machine("iommufd")
def test_moving_between_spaces() -> None:
    with mdev.created("dma") as name, vfiocore.open(name, transport="cdev") as device:
        home = device.iommu
        with vfiocore.Iommu(beside=home) as other:
            memory = home.alloc(PAGE)
            assert mdev.dma(device, mdev.PIN, 0, memory.iova, PAGE) == 0
            device.attach(other)
            assert device.region(0).read32(mdev.PINNED) == 0
            with other.alloc(2 * PAGE) as there:
                assert mdev.dma(device, mdev.COPY, there.iova, there.iova + PAGE, 8) == 0
            device.attach(home)
            assert mdev.dma(device, mdev.COPY, memory.iova, memory.iova, 8) == 0
            memory.close()


# --- the end ------------------------------------------------------------------------------------


def test_the_host_wants_it(opened: Opener) -> None:
    device = opened("dma")
    memory = device.iommu.alloc(2 * PAGE)
    assert mdev.dma(device, mdev.PIN, 0, memory.iova, 2 * PAGE) == 0
    irqs = device.irqs("io")
    remove = mdev.DEVICES / device.name / "remove"
    with device.events() as stream:
        writer = subprocess.Popen(["sh", "-c", f"echo 1 > {remove}"])
        event = stream.wait(60)
        assert (event.kind, event.name) == (EventKind.REQUEST, device.name)
        assert writer.poll() is None  # it waits for us
        device.release()
        assert writer.wait(60) == 0
    assert device.released
    assert not remove.exists()
    with pytest.raises(vfiocore.DeviceGone):
        device.region(0).read32(mdev.ID)
    irqs.close()


def test_release_wakes_who_waits(opened: Opener) -> None:
    device = opened("irqs")
    with device.irqs(39) as irqs:
        waiter = threading.Thread(target=lambda: irqs[3].wait(60))
        waiter.start()
        while not irqs._inside:
            time.sleep(0.01)
        device.release()
        waiter.join(60)
        assert not waiter.is_alive()


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
import mdev, vfiocore
device = vfiocore.open(sys.argv[2], transport=sys.argv[3])
memory = device.iommu.alloc(64 * 4096)
assert mdev.dma(device, mdev.PIN, 0, memory.iova, 64 * 4096) == 0
print(device.region(0).read32(mdev.PINNED), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sigkill_leaves_nothing_pinned(transport: str) -> None:
    with mdev.created("dma") as name:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", CHILD, here, name, transport]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout
        assert child.stdout.readline() == "64\n"
        with pytest.raises(vfiocore.DeviceBusy):
            vfiocore.open(name, transport=transport)
        child.kill()
        child.wait()
        child.stdout.close()
        with vfiocore.open(name, transport=transport) as device:
            assert device.region(0).read32(mdev.PINNED) == 0
            assert RW in device.region(0).flags
