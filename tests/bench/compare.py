# SPDX-License-Identifier: MIT
"""Runs in a guest: compare.py DRIVER BDF0 BDF1.

The loop of net.c by the library, by DPDK, by doorbells alone, and by the kernel's DRIVER with
AF_PACKET; prints a line of JSON with the medians of frames a second, and what 1,000 frames took.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from vfiocore import pci

BUILD = Path(__file__).parents[2] / "build/tests/bench"
BATCH, SECONDS, ROUNDS, FRAMES = 32, 2, 5, 10_000
OURS = {"ours": "bench-net", "dpdk": "bench-net-dpdk", "limit": "bench-net-limit"}
KERNELS = {"mmsg": "bench-net-mmsg", "mmap": "bench-net-mmap"}
HUGE = Path("/dev/hugepages")


def moved(program: str, names: list[str], *what: object) -> dict[str, float]:
    words = [str(BUILD / program), *names, str(BATCH), "0", *map(str, what)]
    line = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout
    measured: dict[str, float] = json.loads(line.splitlines()[-1])
    return measured


def measure(programs: dict[str, str], names: list[str]) -> dict[str, Any]:
    """All in turn, so that a machine whose speed drifts slows all."""
    rounds = [
        {by: moved(program, names, SECONDS) for by, program in programs.items()}
        for _ in range(ROUNDS)
    ]
    return {
        by: {way: statistics.median(each[by][way] for each in rounds) for way in ("tx", "rx")}
        | moved(program, names, "count", FRAMES)
        for by, program in programs.items()
    }


def interface(bdf: str) -> str:
    """The name that the kernel gives it, once it has."""
    device = Path("/sys/bus/pci/devices", bdf)
    for _ in range(200):
        for net in (*device.glob("net/*"), *device.glob("virtio*/net/*")):
            return net.name
        time.sleep(0.05)
    raise SystemExit(f"the kernel's driver makes no interface of {bdf}")


def main(driver: str, *names: str) -> None:
    HUGE.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "hugetlbfs", "none", str(HUGE)], check=True)
    for name in names:
        pci.bind(name)
    found = measure(OURS, list(names))
    subprocess.run(["modprobe", {"virtio-pci": "virtio_net"}.get(driver, driver)], check=True)
    for name in names:
        pci.bind(name, driver=driver)
    found |= measure(KERNELS, [interface(name) for name in names])
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
