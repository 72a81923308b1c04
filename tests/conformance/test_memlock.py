# SPDX-License-Identifier: MIT
"""The locked-memory limit, as an ordinary user meets it: told with figures, and survived."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from edu_engine import EDU

HERE = Path(__file__).parent

UNPRIVILEGED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
bdf, transport, user, here = sys.argv[1:]
os.setgid(int(user)); os.setuid(int(user))
sys.path.insert(0, here)
import vfiocore
from edu_engine import HIGHEST, Edu, copies

with vfiocore.open(bdf, transport=transport) as device:
    edu = Edu(device)
    small = [device.iommu.alloc(256 << 10, highest=HIGHEST) for _ in range(2)]
    small[0][:64] = b"v" * 64
    for _ in range(3):
        try:
            device.iommu.alloc(1 << 20)
        except vfiocore.MemlockLimit as error:
            assert "1024 KiB locked memory beside 512 KiB" in str(error), error
            assert "the limit is 1024 KiB" in str(error), error
            assert "ulimit -l" in str(error), error
        else:
            raise SystemExit("over the limit, and nothing was said")
    assert (device.iommu.mappings, device.iommu.mapped) == (2, 512 << 10)
    copies(edu, small[0].iova, small[1].iova + (256 << 10) - 64)
    assert bytes(small[1][-64:]) == b"v" * 64, "a mapping was lost"
    for buffer in small:
        buffer.close()
    for _ in range(3):
        with device.iommu.alloc(1 << 20, highest=HIGHEST) as all_of_it:
            copies(edu, all_of_it.iova, all_of_it.iova + 64)
    with device.iommu.cache() as cache:
        for _ in range(20):  # what is idle makes room
            cache.get(bytearray(200 << 10)).close()
        assert cache.stats.evictions > 10, cache.stats
        with cache.get(bytearray(600 << 10)):
            try:
                cache.get(bytearray(600 << 10))
            except vfiocore.MemlockLimit as error:
                assert "ulimit -l" in str(error), error
            else:
                raise SystemExit("over the limit, and nothing was said")
print("ok")
"""


@pytest.mark.unless("only for root")
def test_the_locked_memory_limit(edu_user: int, transport: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, EDU, transport, str(edu_user), str(HERE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
