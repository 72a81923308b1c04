# SPDX-License-Identifier: MIT
"""iommufd's objects without a kernel that has it; what they do is in tests/lab."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest

import vfiocore
from vfiocore import iommufd as module
from vfiocore.iommufd import EventQueue, FaultQueue, HwInfo, HwType, Ioas, IommuFd


@pytest.fixture
def fake() -> Iterator[IommuFd]:
    """On a descriptor that is no iommufd."""
    fd = os.open("/dev/null", os.O_RDWR)
    yield IommuFd(fd)
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """What is written comes out as from a queue's descriptor, which never blocks."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


def test_a_descriptor_that_is_something_else(fake: IommuFd) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match="is not one of /dev/iommu") as caught:
        fake.ioas()
    assert caught.value.errno == errno.ENOTTY
    assert caught.value.call == "IOMMU_IOAS_ALLOC"
    with pytest.raises(vfiocore.Unsupported, match="/dev/vfio/devices/vfioN"):
        module.attach(fake.fileno(), 1)
    with pytest.raises(vfiocore.Unsupported, match=r"Linux 6\.6"):
        module.bind(fake.fileno(), fake)
    assert fake._objects == []


def test_a_lent_descriptor_stays_open(fake: IommuFd) -> None:
    fd = fake.fileno()
    space = fake.ioas(7)
    assert repr(fake) == f"<IommuFd, descriptor {fd}: [<Ioas 7>]>"
    with fake:
        pass
    os.fstat(fd)
    fake.close()
    assert fake.closed
    assert repr(fake) == "<IommuFd, closed>"
    assert (space.closed, repr(space)) == (True, "<Ioas 7, closed>")
    for use in (fake.fileno, space.unmap_all, fake.__enter__, space.__enter__):
        with pytest.raises(vfiocore.ClosedError):
            use()


def test_an_object_that_cannot_be_destroyed_stays_open(fake: IommuFd) -> None:
    thing = Ioas(fake, 3)
    with pytest.raises(vfiocore.VfioError):
        thing.close()
    assert not thing.closed
    with pytest.raises(vfiocore.VfioError):
        fake.close()
    assert not fake.closed


def test_numbers_that_do_not_fit(fake: IommuFd) -> None:
    space = fake.ioas(1)
    for call in (
        lambda: fake.destroy(1 << 32),
        lambda: fake.ioas(-1),
        lambda: space.map_address(1 << 64, 4096),
        lambda: space.map_address(0, -1),
        lambda: space.allow([(0, 1 << 64)]),
        lambda: space.unmap(1 << 64, 1),
        lambda: module.attach(1, 1, pasid=-1),
        lambda: module.attach(1, 1, pasid=1 << 31),
        lambda: module.attach(1 << 31, 1),
        lambda: fake.hw_info(-1),
        lambda: module.bind(1, fake, token=bytes(15)),
    ):
        with pytest.raises(vfiocore.InvalidArgument):
            call()
    with pytest.raises(TypeError):
        fake.destroy("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        space.map(b"cannot be written")


def test_a_map_that_fails_lets_go_of_the_buffer(fake: IommuFd) -> None:
    buffer = bytearray(4096)
    with pytest.raises(vfiocore.VfioError):
        fake.ioas(1).map(buffer)
    buffer.clear()  # which an export would refuse


def test_faults(fake: IommuFd, pipe: tuple[int, int]) -> None:
    queue = FaultQueue(fake, 1, pipe[0])
    assert queue.fileno() == pipe[0]
    assert not queue.wait(0)
    assert queue.read() == []
    os.write(pipe[1], struct.pack("=6IQ2I", 3, 7, 5, 9, 2, 0, 0x1000, 64, 11))
    assert queue.wait(60)
    (fault,) = queue.read()
    assert (fault.device, fault.pasid, fault.group, fault.last) == (7, 5, 9, True)
    assert (fault.address, fault.length, fault.cookie) == (0x1000, 64, 11)
    assert fault.access is module.FaultAccess.WRITE
    os.write(pipe[1], bytes(41))
    with pytest.raises(vfiocore.Malformed, match="whole records"):
        queue.read()
    answers = FaultQueue(fake, 1, pipe[1])
    answers.respond(fault)
    answers.respond(12, success=False)
    assert os.read(pipe[0], 99) == struct.pack("=4I", 11, 0, 12, 1)
    for timeout in (-1, float("nan")):
        with pytest.raises(vfiocore.InvalidArgument):
            queue.wait(timeout)
    with pytest.raises(vfiocore.InvalidArgument):
        queue.read(0)


def test_events(fake: IommuFd, pipe: tuple[int, int]) -> None:
    queue = EventQueue(fake, 1, pipe[0], 4)
    assert queue.read() == []
    os.write(pipe[1], struct.pack("=2I4s2I4s2I", 0, 0, b"zero", 0, 2, b"two.", 1, 4))
    assert [(event.sequence, event.lost, event.data) for event in queue.read()] == [
        (0, 0, b"zero"),
        (2, 1, b"two."),
        (4, 2, b""),
    ]
    os.write(pipe[1], bytes(9))
    with pytest.raises(vfiocore.Malformed):
        queue.read()
    with pytest.raises(vfiocore.InvalidArgument):
        queue.read(0)


@pytest.mark.parametrize(
    ("kind", "length", "names"),
    [
        (HwType.INTEL_VTD, 24, ["cap", "ecap"]),
        (HwType.ARM_SMMUV3, 40, [*(f"idr{n}" for n in range(6)), "iidr", "aidr"]),
        (HwType.AMD, 16, ["efr", "efr2"]),
        (HwType.TEGRA241_CMDQV, 8, []),
        (12345, 8, []),
    ],
)
def test_registers(kind: HwType | int, length: int, names: list[str]) -> None:
    info = HwInfo(kind, module.HwCapability(0), 0, bytes(range(length)))
    assert list(info.registers) == names
    shorter = HwInfo(kind, module.HwCapability(0), 0, bytes(length - 1))
    assert shorter.registers == {}


def test_registers_are_where_the_kernel_puts_them() -> None:
    data = struct.pack("=2I2Q", 1, 0, 0xC0C0, 0xECEC)
    info = HwInfo(HwType.INTEL_VTD, module.HwCapability(0), 0, data)
    assert info.registers == {"cap": 0xC0C0, "ecap": 0xECEC}
