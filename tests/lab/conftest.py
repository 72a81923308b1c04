# SPDX-License-Identifier: MIT
"""These tests run in a guest; on the host there is nothing here to collect."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vfiocore import pci
from vfiocore.lab.machines import Machine
from vfiocore.lab.plugin import in_guest

collect_ignore_glob = [] if in_guest() else ["test_*.py"]


@pytest.fixture
def bound(lab_machine: Machine) -> Iterator[Callable[[str], str]]:
    """Bind a device of the machine to vfio-pci by its short name; undone after the test."""
    names: list[str] = []

    def bind(short: str) -> str:
        bdf = lab_machine.device(short).bdf
        pci.bind(bdf)
        names.append(bdf)
        return bdf

    yield bind
    for bdf in names:
        pci.unbind(bdf)


@pytest.fixture
def nic0(bound: Callable[[str], str]) -> str:
    """The BDF of the first e1000e, bound to vfio-pci."""
    return bound("nic0")


@pytest.fixture
def edu(bound: Callable[[str], str]) -> str:
    """The BDF of the device edu, bound to vfio-pci."""
    return bound("edu")


@pytest.fixture
def kernel_nic(lab_machine: Machine) -> Iterator[str]:
    """The interface that the kernel's own driver makes of nic1: up, and silent by itself."""
    subprocess.run(["modprobe", "e1000e"], check=True)
    folder = Path(f"/sys/bus/pci/devices/{lab_machine.device('nic1').bdf}/net")
    name = next(folder.iterdir()).name
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield name
    subprocess.run(["modprobe", "-r", "e1000e"], check=True)
