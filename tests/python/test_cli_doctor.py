# SPDX-License-Identifier: MIT
"""The doctor's checks on fabricated machines, each with one thing wrong."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated_sysfs import DISK, NIC, Machine

from vfiocore.cli import checks, main, sysfs
from vfiocore.cli.checks import FAILED, OK, WARNING, Check


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    monkeypatch.setattr(sysfs, "DEV", str(machine.dev))
    machine.bind(DISK, "vfio-pci")
    return machine


def examine(machine: Machine, device: str | None = None) -> dict[str, Check]:
    return {check.name: check for check in checks.check_all(machine.system, device)}


def test_a_healthy_machine_is_all_green(machine: Machine) -> None:
    found = list(checks.check_all(machine.system, DISK))
    assert {check.status for check in found} == {OK}
    assert [check.name for check in found] == [
        "library",
        "iommu",
        "interrupts",
        "modules",
        "driver",
        "container",
        "isolation",
        "pinning",
        "memlock",
        "device",
        "device",
        "reset",
    ]
    assert {check.status for check in checks.check_all(machine.system)} == {OK}


def _cmdline(text: str) -> Callable[[Machine], None]:
    return lambda machine: machine.write(machine.proc / "cmdline", text)


def _no_tables(machine: Machine) -> None:
    (machine.sysfs / "firmware/acpi/tables/DMAR").unlink()
    (machine.sysfs / "class/iommu/dmar0/intel-iommu/ecap").unlink()
    (machine.sysfs / "class/iommu/dmar0/intel-iommu").rmdir()
    (machine.sysfs / "class/iommu/dmar0").rmdir()


def _in_a_vm(machine: Machine) -> None:
    _no_tables(machine)
    machine.write(machine.proc / "cpuinfo", "flags\t\t: fpu hypervisor lm")


@pytest.mark.parametrize(
    ("harm", "detail", "cure"),
    [
        (_cmdline("quiet"), "the kernel does not use it by itself", "add intel_iommu=on"),
        (_cmdline("intel_iommu=off"), "switched off by intel_iommu=off", "remove intel_iommu=off"),
        (_cmdline("iommu=off intel_iommu=on"), "switched off by iommu=off", "remove iommu=off"),
        (_cmdline("intel_iommu=on"), "the kernel has made no groups", "dmesg"),
        (_no_tables, "the firmware describes no IOMMU", "VT-d"),
        (_in_a_vm, "this virtual machine has no IOMMU", "-device intel-iommu"),
    ],
)
def test_no_iommu(
    harm: Callable[[Machine], None], detail: str, cure: str, machine: Machine
) -> None:
    machine.no_iommu()
    harm(machine)
    found = examine(machine)
    assert found["iommu"].status == FAILED
    assert detail in found["iommu"].detail
    assert cure in found["iommu"].cure
    assert "interrupts" not in found  # it would only repeat the failure


def test_a_group_without_an_iommu_is_none(machine: Machine) -> None:
    for group in (machine.sysfs / "kernel/iommu_groups").iterdir():
        machine.write(group / "name", "vfio-noiommu")
    assert examine(machine)["iommu"].status == FAILED


def test_interrupts_that_cannot_be_remapped(machine: Machine) -> None:
    machine.iommu(ecap=0)
    found = examine(machine)["interrupts"]
    assert found.status == FAILED
    assert "dmar0 cannot remap interrupts" in found.detail
    parameter = machine.sysfs / "module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
    machine.write(parameter, "Y")
    assert examine(machine)["interrupts"].status == WARNING


def test_interrupt_remapping_turned_off(machine: Machine) -> None:
    machine.write(machine.proc / "cmdline", "intel_iommu=on intremap=off")
    found = examine(machine)["interrupts"]
    assert (found.status, found.cure.split("\n")[0]) == (
        FAILED,
        "remove it from there and boot again,",
    )


def _unload(machine: Machine) -> None:
    for module in ("vfio", "vfio_iommu_type1", "vfio_pci"):
        (machine.sysfs / "module" / module / "refcnt").unlink()
        (machine.sysfs / "module" / module).rmdir()
    machine.bind(DISK, "")
    (machine.sysfs / "bus/pci/drivers/vfio-pci").rmdir()


def test_modules_that_are_missing(machine: Machine) -> None:
    _unload(machine)
    found = examine(machine)
    assert found["modules"].status == FAILED
    assert "vfio_pci missing" in found["modules"].detail
    assert "CONFIG_VFIO_PCI" in found["modules"].cure
    assert "driver" not in found


def test_modules_that_can_be_loaded(machine: Machine) -> None:
    _unload(machine)
    machine.write(
        machine.modules / "modules.dep",
        "kernel/drivers/vfio/vfio.ko.xz:\n"
        "kernel/drivers/vfio/vfio_iommu_type1.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n"
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz",
    )
    found = examine(machine)["modules"]
    assert found.detail == "vfio loadable, vfio_iommu_type1 loadable, vfio_pci loadable"
    assert found.cure.startswith("sudo modprobe vfio-pci\n")


def test_modules_that_are_built_in(machine: Machine) -> None:
    _unload(machine)
    machine.driver("vfio-pci")
    machine.write(
        machine.modules / "modules.builtin",
        "kernel/drivers/vfio/vfio.ko\nkernel/drivers/vfio/vfio_iommu_type1.ko",
    )
    found = examine(machine)["modules"]
    assert (found.status, found.detail) == (
        OK,
        "vfio built in, vfio_iommu_type1 built in, vfio_pci loaded",
    )


def test_container_node(machine: Machine) -> None:
    (machine.dev / "vfio/vfio").unlink()
    found = examine(machine)["container"]
    assert (found.status, found.cure.startswith("sudo modprobe vfio")) == (FAILED, True)
    machine.write(machine.dev / "iommu")
    assert examine(machine)["container"].status == OK


def test_container_node_that_may_not_be_opened(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checks, "_open_problem", lambda path: PermissionError(13, "Permission denied")
    )
    found = examine(machine)["container"]
    assert found.status == FAILED
    assert found.detail.endswith("Permission denied")
    assert "chmod 0666" in found.cure


def test_unsafe_mode_is_pointed_out(machine: Machine) -> None:
    machine.write(machine.sysfs / "module/vfio/parameters/enable_unsafe_noiommu_mode", "Y")
    assert examine(machine)["isolation"].status == WARNING


def test_locked_pages_that_may_be_moved(machine: Machine) -> None:
    machine.write(machine.sysfs / "module/vfio/parameters/enable_unsafe_noiommu_mode", "Y")
    assert examine(machine)["pinning"].status == OK
    machine.write(machine.proc / "sys/vm/compact_unevictable_allowed", "1\n")
    machine.write(machine.proc / "sys/kernel/numa_balancing", "2\n")
    found = examine(machine)["pinning"]
    assert found.status == WARNING
    assert "memory compaction and NUMA balancing may move a page" in found.detail
    assert found.cure == (
        "sudo sysctl vm.compact_unevictable_allowed=0; sudo sysctl kernel.numa_balancing=0"
    )
    machine.write(machine.proc / "sys/vm/compact_unevictable_allowed", "0\n")
    assert examine(machine)["pinning"].cure == "sudo sysctl kernel.numa_balancing=0"


_NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "status", "text"),
    [
        ((_NO_LIMIT, _NO_LIMIT), OK, "unlimited"),
        ((1 << 30, 1 << 30), OK, "1 GiB of memory can be mapped for DMA (hard limit 1 GiB)"),
        ((8 << 20, 8 << 20), WARNING, "8 MiB of memory"),
        ((64 << 10, _NO_LIMIT), FAILED, "64 KiB of memory"),
    ],
)
def test_locked_memory(
    limits: tuple[int, int],
    status: str,
    text: str,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine.write(machine.proc / "self/status", "CapEff:\t0000000000000000")
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    found = examine(machine)["memlock"]
    assert found.status == status
    assert text in found.detail
    if status != OK:
        assert "LimitMEMLOCK=infinity" in found.cure


def test_nodes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine(machine)["nodes"].status == OK
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = examine(machine)["nodes"]
    assert found.status == FAILED
    assert "vfio bind BDF --user" in found.cure
    (machine.dev / "vfio/10").unlink()
    assert examine(machine)["nodes"].status == WARNING


def test_a_device_in_a_blocked_group(machine: Machine) -> None:
    machine.bind(NIC, "vfio-pci")
    found = [check for check in checks.check_all(machine.system, NIC) if check.name == "device"]
    assert found[-1].status == FAILED
    assert found[-1].detail == "0000:01:00.1 of group 9 is bound to snd_hda_intel"
    assert examine(machine, NIC)["reset"].status == WARNING


def test_a_device_without_an_iommu(machine: Machine) -> None:
    machine.device("0000:03:00.0", 0x1AF4, 0x1041, 0xFF0000)
    found = [c for c in checks.check_all(machine.system, "0000:03:00.0") if c.status == FAILED]
    assert [check.detail for check in found] == [
        "no IOMMU translates for it",
        "it is bound to no driver",
    ]
    assert found[0].cure.startswith("it sits where the IOMMU does not reach")
    machine.no_iommu()
    found = [c for c in checks.check_all(machine.system, DISK) if c.name == "device"]
    assert found[1].cure == "see iommu above"


def test_a_device_that_is_not_there(machine: Machine) -> None:
    found = examine(machine, "0000:0f:00.0")["device"]
    assert found.status == FAILED
    assert "No such device" in found.detail


def test_the_verb(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks.System, "of_this_machine", classmethod(lambda _: machine.system))
    assert main(["doctor", DISK]) == 0
    assert capsys.readouterr().out.endswith("\nVFIO can work here\n")
    assert main(["doctor", NIC]) == 1
    assert "cure the first, then run this again" in capsys.readouterr().out
    assert main(["doctor", NIC, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert set(document["checks"][0]) == {"name", "status", "detail", "cure"}


def test_without_the_library_the_rest_is_still_checked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfiocore._native import loader

    monkeypatch.setattr(loader, "lib", loader.Library())
    monkeypatch.setenv("VFIOCORE_LIBRARY", "/nowhere/libvfiocore.so.0")
    found = examine(machine, DISK)
    assert found["library"].status == FAILED
    assert "/nowhere/libvfiocore.so.0" in found["library"].detail
    assert found["iommu"].status == OK
    assert "device" not in found
