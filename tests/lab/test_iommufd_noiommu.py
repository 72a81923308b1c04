# SPDX-License-Identifier: MIT
"""iommufd's address spaces for devices without an IOMMU, whose IOVAs are not physical addresses."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore.iommufd import Ioas, IommuFd, attach, bind, detach
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("noiommu")

PAGE = mmap.PAGESIZE


@pytest.fixture
def noiommu(lab_machine: Machine) -> Iterator[str]:
    """The node of the device edu in VFIO's no-IOMMU mode."""
    subprocess.run(["modprobe", "vfio-pci"], check=True)
    folder = Path("/sys/bus/pci/devices") / lab_machine.device("edu").bdf
    (folder / "driver_override").write_text("vfio-pci")
    Path("/sys/bus/pci/drivers_probe").write_text(folder.name)
    (node,) = (folder / "vfio-dev").iterdir()
    yield f"/dev/vfio/devices/{node.name}"
    (folder / "driver" / "unbind").write_text(folder.name)
    (folder / "driver_override").write_text("\n")


@pytest.mark.kernel_log(allow=r"vfio-pci.*no-IOMMU|vfio-noiommu|WARNING: .*noiommu")
def test_physical_addresses(noiommu: str, iommufd: IommuFd, ioas: Ioas) -> None:
    with open(noiommu, "r+b", buffering=0) as device:
        number = bind(device, iommufd)
        attach(device, ioas)
        buffer = mmap.mmap(-1, 4 * PAGE)
        for page in range(4):
            buffer[page * PAGE] = 1
        iova = ioas.map(buffer)
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for page in range(4):
                pagemap.seek((address + page * PAGE) // PAGE * 8)
                frame = int.from_bytes(pagemap.read(8), "little") & (1 << 55) - 1
                found = ioas.physical(iova + page * PAGE + 8, PAGE - 8)
                assert (found.address, found.length) == (frame * PAGE + 8, PAGE - 8)
        assert PAGE <= ioas.physical(iova, 4 * PAGE).length <= 4 * PAGE
        with pytest.raises(vfiocore.InvalidArgument, match="length is 0"):
            ioas.physical(iova, 0)
        with pytest.raises(vfiocore.IovaError, match="nothing is mapped there"):
            ioas.physical(iova + 4 * PAGE, PAGE)
        with pytest.raises(vfiocore.Unsupported, match="no IOMMU translates"):
            iommufd.hw_info(number)
        with pytest.raises(vfiocore.Unsupported, match="no IOMMU translates"):
            iommufd.hwpt(number, ioas, pasid=True)
        ioas.unmap_all()
        detach(device)
