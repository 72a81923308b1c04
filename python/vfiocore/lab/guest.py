# SPDX-License-Identifier: MIT
"""A guest, from boot to its end, and ``run``: one command in one guest."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import GuestError, LabError, pace
from .machines import find
from .qemu import Plan, Vm, plan, spawn
from .script import for_command

# A guest that cannot boot nearly always says so, so this costs nothing and need not be close.
BOOT_SECONDS = 240.0
HANG_SECONDS = 60.0  # on a quiet machine; see pace.py
BOOTS = 2
TAIL_LINES = 40

_FAILED = 255
_BROKEN_PIPE = 128 + 13
_PANIC = re.compile(r"Kernel panic - not syncing: .*")
_TROUBLE = re.compile(r"Kernel panic|\bBUG\b|\bOops\b|rcu: INFO|soft lockup")


class Guest:
    """A virtual machine that is killed when the block ends.

    Use it from one thread: QEMU dies with the thread that started it.
    """

    def __init__(self, plan: Plan, verbose: bool = False) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES // 2)
        self._head: list[str] = []
        self._verbose = verbose
        self._partial = dict.fromkeys(("console", "messages", "control", "error"), b"")
        self._panic = ""
        self._heard = time.monotonic()
        self._lines: deque[str] = deque()
        self._selector = selectors.DefaultSelector()
        self.vm: Vm = spawn(plan)
        self._open = len(self.vm.channels)
        for name, channel in self.vm.channels.items():
            self._selector.register(channel, selectors.EVENT_READ, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> int:
        """End the guest at once; QEMU's wait status."""
        self._selector.close()
        return self.vm.kill()

    def boot(self, script: str, seconds: float) -> None:
        """Wait for init to report, then give it its script."""
        start = time.monotonic()
        while "ready" not in self._lines:
            left = start + seconds - time.monotonic()
            if left <= 0:
                raise self.failure(f"the guest did not boot within {seconds:.0f} s")
            self.receive(left)
        pace.note_boot(time.monotonic() - start)
        self._lines.clear()
        data = script.encode()
        self.vm.channels["control"].sendall(b"%d\n" % len(data) + data)

    def receive(self, seconds: float) -> list[tuple[str, bytes]]:
        """What arrives on stdio and stderr within `seconds`; GuestError when the guest is gone.

        Console and control are taken in on the way; see `console` and `told`.
        """
        if not self._open:
            raise self._gone()
        arrived = []
        for key, _ in self._selector.select(max(seconds, 0)):
            name = key.data
            try:
                data = os.read(key.fd, 1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                self._selector.unregister(key.fileobj)
                self._open -= name != "client"
            if name in self._partial:
                self.take_lines(name, data)
            elif data or name == "client":
                arrived.append((name, data))
        return arrived

    def serve(self, client: socket.socket) -> None:
        """From now on `receive` also gives out what arrives from `client`; b"" is its end."""
        self._selector.register(client, selectors.EVENT_READ, "client")

    def send(self, data: bytes, seconds: float) -> None:
        """Write to the guest's stdio; GuestError if it does not read for so long (see pace.py)."""
        seconds = pace.limit(seconds)
        channel = self.vm.channels["stdio"]
        channel.settimeout(seconds)
        try:
            channel.sendall(data)
        except TimeoutError:
            raise self.failure(f"the guest read nothing for {seconds:.0f} s") from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._gone() from None

    def told(self) -> str | None:
        """The next line that the guest wrote to the control port, if there is one."""
        return self._lines.popleft() if self._lines else None

    def check_alive(self) -> None:
        """Raise GuestError if the guest gave no sign of life for HANG_SECONDS (see pace.py)."""
        silent = time.monotonic() - self._heard
        if silent > pace.limit(HANG_SECONDS):
            raise self.failure(f"the guest hangs: no sign of life for {silent:.0f} s")

    def failure(self, message: str) -> GuestError:
        """A GuestError with the console's lines that matter."""
        if self._panic:
            message = f"the guest's kernel panicked: {self._panic}"
        return GuestError(message, "\n".join(self.console()))

    def console(self) -> list[str]:
        """The console's last lines; of a crash also the first ones, which tell most."""
        return [*self._head, *self._tail]

    def _gone(self) -> GuestError:
        status = self.vm.process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return self.failure(f"QEMU {how}")

    def take_lines(self, name: str, data: bytes) -> None:
        """Take in a piece of the "console", of "control", or of anything worth showing."""
        if name == "console" and self._verbose:
            os.write(2, data)
        *lines, self._partial[name] = (self._partial[name] + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if name == "control":
                self._heard = time.monotonic()
                self._lines.append(text)
            else:
                self._note(text)

    def _note(self, text: str) -> None:
        if len(self._head) < TAIL_LINES // 2 and (self._head or _TROUBLE.search(text)):
            self._head.append(text)
        else:
            self._tail.append(text)
        found = _PANIC.search(text)
        if found and not self._panic:
            self._panic = found.group().split(": ", 1)[1]


def boot(
    plan: Plan,
    script: str,
    seconds: float = BOOT_SECONDS,
    verbose: bool = False,
    report: Callable[[str], None] | None = None,
) -> Guest:
    """A booted guest that runs `script`; a boot that fails is reported and tried once more."""
    for attempt in range(1, BOOTS + 1):
        guest = Guest(plan, verbose)
        try:
            guest.boot(script, seconds)
            return guest
        except GuestError as error:
            guest.kill()
            if attempt == BOOTS:
                message = f"{error} ({BOOTS} attempts)"
                raise GuestError(message, error.console) from error
            if report:
                report(f"boot {attempt} of {BOOTS} failed: {error}; trying again")
        except BaseException:
            guest.kill()
            raise
    raise AssertionError("unreachable")


class Until:
    """A byte stream that ends with a token; gives out what comes before it as it comes."""

    def __init__(self, token: bytes) -> None:
        self.ended = False
        self._token = token
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that are certainly not part of the token."""
        data = self._held + data
        self._held = b""
        if self.ended:
            return b""
        before, token, _ = data.partition(self._token)
        if token:
            self.ended = True
            return before
        keep = next(n for n in range(len(self._token), -1, -1) if data.endswith(self._token[:n]))
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]


def run(
    machine: str,
    argv: Sequence[str],
    *,
    shares: Sequence[Path] = (),
    timeout: float | None = None,
    trace: Path | None = None,
    verbose: bool = False,
    extra: Sequence[str] = (),
) -> int:
    """Run a command in a fresh guest, in this directory, as root; its own exit status.

    Its stdout and stderr are streamed to ours. `timeout` limits the command, not the boot.
    Raises GuestError when the guest fails and LabError when there is nothing to boot.
    """
    token = secrets.token_hex(16)
    what = plan(find(machine), shares, trace, extra)
    script = for_command(what, argv, Path.cwd(), token)
    with boot(what, script, verbose=verbose, report=_report) as guest:
        try:
            return _stream(guest, token.encode(), timeout)
        except BrokenPipeError:
            return _BROKEN_PIPE


def _report(message: str) -> None:
    print(f"vfio: lab: {message}", file=sys.stderr, flush=True)


def _stream(guest: Guest, token: bytes, timeout: float | None) -> int:
    streams = {"stdio": (1, Until(token)), "stderr": (2, Until(token))}
    deadline = time.monotonic() + timeout if timeout is not None else None
    status = None
    while status is None or not all(stream.ended for _, stream in streams.values()):
        for name, data in guest.receive(1.0):
            fd, stream = streams[name]
            _write_all(fd, stream.feed(data))
        while line := guest.told():
            status = _status(line, status)
        guest.check_alive()
        if deadline is not None and time.monotonic() > deadline:
            raise guest.failure(f"the command did not end within {timeout:g} s")
    return status


def _status(line: str, status: int | None) -> int | None:
    word, _, rest = line.partition(" ")
    if word == "fail":
        raise LabError(f"{rest}: run from a directory that is not below /dev, /proc, /run or /sys")
    return int(rest) if word == "exit" else status


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
