# SPDX-License-Identifier: MIT
"""A machine made of files: what /sys, /dev and /proc look like, for the tests of the commands."""

from __future__ import annotations

import os
from pathlib import Path

from vfiocore.cli.checks import System

NIC = "0000:01:00.0"
SOUND = "0000:01:00.1"
PORT = "0000:00:01.0"
DISK = "0000:02:00.0"

# Power management at 0x40, MSI-X at 0x50; advanced errors at 0x100, a serial number at 0x140.
_CAPABILITIES = {
    0x34: "40",
    0x40: "01 50",
    0x50: "11 00",
    0x100: "01 00 01 14",
    0x140: "03 00 01 00",
}


class Machine:
    """An Intel machine with an IOMMU: a NIC and a sound device in one group, a disk alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sysfs = root / "sys"
        self.dev = root / "dev"
        self.proc = root / "proc"
        self.modules = root / "modules"
        for path in ("bus/pci/devices", "kernel/iommu_groups", "class/iommu", "module"):
            (self.sysfs / path).mkdir(parents=True)
        for folder in (self.dev / "vfio", self.proc / "self", self.modules):
            folder.mkdir(parents=True)
        self.write(self.sysfs / "bus/pci/drivers_probe")
        self.iommu()
        self.driver("vfio-pci")
        for module in ("vfio", "vfio_iommu_type1", "vfio_pci"):
            self.write(self.sysfs / "module" / module / "refcnt", "0")
        self.write(self.dev / "vfio/vfio")
        self.write(self.proc / "cmdline", "quiet intel_iommu=on")
        self.write(self.proc / "self/status", "CapEff:\t000001ffffffffff")
        self.device(PORT, 0x8086, 0x3420, 0x060400, driver="pcieport", group=8)
        self.device(NIC, 0x8086, 0x10D3, 0x020000, driver="e1000e", group=9)
        self.device(SOUND, 0x8086, 0x2668, 0x040300, driver="snd_hda_intel", group=9)
        self.device(DISK, 0x1B36, 0x0010, 0x010802, group=10, reset="flr bus")

    @property
    def system(self) -> System:
        """What the checks of the doctor look at."""
        return System(self.sysfs, self.dev, self.proc, self.modules)

    def write(self, path: Path, text: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n" if text else "")

    def iommu(self, ecap: int = 1 << 3) -> None:
        self.write(self.sysfs / "class/iommu/dmar0/intel-iommu/ecap", f"{ecap:x}")
        self.write(self.sysfs / "firmware/acpi/tables/DMAR")

    def driver(self, name: str) -> Path:
        path = self.sysfs / "bus/pci/drivers" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def path(self, name: str) -> Path:
        return self.sysfs / "bus/pci/devices" / name

    def device(
        self,
        name: str,
        vendor: int,
        device: int,
        code: int,
        *,
        driver: str = "",
        group: int | None = None,
        reset: str = "",
    ) -> None:
        path = self.path(name)
        numbers = {
            "vendor": vendor,
            "device": device,
            "class": code,
            "revision": 1,
            "subsystem_vendor": 0x1AF4,
            "subsystem_device": 0x1100,
        }
        for file, value in numbers.items():
            self.write(path / file, f"{value:#x}")
        self.write(path / "numa_node", "-1")
        self.write(path / "driver_override", "(null)")
        bar = "0x00000000fe000000 0x00000000fe01ffff 0x0000000000140204"
        none = "0x0000000000000000 0x0000000000000000 0x0000000000000000"
        self.write(path / "resource", "\n".join([bar] + [none] * 6))
        self._config(path / "config", vendor, device, code)
        if reset:
            self.write(path / "reset_method", reset)
        if group is not None:
            self._join(name, group)
        self.bind(name, driver)

    def _config(self, path: Path, vendor: int, device: int, code: int) -> None:
        space = bytearray(4096)
        space[0:4] = vendor.to_bytes(2, "little") + device.to_bytes(2, "little")
        space[4:8] = bytes.fromhex("06 04 10 00")
        space[8:12] = b"\x01" + code.to_bytes(3, "little")
        space[0x0E] = 1 if code >> 8 == 0x0604 else 0
        space[0x10:0x18] = bytes.fromhex("04 00 00 fe 00 00 00 00")
        space[0x3D] = 1
        for at, text in _CAPABILITIES.items():
            data = bytes.fromhex(text)
            space[at : at + len(data)] = data
        path.write_bytes(space)

    def mediated(self, name: str, group: int) -> None:
        """A device of the bus mdev, with a group that has no IOMMU of its own."""
        path = self.sysfs / "bus/mdev/devices" / name
        (path / "vfio-dev/vfio0").mkdir(parents=True)
        (path / "driver").symlink_to("../../../../bus/mdev/drivers/mtty")
        groups = self.sysfs / "kernel/iommu_groups"
        self.write(groups / str(group) / "name", "vfio-noiommu")
        (path / "iommu_group").symlink_to(groups / str(group))
        (self.sysfs / "class/vfio" / str(group)).mkdir(parents=True)
        (self.sysfs / "class/vfio-dev/vfio0").mkdir(parents=True)
        (self.sysfs / "class/vfio-dev/vfio0/device").symlink_to(path)

    def _join(self, name: str, group: int) -> None:
        folder = self.sysfs / "kernel/iommu_groups" / str(group)
        (folder / "devices").mkdir(parents=True, exist_ok=True)
        (folder / "devices" / name).symlink_to(self.path(name))
        (self.path(name) / "iommu_group").symlink_to(folder)
        (self.path(name) / "iommu").symlink_to(self.sysfs / "class/iommu/dmar0")

    def use(self, name: str) -> None:
        """The default route goes through the device."""
        folder = self.path(name) / "net/eth0"
        folder.mkdir(parents=True)
        (self.sysfs / "class/net").mkdir()
        (self.sysfs / "class/net/eth0").symlink_to(folder)
        line = "eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0"
        self.write(self.proc / "net/route", f"Iface Destination\n{line}")

    def no_iommu(self) -> None:
        """Take all groups away, as a kernel without an IOMMU has it."""
        for device in (self.sysfs / "bus/pci/devices").iterdir():
            (device / "iommu_group").unlink(missing_ok=True)
            (device / "iommu").unlink(missing_ok=True)
        for group in (self.sysfs / "kernel/iommu_groups").iterdir():
            for link in (group / "devices").iterdir():
                link.unlink()
            (group / "devices").rmdir()
            group.rmdir()

    def bind(self, name: str, driver: str) -> None:
        """What the kernel does when a driver takes a device."""
        link = self.path(name) / "driver"
        if link.is_symlink():
            (link.resolve() / name).unlink()
            link.unlink()
        if driver:
            home = self.driver(driver)
            link.symlink_to(home)
            (home / name).symlink_to(self.path(name))
        group = self.path(name) / "iommu_group"
        if "vfio" in driver and group.exists():
            self.write(self.dev / "vfio" / os.readlink(group).rpartition("/")[2])
