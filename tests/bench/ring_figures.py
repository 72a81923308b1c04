# SPDX-License-Identifier: MIT
"""The figures of the ring engine.

bench-ring forwards through the e1000e driver over a model device, and by a loop that was written
for that device alone; see ring.c and by_hand.h.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parents[2] / "build/tests/bench"
RING = str(BENCH / "bench-ring")
ROUNDS = 9  # the best of each counts: what else the machine does only adds to it
ENTRIES = 512


def forwarded(who: str, batch: int, entries: int = ENTRIES, packets: int = 400_000,
              queues: int = 1) -> dict[str, float]:
    """One run: cycles a packet, doorbells per 1,000 packets."""
    command = [RING, who, *map(str, (batch, entries, packets, queues))]
    result: dict[str, float] = json.loads(
        subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    )
    return result


def line(name: str, unit: str, baseline: str, value: float, base: float) -> dict[str, object]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": round(base, 3),
        "ratio": round(value / base, 3),
        "better": "lower",
    }


@dataclass(frozen=True)
class Loopback:
    """Cycles a packet, ours and by hand in turn."""

    batch: int

    @property
    def name(self) -> str:
        return f"ring.loopback.b{self.batch}"

    def measure(self) -> dict[str, object]:
        runs = [[forwarded(who, self.batch)["cycles"] for who in ("ours", "hand")]
                for _ in range(ROUNDS)]
        ours, theirs = (min(column) for column in zip(*runs, strict=True))
        return line(self.name, "cycles/packet", "a loop by hand for one device", ours, theirs)


@dataclass(frozen=True)
class Instructions:
    """Instructions a packet: the same on every run, but of one compiler."""

    name: str = "ring.instructions.b32"
    batch: int = 32
    packets: int = 256_000

    def count(self, who: str, function: str) -> float:
        if not shutil.which("valgrind"):
            raise RuntimeError(
                f"{self.name} counts with callgrind, and there is no valgrind here "
                "(Debian: apt-get install valgrind)"
            )
        with tempfile.TemporaryDirectory() as folder:
            command = ["valgrind", "--tool=callgrind", "--collect-atstart=no",
                       f"--toggle-collect={function}*", f"--callgrind-out-file={folder}/out",
                       RING, who, *map(str, (self.batch, ENTRIES, self.packets))]
            errors = subprocess.run(command, check=True, text=True, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE).stderr
        found = re.search(r"Collected : (\d+)", errors)
        if not found:
            raise RuntimeError(f"callgrind does not say what it collected: {errors}")
        return int(found[1]) / self.packets

    def measure(self) -> dict[str, object]:
        return line(self.name, "instructions/packet", "a loop by hand for one device",
                    self.count("ours", "forward_ours"), self.count("hand", "forward_by_hand"))


@dataclass(frozen=True)
class Flat:
    """The slowest of several shapes over the fastest. More descriptors and frames than the nearest
    cache holds cost any loop something: so the same quotient of the one by hand is the baseline."""

    name: str
    shapes: tuple[tuple[int, int], ...]  # entries, queues

    def quotient(self, who: str) -> float:
        runs = [[forwarded(who, 32, entries=entries, queues=queues)["cycles"]
                 for entries, queues in self.shapes] for _ in range(ROUNDS)]
        cycles = [min(column) for column in zip(*runs, strict=True)]
        return max(cycles) / min(cycles)

    def measure(self) -> dict[str, object]:
        return line(self.name, "slowest/fastest", "the same of a loop by hand for one device",
                    self.quotient("ours"), self.quotient("hand"))


@dataclass(frozen=True)
class Doorbells:
    """Doorbells a burst of 32, both directions: one each at most."""

    name: str = "ring.doorbells"

    def measure(self) -> dict[str, object]:
        rung = forwarded("ours", 32)["doorbells"] * 32 / 1000
        return line(self.name, "doorbells/burst", "one each way", rung, 2)


@dataclass(frozen=True)
class Soak:
    """Seconds for ten million frames of which none may be lost or damaged, over those for a tenth
    of them, times ten: nothing piles up. tests/unit/soak.c fails when a frame is missing; it closes
    and opens the interface every second, and resets it in the middle."""

    name: str = "ring.soak"
    frames: int = 10_000_000

    def seconds(self, frames: int) -> float:
        start = time.perf_counter()
        subprocess.run([str(BENCH.parent / "unit/unit-soak"), str(frames)], check=True,
                       stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    def measure(self) -> dict[str, object]:
        tenth = self.seconds(self.frames // 10)
        return line(self.name, "s/10,000,000 frames, none lost", "ten times a tenth of it",
                    self.seconds(self.frames), 10 * tenth)


RingFigure = Loopback | Instructions | Flat | Doorbells | Soak


def ring_figures() -> list[RingFigure]:
    return [
        *(Loopback(batch) for batch in (1, 8, 32, 256)),
        Instructions(),
        Flat("ring.flat.entries", tuple((n, 1) for n in (64, 256, 1024, 4096))),
        Flat("ring.flat.queues", tuple((ENTRIES, n) for n in (1, 2, 4, 8))),
        Doorbells(),
        Soak(),
    ]
