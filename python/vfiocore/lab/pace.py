# SPDX-License-Identifier: MIT
"""How much longer things take here than on a quiet machine, measured by this process's own boots.

A time limit is there for what hangs. On a machine that is busy, or slow, what does not hang takes
longer too, so limits on what a guest does are multiplied by `slowness()`.
"""

from __future__ import annotations

import threading

__all__ = ["limit", "note_boot", "slowness"]

# Seconds that a boot takes at most on two quiet cores without KVM.
QUIET_BOOT = 8.0

_lock = threading.Lock()
_slowest = 0.0


def note_boot(seconds: float) -> None:
    """A guest has booted in that time. The slowest one counts: load comes and goes."""
    global _slowest  # noqa: PLW0603 - of the process, as the load that it measures
    with _lock:
        _slowest = max(_slowest, seconds)


def slowness() -> float:
    """1 on a quiet machine, or before the first boot; else how many times a boot took as long."""
    return max(1.0, _slowest / QUIET_BOOT)


def limit(seconds: float) -> float:
    """What to allow for something that may take so many seconds on a quiet machine."""
    return seconds * slowness()
