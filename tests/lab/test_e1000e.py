# SPDX-License-Identifier: MIT
"""The e1000e driver: real frames, against QEMU's network and the kernel's own driver."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from frames import exchange, frame, receive

import vfiocore

pytestmark = pytest.mark.machine("intel", "iommufd")


@pytest.fixture
def device(nic0: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(nic0) as device:
        yield device


@pytest.fixture
def nic(device: vfiocore.Device) -> Iterator[vfiocore.Nic]:
    with device.nic() as nic:
        nic.wait_link(60)
        yield nic


def test_identity(nic: vfiocore.Nic) -> None:
    assert nic.mac == "52:54:00:76:66:00"
    assert nic.link.up
    assert nic.link.speed == 1000
    assert nic.link.full_duplex


def free_huge_pages() -> int:
    return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())


@pytest.mark.usefixtures("huge")
def test_its_buffers_lie_closely_in_huge_pages_that_are_free(
    device: vfiocore.Device, peer: socket.socket
) -> None:
    before = free_huge_pages()
    with device.nic() as nic:
        assert free_huge_pages() == before - 1
        nic.wait_link(60)
        exchange(nic, peer, range(60, 1515, 7))
    assert free_huge_pages() == before
    with device.nic(rx_entries=8, tx_entries=8):  # which fill no half of one
        assert free_huge_pages() == before


@pytest.mark.kernel_log(allow=r"DMAR:.*\[(0000:)?01:00\.0\]|DMAR: DRHD: handling fault")
def test_a_stray_address_is_stopped_and_the_nic_recovers(
    nic0: str, kernel_nic: str, peer: socket.socket
) -> None:
    """The demo's isolation step, as a test."""
    demo = Path(__file__).parents[2] / "ci" / "demo.py"
    code = f"import runpy; m = runpy.run_path({str(demo)!r}); m['isolation']({kernel_nic!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "fault addr" in done.stdout
    with vfiocore.open(nic0) as device, device.nic() as nic:
        nic.wait_link(60)
        peer.send(frame(nic.mac_bytes, b"\x02" * 6, 1, 60))
        assert receive(nic)[14:18] == b"\0\0\0\1"
