# SPDX-License-Identifier: MIT
"""What `vfio run --user` leaves of the caller's rights: in children, for there is no way back."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import pty
import pwd
import struct
import termios
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from vfiocore.cli import rights
from vfiocore.cli.output import CliError

NOBODY = pwd.getpwnam("nobody")
IPC_LOCK, SYS_RAWIO = 14, 17
KEEPCAPS, AMBIENT_RAISE = 8, 2  # linux/prctl.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h

LIBC = ctypes.CDLL(None, use_errno=True)


def in_child(run: Callable[[], Any], fork: Callable[[], tuple[int, int]] | None = None) -> Any:
    """What ``run`` returns, as JSON, in a process of its own."""
    reader, writer = os.pipe()
    child, terminal = fork() if fork else (os.fork(), -1)
    if child == 0:
        try:
            result = {"value": run()}
        except BaseException:  # noqa: BLE001 - told by the parent
            result = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        result = json.load(file)
    os.waitpid(child, 0)
    if terminal >= 0:
        os.close(terminal)
    assert "error" not in result, result["error"]
    return result["value"]


def status() -> dict[str, Any]:
    with open("/proc/self/status", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file)
    found: dict[str, Any] = {
        name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd")
    }
    found |= {name: sorted(set(fields[name].split())) for name in ("Uid", "Gid", "Groups")}
    return found | {"NoNewPrivs": fields["NoNewPrivs"].strip()}


def own_namespace() -> None:
    """Nobody is somebody else's in a user namespace, where anyone has all capabilities."""
    uid, gid = os.geteuid(), os.getegid()
    assert LIBC.unshare(CLONE_NEWUSER) == 0
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY.pw_uid} {uid} 1"),
        ("gid_map", f"{NOBODY.pw_gid} {gid} 1"),
    ):
        with open(f"/proc/self/{file}", "w", encoding="utf-8") as target:
            target.write(text)


def become_nobody(groups: list[int], *, setpcap: bool = False) -> None:
    """As systemd's AmbientCapabilities=, setpriv and user namespaces do it: an ordinary user with
    two capabilities that a program keeps when it is run."""
    capabilities = 1 << IPC_LOCK | 1 << SYS_RAWIO | setpcap << 8
    if os.geteuid() == 0:
        LIBC.prctl(KEEPCAPS, 1, 0, 0, 0)
        os.setgroups(groups)
        os.setresgid(*[NOBODY.pw_gid] * 3)
        os.setresuid(*[NOBODY.pw_uid] * 3)
    else:
        own_namespace()
    header = struct.pack("Ii", rights._CAPABILITY_VERSION_3, 0)
    assert LIBC.capset(header, struct.pack("6I", *[capabilities] * 3, 0, 0, 0)) == 0
    for capability in (IPC_LOCK, SYS_RAWIO):
        assert LIBC.prctl(rights._PR_CAP_AMBIENT, AMBIENT_RAISE, capability, 0, 0) == 0
    before = status()
    assert before["CapAmb"] == 1 << IPC_LOCK | 1 << SYS_RAWIO
    assert before["CapPrm"] == capabilities


@pytest.mark.parametrize("setpcap", [False, True])
def test_ambient_capabilities_go(setpcap: bool) -> None:
    def run() -> dict[str, Any]:
        become_nobody([NOBODY.pw_gid], setpcap=setpcap)
        rights.drop(NOBODY)
        return status()

    left = in_child(run)
    assert [left[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
    assert (left["CapBnd"] == 0) == setpcap
    assert left["NoNewPrivs"] == "1"
    assert (left["Uid"], left["Gid"]) == ([str(NOBODY.pw_uid)], [str(NOBODY.pw_gid)])


def test_nothing_comes_back_with_the_next_program() -> None:
    def run() -> str:
        become_nobody([NOBODY.pw_gid])
        rights.drop(NOBODY)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writer, 1)
            os.execv("/bin/grep", ["grep", "^CapPrm\\|^CapAmb", "/proc/self/status"])
        os.close(writer)
        with open(reader, encoding="utf-8") as file:
            return file.read()

    assert in_child(run).split() == ["CapPrm:", "0" * 16, "CapAmb:", "0" * 16]


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("only root can give a process the groups of another: run the tests as root")


def test_groups_that_are_not_the_users_are_refused() -> None:
    needs_root()

    def run() -> str:
        become_nobody([0, 4])
        try:
            rights.drop(NOBODY)
        except CliError as error:
            return str(error)
        return "not refused"

    assert "the groups of this process are not nobody's" in in_child(run)


def test_a_group_id_that_is_not_the_users_is_refused() -> None:
    needs_root()

    def run() -> str:
        os.setgroups([])
        os.setresgid(4, 4, 4)
        os.setresuid(*[NOBODY.pw_uid] * 3)
        try:
            rights.drop(NOBODY)
        except CliError as error:
            return str(error)
        return "not refused"

    assert "not the user and the group of nobody" in in_child(run)


def test_root_becomes_a_user() -> None:
    needs_root()

    def run() -> dict[str, Any]:
        os.setgroups([0, 4])
        rights.drop(NOBODY)
        return status()

    left = in_child(run)
    assert [left[name] for name in left if name.startswith("Cap")] == [0] * 5
    assert left["Groups"] == [str(NOBODY.pw_gid)]
    assert (left["Uid"], left["Gid"]) == ([str(NOBODY.pw_uid)], [str(NOBODY.pw_gid)])


def test_root_stays_root() -> None:
    needs_root()

    def run() -> bool:
        before = status()
        rights.drop(pwd.getpwuid(0))
        return bool(status()["CapEff"] == before["CapEff"] != 0)

    assert in_child(run) is True


def test_the_terminal_cannot_be_typed_into() -> None:
    """What is typed is what the caller's shell executes next."""
    needs_root()

    def run() -> list[Any]:
        fcntl.ioctl(0, termios.TIOCSTI, b"x")  # root can: the terminal is ours
        rights.drop(NOBODY)
        codes = []
        for request in (termios.TIOCSTI, rights._TIOCLINUX, termios.TIOCSTI | 1 << 32):
            result = LIBC.ioctl(0, ctypes.c_ulong(request), b"x")
            codes.append((result, ctypes.get_errno()))
        return [codes, os.get_terminal_size().columns >= 0]

    assert in_child(run, pty.fork) == [[[-1, errno.EPERM]] * 3, True]


def test_a_terminal_without_seccomp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an architecture whose numbers are not known; unless the kernel lets nobody type."""
    needs_root()
    monkeypatch.setattr(rights, "_MACHINES", {})
    sysctl = "/proc/sys/dev/tty/legacy_tiocsti"
    if os.path.exists(sysctl):
        with open(sysctl, encoding="utf-8") as file:
            safe = file.read().strip() == "0"
    else:
        safe = False

    def run() -> str:
        try:
            rights.drop(NOBODY)
        except CliError as error:
            return f"{error}; {error.hint}"
        return "dropped"

    def without_a_terminal() -> str:
        os.setsid()
        return run()

    assert in_child(without_a_terminal) == "dropped"
    said = in_child(run, pty.fork)
    if safe:
        assert said == "dropped"
    else:
        assert "could type into this terminal" in said
        assert "setsid --wait" in said


def judge(program: bytes, arch: int, number: int, request: int) -> int:
    """What seccomp's program returns, by the rules of linux/filter.h."""
    steps = list(struct.iter_unpack("HBBI", program))
    words = {rights._NUMBER_AT: number, rights._ARCH_AT: arch, rights._REQUEST_AT: request}
    at = accumulator = 0
    while True:
        code, true, false, constant = steps[at]
        at += 1
        if code == rights._RETURN:
            return int(constant)
        if code == rights._LOAD:
            accumulator = words[constant]
        else:
            assert code == rights._JUMP_EQUAL
            at += true if accumulator == constant else false


@pytest.mark.parametrize("machine", rights._MACHINES)
def test_each_way_to_call_ioctl(machine: str) -> None:
    program = rights._filter(machine)
    typing = 0x80017472 if machine == "ppc64le" else 0x5412
    for arch, number in rights._MACHINES[machine][1]:
        for request in (typing, 0x541C):
            assert judge(program, arch, number, request) == rights._ERRNO | errno.EPERM
        assert judge(program, arch, number, termios.TIOCGWINSZ) == rights._ALLOW
        assert judge(program, arch, number + 1, typing) == rights._ALLOW
        assert judge(program, arch ^ 0x100, number, typing) == rights._ALLOW
