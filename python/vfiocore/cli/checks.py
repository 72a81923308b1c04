# SPDX-License-Identifier: MIT
"""The checks of ``vfio doctor``, in the order in which things must be right."""

from __future__ import annotations

import os
import re
import resource
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import sysfs
from .output import describe_error, human_size, plural

__all__ = ["FAILED", "OK", "WARNING", "Check", "System", "check_all"]

OK, WARNING, FAILED = "ok", "warning", "failed"

_CAP_IPC_LOCK = 14  # linux/capability.h: locked memory is not limited
_INTEL_ECAP_IR = 1 << 3  # VT-d specification 11.4.3: interrupt remapping
_MEMLOCK_USEFUL = 64 << 20  # a NIC's rings and buffers, with room for an application's own
_MEMLOCK_LEAST = 4 << 20  # less than the buffers of one queue of a NIC
_ELSEWHERE = (
    "it sits where the IOMMU does not reach, or is part of the chipset; the kernel log may tell:\n"
    "dmesg | grep -i iommu"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``name`` is stable; ``cure`` is empty when there is nothing to do."""

    name: str
    status: str
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """Where to look; tests replace it."""

    sysfs: Path
    dev: Path
    proc: Path
    modules: Path

    @classmethod
    def of_this_machine(cls) -> System:
        modules = Path("/lib/modules") / os.uname().release
        return cls(sysfs.root(), Path(sysfs.DEV), Path("/proc"), modules)

    def cmdline(self) -> set[str]:
        return set(_text(self.proc / "cmdline").split())

    def parameter(self, module: str, name: str) -> str:
        """A module's parameter, "" when there is none."""
        return _text(self.sysfs / "module" / module / "parameters" / name)


def check_all(system: System, device: str | None = None) -> Iterator[Check]:
    """All checks in order; with a device, those about it at the end.

    What would only repeat the failure of an earlier check is left out.
    """
    failed = set()
    for name, needs, check in _CHECKS:
        if needs in failed:
            continue
        found = check(system)
        if found.status == FAILED:
            failed.add(name)
        yield found
    if device is not None and "library" not in failed:
        yield from _device(device, "iommu" not in failed)
    elif device is None and "modules" not in failed:
        yield _group_nodes(system)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []


# --- the library --------------------------------------------------------------------------------


def _library(_: System) -> Check:
    from vfiocore._native.loader import lib

    try:
        version = lib.vfc_version().decode()
    except (ImportError, OSError) as error:
        text, cure = describe_error(error)
        return Check("library", FAILED, text, cure)
    return Check("library", OK, f"libvfiocore {version}, ABI {lib.vfc_abi()}: {lib.path}")


# --- firmware and kernel ------------------------------------------------------------------------


def _iommu(system: System) -> Check:
    groups = _names(system.sysfs / "kernel/iommu_groups")
    # iommufd's self-test registers a mock that translates for no device (CONFIG_IOMMUFD_TEST).
    units = _names(system.sysfs / "class/iommu")
    units = [name for name in units if not name.startswith("iommufd_selftest")]
    real = [group for group in groups if not sysfs.is_noiommu(int(group))]
    if real:
        which = ", ".join(units[:4]) + (", ..." if len(units) > 4 else "")
        return Check("iommu", OK, f"{which or 'present'}, {plural(len(real), 'group')}")
    problem, cure = _why_no_iommu(system, bool(units))
    return Check("iommu", FAILED, problem, cure)


def _why_no_iommu(system: System, units: bool) -> tuple[str, str]:
    words, tables = system.cmdline(), set(_names(system.sysfs / "firmware/acpi/tables"))
    off = sorted(words & {"intel_iommu=off", "amd_iommu=off", "iommu=off"})
    if off:
        return (
            f"the IOMMU is switched off by {' '.join(off)} on the kernel command line",
            f"remove {' '.join(off)} from it and boot again",
        )
    if "DMAR" in tables and not any(word.startswith("intel_iommu=on") for word in words):
        return (
            "the firmware describes an Intel IOMMU, the kernel does not use it by itself",
            "add intel_iommu=on to the kernel command line and boot again",
        )
    if units or tables & {"DMAR", "IVRS", "VIOT"}:
        return (
            "the firmware describes an IOMMU, but the kernel has made no groups with it",
            "read why in the kernel log: dmesg | grep -i -e dmar -e amd-vi -e iommu",
        )
    if "hypervisor" in _text(system.proc / "cpuinfo"):
        return (
            "this virtual machine has no IOMMU",
            "give it one: in QEMU -device intel-iommu,intremap=on,caching-mode=on with -machine\n"
            "q35,kernel-irqchip=split, or -device virtio-iommu-pci",
        )
    return (
        "the firmware describes no IOMMU",
        "enable VT-d (Intel), AMD-Vi or IOMMU (AMD), or SMMU (Arm) in the firmware setup; if it\n"
        "is enabled there, this processor or board has none",
    )


def _interrupts(system: System) -> Check:
    """MSI without remapping lets a device raise any interrupt: VFIO refuses such a machine."""
    unsafe = [
        module
        for module in ("vfio_iommu_type1", "iommufd")
        if system.parameter(module, "allow_unsafe_interrupts") == "Y"
    ]
    units = sorted((system.sysfs / "class/iommu").glob("dmar*/intel-iommu/ecap"))
    lacking = [
        unit.parent.parent.name
        for unit in units
        if not int(_text(unit) or "0", 16) & _INTEL_ECAP_IR
    ]
    off = system.cmdline() & {"intremap=off", "nointremap"}
    if unsafe:
        return Check(
            "interrupts",
            WARNING,
            f"{unsafe[0]} allows unsafe interrupts: a device could raise any interrupt",
            f"set allow_unsafe_interrupts=0 for {unsafe[0]} unless you trust the devices",
        )
    if not lacking and not off:
        return Check("interrupts", OK, "remapped, as far as can be seen")
    reason = (
        f"{' '.join(off)} is on the kernel command line"
        if off
        else (f"{', '.join(lacking)} cannot remap interrupts")
    )
    return Check(
        "interrupts",
        FAILED,
        f"{reason}: VFIO will refuse with EPERM",
        (
            "remove it from there and boot again"
            if off
            else "enable interrupt remapping or x2APIC in the firmware setup (QEMU: intremap=on)"
        )
        + ",\nor, if you trust the devices: modprobe vfio_iommu_type1 allow_unsafe_interrupts=1",
    )


def _module_state(system: System, module: str, *evidence: Path) -> str:
    """loaded, built in, loadable or missing. ``evidence`` exists while the module works."""
    if (system.sysfs / "module" / module).exists() or any(path.exists() for path in evidence):
        return "loaded"
    file = re.compile(rf"/{module.replace('_', '[-_]')}\.ko\b")
    if file.search(_text(system.modules / "modules.builtin")):
        return "built in"
    return "loadable" if file.search(_text(system.modules / "modules.dep")) else "missing"


def _modules(system: System) -> Check:
    states = {
        "vfio": _module_state(system, "vfio", system.sysfs / "class/vfio"),
        "vfio_iommu_type1": _module_state(system, "vfio_iommu_type1"),
        "vfio_pci": _module_state(system, "vfio_pci", _driver_dir(system)),
    }
    if states["vfio_iommu_type1"] == "missing" and (system.sysfs / "class/misc/iommu").exists():
        # iommufd does the same; on other architectures than type1's ones so does another module.
        del states["vfio_iommu_type1"]
    detail = ", ".join(f"{name} {state}" for name, state in states.items())
    if "missing" in states.values():
        return Check(
            "modules",
            FAILED,
            detail,
            "install the package with all of the kernel's modules (linux-modules-extra-*,\n"
            "kernel-modules), or build a kernel with CONFIG_VFIO and CONFIG_VFIO_PCI",
        )
    if "loadable" in states.values():
        return Check(
            "modules",
            FAILED,
            detail,
            "sudo modprobe vfio-pci\n"
            "and at each boot: echo vfio-pci | sudo tee /etc/modules-load.d/vfio.conf",
        )
    return Check("modules", OK, detail)


def _driver_dir(system: System) -> Path:
    return system.sysfs / "bus/pci/drivers/vfio-pci"


def _driver(system: System) -> Check:
    if not _driver_dir(system).exists():
        return Check("driver", FAILED, "vfio-pci is not registered", "sudo modprobe vfio-pci")
    drivers = [name for name in _names(system.sysfs / "bus/pci/drivers") if "vfio" in name]
    bound = [
        name
        for driver in drivers
        for name in _names(system.sysfs / "bus/pci/drivers" / driver)
        if re.fullmatch(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", name)
    ]
    return Check("driver", OK, f"{', '.join(drivers)}, {plural(len(bound), 'device')} bound")


def _noiommu(system: System) -> Check:
    if system.parameter("vfio", "enable_unsafe_noiommu_mode") != "Y":
        return Check("isolation", OK, "the unsafe no-IOMMU mode is off")
    return Check(
        "isolation",
        WARNING,
        "the unsafe no-IOMMU mode is on: a device that is opened in it (by the transport "
        "noiommu, if it is named) can reach all memory",
        "echo N | sudo tee /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
    )


# What may move a page that is locked and not pinned, and the value with which it does not.
_MOVERS = (
    ("vm/compact_unevictable_allowed", "memory compaction"),
    ("kernel/numa_balancing", "NUMA balancing"),
)


def _pinning(system: System) -> Check:
    if system.parameter("vfio", "enable_unsafe_noiommu_mode") != "Y":
        return Check("pinning", OK, "the kernel pins what is mapped for devices")
    texts = [(knob, who, _text(system.proc / "sys" / knob)) for knob, who in _MOVERS]
    movers = [(knob, who) for knob, who, text in texts if text not in ("", "0")]
    if not movers:
        return Check("pinning", OK, "nothing moves memory that the transport noiommu-group locks")
    return Check(
        "pinning",
        WARNING,
        "the transport noiommu-group locks memory and cannot pin it: "
        f"{' and '.join(who for _, who in movers)} may move a page that a device still writes to, "
        "unless it is a huge one (the transport noiommu, of Linux 7.3, pins)",
        "; ".join(f"sudo sysctl {knob.replace('/', '.')}=0" for knob, _ in movers),
    )


# --- nodes and limits ---------------------------------------------------------------------------


def _open_problem(path: Path) -> OSError | None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error
    return None


def _mode(path: Path) -> str:
    status = path.stat()
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"


def _container(system: System) -> Check:
    node, newer = system.dev / "vfio/vfio", system.dev / "iommu"
    good = [path for path in (node, newer) if path.exists() and _open_problem(path) is None]
    if good:
        found = ", ".join(f"{path} ({_mode(path)})" for path in good)
        return Check("container", OK, f"{found} can be opened")
    if not node.exists() and not newer.exists():
        return Check(
            "container",
            FAILED,
            f"neither {node} nor {newer} exists",
            "sudo modprobe vfio (in a container: pass /dev/vfio into it)",
        )
    path = node if node.exists() else newer
    why = getattr(_open_problem(path), "strerror", "it disappeared")
    return Check(
        "container",
        FAILED,
        f"{path} ({_mode(path)}): {why}",
        f"sudo chmod 0666 {path}   # harmless: it gives access to no device",
    )


def _memlock(system: System) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)", _text(system.proc / "self/status"), re.M)
    if capabilities and int(capabilities[1], 16) >> _CAP_IPC_LOCK & 1:
        return Check("memlock", OK, "not limited: this process has CAP_IPC_LOCK")
    return _judge_memlock(soft, hard)


def _judge_memlock(soft: int, hard: int) -> Check:
    if soft == resource.RLIM_INFINITY:
        return Check("memlock", OK, "unlimited")
    top = "unlimited" if hard == resource.RLIM_INFINITY else human_size(hard)
    detail = f"{human_size(soft)} of memory can be mapped for DMA (hard limit {top})"
    if soft >= _MEMLOCK_USEFUL:
        return Check("memlock", OK, detail)
    now = "ulimit -l unlimited, or for good " if hard == resource.RLIM_INFINITY else ""
    cure = (
        f"{now}in /etc/security/limits.d/vfio.conf: USER - memlock unlimited\n"
        "(then log in again); for a service: LimitMEMLOCK=infinity"
    )
    return Check("memlock", WARNING if soft >= _MEMLOCK_LEAST else FAILED, detail, cure)


def _group_nodes(system: System) -> Check:
    found = [
        path
        for folder in (system.dev / "vfio", system.dev / "vfio/devices")
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if re.fullmatch(r"(noiommu-)?(vfio)?\d+", path.name)
    ]
    if not found:
        return Check(
            "nodes",
            WARNING,
            "no device is bound to a VFIO driver yet",
            "sudo vfio bind BDF (see `vfio list`)",
        )
    refused = [path for path in found if not os.access(path, os.R_OK | os.W_OK)]
    if not refused:
        return Check("nodes", OK, f"{', '.join(map(str, found))} may be opened by this user")
    shown = ", ".join(f"{path} ({_mode(path)})" for path in refused)
    return Check(
        "nodes",
        FAILED if len(refused) == len(found) else WARNING,
        f"this user may not open {shown}",
        'sudo vfio bind BDF --user "$USER", or a udev rule:\n'
        'SUBSYSTEM=="vfio", GROUP="vfio", MODE="0660"',
    )


# --- one device ---------------------------------------------------------------------------------


def _device(name: str, iommu: bool) -> Iterator[Check]:
    from vfiocore import pci

    try:
        info = pci.info(name)
    except (OSError, ImportError) as error:
        text, hint = describe_error(error)
        yield Check("device", FAILED, text, hint or "see `vfio list`")
        return
    found = sysfs.obstacles(info, sysfs.group_members(info))
    yield Check("device", OK, f"{info.name} ({info.vendor:04x}:{info.device:04x}) is there")
    for obstacle in found:
        cure = obstacle.cure
        if info.iommu_group < 0 and obstacle is found[0]:
            cure = _ELSEWHERE if iommu else "see iommu above"
        yield Check("device", FAILED, obstacle.problem, cure)
    if not found:
        yield Check(
            "device",
            OK,
            f"bound to {info.driver}, group {info.iommu_group} is viable and may be "
            "opened by this user",
        )
    yield _reset(info.name)
    if info.sriov_total and info.driver == "vfio-pci":
        yield _sriov(info.sriov_total)


def _sriov(total: int) -> Check:
    parameter = sysfs.root() / "module/vfio_pci/parameters/enable_sriov"
    if _text(parameter) != "N":
        return Check("sriov", OK, f"it can have {plural(total, 'virtual function')}")
    return Check(
        "sriov",
        WARNING,
        f"it could have {plural(total, 'virtual function')}, and vfio-pci does not allow it",
        f"if you want them, as root: echo Y > {parameter}, or modprobe vfio-pci enable_sriov=1",
    )


def _reset(name: str) -> Check:
    methods = _text(sysfs.device_dir(name) / "reset_method")
    if methods:
        return Check("reset", OK, f"the kernel can reset it: {methods}")
    return Check(
        "reset",
        WARNING,
        "the kernel knows no way to reset it",
        "its state outlives the program that used it; make the program quiesce it",
    )


# Name, the check without which it says nothing new, and the check.
_CHECKS: tuple[tuple[str, str, Callable[[System], Check]], ...] = (
    ("library", "", _library),
    ("iommu", "", _iommu),
    ("interrupts", "iommu", _interrupts),
    ("modules", "", _modules),
    ("driver", "modules", _driver),
    ("container", "modules", _container),
    ("isolation", "", _noiommu),
    ("pinning", "", _pinning),
    ("memlock", "", _memlock),
)
