# SPDX-License-Identifier: MIT
"""Packets from Python against the same loop in C: bench.py's figures ``python.burst*``."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vfiocore
from vfiocore.nic import Nic

BUILD = Path(__file__).parents[2] / "build/tests/bench"
ENTRIES = 512
ROUND = 0.2  # seconds that a measurement takes, about


class Loopback:
    """Bursts over the model device in memory, which receives what it was given to send. No packet
    is touched. Its own work is counted on both sides."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.model = ctypes.CDLL(str(BUILD / "bench-model.so"))
        self.model.model_open.restype = ctypes.c_void_p
        self.model.model_forward.restype = ctypes.c_uint64
        self.model.model_forward.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64,
        ]  # fmt: skip
        self.device = vfiocore.open("fake:e1000e")  # for its address space alone
        self.pool = vfiocore.Pool(self.device, 2 * ENTRIES + 512)
        self.chip = ctypes.c_void_p()
        handle = self.model.model_open(
            ctypes.c_void_p(self.device.iommu._native()), ctypes.c_void_p(self.pool._native()),
            ENTRIES, ctypes.byref(self.chip),
        )  # fmt: skip
        self.nic = self._nic(handle)
        self.packets = 64 * batch

    def _nic(self, handle: int) -> Nic:
        """The package's own class on that device, which no vfc_nic_open() knows."""
        nic = Nic.__new__(Nic)
        nic._handle, nic._pool, nic._own_pool = handle, self.pool, False
        nic._receiving, nic._sending = threading.Lock(), threading.Lock()
        return nic

    def _timed(self, forward: Callable[[int], int]) -> float:
        """Packets a second."""
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < ROUND:
            done += forward(self.packets)
        return done / (time.perf_counter() - start)

    def _forward(self, packets: int) -> int:
        nic, batch, run, chip = self.nic, self.batch, self.model.model_run, self.chip
        done = 0
        while done < packets:
            with nic.rx_burst(batch) as burst:
                done += nic.tx_burst(burst)
            run(chip)
        return done

    def ours(self) -> float:
        return self._timed(self._forward)

    def in_c(self) -> float:
        def forward(packets: int) -> int:
            return int(self.model.model_forward(self.nic._handle, self.chip, self.batch, packets))

        return self._timed(forward)


class Lazy:
    """What is made when it is first measured."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.made: Loopback | None = None

    def loopback(self) -> Loopback:
        if self.made is None:
            self.made = Loopback(self.batch)
        return self.made

    def ours(self) -> float:
        return self.loopback().ours()

    def in_c(self) -> float:
        return self.loopback().in_c()


def loopbacks() -> list[dict[str, Any]]:
    """Arguments of bench.Figure."""
    lazies = [Lazy(batch) for batch in (1, 32, 256)]
    return [
        {
            "name": f"python.burst{lazy.batch}.loopback",
            "unit": "packets/s",
            "baseline": "the same loop in C",
            "ours": lazy.ours,
            "theirs": lazy.in_c,
            "better": "higher",
        }
        for lazy in lazies
    ]
