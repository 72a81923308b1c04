# SPDX-License-Identifier: MIT
"""An apt with a list and a state of its own: Debian's packages, without root and without a trace.

The system's apt is read to learn its mirror, and never changed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Indexes that are not wanted cost more than the one that is. The hooks are for the system's lists.
_CONF = """\
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "{work}/none";
Dir::Etc::preferences "{work}/none/preferences";
Dir::Etc::preferencesparts "{work}/none";
Dir::State "{work}/state";
Dir::State::status "{status}";
Dir::Cache "{work}/cache";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
Debug::NoLocking "true";
#clear Acquire::IndexTargets::deb::DEP-11;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class Wanted:
    """What is fetched, for the messages: what it is, and what to do where that cannot be."""

    what: str
    instead: str

    def error(self, why: str) -> LabError:
        """An error that says what to do instead."""
        return LabError(f"{why}, or {self.instead}")


@dataclass(frozen=True)
class Apt:
    """A private apt below ``work``, which has read its suites' lists."""

    wanted: Wanted
    work: Path

    def get(self, *words: str) -> list[str]:
        """The command ``apt-get words``."""
        return ["apt-get", "-c", str(self.work / "apt.conf"), "-qq", *as_root(), *words]

    def show(self, package: str) -> str:
        """What ``apt-cache show`` says of the package; empty if there is none."""
        conf = ["-c", str(self.work / "apt.conf")]
        return captured(["apt-cache", *conf, "show", "--no-all-versions", package]).stdout


def private(work: Path, wanted: Wanted, *suites: str, status: str = "/dev/null") -> Apt:
    """A private apt in the directory `work`, with those suites' lists read.

    `status` is the list of packages that count as installed. Raises LabError.
    """
    if not KEYRING.exists():
        why = f"{wanted.what} is Debian's, and {KEYRING} is missing"
        raise wanted.error(f"{why}: install debian-archive-keyring")
    for directory in ("none", "state/lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    address = _mirror(wanted)
    lines = [f"deb [signed-by={KEYRING}] {address} {suite} main\n" for suite in suites]
    (work / "sources.list").write_text("".join(lines))
    (work / "apt.conf").write_text(_CONF.format(work=work, status=status))
    apt = Apt(wanted, work)
    updated = captured(apt.get("update"))
    if updated.returncode:
        why = f"apt cannot read {suites[0]} of this system's mirror: {updated.stderr.strip()}"
        raise wanted.error(f"{why}; check the network")
    return apt


def as_root() -> list[str]:
    """What apt-get is told when root runs it.

    It would drop to user _apt, which cannot write here, and complain about it.
    """
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def captured(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """A command that may fail, to its end."""
    return subprocess.run(command, capture_output=True, check=False, text=True)


def _mirror(wanted: Wanted) -> str:
    """The address of the mirror of Debian that this system uses."""
    which = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    shown = captured(["apt-get", "indextargets", "--format", "$(REPO_URI)", *which])
    addresses = shown.stdout.split()
    if not addresses:
        why = f"{wanted.what} is Debian's, and apt knows no mirror of Debian here"
        raise wanted.error(f"{why}: run 'apt-get update' first")
    return addresses[0]
