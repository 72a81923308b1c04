# SPDX-License-Identifier: MIT
"""The built kernel: small, from the distribution's kernel source, with what its packages leave out.

Debian's kernels have IOMMUFD and VFIO's cdev off. This one has them on (see kernel.config); it is
built once, without privileges, and kept in the cache under a key made of the source's version, the
options and the compiler. The source comes through an apt of our own, with its own list and state:
the system's are read to learn the mirror, and never changed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import LabError
from .apt import Apt, Wanted, captured, private
from .host import busybox, cache_dir, dies_with_parent, locked, write_whole, writing

# The newest kernel that Debian packages for its current stable release.
SUITE = "trixie-backports"
PACKAGE = "linux-source"
_WANTED = Wanted("the kernel's source", "set VFIOCORE_KERNEL to an image of your own")

OPTIONS = Path(__file__).with_name("kernel.config")

# Program or header : the Debian package that brings it.
_NEEDS = {
    "apt-get": "apt",
    "bc": "bc",
    "bison": "bison",
    "dpkg-deb": "dpkg",
    "flex": "flex",
    "gcc": "gcc",
    "ld": "binutils",
    "libelf.h": "libelf-dev",
    "make": "make",
    "tar": "tar",
    "xz": "xz-utils",
}
_LOG_TAIL = 15
# Part of the key: raise it when what is kept of a build changes.
_LAYOUT = "1"


@dataclass(frozen=True)
class Source:
    """A package of kernel source."""

    package: str
    version: str


def image() -> Path:
    """The built bzImage, with ``config``, ``modules`` and ``headers`` beside it; built once.

    No network is used when the kernel that was built last still fits options and compiler.
    """
    cache = cache_dir() / "built"
    with writing(cache):
        cache.mkdir(exist_ok=True)
    known = _remembered(cache)  # first without the lock: many may ask at once
    if known:
        return known
    with locked(cache, "another process builds the kernel: waiting for it"):
        return _remembered(cache) or _obtain(cache)


def _remembered(cache: Path) -> Path | None:
    """The image that was built last from the source of that time, if it is still what we want."""
    memory = cache / "source"
    if not memory.exists() or not shutil.which("gcc"):
        return None
    found = cache / _key(Source(*memory.read_text().split())) / "bzImage"
    return found if found.exists() else None


def _key(source: Source) -> str:
    compiler = captured(["gcc", "--version"]).stdout
    facts = [source.package, source.version, compiler, *_options(), _LAYOUT]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    return f"{source.version}-{digest[:12]}"


def _options() -> list[str]:
    """The lines of kernel.config that count."""
    lines = OPTIONS.read_text().splitlines()
    return [line for line in lines if line.startswith("CONFIG_")]


def _obtain(cache: Path) -> Path:
    _require_tools()
    for stale in cache.glob("new-*"):  # of a build that was killed: we hold the lock
        shutil.rmtree(stale)
    with writing(cache), tempfile.TemporaryDirectory(dir=cache, prefix="new-") as name:
        work = Path(name)
        _tell(f"looking for the newest {PACKAGE} in {SUITE}")
        apt = private(work, _WANTED, SUITE)
        source = _newest(apt)
        tree = cache / _key(source)
        if not tree.exists():
            _build(source, apt, work, cache / "build.log").rename(tree)
        write_whole(cache / "source", f"{source.package} {source.version}\n".encode())
    return tree / "bzImage"


def programs() -> list[str]:
    """The programs that a build needs."""
    return [name for name in _NEEDS if not name.endswith(".h")]


def _require_tools() -> None:
    missing = [name for name in programs() if not shutil.which(name)]
    if "gcc" not in missing:
        probe = ["gcc", "-E", "-include", "libelf.h", "-x", "c", "/dev/null"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            missing.append("libelf.h")
    if missing:
        packages = " ".join(_NEEDS[name] for name in missing)
        raise LabError(
            f"building a kernel needs {', '.join(missing)}: install them (Debian, Ubuntu: "
            f"apt-get install {packages}), or set VFIOCORE_KERNEL to an image of your own"
        )


def _newest(apt: Apt) -> Source:
    """The package that PACKAGE depends on, in SUITE."""
    found = re.search(rf"(?m)^Depends: ({PACKAGE}-[\w.]+) \(= (\S+)\)", apt.show(PACKAGE))
    if not found:
        raise LabError(
            f"this system's mirror has no package {PACKAGE} in {SUITE}: set VFIOCORE_KERNEL to an "
            f"image of your own with IOMMUFD and VFIO_DEVICE_CDEV"
        )
    return Source(*found.groups())


def _build(source: Source, apt: Apt, work: Path, log: Path) -> Path:
    """Fetch, configure and build in `work`; the directory of what is kept."""
    start = time.monotonic()
    tree, kept, staged = work / "source", work / "kept", work / "staged"
    with open(log, "wb") as out:
        steps = _Steps(work, log, out.fileno())
        _tell(f"fetching {source.package} {source.version}")
        wanted = f"{source.package}={source.version}"
        steps.run(apt.get("download", wanted), "fetch the kernel's source")
        (package,) = work.glob("*.deb")
        steps.run(["dpkg-deb", "-x", str(package), str(work / "package")], "unpack the package")
        (archive,) = (work / "package/usr/src").glob("*.tar.xz")
        tree.mkdir()
        kept.mkdir()
        unpack = ["tar", "-xf", str(archive), "-C", str(tree), "--strip-components=1"]
        steps.run(unpack, "unpack the source")
        _tell(f"building, which takes ten minutes or so; the log is {log}")
        steps.make(["allnoconfig"], "configure the kernel")
        with open(tree / ".config", "ab") as config:
            config.write(OPTIONS.read_bytes())
        steps.make(["olddefconfig"], "configure the kernel")
        for option in _refused((tree / ".config").read_text()):
            _tell(f"this source does not take {option}")
        steps.make([f"-j{os.cpu_count() or 1}", "bzImage", "modules"], "build the kernel")
        # Their own depmod comes from kmod, which need not be there: busybox has one.
        install = [f"INSTALL_MOD_PATH={staged}", "DEPMOD=true", "modules_install"]
        steps.make(install, "install the modules")
        (modules,) = (staged / "lib/modules").iterdir()
        depmod = [str(busybox()), "depmod", "-b", str(staged), modules.name]
        steps.run(depmod, "index the modules")
        script = f"$(srctree)/scripts/package/install-extmod-build {kept}/headers"
        steps.make(["run-command", f"KBUILD_RUN_COMMAND={script}"], "keep the headers")
    (modules / "build").unlink(missing_ok=True)  # a link to the tree, which goes
    modules.rename(kept / "modules")
    shutil.copy(tree / ".config", kept / "config")
    shutil.copy(tree / "arch/x86/boot/bzImage", kept / "bzImage")
    _tell(f"built in {time.monotonic() - start:.0f} s")
    return kept


def _refused(config: str) -> list[str]:
    """The options that did not come out as asked: another kernel may name them otherwise."""
    lines = set(config.splitlines())
    refused = []
    for line in _options():
        name, _, value = line.partition("=")
        on = any(other.startswith(f"{name}=") for other in lines)
        if on if value == "n" else line not in lines:
            refused.append(line)
    return refused


@dataclass(frozen=True)
class _Steps:
    """Commands whose output goes to one log."""

    work: Path
    log: Path
    out: int

    def make(self, arguments: Sequence[str], what: str) -> None:
        self.run(["make", "-C", str(self.work / "source"), *arguments], what)

    def run(self, command: Sequence[str], what: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.work,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.out,
            check=False,
            preexec_fn=dies_with_parent(signal.SIGTERM),
        )
        if done.returncode == 0:
            return
        text = self.log.read_text(errors="replace")
        if "No space left on device" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        tail = "\n".join(text.splitlines()[-_LOG_TAIL:])
        raise LabError(
            f"cannot {what}: {command[0]} ended with status {done.returncode}; its last lines:\n"
            f"{tail}\nthe whole log: {self.log}"
        )


def _environment(outer: Mapping[str, str]) -> dict[str, str]:
    """The same image from the same source, whoever builds it; a make around us stays outside."""
    inner = {k: v for k, v in outer.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    fixed = {"KBUILD_BUILD_USER": "vfiocore", "KBUILD_BUILD_HOST": "lab", "LC_ALL": "C"}
    return {**inner, **fixed, "KBUILD_BUILD_TIMESTAMP": "1970-01-01"}


def _tell(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)
