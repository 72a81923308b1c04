# SPDX-License-Identifier: MIT
"""PCI devices in a made-up sysfs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import vfiocore
from vfiocore import pci

NIC = "0000:01:00.0"
DISK = "0000:02:00.0"
BRIDGE = "0000:00:1c.0"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_device(sysfs: Path, name: str, parent: str = "", **files: str) -> Path:
    """A device in the tree, as the kernel shows it: a directory, and links to it."""
    place = sysfs / "devices/pci0000:00" / parent / name
    defaults = {"vendor": "0x8086", "device": "0x10d3", "class": "0x020000", "revision": "0x01"}
    for file, text in (defaults | files).items():
        write(place / file, text + "\n")
    link = sysfs / "bus/pci/devices" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(place, link.parent))
    return place


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "sys"
    monkeypatch.setenv("VFIOCORE_SYSFS", str(root))
    add_device(root, BRIDGE, **{"class": "0x060400"})
    resource = "0x00000000fe000000 0x00000000fe01ffff 0x0000000000140204\n"
    place = add_device(root, NIC, BRIDGE, numa_node="-1", resource=resource)
    add_device(root, DISK, **{"class": "0x010802"})
    group = root / "kernel/iommu_groups/9"
    (group / "devices").mkdir(parents=True)
    (group / "devices" / NIC).symlink_to(place)
    (place / "iommu_group").symlink_to(group)
    driver = root / "bus/pci/drivers/e1000e"
    driver.mkdir(parents=True)
    (place / "driver").symlink_to(driver)
    return root


@pytest.mark.usefixtures("sysfs")
def test_devices() -> None:
    assert pci.names() == [BRIDGE, NIC, DISK]
    assert [info.name for info in pci.devices()] == [BRIDGE, NIC, DISK]


@pytest.mark.usefixtures("sysfs")
def test_info() -> None:
    info = pci.info(NIC)
    assert (info.vendor, info.device, info.class_code, info.revision) == (
        0x8086,
        0x10D3,
        0x20000,
        1,
    )
    assert (info.driver, info.iommu_group, info.numa_node) == ("e1000e", 9, -1)
    assert len(info.bars) == 6
    bar = info.bars[0]
    assert (bar.address, bar.size) == (0xFE000000, 0x20000)
    assert pci.BarFlag.WIDE in bar.flags
    assert pci.info("01:00.0") == info


@pytest.mark.usefixtures("sysfs")
def test_as_dict_is_json() -> None:
    info = pci.info(NIC).as_dict()
    assert json.loads(json.dumps(info)) == info
    assert info["bars"][0]["size"] == 0x20000


@pytest.mark.usefixtures("sysfs")
def test_group() -> None:
    assert pci.group(9) == [NIC]
    with pytest.raises(vfiocore.VfioError):
        pci.group(10)
    with pytest.raises(vfiocore.InvalidArgument):
        pci.group(-1)


@pytest.mark.usefixtures("sysfs")
def test_bad_names() -> None:
    with pytest.raises(vfiocore.NoDevice):
        pci.info("0000:07:00.0")
    for bad in ("eth0", "", "0000:01:00.9", "a\0b"):
        with pytest.raises(vfiocore.InvalidArgument):
            pci.info(bad)


# --- in_use -------------------------------------------------------------------------------------

ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    root = tmp_path / "proc"
    write(root / "net/route", ROUTES)
    write(root / "self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n")
    return root


def add_interface(sysfs: Path, name: str, place: Path) -> Path:
    directory = place / "net" / name
    directory.mkdir(parents=True)
    link = sysfs / "class/net" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(directory)
    return directory


def add_disk(sysfs: Path, name: str, directory: Path, number: str = "259:2") -> Path:
    write(directory / "dev", number + "\n")
    link = sysfs / "class/block" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(directory)
    return directory


def stack(sysfs: Path, name: str, *disks: Path) -> None:
    """A disk of device mapper, md or the like, with the links that the kernel makes."""
    upper = add_disk(sysfs, name, sysfs / "devices/virtual/block" / name, "253:0")
    (upper / "slaves").mkdir()
    for disk in disks:
        (upper / "slaves" / disk.name).symlink_to(disk)
        (disk / "holders").mkdir(exist_ok=True)
        (disk / "holders" / name).symlink_to(upper)


def place_of(sysfs: Path, name: str) -> Path:
    return (sysfs / "bus/pci/devices" / name).resolve()


def route_by(proc: Path, interface: str) -> None:
    line = f"{interface} 00000000 0100000A 0003 0 0 100 00000000 0 0 0\n"
    write(proc / "net/route", ROUTES + line)


def mount(proc: Path, number: str, place: str, source: str = "/dev/root") -> None:
    line = f"22 1 {number} / {place} rw,relatime shared:1 - ext4 {source} rw\n"
    write(proc / "self/mountinfo", line)


def used(name: str, proc: Path) -> str | None:
    return pci.in_use(name, proc=str(proc))


def test_idle(sysfs: Path, proc: Path) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    add_disk(sysfs, "nvme0n1", place_of(sysfs, DISK) / "nvme/nvme0/nvme0n1")
    assert used(NIC, proc) is None
    assert used(DISK, proc) is None
    # Routes of another interface, one that is not up, and one that is cut off.
    lines = (
        "eth1 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\neth0 0000000A 0 0000 0 0 0 0 0\neth0 0"
    )
    write(proc / "net/route", ROUTES + lines)
    assert used(NIC, proc) is None
    with pytest.raises(vfiocore.NoDevice):
        used("0000:07:00.0", proc)
    with pytest.raises(vfiocore.InvalidArgument):
        used("eth0", proc)


def test_default_route(sysfs: Path, proc: Path) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC) / "virtio0")
    route_by(proc, "eth0")
    assert used(NIC, proc) == "the default route goes through it, by eth0"
    assert used("01:00.0", proc) == "the default route goes through it, by eth0"
    assert used(BRIDGE, proc) == "the default route goes through it, by eth0"
    assert used(DISK, proc) is None


def test_default_route_of_ipv6(sysfs: Path, proc: Path) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    zero = "0" * 32
    rest = f"{zero} 00 fe80{'0' * 27}1 00000064 00000001 00000000 00000003"
    write(proc / "net/ipv6_route", f"{zero} 00 {rest} lo\n{zero} 00 {rest} eth0\n")
    assert used(NIC, proc) == "the default route goes through it, by eth0"


@pytest.mark.parametrize(
    ("destination", "mask", "says"),
    [
        ("0001A8C0", "00FFFFFF", "192.168.1.0/24"),  # where a session of ssh comes from
        ("0000000A", "000000FF", "10.0.0.0/8"),
        ("00000080", "00000080", "128.0.0.0/1"),  # half of the world, as VPNs have it
    ],
)
def test_any_other_route(sysfs: Path, proc: Path, destination: str, mask: str, says: str) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    line = f"eth0\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n"
    write(proc / "net/route", ROUTES + line)
    assert used(NIC, proc) == f"the route to {says} goes through it, by eth0"
    with (proc / "net/route").open("a") as file:
        file.write("eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0\n")
    assert used(NIC, proc) == "the default route goes through it, by eth0"


def test_other_routes_of_ipv6(sysfs: Path, proc: Path) -> None:
    """Each interface that is up has those to fe80::/64 and ff00::/8, though nobody uses it."""
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    rest = f"00 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001     eth0\n"
    local = f"fe80{'0' * 28} 40 {rest[3:]}ff{'0' * 30} 08 {rest[3:]}"
    write(proc / "net/ipv6_route", local)
    assert used(NIC, proc) is None
    write(proc / "net/ipv6_route", f"{local}20010db8{'0' * 24} 40 {rest[3:]}")
    assert used(NIC, proc) == "the route to 2001:db8::/64 goes through it, by eth0"


def test_default_route_by_a_bond_in_a_bridge(sysfs: Path, proc: Path) -> None:
    eth = add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    virtual = sysfs / "devices/virtual"
    bond = add_interface(sysfs, "bond0", virtual)
    bridge = add_interface(sysfs, "br0", virtual)
    (bond / "lower_eth0").symlink_to(eth)
    (bridge / "lower_bond0").symlink_to(bond)
    (bond / "lower_br0").symlink_to(bridge)  # a loop must not hang
    route_by(proc, "br0")
    assert used(NIC, proc) == "the default route goes through it, by br0"


def test_a_bridge_without_a_route(sysfs: Path, proc: Path) -> None:
    eth = add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    bridge = add_interface(sysfs, "br0", sysfs / "devices/virtual")
    (bridge / "lower_eth0").symlink_to(eth)
    (eth / "upper_br0").symlink_to(bridge)
    assert used(NIC, proc) == "br0 stands on its interface eth0"


def test_mounted_disk(sysfs: Path, proc: Path) -> None:
    """Whatever the mount calls it: /dev/root is the first disk of a system without an initramfs."""
    add_disk(sysfs, "nvme0n1p2", place_of(sysfs, DISK) / "nvme/nvme0/nvme0n1/nvme0n1p2")
    mount(proc, "259:2", "/my\\040data")
    assert used(DISK, proc) == "its disk nvme0n1p2 is mounted on /my data"
    assert used(NIC, proc) is None
    mount(proc, "259:20", "/")
    assert used(DISK, proc) is None


def test_device_mapper_on_a_disk(sysfs: Path, proc: Path) -> None:
    disk = add_disk(sysfs, "sda", place_of(sysfs, DISK) / "ata1/block/sda")
    stack(sysfs, "dm-0", disk)
    mount(proc, "253:0", "/")
    assert used(DISK, proc) == "its disk dm-0 is mounted on /"


def test_what_is_stacked_but_not_mounted(sysfs: Path, proc: Path) -> None:
    """A volume that a virtual machine has, or a member of md."""
    disk = add_disk(sysfs, "sda", place_of(sysfs, DISK) / "ata1/block/sda")
    stack(sysfs, "md0", disk)
    assert used(DISK, proc) == "md0 stands on its disk sda"
    assert used(NIC, proc) is None


@pytest.mark.parametrize("below", ["nvme0n1", "nvme0n1/nvme0n1p1"])
def test_multipath_namespace(sysfs: Path, proc: Path, below: str) -> None:
    controller = place_of(sysfs, DISK) / "nvme/nvme0"
    controller.mkdir(parents=True)
    subsystem = sysfs / "devices/virtual/nvme-subsystem/nvme-subsys0"
    name = Path(below).name
    add_disk(sysfs, name, subsystem / below)
    (subsystem / "nvme0").symlink_to(controller)
    write(proc / "swaps", f"Filename Type Size Used Priority\n/dev/{name} partition 1 0 -2\n")
    assert used(DISK, proc) == f"its disk {name} is swap"
    assert used(NIC, proc) is None


def test_second_disk_of_btrfs(sysfs: Path, proc: Path) -> None:
    """The mount names the first one."""
    disk = add_disk(sysfs, "sdb", place_of(sysfs, DISK) / "ata1/block/sdb")
    mount(proc, "0:31", "/", "/dev/sda")
    assert used(DISK, proc) is None
    (sysfs / "fs/btrfs/features").mkdir(parents=True)
    (sysfs / "fs/btrfs/uuid/devices").mkdir(parents=True)
    (sysfs / "fs/btrfs/uuid/devices/sdb").symlink_to(disk)
    assert used(DISK, proc) == "its disk sdb belongs to a mounted btrfs"


def test_many_mounts(sysfs: Path, proc: Path) -> None:
    """More than one read of the file."""
    add_disk(sysfs, "sda", place_of(sysfs, DISK) / "ata1/block/sda", "8:0")
    line = "22 1 0:40 / /run/" + "x" * 300 + " rw - overlay overlay rw\n"
    write(proc / "self/mountinfo", line * 2000 + "23 1 8:0 / /last rw - ext4 /dev/sda rw\n")
    assert used(DISK, proc) == "its disk sda is mounted on /last"


def test_no_proc(sysfs: Path, tmp_path: Path) -> None:
    assert pci.in_use(NIC, sysfs=str(sysfs), proc=str(tmp_path / "nothing")) is None


def test_what_cannot_be_read_is_not_called_unused(sysfs: Path, proc: Path) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    (proc / "net/route").unlink()
    (proc / "net/route").mkdir()
    with pytest.raises(vfiocore.VfioError, match="not known whether the host uses"):
        used(NIC, proc)


def test_roots_by_the_environment(sysfs: Path, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_interface(sysfs, "eth0", place_of(sysfs, NIC))
    route_by(proc, "eth0")
    monkeypatch.setenv("VFIOCORE_PROC", str(proc))
    assert pci.in_use(NIC) == "the default route goes through it, by eth0"
