# SPDX-License-Identifier: MIT
"""Times in buckets that grow by the same factor."""

from __future__ import annotations

import math

_PER_OCTAVE = 2  # buckets for each doubling
_BAR = "█"


class Histogram:
    """Latencies in nanoseconds."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def add(self, nanoseconds: int) -> None:
        """One more."""
        self.values.append(nanoseconds)

    def quantile(self, share: float) -> float:
        """In microseconds; 0 when there is none."""
        if not self.values:
            return 0.0
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e3

    def buckets(self) -> list[tuple[float, float, int]]:
        """(from, to, how many) in microseconds, ascending, without a gap."""
        counts: dict[int, int] = {}
        for value in self.values:
            index = math.floor(math.log2(max(value, 1)) * _PER_OCTAVE)
            counts[index] = counts.get(index, 0) + 1
        if not counts:
            return []
        edges = range(min(counts), max(counts) + 1)
        return [(_edge(index), _edge(index + 1), counts.get(index, 0)) for index in edges]

    def rows(self, width: int = 40) -> list[str]:
        """A line of text for each bucket."""
        buckets = self.buckets()
        most = max((count for *_, count in buckets), default=0)
        return [
            f"{low:9.1f} to {high:9.1f} us  {count:7}  {_BAR * math.ceil(width * count / most)}"
            for low, high, count in buckets
        ]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "samples": len(self.values),
            "min_us": self.quantile(0),
            "median_us": self.quantile(0.5),
            "p99_us": self.quantile(0.99),
            "max_us": self.quantile(1),
            "buckets": [{"from_us": a, "to_us": b, "count": n} for a, b, n in self.buckets()],
        }


def _edge(index: int) -> float:
    return float(2 ** (index / _PER_OCTAVE)) / 1e3
