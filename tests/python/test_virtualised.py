# SPDX-License-Identifier: MIT
"""What the kernel makes of config space: the model's side against hardware made up for the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated_sysfs import NIC, Machine

import vfiocore
from vfiocore.cli import main
from vfiocore.config import ConfigSpace
from vfiocore.virtualised import Kind, VirtualisedRegister, examine, probes


def by_name(found: list[VirtualisedRegister]) -> dict[str, VirtualisedRegister]:
    return {f"{entry.structure}.{entry.name}": entry for entry in found}


def hardware(device: vfiocore.Device) -> ConfigSpace:
    """Another subsystem, one more capability, and a Command register that the kernel passes on."""
    space = bytearray(device.config.read_block(0, 4096))
    space[0x2C] ^= 0x01
    space[0x142:0x144] = (0x1 | 0x160 << 4).to_bytes(2, "little")
    space[0x160:0x164] = (0x1B | 1 << 16).to_bytes(4, "little")
    space[0x10:0x14] = b"\0\0\0\xfe"
    return ConfigSpace(bytes(space))


def test_without_writing(device: vfiocore.Device) -> None:
    before = device.config.read_block(0, 4096)
    found = by_name(examine(device, hardware=lambda: hardware(device)))
    assert device.config.read_block(0, 4096) == before
    assert found["header.vendor"].kinds == {Kind.SAME: 0xFFFF}
    subsystem = found["header.subsystem_vendor"]
    assert subsystem.kinds == {Kind.VIRTUALISED: 1, Kind.SAME: 0xFFFE}
    assert (subsystem.vfio, subsystem.hardware) == (0x8086, 0x8087)
    hidden = found["Process Address Space ID.control"]
    assert hidden.kinds == {Kind.HIDDEN: 0xFFFF}


def test_with_writing(device: vfiocore.Device) -> None:
    before = device.config.read_block(0, 4096)
    found = by_name(examine(device, write=True, hardware=lambda: hardware(device)))
    assert device.config.read_block(0, 4096) == before
    command = found["header.command"].kinds
    assert command[Kind.THROUGH] & 6 == 6
    assert found["header.bar0"].kinds[Kind.EMULATED]  # the hardware's stays where it is
    assert Kind.HIDDEN in found["Process Address Space ID.control"].kinds
    register = device.config.snapshot().header.command
    assert {"memory", "master"} <= set(found["header.command"].field_kinds(register)[Kind.THROUGH])


def test_probes_leave_dangerous_bits_alone(device: vfiocore.Device) -> None:
    masks = {f"{name}.{r.name}": mask for name, r, mask in probes(device.config.snapshot())}
    assert not masks["PCI Express.device_control"] & 0x8000  # function-level reset
    assert not masks["Power Management.control"] & 0x8003  # state, and a bit that ones clear
    assert not masks["MSI.control"] & 1
    assert not masks["MSI-X.control"] & 0x8000
    assert not any("status" in name for name in masks)


def test_a_register_that_does_not_come_back(device: vfiocore.Device) -> None:
    looks = iter(range(1000))

    def restless() -> ConfigSpace:
        space = bytearray(device.config.read_block(0, 4096))
        space[0x04] = next(looks) & 0xFF
        return ConfigSpace(bytes(space))

    with pytest.raises(vfiocore.VfioError, match="did not take its former value"):
        examine(device, write=True, hardware=restless)


def test_who_is_not_root(device: vfiocore.Device) -> None:
    header = ConfigSpace(device.config.read_block(0, 64))
    with pytest.raises(vfiocore.PermissionDenied, match="only root"):
        examine(device, hardware=lambda: header)


def test_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    assert main(["config", NIC, "--write-test", "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "would flip bits of" in output
    assert "004  header" in output
    assert main(["config", NIC, "--dry-run", "--json"]) == 0
    assert '"dry_run": true' in capsys.readouterr().out
    assert main(["config", "fake:e1000e", "--virtualised"]) == 2
