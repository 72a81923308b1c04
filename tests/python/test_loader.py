# SPDX-License-Identifier: MIT
"""Finding the library, and what is said when it is not found."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

import pytest

from vfiocore._native import loader, prototypes, tables


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loader.VARIABLE, raising=False)


def test_variable_is_the_only_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loader.VARIABLE, "/nowhere/libvfiocore.so")
    assert list(loader.candidates()) == ["/nowhere/libvfiocore.so"]
    with pytest.raises(loader.LibraryNotFound) as caught:
        loader.load()
    assert [path for path, _ in caught.value.tried] == ["/nowhere/libvfiocore.so"]
    assert "cannot open shared object file" in str(caught.value)
    assert isinstance(caught.value, ImportError)


@pytest.mark.usefixtures("unset")
def test_order(tmp_path: Path) -> None:
    (tmp_path / "meson.build").touch()
    package = tmp_path / "python" / "vfiocore"
    wheel = tmp_path / "python" / ".vfiocore.mesonpy.libs"
    wheel.mkdir(parents=True)
    (wheel / "libvfiocore.so.0.1.0").touch()
    (wheel / "libother.so").touch()
    assert list(loader.candidates(str(package))) == [
        str(wheel / "libvfiocore.so.0.1.0"),
        str(tmp_path / "build" / "libvfiocore" / "libvfiocore.so.0"),
        "libvfiocore.so.0",
    ]


@pytest.mark.usefixtures("unset")
def test_build_tree_only_from_sources(tmp_path: Path) -> None:
    found = list(loader.candidates(str(tmp_path / "site-packages" / "vfiocore")))
    assert found[1:] == ["libvfiocore.so.0"]


def test_another_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = ctypes.util.find_library("c")
    assert libc
    monkeypatch.setenv(loader.VARIABLE, libc)
    with pytest.raises(loader.LibraryNotFound, match="it has no vfc_abi"):
        loader.load()


def test_another_abi_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loader.VARIABLE, loader.lib.path)
    monkeypatch.setattr(tables, "ABI", 7)
    with pytest.raises(loader.LibraryNotFound, match="its ABI is 0, this package needs 7"):
        loader.load()


def test_an_older_library_is_told() -> None:
    with pytest.raises(AttributeError):
        _ = loader.lib.printf
    prototypes.PROTOTYPES["vfc_from_the_future"] = ("int",)
    try:
        with pytest.raises(loader.SymbolMissing, match="older than this package"):
            _ = loader.lib.vfc_from_the_future
    finally:
        del prototypes.PROTOTYPES["vfc_from_the_future"]
