# SPDX-License-Identifier: MIT
"""A million frames through each emulated NIC: none lost, none damaged, whatever is done to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.machine("igb")

MILLION = Path(__file__).parents[2] / "build" / "tests" / "lab" / "million"
FRAMES = 1_000_000  # through each: half of them sent, half received


@pytest.mark.parametrize(
    ("one", "other", "ring"),
    [
        pytest.param("igb0", "nic0", "", id="igb and e1000e"),
        pytest.param("virtio", "packed", ",packed", id="virtio-net, split and packed"),
    ],
)
def test_a_million_frames(one: str, other: str, ring: str, bound: Callable[[str], str]) -> None:
    """They are closed and opened every second, and reset once in the middle."""
    done = subprocess.run(
        [str(MILLION), bound(one), bound(other) + ring, str(FRAMES // 2)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    print(figures)
    assert figures["frames"] == [FRAMES // 2, FRAMES // 2]
    assert figures["resets"] == 1
    assert figures["restarts"] >= 1
