# SPDX-License-Identifier: MIT
"""``vfio events``, of a stream with a script."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import ClassVar

import pytest

import vfiocore
from vfiocore import Event, EventKind
from vfiocore.cli import main

OURS = "0000:01:00.0"
OTHER = "0000:02:00.0"


def event(sequence: int, kind: EventKind, name: str, detail: str = "") -> Event:
    empty = dict.fromkeys(("vendor", "device", "uncorrectable", "correctable", "status"), 0)
    return Event(
        kind=kind,
        sequence=sequence,
        time=1_500_000_000 * sequence,
        name=name,
        driver="",
        detail=detail,
        slept=0,
        released=False,
        **empty,
    )


SCRIPT = [
    event(1, EventKind.ADD, OURS),
    event(2, EventKind.ADD, OTHER),
    event(3, EventKind.RESUME, "", "the system slept for 3 s"),
    event(4, EventKind.REMOVE, OURS),
]


class Scripted:
    """Events as they stand in the script, then silence."""

    waits: ClassVar[list[float | None]] = []

    def __init__(self) -> None:
        self.rest: Iterator[Event] = iter(SCRIPT)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self, timeout: float | None = None) -> Event:
        self.waits.append(timeout)
        for each in self.rest:
            return each
        raise vfiocore.WaitTimeout(110, "nothing happened")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vfiocore, "events", Scripted)
    monkeypatch.setattr(Scripted, "waits", [])


def test_a_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[    1.500000] add 0000:01:00.0",
        "[    3.000000] add 0000:02:00.0",
        "[    4.500000] resume: the system slept for 3 s",
        "[    6.000000] remove 0000:01:00.0",
    ]
    assert set(Scripted.waits) == {None}


def test_json_lines_of_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--json", "01:00.0"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["kind"], each["name"]) for each in found] == [
        ("add", OURS),
        ("resume", ""),
        ("remove", OURS),
    ]


def test_count_and_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--count", "2", OTHER]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["events", "--count", "3", OTHER, "--timeout", "60"]) == 1
    assert all(left is not None and 0 <= left <= 60 for left in Scripted.waits[-3:])


@pytest.mark.parametrize(
    "words", [("--watch",), ("--count", "0"), ("--timeout", "-1"), ("01:00",), ("--timeout", "nan")]
)
def test_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", *words]) == 2
    assert "vfio" in capsys.readouterr().err


CODE = """
import sys, threading, time
import vfiocore
from vfiocore import fake
from vfiocore.cli import main
device = vfiocore.open("fake:e1000e")
vfiocore.open = lambda name, **_: device
threading.Timer(0.2, fake.set, (device, fake.Knob.ERROR, 1 << 18)).start()
sys.exit(main(sys.argv[1:]))
"""


def test_errors_of_a_watched_device_until_ctrl_c() -> None:
    command = [sys.executable, "-c", CODE, "events", "--watch", "fake:e1000e"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert "error fake:e1000e: Malformed TLP" in line
    assert (process.returncode, rest, errors) == (130, "", "")
