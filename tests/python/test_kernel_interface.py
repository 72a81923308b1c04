# SPDX-License-Identifier: MIT
"""docs/kernel-interface.md names every request there is, its function, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vfiocore._native import prototypes

ROW = re.compile(r"^\| `((?:IOMMU|KVM|VFIO)_\w+)` \| (\d+\.\d+) \| `(\w+)` \| (.*) \|$", re.M)
BEHAVIOUR = re.compile(r"^\| ([A-Z][^|`]*) \| (`.*`) \|$", re.M)
# Features of devices are requests of one number, told apart by a second one.
DEFINED = re.compile(
    r"^#define ((?:IOMMU|KVM|VFIO)_\w+(?= _IO\w*\()|VFIO_DEVICE_FEATURE_\w+(?= \d))", re.M
)


@pytest.fixture(scope="module")
def text() -> str:
    return (Path(__file__).parents[2] / "docs/kernel-interface.md").read_text()


@pytest.fixture(scope="module")
def rows(text: str) -> list[tuple[str, ...]]:
    return ROW.findall(text)


def test_every_request_has_one_row(root: Path, rows: list[tuple[str, ...]]) -> None:
    headers = (root / "libvfiocore/src/kernel").glob("*.h")
    defined = {name for header in headers for name in DEFINED.findall(header.read_text())}
    named = [row[0] for row in rows]
    assert len(set(named)) == len(named)
    assert set(named) == defined


def test_all_of_iommufd_is_executed(rows: list[tuple[str, ...]]) -> None:
    assert sum(name.startswith("IOMMU_") for name, *_ in rows) == 22


def test_every_function_exists(root: Path, rows: list[tuple[str, ...]]) -> None:
    for _, _, function, _ in rows:
        assert function in prototypes.PROTOTYPES
    # One of iommufd's verbs makes the request of its row, and says since when there is one.
    folder = root / "libvfiocore/src/iommufd"
    source = "\n".join(path.read_text() for path in sorted(folder.glob("*.c")))
    for name, linux, function, _ in rows:
        if function.startswith("vfc_iommufd_"):
            assert re.search(rf'REQUEST\({name},\s+"{re.escape(linux)}\b', source), name


def check_tests(root: Path, row: str, cell: str) -> None:
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", cell)
    assert ", ".join(f"`{file}::{test}`" for file, test in tests) == cell, row
    for file, test in tests:
        text = (root / file).read_text()
        assert re.search(rf"^def {test}\(", text, re.M), f"{row}: {file}::{test}"


def test_every_test_exists(root: Path, rows: list[tuple[str, ...]]) -> None:
    for name, _, _, cell in rows:
        check_tests(root, name, cell)


def test_every_behaviour_has_a_test(root: Path, text: str) -> None:
    section = text.partition("## What the kernel's selftests state")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    behaviours = BEHAVIOUR.findall(section)
    assert len(behaviours) == len(lines)
    for behaviour, cell in behaviours:
        check_tests(root, behaviour, cell)
