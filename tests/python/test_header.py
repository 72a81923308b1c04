# SPDX-License-Identifier: MIT
"""Header = symbol map = library = ctypes tables, in all directions."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import vfiocore
from vfiocore._native import asserts, prototypes, tables
from vfiocore._native.loader import lib

FUNCTION = re.compile(r"VFC_(?:API|INLINE)\b[^;{]*?\b(vfc_\w+)\(", re.S)
ENUM = re.compile(r"^enum (vfc_\w+) \{(.*?)^\};", re.S | re.M)
STRUCT = re.compile(r"^struct (vfc_\w+) \{", re.M)


@pytest.fixture(scope="module")
def header() -> str:
    folder = Path(__file__).resolve().parents[2] / "libvfiocore" / "include" / "vfiocore"
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.h")))
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def test_functions(header: str) -> None:
    assert set(FUNCTION.findall(header)) == set(prototypes.PROTOTYPES)


def test_symbol_map(root: Path) -> None:
    text = (root / "libvfiocore" / "libvfiocore.map").read_text()
    exported = text.split("global:")[1].split("local:")[0]
    assert set(re.findall(r"\w+", exported)) == set(prototypes.PROTOTYPES)


def test_library() -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm (binutils) is not installed")
    assert lib.vfc_abi() == tables.ABI  # which opens it
    command = [nm, "--dynamic", "--defined-only", lib.path]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    names = {line.split()[-1].split("@")[0] for line in lines if line.split()[-2] in "TWi"}
    assert names == set(prototypes.PROTOTYPES)


def test_structs(header: str) -> None:
    assert set(STRUCT.findall(header)) == set(tables.STRUCTS)


def test_structures_that_grow(root: Path) -> None:
    """Each that starts with its size is taken as base/sized.h does, whatever header it is of."""
    source = root / "libvfiocore"
    headers = "".join(path.read_text() for path in sorted(source.glob("include/vfiocore/*.h")))
    sized = set(re.findall(r"^\tuint32_t size;.*sizeof\(struct (vfc_\w+)\)", headers, re.M))
    code = "".join(path.read_text() for path in sorted(source.glob("src/**/*.c")))
    taken = r"\b(?:OPTIONS\(|OPTIONS_OF\([^;]*?,\s*|ANSWER_CHECK\()(vfc_\w+)"
    assert sized - set(re.findall(taken, code)) == set()
    assert not re.findall(r"->size (?:<|>=|!=) sizeof", code)


def test_enumerators(header: str) -> None:
    for name, body in ENUM.findall(header):
        prefix, members = tables.ENUMS[name]
        ours = {tables.RENAMED.get(prefix + key, prefix + key) for key in members.__members__}
        assert set(re.findall(r"\bVFC_\w+(?=\s*=)", body)) == ours, name
    assert {name for name, _ in ENUM.findall(header)} == set(tables.ENUMS)


def test_every_function_can_be_called() -> None:
    for name in prototypes.PROTOTYPES:
        assert callable(getattr(lib, name))


def compile_claims(root: Path, source: str) -> subprocess.CompletedProcess[str]:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    include = root / "libvfiocore" / "include"
    command = [compiler, "-std=gnu11", "-fsyntax-only", f"-I{include}", "-x", "c", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


def test_compiler_agrees(root: Path) -> None:
    result = compile_claims(root, asserts.source())
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("claim", "lie"),
    [
        ("sizeof(struct vfc_packet) == 24", "sizeof(struct vfc_packet) == 32"),
        ("VFC_REASON_UNSUPPORTED == 18", "VFC_REASON_UNSUPPORTED == 17"),
        ("uint64_t (const struct vfc_pool *, uint32_t)", "uint32_t (const struct vfc_pool *, int)"),
        ("->numa_node), int32_t", "->numa_node), uint32_t"),
    ],
)
def test_compiler_finds_a_lie(root: Path, claim: str, lie: str) -> None:
    source = asserts.source()
    assert claim in source
    assert "static assertion failed" in compile_claims(root, source.replace(claim, lie)).stderr


@pytest.mark.parametrize("language", ["c", "c++"])
def test_each_header_stands_alone(root: Path, language: str) -> None:
    """In any order, without another before it, and without a warning."""
    compiler = shutil.which("cc" if language == "c" else "c++")
    assert compiler
    include = root / "libvfiocore" / "include"
    headers = sorted(include.rglob("*.h"))
    assert include / "vfiocore" / "driver.h" in headers
    standard = "-std=gnu11" if language == "c" else "-std=gnu++17"
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only"]
    command = [compiler, standard, *strict, f"-I{include}", "-x", language, *map(str, headers)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_version(root: Path) -> None:
    assert lib.vfc_version().decode() == vfiocore.__version__
    assert f"version: '{vfiocore.__version__}'" in (root / "meson.build").read_text()
    assert f'version = "{vfiocore.__version__}"' in (root / "pyproject.toml").read_text()
