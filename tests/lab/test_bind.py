# SPDX-License-Identifier: MIT
"""Binding to vfio-pci on a real kernel: remembered, verified, undone."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore import cli, pci
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("intel")


@pytest.fixture
def host_driver() -> Iterator[None]:
    """The guest kernel's e1000e driver, loaded: it takes every e1000e there is."""
    subprocess.run(["modprobe", "e1000e"], check=True)
    yield
    subprocess.run(["modprobe", "-r", "e1000e"], check=True)


def test_unbind_restores_the_former_driver(lab_machine: Machine, host_driver: None) -> None:
    ours, other = lab_machine.device("nic0").bdf, lab_machine.device("nic1").bdf
    assert pci.info(ours).driver == "e1000e"
    pci.bind(ours)
    assert pci.info(ours).driver == "vfio-pci"
    assert pci.info(ours).driver_override == "vfio-pci"
    assert pci.info(other).driver == "e1000e"  # a device of the same id is left alone
    assert Path("/run/vfiocore", ours).read_text() == "e1000e"
    pci.unbind(ours)
    assert pci.info(ours).driver == "e1000e"
    assert pci.info(ours).driver_override == ""
    assert not Path("/run/vfiocore", ours).exists()


def test_a_device_without_a_driver_gets_none_back(lab_machine: Machine) -> None:
    ours = lab_machine.device("nic0").bdf
    pci.bind(ours)
    pci.bind(ours)  # again is fine, and does not forget what was before
    pci.unbind(ours)
    assert pci.info(ours).driver == ""


def test_a_device_in_use_is_not_unbound(lab_machine: Machine) -> None:
    ours = lab_machine.device("nic0").bdf
    pci.bind(ours)
    with vfiocore.open(ours):
        with pytest.raises(vfiocore.DeviceBusy, match="maybe this one"):
            pci.unbind(ours)
        assert pci.info(ours).driver == "vfio-pci"
        assert pci.info(ours).driver_override == "vfio-pci"
    pci.unbind(ours)
    assert pci.info(ours).driver == ""


def address(bdf: str) -> Path:
    """The kernel's interface has an address, and so a route."""
    (folder,) = Path(f"/sys/bus/pci/devices/{bdf}/net").iterdir()
    for words in (["link", "set", folder.name, "up"], ["addr", "add", "10.9.8.7/24", "dev"]):
        subprocess.run(["ip", *words, *([folder.name] if words[-1] == "dev" else [])], check=True)
    return folder


def test_a_host_drivers_device_stays(lab_machine: Machine, host_driver: None) -> None:
    """A slip in the address must not take the host's device away."""
    ours = lab_machine.device("nic0").bdf
    for dry_run in (True, False):
        with pytest.raises(
            vfiocore.DeviceBusy, match=r"driver e1000e has it.*no bind to be undone"
        ):
            pci.unbind(ours, dry_run=dry_run)
    interface = address(ours)
    assert pci.in_use(ours) == f"the route to 10.9.8.0/24 goes through it, by {interface.name}"
    with pytest.raises(vfiocore.DeviceBusy, match=r"route to 10\.9\.8\.0/24.*unbind --force"):
        pci.unbind(ours)
    with pytest.raises(vfiocore.DeviceBusy, match=r"route to 10\.9\.8\.0/24.*bind --force"):
        pci.bind(ours)
    assert interface.exists()
    assert cli.main(["unbind", ours]) == cli.main(["unbind", ours, "--dry-run"]) == 1
    assert interface.exists()
    pci.bind(ours, force=True)
    assert pci.info(ours).driver == "vfio-pci"
    pci.unbind(ours)  # the interface that comes back has no address
    assert pci.info(ours).driver == "e1000e"
    assert pci.in_use(ours) is None
    pci.unbind(ours, force=True)  # off, and on again by the kernel's choice
    assert pci.info(ours).driver == "e1000e"


@pytest.mark.machine("width")
def test_a_claimed_disk_is_in_use(lab_machine: Machine) -> None:
    """As by ZFS, whose disks appear in no table of the kernel's."""
    ours = lab_machine.device("nvme").bdf
    subprocess.run(["modprobe", "nvme"], check=True)  # which takes it
    node = Path("/dev/nvme0n1")
    end = time.monotonic() + 20
    while not node.exists():
        assert time.monotonic() < end, "the kernel made no disk"
        time.sleep(0.05)
    assert pci.in_use(ours) is None
    claim = os.open(node, os.O_RDONLY | os.O_EXCL)
    try:
        assert pci.in_use(ours) == "its disk nvme0n1 is claimed by a file system or a program"
        with pytest.raises(vfiocore.DeviceBusy, match="is claimed"):
            pci.unbind(ours)
    finally:
        os.close(claim)
    assert pci.in_use(ours) is None
    subprocess.run(["rmmod", "nvme"], check=True)


def test_a_bridge_keeps_its_driver(lab_machine: Machine) -> None:
    bridge = Path(f"/sys/bus/pci/devices/{lab_machine.device('nic0').bdf}").resolve().parent.name
    before = pci.info(bridge).driver
    with pytest.raises(vfiocore.Unsupported, match="it is a bridge"):
        pci.bind(bridge)
    assert pci.info(bridge).driver == before


def test_all_or_nothing_when_a_node_cannot_be_given(
    lab_machine: Machine, host_driver: None
) -> None:
    """The kernel takes no such user: the device is with its driver again."""
    ours, other = (lab_machine.device(name).bdf for name in ("nic0", "nic1"))
    subprocess.run(["mount", "--bind", "-o", "ro", "/dev/vfio", "/dev/vfio"], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", "/dev/vfio"], check=True)
    try:
        with pytest.raises(vfiocore.VfioError, match="the node could not be handed over"):
            pci.bind(ours, uid=4242)
        assert cli.main(["bind", other, ours, "--user", "4242"]) == 1
    finally:
        subprocess.run(["umount", "/dev/vfio"], check=True)
    for name in (ours, other):
        assert (pci.info(name).driver, pci.info(name).driver_override) == ("e1000e", "")
        assert not Path("/run/vfiocore", name).exists()


@pytest.mark.machine("iommufd")
def test_an_open_node_is_not_unbound(lab_machine: Machine) -> None:
    """The group's node does not tell of a device that is open by its own node and not bound to an
    iommufd yet. The kernel would wait for it nevertheless, without end."""
    ours = lab_machine.device("nic0").bdf
    pci.bind(ours)
    node = Path("/dev/vfio/devices", pci.info(ours).vfio_cdev)
    opened = os.open(node, os.O_RDWR)
    try:
        with pytest.raises(vfiocore.DeviceBusy, match=rf"process {os.getpid()} .*{node} open"):
            pci.unbind(ours, force=True)
        assert pci.info(ours).driver == "vfio-pci"
    finally:
        os.close(opened)
    pci.unbind(ours)
    assert pci.info(ours).driver == ""


def test_the_node_is_given_to_a_user(lab_machine: Machine) -> None:
    ours = lab_machine.device("nic0").bdf
    pci.bind(ours, uid=4242, gid=4243)
    node = os.stat(f"/dev/vfio/{pci.info(ours).iommu_group}")
    assert (node.st_uid, node.st_gid) == (4242, 4243)
    pci.unbind(ours)


def test_a_driver_that_is_not_loaded(lab_machine: Machine) -> None:
    ours = lab_machine.device("nic0").bdf
    with pytest.raises(vfiocore.NoDriver, match="modprobe e1000e"):
        pci.bind(ours, driver="e1000e")
    assert pci.info(ours).driver == ""


def test_a_driver_that_does_not_take_the_device(lab_machine: Machine, host_driver: None) -> None:
    ours = lab_machine.device("edu").bdf
    with pytest.raises(vfiocore.NoDriver, match="e1000e did not take the device"):
        pci.bind(ours, driver="e1000e")
    assert pci.info(ours).driver_override == ""
    assert not Path("/run/vfiocore", ours).exists()


def test_no_vfio_module(lab_machine: Machine) -> None:
    ours = lab_machine.device("nic0").bdf
    subprocess.run(["rmmod", "vfio_pci"], check=True)
    try:
        with pytest.raises(vfiocore.NoDriver, match="modprobe vfio-pci"):
            pci.bind(ours)
        with pytest.raises(vfiocore.NoDriver, match="modprobe vfio-pci"):
            vfiocore.open(ours)
    finally:
        subprocess.run(["modprobe", "vfio-pci"], check=True)
