# SPDX-License-Identifier: MIT
"""Register accesses of a device that does not answer: an error each, and never a SIGBUS."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vfiocore
from vfiocore import PowerState, pci
from vfiocore.lab.machines import Machine
from vfiocore.lab.monitor import Monitor

pytestmark = pytest.mark.machine("intel", "iommufd")

TRANSPORTS = [
    pytest.param("group", marks=pytest.mark.machine("intel", "iommufd")),
    pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
]

STATUS = 8  # 82574L, section 10.2.2.2
RAL = 0x5400
ACCESSES = 10_000
CONFIG = 7 << 40  # VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_CONFIG_REGION_INDEX)
COMMAND, MEMORY = 4, 2
PMCSR = 0xCC


def descriptor() -> int:
    """The device's own, as a process has it that it was passed to."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # that of the listing itself
            continue
        if "vfio-device" in target or "/dev/vfio/devices/" in target:
            return int(entry.name)
    raise AssertionError("no descriptor of a device is open")


def poke(offset: int, value: int) -> None:
    """Write a word of config space behind the library's back."""
    os.pwrite(descriptor(), struct.pack("<H", value), CONFIG + offset)


def peek(offset: int) -> int:
    (value,) = struct.unpack("<H", os.pread(descriptor(), 2, CONFIG + offset))
    return int(value)


@contextmanager
def again_and_again(what: Callable[[], object]) -> Iterator[None]:
    """In another thread, until the block ends; what fails there fails here."""
    done = threading.Event()
    failures: list[vfiocore.VfioError] = []

    def run() -> None:
        try:
            while not done.is_set():
                what()
        except vfiocore.VfioError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert failures == []


def hammer(device: vfiocore.Device) -> tuple[int, int]:
    """Reads and writes of all widths: how many went well, and how many were an error."""
    bar, good, bad = device.bar(0), 0, 0
    for number in range(ACCESSES):
        width = 1 << number % 3
        try:
            if number & 8:
                bar.write(RAL, width, 1)
            else:
                bar.read(STATUS, width)
            good += 1
        except (vfiocore.MemoryDecodingOff, vfiocore.DeviceGone):
            bad += 1
    return good, bad


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("offset", "off"), [(COMMAND, 0), (PMCSR, int(PowerState.D3HOT))])
def test_behind_our_back(nic0: str, transport: str, offset: int, off: int) -> None:
    """Memory decoding off, and D3hot: each first access finds out by a fault."""
    with vfiocore.open(nic0, transport=transport) as device:
        bar, on = device.bar(0), peek(offset)
        before = bar.read32(STATUS)
        for width in (1, 2, 4, 8):
            for access in (bar.read, bar.write):
                poke(offset, off)
                arguments = (RAL, width) if access == bar.read else (RAL, width, 1)
                for _ in range(3):
                    with pytest.raises(vfiocore.MemoryDecodingOff, match="decoding"):
                        access(*arguments)
                poke(offset, on)
                assert bar.read32(STATUS) == before
                device.config.write16(offset, on)  # now it is known that it decodes
        assert bar.read32(STATUS) == before


@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("offset", [COMMAND, PMCSR])
def test_switched_by_another_thread(nic0: str, transport: str, offset: int) -> None:
    with vfiocore.open(nic0, transport=transport) as device:
        on = peek(offset)
        off = int(PowerState.D3HOT) if offset == PMCSR else on & ~MEMORY

        def switch() -> None:
            poke(offset, off)
            device.config.write16(offset, on)

        before = device.bar(0).read32(STATUS)
        bad = 0
        with again_and_again(switch):
            # The other thread has to have its turn just then.
            for _ in range(30):
                good, bad = hammer(device)
                assert good + bad == ACCESSES
                if bad:
                    break
        assert bad
        assert device.bar(0).read32(STATUS) == before


@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", ["reset", "hot_reset"])
def test_during_reset(nic0: str, transport: str, way: str) -> None:
    with vfiocore.open(nic0, transport=transport) as device:
        device.bar(0).read32(STATUS)
        with again_and_again(getattr(device, way)):
            good, bad = hammer(device)
        assert good + bad == ACCESSES
        device.reset()
        assert device.bar(0).read32(STATUS) != 0xFFFFFFFF


@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_in_low_power(nic0: str, transport: str) -> None:
    """An access that finds the mapping gone goes through the kernel, which wakes the device."""
    with vfiocore.open(nic0, transport=transport) as device:

        def nap() -> None:
            with device.low_power():
                pass

        device.bar(0).read32(STATUS)
        with again_and_again(nap):
            good, bad = hammer(device)
        assert good + bad == ACCESSES
        assert good


@pytest.mark.lab_timeout(120)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_it_was_pulled(lab_machine: Machine, transport: str) -> None:
    """Nobody lets go of the device until its registers are all ones; then every access says so."""
    nic1 = lab_machine.device("nic1").bdf
    pci.bind(nic1)
    words = dict(word.split("=") for word in lab_machine.device("nic1").qemu.split(",")[1:])
    with Monitor() as monitor, vfiocore.events() as stream:
        with vfiocore.open(nic1, transport=transport) as device:
            stream.watch(device)
            monitor.command("device_del", id="nic1")
            assert stream.wait(60).kind is vfiocore.EventKind.REQUEST
            hammer(device)
            device.release()
            good, bad = hammer(device)
            assert (good, bad) == (0, ACCESSES)
        monitor.wait("DEVICE_DELETED")
        monitor.command("device_add", driver="e1000e", **words)
        pci.wait_for(nic1, 20)


@pytest.mark.lab_timeout(120)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_threads_that_have_not_opted_in(nic0: str, transport: str) -> None:
    program = Path(__file__).parents[2] / "build/tests/lab/nofault"
    subprocess.run([program, nic0, transport], check=True, timeout=100)


CODE = """
import faulthandler, sys, ctypes
faulthandler.enable()
import vfiocore
from vfiocore._native.loader import lib
device = vfiocore.open(sys.argv[1])
bar, address = device.bar(0), ctypes.c_void_p()
assert lib.vfc_region_map(device._native(), 0, 0, 0, ctypes.byref(address)) == 0
device.config.command &= ~2
for _ in range(1000):
    try:
        bar.read32(8)
    except vfiocore.MemoryDecodingOff:
        continue
    sys.exit(3)
print("alive", flush=True)
lib.vfc_mmio_read32(address.value + 8)
"""


def test_the_handler_of_python_itself(nic0: str) -> None:
    """An unchecked access is a SIGBUS as before, and faulthandler tells where."""
    command = [sys.executable, "-c", CODE, nic0]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout == "alive\n"
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr
    assert 'File "<string>", line 17 in <module>' in done.stderr
