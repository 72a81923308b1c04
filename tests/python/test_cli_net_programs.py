# SPDX-License-Identifier: MIT
"""``vfio net generate``, ``forward`` and ``bench`` on the fake device."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

import vfiocore
from vfiocore.cli import main
from vfiocore.cli.net.bench import Result, flood, probe
from vfiocore.cli.net.forward import Way, forward
from vfiocore.cli.net.generate import generate
from vfiocore.cli.net.histogram import Histogram
from vfiocore.cli.net.plot import save
from vfiocore.cli.net.session import experiment

FAKE = "fake:e1000e"


@pytest.fixture
def pair() -> Iterator[tuple[vfiocore.Nic, vfiocore.Nic]]:
    """Two interfaces of one pool, each looped back to itself."""
    with ExitStack() as stack:
        space = stack.enter_context(vfiocore.Iommu("fake"))
        opened = [vfiocore.open(FAKE, iommu=space) for _ in range(2)]
        devices = [stack.enter_context(device) for device in opened]
        pool = stack.enter_context(vfiocore.Pool(space, 2048))
        left, right = (
            stack.enter_context(device.nic(pool=pool, promisc=True)) for device in devices
        )
        left.wait_link(60)
        right.wait_link(60)
        yield left, right


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "generate", FAKE, "-n", "1000", "--size", "100", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["bytes"], report["errors"]) == (1000, 100000, 0)
    assert 1000 / 128 <= report["doorbells"] <= 1000
    assert main(["net", "generate", FAKE, "--seconds", "0.05"]) == 0
    assert "frames/s" in capsys.readouterr().out


def test_generate_at_a_rate(nic: vfiocore.Nic) -> None:
    frame = experiment(60, nic.mac_bytes, nic.mac_bytes)
    start = time.monotonic()
    assert generate(nic, frame, count=50, rate=500) == 50
    assert time.monotonic() - start >= 49 / 500
    nic.drain(60)
    got = nic.recv_many()
    assert got == [frame] * 50
    sent = generate(nic, frame, seconds=0.1, rate=1000)
    assert 1 <= sent <= 101


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["generate", FAKE, "--size", "1519"], "1518 at most"),
        (["generate", FAKE, "--size", "59"], "at least 60"),
        (["generate", FAKE, "--dst", "nobody"], "no MAC address"),
        (["generate", FAKE, "--rate", "0"], "at least 1"),
        (["forward", "01:00.0", "01:00.0"], "cannot be both"),
        (["bench", "01:00.0", "0000:01:00.0"], "cannot be both"),
        (["bench", FAKE, FAKE, "--size", "1519"], "1518 at most"),
    ],
)
def test_what_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    try:
        status = main(["net", *words])
    except SystemExit as error:
        status = int(error.code or 0)
    assert status != 0
    assert says in capsys.readouterr().err


def test_forward(pair: tuple[vfiocore.Nic, vfiocore.Nic]) -> None:
    """What one sends comes back to it and goes to the other, where it comes back as well: round
    and round."""
    left, right = pair
    there, back = Way(left, right), Way(right, left)
    timer = threading.Timer(0.2, left.tx_burst, [[experiment(60, b"\2" * 6, b"\2" * 6)] * 20])
    timer.start()  # it sleeps by then
    forward(there, back, count=500, seconds=30)
    timer.join()
    assert there.forwarded + back.forwarded == 500
    assert abs(there.forwarded - back.forwarded) <= 20
    assert (there.dropped, back.dropped) == (0, 0)
    assert there.counts()["missed"] == 0


def test_forward_drops_what_does_not_fit(pair: tuple[vfiocore.Nic, vfiocore.Nic]) -> None:
    left, right = pair
    right.device.bus_master = False
    way, free = Way(left, right), left.pool.free
    for _ in range(3):
        left.tx_burst([experiment(60, b"\2" * 6, b"\2" * 6)] * 100)
        left.drain(60)
        way.move(256)
    assert (way.forwarded, way.dropped) == (255, 45)
    right.device.bus_master = True
    right.drain(60)
    while right.recv_many():
        pass
    assert left.pool.free > free - 300


def test_the_verb_forward(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "forward", FAKE, FAKE, "--seconds", "0.05", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["forwarded"] == 0
    assert [way["from"] for way in report["ways"]] == [FAKE, FAKE]
    assert main(["net", "forward", FAKE, FAKE, "--seconds", "0.05"]) == 0
    assert f"{FAKE} -> {FAKE}: 0 frames, 0 dropped" in capsys.readouterr().out


@pytest.fixture
def result(nic: vfiocore.Nic) -> Result:
    """The measurement of one that is looped back to itself."""
    result = Result(nic, nic, 60)
    frame = experiment(60, nic.mac_bytes, nic.mac_bytes)
    flood(nic, nic, frame, 0.1, result)
    for number in range(20):
        probe(nic, nic, frame, number, result)
    return result


def test_measuring(result: Result) -> None:
    assert result.sent == result.received + result.lost
    assert result.received > 0
    assert len(result.latency.values) == 20
    report = result.as_dict()
    assert report["rate"] > 0
    assert sum(bucket["count"] for bucket in report["latency"]["buckets"]) == 20
    assert report["latency"]["min_us"] <= report["latency"]["median_us"]


def test_nothing_arrives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "bench.svg"
    words = ["net", "bench", FAKE, FAKE, "--seconds", "0.01", "--samples", "1"]
    assert main([*words, "--plot", str(picture)]) == 1
    assert "0 of " in capsys.readouterr().out
    assert picture.stat().st_size > 1000


def test_a_picture(result: Result, tmp_path: Path) -> None:
    for ending in ("png", "svg"):
        picture = tmp_path / f"bench.{ending}"
        save(str(picture), [result, result])
        assert picture.stat().st_size > 1000


def test_an_ending_without_a_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["net", "bench", FAKE, FAKE, "--seconds", "0", "--samples", "1"]
    assert main([*words, "--plot", str(tmp_path / "bench.doc")]) == 2
    assert "end it with .png" in capsys.readouterr().err


def test_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["net", "bench", FAKE, FAKE, "--plot", "bench.png"]) == 1
    assert "pip install vfiocore[plot]" in capsys.readouterr().err


def test_histogram() -> None:
    times = Histogram()
    assert (times.buckets(), times.rows(), times.quantile(0.5)) == ([], [], 0.0)
    for value in (1000, 1001, 2000, 16000):
        times.add(value)
    buckets = times.buckets()
    assert sum(count for *_, count in buckets) == 4
    for (_, end, _), (start, _, _) in pairwise(buckets):
        assert end == start
    assert all(low <= high for low, high, _ in buckets)
    assert (times.quantile(0), times.quantile(1)) == (1.0, 16.0)
    assert len(times.rows()) == len(buckets)
