# SPDX-License-Identifier: MIT
"""The locked-memory limit, as an ordinary user meets it; the rest is in tests/conformance."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vfiocore

pytestmark = pytest.mark.machine("intel")

UNPRIVILEGED = """
import mmap, os, resource, sys
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
import vfiocore
with vfiocore.open(sys.argv[1]) as device:
    small = device.iommu.alloc(512 << 10)
    try:
        device.iommu.alloc(1 << 20)
    except vfiocore.MemlockLimit as error:
        assert "1024 KiB locked memory beside 512 KiB" in str(error), error
        assert "the limit is 1024 KiB" in str(error), error
        assert "ulimit -l" in str(error), error
    else:
        raise SystemExit("over the limit, and nothing was said")
    assert device.iommu.mappings == 1
    small.close()
    device.iommu.alloc(1 << 20).close()
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


def test_the_locked_memory_limit(edu: str, ordinary_user: int) -> None:
    vfiocore.pci.bind(edu, uid=ordinary_user, gid=ordinary_user)
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, edu, str(ordinary_user)],
        capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
