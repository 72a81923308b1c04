# SPDX-License-Identifier: MIT
"""``vfio net generate``: test frames at a rate."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from vfiocore._octets import parse_mac

from ..output import CliError, plural, print_json
from .session import ctrl_c, experiment, open_nic, progress, rate_text

if TYPE_CHECKING:
    from vfiocore import Nic

_BURST = 128
_PAUSE = 5e-5  # between looks at a full ring, or at the clock
_SHOW = 0.5
_DRAIN_SECONDS = 5.0


def run(args: argparse.Namespace) -> int:
    to = parse_mac(args.dst)
    with open_nic(args) as nic:
        if args.size > nic.frame_max:
            raise CliError(f"--size is {args.size}: a frame has {nic.frame_max} at most", status=2)
        before = nic.stats
        started = time.perf_counter()
        frame = experiment(args.size, nic.mac_bytes, to)
        sent = generate(nic, frame, count=args.count, seconds=args.seconds, rate=args.rate)
        nic.drain(_DRAIN_SECONDS)
        took = time.perf_counter() - started
        after = nic.stats
    counts = {
        "frames": sent,
        "bytes": sent * args.size,
        "doorbells": after.tx_doorbells - before.tx_doorbells,
        "errors": after.tx_errors - before.tx_errors,
    }
    _report(args, counts, took)
    return 1 if counts["errors"] else 0


def generate(
    nic: Nic,
    frame: bytes,
    *,
    count: int | None = None,
    seconds: float | None = None,
    rate: float | None = None,
) -> int:
    """Send until ``count`` frames or ``seconds`` have passed, or Ctrl-C. Return: how many."""
    sent, start = 0, time.perf_counter()
    shown = start
    with ctrl_c() as pressed:
        while not pressed() and (count is None or sent < count):
            now = time.perf_counter()
            if seconds is not None and now - start >= seconds:
                break
            due = _BURST if rate is None else int((now - start) * rate) + 1 - sent
            if count is not None:
                due = min(due, count - sent)
            n = _send(nic, frame, min(due, _BURST)) if due > 0 else 0
            sent += n
            if not n:
                time.sleep(_PAUSE)
            if now - shown > _SHOW:
                shown = now
                progress(f"{sent} frames")
    progress("")
    return sent


def _send(nic: Nic, frame: bytes, count: int) -> int:
    with nic.alloc(count, frame) as burst:
        return nic.tx_burst(burst)


def _report(args: argparse.Namespace, counts: dict[str, int], took: float) -> None:
    rate = counts["frames"] / took if took else 0.0
    bits = 8 * counts["bytes"] / took if took else 0.0
    if args.json:
        print_json(
            {"name": args.device, **counts, "seconds": took, "rate": rate, "bits_per_second": bits}
        )
        return
    print(
        f"{args.device}: {plural(counts['frames'], 'frame')} in {took:.2f} s, {rate_text(rate)}, "
        f"{bits / 1e6:.1f} Mbit/s, {plural(counts['doorbells'], 'doorbell')}"
    )
    if counts["errors"]:
        print(f"{plural(counts['errors'], 'frame')} could not be sent")
