# SPDX-License-Identifier: MIT
"""Give up every right for good, before another user's program is run in this process's place.

Source: capabilities(7), prctl(2), seccomp(2), credentials(7).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from errno import EINVAL, ENOSYS, EPERM

from .output import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pwd import struct_passwd

# linux/prctl.h
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

# linux/seccomp.h and linux/bpf_common.h
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_SPEC_ALLOW = 1 << 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD = 0x20  # a word of struct seccomp_data
_RETURN = 0x06
_JUMP_EQUAL = 0x15
_NUMBER_AT, _ARCH_AT = 0, 4
_REQUEST_AT = 24 if sys.byteorder == "little" else 28  # the lower half of the second argument

# What types into a terminal, which whoever called sees as typed at their shell when we have ended.
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_TIOCSTI_POWERPC = 0x80017472
# By architecture: the number of seccomp(), and each way to call ioctl(), since a 64-bit kernel runs
# 32-bit programs, too: linux/audit.h's number of the architecture, and the call's number.
_MACHINES = {
    "x86_64": (317, ((0xC000003E, 16), (0xC000003E, 0x40000000 + 514), (0x40000003, 54))),
    "aarch64": (277, ((0xC00000B7, 29), (0x40000028, 54))),
    "riscv64": (277, ((0xC00000F3, 29), (0x400000F3, 29))),
    "ppc64le": (358, ((0xC0000015, 54),)),
    "s390x": (348, ((0x80000016, 54), (0x00000016, 54))),
}


def drop(user: struct_passwd) -> None:
    """Become the user with the groups of that user, without a capability and no way to one.

    root keeps root's capabilities, which a program of root's would have again anyway. A caller who
    is not root has the user's id already, but may have other groups than the user, and capabilities
    that no change of ids takes away: ambient and inheritable ones.

    Raises:
        CliError: the ids or groups are not the user's, and may not be set; or the command could
            type into the terminal.
    """
    _set_groups(user)
    if user.pw_uid != 0:
        _empty_bounding_set()
    _set_ids(user)
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    if user.pw_uid != 0:
        _clear_capabilities()
        _refuse_to_type()


def _set_groups(user: struct_passwd) -> None:
    wanted = os.getgrouplist(user.pw_name, user.pw_gid)
    try:
        os.setgroups(wanted)
    except PermissionError:
        # The kernel need not list a group of the process in its supplementary ones.
        if not set(os.getgroups()) <= set(wanted):
            raise CliError(
                f"the groups of this process are not {user.pw_name}'s, and only root can set them",
                hint="sudo vfio run ..., or log in anew, so that newgrp and the like are undone",
            ) from None


def _set_ids(user: struct_passwd) -> None:
    try:
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    except PermissionError:
        raise CliError(
            f"this process has not the user and the group of {user.pw_name}, which only root sets",
            hint="sudo vfio run ...",
        ) from None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(what: str, option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc().prctl(ctypes.c_int(option), *values) < 0:
        raise _failed(what)


def _empty_bounding_set() -> None:
    """Only CAP_SETPCAP may. Without it, no_new_privs alone keeps files from granting any."""
    for capability in range(64):
        try:
            _prctl("bounding set", _PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno in (EINVAL, EPERM):  # the last one was before, or we may not
                return
            raise


def _clear_capabilities() -> None:
    _prctl("ambient capabilities", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    if _libc().capset(header, bytes(24)) < 0:  # effective, permitted, inheritable; two words each
        raise _failed("capset")


def _filter(machine: str) -> bytes:
    """A program for seccomp: ioctl() that types into a terminal fails with EPERM."""
    requests = (_TIOCSTI_POWERPC if machine == "ppc64le" else _TIOCSTI, _TIOCLINUX)
    size = 7 + len(requests)
    program = []
    for arch, number in _MACHINES[machine][1]:
        # Another architecture and another call go on behind this part.
        program += [(_LOAD, 0, 0, _ARCH_AT), (_JUMP_EQUAL, 0, size - 2, arch)]
        program += [(_LOAD, 0, 0, _NUMBER_AT), (_JUMP_EQUAL, 0, size - 4, number)]
        program += [(_LOAD, 0, 0, _REQUEST_AT)]
        program += [
            (_JUMP_EQUAL, len(requests) - i, 0, request) for i, request in enumerate(requests)
        ]
        program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | EPERM)]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *step) for step in program)


def _refuse_to_type() -> None:
    """The command may share the caller's terminal. It must not type into it, which the caller's
    shell would execute with the caller's rights.

    A session of its own would keep it from that, but keep Ctrl-C from it as well: it takes this
    process's place, so nobody is left to pass a signal on.

    Raises:
        CliError: it could type, and the kernel has no seccomp.
    """
    if not _install_filter() and _can_type():
        raise CliError(
            "the command could type into this terminal: the kernel has no seccomp to forbid it",
            hint="setsid --wait vfio run ..., or, since Linux 6.2, sysctl dev.tty.legacy_tiocsti=0",
        )


def _install_filter() -> bool:
    """Without SPEC_ALLOW, kernels before Linux 5.16 would slow the command down."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        return False
    steps = ctypes.create_string_buffer(_filter(machine))
    program = struct.pack("HP", len(steps) // 8, ctypes.addressof(steps))
    arguments = (_MACHINES[machine][0], _SECCOMP_SET_MODE_FILTER, _SECCOMP_SPEC_ALLOW)
    if _libc().syscall(*map(ctypes.c_long, arguments), ctypes.c_char_p(program)) == 0:
        return True
    if ctypes.get_errno() in (ENOSYS, EINVAL):  # CONFIG_SECCOMP, CONFIG_SECCOMP_FILTER
        return False
    raise _failed("seccomp")


def _can_type() -> bool:
    """Whether there is a terminal that the kernel lets ordinary processes type into."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    try:
        with open("/proc/sys/dev/tty/legacy_tiocsti", encoding="utf-8") as file:
            return file.read().strip() != "0"
    except OSError:  # before Linux 6.2
        return True
