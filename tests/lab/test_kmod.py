# SPDX-License-Identifier: MIT
"""The modules of kmod-tests load into the guest's kernel and tell the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mdev
import pytest

from vfiocore.lab.machines import Machine

PROBE = Path("/sys/kernel/debug/vfc_probe/device")
PCI = Path("/sys/bus/pci/devices")


@pytest.fixture(scope="module", autouse=True)
def vfc_probe() -> Iterator[None]:
    with mdev.loaded("vfc_probe"):
        yield


def _probe(bdf: str) -> dict[str, str]:
    PROBE.write_text(bdf)
    name, *facts = PROBE.read_text().split()
    assert name == bdf
    return dict(fact.split("=") for fact in facts)


@pytest.mark.machine("intel", "shared", "width")
def test_group_is_the_one_in_sysfs(lab_machine: Machine) -> None:
    for device in lab_machine.devices:
        group = (PCI / device.bdf / "iommu_group").resolve().name
        assert _probe(device.bdf)["group"] == group


@pytest.mark.machine("intel", "shared", "width")
def test_domain_is_the_kernels_before_vfio_takes_the_device(lab_machine: Machine) -> None:
    facts = [_probe(device.bdf) for device in lab_machine.devices]
    assert [fact["domain"] for fact in facts] == ["dma"] * len(facts)


@pytest.mark.machine("none")
def test_no_domain_without_an_iommu(lab_machine: Machine) -> None:
    facts = _probe(lab_machine.devices[0].bdf)
    assert facts == {"group": "-1", "domain": "none", "attached": "0"}


@pytest.mark.machine("intel", "none", "shared", "width")
def test_unknown_device_is_refused() -> None:
    with pytest.raises(OSError, match="No such device"):
        PROBE.write_text("0000:ff:1f.7")
