# SPDX-License-Identifier: MIT
"""Descriptors that somebody else opened: passed to an ordinary user, refused, and given back."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import vfiocore
from vfiocore import pci

PROGRAM = Path(__file__).parents[2] / "build" / "tests" / "lab" / "adopt"
PAGE = mmap.PAGESIZE

# linux/vfio.h, linux/iommufd.h
SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD = 0x3B66, 0x3B68, 0x3B6A
BIND_IOMMUFD = 0x3B76
TYPE1V2 = 3

SCRIPT = """
import os, socket, sys, time, vfiocore
message, fds, _, _ = socket.recv_fds(socket.socket(fileno=int(sys.argv[1])), 100, 2)
with (
    vfiocore.Iommu.adopt(fds[0]) as iommu,
    vfiocore.adopt(fds[1], message.decode().rstrip("\\0") or None, iommu=iommu) as device,
    iommu.alloc(8192, highest=0xfffffff) as memory,
):
    device.bus_master = True
    memory[:4096] = b"\\x5a" * 4096
    edu = device.bar(0)
    for registers in ((memory.iova, 0x40000, 2048, 1), (0x40000, memory.iova + 4096, 2048, 3)):
        for offset, value in zip((0x80, 0x88, 0x90, 0x98), registers):
            edu.write64(offset, value)
        end = time.monotonic() + 60
        while edu.read64(0x98) & 1:
            assert time.monotonic() < end
    assert memory[4096:6144] == b"\x5a" * 2048
    for fd in os.listdir("/proc/self/fd"):
        path = os.path.realpath(f"/proc/self/fd/{fd}")
        assert not ("vfio" in path or "iommu" in path) or not os.get_inheritable(int(fd))
    print(device.name, device.transport, os.geteuid())
"""


class Helper:
    """Who may open the nodes: its descriptors, which it closes at the end."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def open(self, path: str) -> int:
        fd = os.open(path, os.O_RDWR)
        self._fds.append(fd)
        return fd

    def give(self, fd: int) -> int:
        """One to be adopted, and closed by whoever does."""
        return os.dup(fd)

    def cdev(self, name: str) -> int:
        return self.open(f"/dev/vfio/devices/{pci.info(name).vfio_cdev}")

    def bind(self, device: int, iommufd: int) -> int:
        answer = fcntl.ioctl(device, BIND_IOMMUFD, struct.pack("IIiIQ", 24, 0, iommufd, 0, 0))
        return int(struct.unpack("IIiIQ", answer)[3])

    def attach_group(self, name: str, container: int) -> int:
        group = self.open(f"/dev/vfio/{pci.info(name).iommu_group}")
        fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
        return group

    def device_of(self, name: str, group: int) -> int:
        fd = fcntl.ioctl(group, GET_DEVICE_FD, bytearray(name.encode() + b"\0"))
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


@pytest.fixture
def helper(bound: Callable[[str], str]) -> Iterator[Helper]:
    """Closed before the devices are unbound."""
    helper = Helper()
    yield helper
    helper.close()


def by_cdev(helper: Helper, name: str) -> tuple[int, int]:
    return helper.open("/dev/iommu"), helper.cdev(name)


def by_cdev_bound(helper: Helper, name: str) -> tuple[int, int]:
    iommufd, device = by_cdev(helper, name)
    helper.bind(device, iommufd)
    return iommufd, device


def by_group(helper: Helper, name: str) -> tuple[int, int]:
    container = helper.open("/dev/vfio/vfio")
    group = helper.attach_group(name, container)
    fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    return container, helper.device_of(name, group)


Way = Callable[[Helper, str], tuple[int, int]]
ANY = pytest.mark.machine("intel", "iommufd")
IOMMUFD = pytest.mark.machine("iommufd")
WAYS = [
    pytest.param((by_cdev, "cdev", ""), id="cdev", marks=IOMMUFD),
    pytest.param((by_cdev_bound, "cdev", ""), id="cdev bound", marks=IOMMUFD),
    pytest.param((by_group, "group", ""), id="group", marks=IOMMUFD),
    pytest.param((by_group, "group", "named"), id="group named", marks=ANY),
]


@pytest.mark.parametrize("language", ["c", "python"])
@pytest.mark.parametrize("how", WAYS)
def test_an_ordinary_user_gets_a_device(
    helper: Helper, edu: str, ordinary_user: int, language: str, how: tuple[Way, str, str]
) -> None:
    """Their process may open no node, and does DMA."""
    way, transport, named = how
    words = [str(PROGRAM)] if language == "c" else [sys.executable, "-c", SCRIPT]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = subprocess.Popen(
            [*words, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            user=ordinary_user,
            group=ordinary_user,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        name = edu.encode() if named else b"\0"
        socket.send_fds(ours, [name], list(way(helper, edu)))
        out, err = child.communicate(timeout=60)
    assert (out, child.returncode) == (f"{edu} {transport} {ordinary_user}\n", 0), err


@pytest.mark.parametrize("how", WAYS)
def test_what_is_given_back(helper: Helper, edu: str, how: tuple[Way, str, str]) -> None:
    """The helper keeps its descriptors: nothing of ours may be left in them."""
    way, transport, _ = how
    space, device = way(helper, edu)
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with (
            vfiocore.Iommu.adopt(helper.give(space)) as iommu,
            vfiocore.adopt(helper.give(device), edu, iommu=iommu) as adopted,
        ):
            assert (adopted.name, adopted.transport) == (edu, transport)
            iommu.map(mmap.mmap(-1, PAGE), iova=0x100000)
        assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("how", WAYS)
def test_what_is_released_is_the_helpers(
    helper: Helper, edu: str, how: tuple[Way, str, str]
) -> None:
    """The duplicate is closed, the device leaves our spaces, and can be adopted again."""
    way, transport, _ = how
    space, device = way(helper, edu)
    with vfiocore.Iommu.adopt(helper.give(space)) as iommu:
        for _ in range(2):
            with vfiocore.adopt(helper.give(device), edu, iommu=iommu) as adopted:
                mapping = iommu.map(mmap.mmap(-1, PAGE), iova=0x100000)
                adopted.release()
                assert adopted.released
                assert iommu.devices == 0
                with pytest.raises(vfiocore.DeviceGone):
                    adopted.bar(0).read32(0)
                mapping.close()
                with (
                    vfiocore.adopt(helper.give(device), edu, iommu=iommu) as again,
                    iommu.alloc(PAGE, iova=0x100000),
                ):
                    assert again.transport == transport
                    assert again.bar(0).read32(0) & 0xFF == 0xED
    helper.close()
    pci.unbind(edu)
    pci.bind(edu)


@ANY
def test_other_kinds_of_descriptors(helper: Helper, edu: str) -> None:
    container = helper.open("/dev/vfio/vfio")
    group = helper.attach_group(edu, container)
    fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    device = helper.device_of(edu, group)
    zero = helper.open("/dev/zero")
    with ExitStack() as stack:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        space = "an address space is /dev/iommu or /dev/vfio/vfio"
        for fd, says in (
            (group, "a group"),
            (device, "a device's"),
            (zero, "zero"),
            (reader, "pipe"),
        ):
            with pytest.raises(vfiocore.InvalidArgument, match=f"{says}.*: {space}"):
                vfiocore.Iommu.adopt(fd)
            os.fstat(fd)
        with vfiocore.Iommu.adopt(helper.give(container)) as iommu:
            for fd in (group, container, zero, reader):
                with pytest.raises(
                    vfiocore.InvalidArgument, match="wanted is a device's, of VFIO_"
                ):
                    vfiocore.adopt(fd, edu, iommu=iommu)
                os.fstat(fd)
            with pytest.raises(
                vfiocore.InvalidArgument, match="the container that its group is in"
            ):
                vfiocore.adopt(device, edu)
            with pytest.raises(vfiocore.InvalidArgument, match="not a PCI address"):
                vfiocore.adopt(device, "eth0", iommu=iommu)
            # It was none of these calls' to close.
            vfiocore.adopt(helper.give(device), edu, iommu=iommu).close()
    with pytest.raises(vfiocore.InvalidArgument, match="not what the named transport uses"):
        vfiocore.Iommu.adopt(container, transport="cdev")
    with pytest.raises(vfiocore.InvalidArgument, match="not what the named transport uses"):
        vfiocore.Iommu.adopt(container, transport="fake")


@ANY
def test_closed_descriptors(helper: Helper) -> None:
    fd = os.dup(0)
    os.close(fd)
    for number in (fd, -1):
        with pytest.raises(
            vfiocore.InvalidArgument, match=f"descriptor {number} is not open"
        ) as bad:
            vfiocore.Iommu.adopt(number)
        assert bad.value.errno == errno.EBADF
        with pytest.raises(vfiocore.InvalidArgument, match="is not open"):
            vfiocore.adopt(number)


@pytest.mark.machine("intel")
def test_a_kernel_that_does_not_tell_the_name(helper: Helper, edu: str) -> None:
    container, device = by_group(helper, edu)
    with (
        vfiocore.Iommu.adopt(helper.give(container)) as iommu,
        pytest.raises(vfiocore.InvalidArgument, match="pass its name"),
    ):
        vfiocore.adopt(device, iommu=iommu)


@IOMMUFD
@pytest.mark.parametrize("way", [by_cdev, by_group])
def test_another_device_than_named(helper: Helper, edu: str, nic0: str, way: Way) -> None:
    space, device = way(helper, edu)
    with vfiocore.Iommu.adopt(helper.give(space)) as iommu:
        with pytest.raises(vfiocore.InvalidArgument, match=f"the descriptor is of {edu}"):
            vfiocore.adopt(device, nic0, iommu=iommu)
        vfiocore.adopt(helper.give(device), iommu=iommu).close()


@ANY
def test_a_container_without_groups(helper: Helper, edu: str) -> None:
    _, device = by_group(helper, edu)
    empty = helper.open("/dev/vfio/vfio")
    with (
        vfiocore.Iommu.adopt(helper.give(empty)) as iommu,
        pytest.raises(vfiocore.InvalidArgument, match="no group is attached to the container"),
    ):
        vfiocore.adopt(device, edu, iommu=iommu)


@ANY
def test_an_empty_container_is_an_address_space(helper: Helper, edu: str) -> None:
    """The type is set when the first device is opened."""
    with (
        vfiocore.Iommu.adopt(helper.give(helper.open("/dev/vfio/vfio"))) as iommu,
        vfiocore.open(edu, iommu=iommu) as device,
        iommu.alloc(PAGE),
    ):
        assert device.transport == "group"


@IOMMUFD
@pytest.mark.parametrize("stranger", [False, True])
def test_bound_to_another_iommufd(helper: Helper, edu: str, nic0: str, stranger: bool) -> None:
    """Ids of one mean something else in the other; it stays where the helper attached it."""
    here, there = helper.open("/dev/iommu"), helper.open("/dev/iommu")
    device = helper.cdev(edu)
    helper.bind(device, there)
    if stranger:
        helper.bind(helper.cdev(nic0), here)
    with (
        vfiocore.Iommu.adopt(helper.give(here)) as iommu,
        pytest.raises(vfiocore.InvalidArgument, match="bound to another iommufd"),
    ):
        vfiocore.adopt(device, iommu=iommu)
    with (
        vfiocore.Iommu.adopt(helper.give(there)) as iommu,
        vfiocore.adopt(helper.give(device), iommu=iommu),
        iommu.alloc(PAGE),
    ):
        pass


@IOMMUFD
def test_open_elsewhere(helper: Helper, edu: str) -> None:
    space, first = by_cdev_bound(helper, edu)
    second = helper.cdev(edu)
    with vfiocore.Iommu.adopt(helper.give(space)) as iommu:
        with pytest.raises(vfiocore.DeviceBusy, match="open already"):
            vfiocore.adopt(second, iommu=iommu)
        vfiocore.adopt(helper.give(first), iommu=iommu).close()


@IOMMUFD
def test_with_a_space_of_its_own(helper: Helper, edu: str) -> None:
    with vfiocore.adopt(helper.give(helper.cdev(edu))) as device, device.iommu.alloc(PAGE):
        assert (device.name, device.transport) == (edu, "cdev")


@IOMMUFD
def test_a_container_that_iommufd_plays(helper: Helper, edu: str) -> None:
    container = helper.open("/dev/iommu")
    group = helper.attach_group(edu, container)
    fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    device = helper.device_of(edu, group)
    with (
        vfiocore.Iommu.adopt(helper.give(container), transport="compat") as iommu,
        vfiocore.adopt(helper.give(device), iommu=iommu) as adopted,
        iommu.alloc(PAGE),
    ):
        assert (adopted.name, adopted.transport) == (edu, "compat")


@ANY
def test_mappings_outlive_the_adopted_device(helper: Helper, edu: str) -> None:
    """Its descriptor holds the group in the container, when the helper's are gone."""
    container, device = by_group(helper, edu)
    space, fd = helper.give(container), helper.give(device)
    helper.close()
    with vfiocore.Iommu.adopt(space) as iommu:
        with vfiocore.adopt(fd, edu, iommu=iommu):
            mapping = iommu.map(mmap.mmap(-1, PAGE))
        mapping.close()
    with vfiocore.open(edu, transport="group"):
        pass
