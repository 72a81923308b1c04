# SPDX-License-Identifier: MIT
"""Find and open libvfiocore.

In this order:

1. ``VFIOCORE_LIBRARY``, a path; when it is set nothing else is tried, since whoever set it wants
   that library or an error;
2. inside of the installed wheel, ``.vfiocore.mesonpy.libs/`` beside the package;
3. ``build/libvfiocore/`` of a source tree, when the package lies in that tree's ``python/``;
4. the system's ``libvfiocore.so.0``.

A library of another ABI is passed over like one that does not load. When none is left the error
tells each path that was tried and why it was not taken.
"""

from __future__ import annotations

import ctypes
import os

from . import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SONAME = f"libvfiocore.so.{tables.ABI}"
VARIABLE = "VFIOCORE_LIBRARY"


class LibraryNotFound(ImportError):
    """No usable libvfiocore. ``tried`` has a pair (path, why not) for each place looked at."""

    def __init__(self, tried: list[tuple[str, str]]) -> None:
        lines = "".join(f"\n  {path}: {why}" for path, why in tried)
        super().__init__(
            f"libvfiocore was not found; tried:{lines}\n"
            f"Install the vfiocore wheel for this machine, build the source tree (meson setup "
            f"build && ninja -C build), or set {VARIABLE} to the path of {SONAME}."
        )
        self.tried = tried


class SymbolMissing(ImportError):
    """The library is older than this package: it lacks a function."""


def _package_directory() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _wheel_candidates(package: str) -> Iterator[str]:
    folder = os.path.join(os.path.dirname(package), ".vfiocore.mesonpy.libs")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        yield os.path.join(folder, SONAME)  # so that the error shows where a wheel has it
        return
    for name in names:
        if name.startswith("libvfiocore.so"):
            yield os.path.join(folder, name)


def _source_candidates(package: str) -> Iterator[str]:
    python = os.path.dirname(package)
    root = os.path.dirname(python)
    if os.path.basename(python) == "python" and os.path.exists(os.path.join(root, "meson.build")):
        yield os.path.join(root, "build", "libvfiocore", SONAME)


def candidates(package: str | None = None) -> Iterator[str]:
    """What :func:`load` tries, in order."""
    override = os.environ.get(VARIABLE)
    if override:
        yield override
        return
    package = package or _package_directory()
    yield from _wheel_candidates(package)
    yield from _source_candidates(package)
    yield SONAME


def _open(path: str) -> ctypes.CDLL:
    """Open one candidate; ``OSError`` says why it cannot be used."""
    library = ctypes.CDLL(path)
    try:
        abi = library.vfc_abi()
    except AttributeError:
        raise OSError("it is not libvfiocore: it has no vfc_abi()") from None
    if abi != tables.ABI:
        raise OSError(f"its ABI is {abi}, this package needs {tables.ABI}")
    return library


def load() -> tuple[str, ctypes.CDLL]:
    """Open the first usable library: its path and itself.

    Raises:
        LibraryNotFound: there is none.
    """
    tried = []
    for path in candidates():
        try:
            return path, _open(path)
        except OSError as error:
            tried.append((path, str(error)))
    raise LibraryNotFound(tried)


# These keep the GIL, so that a device cannot be closed while another thread is inside of one: its
# BAR would be unmapped under the access. Nothing here waits, and letting go of the GIL costs more
# than an access.
_HELD = frozenset(("vfc_irq_take", "vfc_region_load", "vfc_region_read", "vfc_region_write"))


class Library:
    """The library's functions as attributes, opened and bound on first use.

    No other call takes the GIL with it: a wait in C lets other Python threads run.
    """

    path: str

    def __getattr__(self, name: str) -> Any:
        if name in ("path", "_dll", "_held"):
            self.path, self._dll = load()
            self._held = ctypes.PyDLL(self.path, handle=self._dll._handle)
            return self.__dict__[name]
        if not name.startswith("vfc_"):
            raise AttributeError(name)
        function = self._bind(name)
        setattr(self, name, function)
        return function

    def held(self, name: str) -> Any:
        """A function that keeps the GIL, for calls that do not block and are made often."""
        return self._bind(name, held=True)

    def _bind(self, name: str, held: bool = False) -> Any:
        restype, argtypes = tables.prototype(name)
        try:
            function = getattr(self._held if held or name in _HELD else self._dll, name)
        except AttributeError:
            raise SymbolMissing(
                f"{self.path} has no {name}(): the library is older than this package"
            ) from None
        function.restype, function.argtypes = restype, argtypes
        return function


lib = Library()
