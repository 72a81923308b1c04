# SPDX-License-Identifier: MIT
"""Binding to vfio-pci on a real kernel: remembered, verified, undone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore import pci
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
