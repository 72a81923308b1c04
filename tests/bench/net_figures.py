# SPDX-License-Identifier: MIT
"""Frames of 60 bytes between two network interfaces: bench.py's figures ``net.*``.

compare.py moves them in one guest, on one processor, in the same loop: by the library, by DPDK, by
the kernel's driver with AF_PACKET, and by doorbells alone. All figures of a kind of interface come
from one run of a guest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vfiocore.lab.machines import MACHINES

VFIO = str(Path(sys.executable).with_name("vfio"))
MACHINE = "compare"

# The kind of interface, as its two devices begin in the machine, and the kernel's driver.
DRIVERS = {"e1000e": "e1000e", "igb": "igb", "virtio": "virtio-pci"}


@cache
def moved(kind: str) -> dict[str, Any]:
    """What compare.py prints of a kind."""
    names = [MACHINES[MACHINE].device(f"{kind}{number}").bdf for number in (0, 1)]
    script = str(Path(__file__).with_name("compare.py"))
    command = [VFIO, "lab", "run", "--machine", MACHINE, "--", sys.executable, script]
    done = subprocess.run([*command, DRIVERS[kind], *names], check=True, text=True,
                          stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Moved:
    """Ours against one other way, of the frames sent or received."""

    kind: str
    what: str
    baseline: str
    way: str
    others: tuple[str, ...]  # of which the fastest counts

    @property
    def name(self) -> str:
        return f"net.{self.kind}.{self.what}"

    def measure(self) -> dict[str, object]:
        found = moved(self.kind)
        value = found["ours"][self.way]
        base = max(found[other][self.way] for other in self.others)
        row = {"name": self.name, "value": value, "unit": "frames/s", "baseline": self.baseline,
               "baseline_value": base, "ratio": round(value / base, 3), "better": "higher"}
        if self.what == "tx":
            row["counts"] = {
                by: {what: found[by][what] for what in ("reads", "writes", "calls")}
                for by in ("ours", "dpdk", "mmsg", "mmap")
            }
        return row


def net_figures() -> list[Moved]:
    return [
        Moved(kind, what, baseline, way, others)
        for kind in DRIVERS
        for what, way, others, baseline in [
            ("tx", "tx", ("dpdk",), "DPDK's driver, sent"),
            ("rx", "rx", ("dpdk",), "DPDK's driver, received"),
            ("af_packet", "rx", ("mmsg", "mmap"),
             "the kernel's driver, AF_PACKET: the faster of recvmmsg and PACKET_MMAP"),
            ("limit", "rx", ("limit",), "doorbells on ready descriptors: the device's own limit"),
        ]
    ]
