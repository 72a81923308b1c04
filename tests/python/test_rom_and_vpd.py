# SPDX-License-Identifier: MIT
"""The images of a ROM, and vital product data: right ones, and whatever bytes there may be."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import pytest

import vfiocore
from vfiocore import rom, vpd
from vfiocore.cli import main
from vfiocore.config import Capability, Config


def image(code: int, last: bool, units: int = 1) -> bytearray:
    data = bytearray(512 * units)
    data[0:2] = b"\x55\xaa"
    data[0x18:0x1A] = b"\x40\0"
    data[0x40:0x58] = bytes.fromhex("50434952 8680d310 0000 1800 00 000002") + bytes(
        [units, 0, 1, 0, code, last << 7, 0, 0]
    )
    return data


def test_images() -> None:
    found = rom.images(bytes(image(0, False, 3) + image(3, True)) + b"\xff" * 512)
    assert [(i.offset, i.length, i.code, i.last) for i in found] == [
        (0, 1536, "x86 BIOS", False),
        (1536, 512, "UEFI", True),
    ]
    assert (found[0].vendor, found[0].device, found[0].class_code) == (0x8086, 0x10D3, 0x020000)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "offset 0x0 of the ROM: the signature"),
        (b"\xff" * 512, "the signature 55 aa is missing"),
        (bytes(image(0, False)), "no image begins at offset 0x200"),
        (bytes(image(0, True, 4))[:1024], "says that it has 0x800 bytes"),
        (b"\x55\xaa" + bytes(510), "no PCI data structure at 0x0"),
    ],
)
def test_roms_that_are_malformed(data: bytes, what: str) -> None:
    with pytest.raises(vfiocore.Malformed, match=what):
        rom.images(data)


def resource(tag: int, data: bytes) -> bytes:
    return bytes([tag]) + len(data).to_bytes(2, "little") + data


def vital(serial: bytes = b"0042") -> bytes:
    name = resource(0x82, b"A card")
    part = b"PN\x03123SN" + bytes([len(serial)]) + serial + b"RV\x01"
    start = name + b"\x90" + (len(part) + 1).to_bytes(2, "little") + part
    checksum = bytes([-sum(start) % 256])
    return start + checksum + resource(0x91, b"V0\x02hi") + b"\x78"


def word(data: bytes) -> Any:
    return lambda offset: data[offset : offset + 4].ljust(4, b"\0")


def test_vital_product_data() -> None:
    found = vpd.parse(word(vital()))
    assert found.identifier == "A card"
    assert found.read_only["PN"] == b"123"
    assert found.read_only["SN"] == b"0042"
    assert found.read_write == {"V0": b"hi"}
    assert found.checksum
    assert not vpd.parse(word(vital().replace(b"0042", b"0043"))).checksum


def test_any_bytes() -> None:
    chance = random.Random(1)
    for round in range(500):
        data = bytearray(vital() + image(0, True) if round % 2 else chance.randbytes(600))
        data[chance.randrange(len(data))] = chance.randrange(256)
        for look in (lambda d=data: vpd.parse(word(bytes(d))), lambda d=data: rom.images(bytes(d))):
            try:
                look()
            except vfiocore.Malformed:
                continue


class Scripted:
    """Config space whose VPD registers work; ``busy`` is how often one has to look."""

    def __init__(self, data: bytes, busy: int = 2) -> None:
        self.data, self.busy, self.address, self.left = data, busy, 0, 0

    def find(self, id: int) -> Capability | None:
        return Capability(id, 0x40, 0, False) if self.data else None

    def write16(self, offset: int, value: int) -> None:
        assert (offset, value & 0x8003) == (0x42, 0)
        self.address, self.left = value, self.busy

    def read16(self, offset: int) -> int:
        assert offset == 0x42
        self.left -= 1
        return self.address | (0x8000 if self.left <= 0 else 0)

    def read32(self, offset: int) -> int:
        assert offset == 0x44
        assert self.left <= 0
        return int.from_bytes(word(self.data)(self.address), "little")


def test_the_handshake() -> None:
    assert vpd.read(cast(Config, Scripted(vital()))).read_only["SN"] == b"0042"
    with pytest.raises(vfiocore.WaitTimeout, match="gave no vital product data at 0x0"):
        vpd.read(cast(Config, Scripted(vital(), 10**9)), timeout=0.01)
    with pytest.raises(vfiocore.Unsupported, match="no Vital Product Data"):
        vpd.read(cast(Config, Scripted(b"")))


def test_device_without_vpd(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.Unsupported, match="no Vital Product Data"):
        device.config.vpd()


def test_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", "fake:e1000e", "config", "--length", "16"]) == 0
    assert capsys.readouterr().out.startswith("000: 86 80 d3 10 ")
    file = tmp_path / "config"
    assert main(["dump", "fake:e1000e", "config", "--output", str(file), "--json"]) == 0
    assert '"length": 4096' in capsys.readouterr().out
    assert file.read_bytes()[:4] == bytes.fromhex("8680d310")
    assert main(["dump", "fake:e1000e", "config", "--offset", "0xfff", "--length", "2"]) == 1
