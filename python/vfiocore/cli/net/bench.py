# SPDX-License-Identifier: MIT
"""``vfio net bench``: rates, loss and latency between two interfaces."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ..output import CliError, paint, print_json
from .histogram import Histogram
from .plot import require_matplotlib, save
from .session import experiment, open_pair, progress, rate_text

if TYPE_CHECKING:
    from typing import Any

    from vfiocore import Nic

_BURST = 128
_WINDOW = 512  # frames under way at most: the receiver's ring has room for them
_STALL = 0.05  # seconds without any, after which those under way are lost
_PATIENCE = 0.2  # for a single frame
_NUMBER_AT = 14  # behind the Ethernet header


class Result:
    """One way's figures."""

    def __init__(self, source: Nic, target: Nic, size: int) -> None:
        self.source, self.target = source.device.name, target.device.name
        self.size = size
        self.sent = self.received = self.lost = self.doorbells = 0
        self.seconds = 0.0
        self.latency = Histogram()
        self.unanswered = 0

    @property
    def rate(self) -> float:
        """Frames that arrived a second."""
        return self.received / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "from": self.source,
            "to": self.target,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "seconds": self.seconds,
            "rate": self.rate,
            "bits_per_second": 8 * self.size * self.rate,
            "doorbells": self.doorbells,
            "latency": {**self.latency.as_dict(), "lost": self.unanswered},
        }


def run(args: argparse.Namespace) -> int:
    if args.plot:
        require_matplotlib()
    with open_pair(args) as (left, right):
        if args.size > left.frame_max:
            raise CliError(f"--size is {args.size}: a frame has {left.frame_max} at most", status=2)
        results = [_measure(args, left, right), _measure(args, right, left)]
    if args.plot:
        save(args.plot, results)
    if args.json:
        print_json({"size": args.size, "ways": [result.as_dict() for result in results]})
    else:
        for result in results:
            _print(result)
    return 0 if all(result.received for result in results) else 1


def _measure(args: argparse.Namespace, source: Nic, target: Nic) -> Result:
    result = Result(source, target, args.size)
    frame = experiment(args.size, source.mac_bytes, target.mac_bytes)
    _empty(target)
    progress(f"{result.source} -> {result.target}: full rate")
    before = source.stats.tx_doorbells
    flood(source, target, frame, args.seconds, result)
    result.doorbells = source.stats.tx_doorbells - before
    progress(f"{result.source} -> {result.target}: latency")
    for number in range(args.samples):
        probe(source, target, frame, number, result)
    progress("")
    return result


def _empty(nic: Nic) -> None:
    while nic.recv_many():
        pass


def flood(source: Nic, target: Nic, frame: bytes, seconds: float, result: Result) -> None:
    """As many frames as the receiver takes, no more than the window under way."""
    start = moved = time.perf_counter()
    while True:
        flying = result.sent - result.received - result.lost
        now = time.perf_counter()
        if now - start >= seconds:
            if not flying:
                break
        elif flying < _WINDOW:
            with source.alloc(min(_BURST, _WINDOW - flying), frame) as burst:
                result.sent += source.tx_burst(burst)
        with target.rx_burst() as burst:
            n = min(len(burst), result.sent - result.received - result.lost)
        result.received += n
        if n:
            moved = now
        elif now - moved > _STALL:
            result.lost += flying
            moved = now
    result.seconds = moved - start


def probe(source: Nic, target: Nic, frame: bytes, number: int, result: Result) -> None:
    """The time of one frame, from before it is sent until its bytes can be looked at."""
    mark = number.to_bytes(4, "big")
    with source.alloc(1, frame) as burst:
        burst[0][_NUMBER_AT : _NUMBER_AT + 4] = mark
        start = time.perf_counter_ns()
        source.tx_burst(burst)
    end = start + int(_PATIENCE * 1e9)
    while (now := time.perf_counter_ns()) < end:
        with target.rx_burst(32) as burst:
            if any(view[_NUMBER_AT : _NUMBER_AT + 4] == mark for view in burst):
                result.latency.add(time.perf_counter_ns() - start)
                return
    result.unanswered += now >= end


def _print(result: Result) -> None:
    share = 100 * result.lost / result.sent if result.sent else 0.0
    print(paint(f"{result.source} -> {result.target}", "bold"))
    print(
        f"  {rate_text(result.rate)}, {8e-6 * result.size * result.rate:.1f} Mbit/s; "
        f"{result.received} of {result.sent} frames arrived, {result.lost} lost ({share:.2g} %)"
    )
    latency = result.latency
    print(
        f"  latency: min {latency.quantile(0):.1f}, median {latency.quantile(0.5):.1f}, "
        f"99 % {latency.quantile(0.99):.1f}, max {latency.quantile(1):.1f} us; "
        f"{result.unanswered} lost"
    )
    for row in latency.rows():
        print(f"  {row}")
