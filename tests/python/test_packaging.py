# SPDX-License-Identifier: MIT
"""What a user installs: the C library by meson and pkg-config, the Python package as a wheel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


# meson and ninja stand beside the interpreter, whether or not its environment is activated.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def run(*command: str | Path, **env: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PATH": PATH, **env},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C library, installed."""
    folder = tmp_path_factory.mktemp("install")
    run("meson", "setup", folder / "build", "--prefix", folder / "usr", "--libdir", "lib",
        "-Dtests=false")  # fmt: skip
    run("meson", "install", "-C", folder / "build")
    return folder / "usr"


@pytest.mark.parametrize("language", ["c11", "c++17"])
def test_a_c_program_by_pkg_config(prefix: Path, tmp_path: Path, language: str) -> None:
    path = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "libvfiocore", **path).split()
    compiler = ["c++", "-x", "c++"] if "++" in language else ["cc"]
    source = ROOT / "examples" / "identify.c"
    program = tmp_path / "identify"
    run(*compiler, f"-std={language}", *STRICT, source, "-x", "none", *flags, "-o", program)
    said = run(program, "fake:e1000e", LD_LIBRARY_PATH=str(prefix / "lib"))
    assert "[8086:10d3] by fake" in said


def test_each_header_compiles_alone(prefix: Path) -> None:
    headers = sorted((prefix / "include").rglob("*.h"))
    assert len(headers) > 10
    for header in headers:
        for words in (["cc", "-std=c11", "-x", "c"], ["c++", "-std=c++17", "-x", "c++"]):
            run(*words, *STRICT, "-fsyntax-only", "-include", header, os.devnull)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
        f"--config-settings=build-dir={folder / 'build'}", "-w", folder, ".")  # fmt: skip
    (found,) = folder.glob("*.whl")
    return found


def test_one_wheel_serves_every_python(wheel: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-linux_{platform.machine()}.whl")
    names = zipfile.ZipFile(wheel).namelist()
    package = {name.partition("/purelib/")[2] for name in names}
    assert [name for name in names if name.endswith((".h", ".pc", ".a"))] == []
    assert "vfiocore/py.typed" in package
    assert "vfiocore/lab/init.sh" in package
    assert [name for name in names if "__pycache__" in name] == []


def test_the_wheel_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel)
    code = "import vfiocore; print(vfiocore.open('fake:e1000e').config.device)"
    assert run(python, "-I", "-W", "ignore", "-c", code) == f"{0x10D3}\n"
    assert run(tmp_path / "bin" / "vfio", "--version").startswith("vfio 0.")
