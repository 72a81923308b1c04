# SPDX-License-Identifier: MIT
"""Every program of examples/ runs, on a device that the kernel drives no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
    assert there == {run[0] for run in RUNS} | TOGETHER
