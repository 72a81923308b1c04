# SPDX-License-Identifier: MIT
"""Config space and its capability lists."""

from __future__ import annotations

import random

import pytest
from fabricated_config import EXTENDED as FABRICATED
from fabricated_config import with_extended

import vfiocore
from vfiocore import fake
from vfiocore.config import Capability, ConfigSpace, capability_name
from vfiocore.layouts import layout_of
from vfiocore.layouts.extended import EXTENDED
from vfiocore.layouts.names import EXTENDED_NAMES, STANDARD_NAMES
from vfiocore.layouts.standard import STANDARD
from vfiocore.registers import Register, RegisterValue, Structure


def test_header(device: vfiocore.Device) -> None:
    config = device.config
    assert (config.vendor, config.device) == (0x8086, 0x10D3)
    assert (config.class_code, config.revision) == (0x020000, 0)
    assert config.command & 3 == 3
    assert config.status & 0x10  # it has a capability list
    assert config.name == "config"
    config.command &= ~2
    assert not config.command & 2


def test_capabilities(device: vfiocore.Device) -> None:
    caps = device.config.capabilities()
    assert [cap.name for cap in caps] == [
        "Power Management",
        "MSI",
        "PCI Express",
        "MSI-X",
        "Advanced Error Reporting",
        "Device Serial Number",
    ]
    assert [cap.extended for cap in caps] == [False] * 4 + [True] * 2
    for cap in caps:
        read = device.config.read16 if cap.extended else device.config.read8
        assert read(cap.offset) == cap.id
    assert caps[0].as_dict() == {"id": 1, "offset": 0xC8, "version": 0, "extended": False}


def test_find(device: vfiocore.Device) -> None:
    assert device.config.find(0x11) == Capability(0x11, 0xA0, 0, False)
    assert device.config.find(0x03, extended=True) == Capability(3, 0x140, 1, True)
    assert device.config.find(0x03) is None
    # Power management and AER have the same number in the two lists.
    first, second = device.config.find(1), device.config.find(1, extended=True)
    assert first
    assert second
    assert first.offset != second.offset


def test_a_list_of_a_device_that_is_gone(device: vfiocore.Device) -> None:
    # All ones could be taken for a list that starts at 0xfc, whose entry points at itself.
    fake.set(device, fake.Knob.GONE, 1)
    with pytest.raises(vfiocore.DeviceGone):
        device.config.capabilities()
    with pytest.raises(vfiocore.DeviceGone):
        device.config.find(0x11)


def test_names() -> None:
    assert capability_name(0x10) == "PCI Express"
    assert capability_name(0x10, extended=True) == "SR-IOV"
    assert capability_name(0x7F) == "0x7f"


def test_snapshot(device: vfiocore.Device) -> None:
    space = device.config.snapshot()
    assert space.walk() == device.config.capabilities()
    assert space.header.command.memory == 1
    assert space.header.registers["class"].raw == 0x020000
    assert space.header.bar0.fields["type"].text == "32 bits"
    express = space.find(0x10)
    assert express
    assert (express.name, express.offset) == ("PCI Express", 0xE0)
    assert express.link_status.fields["speed"].text == "2.5 GT/s"
    assert (express.link_status.width, express.link_status.at) == (1, 0xF2)
    assert int(express.flags) == 1
    assert "link_status" in dir(express)
    assert "speed" in dir(express.link_status)
    assert space.find(0x7F) is None
    with pytest.raises(AttributeError, match="PCI Express has no register 'slot_control'"):
        express.slot_control  # noqa: B018
    with pytest.raises(AttributeError, match="the register flags has no field 'speed'"):
        express.flags.speed  # noqa: B018
    fake.set(device, fake.Knob.GONE, 1)
    with pytest.raises(vfiocore.DeviceGone):
        device.config.snapshot()


def test_a_copy_of_the_header_alone(device: vfiocore.Device) -> None:
    space = ConfigSpace(device.config.read_block(0, 64))
    assert space.is_header_only
    assert space.capabilities == []
    for length in (0, 63, 4097):
        with pytest.raises(vfiocore.InvalidArgument, match="64 to 4096 bytes"):
            ConfigSpace(bytes(length))


def test_tables() -> None:
    # A register or field of such a name could not be reached as an attribute.
    taken = {*dir(Structure("", 0, ())), "id", "capability"}
    in_register = {*dir(RegisterValue(Register("", 0, 1), 0, 0))}
    names = [*STANDARD_NAMES.items()], [*EXTENDED_NAMES.items()]
    for extended, known in enumerate(names):
        for id, _ in known:
            for register in layout_of(id, bool(extended)).registers:
                bits = [set(range(f.low, f.low + f.width)) for f in register.fields]
                assert register.name not in taken
                assert not in_register & {f.name for f in register.fields}
                assert len({f.name for f in register.fields}) == len(register.fields)
                assert sum(map(len, bits)) == len(set().union(*bits)), (id, register.name)
                assert max(set().union(*bits), default=0) < 8 * register.width
    assert set(STANDARD) == set(STANDARD_NAMES)
    assert set(EXTENDED) == set(EXTENDED_NAMES) - {0}


def hostile(at: int, data: str, *more: tuple[int, str]) -> ConfigSpace:
    space = bytearray(4096)
    space[0x06] = 0x10
    for offset, text in ((at, data), *more):
        part = bytes.fromhex(text)
        space[offset : offset + len(part)] = part
    return ConfigSpace(bytes(space))


@pytest.mark.parametrize(
    ("space", "what"),
    [
        (hostile(0x34, "40", (0x40, "01 40")), "loops: offset 0x40 points at 0x40"),
        (hostile(0x34, "20"), "leaves its space: offset 0x34 points at 0x20"),
        (
            hostile(0x34, "40", (0x40, "11 48"), (0x48, "01 00")),
            "overlaps: offset 0x40 points at 0x48",
        ),
        (hostile(0x34, "f8", (0xF8, "11 00")), "runs past the end: offset 0x34 points at 0xf8"),
        (
            hostile(0x100, "01 00 01 ff", (0xFF0, "10 00 01 00")),
            "runs past the end: offset 0x100 points at 0xff0",
        ),
        (
            hostile(0x100, "01 00 01 12", (0x120, "0d 00 01 00")),
            "overlaps: offset 0x100 points at 0x120",
        ),
        # A PCI Express capability of version 2 has 60 bytes.
        (hostile(0x34, "d0", (0xD0, "10 00 02 00")), "runs past the end"),
    ],
)
def test_hostile_lists(space: ConfigSpace, what: str) -> None:
    assert space.header.vendor.raw == 0  # which can be read all the same
    for look in (space.walk, lambda: space.capabilities, lambda: space.find(1)):
        with pytest.raises(vfiocore.Malformed, match=what):
            look()


def test_a_structure_that_says_it_is_longer_than_its_space() -> None:
    space = hostile(0x34, "f0", (0xF0, "09 00 14 00"))
    assert len(space.walk()) == 1
    with pytest.raises(vfiocore.Malformed, match=r"offset 0xf0 runs past the end.* at 0x100"):
        space.find(0x09)


@pytest.mark.parametrize("length", [64, 256, 4096])
def test_any_bytes(length: int) -> None:
    chance = random.Random(length)
    refused = decoded = 0
    for round in range(400):
        space = bytearray(chance.randbytes(length))
        if round % 4 and length > 64:  # lists that lead somewhere
            made = bytearray(with_extended(round, chance.sample(sorted(FABRICATED), 8)))
            for _ in range(chance.randrange(12)):
                made[chance.randrange(len(made))] = chance.randrange(256)
            space = made[:length]
        try:
            known = ConfigSpace(bytes(space))
            known.windows()
            texts = [
                [field.text for field in register.fields.values()] + [register.text]
                for structure in (known.header, *known.capabilities)
                for register in structure.registers.values()
            ]
            decoded += len(texts)
        except vfiocore.Malformed:
            refused += 1
    assert decoded > 400
    assert length == 64 or refused > 40


def test_enhanced_allocation() -> None:
    entry = (0x80 << 24 | 0xFF << 16 | 0x01 << 8 | 0x10 | 4).to_bytes(4, "little").hex()
    wide = "02 00 00 f0  fe ff 0f 00  01 00 00 00  00 00 00 00"
    found = hostile(0x34, "40", (0x40, f"14 00 01 00 {entry} {wide}")).find(0x14)
    assert found
    assert found.entry0.fields["stands_for"].text == "BAR1"
    assert found.entry0.fields["primary"].text == "prefetchable memory"
    assert found.entry0_base.low == 0xF0000000
    assert found.entry0_base_upper.raw == 1
    assert found.entry0_max_offset_upper.raw == 0


def test_a_bridge_forwards() -> None:
    bridge = hostile(0x0E, "01", (0x1C, "d1 d1"), (0x20, "e0 fd f0 fd"), (0x24, "01 fe 01 00"))
    assert bridge.windows() == {
        "io": (0xD000, 0xDFFF),
        "memory": (0xFDE00000, 0xFDFFFFFF),
        "prefetch": None,
    }
    assert hostile(0x0E, "00").windows() == {}
