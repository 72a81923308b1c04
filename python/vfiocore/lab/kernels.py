# SPDX-License-Identifier: MIT
"""Where a guest's kernel comes from: a file you name, the distribution's package, or this host.

A package is downloaded and unpacked into a cache, never installed, so no privileges are needed.
A machine may ask for the kind "built" instead: see build.py.
``python -m vfiocore.lab.kernels [--headers] [stock|built]`` prints the image (or the headers to
build against).
"""

from __future__ import annotations

import argparse
import errno
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from . import LabError, build
from .apt import as_root
from .host import busybox, cache_dir, locked, writing

Kind = Literal["stock", "built"]

# The name of the newest kernel's package, by distribution.
_META = {"debian": "linux-image-amd64", "ubuntu": "linux-image-virtual"}
_RELEASE = re.compile(r"\d+\.\d+\.\d+-[a-z0-9.+-]+")


@dataclass(frozen=True)
class Kernel:
    """A bootable image and what belongs to it; ``modules`` is None when all is built in."""

    release: str
    image: Path
    modules: Path | None


def find(kind: Kind = "stock") -> Kernel:
    """The kernel to boot, "stock" or "built"; fetched or built on first use.

    $VFIOCORE_KERNEL names an image for either kind, with its modules beside it (or everything
    built in). Without it, "stock" is the distribution's newest packaged kernel, else the kernel
    this host runs.
    """
    if platform.machine() != "x86_64":
        raise LabError(
            f"the lab boots x86-64 guests on the host's own programs, and this is "
            f"{platform.machine()}: use an x86-64 host"
        )
    named = os.environ.get("VFIOCORE_KERNEL")
    if named:
        return _from_image(Path(named).absolute())
    if kind == "built":
        return _from_image(build.image())
    meta = _META.get(_distribution())
    if meta and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return _from_package(meta)
    return _from_host()


def headers(kernel: Kernel) -> Path:
    """The directory to give to ``make -C`` when building modules for `kernel`; fetched once."""
    beside = [kernel.image.parent / "build", kernel.image.parent / "headers"]
    if kernel.modules:
        beside += [kernel.modules / "build"]
    for path in beside:
        if (path / "Makefile").exists():
            return path.resolve()
    tree = cache_dir() / f"headers-{kernel.release}"
    build = tree / "usr/src" / f"linux-headers-{kernel.release}"
    with locked(cache_dir()):
        if not tree.exists():
            _unpack(tree, _header_packages(kernel.release), _fix_header_paths)
    return build


def image_release(image: Path) -> str:
    """The release a bzImage names in its setup header (what ``uname -r`` will say)."""
    with open(image, "rb") as file:
        head = file.read(0x8000)
    if head[0x202:0x206] != b"HdrS":
        raise LabError(f"{image} is not an x86 kernel image (bzImage): name the vmlinuz file")
    (offset,) = struct.unpack_from("<H", head, 0x20E)
    text = head[offset + 0x200 :].split(b"\0", 1)[0].decode("ascii", "replace")
    return text.split(" ", 1)[0]


def _from_image(image: Path) -> Kernel:
    if not image.is_file():
        raise LabError(f"VFIOCORE_KERNEL names {image}, which is not a file: name a bzImage")
    release = image_release(image)
    here = image.parent
    for modules in (
        here / "modules",
        here / "lib/modules" / release,
        here.parent / "lib/modules" / release,
    ):
        if modules.is_dir():
            return _with_modules(release, image, modules)
    return Kernel(release, image, None)


def _from_host() -> Kernel:
    release = os.uname().release
    modules = Path("/lib/modules") / release
    for image in (Path("/boot") / f"vmlinuz-{release}", modules / "vmlinuz"):
        if os.access(image, os.R_OK):
            return _with_modules(release, image, modules if modules.is_dir() else None)
    raise LabError(
        f"no kernel to boot: this is neither Debian nor Ubuntu, and there is no readable "
        f"/boot/vmlinuz-{release}; set VFIOCORE_KERNEL to a bzImage with its modules beside it"
    )


def _from_package(meta: str) -> Kernel:
    cache = cache_dir()
    tree = cache / meta
    with locked(cache):
        if not tree.exists():
            _unpack(tree, _image_packages(meta), _index_modules)
    return _packaged(tree)


def _packaged(tree: Path) -> Kernel:
    images = sorted((tree / "boot").glob("vmlinuz-*"))
    if not images:
        raise LabError(f"{tree} holds no kernel image: remove that directory and try again")
    release = images[-1].name.removeprefix("vmlinuz-")
    return Kernel(release, images[-1], _modules_below(tree, release))


def _modules_below(tree: Path, release: str) -> Path:
    # Merged-/usr packages (Debian 13) carry usr/lib/modules.
    for path in (tree / "lib/modules" / release, tree / "usr/lib/modules" / release):
        if path.is_dir():
            return path
    raise LabError(f"{tree} holds no modules for {release}: remove that directory and try again")


def _with_modules(release: str, image: Path, modules: Path | None) -> Kernel:
    if modules and not (modules / "modules.dep").exists():
        raise LabError(f"{modules} has no modules.dep: run depmod -b for {release}")
    return Kernel(release, image, modules)


def _distribution() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in names if name in _META), "")


def _image_packages(meta: str) -> list[str]:
    image = _dependency(meta, r"linux-image-(?:unsigned-)?\d")
    release = _RELEASE.search(image)
    if meta == _META["ubuntu"] and release:
        return [image, f"linux-modules-{release.group()}"]
    return [image]


def _header_packages(release: str) -> list[str]:
    package = f"linux-headers-{release}"
    needs = [n for n in _dependencies(package) if re.match(r"linux-(headers|kbuild)-", n)]
    return [package, *needs]


def _dependency(package: str, pattern: str) -> str:
    for name in _dependencies(package):
        if re.match(pattern, name):
            return name
    raise LabError(f"package {package} depends on no kernel image: set VFIOCORE_KERNEL instead")


def _dependencies(package: str) -> list[str]:
    shown = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", package],
        capture_output=True,
        check=False,
        text=True,
    )
    if shown.returncode:
        raise LabError(
            f"apt knows no package {package}: run 'apt-get update' first, or set VFIOCORE_KERNEL"
        )
    lines = [x for x in shown.stdout.splitlines() if x.startswith("Depends:")]
    return [part.split()[0] for line in lines for part in line[8:].split(",")]


def _unpack(tree: Path, packages: list[str], finish: Callable[[Path], None]) -> None:
    """Download `packages` and unpack them as `tree`: it appears complete or not at all."""
    print(f"lab: fetching {', '.join(packages)} into {tree.parent}", file=sys.stderr)
    with writing(tree), tempfile.TemporaryDirectory(dir=tree.parent, prefix="new-") as name:
        work = Path(name)
        root = work / "root"
        root.mkdir()
        _download(packages, work)
        for package in sorted(work.glob("*.deb")):
            _check(["dpkg-deb", "-x", str(package), str(root)], "unpack", work)
        finish(root)
        root.rename(tree)


def _download(packages: list[str], work: Path) -> None:
    _check(["apt-get", "-qq", *as_root(), "download", *packages], "download", work)


def _check(command: list[str], what: str, work: Path) -> None:
    done = subprocess.run(command, cwd=work, capture_output=True, check=False, text=True)
    if done.returncode == 0:
        return
    text = done.stderr.strip()
    if "No space left on device" in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise LabError(
        f"cannot {what} the kernel's packages: {text or command}; if apt's lists are old, run "
        f"'apt-get update', or set VFIOCORE_KERNEL to an image of your own"
    )


def _index_modules(root: Path) -> None:
    # The package leaves modules.dep to its install script.
    release = sorted((root / "boot").glob("vmlinuz-*"))[-1].name.removeprefix("vmlinuz-")
    if (root / "usr/lib/modules").is_dir() and not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    _check([str(busybox()), "depmod", "-b", str(root), release], "index", root)


def _fix_header_paths(root: Path) -> None:
    """Make the headers' makefiles look below `root`'s final place and not in /usr."""
    for makefile in root.glob("usr/src/linux-headers-*/Makefile"):
        text = makefile.read_text()
        fixed = re.sub(r"(?m)^include /usr/src/", "include $(abs_here)/../", text)
        if fixed != text:
            here = "abs_here := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))\n"
            makefile.write_text(here + fixed)


def main() -> int:
    """Print the path of the image, or with --headers of the headers."""
    parser = argparse.ArgumentParser(description="Print the path of a kernel; get it first.")
    parser.add_argument(
        "kind", nargs="?", default="stock", choices=get_args(Kind), help="default: stock"
    )
    parser.add_argument("--headers", action="store_true", help="those to build modules against")
    args = parser.parse_args()
    try:
        kernel = find(args.kind)
        print(headers(kernel) if args.headers else kernel.image)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
