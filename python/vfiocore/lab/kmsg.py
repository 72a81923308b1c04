# SPDX-License-Identifier: MIT
"""The kernel's log, as read from /dev/kmsg: what is new in it, and what in that is bad."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

# What a kernel says when something is wrong with it, and when an IOMMU stopped a device.
_BAD = re.compile(r"\bWARNING\b|\bBUG\b|\bOops\b|DMAR:.*\bfault\b|\bIO_PAGE_FAULT\b|Call Trace")
_RECORD_BYTES = 8192  # no record is longer (kernel: Documentation/ABI/testing/dev-kmsg)


class KernelLog:
    """A reader that starts at the log's end."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)

    def close(self) -> None:
        """Stop reading."""
        os.close(self._fd)

    def new(self) -> list[str]:
        """The messages since the last call."""
        messages: list[str] = []
        while True:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BlockingIOError:
                return messages
            except BrokenPipeError:  # the oldest unread records were overwritten: go on
                continue
            messages.append(message(record))


def message(record: bytes) -> str:
    """The text of a record "priority,sequence,time,flags;text" without its dictionary."""
    text = record.decode("utf-8", "replace").partition(";")[2]
    return text.split("\n", 1)[0]


def unexpected(messages: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """The messages that tell of trouble and match none of the `allowed` patterns."""
    bad = [text for text in messages if _BAD.search(text)]
    return [text for text in bad if not any(re.search(pattern, text) for pattern in allowed)]
