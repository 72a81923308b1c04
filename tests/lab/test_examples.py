# SPDX-License-Identifier: MIT
"""Every program of examples/ runs, on a device that the kernel drives no more."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frames import BROADCAST, frame
from interfaces import kernel_interface, raw_socket

import vfiocore
from vfiocore.lab.machines import Machine
from vfiocore.lab.monitor import Monitor

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "tests" / "lab"

# Program, device, its words behind the device, what it prints.
RUNS = [
    ("edu.c", "edu", (), "2048 bytes went there and back at IOVA 0x"),
    ("edu.py", "edu", (), "2048 bytes went there and back at IOVA 0x"),
    ("identify.c", "edu", (), "[1234:11e8] by "),
    ("registers.py", "nic0", (), "as it should, this fails: "),
    ("ping.py", "nic0", (), "52:54:00:76:66:00 leased 10.0.2."),
    ("nvme", "nvme", ("identify",), "serial: vfiocore\n"),
]
# One machine of each kernel.
MACHINES = {
    "edu": ("intel", "iommufd", "width"),
    "nic0": ("intel", "iommufd"),
    "nvme": ("width", "width-built"),
}
# A giver and a taker: tests/lab/test_handover.py runs them together.
TOGETHER = {"give.py", "receive.c", "receive.py"}
# They run until they are stopped, between network interfaces: the tests below.
NETWORK = {"forward.c", "pcap.c"}
SIZES = (*range(60, 1515, 37), 1514)
SOURCE = b"\x02" * 6


@pytest.mark.parametrize(
    ("program", "device", "words", "says"),
    [pytest.param(*run, marks=pytest.mark.machine(*MACHINES[run[1]]), id=run[0]) for run in RUNS],
)
def test_it_runs(
    bound: Callable[[str], str], program: str, device: str, words: tuple[str, ...], says: str
) -> None:
    command = [str(BUILD / program.removesuffix(".c"))]
    if program.endswith(".py"):
        command = [sys.executable, str(ROOT / "examples" / program)]
    done = subprocess.run(
        [*command, bound(device), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout
    if device == "edu" and program != "identify.c":
        assert "10! is 3628800\n" in done.stdout


@pytest.mark.machine("intel", "width")
def test_none_is_left_out() -> None:
    there = {path.name for path in (ROOT / "examples").iterdir() if path.name != "__pycache__"}
    assert there == {run[0] for run in RUNS} | TOGETHER | NETWORK


@contextmanager
def running(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """One of the programs that run until they are stopped."""
    with subprocess.Popen(
        [str(BUILD / program), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # does nothing where it has ended


def says(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The next line that a program prints, which must look like this."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(pattern + "\n", line)
    assert match, line + process.stdout.read()
    return match


def interrupt(process: subprocess.Popen[str]) -> list[str]:
    """Ctrl-C: what it prints at its end, and that it is content."""
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[0].splitlines()
    assert process.returncode == 0, said
    return said


def usable(*names: str) -> None:
    """A program that ends leaves a device that answers, and that does no DMA."""
    for name in names:
        with vfiocore.open(name) as device:
            assert not device.config.command & 4
            with device.nic() as nic:
                nic.wait_link(60)


@pytest.mark.machine("wires")
@pytest.mark.lab_timeout(120)
def test_forward(lab_machine: Machine, bound: Callable[[str], str]) -> None:
    """The kernel has an interface at each far end: frames of each size come out at the other."""
    left, right = bound("nic0"), bound("virtio1")
    with (
        kernel_interface(lab_machine.device("virtio0").bdf, "virtio-pci") as first,
        kernel_interface(lab_machine.device("nic1").bdf, "e1000e") as second,
        raw_socket(first) as here,
        raw_socket(second) as there,
        running("forward", left, right) as process,
    ):
        says(process, "forwarding; Ctrl-C ends it")
        for number, size in enumerate(SIZES):
            for source, to in ((here, there), (there, here)):
                sent = frame(BROADCAST, SOURCE, number, size)
                source.send(sent)
                assert to.recv(2000) == sent
        rate = r"\S+ -> \S+: \d+ frames/s, \d+\.\d{3} Mbit/s; \d+ frames, 0 dropped"
        says(process, rate)
        says(process, rate)
        said = interrupt(process)
        ways = (f"{left} -> {right}: ", f"{right} -> {left}: ")
        for line, way in zip(said[-2:], ways, strict=True):
            assert line.startswith(way), said
            assert line.endswith(f"; {len(SIZES)} frames, 0 dropped"), said
    usable(left, right)


def frames_of(capture: Path) -> list[str]:
    """The length of each frame in a file, its type, and its first bytes, as tshark reads it."""
    words = ["tshark", "-r", str(capture), "-Y", "eth.type == 0x88b5", "-T", "fields"]
    words += ["-e", "frame.len", "-e", "eth.src", "-e", "data.data"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def as_read(number: int, size: int) -> str:
    return f"{size}\t02:02:02:02:02:02\t{frame(BROADCAST, SOURCE, number, size)[14:].hex()}"


@pytest.mark.parametrize(
    ("peer", "driver"),
    [
        pytest.param("virtio0", "virtio-pci", marks=pytest.mark.machine("wires")),
        pytest.param("nic1", "e1000e", marks=pytest.mark.machine("intel")),
    ],
)
@pytest.mark.lab_timeout(120)
def test_pcap(
    peer: str, driver: str, lab_machine: Machine, bound: Callable[[str], str], tmp_path: Path
) -> None:
    """tshark finds every frame, whole and in order; Ctrl-C ends the capture, or its number does."""
    bdf, capture = bound("nic0"), tmp_path / "frames.pcap"
    with (
        kernel_interface(lab_machine.device(peer).bdf, driver) as interface,
        raw_socket(interface) as wire,
    ):
        with running("pcap", bdf, str(capture)) as process:
            says(process, "capturing; Ctrl-C ends it")
            for number, size in enumerate(SIZES):
                wire.send(frame(BROADCAST, SOURCE, number, size))
            while len(frames_of(capture)) < len(SIZES):
                assert process.poll() is None
            (end,) = interrupt(process)
            assert re.fullmatch(r"\d+ frames captured, 0 missed", end)
        assert frames_of(capture) == [as_read(*pair) for pair in enumerate(SIZES)]
        with running("pcap", bdf, str(capture), "3") as process:
            says(process, "capturing; Ctrl-C ends it")
            for number in range(5):
                wire.send(frame(BROADCAST, SOURCE, number, 60))
            says(process, "3 frames captured, 0 missed")
            assert process.wait(20) == 0
    usable(bdf)


def refused(program: str, *words: str) -> str:
    """What a program says that does not get as far as its work."""
    done = subprocess.run(
        [str(BUILD / program), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if words else 2), done.stdout + done.stderr
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.machine("intel")
@pytest.mark.parametrize("program", ["forward", "pcap"])
def test_what_does_not_work_is_said(
    program: str, bound: Callable[[str], str], tmp_path: Path
) -> None:
    nic0, edu = bound("nic0"), bound("edu")
    other = bound("nic1") if program == "forward" else str(tmp_path / "frames.pcap")
    assert refused(program).startswith("usage: ")
    assert "0000:1f:00.0" in refused(program, "0000:1f:00.0", other)
    assert "no driver here is for 1234:11e8" in refused(program, edu, other)
    with Monitor() as monitor:
        monitor.command("set_link", name="nic0", up=False)
        try:
            said = refused(program, nic0, other)
        finally:
            monitor.command("set_link", name="nic0", up=True)
    assert nic0 in said
    assert said.endswith("the link is down: is the cable plugged in?")
    usable(nic0)


@pytest.mark.machine("intel")
def test_a_file_that_cannot_be_written(bound: Callable[[str], str]) -> None:
    nic0 = bound("nic0")
    assert refused("pcap", nic0, "/nowhere/frames.pcap") == (
        "pcap: /nowhere/frames.pcap: No such file or directory"
    )
    usable(nic0)
