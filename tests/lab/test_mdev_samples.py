# SPDX-License-Identifier: MIT
"""The kernel's sample drivers of mediated devices, which look like PCI devices: others' code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import mdev
import pytest

import vfiocore
from vfiocore import DeviceKind

pytestmark = pytest.mark.machine("iommufd")

# A 16550's registers, in I/O BAR 0.
SCRATCH, MODEM_CONTROL, LINE_STATUS, LOOP, DATA_READY = 7, 4, 5, 0x10, 0x01


@contextmanager
def sample(module: str, kind: str, parent: str) -> Iterator[str]:
    subprocess.run(["modprobe", module], check=True)
    with mdev.created(kind, parent) as name:
        yield name
    subprocess.run(["modprobe", "-r", module], check=True)


@pytest.mark.parametrize("transport", ["group", "cdev"])
def test_mtty(transport: str) -> None:
    with sample("mtty", "1", "mtty") as name, vfiocore.open(name, transport=transport) as device:
        assert device.kind is DeviceKind.PCI
        assert (device.config.vendor, device.config.device) == (0x4348, 0x3253)
        assert {region.name for region in device.regions if region} == {"BAR0", "config"}
        counts = {info.name: info.count for info in device.irq_types}
        assert (counts["intx"], counts["msi"], counts["msix"]) == (1, 1, 0)
        port = device.bar(0)
        port.write8(SCRATCH, 0x5A)
        assert port.read8(SCRATCH) == 0x5A
        port.write8(MODEM_CONTROL, LOOP)
        port.write_block(0, b"A")
        assert port.read8(LINE_STATUS) & DATA_READY
        assert port.read8(0) == ord("A")


@pytest.mark.parametrize(
    ("module", "kind", "parent", "ids"),
    [("mdpy", "vga", "mdpy", (0x1B36, 0x000F)), ("mbochs", "small", "mbochs", (0x1234, 0x1111))],
)
def test_displays(module: str, kind: str, parent: str, ids: tuple[int, int]) -> None:
    with sample(module, kind, parent) as name, vfiocore.open(name) as device:
        assert device.kind is DeviceKind.PCI
        assert (device.config.vendor, device.config.device) == ids
        frames = device.bar(0)
        assert frames.length >= 1 << 20
        frames.write32(0x1000, 0xCAFEF00D)
        assert frames.read32(0x1000) == 0xCAFEF00D
        if module == "mbochs":  # a region of its own, beyond PCI's
            edid = device.region("edid")
            assert (edid.index, edid.type, edid.subtype) == (9, 1, 1)
            assert edid.read32(0) > 0
