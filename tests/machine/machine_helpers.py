# SPDX-License-Identifier: MIT
"""Commands, processes and waiting, for the tests of guests that are broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

VFIO = [sys.executable, "-c", "import sys; from vfiocore.cli import main; sys.exit(main())"]

# Seconds. Nothing here takes nearly as long unless it hangs, on a machine that is busy neither.
BOUND = 900

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[bytes]"]


def environment(extra: dict[str, str]) -> dict[str, str]:
    # The inner pytest must not take itself for a worker of the outer one.
    outer = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return {**outer, **extra}


def inner_pytest(directory: Path, text: str, args: Sequence[str]) -> list[str]:
    """The command that runs a test file of that text in the lab."""
    file = directory / "test_inner.py"
    file.write_text(text)
    installed = entry_points(group="pytest11", name="vfiocore_lab")
    plugin = [] if installed else ["-p", "vfiocore.lab.plugin"]
    options = [*plugin, "-p", "no:cacheprovider", "--rootdir", str(directory), "-v"]
    return [sys.executable, "-m", "pytest", *options, "--lab", "intel", *args, str(file)]


def finish(command: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(env),
        capture_output=True,
        check=False,
        text=True,
        timeout=BOUND,
    )


def qemu_children(parent: int) -> list[int]:
    """The process ids of the QEMUs that `parent` started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        state, ppid = text[text.rindex(")") + 2 :].split()[:2]
        if name.startswith("qemu") and int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = BOUND) -> None:
    """Wait until the condition holds; fail the test if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return text[text.rindex(")") + 2] in "ZX"
