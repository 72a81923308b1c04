# SPDX-License-Identifier: MIT
"""Register access: widths, bounds, blocks."""

from __future__ import annotations

import pytest

import vfiocore
from vfiocore.region import Region, RegionFlag

RAL0 = 0x5400  # receive address low, a plain 32-bit register of the 82574
ALL = (8, 16, 32, 64)


@pytest.fixture
def bar(device: vfiocore.Device) -> Region:
    return device.bar(0)


def test_attributes(bar: Region, device: vfiocore.Device) -> None:
    assert (bar.index, bar.name, bar.length, len(bar)) == (0, "BAR0", 0x20000, 0x20000)
    assert bar.flags == RegionFlag.READ | RegionFlag.WRITE | RegionFlag.MMAP
    assert bar.mappable
    assert repr(bar) == "<Region fake:e1000e BAR0: 0x20000 bytes, read|write|mmap>"
    assert not device.bar(5)
    assert repr(device.bar(5)) == "<Region fake:e1000e BAR5: not implemented>"
    assert device.bar(0) is bar


def test_names_and_areas(bar: Region, device: vfiocore.Device) -> None:
    assert device.region("bar0") is bar
    assert device.region("VGA").index == 8
    with pytest.raises(vfiocore.InvalidArgument, match='no region "fifo"; there are BAR0'):
        device.region("fifo")
    assert bar.areas == ((0, 0x20000),)
    assert device.region("config").areas == ()
    assert (bar.type, bar.subtype) == (0, 0)
    assert device.kind is vfiocore.DeviceKind.PCI
    names = [info.name for info in device.irq_types]
    assert names == ["intx", "msi", "msix", "err", "req"]


def test_widths(bar: Region) -> None:
    bar.write32(RAL0, 0x11223344)
    assert bar.read32(RAL0) == 0x11223344
    assert bar.read16(RAL0 + 2) == 0x1122
    assert bar.read8(RAL0) == 0x44
    assert bar.read64(RAL0) & 0xFFFFFFFF == 0x11223344
    assert bar.read(RAL0, 4) == 0x11223344


@pytest.mark.parametrize("bits", ALL)
def test_value_must_fit(bar: Region, bits: int) -> None:
    for value in (1 << bits, -1):
        with pytest.raises(ValueError, match="does not fit"):
            getattr(bar, f"write{bits}")(RAL0, value)


@pytest.mark.parametrize("bits", ALL)
def test_bounds(bar: Region, bits: int) -> None:
    read, write = getattr(bar, f"read{bits}"), getattr(bar, f"write{bits}")
    for offset in (bar.length, bar.length + 8, -8, 2**64, 2**64 + RAL0):
        with pytest.raises(vfiocore.OutOfRange):
            read(offset)
        with pytest.raises(IndexError):
            write(offset, 0)


@pytest.mark.parametrize("bits", ALL[1:])
def test_alignment(bar: Region, bits: int) -> None:
    with pytest.raises(vfiocore.Misaligned, match="is not a multiple"):
        getattr(bar, f"read{bits}")(1)
    with pytest.raises(vfiocore.Misaligned):
        getattr(bar, f"write{bits}")(1, 0)


def test_odd_width(bar: Region) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match="1, 2, 4 or 8 bytes wide"):
        bar.read(0, 3)
    for width in (3, -1):
        with pytest.raises(vfiocore.InvalidArgument, match="1, 2, 4 or 8 bytes wide"):
            bar.write(0, width, 1)


@pytest.mark.parametrize("bits", ALL)
def test_wrong_types(bar: Region, bits: int) -> None:
    """A TypeError, which ctypes' own error is not."""
    for what in ("8", 8.0, None):
        with pytest.raises(TypeError, match=r"integer|not supported"):
            getattr(bar, f"read{bits}")(what)
        with pytest.raises(TypeError, match=r"integer|not supported"):
            getattr(bar, f"write{bits}")(what, 0)
        with pytest.raises(TypeError):
            getattr(bar, f"write{bits}")(RAL0, what)


def test_modify(bar: Region) -> None:
    bar.write32(RAL0, 0xFF00)
    assert bar.modify32(RAL0, clear=0xF000, set=0x1) == 0x0F01
    assert bar.read32(RAL0) == 0x0F01


def test_not_implemented(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.OutOfRange, match="does not implement"):
        device.bar(4).read32(0)


def test_blocks(device: vfiocore.Device) -> None:
    config = device.config
    header = config.read_block(0, 64)
    assert header[:4] == bytes.fromhex("8680d310")
    into = bytearray(64)
    assert config.read_into(0, into) == 64
    assert into == header
    config.write_block(0x3C, b"\x0b")
    assert config.read8(0x3C) == 0x0B
    assert config.read_block(0, 0) == b""


def test_block_bounds(device: vfiocore.Device) -> None:
    config = device.config
    for offset, length in ((0, 4097), (4096, 1), (-1, 2), (0, -1), (2**64, 4)):
        with pytest.raises(vfiocore.OutOfRange):
            config.read_block(offset, length)
    with pytest.raises(vfiocore.OutOfRange):
        config.write_block(4095, b"ab")
    with pytest.raises(TypeError):
        config.read_into(0, bytes(4))
