# SPDX-License-Identifier: MIT
"""A process that dies while it maps: nothing stays pinned, and the device is there for the next."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from edu_engine import HIGHEST, Edu, copies

import vfiocore
from vfiocore.lab.machines import MACHINES

EDU = MACHINES["intel"].device("edu").bdf
ROUNDS = 3
LIMIT = 8 << 20

STORM = """
import mmap, os, random, resource, sys, threading
bdf, transport, user, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
os.setgid(user); os.setuid(user)
import vfiocore
device = vfiocore.open(bdf, transport=transport)
memory = mmap.mmap(-1, limit)
# All that this user may pin: nothing is left of who did so before.
with device.iommu.map(memory) as mapping:
    start = mapping.address

def storm(seed):
    some = random.Random(seed)
    live = []
    while True:
        length = 4096 << some.randrange(6)
        offset = some.randrange(0, len(memory) - length, 4096)
        live.append((device.iommu.map_address(start + offset, length), length))
        if len(live) == 16:
            up.set()
            device.iommu.unmap(*live.pop(some.randrange(16)))

up = threading.Event()
for seed in range(2):
    threading.Thread(target=storm, args=[seed]).start()
up.wait()
os.write(1, b"up")
"""


def pinned() -> int:
    """Pages that the kernel has pinned now for whoever does DMA."""
    # The counters of each processor are added up when somebody asks for it.
    Path("/proc/sys/vm/stat_refresh").read_text()
    lines = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(lines["nr_foll_pin_acquired"]) - int(lines["nr_foll_pin_released"])


def does_dma(name: str, transport: str) -> bool:
    with vfiocore.open(name, transport=transport) as device, device.iommu.alloc(4096) as buffer:
        assert buffer.iova < HIGHEST
        buffer[:64] = b"k" * 64
        copies(Edu(device), buffer.iova, buffer.iova + 64)
        return bytes(buffer[64:128]) == b"k" * 64


@pytest.mark.unless("only for root")
def test_killed_while_it_maps(edu_user: int, transport: str) -> None:
    before = pinned()
    some = random.Random(transport)
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", STORM, EDU, transport, str(edu_user), str(LIMIT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.read(2) == b"up"
                time.sleep(some.random() * 0.2)
                during = pinned()
                assert child.poll() is None, "it ended by itself"
            finally:
                child.kill()
        assert child.returncode == -signal.SIGKILL
        assert during > before
        assert pinned() == before
        assert does_dma(EDU, transport)
    assert pinned() == before
