# SPDX-License-Identifier: MIT
"""What stands in the way, said in C's record, in Python's exception and by the command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import vfiocore
from vfiocore import cli, pci
from vfiocore.lab.machines import Machine


def command_says(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 1
    return capsys.readouterr().err


@pytest.mark.machine("intel")
def test_no_such_device(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(vfiocore.NoDevice, match="vfio list"):
        vfiocore.open("0000:7f:00.0")
    assert "no such PCI device" in command_says(capsys, "info", "0000:7f:00.0")


@pytest.mark.machine("intel")
def test_bound_to_the_kernels_driver(
    lab_machine: Machine, kernel_nic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = lab_machine.device("nic1").bdf
    with pytest.raises(vfiocore.NoDriver, match=f"bound to e1000e.*vfio bind {name}"):
        vfiocore.open(name)
    assert "bound to e1000e" in command_says(capsys, "read", name, "bar0", "0")


@pytest.mark.machine("intel")
def test_no_permission_on_the_node(nic0: str, ordinary_user: int) -> None:
    code = f"""
import os, vfiocore
from vfiocore import cli
os.setgid({ordinary_user}); os.setuid({ordinary_user})
try:
    vfiocore.open({nic0!r})
except vfiocore.PermissionDenied as error:
    assert "vfio bind --user" in str(error), error
else:
    raise SystemExit("opened without permission")
raise SystemExit(cli.main(["read", {nic0!r}, "bar0", "0"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "vfio bind --user" in done.stderr


@pytest.mark.machine("intel")
def test_binding_without_root(lab_machine: Machine, ordinary_user: int) -> None:
    name = lab_machine.device("edu").bdf
    code = f"""
import os, vfiocore
os.setgid({ordinary_user}); os.setuid({ordinary_user})
try:
    vfiocore.pci.bind({name!r})
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "root" in done.stdout
    assert pci.info(name).driver == ""


@pytest.mark.machine("intel")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bar9", "0"), "bar9"),
        (("bar4", "0"), "does not implement"),
        (("bar0", "0x20000"), "runs past the end"),
        (("bar0", "2"), "not a multiple"),
    ],
)
def test_bad_registers(
    nic0: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    try:
        status = cli.main(["read", nic0, *words])
    except SystemExit as exit_:  # argparse's way
        status = int(exit_.code or 0)
    assert status in (1, 2)
    assert says in capsys.readouterr().err


@pytest.mark.machine("intel")
def test_a_failed_open_leaves_nothing(nic0: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for name in ("0000:7f:00.0", "nonsense", "0000:02:00.0"):
        with pytest.raises(vfiocore.VfioError):
            vfiocore.open(name)
    assert sorted(os.listdir("/proc/self/fd")) == before
    vfiocore.open(nic0).close()


@pytest.mark.machine("intel")
@pytest.mark.parametrize("transport", ["cdev", "compat"])
def test_a_kernel_without_iommufd(nic0: str, transport: str) -> None:
    with pytest.raises(vfiocore.Unsupported, match='use the transport "group"'):
        vfiocore.open(nic0, transport=transport)


@pytest.mark.machine("intel", "iommufd")
@pytest.mark.parametrize("transport", ["noiommu", "noiommu-group"])
def test_a_device_with_an_iommu_keeps_it(edu: str, transport: str) -> None:
    with pytest.raises(vfiocore.Unsupported, match="an IOMMU translates for the device"):
        vfiocore.open(edu, transport=transport)


@pytest.mark.machine("intel")
def test_a_kernel_without_the_mode() -> None:
    with pytest.raises(vfiocore.Unsupported, match=r"no such mode \(CONFIG_VFIO_NOIOMMU"):
        vfiocore.Iommu("noiommu")


@pytest.mark.machine("none")
def test_no_iommu(lab_machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    name = lab_machine.device("nic0").bdf
    with pytest.raises(vfiocore.NoIommu, match="no IOMMU"):
        vfiocore.open(name)
    with pytest.raises(vfiocore.NoIommu, match="no IOMMU group"):
        pci.bind(name)
    assert pci.info(name).driver_override == ""
    assert "IOMMU" in command_says(capsys, "read", name, "bar0", "0")
    assert cli.main(["doctor"]) == 1
    assert "IOMMU" in capsys.readouterr().out


@pytest.mark.machine("shared")
def test_a_group_that_is_not_viable(lab_machine: Machine) -> None:
    ours, other = (lab_machine.device(name).bdf for name in ("pair0", "pair1"))
    subprocess.run(["modprobe", "e1000"], check=True)
    try:
        pci.bind(ours)
        assert pci.info(other).driver == "e1000"
        with pytest.raises(vfiocore.NotViable, match=f"{other} is bound to e1000"):
            vfiocore.open(ours)
        pci.bind(other)
        with vfiocore.open(ours) as first:
            # One group, one owner: its devices share an address space or are refused.
            with vfiocore.open(other, iommu=first.iommu) as second:
                assert second.group == first.group
            with pytest.raises(vfiocore.DeviceBusy):
                vfiocore.open(other)
        pci.unbind(other)
        pci.unbind(ours)
        assert pci.info(other).driver == "e1000"
    finally:
        subprocess.run(["modprobe", "-r", "e1000"], check=True)
