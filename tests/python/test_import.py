# SPDX-License-Identifier: MIT
"""What importing costs, and that lazy names are all there.

Modules are counted rather than time: the count is the same on every machine.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import vfiocore

SLOW = {"asyncio", "dataclasses", "inspect", "typing", "numpy", "scapy", "subprocess", "socket"}


def modules_after(code: str) -> set[str]:
    """What running ``code`` in a fresh interpreter imports beyond what it imports anyway."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(result.stdout.split())


def test_import_loads_nothing_else() -> None:
    assert modules_after("import vfiocore") <= {"vfiocore", "__future__"}


def test_opening_a_device_is_light() -> None:
    code = "import vfiocore\nwith vfiocore.open('fake:e1000e') as d: d.iommu.alloc(1).close()"
    loaded = modules_after(code)
    assert not loaded & SLOW
    assert len(loaded) < 50, sorted(loaded)


def test_listing_devices_is_light() -> None:
    assert not modules_after("import vfiocore; vfiocore.pci.names()") & SLOW


@pytest.mark.parametrize("name", vfiocore.__all__)
def test_public_names(name: str) -> None:
    assert getattr(vfiocore, name) is not None
    assert name in dir(vfiocore)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vfiocore.nothing


@pytest.mark.parametrize(
    "name",
    [
        "config",
        "device",
        "dma",
        "errors",
        "fake",
        "iommu",
        "iommufd",
        "irq",
        "nic",
        "pci",
        "region",
    ],
)
def test_modules_list_what_they_have(name: str) -> None:
    module = importlib.import_module(f"vfiocore.{name}")
    for public in module.__all__:
        assert hasattr(module, public)
