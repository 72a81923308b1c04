# SPDX-License-Identifier: MIT
"""What a guest of the lab promises to the tests that run in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vfiocore.lab import LabError
from vfiocore.lab.host import write_whole
from vfiocore.lab.machines import Machine

PCI = Path("/sys/bus/pci/devices")


def test_is_root_on_host_lab() -> None:
    assert os.geteuid() == 0
    assert socket.gethostname() == "lab"


def test_devices_stand_where_the_machine_says(lab_machine: Machine) -> None:
    missing = [d.bdf for d in lab_machine.devices if not (PCI / d.bdf).is_dir()]
    assert missing == []


def test_no_driver_holds_a_device(lab_machine: Machine) -> None:
    held = [d.bdf for d in lab_machine.devices if (PCI / d.bdf / "driver").exists()]
    assert held == []


@pytest.mark.machine(
    *("intel", "width", "iommufd", "iommufd39", "scalable", "scalable39", "amd", "virtio")
)
def test_each_device_has_a_group_of_its_own(lab_machine: Machine) -> None:
    groups = [PCI / d.bdf / "iommu_group" / "devices" for d in lab_machine.devices]
    assert [len(list(group.iterdir())) for group in groups] == [1] * len(groups)


@pytest.mark.machine("shared")
def test_the_pair_shares_a_group(lab_machine: Machine) -> None:
    pair = [PCI / lab_machine.device(name).bdf for name in ("pair0", "pair1")]
    assert len({(device / "iommu_group").resolve() for device in pair}) == 1


@pytest.mark.machine("none", "noiommu")
def test_there_is_no_iommu() -> None:
    assert list(Path("/sys/kernel/iommu_groups").iterdir()) == []


@pytest.mark.machine("iommufd", "noiommu")
def test_huge_pages_are_reserved(lab_machine: Machine) -> None:
    root = Path("/sys/kernel/mm/hugepages")
    assert (root / "hugepages-2048kB/nr_hugepages").read_text() == "32\n"
    gigantic = (root / "hugepages-1048576kB/nr_hugepages").read_text()
    assert gigantic == ("1\n" if lab_machine.name == "iommufd" else "0\n")


def test_vfio_is_loaded() -> None:
    assert Path("/dev/vfio/vfio").is_char_device()
    assert Path("/sys/bus/pci/drivers/vfio-pci").is_dir()


def test_files_may_be_written_anywhere(tmp_path: Path) -> None:
    for directory in (tmp_path, Path(__file__).parent, Path("/usr")):
        probe = directory / "vfiocore-probe"
        probe.write_text("x")
        assert probe.read_text() == "x"
        probe.unlink()


def test_the_interpreter_is_the_hosts() -> None:
    assert Path(sys.executable).exists()
    assert sys.dont_write_bytecode


def test_loopback_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=60).close()


def test_kernel_file_systems_are_mounted() -> None:
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    assert {"overlay", "devtmpfs", "proc", "sysfs", "debugfs", "devpts"} <= kinds


@pytest.mark.kernel_log(allow=r"WARNING: said by a test")
def test_an_allowed_kernel_message_is_no_failure() -> None:
    Path("/dev/kmsg").write_text("<4>WARNING: said by a test\n")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    with pytest.raises(LabError, match="the disk is full"):
        write_whole(tmp_path / "image", bytes(1 << 20))
    assert list(tmp_path.iterdir()) == []
    subprocess.run(["umount", str(tmp_path)], check=True)
