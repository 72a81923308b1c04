# SPDX-License-Identifier: MIT
"""No IOMMU: what a device is told is where memory really is, in both of the kernel's ways."""

from __future__ import annotations

import mmap
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore import cli, pci
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("noiommu")

TRANSPORTS = ["noiommu", "noiommu-group"]
MODE = Path("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")
HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
PAGE = mmap.PAGESIZE
SIZE = 256
SOURCE, DESTINATION, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98  # QEMU docs/specs/edu.rst
START, TO_MEMORY, INSIDE = 1, 2, 0x40000
ETHERTYPE = b"\x88\xb5"  # for local experiments (IEEE 802)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def device(edu: str, transport: str, huge: None) -> Iterator[vfiocore.Device]:
    with vfiocore.open(edu, transport=transport) as device:
        assert device.transport == transport
        yield device


def copy(device: vfiocore.Device, source: int, destination: int, command: int) -> None:
    for register, value in ((SOURCE, source), (DESTINATION, destination), (COUNT, SIZE)):
        device.bar(0).write64(register, value)
    device.bar(0).write64(COMMAND, command | START)
    end = time.monotonic() + 60
    while device.bar(0).read64(COMMAND) & START:
        assert time.monotonic() < end, "edu's DMA does not end"
        time.sleep(0.01)


def locked() -> int:
    found = re.search(r"VmLck:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def test_memory_to_memory(device: vfiocore.Device) -> None:
    device.bus_master = True
    with device.iommu.alloc(PAGE) as page, device.iommu.alloc(1 << 20) as buffer:
        pattern = bytes(range(SIZE))
        page[:SIZE] = pattern
        copy(device, page.iova, INSIDE, 0)
        far = (1 << 20) - SIZE
        copy(device, INSIDE, buffer.iova + far, TO_MEMORY)
        assert buffer[far : far + SIZE] == pattern
        assert buffer[:far] == bytes(far)


def test_what_the_space_says(device: vfiocore.Device) -> None:
    assert device.iommu.physical
    memory = mmap.mmap(-1, PAGE)
    with pytest.raises(vfiocore.Unsupported, match="no IOMMU translates"):
        device.iommu.map(memory, iova=0x100000)
    with pytest.raises(vfiocore.OutOfIova, match="no IOMMU can move it"):
        device.iommu.map(memory, highest=0xFFF)
    with pytest.raises(vfiocore.OutOfIova, match="not aligned"):
        device.iommu.map(memory, align=1 << 40)
    with device.iommu.map(memory), pytest.raises(vfiocore.IovaError, match="one address"):
        device.iommu.map(memory)
    assert device.iommu.mappings == 0


def test_memory_in_pieces_is_refused(device: vfiocore.Device) -> None:
    """Two neighbours here that got their pages at different times, with others in between."""
    memory = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    other = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    other.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(64):
        memory[(page * 37 % 64) * PAGE] = 1
        other[page * PAGE] = 1
    before = locked()
    with pytest.raises(vfiocore.BadMemory, match=r"only the first .* KiB.*huge page"):
        device.iommu.map(memory)
    assert (device.iommu.mappings, locked()) == (0, before)


def test_too_few_huge_pages(device: vfiocore.Device) -> None:
    HUGE.write_text("0")
    with pytest.raises(vfiocore.VfioError, match="hugepages-2048kB/nr_hugepages"):
        device.iommu.alloc(2 * PAGE)
    # A ring fits into a page, the pool of packet buffers does not.
    device.iommu.alloc(PAGE).close()


def test_unmap_lets_go_of_the_memory(edu: str, huge: None) -> None:
    before = locked()
    with vfiocore.open(edu, transport="noiommu-group") as device:
        buffer = device.iommu.alloc(PAGE)
        assert locked() == before + PAGE // 1024
        buffer.close()
        assert locked() == before
        device.iommu.map(mmap.mmap(-1, PAGE))
        assert locked() == before + PAGE // 1024
    assert locked() == before


def test_frames_both_ways(
    nic0: str, transport: str, huge: None, kernel_nic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFIOCORE_TRANSPORT", transport)
    with (
        vfiocore.open(nic0) as device,
        device.nic() as nic,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as peer,
    ):
        assert device.transport == transport
        peer.bind((kernel_nic, 0x88B5))
        peer.settimeout(60)
        nic.wait_link(60)
        for number in range(32):
            ours = (b"\xff" * 6 + nic.mac_bytes + ETHERTYPE + bytes([number])).ljust(1000, b"\x5a")
            nic.send(ours)
            assert peer.recv(2000) == ours
            theirs = (nic.mac_bytes + b"\2" * 6 + ETHERTYPE + bytes([number])).ljust(1500, b"\xa5")
            peer.send(theirs)
            got = nic.recv(60)
            while got[12:14] != ETHERTYPE:
                got = nic.recv(60)
            assert got == theirs


@pytest.mark.parametrize("named", [None, "cdev", "group"])
def test_never_silently(edu: str, named: str | None) -> None:
    with pytest.raises(vfiocore.NoIommu, match='unsafe: the transport "noiommu" does that'):
        vfiocore.open(edu, transport=named)


def test_the_mode_is_off(lab_machine: Machine, transport: str) -> None:
    name = lab_machine.device("edu").bdf
    MODE.write_text("N")
    try:
        with pytest.raises(vfiocore.NoIommu):
            pci.bind(name)
        with pytest.raises(vfiocore.Unsupported, match=f"the mode is off.*{MODE}"):
            vfiocore.open(name, transport=transport)
        with pytest.raises(vfiocore.NoIommu) as refusal:
            vfiocore.open(name)
        assert "noiommu" not in str(refusal.value)
    finally:
        MODE.write_text("Y")
    with pytest.raises(vfiocore.NoDriver, match="vfio bind"):
        vfiocore.open(name, transport=transport)


WITHOUT = """
import ctypes, sys, vfiocore
name, transport, lost, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)

def lose():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[lost // 32 * 3] &= ~(1 << lost % 32)
    assert libc.capset(header, sets) == 0

if when == "before":
    lose()
try:
    with vfiocore.open(name, transport=transport) as device:
        lose()
        device.iommu.alloc(4096)
except vfiocore.PermissionDenied as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("transport", "capability", "when", "says"),
    [
        ("noiommu", 17, "before", "for CAP_SYS_RAWIO only"),
        ("noiommu-group", 17, "before", "for CAP_SYS_RAWIO only"),
        ("noiommu", 17, "after", "physical addresses are for CAP_SYS_RAWIO only"),
        ("noiommu-group", 21, "after", "physical addresses are for CAP_SYS_ADMIN only"),
    ],
)
def test_without_a_capability(
    edu: str, transport: str, capability: int, when: str, says: str
) -> None:
    words = [sys.executable, "-c", WITHOUT, edu, transport, str(capability), when]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert says in done.stdout, done.stdout + done.stderr


def test_the_command(
    edu: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["info", edu]) == 0
    out = capsys.readouterr().out
    assert "VFIOCORE_TRANSPORT=noiommu" in out
    monkeypatch.setenv("VFIOCORE_TRANSPORT", "noiommu")
    assert cli.main(["info", edu]) == 0
    assert "by the transport noiommu" in capsys.readouterr().out


Bind = Callable[[str], str]


def test_two_devices_share_a_space(bound: Bind, transport: str, huge: None) -> None:
    first, second = bound("edu"), bound("nic0")
    with (
        vfiocore.Iommu(transport) as iommu,
        vfiocore.open(first, iommu=iommu) as device,
        iommu.alloc(PAGE) as buffer,
        vfiocore.open(second, iommu=iommu) as other,
    ):
        assert device.group != other.group
        device.bus_master = True
        buffer[:SIZE] = b"\x3c" * SIZE
        copy(device, buffer.iova, INSIDE, 0)
        assert iommu.devices == 2
