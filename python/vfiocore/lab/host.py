# SPDX-License-Identifier: MIT
"""What the lab uses of the host: a cache directory and a static busybox."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import LabError

_PT_INTERP = 3
_PR_SET_PDEATHSIG = 1


def cache_dir() -> Path:
    """$VFIOCORE_CACHE, else $XDG_CACHE_HOME/vfiocore, else ~/.cache/vfiocore; created."""
    own = os.environ.get("VFIOCORE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(own) if own else Path(base) / "vfiocore"
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write below `path` into a LabError that says how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "the disk is full; free some space there"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = f"{error.strerror}; make it writable"
        else:
            raise
        raise LabError(f"cannot write {path}: {why}, or set VFIOCORE_CACHE elsewhere") from error


@contextlib.contextmanager
def locked(directory: Path, waiting: str = "") -> Iterator[None]:
    """Hold the cache's lock, so that two callers do not fetch the same thing.

    `waiting` is said when another has it and may keep it for long.
    """
    with writing(directory), open(directory / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(f"lab: {waiting}", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache: others see all of it or none of it."""
    with writing(path), tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.rename(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def busybox() -> Path:
    """The host's busybox, which must be static: the initramfs has no libraries."""
    found = shutil.which("busybox")
    if not found:
        raise LabError("busybox is missing: install it (Debian, Ubuntu: busybox-static)")
    path = Path(found).resolve()
    if _is_dynamic(path):
        raise LabError(f"{path} is not static: install a static one (Debian: busybox-static)")
    return path


def _is_dynamic(path: Path) -> bool:
    """Whether an ELF64 file asks for a loader ."""
    data = path.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [struct.unpack_from("<I", data, table + n * size)[0] for n in range(count)]
    return _PT_INTERP in kinds


def dies_with_parent(number: signal.Signals) -> Callable[[], None]:
    """For preexec_fn: the kernel sends the child that signal when its parent thread is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def hook() -> None:
        if libc.prctl(_PR_SET_PDEATHSIG, number) or os.getppid() != parent:
            os._exit(1)

    return hook
