# SPDX-License-Identifier: MIT
"""The kernel's log: which lines are trouble, and which faults they tell of."""

from __future__ import annotations

import pytest

from vfiocore.lab.kmsg import Fault, faults, unexpected

FAULTS = {
    # Linux 6.1, then 7 in legacy and in scalable mode
    "DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0x200000 "
    "[fault reason 0x05] PTE Write access is not set": Fault("0000:00:03.0", 0x200000),
    "DMAR: [DMA Read NO_PASID] Request device [0000:00:05.0] fault addr 0xffffffff000 "
    "[fault reason 0x06] PTE Read access is not set": Fault("0000:00:05.0", 0xFFFFFFFF000),
    "DMAR: [DMA Read PASID 0x0] Request device [0000:01:00.0] fault addr 0x0 "
    "[fault reason 0x06] PTE Read access is not set": Fault("0000:01:00.0", 0),
    "vfio-pci 0000:00:03.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000c "
    "address=0x20001c flags=0x0020]": Fault("0000:00:03.0", 0x20001C),
    "virtio_iommu virtio0: page fault from EP 40 at 0x300004 []": Fault("0000:00:05.0", 0x300004),
    "virtio_iommu virtio0: page fault from EP 256 at 0x0 [W]": Fault("0000:01:00.0", 0),
}

# What IOMMU debugfs adds.
HARMLESS = [
    "**     NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE    **",
    "**  IOMMU DebugFS SUPPORT HAS BEEN ENABLED IN THIS KERNEL  **",
    "DMAR: Dump dmar0 table entries for IOVA 0x300000",
    "DMAR: root entry: 0x0000000002893001",
    "DMAR: context entry: hi 0x0000000000000702, low 0x00000000070e0001",
    "DMAR: pte level: 4, pte value: 0x00000000070e4403",
    "DMAR: page table not present at level 1",
]


@pytest.mark.parametrize("line", FAULTS)
def test_a_fault(line: str) -> None:
    assert faults([*HARMLESS, line, *HARMLESS]) == [FAULTS[line]]
    assert unexpected([line], []) == [line]
    assert unexpected([line], ["nothing of the kind"]) == [line]
    assert unexpected([line], ["DMAR", "AMD-Vi", "virtio_iommu"]) == []


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 0 PID: 1 at drivers/iommu/iommu.c:1",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "Oops: 0000 [#1]",
        "Call Trace:",
        "DMAR: DRHD: handling fault status reg 2",
    ],
)
def test_trouble_that_is_no_fault_of_a_device(line: str) -> None:
    assert faults([line]) == []
    assert unexpected([line], []) == [line]


def test_what_debugfs_adds_is_no_trouble() -> None:
    assert unexpected(HARMLESS, []) == []
