# SPDX-License-Identifier: MIT
"""``vfio run``: open devices, and run a command that uses them without any right of its own."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from . import rights
from .bind import bind_all, check_all, chosen
from .opening import add_token, open_each
from .output import CliError, add_json, at_least, bdf, is_fake, print_fields, print_json
from .sysfs import is_vfio_driver, nodes, obstacles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pwd import struct_passwd
    from typing import NoReturn

    from vfiocore.pci import PciInfo

HELP = "run a command with devices that are open already, as an ordinary user"

EPILOG = """\
examples:
  sudo vfio run 01:00.0 --user "$USER" -- python3 driver.py 0000:01:00.0
  sudo vfio run 01:00.0 02:00.0 --user nobody --bind --memlock 64M -- ./driver
  sudo vfio run 01:00.0 --user "$USER" --transport cdev -- qemu-system-x86_64 \\
      -object iommufd,id=iommu0,fd=3 -device vfio-pci,iommufd=iommu0,fd=4 ...

The command inherits the address space's descriptor as 3 and the devices' as 4, 5, ... in the order
given, and VFIOCORE_FDS=iommu=3,BDF=4,... in its environment, where vfiocore.open() and
vfc_device_open() find them. With --user it has that user's groups and no capability (root keeps
root's), it cannot get any (no_new_privs), and it cannot type into the caller's terminal. Without
--user it is run as whoever calls. Where the limit of locked memory is too low for its buffers,
--memlock raises it.

exit status: the command's own; 126 if it cannot be run, 127 if it is not found; 128 + N if --bind
waited for it and signal N ended it
"""

INTERMIXED = TRAILING = True

FIRST = 3
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "vfio run [OPTION ...] BDF [BDF ...] [OPTION ...] -- COMMAND [ARG ...]"
    parser.add_argument("devices", type=bdf, nargs="+", metavar="BDF", help="PCI addresses")
    parser.add_argument("--user", metavar="NAME", type=_user, help="a name or a number")
    parser.add_argument(
        "--transport",
        choices=("cdev", "group"),
        help="default: cdev where the kernel and the devices have it",
    )
    parser.add_argument(
        "--bind",
        action="store_true",
        help="bind the devices to vfio-pci before, and give them back when the command ends",
    )
    parser.add_argument(
        "--memlock",
        metavar="SIZE",
        type=_size,
        help="limit of locked memory: bytes, 64K, 64M, 1G, or unlimited; default: as it is",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the steps, change nothing")
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    devices = _devices(args.devices)
    unbound = [info for info in devices if not is_vfio_driver(info.driver)]
    if not args.dry_run:
        _check_rights(args, devices, unbound)
    _check_devices(args, unbound)
    if args.dry_run:
        return _show(args, devices, unbound)
    if not unbound:
        return _become(args, devices)
    return _bound_meanwhile(args, devices, unbound)


# --- arguments ----------------------------------------------------------------------------------


def _user(text: str) -> struct_passwd:
    import pwd

    try:
        return pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        raise argparse.ArgumentTypeError(f"no such user: {text!r}") from None


def _size(text: str) -> int:
    if text == "unlimited":
        return -1
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    number = text[: len(text) - len(unit)]
    if unit not in _UNITS or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 65536, 64M or unlimited")
    return int(at_least(0, int)(number)) * _UNITS[unit]


def _devices(names: Sequence[str]) -> list[PciInfo]:
    for name in names:
        if is_fake(name):
            raise CliError(f"{name} is modelled inside of a process and cannot be handed over")
        if names.count(name) > 1:
            raise CliError(f"{name} is named twice", status=2)
    return chosen(names, with_members=False)


def _check_rights(
    args: argparse.Namespace, devices: Sequence[PciInfo], unbound: Sequence[PciInfo]
) -> None:
    """What the caller may not do."""
    if args.user and os.geteuid() != 0 and args.user.pw_uid != os.geteuid():
        raise CliError(
            f"only root can run a command as {args.user.pw_name}", hint="sudo vfio run ..."
        )
    for info in devices:
        found = [] if info in unbound else obstacles(info, [info])
        if found and os.geteuid() != 0:
            raise CliError(f"{info.name}: {found[0].problem}", hint=found[0].cure)


def _check_devices(args: argparse.Namespace, unbound: Sequence[PciInfo]) -> None:
    """What would go wrong with the devices, before anything is changed."""
    if unbound and not args.bind:
        first = unbound[0]
        raise CliError(
            f"{first.name} is bound to {first.driver or 'no driver'}: a VFIO driver must have it",
            hint=f"sudo vfio bind {first.name}, or --bind for as long as the command runs",
        )
    check_all(unbound, "vfio-pci")


def _transport(args: argparse.Namespace, devices: Sequence[PciInfo]) -> str:
    if args.transport:
        return str(args.transport)
    cdev = os.path.exists("/dev/iommu") and all(
        any(node.parent.name == "devices" and node.exists() for node in nodes(info))
        for info in devices
    )
    return "cdev" if cdev else "group"


# --- a dry run ----------------------------------------------------------------------------------


def _show(args: argparse.Namespace, devices: Sequence[PciInfo], unbound: Sequence[PciInfo]) -> int:
    steps: dict[str, object] = {
        "bind": [info.name for info in unbound],
        # Whether a device has a node of its own is not known before it is bound.
        "transport": args.transport or (None if unbound else _transport(args, devices)),
        "descriptors": _numbers(devices),
        "user": args.user.pw_name if args.user else None,
        "memlock": {None: None, -1: "unlimited"}.get(args.memlock, args.memlock),
        "command": args.command,
    }
    if args.json:
        print_json({"dry_run": True, "steps": steps})
        return 0
    print_fields(
        [
            ("bind, and give back", " ".join(info.name for info in unbound) or "nothing"),
            ("transport", str(steps["transport"] or "cdev, if the kernel has it")),
            ("environment", f"VFIOCORE_FDS={_list(_numbers(devices))}"),
            ("user", args.user.pw_name if args.user else "as it is"),
            ("locked memory", "as it is" if args.memlock is None else str(steps["memlock"])),
            ("command", shlex.join(args.command)),
        ]
    )
    return 0


def _numbers(devices: Sequence[PciInfo]) -> dict[str, int]:
    names = ["iommu", *(info.name for info in devices)]
    return {name: number for number, name in enumerate(names, FIRST)}


def _list(numbers: dict[str, int]) -> str:
    return ",".join(f"{name}={number}" for name, number in numbers.items())


# --- opening ------------------------------------------------------------------------------------


def _open(args: argparse.Namespace, devices: Sequence[PciInfo]) -> tuple[list[int], object]:
    """The descriptors of the space and the devices, and what to keep until the command is run."""
    opening = _open_nodes if _transport(args, devices) == "cdev" else _open_group
    return opening(args, devices)


def _open_nodes(args: argparse.Namespace, devices: Sequence[PciInfo]) -> tuple[list[int], object]:
    """The devices are not bound to the iommufd, since a virtual machine monitor does that itself.
    Each is opened once before, so that a device that cannot be used is reported here."""
    import vfiocore
    from vfiocore import pci

    with vfiocore.Iommu("cdev") as space:
        for info in devices:
            open_each(args, info.name, space).close()
    paths = ["/dev/iommu"]
    paths += [f"/dev/vfio/devices/{pci.info(info.name).vfio_cdev}" for info in devices]
    return [os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in paths], None


def _open_group(args: argparse.Namespace, devices: Sequence[PciInfo]) -> tuple[list[int], object]:
    import vfiocore

    space = vfiocore.Iommu("group")
    opened = [open_each(args, info.name, space) for info in devices]
    return [space.fileno(), *(device.fileno() for device in opened)], (space, opened)


def _place(descriptors: Sequence[int]) -> None:
    """Move them to 3, 4, ... All are moved out of the way first, so that none is overwritten."""
    import fcntl

    above = FIRST + len(descriptors)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in descriptors]
    for number, fd in enumerate(moved, FIRST):
        os.dup2(fd, number, inheritable=True)


# --- becoming the command -----------------------------------------------------------------------


def _become(args: argparse.Namespace, devices: Sequence[PciInfo]) -> NoReturn:
    """Replace this process by the command. Raises before anything is given up."""
    descriptors, _opened = _open(args, devices)
    environment = {**os.environ, "VFIOCORE_FDS": _list(_numbers(devices))}
    environment.pop("VFIOCORE_TRANSPORT", None)  # the kind of descriptor says it already
    if args.memlock is not None:
        _limit_memlock(args.memlock)
    if args.user:
        rights.drop(args.user)
        user = args.user
        environment |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    _exec(args.command, environment, descriptors)


def _limit_memlock(size: int) -> None:
    import resource

    limit = resource.RLIM_INFINITY if size < 0 else size
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    except (ValueError, OSError) as error:
        raise CliError(
            f"the limit of locked memory cannot be set to {size}: {error}",
            hint="only root can raise it",
        ) from None


def _exec(
    command: Sequence[str], environment: dict[str, str], descriptors: Sequence[int]
) -> NoReturn:
    """Python cannot be relied on from here on, because its descriptors may be overwritten."""
    import signal

    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec keeps that
        signal.signal(ignored, signal.SIG_DFL)
    sys.stdout.flush()
    _place(descriptors)
    try:
        os.execvpe(command[0], list(command), environment)
    except (FileNotFoundError, NotADirectoryError):
        text, status = "there is no such command", 127
    except OSError as error:
        text, status = str(error.strerror), 126
    raise CliError(f"{command[0]}: {text}", status=status)


# --- binding meanwhile --------------------------------------------------------------------------


def _bound_meanwhile(
    args: argparse.Namespace, devices: Sequence[PciInfo], unbound: Sequence[PciInfo]
) -> int:
    """Run the command as a child, because somebody must be left who gives the devices back. Signals
    are blocked before anything is changed, so that none interrupts the change."""
    import signal

    passed = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed)
    bind_all(unbound, "vfio-pci")
    try:
        child = os.fork()
        if child == 0:
            _in_child(lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before), args, devices)
        return _wait(child)
    finally:
        _give_back(unbound)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give_back(unbound: Sequence[PciInfo]) -> None:
    """Whatever the command left running may have the devices open: that is waited for, until a
    signal ends the wait. One device that fails does not keep the others from being given back."""
    failed: OSError | None = None
    for info in reversed(unbound):
        try:
            _unbind_when_closed(info.name)
        except OSError as error:
            failed = failed or error
    if failed:
        raise failed


def _unbind_when_closed(name: str) -> None:
    import signal

    from vfiocore import DeviceBusy, pci

    from .output import report_error

    told = False
    while True:
        try:
            return pci.unbind(name)
        except DeviceBusy as error:
            if not told:
                report_error(error)
            told = True
            # They are blocked, and the command that they were passed on to has ended.
            if signal.sigtimedwait({signal.SIGHUP, signal.SIGINT, signal.SIGTERM}, 0.1):
                raise


def _in_child(
    restore: Callable[[], object], args: argparse.Namespace, devices: Sequence[PciInfo]
) -> NoReturn:
    from .output import report_error

    status = 1
    try:
        restore()
        _become(args, _devices([info.name for info in devices]))
    except BaseException as error:  # noqa: BLE001 - nothing may get out of a child of fork()
        report_error(error)
        status = error.status if isinstance(error, CliError) else 1
    finally:
        os._exit(status)


def _wait(child: int) -> int:
    """The child's exit status. Signals are passed on to it, except those of the terminal (si_code
    SI_KERNEL), which sends them to both."""
    import signal

    while True:
        info = signal.sigwaitinfo(signal.valid_signals())
        if info.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif info.si_code <= 0:  # by kill() and its like
            os.kill(child, info.si_signo)
