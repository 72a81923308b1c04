# SPDX-License-Identifier: MIT
"""What a child of fork() must not use: DMA memory is the process's that mapped it."""

from __future__ import annotations

import os

from .errors import VfioError

__all__ = ["depth", "refuse_child"]

# How many forks this process is away from the first: costs less to look at than getpid().
depth = 0


def _forked() -> None:
    global depth  # noqa: PLW0603 - of the process, as what it counts
    depth += 1


os.register_at_fork(after_in_child=_forked)


def refuse_child(remembered: int, what: str) -> None:
    """Raise when this process was forked since ``depth`` was remembered."""
    if remembered != depth:
        from errno import ECHILD

        text = f"this {what} is memory of the parent process: a child of fork() has none"
        raise VfioError(ECHILD, text, hint=text)
