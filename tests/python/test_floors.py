# SPDX-License-Identifier: MIT
"""The house of the C library: a folder knows only those below it, and no file is in a circle."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "libvfiocore/src"
PUBLIC = ROOT / "libvfiocore/include/vfiocore"
# The library as the unit tests have it, which is built whatever kind of library is.
ARCHIVE = ROOT / "build/tests/unit/libvfiocore-faults.a"

# From the ground up. A folder knows itself and those before it.
FLOORS = [
    "hw", "kernel", "base", "pci", "iommufd", "transport", "iommu", "device", "dma", "irq", "event",
    "vmm", "nic", "share",
]  # fmt: skip

# Where the functions of a public header are made. Below that floor nobody includes it.
PUBLIC_FLOORS = {
    "abi": "hw", "barrier": "hw", "mmio": "hw",
    "error": "base", "iova": "base",
    "bus": "pci", "pci": "pci", "sriov": "pci",
    "iommufd": "iommufd",
    "fake": "transport",
    "iommu": "iommu", "mapcache": "iommu",
    "device": "device", "region": "device", "power": "device", "nofault": "device",
    "dma": "dma", "ring": "dma", "ring_layout": "dma", "ring_post": "dma", "ring_reap": "dma",
    "irq": "irq", "driver": "irq",
    "event": "event",
    "kvm": "vmm",
    "nic": "nic", "nic_vf": "nic",
    "handover": "share",
}  # fmt: skip

Edges = dict[str, set[str]]

SYMBOL = re.compile(r".*libvfiocore_src_(\w+\.c)\.o:(?:[0-9a-f]+)?\s+(\w) (\w+)$")


def floor(path: str) -> int:
    return FLOORS.index(path.split("/", maxsplit=1)[0])


def sources() -> list[str]:
    """All files but exports.c, which emits what the headers have inline and stands on all."""
    files = (str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.[ch]"))
    return sorted(file for file in files if file != "exports.c")


def wrong_includes(file: str, text: str) -> list[str]:
    wrong = []
    for name in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        if not (SOURCE / name).exists() or floor(name) > floor(file):
            wrong.append(f"{file} includes {name}")
    for name in re.findall(r"^#include <vfiocore([^>]*)\.h>", text, re.MULTILINE):
        top = PUBLIC_FLOORS[name[1:]] if name else FLOORS[-1]
        if FLOORS.index(top) > floor(file):
            wrong.append(f"{file} includes <vfiocore{name}.h>")
    return wrong


def calls(symbols: str) -> Edges:
    """Which file uses a symbol of which, of ``nm -A`` of the archive."""
    flat = {file.replace("/", "_"): file for file in sources()}
    defined: dict[str, str] = {}
    used: Edges = defaultdict(set)
    for line in symbols.splitlines():
        if not (match := SYMBOL.match(line)):
            continue
        file, kind, symbol = flat.get(match[1]), match[2], match[3]
        if file and kind in "TDBRVWC":
            defined[symbol] = file
        elif file and kind == "U":
            used[file].add(symbol)
    edges: Edges = defaultdict(set)
    for file, names in used.items():
        edges[file] = {defined[name] for name in names if defined.get(name, file) != file}
    return edges


def circle(edges: Edges) -> list[str]:
    """One circle among the files, or nothing: what is left without the ends of all chains."""
    left = {file: set(to) for file, to in edges.items() if to}
    while ends := {to for targets in left.values() for to in targets} - left.keys():
        for targets in left.values():
            targets -= ends
        left = {file: to for file, to in left.items() if to}
    path: list[str] = []
    while left:
        file = next(iter(left[path[-1]])) if path else next(iter(left))
        if file in path:
            return path[path.index(file) :]
        path.append(file)
    return []


def upward(edges: Edges) -> list[str]:
    return [f"{a} calls {b}" for a, to in edges.items() for b in to if floor(b) > floor(a)]


@pytest.fixture(scope="module")
def symbols() -> str:
    assert ARCHIVE.exists(), f"{ARCHIVE} is made by `ninja -C build`"
    return subprocess.run(["nm", "-A", ARCHIVE], check=True, capture_output=True, text=True).stdout


def test_every_folder_is_a_floor() -> None:
    assert {path.name for path in SOURCE.iterdir() if path.is_dir()} == set(FLOORS)
    assert {path.stem for path in PUBLIC.glob("*.h")} == PUBLIC_FLOORS.keys()


def test_no_include_runs_upward() -> None:
    files = sources()
    assert len(files) > 100
    wrong = [line for file in files for line in wrong_includes(file, (SOURCE / file).read_text())]
    assert not wrong


def test_no_public_header_includes_one_above() -> None:
    for path in PUBLIC.glob("*.h"):
        own = FLOORS.index(PUBLIC_FLOORS[path.stem])
        for name in re.findall(r'^#include "(\w+)\.h"', path.read_text(), re.MULTILINE):
            assert FLOORS.index(PUBLIC_FLOORS[name]) <= own, f"{path.name} includes {name}.h"


def test_no_call_runs_upward_and_no_files_call_in_a_circle(symbols: str) -> None:
    edges = calls(symbols)
    assert len(edges) > 60, "the archive's names are not understood"
    assert not upward(edges)
    assert not circle(edges)


def test_an_upward_include_is_found() -> None:
    assert wrong_includes("pci/caps.c", '#include "device/object.h"\n')
    assert wrong_includes("pci/caps.c", "#include <vfiocore/region.h>\n")
    assert wrong_includes("irq/set.c", "#include <vfiocore.h>\n")
    down = '#include "device/object.h"\n#include <vfiocore/irq.h>\n'
    assert not wrong_includes("irq/set.c", down)


def test_an_upward_call_and_a_circle_are_found() -> None:
    line = "libvfiocore-faults.a:.._.._libvfiocore_src_{}.o:{} {} {}".format
    here, there = "device_access.c", "event_watch.c"
    down = [
        line(here, "0000000000000000", "T", "access_gone"),
        line(there, "                ", "U", "access_gone"),
    ]
    up = [
        line(there, "0000000000000000", "T", "watch_take"),
        line(here, "                ", "U", "watch_take"),
    ]
    assert not upward(calls("\n".join(down)))
    assert not circle(calls("\n".join(down)))
    assert upward(calls("\n".join(down + up))) == ["device/access.c calls event/watch.c"]
    assert set(circle(calls("\n".join(down + up)))) == {"device/access.c", "event/watch.c"}


def test_flags_that_are_called_atomic_are_used_so() -> None:
    """A device's flags that threads read without a lock: never ``device->flag`` by itself."""
    header = (SOURCE / "device/object.h").read_text()
    flags = re.findall(r"^\tbool (\w+);\s+/\* atomic:", header, re.MULTILINE)
    assert len(flags) >= 5
    plain = re.compile(rf"(?<![&\w>])(?:\w+->)+(?:{'|'.join(flags)})\b")
    wrong = [
        f"{file}: {match[0]}"
        for file in sources()
        if floor(file) > FLOORS.index("transport")
        for match in plain.finditer((SOURCE / file).read_text())
        if match[0] not in ("event->released", "fake->low_power")  # other structures' fields
    ]
    assert not wrong
