# SPDX-License-Identifier: MIT
"""The guest's initramfs: busybox, our init, and the modules it takes to reach the host's files.

It is uncompressed, because an emulated CPU copies faster than it inflates, and it is cached under
a hash of what is in it.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import LabError
from .host import busybox, cache_dir, write_whole
from .kernels import Kernel

# What a guest needs before its root is there, then the machine's own modules.
BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")

_DIRECTORIES = ("bin", "dev", "lower", "modules", "proc", "root", "upper")


def build(kernel: Kernel, modules: Sequence[str]) -> Path:
    """The initramfs for `kernel` that loads `modules` ("name option=value ...") at boot."""
    entries = _entries(kernel, (*BOOT_MODULES, *modules))
    archive = _cpio(entries)
    path = cache_dir() / f"initramfs-{hashlib.sha256(archive).hexdigest()[:16]}.cpio"
    if not path.exists():
        write_whole(path, archive)
    return path


def module_files(kernel: Kernel, wanted: Sequence[str]) -> list[tuple[Path, str]]:
    """Module files in the order to load them, each with its options."""
    if kernel.modules is None:
        return []
    known = _dependencies(kernel.modules)
    builtin = (kernel.modules / "modules.builtin").read_text().split()
    inside = {_module_name(line) for line in builtin}
    order: dict[str, str] = {}
    for item in wanted:
        name, _, options = item.partition(" ")
        if _canonical(name) in inside:
            continue
        if _canonical(name) not in known:
            raise LabError(f"kernel {kernel.release} has no module {name}: choose another kernel")
        chain = known[_canonical(name)]
        for path in reversed(chain):
            order.setdefault(path, "")
        order[chain[0]] = options
    return [(kernel.modules / path, options) for path, options in order.items()]


def _canonical(name: str) -> str:
    return name.replace("-", "_")


def _module_name(path: str) -> str:
    return _canonical(path.rsplit("/", 1)[-1].split(".ko", 1)[0])


def _dependencies(modules: Path) -> dict[str, list[str]]:
    """Each module's file and then the files it needs, the most needed last (modules.dep)."""
    known = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        known[_module_name(path)] = [path, *needs.split()]
    return known


def _entries(kernel: Kernel, wanted: Sequence[str]) -> list[tuple[str, int, bytes]]:
    init = Path(__file__).with_name("init.sh").read_bytes()
    entries = [(name, 0o040755, b"") for name in _DIRECTORIES]
    entries += [("init", 0o100755, init), ("bin/busybox", 0o100755, busybox().read_bytes())]
    order = []
    for path, options in module_files(kernel, wanted):
        name = _module_name(path.name) + ".ko"
        order.append(f"{name} {options}\n")
        entries.append((f"modules/{name}", 0o100644, _inflate(path)))
    entries.append(("modules/order", 0o100644, "".join(order).encode()))
    return entries


def _inflate(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix != ".zst":
        return data
    if not shutil.which("zstd"):
        raise LabError(f"{path.name} is compressed with zstd: install the zstd program")
    done = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"cannot decompress {path}: {done.stderr.decode().strip()}")
    return done.stdout


def _cpio(entries: Sequence[tuple[str, int, bytes]]) -> bytes:
    """A "newc" archive (kernel: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    for inode, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + path
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)
