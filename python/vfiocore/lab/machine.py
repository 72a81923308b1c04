# SPDX-License-Identifier: MIT
"""What a machine of the lab is, and a device of it."""

from __future__ import annotations

from dataclasses import dataclass

from . import LabError
from .emulators import Version
from .kernels import Kind

VFIO_MODULES = ("vfio", "vfio_iommu_type1", "vfio-pci")

# kernel-irqchip=split is what lets an emulated IOMMU remap interrupts under KVM; TCG ignores it.
Q35 = "q35,kernel-irqchip=split"

# caching-mode: without it the guest need not announce new mappings, and a nested VFIO user would
# miss them. intremap: without it type1 refuses MSI as unsafe.
INTEL_IOMMU = "intel-iommu,intremap=on,caching-mode=on,snoop-control=on"


@dataclass(frozen=True)
class Device:
    """One PCI function: its short name, its address in the guest, and QEMU's words for it."""

    name: str
    bdf: str
    qemu: str
    doc: str
    bound: bool = False  # the guest kernel's own driver keeps it


@dataclass(frozen=True)
class Machine:
    """One kind of guest."""

    name: str
    doc: str
    devices: tuple[Device, ...]
    iommu: str = "intel"
    iommu_device: str | None = INTEL_IOMMU
    iommu_first: bool = True  # before the devices on QEMU's command line
    kernel: Kind = "stock"
    qemu_version: Version | None = None  # the oldest QEMU that has its devices; None: any
    machine: str = Q35
    cpu: str = "max"
    memory: int = 1024  # MiB
    # One: on a host with two cores, two guests of two emulated CPUs take twice as long to boot.
    cpus: int = 1
    cmdline: tuple[str, ...] = ("intel_iommu=on",)
    modules: tuple[str, ...] = VFIO_MODULES
    qemu: tuple[str, ...] = ()

    def device(self, name: str) -> Device:
        """The device of that name."""
        for device in self.devices:
            if device.name == name:
                return device
        known = ", ".join(d.name for d in self.devices)
        raise LabError(f"machine {self.name} has no device {name!r}: it has {known}")
