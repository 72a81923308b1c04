# SPDX-License-Identifier: MIT
"""Traffic of an igb's virtual functions, each frame of which must come."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from frames import frame, receive

import vfiocore

WIRE = Path(__file__).parents[2] / "build" / "tests" / "lab" / "wire"


def there_and_back(one: vfiocore.Nic, other: vfiocore.Nic) -> None:
    for size in range(60, 1515, 97):
        there = frame(other.mac_bytes, one.mac_bytes, size, size)
        one.send(there)
        assert receive(other) == there
        back = frame(one.mac_bytes, other.mac_bytes, size, size)
        other.send(back)
        assert receive(one) == back


def wire(vf: str, interface: str, *token: str) -> None:
    """10,000 frames each way at once, none of which is lost, damaged or out of order."""
    command = [str(WIRE), vf, interface, "10000", *token]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    for way in ("tx", "rx"):
        assert figures[way]["received"] == 10_000
        assert figures[way]["lost"] == figures[way]["damaged"] == figures[way]["reordered"] == 0
    print(done.stdout)
