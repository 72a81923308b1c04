# SPDX-License-Identifier: MIT
"""Virtual functions on a fabricated sysfs, their token on the model, and the command for both."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from fabricated_sysfs import NIC, Machine

import vfiocore
from vfiocore import pci, sriov
from vfiocore.cli import main

VFS = ["0000:03:10.0", "0000:03:10.2"]
PF = "0000:03:00.0"
TOKEN = uuid.UUID("2ab74924-c335-45f4-9b16-8569e5b08258")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A PF that can have eight VFs, two of which a write to its file makes."""
    made = Machine(tmp_path)
    made.device(PF, 0x8086, 0x10C9, 0x020000, driver="vfio-pci", group=20)
    for number, name in enumerate(VFS):
        made.device(name, 0x8086, 0x10CA, 0x020000, driver="vfio-pci", group=9000 + number)
        (made.path(name) / "physfn").symlink_to(made.path(PF))
        (made.path(PF) / f"virtfn{number}").symlink_to(made.path(name))
    made.write(made.path(PF) / "sriov_totalvfs", "8")
    made.write(made.path(PF) / "sriov_numvfs", "0")
    enable_sriov(made, "Y")
    monkeypatch.setenv("VFIOCORE_SYSFS", str(made.sysfs))
    monkeypatch.setenv("VFIOCORE_STATE", str(tmp_path / "state"))
    return made


def enable_sriov(machine: Machine, value: str) -> None:
    machine.write(machine.sysfs / "module/vfio_pci/parameters/enable_sriov", value)


def command(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(["sriov", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_made_listed_and_removed(machine: Machine) -> None:
    assert sriov.functions(PF) == []
    assert sriov.enable(PF, 2) == VFS
    assert pci.info(PF).sriov_count == 2
    sriov.disable(PF)
    assert sriov.functions(PF) == []


def test_refusals(machine: Machine) -> None:
    with pytest.raises(vfiocore.OutOfRange, match="1 to 8"):
        sriov.enable(PF, 9)
    with pytest.raises(vfiocore.Unsupported, match="no SR-IOV capability"):
        sriov.enable(NIC, 1)
    enable_sriov(machine, "N")
    with pytest.raises(vfiocore.Unsupported, match="modprobe vfio-pci enable_sriov=1"):
        sriov.enable(PF, 1)
    with pytest.raises(vfiocore.InvalidArgument):
        sriov.enable(PF, -1)
    with pytest.raises(vfiocore.NoDevice):
        sriov.disable("0000:7f:00.0")


def test_a_token_guards_what_is_opened_beside() -> None:
    with vfiocore.open("fake:e1000e") as pf:
        sriov.set_token(pf, TOKEN)
        with pytest.raises(vfiocore.PermissionDenied, match="vf_token"):
            vfiocore.open("fake:e1000e", iommu=pf.iommu)
        with pytest.raises(vfiocore.PermissionDenied, match="not the token"):
            vfiocore.open("fake:e1000e", iommu=pf.iommu, vf_token=uuid.uuid4())
        with vfiocore.open("fake:e1000e", iommu=pf.iommu, vf_token=str(TOKEN)) as vf:
            assert vf.bar(0).read32(8) is not None


@pytest.mark.parametrize("token", ["", "x", "2ab74924-c335-45f4-9b16-8569e5b0825"])
def test_text_that_is_no_token(token: str) -> None:
    with pytest.raises(vfiocore.InvalidArgument, match="is no UUID"):
        vfiocore.open("fake:e1000e", vf_token=token)


def test_what_is_no_token() -> None:
    wrong: Any = 7
    with pytest.raises(TypeError, match="not int"):
        vfiocore.open("fake:e1000e", vf_token=wrong)


def test_command_shows(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(PF, capsys=capsys)
    assert (status, out) == (0, f"{PF}: 0 of 8 virtual functions, bound to vfio-pci\n")


def test_command_makes_and_removes(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(PF, "--vfs", "2", "--json", capsys=capsys)
    document = json.loads(out)
    assert status == 0
    assert (document["total"], document["count"], document["changed"]) == (8, 2, True)
    assert [vf["name"] for vf in document["functions"]] == VFS
    assert {vf["driver"] for vf in document["functions"]} == {"vfio-pci"}
    status, out, _ = command(PF, capsys=capsys)
    assert f"{VFS[1]}  group 9001  vfio-pci" in out
    assert command(PF, "--vfs", "0", capsys=capsys)[0] == 0
    assert sriov.functions(PF) == []


def test_dry_run_changes_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(PF, "--vfs", "2", "--dry-run", capsys=capsys)
    assert status == 0
    assert f"echo 2 > {machine.path(PF)}/sriov_numvfs" in out
    assert sriov.functions(PF) == []


def test_command_refuses(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(NIC, capsys=capsys)
    assert status == 1
    assert "no SR-IOV capability" in err
    status, _, err = command(PF, "--vfs", "2", "--token", "nonsense", capsys=capsys)
    assert status == 2
    assert "is no UUID" in err


def test_info_names_both_sides(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    sriov.enable(PF, 2)
    assert main(["info", PF]) == 0
    assert f"2 of 8 virtual functions: {VFS[0]}, {VFS[1]}" in capsys.readouterr().out
    assert main(["info", VFS[0]]) == 0
    assert PF in capsys.readouterr().out


def test_doctor_tells_what_is_missing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    enable_sriov(machine, "N")
    main(["doctor", PF, "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["sriov"]["status"] == "warning"
    assert "enable_sriov" in checks["sriov"]["cure"]
    enable_sriov(machine, "Y")
    main(["doctor", PF, "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["sriov"]["status"] == "ok"
