# SPDX-License-Identifier: MIT
"""QEMU's monitor from inside of the guest: pull a device, plug one in, inject an error.

>>> with Monitor() as monitor:
...     monitor.command("device_del", id="nic1")
...     monitor.human("pcie_aer_inject_error virtio COMP_ABORT")

Source: QEMU's docs/interop/qmp-spec.rst, "QEMU QMP Reference Manual".
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any, Self

from . import LabError

_BYTES = 65536


class Monitor:
    """A connection to the monitor; there can be one at a time. Context manager."""

    def __init__(self, path: str | None = None) -> None:
        name = path or os.environ.get("VFIOCORE_LAB_MONITOR")
        if not name:
            raise LabError("VFIOCORE_LAB_MONITOR is not set: this is no guest of the lab")
        self._fd = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self._number = 0
        #: QEMU's events that came so far, as it sent them.
        self.events: list[dict[str, Any]] = []
        try:
            self.command("qmp_capabilities")
        except LabError as error:  # of an earlier connection: for QEMU there is only one
            if "CommandNotFound" not in str(error):
                self.close()
                raise

    def close(self) -> None:
        """Let others connect."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, execute: str, *, timeout: float = 60.0, **arguments: Any) -> Any:
        """Run one command; its result. An underscore in an argument's name stands for a dash.

        Raises:
            LabError: QEMU refused it, or did not answer in ``timeout`` seconds.
        """
        self._number += 1
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        request = {"execute": execute, "arguments": named, "id": self._number}
        os.write(self._fd, json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(deadline, execute)
            if message.get("id") != self._number:
                continue
            if "error" in message:
                raise LabError(f"{execute}: {message['error']}")
            return message["return"]

    def human(self, line: str) -> str:
        """Run a line of the monitor for humans; what it prints."""
        return str(self.command("human-monitor-command", command_line=line))

    def wait(self, event: str, timeout: float = 60.0) -> dict[str, Any]:
        """Wait for an event of QEMU's that was not waited for before, such as DEVICE_DELETED."""
        deadline = time.monotonic() + timeout
        while True:
            for position, message in enumerate(self.events):
                if message["event"] == event:
                    return self.events.pop(position)
            self._next(deadline, event)

    def _next(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            ready = select.select([self._fd], [], [], max(left, 0))[0]
            if not ready:
                raise LabError(f"QEMU's monitor says nothing to {what}")
            self._rest += os.read(self._fd, _BYTES)
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message
