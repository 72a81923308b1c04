# SPDX-License-Identifier: MIT
"""Open devices on the real kernel: what they are, and what is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vfiocore
from vfiocore import pci

pytestmark = pytest.mark.machine("intel", "iommufd")


def test_device_equals_sysfs(nic0: str) -> None:
    info = pci.info(nic0)
    with vfiocore.open(nic0) as device:
        best = "cdev" if Path("/dev/iommu").exists() else "group"
        assert device.transport == best
        assert device.group == info.iommu_group
        assert (device.config.vendor, device.config.device) == (0x8086, 0x10D3)
        assert [bar.length for bar in device.bars] == [bar.size for bar in info.bars]
        raw = Path(f"/sys/bus/pci/devices/{nic0}/config").read_bytes()
        assert device.config.read_block(0x2C, 4) == raw[0x2C:0x30]
        offsets = {(c.id, c.extended): c.offset for c in device.config.capabilities()}
        assert offsets[0x11, False] == 0xA0  # MSI-X
        assert offsets[0x10, False] == 0xE0  # PCI Express
        assert offsets[0x01, True] == 0x100  # AER


def test_iommu_windows_equal_sysfs(nic0: str) -> None:
    reserved = Path(f"/sys/bus/pci/devices/{nic0}/iommu_group/reserved_regions").read_text()
    with vfiocore.open(nic0) as device:
        for line in reserved.splitlines():
            first, last, _ = line.split()
            for low, high in device.iommu.ranges:
                assert not (low <= int(last, 16) and int(first, 16) <= high), line
        assert device.iommu.ranges[-1][1] in ((1 << 39) - 1, (1 << 48) - 1)


def test_rom_config_and_io_go_through_the_kernel(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        assert device.rom.read_block(0, 2) == b"\x55\xaa"
        assert not device.bar(2).mappable
        device.bar(2).write32(0, 0x8)  # IOADDR: the register's offset (82574L, 3.1.2)
        assert device.bar(2).read32(4) == device.bar(0).read32(0x8)  # IODATA


def test_mapped_and_kernel_accesses_agree(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        bar = device.bar(0)
        for offset in (0x0, 0x8, 0x5400, 0x5404):
            value = bar.read32(offset)
            assert bar.read_block(offset, 4) == value.to_bytes(4, "little")


def test_reset_without_a_method(edu: str) -> None:
    with vfiocore.open(edu) as device, pytest.raises(vfiocore.Unsupported, match="no way to be"):
        device.reset()


def test_a_killed_owner_leaves_the_device_usable(nic0: str) -> None:
    code = f"""
import time, vfiocore
device = vfiocore.open({nic0!r})
nic = device.nic()
nic.wait_link(60)
print("up", flush=True)
while True:
    nic.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x88\\xb5" + b"x" * 46)
"""
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"up\n"
            process.send_signal(signal.SIGKILL)
        with vfiocore.open(nic0) as device, device.nic() as nic:
            assert nic.wait_link(60).up
