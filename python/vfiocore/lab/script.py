# SPDX-License-Identifier: MIT
"""The shell script that a guest runs once its root is mounted: written here, sent to init.sh."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .qemu import Plan

TICK_SECONDS = 5
CONTROL_FD = 3

_BIN = "/run/vfiocore/bin"
_PASSED = ("PATH", "VIRTUAL_ENV", "HOME", "TERM", "LANG", "TZ")
_PASSED_PREFIXES = ("PYTHON", "PYTEST_", "VFIOCORE_", "LC_")


def environment(plan: Plan, extra: Mapping[str, str]) -> dict[str, str]:
    """What a guest's command sees: the caller's few variables, and where it is."""
    env = {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith(_PASSED_PREFIXES)}
    # The caller may have named this command by its path: in the guest it is found by name, too.
    programs = Path(sys.executable).parent
    env["PATH"] = f"{env.get('PATH', os.defpath)}:{programs}:{_BIN}"
    # Byte code would only fill the guest's memory: the host never sees it.
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["VFIOCORE_LAB_MACHINE"] = plan.machine.name
    env["VFIOCORE_LAB_MONITOR"] = "/dev/vfiocore/monitor"
    return {**env, **extra}


def for_command(plan: Plan, argv: Sequence[str], cwd: Path, token: str) -> str:
    """Run `argv`; `token` ends its stdout and stderr, so that the host knows it has it all.

    The command writes to FIFOs, not to the ports: a port can be opened only once, and programs
    do open /dev/stderr again.
    """
    lines = [*_prepare(plan), *_fifo("stdio", 4), *_fifo("stderr", 5), *_enter(cwd)]
    command = _command(environment(plan, {}), argv)
    lines += [f"{command} < /dev/null >&4 2>&5 3>&- 4>&- 5>&-", "status=$?"]
    lines += ["busybox sync"] if plan.shares else []
    lines += ['echo "exit $status" >&3', f"printf {token} >&4", f"printf {token} >&5"]
    return _text([*lines, *_end()])


def for_worker(plan: Plan, argv: Sequence[str], cwd: Path) -> str:
    """Run `argv` with the stdio port as its stdin and stdout, and the control port as fd 3."""
    env = environment(plan, {"VFIOCORE_LAB_CONTROL": str(CONTROL_FD)})
    lines = [*_prepare(plan), *_fifo("stderr", 5), *_enter(cwd)]
    lines += [f"{_command(env, argv)} 0<> /dev/vfiocore/stdio 1>&0 2>&5 5>&-"]
    return _text([*lines, 'echo "exit $?" >&3', *_end()])


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _prepare(plan: Plan) -> list[str]:
    lines = [f"PATH={_BIN}"]
    if plan.kernel.modules:
        place = f"/lib/modules/{plan.kernel.release}"
        source = shlex.quote(f"/run/vfiocore/lower{plan.kernel.modules.resolve()}")
        lines += [f"busybox mkdir -p {place}", f"mount --bind {source} {place}"]
    for number, path in enumerate(plan.shares):
        # cache=mmap: as uncached, but programs may map files for writing.
        options = "trans=virtio,version=9p2000.L,msize=512000,access=any,cache=mmap"
        lines += [f"mount -t 9p -o {options} share{number} {shlex.quote(str(path))}"]
    for device in plan.machine.devices:
        if not device.bound:
            driver = f"/sys/bus/pci/devices/{device.bdf}/driver/unbind"
            lines += [f"[ ! -e {driver} ] || echo {device.bdf} > {driver}"]
    # The sign of life: without it the host takes the guest for hung.
    return [*lines, f"(while busybox sleep {TICK_SECONDS}; do echo tick >&3; done) &"]


def _fifo(name: str, fd: int) -> list[str]:
    path = f"/run/vfiocore/{name}"
    return [
        f"busybox mkfifo {path}",
        f"exec {fd}<> {path}",
        f"busybox cat < {path} > /dev/vfiocore/{name} 3>&- {fd}>&- &",
    ]


def _enter(cwd: Path) -> list[str]:
    where = shlex.quote(str(cwd))
    return [f"cd {where} || {{ echo fail no directory {where} in the guest >&3; exec sleep 60; }}"]


def _command(env: Mapping[str, str], argv: Sequence[str]) -> str:
    words = [f"{name}={value}" for name, value in env.items()]
    # By path: busybox would take a bare name for its own applet.
    argv = [shutil.which(argv[0], path=env["PATH"]) or argv[0], *argv[1:]]
    # env would take a program called a=b for one more variable.
    odd = [f"{_BIN}/busybox", "setsid"] if "=" in argv[0] else []
    return shlex.join(["busybox", "env", "-i", *words, *odd, *argv])


def _end() -> list[str]:
    # The host ends QEMU when it has what it waits for; this is for when it does not.
    return ["busybox sleep 10", "busybox reboot -f"]
