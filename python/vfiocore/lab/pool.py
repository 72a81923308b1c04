# SPDX-License-Identifier: MIT
"""The guests of one test run: booted at the same time, each handed to one pytest-xdist worker.

A thread owns a guest from boot to its end, and watches it: a kernel that panics, a test that does
not end, a process that dies. What went wrong stays in ``Seat.error``.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import GuestError, LabError, guest, pace
from .launcher import address
from .qemu import Plan
from .script import for_worker

_PYTHON_LINE = "import sys;exec(eval(sys.stdin.readline()))"  # execnet's side of the handshake


@dataclass(frozen=True)
class Limits:
    """How long a boot may take, and a test on a quiet machine (see pace.py), in seconds."""

    boot: float = guest.BOOT_SECONDS
    test: float = 120.0


class _Stopped(Exception):
    """The run is over."""


class Seat(threading.Thread):
    """One guest and the worker that sits in it."""

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__(name=f"guest {number}", daemon=True)
        self.error: LabError | None = None
        self.booted = threading.Event()
        self.ended = threading.Event()
        self._pool = pool
        self._guest: guest.Guest | None = None
        self._busy: tuple[str, float] | None = ("collecting tests", time.monotonic())
        self._limit = pool.limits.test

    def run(self) -> None:
        """Boot, wait for a worker, serve it."""
        try:
            self._run()
        except LabError as error:
            if not self._pool.stopping:
                self.error = error
        except _Stopped:
            pass
        finally:
            self.booted.set()
            self.ended.set()

    def stop(self) -> None:
        """End the guest from another thread."""
        if self._guest:
            self._guest.vm.process.kill()

    def _run(self) -> None:
        pool = self._pool
        argv = [sys.executable, "-u", "-c", _PYTHON_LINE]
        script = for_worker(pool.plan, argv, Path.cwd())
        with guest.boot(pool.plan, script, pool.limits.boot, report=self._retry) as booted:
            self._guest = booted
            self.booted.set()
            with pool.next_client(self) as client:
                self._busy = ("collecting tests", time.monotonic())
                booted.serve(client)
                self._serve(booted, client)

    def _retry(self, message: str) -> None:
        if self._pool.stopping:
            raise _Stopped
        self._pool.notes.append(f"{self.name}: {message}")

    def _serve(self, booted: guest.Guest, client: socket.socket) -> None:
        while True:
            for name, data in booted.receive(1.0):
                if name == "client" and not data:
                    return
                self._pass_on(booted, client, name, data)
            while line := booted.told():
                word, _, rest = line.partition(" ")
                if word in ("exit", "fail"):
                    self._finish(booted, client, word, rest)
                    return
                self._note_state(word, rest)
            self._check(booted)

    def _pass_on(self, booted: guest.Guest, client: socket.socket, name: str, data: bytes) -> None:
        if name == "client":
            booted.send(data, self._limit)
        elif name == "stdio":
            # A worker that is gone shows as the client's end.
            with contextlib.suppress(ConnectionError):
                client.sendall(data)
        else:
            booted.take_lines("error", data)

    def _note_state(self, word: str, rest: str) -> None:
        if word == "busy":
            seconds, _, what = rest.partition(" ")
            self._limit = float(seconds) or self._pool.limits.test
            self._busy = (what, time.monotonic())
        elif word == "idle":
            self._busy = None

    def _check(self, booted: guest.Guest) -> None:
        booted.check_alive()
        limit = pace.limit(self._limit)
        if self._busy and time.monotonic() - self._busy[1] > limit:
            what = self._busy[0]
            raise booted.failure(f"{what} did not end within {limit:.0f} s; guest killed")

    def _finish(self, booted: guest.Guest, client: socket.socket, word: str, rest: str) -> None:
        while arrived := booted.receive(0.2):
            for name, data in arrived:
                if name != "client":
                    self._pass_on(booted, client, name, data)
        if word == "fail":
            raise booted.failure(rest)
        status = int(rest)
        if status:
            how = f" (signal {status - 128})" if status > 128 else ""
            raise booted.failure(f"the worker's Python ended with status {status}{how}")


class Pool:
    """The guests of a run; killed when the block ends."""

    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan = plan
        self.limits = limits
        self.stopping = False
        self.notes: list[str] = []
        self.seats: list[Seat] = []
        self.last_seat: Seat | None = None
        self.name = f"vfiocore-lab-{os.getpid()}-{secrets.token_hex(8)}"
        self._clients: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address(self.name))
        self._listener.listen()
        threading.Thread(target=self._accept, name="lab workers", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, count: int) -> list[Seat]:
        """Boot so many more guests; returns at once."""
        seats = [Seat(self, len(self.seats) + n) for n in range(1, count + 1)]
        self.seats += seats
        for seat in seats:
            seat.start()
        return seats

    def stop(self) -> None:
        """Kill every guest and wait until they are gone."""
        self.stopping = True
        self._listener.close()
        for seat in self.seats:
            seat.stop()
            self._clients.put(None)
        for seat in self.seats:
            seat.join(timeout=10)

    def next_client(self, seat: Seat) -> socket.socket:
        """The next worker that connects."""
        client = self._clients.get()
        if client is None:
            raise _Stopped
        self.last_seat = seat
        return client

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed: the run is over
                return
            if _peer_uid(client) == os.geteuid():
                self._clients.put(client)
            else:
                client.close()


def _peer_uid(client: socket.socket) -> int:
    packed = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", packed)
    return int(uid)


def describe(error: LabError) -> str:
    """The message with the console's last lines."""
    if isinstance(error, GuestError) and error.console:
        return f"{error}\n--- the console's last lines ---\n{error.console}\n---"
    return str(error)
