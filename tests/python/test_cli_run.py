# SPDX-License-Identifier: MIT
"""``vfio run`` on a fabricated machine: what it would do, and what it refuses."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from fabricated_sysfs import DISK, NIC, Machine

from vfiocore.cli import main, sysfs
from vfiocore.cli import run as module


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    monkeypatch.setattr(sysfs, "DEV", str(machine.dev))
    monkeypatch.setenv("VFIOCORE_PROC", str(machine.proc))
    return machine


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 1) -> str:
    assert main(["run", *words]) == status
    return capsys.readouterr().err


def test_a_dry_run(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.bind(NIC, "vfio-pci")
    words = ["01:00.0", "--user", "root", "02:00.0", "--memlock", "64M", "--bind", "--dry-run"]
    assert main(["run", *words, "--json", "--", "cat", "--bind", "--", "x y"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "dry_run": True,
        "steps": {
            "bind": [DISK],
            "transport": None,
            "descriptors": {"iommu": 3, NIC: 4, DISK: 5},
            "user": "root",
            "memlock": 64 << 20,
            "command": ["cat", "--bind", "--", "x y"],
        },
    }
    assert main(["run", *words, "--transport", "group", "--", "cat", "x y"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"  bind, and give back  {DISK}",
        "  transport            group",
        f"  environment          VFIOCORE_FDS=iommu=3,{NIC}=4,{DISK}=5",
        "  user                 root",
        "  locked memory        67108864",
        "  command              cat 'x y'",
    ]


def test_usage(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        ([NIC], "the command is missing: give it after --"),
        ([NIC, "--"], "the command is missing"),
        (["--", "true"], "required: BDF"),
        ([NIC, "--user", "no-such-user", "--", "true"], "no such user: 'no-such-user'"),
        ([NIC, "--user", "4000000000", "--", "true"], "no such user"),
        ([NIC, "--memlock", "64X", "--", "true"], "'64X' is not a size"),
        ([NIC, "--memlock", "-1", "--", "true"], "memlock"),
        ([NIC, "--transport", "fake", "--", "true"], "invalid choice: 'fake'"),
        (["eth0", "--", "true"], "not a PCI address"),
        ([NIC, NIC, "--", "true"], f"{NIC} is named twice"),
    ):
        assert says in refused(capsys, *words, status=2)


def test_what_cannot_be_run(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No such device" in refused(capsys, "0000:07:00.0", "--", "true")
    text = refused(capsys, NIC, "--", "true")
    assert f"{NIC} is bound to e1000e: a VFIO driver must have it" in text
    assert f"hint: sudo vfio bind {NIC}, or --bind" in text
    assert "modelled inside" in refused(capsys, "fake:e1000e", "--", "true")
    machine.use(NIC)
    for dry_run in ([], ["--dry-run"]):
        text = refused(capsys, NIC, "--bind", *dry_run, "--", "true")
        assert "the host uses it: the default route goes through it, by eth0" in text
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert "only root can run a command as root" in refused(
        capsys, NIC, "--user", "root", "--", "true"
    )
    machine.bind(NIC, "vfio-pci")
    (machine.dev / "vfio/9").unlink()
    assert "does not exist" in refused(capsys, NIC, "--", "true")


def test_descriptors_move_without_treading_on_each_other() -> None:
    """In a child, whose descriptors they overwrite."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            opened = [os.open(path, os.O_RDONLY) for path in ("/", "/dev", "/proc")]
            identities = [os.fstat(fd).st_dev for fd in opened]
            for number, fd in zip((5, 3, 4), opened, strict=True):
                os.dup2(fd, number)
            module._place([5, 3, 4])
            found = [os.fstat(number).st_dev for number in (3, 4, 5)]
            inherited = [os.get_inheritable(number) for number in (3, 4, 5)]
            status = 0 if found == identities and all(inherited) else 2
        finally:
            os._exit(status)
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_sizes_and_users() -> None:
    assert [module._size(text) for text in ("0", "65536", "64k", "2G", "unlimited")] == [
        0,
        65536,
        65536,
        2 << 30,
        -1,
    ]
    assert module._user("0") == pwd.getpwuid(0) == module._user("root")
