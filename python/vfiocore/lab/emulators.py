# SPDX-License-Identifier: MIT
"""Where QEMU comes from: a file you name, this system's, or Debian's backports.

Debian 12 has QEMU 7.2, and some machines need a newer one. Its backports have that: the package is
downloaded and unpacked into the cache, with those libraries that the system lacks, and runs there
without being installed.
``python -m vfiocore.lab.emulators [VERSION]`` prints the path of the one that would run.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from . import LabError
from .apt import Apt, Wanted, captured, private
from .host import cache_dir, locked, writing

Version = tuple[int, int]

PROGRAM = "qemu-system-x86_64"
PACKAGE = "qemu-system-x86"
# What counts as installed: the rest of what QEMU needs is fetched with it.
STATUS = "/var/lib/dpkg/status"

# Debian's QEMU looks for its firmware and its modules where the package would have put them.
_WRAPPER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
libraries=$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export QEMU_MODULE_DIR="$here/usr/lib/x86_64-linux-gnu/qemu"
exec "$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" \\
    -L "$here/usr/lib/ipxe/qemu" "$@"
"""


def find(least: Version | None = None) -> Path:
    """The QEMU to run: $VFIOCORE_QEMU, else the one in PATH, else a newer one, fetched once.

    `least` is the oldest version that will do; None takes any, and fetches nothing. Raises
    LabError.
    """
    named = os.environ.get("VFIOCORE_QEMU")
    found = shutil.which(named or PROGRAM)
    if named and not found:
        raise LabError(f"VFIOCORE_QEMU names {named}, which is not a program: name a QEMU")
    if named and found and least and version(Path(found)) < least:
        raise LabError(
            f"VFIOCORE_QEMU names {named}, and this machine needs QEMU {spelled(least)} or newer: "
            f"name a newer one, or unset it to have one fetched"
        )
    if found and (named or not least or version(Path(found)) >= least):
        return Path(found)
    if least:
        return _fetched(least)
    raise LabError(
        f"{PROGRAM} is missing: install it (Debian, Ubuntu: {PACKAGE}), or set VFIOCORE_QEMU"
    )


def version(program: Path) -> Version:
    """What ``program --version`` says; (0, 0) if it is no QEMU, or does not run."""
    said = re.match(r"QEMU emulator version (\d+)\.(\d+)", captured([program, "--version"]).stdout)
    return (int(said[1]), int(said[2])) if said else (0, 0)


def spelled(least: Version) -> str:
    """A version as people write it."""
    return f"{least[0]}.{least[1]}"


def _fetched(least: Version) -> Path:
    cache = cache_dir() / "qemu"
    with writing(cache):
        cache.mkdir(exist_ok=True)
    known = _remembered(cache, least)  # first without the lock: many may ask at once
    if known:
        return known
    with locked(cache, "another process fetches QEMU: waiting for it"):
        return _remembered(cache, least) or _obtain(cache, least)


def _remembered(cache: Path, least: Version) -> Path | None:
    """One that was fetched before and still runs: its libraries may have been the system's."""
    kept = sorted(cache.glob(f"*/{PROGRAM}"), key=version)
    return kept[-1] if kept and version(kept[-1]) >= least else None


def _obtain(cache: Path, least: Version) -> Path:
    instead = f"set VFIOCORE_QEMU to a QEMU {spelled(least)} or newer"
    wanted = Wanted(f"a QEMU {spelled(least)} or newer", instead)
    suite = _suite(wanted)
    for stale in cache.glob("new-*"):  # of a fetch that was killed: we hold the lock
        shutil.rmtree(stale)
    _tell(f"fetching QEMU {spelled(least)} or newer from {suite}-backports")
    with writing(cache), tempfile.TemporaryDirectory(dir=cache, prefix="new-") as name:
        work = Path(name)
        apt = private(work, wanted, f"{suite}-backports", suite, status=STATUS)
        _download(apt, f"{suite}-backports")
        tree = _unpacked(apt)
        got = version(tree / PROGRAM)
        if got < least:
            why = f"{suite}-backports has QEMU {spelled(got)}, and {spelled(least)} is needed"
            raise LabError(f"{why}: {instead}")
        target = cache / spelled(got)
        shutil.rmtree(target, ignore_errors=True)
        tree.rename(target)
    return target / PROGRAM


def _suite(wanted: Wanted) -> str:
    """The codename of this Debian; of other distributions there is no package that would run."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("ID") == "debian" and "VERSION_CODENAME" in release and shutil.which("apt-get"):
        return release["VERSION_CODENAME"]
    name = release.get("PRETTY_NAME", "an unknown distribution")
    raise wanted.error(
        f"this machine needs {wanted.what}, the system has none, and it is fetched on Debian alone "
        f"(this is {name}): install one"
    )


def _download(apt: Apt, suite: str) -> None:
    options = ["-y", "--no-install-recommends", "--download-only", "-t", suite]
    done = captured(apt.get(*options, "install", PACKAGE))
    if done.returncode:
        why = f"cannot fetch {PACKAGE} from {suite}: {(done.stderr or done.stdout).strip()}"
        raise apt.wanted.error(f"{why}; check the network and the space on the disk")


def _unpacked(apt: Apt) -> Path:
    tree = apt.work / "tree"
    tree.mkdir()
    for package in sorted((apt.work / "cache/archives").glob("*.deb")):
        done = captured(["dpkg-deb", "-x", str(package), str(tree)])
        if done.returncode:
            raise apt.wanted.error(f"cannot unpack {package.name}: {done.stderr.strip()}")
    wrapper = tree / PROGRAM
    wrapper.write_text(_WRAPPER)
    wrapper.chmod(0o755)
    return tree


def _tell(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return (int(major), int(minor or 0))


def main() -> int:
    """Print the path of a QEMU."""
    parser = argparse.ArgumentParser(description="Print the path of a QEMU; get it first.")
    parser.add_argument("version", nargs="?", type=_version, help="the oldest that will do")
    try:
        print(find(parser.parse_args().version))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
