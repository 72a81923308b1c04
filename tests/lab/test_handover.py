# SPDX-License-Identifier: MIT
"""A device that two processes use: sent over a socket, in one address space."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import vfiocore

TESTS = Path(__file__).parents[1]
BUILD = TESTS.parent / "build"
PAGE = mmap.PAGESIZE
ROUNDS = 8  # edu takes a tenth of a second to copy

ANY = [
    pytest.param("group", marks=pytest.mark.machine("intel", "iommufd")),
    pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
    pytest.param("compat", marks=pytest.mark.machine("iommufd")),
]

# What both processes do: registers one at a time, mappings whenever they like.
WORK = """
import fcntl, mmap, os, sys
sys.path[:0] = [sys.argv[3]]
from edu_engine import HIGHEST, Edu, copies

def work(device, lock, seed, rounds):
    edu, kept, places = Edu(device), [], set()
    with open(lock, "r+b") as registers:
        for round in range(rounds):
            memory = mmap.mmap(-1, 4096 * (1 + (seed + round) % 3))
            mapping = device.iommu.map(memory, highest=HIGHEST)
            text = bytes([seed, round]) * 32
            memory[:64] = text
            fcntl.flock(registers, fcntl.LOCK_EX)
            copies(edu, mapping.iova, mapping.iova + 2048)
            fcntl.flock(registers, fcntl.LOCK_UN)
            assert memory[2048:2112] == text, (seed, round)
            kept.append(mapping)
            places.add(mapping.iova)
            if round % 3 == 2:
                kept.pop(0).close()
    return places
"""

CHILD = (
    WORK
    + """
import socket, vfiocore
from contextlib import suppress
peer = socket.socket(fileno=int(sys.argv[1]))
with vfiocore.receive(peer, timeout=60) as device:
    peer.sendall(b"open")
    peer.recv(1)
    places = work(device, sys.argv[2], 7, int(sys.argv[4]))
    print(device.name, device.transport, device.shared, len(places), flush=True)
    peer.sendall(b"done")
    peer.recv(1)
    work(device, sys.argv[2], 8, 3)
print(os.geteuid(), vfiocore.__version__)
"""
)


@contextmanager
def ordinary(user: int, *words: str, fd: socket.socket) -> Iterator[subprocess.Popen[str]]:
    """A program of a user who may open no node."""
    child = subprocess.Popen(
        words,
        pass_fds=[fd.fileno()],
        user=user,
        group=user,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    fd.close()
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def lock(tmp_path: Path) -> str:
    """Who has it writes to registers."""
    path = tmp_path / "registers"
    path.touch()
    path.chmod(0o666)
    for folder in path.parents:
        folder.chmod(folder.stat().st_mode | 0o555)
    return str(path)


def work_here(device: vfiocore.Device, lock: str, seed: int) -> set[int]:
    space: dict[str, Callable[..., set[int]]] = {}
    argv, sys.argv = sys.argv, ["", "", "", str(TESTS / "conformance")]
    try:
        exec(WORK, space)
    finally:
        sys.argv = argv
    return space["work"](device, lock, seed, ROUNDS)


@pytest.mark.parametrize("transport", ANY)
def test_two_processes_do_dma(edu: str, ordinary_user: int, lock: str, transport: str) -> None:
    """Concurrently, each in memory of its own; and the second goes on when the first has left."""
    ours, theirs = socket.socketpair()
    words = [sys.executable, "-c", CHILD, str(theirs.fileno()), lock, str(TESTS / "conformance")]
    with ours, ordinary(ordinary_user, *words, str(ROUNDS), fd=theirs) as child:
        with vfiocore.open(edu, transport=transport) as device:
            before = device.iommu.alloc(PAGE)
            assert not device.shared
            device.send(ours)
            assert device.shared
            assert ours.recv(4) == b"open", child.communicate()[1]
            ours.sendall(b"!")
            places = work_here(device, lock, 3)
            assert ours.recv(4) == b"done", child.communicate()[1]
            assert len(places) > 1
            assert before.iova not in places
            before.close()
        ours.sendall(b"!")  # the device is closed here
        out, err = child.communicate(timeout=60)
    first, last = out.splitlines()
    assert first.split()[:3] == [edu, transport, "True"], err
    assert last == f"{ordinary_user} {vfiocore.__version__}"
    assert child.returncode == 0
    with vfiocore.open(edu) as device:  # nobody has it
        assert not device.bus_master


@pytest.mark.parametrize("transport", ANY)
def test_the_first_goes_on_when_the_second_has_left(edu: str, lock: str, transport: str) -> None:
    """Both in one process, for the library knows no difference."""
    ours, theirs = socket.socketpair()
    with ours, theirs, vfiocore.open(edu, transport=transport) as device:
        kept = device.iommu.map(mmap.mmap(-1, PAGE))
        device.send(ours)
        with vfiocore.receive(theirs, timeout=60) as other:
            assert (other.name, other.transport, other.shared) == (edu, transport, True)
            # Each chooses the first place that there is.
            mappings = [other.iommu.map(mmap.mmap(-1, PAGE)) for _ in range(20)]
            assert kept.iova not in [mapping.iova for mapping in mappings]
            with pytest.raises(vfiocore.IovaError):
                other.iommu.map(mmap.mmap(-1, PAGE), iova=kept.iova)
            with pytest.raises(vfiocore.IovaError):
                other.iommu.unmap(kept.iova, PAGE)
            theirs_too = {mapping.iova for mapping in mappings}
        # What it mapped, and no more, went with it.
        work_here(device, lock, 5)
        for iova in sorted(theirs_too):
            device.iommu.map(mmap.mmap(-1, PAGE), iova=iova + (1 << 30))
        assert device.bus_master


@pytest.mark.parametrize("transport", ANY)
def test_places_are_found_among_others_mappings(edu: str, transport: str) -> None:
    """Also in pieces, of a file, in a batch, and below an address."""
    ours, theirs = socket.socketpair()
    with ours, theirs, vfiocore.open(edu, transport=transport) as device:
        device.send(ours)
        taken = set()
        for _ in range(300):
            taken.add(device.iommu.map(mmap.mmap(-1, PAGE)).iova)
        with vfiocore.receive(theirs, timeout=60) as other:
            space = other.iommu
            low = space.map(mmap.mmap(-1, PAGE), highest=(2 << 20) + 4095)
            told: list[int] = []
            pieces = space.map(
                mmap.mmap(-1, 4 * PAGE), progress=lambda done, _: bool(told.append(done))
            )
            batch = space.map_batch([mmap.mmap(-1, PAGE) for _ in range(5)])
            fd = os.memfd_create("file")
            os.ftruncate(fd, PAGE)
            file = space.map_file(fd, 0, PAGE)
            os.close(fd)
            for mapping in (low, pieces, file):
                assert not taken & set(range(mapping.iova, mapping.iova + mapping.length, PAGE))
            assert told[-1] == 4 * PAGE
            assert not taken & set(batch)


@pytest.mark.machine("iommufd")
def test_a_copy_finds_a_place(edu: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, vfiocore.open(edu, transport="cdev") as device, ExitStack() as stack:
        device.send(ours)
        for _ in range(10):
            device.iommu.map(mmap.mmap(-1, PAGE))
        other = stack.enter_context(vfiocore.receive(theirs, timeout=60))
        source = other.iommu.map(mmap.mmap(-1, PAGE), iova=1 << 30)
        copies = [other.iommu.copy(other.iommu, source.iova, PAGE) for _ in range(3)]
        assert len({copy.iova for copy in copies}) == 3


@pytest.mark.machine("intel", "iommufd")
def test_several_devices_of_one_space(bound: Callable[[str], str]) -> None:
    """Their space comes with each, and is opened once."""
    names = [bound("edu"), bound("nic0")]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, vfiocore.Iommu() as space, ExitStack() as stack:
        for name in names:
            stack.enter_context(vfiocore.open(name, iommu=space)).send(ours)
        first = stack.enter_context(vfiocore.receive(theirs))
        with vfiocore.receive(theirs, iommu=first.iommu) as second:
            assert [first.name, second.name] == names
            assert first.iommu is second.iommu
            assert first.iommu.devices == 2
            first.iommu.map(mmap.mmap(-1, PAGE))


@pytest.mark.parametrize("transport", ANY)
def test_a_process_that_is_killed(edu: str, ordinary_user: int, lock: str, transport: str) -> None:
    """What it mapped stays in the way until all have closed; the other is not disturbed."""
    ours, theirs = socket.socketpair()
    script = """
import mmap, os, socket, sys, vfiocore
peer = socket.socket(fileno=int(sys.argv[1]))
device = vfiocore.receive(peer)
print(device.iommu.map(mmap.mmap(-1, 4096)).iova, flush=True)
peer.recv(1)
"""
    words = [sys.executable, "-c", script, str(theirs.fileno())]
    with (
        ours,
        ordinary(ordinary_user, *words, fd=theirs) as child,
        vfiocore.open(edu, transport=transport) as device,
    ):
        device.send(ours)
        assert child.stdout
        iova = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
        with pytest.raises(vfiocore.IovaError):
            device.iommu.map(mmap.mmap(-1, PAGE), iova=iova)
        work_here(device, lock, 9)
    with vfiocore.open(edu, transport=transport) as device:
        device.iommu.map(mmap.mmap(-1, PAGE), iova=iova)


@pytest.mark.machine("intel", "iommufd")
def test_nothing_is_left_of_what_was_refused(edu: str, nic0: str) -> None:
    """Descriptors of the wrong devices and spaces, and of the right ones in the wrong order."""
    with vfiocore.open(edu) as device, vfiocore.open(nic0) as other:
        descriptor = device.fileno()
        space = device.iommu.fileno()
        ioas = device.iommu.iommufd[1] if device.transport == "cdev" else 0
        before = sorted(os.listdir("/proc/self/fd"))
        for fds, name, number in (
            ([descriptor, space], edu, ioas),
            ([space, space], edu, ioas),
            ([descriptor, descriptor], edu, ioas),
            ([space, other.iommu.fileno()], edu, ioas),
            ([space, descriptor], "nonsense", ioas),
            ([space, descriptor], edu, 77),
        ):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                text = b"vfiocore 1\0\0" + number.to_bytes(4, sys.byteorder)
                text += device.transport.encode().ljust(16, b"\0") + name.encode().ljust(64, b"\0")
                socket.send_fds(ours, [text], fds)
                with pytest.raises(vfiocore.InvalidArgument):
                    vfiocore.receive(theirs)
            assert sorted(os.listdir("/proc/self/fd")) == before
        assert not device.shared
        device.iommu.map(mmap.mmap(-1, PAGE))


@pytest.mark.machine("intel", "iommufd")
def test_a_device_that_was_given_back(edu: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, vfiocore.open(edu) as device:
        device.release()
        with pytest.raises(vfiocore.DeviceGone):
            device.send(ours)
        with pytest.raises(vfiocore.DeviceGone):
            device.fileno()


@pytest.mark.machine("noiommu")
def test_nobody_gets_all_memory_by_accident(lab_machine: object, edu: str) -> None:
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        vfiocore.open(edu, transport="noiommu") as device,
        pytest.raises(vfiocore.Unsupported, match="hands no device over"),
    ):
        device.send(ours)


@pytest.mark.machine("intel", "iommufd")
@pytest.mark.parametrize("language", ["c", "python"])
def test_the_examples(edu: str, ordinary_user: int, tmp_path: Path, language: str) -> None:
    """One gives, as root; the other needs no right to open anything."""
    examples = TESTS.parent / "examples"
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        folder.chmod(folder.stat().st_mode | 0o555)
    path = tmp_path / "socket"
    give = [sys.executable, str(examples / "give.py"), edu, str(path), str(ordinary_user)]
    words = [str(BUILD / "tests/lab/receive")]
    if language == "python":
        words = [sys.executable, str(examples / "receive.py")]
    with subprocess.Popen(give, stdout=subprocess.PIPE, text=True) as giver:
        assert giver.stdout
        assert giver.stdout.readline() == f"{edu} waits at {path}\n"
        result = subprocess.run(
            [*words, str(path)],
            check=False,
            user=ordinary_user,
            group=ordinary_user,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=60,
        )
        giver.communicate(timeout=60)
    assert result.stdout.startswith(f"{edu}: [1234:11e8]"), result.stderr
    assert (result.returncode, giver.returncode) == (0, 0)
