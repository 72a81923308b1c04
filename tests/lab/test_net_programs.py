# SPDX-License-Identifier: MIT
"""``vfio net generate``, ``forward`` and ``bench``, and bursts from Python, on a real wire."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

import vfiocore
from vfiocore import cli

pytestmark = pytest.mark.machine("intel", "iommufd")

ETHERTYPE = b"\x88\xb5"  # for local experiments (IEEE 802)
BROADCAST = b"\xff" * 6


@pytest.fixture
def nic1(bound: Callable[[str], str]) -> str:
    """The BDF of the second e1000e, bound to vfio-pci."""
    return bound("nic1")


def report(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert cli.main(["net", *words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_bench(nic0: str, nic1: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "bench", nic0, nic1, "--seconds", "0.5", "--samples", "20")
    ways = found["ways"]
    assert isinstance(ways, list)
    for way in ways:
        assert way["received"] == way["sent"] > 0
        assert way["latency"]["samples"] == 20


def test_forward(nic0: str, nic1: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are on one hub, where a frame would go round and round: nobody sends one."""
    found = report(capsys, "forward", nic0, nic1, "--seconds", "1")
    ways = found["ways"]
    assert isinstance(ways, list)
    assert [way["from"] for way in ways] == [nic0, nic1]
    assert [way["missed"] for way in ways] == [0, 0]


def test_frames_through_a_pool_that_two_share(nic0: str, nic1: str) -> None:
    """Received by one and sent by the other, without a copy, through the IOMMU."""
    with ExitStack() as stack:
        space = stack.enter_context(vfiocore.Iommu())
        opened = [vfiocore.open(name, iommu=space) for name in (nic0, nic1)]
        devices = [stack.enter_context(device) for device in opened]
        pool = stack.enter_context(vfiocore.Pool(space, 2048))
        left, right = (stack.enter_context(device.nic(pool=pool)) for device in devices)
        left.wait_link(60)
        right.wait_link(60)
        frame = right.mac_bytes + left.mac_bytes + ETHERTYPE + bytes(46)
        assert left.tx_burst(left.alloc(100, frame)) == 100
        turned, end = 0, time.monotonic() + 60
        while turned < 100 and time.monotonic() < end:
            with right.rx_burst() as burst:
                for view in burst:
                    view[:12] = view[6:12].tobytes() + view[:6].tobytes()
                turned += right.tx_burst(burst)
        back: list[bytes] = []
        while len(back) < 100 and time.monotonic() < end:
            with left.rx_burst() as burst:
                back += [bytes(view) for view in burst]
        back = [one for one in back if one[12:14] == ETHERTYPE]
        assert back == [frame[6:12] + frame[:6] + frame[12:]] * 100


# The last: from here on nic1 is the kernel's.
def test_generate_to_the_kernel(
    kernel_nic: str, nic0: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as raw:
        raw.bind((kernel_nic, 0x88B5))
        raw.settimeout(60)
        found = report(capsys, "generate", nic0, "-n", "100", "--rate", "2000", "--size", "200")
        assert found["frames"] == 100
        for _ in range(100):
            got = raw.recv(2000)
            assert (len(got), got[:6], got[12:14]) == (200, BROADCAST, ETHERTYPE)
