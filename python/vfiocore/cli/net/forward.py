# SPDX-License-Identifier: MIT
"""``vfio net forward``: every frame of one interface through the other, both ways."""

from __future__ import annotations

import argparse
import select
import time
from typing import TYPE_CHECKING

from ..output import plural, print_json
from .session import ctrl_c, open_pair, progress, rate_text

if TYPE_CHECKING:
    from vfiocore import Nic

_BURST = 256
_PATIENCE = 64  # fruitless rounds before it sleeps until a frame raises an interrupt
_SLEEP_MS = 200
_SHOW = 0.5
_DRAIN_SECONDS = 5.0


class Way:
    """One direction, and what went it."""

    def __init__(self, source: Nic, target: Nic) -> None:
        self.source, self.target = source, target
        self.forwarded = self.bytes = self.dropped = 0
        self._before = source.stats.rx_missed

    def move(self, count: int) -> int:
        """A burst of up to ``count``; what does not fit into the ring is dropped."""
        with self.source.rx_burst(count) as burst:
            received = len(burst)
            sent = self.target.tx_burst(burst) if received else 0
        self.forwarded += sent
        self.dropped += received - sent
        return received

    def counts(self) -> dict[str, object]:
        missed = self.source.stats.rx_missed - self._before
        names = {"from": self.source.device.name, "to": self.target.device.name}
        return {
            **names,
            "forwarded": self.forwarded,
            "dropped": self.dropped,
            "missed": missed,
            "interrupts": self.source.stats.rx_interrupts,
        }


def run(args: argparse.Namespace) -> int:
    with open_pair(args, promisc=True) as (left, right):
        ways = (Way(left, right), Way(right, left))
        started = time.perf_counter()
        forward(*ways, count=args.count, seconds=args.seconds, spin=args.spin)
        took = time.perf_counter() - started
        for nic in (left, right):
            nic.drain(_DRAIN_SECONDS)
        counts = [way.counts() for way in ways]
    _report(args, ways, counts, took)
    return 0


def forward(
    there: Way,
    back: Way,
    *,
    count: int | None = None,
    seconds: float | None = None,
    spin: float = 0.0,
) -> None:
    """Until ``count`` frames or ``seconds`` have passed, or Ctrl-C. It sleeps when none came for
    ``spin`` seconds and a few rounds."""
    total = idle = 0
    start = shown = last = time.perf_counter()
    with ctrl_c() as pressed:
        while not pressed() and (count is None or total < count):
            moved = 0
            for way in (there, back):
                left = _BURST if count is None else min(_BURST, count - total - moved)
                moved += way.move(left) if left else 0
            total += moved
            idle = 0 if moved else idle + 1
            now = time.perf_counter()
            if moved:
                last = now
            elif idle >= _PATIENCE and now - last >= spin:
                _sleep(there.source, back.source)
                now = time.perf_counter()
            if seconds is not None and now - start >= seconds:
                break
            if now - shown > _SHOW:
                shown = now
                progress(f"{total} frames")
    progress("")


def _sleep(*nics: Nic) -> None:
    """Until a frame may be there."""
    poll = select.poll()
    for nic in nics:
        poll.register(nic.fileno(), select.POLLIN)
    if not any([nic.arm() for nic in nics]):
        poll.poll(_SLEEP_MS)


def _report(
    args: argparse.Namespace, ways: tuple[Way, Way], counts: list[dict[str, object]], took: float
) -> None:
    total = sum(way.forwarded for way in ways)
    rate = total / took if took else 0.0
    if args.json:
        print_json({"ways": counts, "forwarded": total, "seconds": took, "rate": rate})
        return
    for way, count in zip(ways, counts, strict=True):
        print(
            f"{count['from']} -> {count['to']}: {plural(way.forwarded, 'frame')}, "
            f"{way.dropped} dropped, {count['missed']} missed"
        )
    print(f"{rate_text(rate)} in {took:.2f} s")
