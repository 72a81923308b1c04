# SPDX-License-Identifier: MIT
"""A million frames through each emulated NIC: none lost, none damaged, whatever is done to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from virtual_functions import TOKEN, answering

from vfiocore import sriov

pytestmark = pytest.mark.machine("igb")

MILLION = Path(__file__).parents[2] / "build" / "tests" / "lab" / "million"
FRAMES = 1_000_000  # through each: half of them sent, half received


def million(one: str, other: str) -> None:
    """They are closed and opened every second, and reset once in the middle."""
    done = subprocess.run(
        [str(MILLION), one, other, str(FRAMES // 2)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    print(figures)
    assert figures["frames"] == [FRAMES // 2, FRAMES // 2]
    assert figures["resets"] == 1
    assert figures["restarts"] >= 1


@pytest.mark.parametrize(
    ("one", "other", "ring"),
    [
        pytest.param("igb0", "nic0", "", id="igb and e1000e"),
        pytest.param("virtio", "packed", ",packed", id="virtio-net, split and packed"),
    ],
)
def test_a_million_frames(one: str, other: str, ring: str, bound: Callable[[str], str]) -> None:
    million(bound(one), bound(other) + ring)


def test_a_million_frames_between_virtual_functions(bound: Callable[[str], str]) -> None:
    """Inside of the device, with our driver for the physical one."""
    with answering(bound("igb0")) as nic:
        one, other = (f"{vf},{TOKEN.hex}" for vf in sriov.functions(nic.device.name))
        million(one, other)
