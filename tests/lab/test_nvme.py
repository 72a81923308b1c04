# SPDX-License-Identifier: MIT
"""examples/nvme on QEMU's NVMe controller: what was written is read again, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[2] / "build" / "tests" / "lab"
BLOCK, BLOCKS = 512, 131072

TRANSPORTS = [
    pytest.param("group", marks=pytest.mark.machine("width", "width-built")),
    pytest.param("cdev", marks=pytest.mark.machine("width-built")),
]
MODES = [pytest.param((), id="poll"), pytest.param(("-i",), id="irq")]

Nvme = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def bdf(bound: Callable[[str], str]) -> str:
    return bound("nvme")


@pytest.fixture(params=TRANSPORTS)
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    return {**os.environ, "VFIOCORE_TRANSPORT": request.param}


@pytest.fixture
def nvme(bdf: str, environment: dict[str, str]) -> Nvme:
    """Run the example: options first, then a verb and its words."""

    def run(*words: object, status: int = 0) -> subprocess.CompletedProcess[bytes]:
        options = [str(word) for word in words if str(word).startswith("-i")]
        verb = [str(word) for word in words if not str(word).startswith("-i")]
        done = subprocess.run(
            [str(BUILD / "nvme"), *options, bdf, *verb],
            env=environment, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr.decode()
        return done

    return run


@pytest.mark.parametrize("mode", MODES)
def test_identify(nvme: Nvme, mode: tuple[str, ...]) -> None:
    lines = nvme(*mode, "identify").stdout.decode().splitlines()
    told = dict(line.split(": ", 1) for line in lines)
    assert told["serial"] == "vfiocore"
    assert told["model"] == "QEMU NVMe Ctrl"
    assert (told["blocks"], told["block size"]) == (str(BLOCKS), str(BLOCK))
    assert told["version"].startswith("1.")
    assert int(told["largest transfer"]) >= 4096


@pytest.mark.parametrize("mode", MODES)
def test_what_was_written_is_read(nvme: Nvme, tmp_path: Path, mode: tuple[str, ...]) -> None:
    """Of any size, anywhere, each in a process of its own; and what lies beside it stays."""
    some = random.Random(7)
    source, target = tmp_path / "source", tmp_path / "target"
    for count in (1, 7, 9, 16, 333, 1024, 2049):
        lba = some.choice((0, BLOCKS - count, some.randrange(BLOCKS - count)))
        first, last = max(0, lba - 8), min(BLOCKS, lba + count + 8)
        around = bytearray(nvme("read", first, last - first, "-").stdout)
        data = some.randbytes(count * BLOCK)
        source.write_bytes(data)
        nvme(*mode, "write", lba, count, source)
        nvme(*mode, "flush")
        nvme(*mode, "read", lba, count, target)
        assert target.read_bytes() == data
        at = (lba - first) * BLOCK
        around[at : at + len(data)] = data
        assert nvme("read", first, last - first, "-").stdout == around


@pytest.mark.parametrize("mode", ["poll", "irq"])
@pytest.mark.parametrize("case", ["pages", "depths", "full", "range", "misuse", "reset", "pulled"])
def test_case(bdf: str, environment: dict[str, str], case: str, mode: str) -> None:
    done = subprocess.run(
        [str(BUILD / "nvme_io"), bdf, case, mode],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_errors_say_what_is_wrong(nvme: Nvme, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"x" * 1000)
    for words, what in (
        (("read", BLOCKS - 1, 2, tmp_path / "a"), b"LBA out of range (status type 0, code 0x80"),
        (("write", 0, 2, short), b"the file ends before the blocks do"),
        (("write", 0, 1, tmp_path / "none"), b"none: No such file"),
    ):
        assert what in nvme(*words, status=1).stderr
    for words in (("read", "x", 1, "-"), ("read", "-1", 1, "-"), ("bench", 0, 1), ("frob",)):
        assert b"usage: nvme" in nvme(*words, status=2).stderr
    nvme("identify")


@pytest.mark.machine("width", "width-built")
def test_another_kind_of_device(bound: Callable[[str], str]) -> None:
    command = [str(BUILD / "nvme"), bound("edu"), "identify"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is no NVMe controller: its class is 00ff00" in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_killed_in_the_middle(
    nvme: Nvme, bdf: str, environment: dict[str, str], tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """With reads on their way; the next process finds a controller that works."""
    data = random.randbytes(64 * BLOCK)
    (tmp_path / "data").write_bytes(data)
    nvme("write", 100, 64, tmp_path / "data")
    for _ in range(5):
        command = [str(BUILD / "nvme"), *mode, bdf, "bench", "60", "37"]
        with subprocess.Popen(command, env=environment) as child:
            time.sleep(0.1 + random.random() * 0.2)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        assert nvme(*mode, "read", 100, 64, "-").stdout == data


def test_reads_per_doorbell(nvme: Nvme) -> None:
    told = json.loads(nvme("bench", 1, 32).stdout)
    assert told["reads"] > 32
    assert told["doorbells"] < told["reads"]
