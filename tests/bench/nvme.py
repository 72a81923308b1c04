# SPDX-License-Identifier: MIT
"""Reads of 4 KiB a second: examples/nvme against the kernel's driver, in turn, in one guest.

Both read at random places, 32 in flight, and look for completions without interrupts. The kernel's
driver is used through io_uring by fio, as fast as it goes: registered file and buffers, 32 requests
submitted at once, with its polled queue and with its interrupt, of which the faster counts.
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

DEPTH, SECONDS, ROUNDS = 32, 2, 5
DISK = Path("/dev/nvme0n1")
FIO = (
    *("fio", "--name=read4k", f"--filename={DISK}", "--rw=randread", "--bs=4k", "--direct=1"),
    *("--ioengine=io_uring", "--fixedbufs", "--registerfiles", f"--iodepth={DEPTH}"),
    *(f"--iodepth_batch_submit={DEPTH}", f"--iodepth_batch_complete_max={DEPTH}"),
    *("--iodepth_batch_complete_min=1", "--norandommap", "--random_generator=lfsr", "--thread"),
    *("--gtod_reduce=1", "--time_based", f"--runtime={SECONDS}", "--output-format=json"),
)


def said(*command: str) -> Any:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd="/tmp")
    return json.loads(done.stdout)


def ours(program: str, bdf: str) -> float:
    pci.bind(bdf)
    try:
        return float(said(program, bdf, "bench", str(SECONDS), str(DEPTH))["per_second"])
    finally:
        pci.unbind(bdf)


def theirs(bdf: str) -> float:
    pci.bind(bdf, driver="nvme")
    end = time.monotonic() + 10
    while not DISK.exists():
        if time.monotonic() > end:
            raise SystemExit(f"the kernel's driver makes no {DISK}")
        time.sleep(0.01)
    try:
        jobs = [said(*FIO, f"--hipri={polled}")["jobs"][0] for polled in (0, 1)]
        return max(float(job["read"]["iops"]) for job in jobs)
    finally:
        pci.unbind(bdf)


def main(program: str, bdf: str) -> None:
    subprocess.run(["modprobe", "nvme", "poll_queues=1"], check=True)
    pairs = [(ours(program, bdf), theirs(bdf)) for _ in range(ROUNDS)]
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(json.dumps({"value": value, "baseline_value": baseline}))


main(*sys.argv[1:])
