# SPDX-License-Identifier: MIT
"""Devices over a socket and from the environment: what is refused; the rest is in tests/lab."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

import vfiocore

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    before = sorted(os.listdir("/proc/self/fd"))
    with ours, theirs:
        yield ours, theirs
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_model_cannot_be_sent(pair: Pair) -> None:
    with vfiocore.open("fake:e1000e") as device:
        with pytest.raises(vfiocore.Unsupported, match="hands no device over"):
            device.send(pair[0])
        with pytest.raises(vfiocore.Unsupported):
            device.fileno()
        with pytest.raises(vfiocore.Unsupported):
            device.iommu.fileno()
        assert not device.shared


def test_nobody_sends(pair: Pair) -> None:
    with pytest.raises(vfiocore.WaitTimeout, match="nobody has sent a device"):
        vfiocore.receive(pair[1], timeout=0.01)
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(vfiocore.VfioError, match="the other side closed the socket"):
        vfiocore.receive(pair[1])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20])
def test_other_messages(pair: Pair, count: int) -> None:
    """However many descriptors come with it, none stays open."""
    with open(os.devnull, "rb") as null:
        socket.send_fds(pair[0], [b"hello"], [null.fileno()] * count)
        with pytest.raises(vfiocore.Malformed, match="they were closed"):
            vfiocore.receive(pair[1])


def test_what_is_no_socket() -> None:
    with pytest.raises(AttributeError):
        vfiocore.receive(3)  # type: ignore[arg-type]


def test_a_device_that_comes_late(pair: Pair) -> None:
    """It is waited for; here it is none."""
    timer = threading.Timer(0.05, pair[0].sendall, [b"x"])
    timer.start()
    with pytest.raises(vfiocore.Malformed):
        vfiocore.receive(pair[1], timeout=60)
    timer.join()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("iommu=3,0000:01:00.0", "is no list such as"),
        ("iommu=900,0000:01:00.0=901", "descriptor 900 is not open"),
        ("iommu=0,0000:01:00.0=0", "descriptor 0 is"),
    ],
)
def test_an_environment_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, value: str, says: str
) -> None:
    monkeypatch.setenv("VFIOCORE_FDS", value)
    with pytest.raises(vfiocore.InvalidArgument, match=says):
        vfiocore.open("01:00.0")
    vfiocore.open("fake:e1000e").close()
    with pytest.raises(vfiocore.NoDevice):
        vfiocore.open("0000:ff:1f.7", transport="group")


def test_an_ioas_is_of_an_iommufd() -> None:
    with open(os.devnull, "rb") as null, pytest.raises(vfiocore.InvalidArgument):
        vfiocore.Iommu.adopt(null.fileno(), ioas=1)
    with pytest.raises(vfiocore.InvalidArgument, match="does not fit"):
        vfiocore.Iommu.adopt(0, ioas=2**32)
