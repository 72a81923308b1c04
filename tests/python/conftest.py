# SPDX-License-Identifier: MIT
"""Fixtures on the fake transport: no device, no privileges, no kernel support."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    """The source tree."""
    return ROOT


@pytest.fixture
def device() -> Iterator[vfiocore.Device]:
    """A fake network card."""
    with vfiocore.open("fake:e1000e") as opened:
        yield opened


@pytest.fixture
def nic(device: vfiocore.Device) -> Iterator[vfiocore.Nic]:
    """Its interface, whose transmitter is wired to its own receiver, with the link up."""
    with device.nic() as opened:
        opened.wait_link(60)
        yield opened


@pytest.fixture
def leaks(device: vfiocore.Device) -> Iterator[None]:
    """After the test no more memory is mapped and pinned than before."""
    from vfiocore import fake

    def counts() -> list[int]:
        return [fake.get(device, knob) for knob in (fake.Knob.MAPPINGS, fake.Knob.PINNED)]

    before = counts()
    yield
    assert counts() == before
