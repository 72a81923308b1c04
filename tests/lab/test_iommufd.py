# SPDX-License-Identifier: MIT
"""iommufd's own objects on a real kernel, with an emulated VT-d.

Without a device: test_iommufd_itself.py; without an IOMMU: test_iommufd_noiommu.py; what QEMU's
IOMMUs do not do: test_iommufd_mock.py and test_ioas_mock.py.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import in_child

import vfiocore
from vfiocore import pci
from vfiocore.iommufd import HwCapability, HwType, Ioas, IommuFd, attach, bind, detach
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("iommufd")

PAGE = mmap.PAGESIZE
RECEIVE_ADDRESS = 0x5400  # in e1000e's BAR 0: its MAC address (82574 datasheet, chapter 10)
MSI_FIRST, MSI_LAST = 0xFEE00000, 0xFEEFFFFF

# Where VFIO's PCI driver has its regions on the device's descriptor, and PCI's Command register.
CONFIG = 7 << 40
COMMAND, MEMORY, BUS_MASTER = CONFIG + 4, 1 << 1, 1 << 2

# VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_DMA_BUF (include/uapi/linux/vfio.h)
FEATURE, FEATURE_GET, FEATURE_DMA_BUF = 0x3B75, 1 << 16, 11


class Opened:
    """A device's character device; `id` is its id once it was bound."""

    def __init__(self, node: str) -> None:
        self.fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        self.id = 0

    def fileno(self) -> int:
        return self.fd

    def command(self, on: int, off: int = 0) -> None:
        """Set and clear bits of the Command register."""
        value = int.from_bytes(os.pread(self.fd, 2, COMMAND), "little")
        os.pwrite(self.fd, (value & ~off | on).to_bytes(2, "little"), COMMAND)


@pytest.fixture
def opened(bound: Callable[[str], str], iommufd: IommuFd) -> Iterator[Callable[[str], Opened]]:
    """Open a device of the machine by its short name, not bound to the iommufd yet."""
    devices: list[Opened] = []

    def open_(short: str) -> Opened:
        device = Opened(f"/dev/vfio/devices/{pci.info(bound(short)).vfio_cdev}")
        devices.append(device)
        return device

    yield open_
    for device in devices:
        os.close(device.fd)


@pytest.fixture
def edu(opened: Callable[[str], Opened], iommufd: IommuFd) -> Opened:
    """The device edu, bound to the iommufd."""
    device = opened("edu")
    device.id = bind(device, iommufd)
    return device


@pytest.fixture
def attached(edu: Opened, ioas: Ioas) -> Iterator[Opened]:
    """The device edu, at the address space."""
    attach(edu, ioas)
    yield edu
    detach(edu)


def copy_by_edu(device: Opened, source: int, destination: int) -> None:
    """Have edu copy 256 bytes from IOVA to IOVA, by its own buffer (QEMU docs/specs/edu.rst)."""
    inside = 0x40000
    device.command(BUS_MASTER | MEMORY)
    for at, to, command in ((source, inside, 1), (inside, destination, 3)):
        for register, value in ((0x80, at), (0x88, to), (0x90, 256), (0x98, command)):
            os.pwrite(device.fd, value.to_bytes(8, "little"), register)
        end = time.monotonic() + 60
        while os.pread(device.fd, 8, 0x98)[0] & 1:
            assert time.monotonic() < end, "edu's DMA does not end"
            time.sleep(0.01)


def memory(pages: int = 1) -> mmap.mmap:
    return mmap.mmap(-1, pages * PAGE)


def test_huge_pages_are_chosen_before_memory_is_mapped(
    iommufd: IommuFd, ioas: Ioas, edu: Opened
) -> None:
    assert ioas.huge_pages is True
    ioas.huge_pages = False
    assert ioas.huge_pages is False
    ioas.huge_pages = True
    attach(edu, ioas)
    ioas.map(memory(2))
    with pytest.raises(vfiocore.InvalidArgument, match="once memory is mapped"):
        ioas.huge_pages = False
    detach(edu)


# Address spaces.


def test_windows_of_the_iommu(ioas: Ioas, attached: Opened) -> None:
    (low, high) = ioas.ranges
    assert low == (0, MSI_FIRST - 1)
    assert high == (MSI_LAST + 1, 2**48 - 1)
    assert ioas.alignment == PAGE
    detach(attached)
    assert ioas.ranges == [(0, 2**64 - 1)]


def test_allowed_iovas_and_a_device(ioas: Ioas, edu: Opened) -> None:
    ioas.allow([(MSI_FIRST - 0x1000, MSI_FIRST + 0xFFF)])
    with pytest.raises(vfiocore.IovaError, match="IOVAs that this device cannot use") as caught:
        attach(edu, ioas)
    assert caught.value.errno == errno.EADDRINUSE
    ioas.allow([(0x10000, 0x1FFFF)])
    attach(edu, ioas)
    with pytest.raises(vfiocore.IovaError, match="attached device cannot use"):
        ioas.allow([(MSI_FIRST, MSI_LAST)])
    with pytest.raises(vfiocore.OutOfIova, match="no free range"):
        ioas.map(memory(17))
    assert 0x10000 <= ioas.map(memory(16)) <= 0x1F000
    detach(edu)


def test_mapping_and_dma(ioas: Ioas, attached: Opened) -> None:
    source, destination = memory(), memory()
    source[:256] = bytes(range(256))
    low = ioas.map(source, iova=0x100000, write=False)
    copy_by_edu(attached, low, ioas.map(destination, iova=0x200000))
    assert destination[:256] == bytes(range(256))
    assert ioas.unmap(0x100000, 0x101000) == 2 * PAGE


@pytest.mark.parametrize(
    ("where", "what", "says"),
    [
        ((MSI_FIRST, PAGE), vfiocore.IovaError, "not within the IOVAs"),
        ((2**48, PAGE), vfiocore.IovaError, "not within the IOVAs"),
        ((0x1010, PAGE), vfiocore.Misaligned, "multiples of 4096"),
        ((0x1000, PAGE - 1), vfiocore.Misaligned, "multiples of 4096"),
        ((0x1000, 0), vfiocore.InvalidArgument, "length is 0"),
        ((2**64 - PAGE, 2 * PAGE), vfiocore.IovaError, "past the end"),
        ((0x8000, PAGE), vfiocore.IovaError, "mapped there already"),
    ],
)
def test_mappings_that_are_refused(
    ioas: Ioas, attached: Opened, where: tuple[int, int], what: type[Exception], says: str
) -> None:
    ioas.map(memory(), iova=0x8000)
    with pytest.raises(what, match=says):
        ioas.map_address(0, where[1], iova=where[0])
    assert ioas.unmap_all() == PAGE


def test_memory_that_is_refused(ioas: Ioas, attached: Opened) -> None:
    with pytest.raises(vfiocore.BadMemory, match="not mapped in this process"):
        ioas.map_address(0, PAGE)
    with pytest.raises(vfiocore.InvalidArgument, match="neither read nor write"):
        ioas.map(memory(), read=False, write=False)
    bar = mmap.mmap(attached.fd, PAGE)  # edu's BAR 0
    with pytest.raises(vfiocore.BadMemory, match="map_file"):
        ioas.map(bar)
    bar.close()
    assert ioas.unmap_all() == 0


def test_the_locked_memory_limit(ioas: Ioas, attached: Opened, ordinary_user: int) -> None:
    """Of an ordinary user: who has CAP_IPC_LOCK has none."""

    def map_too_much() -> None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (16 * PAGE, 16 * PAGE))
        ioas.map(memory(8))
        with pytest.raises(vfiocore.MemlockLimit, match="the limit is 64 KiB: raise it") as caught:
            ioas.map(memory(16))
        assert "64 KiB locked memory beside 32 KiB" in str(caught.value)
        ioas.map(memory(8))
        assert ioas.unmap_all() == 16 * PAGE

    in_child(map_too_much, ordinary_user)


def test_copies_between_spaces(iommufd: IommuFd, ioas: Ioas, attached: Opened) -> None:
    buffer = memory(4)
    buffer[:256] = bytes(reversed(range(256)))
    iova = ioas.map(buffer)
    other = iommufd.ioas()
    there = other.copy(ioas, iova, 4 * PAGE, iova=0x400000)
    assert there == 0x400000
    assert ioas.unmap(iova, 4 * PAGE) == 4 * PAGE
    attach(attached, other)
    copy_by_edu(attached, there, there + PAGE)
    assert buffer[PAGE : PAGE + 256] == buffer[:256]
    with pytest.raises(vfiocore.IovaError, match="not all of the source is mapped"):
        other.copy(ioas, iova, PAGE)
    with pytest.raises(vfiocore.IovaError, match="does not exist"):
        other.copy(12345, iova, PAGE)
    readable = ioas.map(memory(), write=False)
    with pytest.raises(vfiocore.PermissionDenied, match="mapped for reading only"):
        other.copy(ioas, readable, PAGE)
    assert other.copy(ioas, readable, PAGE, write=False) >= 0
    detach(attached)


# Files.


def memfd(pages: int) -> int:
    fd = os.memfd_create("vfiocore-test")
    os.truncate(fd, pages * PAGE)
    return fd


def test_a_memfd(ioas: Ioas, attached: Opened) -> None:
    fd = memfd(4)
    os.pwrite(fd, bytes(range(256)), PAGE)
    iova = ioas.map_file(fd, 2 * PAGE, start=PAGE, iova=0x300000)
    copy_by_edu(attached, iova, iova + PAGE)
    assert os.pread(fd, 256, 2 * PAGE) == bytes(range(256))
    os.close(fd)
    copy_by_edu(attached, iova, iova + PAGE)  # it is kept as long as it is mapped
    assert ioas.unmap(iova, 2 * PAGE) == 2 * PAGE
    with pytest.raises(vfiocore.InvalidArgument, match=r"descriptor \d+ or \d+ is closed"):
        ioas.map_file(fd, PAGE)
    with open(__file__, "rb") as plain, pytest.raises(vfiocore.BadMemory, match="memfd"):
        ioas.map_file(plain.fileno(), PAGE, write=False)


def dma_buf(device: Opened, region: int, length: int) -> int:
    """A descriptor for the first bytes of a region."""
    head = struct.pack("=2I", 8 + 32, FEATURE_GET | FEATURE_DMA_BUF)
    body = struct.pack("=4I2Q", region, os.O_RDWR | os.O_CLOEXEC, 0, 1, 0, length)
    return fcntl.ioctl(device.fd, FEATURE, bytearray(head + body))


def test_a_bar_as_a_dma_buf(
    iommufd: IommuFd, ioas: Ioas, attached: Opened, opened: Callable[[str], Opened]
) -> None:
    """One device reaches the other's registers: edu reads those of a NIC."""
    nic = opened("nic0")
    bind(nic, iommufd)
    nic.command(MEMORY)
    size = 0x20000  # e1000e's BAR 0
    fd = dma_buf(nic, 0, size)
    iova = ioas.map_file(fd, size)
    buffer = memory()
    copy_by_edu(attached, iova + RECEIVE_ADDRESS, ioas.map(buffer, iova=0x600000))
    assert buffer[:6] == os.pread(nic.fd, 6, RECEIVE_ADDRESS) == bytes.fromhex("525400766600")
    assert ioas.unmap_all() == size + PAGE
    nic.command(0, MEMORY)
    with pytest.raises(vfiocore.VfioError, match="does not decode memory") as caught:
        ioas.map_file(fd, size)
    assert caught.value.errno == errno.ENODEV
    nic.command(MEMORY)
    assert ioas.unmap(ioas.map_file(fd, size), size) == size
    os.close(fd)


def pinned(pid: int | str = "self") -> int:
    """Bytes that count as pinned by a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmPin:")[1].split()[0]) * 1024


def test_changing_the_process(
    iommufd: IommuFd, ioas: Ioas, attached: Opened, ordinary_user: int
) -> None:
    """From an ordinary user's process to its child and back: what root pins is not counted."""

    def take_over() -> None:
        iommufd.change_process()
        assert (pinned(), pinned(os.getppid())) == (16 * PAGE, 0)

    def hand_over() -> None:
        fd = memfd(16)
        ioas.map_file(fd, 16 * PAGE)
        assert pinned() == 16 * PAGE
        in_child(take_over)
        assert pinned() == 0
        iommufd.change_process()
        assert pinned() == 16 * PAGE
        assert ioas.unmap_all() == 16 * PAGE
        assert pinned() == 0

    in_child(hand_over, ordinary_user)


# The hardware.


def test_hardware_info(iommufd: IommuFd, edu: Opened) -> None:
    info = iommufd.hw_info(edu.id)
    assert info.type is HwType.INTEL_VTD
    assert HwCapability.DIRTY_TRACKING not in info.capabilities
    folder = Path("/sys/class/iommu/dmar0/intel-iommu")
    registers = {name: int((folder / name).read_text(), 16) for name in ("cap", "ecap")}
    assert info.registers == registers
    assert iommufd.hw_info(edu.id, HwType.INTEL_VTD) == info
    with pytest.raises(vfiocore.Unsupported, match="no info of the type"):
        iommufd.hw_info(edu.id, HwType.AMD)


def test_a_page_table_and_dma(iommufd: IommuFd, ioas: Ioas, edu: Opened) -> None:
    buffer = memory(2)
    buffer[:256] = bytes(range(256))
    with iommufd.hwpt(edu.id, ioas) as table:
        assert attach(edu, table) == table.id
        iova = ioas.map(buffer, iova=0x500000)
        copy_by_edu(edu, iova, iova + PAGE)
        assert buffer[PAGE : PAGE + 256] == buffer[:256]
        with pytest.raises(vfiocore.DeviceBusy, match="detach devices"):
            table.close()
        with pytest.raises(vfiocore.DeviceBusy, match=f"object {ioas.id}"):
            ioas.close()
        assert attach(edu, ioas) != table.id  # in its place: one that the kernel makes
        table.close()
        detach(edu)
        detach(edu)


def test_a_page_table_with_a_fault_queue(iommufd: IommuFd, ioas: Ioas, edu: Opened) -> None:
    with iommufd.fault_queue() as faults:
        assert faults.read() == []
        assert not faults.wait(0.01)
        with iommufd.hwpt(edu.id, ioas, faults=faults), pytest.raises(vfiocore.DeviceBusy):
            iommufd.destroy(faults.id)


def test_a_page_table_for_pasids(iommufd: IommuFd, ioas: Ioas, edu: Opened) -> None:
    """VT-d's driver takes PASIDs of a device that has none: what they do is not to be seen."""
    with (
        iommufd.hwpt(edu.id, ioas, pasid=True) as table,
        iommufd.hwpt(edu.id, ioas, pasid=True) as other,
    ):
        assert iommufd.hw_info(edu.id).pasid_bits == 0
        attach(edu, table)
        assert attach(edu, other, pasid=5) == other.id
        with pytest.raises(vfiocore.DeviceBusy):
            other.close()
        assert attach(edu, table, pasid=5) == table.id
        other.close()
        detach(edu, pasid=5)
        detach(edu, pasid=5)
        with pytest.raises(vfiocore.OutOfRange, match="20 bits"):
            attach(edu, table, pasid=1 << 20)
        detach(edu)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dirty_tracking": True}, "cannot track what devices write"),
        ({"nest_parent": True}, "cannot nest page tables"),
        ({"kind": 1, "data": bytes(24)}, "nested page tables of that data type"),
    ],
)
def test_what_this_iommu_cannot_do(
    iommufd: IommuFd, ioas: Ioas, edu: Opened, options: dict[str, object], says: str
) -> None:
    with pytest.raises(vfiocore.Unsupported, match=says) as caught:
        iommufd.hwpt(edu.id, ioas, **options)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert caught.value.call == "IOMMU_HWPT_ALLOC"


def test_memory_that_is_gone_when_it_is_pinned(iommufd: IommuFd, ioas: Ioas, edu: Opened) -> None:
    """Without a page table nothing is pinned: who makes one hears of bad memory."""
    ioas.map_address(PAGE, PAGE)
    with pytest.raises(vfiocore.BadMemory, match="address space maps"):
        iommufd.hwpt(edu.id, ioas)
    with pytest.raises(vfiocore.BadMemory, match="not mapped in this process any more"):
        attach(edu, ioas)


def test_physical_addresses_are_not_for_devices_behind_an_iommu(
    ioas: Ioas, attached: Opened
) -> None:
    iova = ioas.map(memory())
    with pytest.raises(vfiocore.Unsupported, match="an IOMMU translates here"):
        ioas.physical(iova, PAGE)


# Devices.


def test_binding(iommufd: IommuFd, ioas: Ioas, opened: Callable[[str], Opened]) -> None:
    device = opened("edu")
    with pytest.raises(vfiocore.InvalidArgument, match="is not bound"):
        attach(device, ioas)
    with pytest.raises(vfiocore.InvalidArgument, match="16 bytes"):
        bind(device, iommufd, token=b"short")
    with pytest.raises(vfiocore.InvalidArgument, match="a token was given"):
        bind(device, iommufd, token=bytes(16))
    identity = bind(device, iommufd)
    assert identity > 0
    with pytest.raises(vfiocore.InvalidArgument, match="bound already"):
        bind(device, iommufd)
    with pytest.raises(vfiocore.VfioError, match="no such address space or page table"):
        attach(device, 12345)
    with pytest.raises(vfiocore.DeviceBusy):
        iommufd.destroy(identity)
    with IommuFd() as other, pytest.raises(vfiocore.InvalidArgument):
        bind(device, other)


def test_a_device_that_is_open_elsewhere(
    iommufd: IommuFd, opened: Callable[[str], Opened], lab_machine: Machine
) -> None:
    device = opened("edu")
    with (
        vfiocore.open(lab_machine.device("edu").bdf, transport="group"),
        pytest.raises(vfiocore.DeviceBusy, match="open elsewhere"),
    ):
        bind(device, iommufd)


def test_beside_the_librarys_own_space(lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """The library's iommufd and device, through the verbs of this module."""
    from vfiocore._native.loader import lib

    bdf = bound("edu")
    with vfiocore.open(bdf, transport="cdev") as device:
        ioas, identity = ctypes.c_uint32(), ctypes.c_uint32()
        fd = lib.vfc_iommu_iommufd(device.iommu._native(), ctypes.byref(ioas))
        assert lib.vfc_device_iommufd_id(device._native(), ctypes.byref(identity)) == 0
        with IommuFd(fd) as iommufd:
            assert iommufd.hw_info(identity.value).type is HwType.INTEL_VTD
            space = iommufd.ioas(ioas.value)
            with device.iommu.alloc(PAGE) as buffer, iommufd.ioas() as other:
                assert other.copy(space, buffer.iova, PAGE) >= 0
            assert space.ranges == device.iommu.ranges
        device.iommu.alloc(PAGE).close()
