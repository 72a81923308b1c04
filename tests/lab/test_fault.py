# SPDX-License-Identifier: MIT
"""All or nothing on the real kernel: every system call of a sequence fails in turn."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FAULT = Path(__file__).parents[2] / "build" / "tests" / "unit" / "unit-fault"


# edu, because it has no reset: hundreds of opens of a device that has one take a minute.


def sweep(name: str, transport: str) -> None:
    done = subprocess.run(
        [str(FAULT), name],
        env={**os.environ, "VFIOCORE_TRANSPORT": transport},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = ["open", "shared space", "interrupts", "events"]
    expected += ["adopted", "sent"] * (transport in {"group", "cdev"})
    expected += ["memory"] * (not transport.startswith("noiommu"))
    expected += ["moves"] * (transport == "cdev")
    for what in expected:
        assert f"{what}: " in done.stderr


# What is undone is the library's affair and not the kernel's: each transport once is enough.
@pytest.mark.machine("intel")
def test_by_the_group(edu: str) -> None:
    sweep(edu, "group")


@pytest.mark.machine("iommufd")
@pytest.mark.lab_timeout(300)
@pytest.mark.parametrize("transport", ["cdev", "compat"])
def test_by_iommufd(edu: str, transport: str) -> None:
    sweep(edu, transport)


@pytest.mark.machine("iommufd")
def test_by_type1_version_1(edu: str) -> None:
    sweep(edu, "group-v1")


@pytest.mark.machine("noiommu")
@pytest.mark.parametrize("transport", ["noiommu", "noiommu-group"])
def test_without_an_iommu(edu: str, huge: None, transport: str) -> None:
    sweep(edu, transport)
