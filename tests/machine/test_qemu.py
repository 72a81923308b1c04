# SPDX-License-Identifier: MIT
"""Which QEMU a machine gets: named, the system's, or fetched once; and what is said otherwise.

The rules are tried on QEMUs and an apt that are scripts: no network.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from vfiocore.lab import LabError, emulators

QEMU = "#!/bin/sh\necho 'QEMU emulator version {version} (made for a test)'\n"

APT_GET = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
indextargets*) echo http://mirror.invalid/debian ;;
*install*) {fetch} ;;
esac
"""


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@dataclass(frozen=True)
class Host:
    """A host whose programs and distribution are made up, with an empty cache."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    def system(self, version: str) -> Path:
        """This system's QEMU is of that version."""
        program = self.root / "bin" / emulators.PROGRAM
        _script(program, QEMU.format(version=version))
        return program

    def mirror(self, version: str = "10.0.2", fetch: str = "") -> None:
        """The backports have that version; or a download does `fetch`."""
        package = self.root / "package"
        _script(package / "usr/bin" / emulators.PROGRAM, QEMU.format(version=version))
        (package / "DEBIAN").mkdir()
        (package / "DEBIAN/control").write_text(
            "Package: qemu-system-x86\nVersion: 1\nArchitecture: all\n"
            "Maintainer: nobody <nobody@localhost>\nDescription: made for a test\n"
        )
        deb = self.root / "qemu.deb"
        subprocess.run(["dpkg-deb", "-b", package, deb], check=True, stdout=subprocess.DEVNULL)
        copy = f'cp {deb} "${{2%/apt.conf}}/cache/archives"'
        get = APT_GET.format(calls=self.root / "calls", fetch=fetch or copy)
        _script(self.root / "bin/apt-get", get)

    def distribution(self, **release: str) -> None:
        self.monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)

    def calls(self) -> list[str]:
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def leftovers(self) -> list[Path]:
        return list((self.root / "cache/qemu").glob("new-*"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, monkeypatch)
    (tmp_path / "bin").mkdir()
    for name in ("sh", "cp", "dpkg-deb", "readlink", "dirname", "tar", "rm"):
        found = shutil.which(name)
        assert found
        (tmp_path / "bin" / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("VFIOCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VFIOCORE_QEMU", raising=False)
    made.distribution(ID="debian", VERSION_CODENAME="bookworm", PRETTY_NAME="Debian 12")
    return made


@pytest.mark.parametrize("least", [None, (7, 2), (7, 1), (6, 10)])
def test_a_system_qemu_that_will_do_is_taken(host: Host, least: emulators.Version | None) -> None:
    program = host.system("7.2.22")
    assert emulators.find(least) == program
    assert host.calls() == []


def test_a_newer_one_is_fetched_once(host: Host) -> None:
    host.system("7.2.22")
    host.mirror()
    fetched = emulators.find((8, 0))
    assert emulators.version(fetched) == (10, 0)
    calls = host.calls()
    changing = [call for call in calls if not call.startswith("indextargets")]
    assert all(call.startswith(f"-c {host.root / 'cache/qemu'}/new-") for call in changing)
    assert ["-t bookworm-backports install" in call for call in changing] == [False, True]
    assert emulators.find((8, 0)) == fetched
    assert host.calls() == calls
    assert host.leftovers() == []


def test_one_whose_libraries_are_gone_is_fetched_again(host: Host) -> None:
    host.mirror()
    fetched = emulators.find((8, 0))
    _script(fetched, "#!/bin/sh\nexit 127\n")
    assert emulators.version(emulators.find((8, 0))) == (10, 0)
    assert len([call for call in host.calls() if "install" in call]) == 2


def test_a_named_one_that_is_too_old_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = host.system("7.2.22")
    monkeypatch.setenv("VFIOCORE_QEMU", str(program))
    assert emulators.find(None) == program
    with pytest.raises(LabError, match=r"needs QEMU 8\.0 or newer: name a newer one, or unset"):
        emulators.find((8, 0))


def test_backports_that_are_too_old(host: Host) -> None:
    host.mirror("7.2.22")
    with pytest.raises(LabError, match=r"bookworm-backports has QEMU 7\.2, and 8\.0 is needed"):
        emulators.find((8, 0))
    assert host.leftovers() == []


def test_another_distribution_is_asked_to_bring_one(host: Host) -> None:
    host.system("6.2.0")
    host.distribution(ID="ubuntu", VERSION_CODENAME="jammy", PRETTY_NAME="Ubuntu 22.04")
    with pytest.raises(LabError, match=r"this is Ubuntu 22\.04\): install one, or set VFIOCORE_Q"):
        emulators.find((8, 0))


def test_a_download_that_fails_is_told(host: Host) -> None:
    host.mirror(fetch="echo E: no route >&2; exit 100")
    with pytest.raises(LabError, match=r"E: no route; check the network .* or set VFIOCORE_QEMU"):
        emulators.find((8, 0))
    assert host.leftovers() == []


def test_no_qemu_at_all(host: Host) -> None:
    with pytest.raises(LabError, match="qemu-system-x86_64 is missing: install it"):
        emulators.find(None)
