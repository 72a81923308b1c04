# SPDX-License-Identifier: MIT
"""Each register access reaches the device as one access of that width: QEMU's trace tells.

virtio's common configuration (virtio 1.2, 4.1.4.3) takes 8, 16 and 32 bits as they are; edu takes
64 bits from offset 0x80 on (QEMU docs/specs/edu.rst).
"""

from __future__ import annotations

import json
import re
import sys

import pytest
from machine_helpers import VFIO, finish

from vfiocore.lab.machines import find

# device, BAR, offset, width, the memory region's name in QEMU
ACCESSES = [
    ("virtio", 4, 0x14, 8, "virtio-pci-common"),
    ("virtio", 4, 0x16, 16, "virtio-pci-common"),
    ("virtio", 4, 0x08, 32, "virtio-pci-common"),
    ("edu", 0, 0x20, 32, "edu-mmio"),
    ("edu", 0, 0x80, 64, "edu-mmio"),
]

# A write of this to a register of edu stands before and behind every access, so that what the
# firmware and the kernel do to the devices is told apart.
MARK, MARK_AT = 0x5EED0000, 0x04

GUEST = f"""
import contextlib, json, sys, vfiocore
from vfiocore import pci
with contextlib.ExitStack() as stack:
    devices, bases = {{}}, []
    edu = sys.argv[1]
    for word in sys.argv[1:]:
        bdf = word.split("/")[0]
        if bdf not in devices:
            pci.bind(bdf)
            devices[bdf] = stack.enter_context(vfiocore.open(bdf))
    count = iter(range(1000))
    mark = lambda: devices[edu].bar(0).write32({MARK_AT}, {MARK} + next(count))
    for word in sys.argv[2:]:
        bdf, bar, offset, width = word.split("/")
        region = devices[bdf].bar(int(bar))
        assert region.mappable
        bases.append(pci.info(bdf).bars[int(bar)].address)
        mark()
        getattr(region, f"write{{width}}")(int(offset), 1)
        mark()
        getattr(region, f"read{{width}}")(int(offset))
    mark()
print(json.dumps(bases))
"""

LINE = re.compile(
    r"memory_region_ops_(read|write) .*addr 0x([0-9a-f]+) value 0x([0-9a-f]+) "
    r"size (\d+) name '(.*)'"
)

Access = tuple[str, int, int, str]  # way, address, bytes, region


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[list[Access]]:
    """What QEMU saw between two marks, in order: a write and a read for each of ACCESSES."""
    file = tmp_path_factory.mktemp("width") / "trace"
    machine = find("width")
    words = [f"{machine.device(d).bdf}/{bar}/{off}/{bits}" for d, bar, off, bits, _ in ACCESSES]
    words.insert(0, machine.device("edu").bdf)
    options = ["--machine", "width", "--trace", str(file)]
    done = finish([*VFIO, "lab", "run", *options, "--", sys.executable, "-c", GUEST, *words], {})
    assert done.returncode == 0, done.stderr
    bases = json.loads(done.stdout)
    between: list[list[Access]] = []
    for way, address, value, size, name in LINE.findall(file.read_text()):
        if way == "write" and int(value, 16) == MARK + len(between):
            between.append([])
        elif between:
            number = (len(between) - 1) // 2
            base = bases[number] if number < len(bases) else 0
            between[-1].append((way, int(address, 16) - base, int(size), name))
    assert len(between) == 2 * len(ACCESSES) + 1
    return between


@pytest.mark.parametrize("way", ["write", "read"])
@pytest.mark.parametrize("number", range(len(ACCESSES)))
def test_one_access_of_that_width(seen: list[list[Access]], number: int, way: str) -> None:
    _, _, offset, bits, region = ACCESSES[number]
    ours = [a for a in seen[2 * number + (way == "read")] if a[3].startswith(region)]
    assert [access[:3] for access in ours] == [(way, offset, bits // 8)]
