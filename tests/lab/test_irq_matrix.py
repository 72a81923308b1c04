# SPDX-License-Identifier: MIT
"""N raised is N seen: a table of devices, interrupt types, transports and N. All are raised by the
device itself."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from raisers import Edu, Intel82574, Intel82576, Nvme, Raiser, VirtioNet

import vfiocore
from vfiocore import pci
from vfiocore._native.loader import lib
from vfiocore.lab.machines import Machine
from vfiocore.lab.monitor import Monitor

MANY = 100_000
COUNTS = (1, 1_000, MANY)

# 100,000 take up to a minute, and a level takes longest. Between a device and its eventfd all
# transports have the same code of the kernel's, so each type of each device raises them by one
# transport, on the first machine that has it, and each transport has one device that does.
# VFIOCORE_ALL_IRQS has all of them raise that many.
INTX, MSI, MSIX = "intx", "msi", "msix"
Transports = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
DEVICES: dict[str, tuple[type[Raiser], tuple[str, ...], Transports]] = {
    "edu": (
        Edu,
        (INTX, MSI),
        {
            "group": (("intel", "iommufd"), (INTX, MSI)),
            "cdev": (("iommufd",), ()),
            "compat": (("iommufd",), ()),
        },
    ),
    "nic0": (
        Intel82574,
        (INTX, MSI, MSIX),
        {
            "group": (("intel", "iommufd"), ()),
            "cdev": (("iommufd",), (INTX, MSI, MSIX)),
            "compat": (("iommufd",), ()),
        },
    ),
    "nvme": (
        Nvme,
        (INTX, MSIX),
        {
            "group": (("width", "width-built"), (INTX, MSIX)),
            "cdev": (("width-built",), ()),
            "compat": (("width-built",), ()),
        },
    ),
    "igb0": (
        Intel82576,
        (INTX, MSI, MSIX),
        {
            "group": (("igb",), ()),
            "cdev": (("igb",), (INTX, MSI, MSIX)),
            "compat": (("igb",), ()),
        },
    ),
    "virtio": (
        VirtioNet,
        (INTX, MSIX),
        {"group": (("igb",), ()), "cdev": (("igb",), ()), "compat": (("igb",), (MSIX,))},
    ),
}
ALL = bool(os.environ.get("VFIOCORE_ALL_IRQS"))

TABLE = [
    pytest.param(
        (short, kind),
        transport,
        count,
        marks=pytest.mark.machine(*(machines if count < MANY else machines[:1])),
        id=f"{short}-{kind}-{transport}-{count}",
    )
    for short, (_, kinds, transports) in DEVICES.items()
    for transport, (machines, many) in transports.items()
    for kind in kinds
    for count in COUNTS
    if count < MANY or kind in many or ALL
]


def plug_in_again(machine: Machine, short: str) -> None:
    """A device that nobody has used: Intel82574 tells why."""
    found = machine.device(short)
    driver, *words = found.qemu.split(",")
    with Monitor() as monitor:
        monitor.command("device_del", id=short)
        monitor.wait("DEVICE_DELETED")
        monitor.command("device_add", driver=driver, **dict(word.split("=") for word in words))
    pci.wait_for(found.bdf, 20)


def nothing_more(irqs: vfiocore.IrqSet) -> None:
    with pytest.raises(vfiocore.WaitTimeout):
        irqs.wait_any(0.05)


def take(interrupt: vfiocore.Interrupt) -> int:
    """It is there soon, and sleeping takes an emulated CPU longer."""
    for _ in range(50):
        count = interrupt._take()
        if count:
            return count
    return interrupt.wait(60)


def run_levels(raiser: Raiser, irqs: vfiocore.IrqSet, count: int) -> int:
    """Each masks itself until it was handled: one wait each."""
    interrupt = irqs[0]
    seen = 0
    for _ in range(count):
        raiser.raise_one()
        seen += take(interrupt)
        raiser.acknowledge()
        irqs.unmask()
    assert interrupt.stats.wakeups == count
    return seen


def run_messages(raiser: Raiser, irqs: vfiocore.IrqSet, count: int) -> int:
    """Those that nobody has waited for yet are merged by the eventfd, and not lost."""
    interrupt = irqs[raiser.vector]
    seen = 0
    for number in range(1, count + 1):
        raiser.raise_one()
        if number % raiser.merged == 0:
            seen += take(interrupt)
            raiser.acknowledge()
    while seen < count:
        seen += interrupt.wait(60)
    return seen


@pytest.mark.lab_timeout(600)
@pytest.mark.parametrize(("what", "transport", "count"), TABLE)
def test_all_that_is_raised_is_seen(
    what: tuple[str, str],
    transport: str,
    count: int,
    lab_machine: Machine,
    bound: Callable[[str], str],
) -> None:
    short, kind = what
    if what == ("nic0", "msix"):
        plug_in_again(lab_machine, short)
    with vfiocore.open(bound(short), transport=transport) as device:
        device.bus_master = True
        with device.irqs(kind) as irqs:
            raiser = DEVICES[short][0](device, kind)
            run = run_levels if kind == "intx" else run_messages
            seen = run(raiser, irqs, count)
            nothing_more(irqs)
            raiser.stop()
            fired = [interrupt.stats.fired for interrupt in irqs]
    assert seen == count
    assert fired == [count if n == raiser.vector else 0 for n in range(len(fired))]


SET_IRQS = ord(";") << 8 | 110  # _IO(VFIO_TYPE, VFIO_BASE + 10)
DATA_NONE, DATA_BOOL, ACTION_TRIGGER = 1, 2, 32


def set_irqs(flags: int, index: int, count: int, data: bytes = b"") -> None:
    """The kernel's own request, on the one descriptor of a device that is open."""
    for entry in Path("/proc/self/fd").iterdir():
        link = os.readlink(entry) if entry.is_symlink() else ""
        if "vfio-device" in link or "/dev/vfio/devices/" in link:
            head = struct.pack("<5I", 20 + len(data), flags, index, 0, count)
            fcntl.ioctl(int(entry.name), SET_IRQS, head + data)
            return
    raise AssertionError("no descriptor of a device is open")


def taken(irqs: vfiocore.IrqSet) -> list[int]:
    return [lib.vfc_irq_take(irqs._native(), n) for n in range(len(irqs))]


LOOPBACK = [
    pytest.param("nvme", "group", marks=pytest.mark.machine("width", "width-built")),
    pytest.param("nvme", "cdev", marks=pytest.mark.machine("width-built")),
    pytest.param("nic0", "group", marks=pytest.mark.machine("intel", "iommufd")),
    pytest.param("nic0", "cdev", marks=pytest.mark.machine("iommufd")),
]


@pytest.mark.parametrize(("short", "transport"), LOOPBACK)
def test_the_kernel_raises_those_of_a_list(
    short: str, transport: str, bound: Callable[[str], str]
) -> None:
    """DATA_BOOL: a byte a vector says whether it fires; DATA_NONE: all of the range do."""
    with vfiocore.open(bound(short), transport=transport) as device:
        for index, kind in enumerate(("intx", "msi", "msix")):
            if not device.irq_info(kind).count:
                continue
            with device.irqs(kind) as irqs:
                size = len(irqs)
                for step in (1, 2, 3):
                    chosen = [int(n % step == 0) for n in range(size)]
                    set_irqs(DATA_BOOL | ACTION_TRIGGER, index, size, bytes(chosen))
                    assert taken(irqs) == chosen
                set_irqs(DATA_BOOL | ACTION_TRIGGER, index, size, bytes(size))
                assert taken(irqs) == [0] * size
                set_irqs(DATA_NONE | ACTION_TRIGGER, index, size)
                assert taken(irqs) == [1] * size


@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize(
    "transport",
    [
        pytest.param("group", marks=pytest.mark.machine("intel")),
        pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
        pytest.param("compat", marks=pytest.mark.machine("iommufd")),
    ],
)
def test_a_storm_lets_others_run(edu: str, transport: str) -> None:
    """The line is down only at the handler's 10,000th call: it fires whenever it is unmasked.
    Another thread gets on meanwhile, and after the storm no interrupt is lost."""
    storm = 10_000
    calls = progress = 0
    over = threading.Event()
    with vfiocore.open(edu, transport=transport) as device, device.irqs("intx") as irqs:
        bar = device.bar(0)

        def handler(vector: int, count: int) -> None:
            nonlocal calls
            calls += count
            if calls >= storm:
                bar.write32(0x64, 1)
                over.set()

        with irqs.on(handler):
            bar.write32(0x60, 1)
            while not over.wait(0.001):
                progress += 1
            for more in range(1, 101):
                over.clear()
                bar.write32(0x60, 1)
                assert over.wait(60)
                while calls < storm + more:
                    over.wait(0.001)
        assert calls == storm + 100
        assert progress > 10
        irqs.unmask()
        nothing_more(irqs)
