# SPDX-License-Identifier: MIT
"""Runs in a guest: net_in_guest.py BDF0 BDF1. The loop of net.c in Python and in C, in turn; prints
a line of JSON with the medians."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import vfiocore

PROGRAM = Path(__file__).parents[2] / "build/tests/bench/bench-net"
BATCH, WINDOW, SECONDS, ROUNDS = 256, 512, 2, 3
ENTRIES, CHUNKS = 1024, 8192


def in_c(names: list[str]) -> float:
    words = [str(PROGRAM), *names, str(BATCH), str(WINDOW), str(SECONDS)]
    line = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout
    return float(json.loads(line)["rx"])


def in_python(names: list[str]) -> float:
    with vfiocore.Iommu() as space:
        first, second = (vfiocore.open(name, iommu=space) for name in names)
        with first, second, vfiocore.Pool(space, CHUNKS) as pool:
            left = first.nic(pool=pool, rx_entries=ENTRIES, tx_entries=ENTRIES)
            right = second.nic(pool=pool, rx_entries=ENTRIES, tx_entries=ENTRIES)
            with left, right:
                left.wait_link(10)
                right.wait_link(10)
                return loop(left, right)


def loop(left: vfiocore.Nic, right: vfiocore.Nic) -> float:
    frame = right.mac_bytes + left.mac_bytes + b"\x88\xb5" + bytes(46)
    sent = received = 0
    start = at = time.monotonic()
    while at - start < SECONDS:
        if sent - received < WINDOW:
            with left.alloc(BATCH, frame) as burst:
                sent += left.tx_burst(burst)
        with right.rx_burst(BATCH) as burst:
            received += len(burst)
        at = time.monotonic()
    return received / (at - start)


def main(names: list[str]) -> None:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(in_python(names))
        theirs.append(in_c(names))
    value, base = statistics.median(ours), statistics.median(theirs)
    print(json.dumps({"value": value, "baseline_value": base}))


if __name__ == "__main__":
    main(sys.argv[1:])
