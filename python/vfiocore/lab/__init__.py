# SPDX-License-Identifier: MIT
"""The lab: QEMU guests with an IOMMU and emulated devices, in which commands and tests run.

Needs QEMU and a static busybox on the host, nothing else: no root, no KVM, no image to build.
The guest's root is the host's root, read-only underneath, so the same interpreter, virtual
environment and build directory are there.

>>> from vfiocore.lab.guest import run
>>> run("intel", ["ls", "/sys/kernel/iommu_groups"])    # the command's exit status
"""

from __future__ import annotations

__all__ = ["GuestError", "LabError"]


class LabError(RuntimeError):
    """The lab itself cannot do what was asked: the message says what, why and what to do."""


class GuestError(LabError):
    """A guest did not boot, panicked, hung or lost its QEMU.

    ``console`` holds the last lines of the guest's console and of QEMU's own messages.
    """

    def __init__(self, message: str, console: str = "") -> None:
        super().__init__(message)
        self.console = console
