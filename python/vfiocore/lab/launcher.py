# SPDX-License-Identifier: MIT
"""What pytest-xdist starts as a worker's Python: a pipe between its stdio and a guest's.

The guest itself belongs to the process that runs pytest (see pool.py), so that guests boot at the
same time and one place watches them.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys


def address(name: str) -> str:
    """The abstract socket of that name: nothing on disk, nothing to clean up."""
    return f"\0{name}"


def relay(name: str) -> None:
    """Copy bytes both ways until either side ends."""
    with socket.socket(socket.AF_UNIX) as guest, selectors.DefaultSelector() as selector:
        guest.connect(address(name))
        selector.register(0, selectors.EVENT_READ, guest.fileno())
        selector.register(guest, selectors.EVENT_READ, 1)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                if not data:
                    return
                _write_all(key.data, data)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def main() -> int:
    """``launcher.py SOCKET [what a Python would be given]``."""
    # Ctrl-C reaches us too; the end of the connection is what ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        relay(sys.argv[1])
    except (BrokenPipeError, ConnectionError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
