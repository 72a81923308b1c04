# SPDX-License-Identifier: MIT
"""The built kernel: what it has, that it is built once, and what is said when it cannot be.

The rules of building are tried on a package of "kernel source" that is a makefile of a few lines,
given out by an apt-get that is a script: real make, tar and dpkg-deb, and no network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machine_helpers import BOUND, Run, environment, wait_for

from vfiocore.lab import build, kernels

ROOT = Path(__file__).resolve().parents[2]
KERNEL = [sys.executable, "-m", "vfiocore.lab.kernels"]

# A first build takes ten minutes on two cores.
BUILD_SECONDS = 3600

LOOK = """
import json, os, pathlib
from vfiocore import pci
from vfiocore.lab import machines
machine = machines.find(os.environ["VFIOCORE_LAB_MACHINE"])
bdf = machine.device("nic0").bdf
names = lambda path: sorted(p.name for p in pathlib.Path(path).glob("*"))
found = {"held": [d.bdf for d in machine.devices if pci.info(d.bdf).driver]}
found["groups"] = names("/sys/kernel/iommu_groups")
pci.bind(bdf)
found["group"] = pci.info(bdf).iommu_group
found["nodes"] = names("/dev/vfio/devices")
found["class"] = names("/sys/class/vfio-dev")
found["vfio"] = names("/dev/vfio")
found["iommu"] = os.path.exists("/dev/iommu")
found["fail"] = os.path.exists("/proc/self/fail-nth")
found["release"] = os.uname().release
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def built() -> Path:
    """The image of the built kernel, which may have to be built first."""
    done = subprocess.run(
        [str(ROOT / "ci/kernel"), "built"],
        capture_output=True,
        check=False,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.removesuffix("\n"))


def _look(lab_run: Run, machine: str) -> dict[str, Any]:
    done = lab_run("--machine", machine, "--", sys.executable, "-c", LOOK)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_second_call_builds_nothing(built: Path) -> None:
    before = built.stat().st_mtime_ns
    done = subprocess.run(
        [str(ROOT / "ci/kernel"), "built"], capture_output=True, check=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{built}\n", "")
    assert built.stat().st_mtime_ns == before


def test_image_and_what_belongs_to_it(built: Path) -> None:
    kernel = kernels.find("built")
    assert kernel.image == built
    assert kernel.release.endswith("-vfiocore")
    assert kernel.modules == built.parent / "modules"
    assert kernels.headers(kernel) == built.parent / "headers"


@pytest.mark.parametrize(
    "option",
    [
        "FAULT_INJECTION",
        "HUGETLBFS",
        "INTEL_IOMMU_DEBUGFS",
        "IOMMUFD",
        "IOMMUFD_NOIOMMU",
        "IOMMUFD_TEST",
        "PCI_P2PDMA",
        "UDMABUF",
        "VFIO_DEVICE_CDEV",
        "VFIO_NOIOMMU",
        "VFIO_PCI_DMABUF",
    ],
)
def test_options(built: Path, option: str) -> None:
    assert f"CONFIG_{option}=y\n" in (built.parent / "config").read_text()


@pytest.mark.parametrize("machine", ["iommufd", "scalable", "amd", "virtio"])
def test_cdev_behind_an_iommu(built: Path, lab_run: Run, machine: str) -> None:
    found = _look(lab_run, machine)
    assert found["release"].endswith("-vfiocore")
    assert found["held"] == []
    assert found["iommu"]
    assert found["fail"]
    assert str(found["group"]) in found["groups"]
    assert found["nodes"] == found["class"] == ["vfio0"]
    assert str(found["group"]) in found["vfio"]


def test_cdev_without_an_iommu(built: Path, lab_run: Run) -> None:
    found = _look(lab_run, "noiommu")
    assert found["groups"] == []
    assert found["nodes"] == found["class"] == ["noiommu-vfio0"]
    assert "noiommu-0" in found["vfio"]


def test_an_image_without_modules_boots(built: Path, lab_run: Run, tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    shutil.copy(built, image)
    done = lab_run("--", "ls", "/dev/iommu", VFIOCORE_KERNEL=str(image))
    assert (done.returncode, done.stdout) == (0, "/dev/iommu\n"), done.stderr


def test_modules_can_be_built_for_it(built: Path, tmp_path: Path) -> None:
    command = ["make", "-C", str(ROOT / "kmod-tests"), f"O={tmp_path}"]
    variables = {"KDIR": str(built.parent / "headers")}
    done = subprocess.run(
        command, env=environment(variables), capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.glob("*/*.ko")}
    assert made == {"vfc_device.ko", "vfc_probe.ko"}


# A kernel's source as build.py sees it.
MAKEFILE = """
srctree := .
allnoconfig olddefconfig modules:
\t@touch .config
bzImage:
\techo built >> {built}
\t{compile}
\tmkdir -p arch/x86/boot
\tcp {image} arch/x86/boot/bzImage
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/9.9.0
run-command:
\t$(KBUILD_RUN_COMMAND)
"""

APT_GET = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
indextargets*) echo http://mirror.invalid/debian ;;
*download*) cp {package} . ;;
esac
"""

APT_CACHE = """#!/bin/sh
{show}
"""


@dataclass(frozen=True)
class Fake:
    """A mirror whose package is small, and an empty cache."""

    root: Path

    @property
    def cache(self) -> Path:
        return self.root / "cache/built"

    def make(self, compile: str = "true", show: str = "") -> None:
        """A mirror with such a package; `show` is what apt-cache does instead of showing it."""
        tree = self.root / "linux-source-9.9"
        script = tree / "scripts/package/install-extmod-build"
        script.parent.mkdir(parents=True)
        _script(script, '#!/bin/sh\nmkdir -p "$1"\n')
        facts = {"built": self.root / "builds", "image": kernels.find().image, "compile": compile}
        (tree / "Makefile").write_text(MAKEFILE.format(**facts))
        package = self.root / "package"
        (package / "usr/src").mkdir(parents=True)
        (package / "DEBIAN").mkdir()
        control = "Package: linux-source-9.9\nVersion: 9.9-1\nArchitecture: all\n"
        (package / "DEBIAN/control").write_text(
            f"{control}Maintainer: nobody <nobody@localhost>\nDescription: made for a test\n"
        )
        archive = package / "usr/src/linux-source-9.9.tar.xz"
        subprocess.run(["tar", "-cJf", archive, "-C", self.root, tree.name], check=True)
        deb = self.root / "linux-source-9.9.deb"
        subprocess.run(["dpkg-deb", "-b", package, deb], check=True, stdout=subprocess.DEVNULL)
        programs = self.root / "bin"
        programs.mkdir()
        get = APT_GET.format(calls=self.root / "calls", package=deb)
        _script(programs / "apt-get", get)
        depends = 'echo "Depends: linux-source-9.9 (= 9.9-1)"'
        _script(programs / "apt-cache", APT_CACHE.format(show=show or depends))

    def env(self, **extra: str) -> dict[str, str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return environment({"PATH": path, "VFIOCORE_CACHE": str(self.root / "cache"), **extra})

    def run(self, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*KERNEL, "built"],
            env=self.env(**extra),
            capture_output=True,
            check=False,
            text=True,
            timeout=BOUND,
        )

    def builds(self) -> int:
        return len((self.root / "builds").read_text().splitlines())

    def leftovers(self) -> list[Path]:
        return list(self.cache.glob("new-*"))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_is_built_once(fake: Fake) -> None:
    fake.make()
    first = fake.run()
    assert first.returncode == 0, first.stderr
    assert "fetching linux-source-9.9 9.9-1" in first.stderr
    calls = (fake.root / "calls").read_text()
    second = fake.run()
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert (fake.root / "calls").read_text() == calls
    assert fake.builds() == 1
    assert fake.leftovers() == []
    image = Path(first.stdout.removesuffix("\n"))
    assert image.parent.parent == fake.cache
    assert (image.parent / "modules/modules.dep").exists()


def test_only_the_private_apt_is_changed(fake: Fake) -> None:
    fake.make()
    fake.run()
    calls = (fake.root / "calls").read_text().splitlines()
    changing = [call for call in calls if not call.startswith("indextargets")]
    assert len(changing) == 2
    assert all(call.startswith(f"-c {fake.cache}/new-") for call in changing)


def test_another_compiler_means_another_build(fake: Fake) -> None:
    fake.make()
    first = fake.run()
    real = shutil.which("gcc")
    other = f'#!/bin/sh\n[ "$1" != --version ] || {{ echo other; exit; }}\nexec {real} "$@"\n'
    _script(fake.root / "bin/gcc", other)
    second = fake.run()
    assert second.returncode == 0, second.stderr
    assert second.stdout != first.stdout
    assert fake.builds() == 2


def test_two_at_once_build_once(fake: Fake) -> None:
    go_on = fake.root / "go-on"
    fake.make(compile=f"until [ -e {go_on} ]; do sleep 0.1; done")
    logs = [fake.root / "log1", fake.root / "log2"]
    both = []
    for log in logs:
        with log.open("w") as errors:
            command = [*KERNEL, "built"]
            both.append(subprocess.Popen(command, env=fake.env(), stdout=-1, stderr=errors))
    waits = lambda: [log for log in logs if "waiting for it" in log.read_text()]  # noqa: E731
    wait_for(lambda: bool(waits()))
    go_on.touch()
    results = [process.communicate(timeout=BOUND)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], [log.read_text() for log in logs]
    assert results[0] == results[1]
    assert fake.builds() == 1
    assert len(waits()) == 1


def test_a_build_that_fails_shows_the_log(fake: Fake) -> None:
    fake.make(compile="echo vm.c: error: no such luck >&2; exit 7")
    done = fake.run()
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cannot build the kernel" in done.stderr
    assert "vm.c: error: no such luck" in done.stderr
    log = fake.cache / "build.log"
    assert f"the whole log: {log}" in done.stderr
    assert "no such luck" in log.read_text()
    assert "Traceback" not in done.stderr
    assert fake.leftovers() == []
    assert not list(fake.cache.glob("*/bzImage"))


def test_a_build_that_was_killed_leaves_nothing_for_the_next(fake: Fake) -> None:
    fake.make()
    stale = fake.cache / "new-stale"
    stale.mkdir(parents=True)
    assert fake.run().returncode == 0
    assert fake.leftovers() == []


def test_a_full_disk_is_told(fake: Fake) -> None:
    fake.make(compile="echo ld: cannot write: No space left on device >&2; exit 1")
    done = fake.run()
    assert done.returncode == 1
    assert "the disk is full" in done.stderr


def test_a_mirror_without_the_package(fake: Fake) -> None:
    fake.make(show="echo E: No packages found >&2; exit 100")
    done = fake.run()
    assert done.returncode == 1
    assert f"no package linux-source in {build.SUITE}" in done.stderr
    assert "VFIOCORE_KERNEL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_system_without_a_mirror(fake: Fake) -> None:
    fake.make()
    _script(fake.root / "bin/apt-get", "#!/bin/sh\n")
    done = fake.run()
    assert done.returncode == 1
    assert "apt knows no mirror of Debian" in done.stderr


def test_a_mirror_that_cannot_be_reached(fake: Fake) -> None:
    fake.make()
    text = '#!/bin/sh\ncase "$*" in\nindextargets*) echo http://mirror.invalid/debian ;;\n'
    _script(fake.root / "bin/apt-get", f"{text}*) echo E: no route >&2; exit 100 ;;\nesac\n")
    done = fake.run()
    assert done.returncode == 1
    assert "E: no route" in done.stderr


@pytest.mark.parametrize("name", ["flex", "bison", "bc", "gcc", "make", "xz"])
def test_a_missing_tool_is_named(fake: Fake, name: str) -> None:
    programs = fake.root / "few"
    programs.mkdir()
    for other in build.programs():
        found = shutil.which(other)
        if found and other != name:
            (programs / other).symlink_to(found)
    done = fake.run(PATH=str(programs))
    assert done.returncode == 1
    assert f"building a kernel needs {name}: install" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_header_is_named(fake: Fake) -> None:
    fake.make()
    real = shutil.which("gcc")
    _script(fake.root / "bin/gcc", f'#!/bin/sh\n[ "$1" != -E ] || exit 1\nexec {real} "$@"\n')
    done = fake.run()
    assert done.returncode == 1
    assert "building a kernel needs libelf.h: install" in done.stderr
    assert "libelf-dev" in done.stderr
