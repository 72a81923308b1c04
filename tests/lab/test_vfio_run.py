# SPDX-License-Identifier: MIT
"""``vfio run``: what an ordinary user does with devices that root opened."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import vfiocore
from vfiocore import pci
from vfiocore.lab import emulators
from vfiocore.lab.machines import Machine

TESTS = Path(__file__).parents[1]
BUILD = TESTS.parent / "build"
IDENTIFY = str(BUILD / "tests/lab/identify")
USER = "nobody"
ID = 65534

ANY = [
    pytest.param("group", marks=pytest.mark.machine("intel", "iommufd")),
    pytest.param("cdev", marks=pytest.mark.machine("iommufd")),
]

DMA = """
import os, sys
sys.path[:0] = [sys.argv[2]]
import vfiocore
from edu_engine import HIGHEST, Edu, copies

for path in ("/dev/iommu", *(f"/dev/vfio/devices/vfio{n}" for n in range(4))):
    assert not os.access(path, os.R_OK), path
for round in range(2):  # it can be opened again
    with vfiocore.open(sys.argv[1]) as device, device.iommu.alloc(4096, highest=HIGHEST) as memory:
        memory[:64] = bytes(range(64))
        copies(Edu(device), memory.iova, memory.iova + 2048)
        assert bytes(memory[2048:2112]) == bytes(range(64))
        print(device.transport, os.geteuid())
"""


def vfio_run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vfiocore.cli", "run", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture(autouse=True)
def open_folders(ordinary_user: int) -> None:
    """The interpreter and the project can be read by nobody, too."""


@pytest.mark.parametrize("transport", ANY)
def test_python_does_dma(edu: str, transport: str) -> None:
    program = [sys.executable, "-c", DMA, edu, str(TESTS / "conformance")]
    result = vfio_run(edu, "--transport", transport, "--user", USER, "--", *program)
    assert result.stdout == f"{transport} {ID}\n" * 2, result.stderr
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("transport", ANY)
def test_c_without_a_change(edu: str, nic0: str, transport: str) -> None:
    """examples/identify.c knows nothing of it; the second of two devices, by its short name."""
    words = (nic0, edu, "--user", USER, "--transport", transport)
    result = vfio_run(*words, "--", IDENTIFY, edu.removeprefix("0000:"))
    says = f"{edu}: [1234:11e8] by {transport}, register 0 is 0x010000ed\n"
    assert result.stdout == says, result.stderr


TWO = """
import sys, mmap, vfiocore
names = sys.argv[1:]
with vfiocore.Iommu() as space:
    devices = [vfiocore.open(name, iommu=space) for name in names]
    space.map(mmap.mmap(-1, 4096))
    print(space.devices, space.transport)
    for device in devices:
        device.close()
devices = [vfiocore.open(name) for name in names]
for device in devices:
    for _ in range(50):
        device.iommu.map(mmap.mmap(-1, 4096))
print(*(device.iommu.mappings for device in devices))
"""


@pytest.mark.parametrize("transport", ANY)
def test_two_devices_in_one_space_and_in_two(edu: str, nic0: str, transport: str) -> None:
    words = (nic0, edu, "--user", USER, "--transport", transport)
    result = vfio_run(*words, "--", sys.executable, "-c", TWO, nic0, edu)
    assert result.stdout == f"2 {transport}\n50 50\n", result.stderr


@pytest.mark.machine("intel", "iommufd")
def test_no_right_is_left(edu: str) -> None:
    script = """
import os
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
print({status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")})
print(os.getresuid(), os.getresgid(), os.getgroups(), status["NoNewPrivs"])
with os.scandir("/proc/self/fd") as entries:
    print(sorted(int(entry.name) for entry in entries)[:-1])
print(os.environ["VFIOCORE_FDS"], os.environ["USER"])
"""
    result = vfio_run(edu, "--user", USER, "--", sys.executable, "-c", script)
    ids = (ID, ID, ID)
    assert result.stdout.splitlines() == [
        "{''}",
        f"{ids} {ids} [{ID}] 1",
        "[0, 1, 2, 3, 4]",
        f"iommu=3,{edu}=4 {USER}",
    ], result.stderr


STATUS = """
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
print({status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")})
"""


@pytest.mark.machine("intel")
def test_ambient_capabilities_are_not_left(lab_machine: Machine) -> None:
    """Of a caller who is the user already, and has capabilities that a program keeps."""
    name = lab_machine.device("edu").bdf
    pci.bind(name, uid=ID)
    caps = "+sys_rawio,+ipc_lock"
    before = ["setpriv", f"--reuid={ID}", f"--regid={ID}", "--clear-groups"]
    before += [f"--inh-caps={caps}", f"--ambient-caps={caps}", sys.executable]
    command = [*before, "-c", STATUS]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout == "{'24'}\n"  # bits 14 and 17, without the zeros around them
    command = [*before, "-m", "vfiocore.cli", "run", name, "--user", USER, "--"]
    command += [sys.executable, "-c", STATUS]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "{''}\n"), result.stderr
    command[3] = "--groups=0,4"
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "the groups of this process are not nobody's" in result.stderr
    assert (result.returncode, result.stdout) == (1, "")
    pci.unbind(name)


HEIRS = """
import os, subprocess, sys, vfiocore
look = '''
import os
for fd in (3, 4):
    try:
        print(fd, os.fstat(fd).st_mode > 0)
    except OSError:
        print(fd, "closed")
'''
def inherited():
    heirs = [sys.executable, "-c", look]
    return subprocess.check_output(heirs, close_fds=False, text=True).split()
print(inherited())
for round in range(2):
    with vfiocore.open(sys.argv[1]):
        print(inherited())
print([os.get_inheritable(fd) for fd in (3, 4)])
"""


@pytest.mark.parametrize("transport", ANY)
def test_children_do_not_inherit_what_was_taken(edu: str, transport: str) -> None:
    """Until then they do, since the command may be a shell that starts the driver."""
    words = (edu, "--user", USER, "--transport", transport)
    result = vfio_run(*words, "--", sys.executable, "-c", HEIRS, edu)
    assert result.stdout.splitlines() == [
        "['3', 'True', '4', 'True']",
        "['3', 'closed', '4', 'closed']",
        "['3', 'closed', '4', 'closed']",
        "[False, False]",
    ], result.stderr


@pytest.mark.machine("iommufd")  # it is the command's, whatever the transport
def test_locked_memory(edu: str) -> None:
    words = ["--", sys.executable, "-c", "import resource; print(resource.getrlimit(8))"]
    assert resource.RLIMIT_MEMLOCK == 8
    limit = 3 << 20
    assert vfio_run(edu, "--user", USER, "--memlock", "3M", *words).stdout == f"{limit, limit}\n"
    result = vfio_run(edu, "--memlock", "unlimited", *words)
    assert result.stdout == f"{-1, -1}\n"
    assert vfio_run(edu, *words).stdout == f"{resource.getrlimit(resource.RLIMIT_MEMLOCK)}\n"


@pytest.mark.machine("iommufd")  # it is the command's, whatever the transport
def test_status_and_errors(edu: str, nic0: str, ordinary_user: int) -> None:
    assert vfio_run(edu, "--", "sh", "-c", "exit 7").returncode == 7
    assert vfio_run(edu, "--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    for command, status, says in (
        ("no-such-command", 127, "no-such-command: there is no such command"),
        ("/etc/passwd", 126, "/etc/passwd: Permission denied"),
    ):
        result = vfio_run(edu, "--user", USER, "--", command)
        assert (result.returncode, result.stderr) == (status, f"vfio: {says}\n")
    with vfiocore.open(edu):
        result = vfio_run(edu, "--", "true")
        assert result.returncode == 1
        assert "open already" in result.stderr or "busy" in result.stderr
    pci.unbind(nic0)
    result = vfio_run(nic0, "--", "true")
    assert "a VFIO driver must have it" in result.stderr
    assert "or --bind for as long as" in result.stderr
    result = vfio_run(edu, "--user", "root", "--", "true", user=ordinary_user)
    assert "only root can run a command as root" in result.stderr
    result = vfio_run(edu, "--", "true", user=ordinary_user)
    assert "may not be opened by this user" in result.stderr
    assert result.returncode == 1


@pytest.fixture
def unbound(lab_machine: Machine) -> str:
    return lab_machine.device("edu").bdf


@pytest.mark.machine("intel", "iommufd")
def test_bound_for_as_long_as_it_runs(unbound: str) -> None:
    before = pci.info(unbound).driver
    result = vfio_run(unbound, "--bind", "--user", USER, "--", IDENTIFY, unbound)
    assert result.stdout.startswith(f"{unbound}: [1234:11e8]"), result.stderr
    assert result.returncode == 0
    assert pci.info(unbound).driver == before
    assert vfio_run(unbound, "--bind", "--", "sh", "-c", "exit 9").returncode == 9
    assert vfio_run(unbound, "--bind", "--", "no-such-command").returncode == 127
    assert vfio_run(unbound, "--bind", "--", "sh", "-c", "kill -KILL $$").returncode == 137
    assert pci.info(unbound).driver == before


@pytest.mark.machine("intel", "iommufd")
def test_what_the_command_left_running_is_waited_for(unbound: str) -> None:
    before = pci.info(unbound).driver
    start = time.monotonic()
    result = vfio_run(unbound, "--bind", "--", "sh", "-c", "sleep 3 >/dev/null 2>&1 & exit 3")
    assert result.returncode == 3
    assert "open" in result.stderr
    assert time.monotonic() - start > 2.5
    assert pci.info(unbound).driver == before


@pytest.mark.machine("intel", "iommufd")
def test_a_signal_ends_that_wait(unbound: str) -> None:
    script = "sleep 60 >/dev/null 2>&1 & echo $!; exit 3"
    words = [sys.executable, "-m", "vfiocore.cli", "run", unbound, "--bind", "--"]
    words += ["sh", "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stderr
        sleeper = int(run.stdout.readline())
        assert "open" in run.stderr.readline() + run.stderr.readline()
        run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 1
    assert pci.info(unbound).driver == "vfio-pci"
    os.kill(sleeper, signal.SIGKILL)
    end = time.monotonic() + 20
    while True:
        try:
            pci.unbind(unbound)
            break
        except vfiocore.DeviceBusy:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.machine("iommufd")  # it is the command's, whatever the transport
def test_signals_are_passed_on(unbound: str) -> None:
    script = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    words = [sys.executable, "-m", "vfiocore.cli", "run", unbound, "--bind", "--"]
    with subprocess.Popen([*words, "sh", "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGUSR1)
        assert run.stdout.read() == "got\n"
    assert run.returncode == 5
    assert not pci.info(unbound).driver.startswith("vfio")


class Qmp:
    """A virtual machine monitor's monitor on its standard input and output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout
        self.greeting = self._read("QMP")
        self.command("qmp_capabilities")

    def _read(self, key: str) -> object:
        while True:
            line = self._out.readline()
            assert line, "QEMU has ended"
            answer = json.loads(line)
            assert "error" not in answer, answer
            if key in answer:
                return answer[key]

    def command(self, name: str) -> object:
        self._in.write(json.dumps({"execute": name}) + "\n")
        self._in.flush()
        return self._read("return")


@pytest.fixture
def qemu() -> str:
    """One that takes descriptors (9.0 and newer); nobody may run it."""
    program = emulators.find((9, 0))
    for folder in program.resolve().parents:
        folder.chmod(folder.stat().st_mode | 0o555)
    return str(program)


@pytest.mark.machine("iommufd")
@pytest.mark.lab_timeout(120)
@pytest.mark.parametrize(("device", "ids"), [("edu", (0x1234, 0x11E8)), ("nic0", (0x8086, 0x10D3))])
def test_qemu_takes_our_descriptors(
    bound: Callable[[str], str], qemu: str, device: str, ids: tuple[int, int]
) -> None:
    """Without any right, it shows the device to its guest."""
    name = bound(device)
    words = [sys.executable, "-m", "vfiocore.cli", "run", name, "--user", USER]
    words += ["--memlock", "256M", "--", qemu, "-S", "-nodefaults", "-no-user-config"]
    words += ["-display", "none", "-accel", "tcg", "-machine", "q35", "-m", "32M", "-qmp", "stdio"]
    words += ["-object", "iommufd,id=iommu0,fd=3"]
    words += ["-device", "vfio-pci,iommufd=iommu0,fd=4,id=given"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            monitor = Qmp(process)
            assert f"\nUid:\t{ID}\t" in Path(f"/proc/{process.pid}/status").read_text()
            buses = monitor.command("query-pci")
            assert isinstance(buses, list)
            found = {d["qdev_id"]: d["id"] for bus in buses for d in bus["devices"]}
            assert (found["given"]["vendor"], found["given"]["device"]) == ids
            monitor.command("quit")
        except AssertionError:
            process.kill()
            assert process.stderr
            print(process.stderr.read())
            raise
        process.communicate()
    assert process.returncode == 0
