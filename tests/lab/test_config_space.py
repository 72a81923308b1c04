# SPDX-License-Identifier: MIT
"""Config space on the real kernel: decoded as lspci does, and what VFIO makes of it; ROM, VGA."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lspci_fields
import vfiocore
from vfiocore import pci, rom
from vfiocore.cli import main
from vfiocore.config import ConfigSpace
from vfiocore.lab.machines import Machine
from vfiocore.virtualised import Kind, VirtualisedRegister, examine

# Functions, different fields and all fields that are compared at least: what each machine has.
FLOORS = {"intel": (13, 330, 1300), "width": (11, 325, 1200), "shared": (12, 330, 1280)}
FLOORS["display"] = (18, 360, 2250)


@pytest.mark.machine(*FLOORS)
@pytest.mark.lab_timeout(120)
def test_decoded_as_lspci_does(lab_machine: Machine) -> None:
    # -b: what the registers say, where the kernel has moved a VGA card's ROM in its own books.
    theirs = lspci_fields.run("-b")
    result = lspci_fields.Comparison()
    assert {f"0000:{name}" for name in theirs} == set(pci.names())
    for name, sections in theirs.items():
        lspci_fields.compare(pci.config(name), sections, result)
    assert not result.different, "\n".join(result.different)
    figures = len(theirs), len(result.fields), result.count
    print(f"{lab_machine.name}: functions, fields, all:", figures)
    assert all(
        found >= least for found, least in zip(figures, FLOORS[lab_machine.name], strict=True)
    ), figures


@pytest.mark.machine(*FLOORS)
@pytest.mark.lab_timeout(120)
def test_vfio_and_sysfs_show_one_list(
    lab_machine: Machine, bound: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    shorts = [device.name for device in lab_machine.devices]
    names = {short: bound(short) for short in shorts}
    for name in names.values():
        real = pci.config(name)
        with vfiocore.open(name) as device:
            shown = device.config.snapshot()
            assert shown.walk() == device.config.capabilities()
        known = {(c.id, c.extended, c.offset) for c in real.walk()}
        assert {(c.id, c.extended, c.offset) for c in shown.walk()} <= known
        assert shown.header.vendor.raw == real.header.vendor.raw
        assert main(["config", name, "--json"]) == 0
        by_vfio = json.loads(capsys.readouterr().out)
        assert main(["config", name, "--sysfs", "--json"]) == 0
        by_sysfs = json.loads(capsys.readouterr().out)
        assert by_vfio["source"].startswith("VFIO")
        assert by_vfio["header"].keys() == by_sysfs["header"].keys()
        assert by_vfio["sizes"] == by_sysfs["sizes"]


@pytest.mark.machine("intel")
def test_an_ordinary_user_sees_the_header(lab_machine: Machine, ordinary_user: int) -> None:
    name = lab_machine.device("nic0").bdf
    done = subprocess.run(
        [sys.executable, "-m", "vfiocore.cli", "config", name],
        user=ordinary_user,
        group=ordinary_user,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ethernet controller, 64 bytes via sysfs" in done.stdout
    assert "only root sees more than 64 bytes" in done.stdout


def _by_name(found: list[VirtualisedRegister]) -> dict[str, VirtualisedRegister]:
    return {f"{entry.structure}.{entry.name}": entry for entry in found}


@pytest.mark.machine("intel", "iommufd")
def test_what_the_kernel_makes_of_it(nic0: str) -> None:
    before = pci.config(nic0).data
    with vfiocore.open(nic0) as device:
        during = pci.config(nic0).data
        found = _by_name(examine(device, write=True))
        assert pci.config(nic0).data == during  # all was put back
        assert device.config.snapshot().header.bar0.raw == ConfigSpace(before).header.bar0.raw
        device.bar(0).read32(0x8)  # and it decodes
    # Bits by linux/drivers/vfio/pci/vfio_pci_config.c: memory and bus mastering reach the device,
    # BARs, interrupts and payload sizes are the kernel's.
    command = found["header.command"].kinds
    assert command[Kind.THROUGH] & 0x0006 == 0x0006
    bar = found["header.bar0"].kinds
    assert bar[Kind.EMULATED] == 0xFFFE0000  # 128 KiB
    assert bar[Kind.READ_ONLY] == 0x0001FFFF
    assert found["header.rom"].kinds[Kind.EMULATED] & 1  # its enable bit
    assert found["header.interrupt_line"].kinds == {Kind.EMULATED: 0xFF}
    assert found["MSI.data"].kinds == {Kind.EMULATED: 0xFFFF}
    assert found["MSI-X.table"].kinds == {Kind.READ_ONLY: 0xFFFFFFFF}
    severity = found["Advanced Error Reporting.uncorrectable_severity"].kinds
    assert severity[Kind.THROUGH] & 1 << 18  # malformed
    assert found["Device Serial Number.serial"].kinds == {Kind.READ_ONLY: 2**64 - 1}


@pytest.mark.machine("intel")
def test_rom(nic0: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with vfiocore.open(nic0) as device:
        assert device.rom.length == 256 << 10
        assert not device.config.snapshot().header.rom.enable  # and it can be read all the same
        data = device.rom.read_block(0, device.rom.length)
        assert [device.rom.read(0, width) for width in (1, 2)] == [0x55, 0xAA55]
        assert device.rom.read32(0) == int.from_bytes(data[:4], "little")
        with pytest.raises(vfiocore.VfioError, match="cannot be written"):
            device.rom.write8(0, 0)
        # The enable bit is the kernel's: set it, and the hardware's stays as it is.
        device.config.write32(0x30, device.config.read32(0x30) | 1)
        assert device.config.snapshot().header.rom.enable
        assert not pci.config(nic0).header.rom.enable
        assert device.rom.read_block(0, 64) == data[:64]
        device.config.command &= ~2
        with pytest.raises(vfiocore.VfioError, match="memory decoding is off"):
            device.rom.read32(0)
    images = rom.images(data)
    assert {(image.vendor, image.device) for image in images} == {(0x8086, 0x10D3)}
    assert {image.code for image in images} == {"x86 BIOS", "UEFI"}
    assert images[-1].last
    file = tmp_path / "rom"
    assert main(["dump", nic0, "rom", "--output", str(file)]) == 0
    assert "256 KiB of rom" in capsys.readouterr().out
    assert file.read_bytes() == data


@pytest.mark.machine("intel")
def test_port_bars(bound: Callable[[str], str]) -> None:
    with vfiocore.open(bound("testdev")) as device:
        header = device.config.snapshot().header
        assert header.bar1.io
        assert header.bar2.fields["type"].text == "64 bits"
        ports = device.bar(1)
        assert not ports.mappable
        # hw/misc/pci-testdev.c: a test is chosen by its number at 0, its name stands from 12 on.
        ports.write8(0, 0)
        names = [ports.read8(12 + n) for n in range(3)]
        assert bytes(names).isascii()
        for width in (1, 2, 4):
            assert ports.read(12, width) >= 0


@pytest.mark.machine("display")
def test_vga(bound: Callable[[str], str]) -> None:
    with vfiocore.open(bound("vga")) as device:
        vga = device.region(8)
        assert (vga.name, vga.length, vga.mappable) == ("VGA", 0xC0000, False)
        # Ports (IBM VGA, 2): the sequencer's index and data are neighbours.
        vga.write8(0x3C4, 0x02)
        assert vga.read8(0x3C4) == 0x02
        mask = vga.read8(0x3C5)
        vga.write16(0x3C4, 0x0102)  # both at once
        assert vga.read8(0x3C5) == 0x01
        vga.write8(0x3C5, mask)
        # Memory: in text mode what lies behind the visible page.
        place = 0xB8000 + 0x7000
        for width, value in ((2, 0x1234), (4, 0x89ABCDEF)):
            before = vga.read(place, width)
            vga.write(place, width, value)
            assert vga.read(place, width) == value
            vga.write(place, width, before)
        for outside in (0x3C4 + 0x100, 0x90000):
            with pytest.raises(vfiocore.VfioError):
                vga.read8(outside)
        assert rom.images(device.rom.read_block(0, device.rom.length))[0].class_code == 0x030000


@pytest.mark.machine("intel")
def test_no_vga_elsewhere(nic0: str) -> None:
    with vfiocore.open(nic0) as device:
        assert not device.region(8)
        with pytest.raises(vfiocore.OutOfRange, match="does not implement region 8"):
            device.region(8).read8(0x3C4)
