# SPDX-License-Identifier: MIT
"""Words that messages and the command share."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """``1 device``, ``2 devices``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
