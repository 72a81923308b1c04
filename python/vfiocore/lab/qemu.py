# SPDX-License-Identifier: MIT
"""QEMU as a child process: its command line, its sockets, its certain death.

Every channel is a socket pair made here, so there are no files to clean up: the console, and four
virtio-serial ports (see PORTS). The guest's monitor port is joined to QEMU's own QMP monitor: a
test inside the guest can unplug a device or inject an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import LabError, emulators
from .host import cache_dir, dies_with_parent, write_whole
from .initramfs import build
from .kernels import Kernel, find
from .machines import Machine
from .vmlinux import extract

# In the guest /dev/vfiocore/NAME.
PORTS = ("stdio", "stderr", "control", "monitor")
PROBE_SECONDS = 30.0  # KVM that works takes two; the answer is remembered


@dataclass(frozen=True)
class Plan:
    """What to boot and how: all that a QEMU command line is made of."""

    machine: Machine
    kernel: Kernel
    program: Path
    shares: tuple[Path, ...] = ()
    trace: Path | None = None
    extra: tuple[str, ...] = ()


@dataclass
class Vm:
    """A running QEMU and the host's ends of its channels, by name."""

    process: subprocess.Popen[bytes]
    channels: dict[str, socket.socket] = field(default_factory=dict)

    def kill(self) -> int:
        """End QEMU now, whatever it is doing, and return its wait status."""
        self.process.kill()
        status = self.process.wait()
        for channel in self.channels.values():
            channel.close()
        return status


def plan(
    machine: Machine,
    shares: Sequence[Path] = (),
    trace: Path | None = None,
    extra: Sequence[str] = (),
) -> Plan:
    """A plan with kernel and QEMU found (fetched or built on first use)."""
    for share in shares:
        if not share.is_dir():
            raise LabError(f"cannot share {share}: it is not a directory")
    return Plan(
        machine,
        find(machine.kernel),
        emulators.find(machine.qemu_version),
        tuple(s.resolve() for s in shares),
        trace,
        tuple(extra),
    )


def command(plan: Plan, channels: dict[str, str], accel: str) -> list[str]:
    """QEMU's argv; `channels` gives the chardev backend of the console and of each port."""
    machine = plan.machine
    argv = [str(plan.program), "-machine", machine.machine, "-accel", accel]
    argv += ["-cpu", machine.cpu, "-m", f"{machine.memory}M", "-smp", str(machine.cpus)]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(_fast_image(plan.kernel, accel))]
    argv += ["-initrd", str(build(plan.kernel, machine.modules))]
    argv += ["-append", _cmdline(machine)]
    iommu = (
        ["-device", _spelled(plan.program, machine.iommu_device)] if machine.iommu_device else []
    )
    argv += iommu if machine.iommu_first else []
    argv += machine.qemu
    for device in machine.devices:
        argv += ["-device", device.qemu]
    argv += [] if machine.iommu_first else iommu
    argv += _plumbing(plan, channels)
    if plan.trace:
        argv += ["-trace", "memory_region_ops_read", "-trace", "memory_region_ops_write"]
        argv += ["-D", str(plan.trace)]
    return [*argv, *plan.extra]


def _spelled(program: Path, device: str) -> str:
    """Until version 11.1 scalable mode is an experiment for QEMU, and has a name that says so."""
    option = "scalable-mode"
    if option not in device:
        return device
    model = device.partition(",")[0]
    known = subprocess.run([program, "-device", f"{model},help"], capture_output=True, check=True)
    experimental = f"x-{option}"
    return device.replace(option, experimental) if experimental in known.stdout.decode() else device


def dry_run(plan: Plan) -> list[str]:
    """The command line as it would be, with the channels left out."""
    return command(plan, dict.fromkeys(("console", *PORTS, "qmp"), "null"), accelerator(plan))


def spawn(plan: Plan) -> Vm:
    """Start QEMU; call from the thread that will outlive it (its death takes QEMU with it)."""
    accel = accelerator(plan)
    ours: dict[str, socket.socket] = {}
    theirs: dict[str, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        for name in ("console", "messages", *PORTS[:3]):
            ours[name], theirs[name] = socket.socketpair()
            stack.enter_context(theirs[name])
        theirs["monitor"], theirs["qmp"] = socket.socketpair()
        stack.enter_context(theirs["monitor"])
        stack.enter_context(theirs["qmp"])
        messages = theirs.pop("messages")
        backends = {name: f"socket,fd={end.fileno()}" for name, end in theirs.items()}
        process = subprocess.Popen(
            command(plan, backends, accel),
            stdin=subprocess.DEVNULL,
            stdout=messages.fileno(),
            stderr=messages.fileno(),
            pass_fds=[end.fileno() for end in theirs.values()],
            # Its own session: Ctrl-C is ours to handle.
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call, no lock
        )
    return Vm(process, ours)


def accelerator(plan: Plan) -> str:
    """KVM if a guest really boots with it, else "tcg,thread=multi"; asked once and remembered.

    A /dev/kvm that creates machines and then does not run a stock kernel exists, so nothing less
    than a boot tells. $VFIOCORE_ACCEL (kvm or tcg) overrides.
    """
    tcg = "tcg,thread=multi"
    named = os.environ.get("VFIOCORE_ACCEL")
    if named:
        return tcg if named == "tcg" else named
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return tcg
    memory = cache_dir() / f"accel-{_probe_key(plan)}"
    if not memory.exists():
        write_whole(memory, b"kvm" if _kvm_boots(plan) else tcg.encode())
    return memory.read_text()


def _probe_key(plan: Plan) -> str:
    host = os.uname()
    files = [plan.kernel.image, plan.program]
    facts = [fact for file in files for fact in (file, file.stat().st_mtime_ns)]
    text = " ".join(str(fact) for fact in [*facts, host.release, host.version])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kvm_boots(plan: Plan) -> bool:
    argv = [str(plan.program), "-machine", plan.machine.machine, "-accel", "kvm", "-cpu", "max"]
    argv += ["-m", "512M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-serial", "stdio", "-kernel", str(plan.kernel.image)]
    argv += ["-initrd", str(build(plan.kernel, plan.machine.modules))]
    argv += ["-append", "console=ttyS0 panic=-1 quiet vfiocore.probe"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PROBE_SECONDS,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
    except subprocess.TimeoutExpired:
        return False
    return b"vfiocore: probe booted" in done.stdout


def _cmdline(machine: Machine) -> str:
    # No mitigations, timer or TSC checks: they cost seconds on an emulated CPU. panic=-1 with
    # -no-reboot turns a panic into QEMU's exit.
    words = ["console=ttyS0", "panic=-1", "quiet", "mitigations=off"]
    words += ["no_timer_check", "tsc=reliable", "nokaslr", "random.trust_cpu=on"]
    return " ".join([*words, *machine.cmdline])


def _plumbing(plan: Plan, channels: dict[str, str]) -> list[str]:
    """The lab's own devices, in the last slots: out of the way of the machine's."""
    argv = []
    for name, backend in channels.items():
        argv += ["-chardev", f"{backend},id={name}"]
    argv += ["-serial", "chardev:console", "-mon", "chardev=qmp,mode=control"]
    argv += ["-device", "virtio-serial-pci,id=ports,bus=pcie.0,addr=1e.0"]
    for number, name in enumerate(PORTS, 1):
        tag = f"vfiocore.{name}"
        argv += ["-device", f"virtserialport,bus=ports.0,nr={number},chardev={name},name={tag}"]
    argv += _share("root", Path("/"), "1d.0", "readonly=on")
    for number, path in enumerate(plan.shares):
        argv += _share(f"share{number}", path, f"{0x1C - number:x}.0", "readonly=off")
    return argv


def _share(tag: str, path: Path, address: str, access: str) -> list[str]:
    # security_model=none: as passthrough, but QEMU need not be root. A comma is QEMU's separator.
    where = str(path).replace(",", ",,")
    options = f"local,id={tag},path={where},security_model=none,multidevs=remap,{access}"
    device = f"virtio-9p-pci,fsdev={tag},mount_tag={tag},bus=pcie.0,addr={address}"
    return ["-fsdev", options, "-device", device]


def _fast_image(kernel: Kernel, accel: str) -> Path:
    """The kernel's ELF file for the PVH entry, if it can be had: TCG inflates for seconds."""
    return extract(kernel) if accel.startswith("tcg") else kernel.image
