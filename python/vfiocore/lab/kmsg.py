# SPDX-License-Identifier: MIT
"""The kernel's log, as read from /dev/kmsg: what is new in it, and what in that is bad."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# What a kernel says when something is wrong with it, and when an IOMMU stopped a device: VT-d,
# AMD-Vi, virtio-iommu. What a kernel with IOMMU debugfs says besides is harmless, and not in here:
# a banner at boot ("NOTICE"), and after a VT-d fault the walk of the page table, line by line.
_BAD = re.compile(
    r"\bWARNING\b|\bBUG\b|\bOops\b|Call Trace"
    r"|DMAR:.*\bfault\b|\bIO_PAGE_FAULT\b|\bfault from EP\b"
)

# How each of them names device and address. Before Linux 7 VT-d leaves the PCI domain out;
# virtio-iommu numbers a function as PCI does: bus, slot and function in 8, 5 and 3 bits.
_FAULTS = (
    re.compile(r"DMAR: .*\[(?P<device>[\da-f:.]+)\] fault addr 0x(?P<address>[\da-f]+) "),
    re.compile(
        r" (?P<device>[\da-f:.]+): AMD-Vi: Event logged \[IO_PAGE_FAULT .*"
        r"\baddress=0x(?P<address>[\da-f]+) "
    ),
    re.compile(r"fault from EP (?P<endpoint>\d+) at 0x(?P<address>[\da-f]+) "),
)
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


class Fault(NamedTuple):
    """A DMA that an IOMMU stopped: whose, and to where (VT-d: the page)."""

    bdf: str
    address: int


def faults(messages: Iterable[str]) -> list[Fault]:
    """The DMA faults that the messages tell of, in their order."""
    found = (pattern.search(text) for text in messages for pattern in _FAULTS)
    return [_fault(match.groupdict()) for match in found if match]


def _fault(words: dict[str, str]) -> Fault:
    if "endpoint" in words:
        number = int(words["endpoint"])
        device = f"{number >> 8:02x}:{number >> 3 & 0x1F:02x}.{number & 7}"
    else:
        device = words["device"]
    bdf = device if device.count(":") == 2 else f"0000:{device}"
    return Fault(bdf, int(words["address"], 16))
