# SPDX-License-Identifier: MIT
"""Mediated devices for the tests: of kmod-tests' module vfc_device, and of the kernel's samples."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import vfiocore

ROOT = Path(__file__).resolve().parents[2]
PARENTS = Path("/sys/class/mdev_bus")
DEVICES = Path("/sys/bus/mdev/devices")

# Registers in region 0, and what COMMAND takes: kmod-tests/vfc_device.h.
ID, INDEX, FIRST, RAISE, STORM, LEVEL, ACK, RAISED = range(0x00, 0x20, 4)
SRC, DST, LENGTH, COMMAND, RESULT, PINNED, UNMAPS = 0x20, 0x28, 0x30, 0x34, 0x38, 0x3C, 0x40
COPY, PINNED_COPY, PIN, UNPIN = 1, 2, 3, 4

anywhere = pytest.mark.machine("intel", "iommufd")
TRANSPORTS = [
    pytest.param("group", marks=anywhere),
    pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
    pytest.param("compat", marks=pytest.mark.machine("iommufd")),
]

Opener = Callable[..., vfiocore.Device]


def module(name: str) -> Path:
    """A module of kmod-tests that was built for the kernel that runs."""
    folder = Path(os.environ.get("VFIOCORE_KMODS", ROOT / "build" / "kmod")) / os.uname().release
    path = folder / f"{name}.ko"
    if not path.exists():
        pytest.fail(f"{path} is missing: build it on the host with make -C kmod-tests")
    return path


@contextmanager
def loaded(name: str, *needs: str) -> Iterator[None]:
    """One of our modules, after those of the kernel that it needs."""
    for other in needs:
        subprocess.run(["modprobe", other], check=True)
    subprocess.run(["insmod", str(module(name))], check=True)
    yield
    subprocess.run(["rmmod", name], check=True)


@contextmanager
def created(kind: str, parent: str = "vfc_device") -> Iterator[str]:
    """A device of that type; its UUID."""
    name = str(uuid.uuid4())
    types = PARENTS / parent / "mdev_supported_types"
    (types / f"{parent}-{kind}" / "create").write_text(name)
    yield name
    if (DEVICES / name).exists():
        (DEVICES / name / "remove").write_text("1")


@contextmanager
def opener(transport: str) -> Iterator[Opener]:
    """A function that makes a device of a type and opens it; both are undone at the end."""
    with ExitStack() as stack:

        def open_one(kind: str, iommu: vfiocore.Iommu | None = None) -> vfiocore.Device:
            name = stack.enter_context(created(kind))
            by = None if iommu else transport
            return stack.enter_context(vfiocore.open(name, iommu=iommu, transport=by))

        yield open_one


def dma(device: vfiocore.Device, command: int, src: int, dst: int, length: int) -> int:
    """Have the device do DMA; 0, or the errno that the kernel said no with."""
    registers = device.region(0)
    for offset, value in ((SRC, src), (DST, dst)):
        registers.write32(offset, value & 0xFFFFFFFF)
        registers.write32(offset + 4, value >> 32)
    registers.write32(LENGTH, length)
    registers.write32(COMMAND, command)
    return registers.read32(RESULT)
