# SPDX-License-Identifier: MIT
"""``vfio net dump``: show and save received frames."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from ..output import paint, plural, print_json
from .session import Capture, open_nic, progress, require_scapy

if TYPE_CHECKING:
    from vfiocore import Nic

# So that Ctrl-C and the end of the time are seen soon, and the progress line moves.
_SLICE = 0.5


def run(args: argparse.Namespace) -> int:
    if args.write or not (args.quiet or args.json):
        require_scapy()
    # Before the device is opened: Scapy takes its time, in which frames would be lost.
    show = None if args.quiet or args.json else _shower()
    with ExitStack() as stack:
        capture = stack.enter_context(Capture(args.write)) if args.write else None
        nic = stack.enter_context(open_nic(args))
        if not args.no_promisc:
            nic.set_promisc(True)
        counts = dump(
            nic,
            show=show,
            capture=capture,
            count=args.count,
            seconds=args.seconds,
        )
    _report(args, counts)
    return 0


def dump(
    nic: Nic,
    *,
    show: Callable[[bytes, float], None] | None = None,
    capture: Capture | None = None,
    count: int | None = None,
    seconds: float | None = None,
) -> dict[str, int]:
    """Receive until ``count`` frames or ``seconds`` have passed, or Ctrl-C; the counts."""
    before, total, size = nic.stats, 0, 0
    end = None if seconds is None else time.monotonic() + seconds
    with suppress(KeyboardInterrupt):
        while count is None or total < count:
            left = _SLICE if end is None else min(_SLICE, end - time.monotonic())
            if left <= 0:
                break
            frame = _receive(nic, left)
            if frame is not None:
                at = time.time()
                total, size = total + 1, size + len(frame)
                if capture:
                    capture.add(frame, at=at)
                if show:
                    show(frame, at)
            if not show:
                progress(f"{total} frames")
    progress("")
    after = nic.stats
    return {
        "captured": total,
        "bytes": size,
        "missed": after.rx_missed - before.rx_missed,
        "errors": after.rx_errors - before.rx_errors,
    }


def _receive(nic: Nic, timeout: float) -> bytes | None:
    try:
        return nic.recv(timeout)
    except TimeoutError:
        return None


def _shower() -> Callable[[bytes, float], None]:
    """Prints one line for a frame."""
    from scapy.layers import dhcp  # noqa: F401  Scapy names only what it has imported
    from scapy.layers.l2 import Ether

    def show(frame: bytes, at: float) -> None:
        stamp = datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")
        print(f"{paint(stamp, 'dim')}  {len(frame):4}  {Ether(frame).summary()}", flush=True)

    return show


def _report(args: argparse.Namespace, counts: dict[str, int]) -> None:
    if args.json:
        print_json({"name": args.device, "file": args.write, **counts})
        return
    text = f"{plural(counts['captured'], 'frame')} captured, {counts['missed']} missed"
    if counts["errors"]:
        text += f", {counts['errors']} damaged"
    if args.write:
        text += f", written to {args.write}"
    print(text, file=sys.stderr if not args.quiet else sys.stdout)
