# SPDX-License-Identifier: MIT
"""The igb driver: real frames, against QEMU's network and the kernel's own e1000e."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from frames import frame, receive

import vfiocore
from vfiocore import cli

pytestmark = pytest.mark.machine("igb")


@pytest.fixture
def igb0(bound: Callable[[str], str]) -> str:
    """The BDF of the first igb, bound to vfio-pci."""
    return bound("igb0")


@pytest.fixture
def device(igb0: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(igb0) as device:
        yield device


@pytest.fixture
def nic(device: vfiocore.Device) -> Iterator[vfiocore.Nic]:
    with device.nic() as nic:
        nic.wait_link(60)
        yield nic


def test_identity(nic: vfiocore.Nic) -> None:
    assert (nic.driver, nic.mac) == ("igb", "52:54:00:76:67:00")
    assert nic.link.up
    assert nic.link.speed == 1000
    assert nic.link.full_duplex


def test_the_command_pings_the_gateway(igb0: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["net", "ping", igb0, "-c", "2", "-i", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["received"] == 2


def test_between_two_igb(nic: vfiocore.Nic, bound: Callable[[str], str]) -> None:
    with vfiocore.open(bound("igb1")) as device, device.nic() as other:
        other.wait_link(60)
        for number in range(200):
            there = frame(other.mac_bytes, nic.mac_bytes, number, 60 + 7 * number)
            nic.send(there)
            assert receive(other) == there
            back = frame(nic.mac_bytes, other.mac_bytes, number, 60 + 7 * number)
            other.send(back)
            assert receive(nic) == back
