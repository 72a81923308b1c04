# SPDX-License-Identifier: MIT
"""The ``vfio`` command: one module per verb, imported only when that verb is asked for.

A verb module has ``HELP`` (one line), ``EPILOG`` (examples), ``configure(parser)`` and
``run(args) -> int``; with ``INTERMIXED`` set, arguments may follow options, and with ``TRAILING`` a
command follows ``--``, ``args.command``.
Exit statuses: 0 fine, 1 failed, 2 usage, 77 nothing to test, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from .output import CliError, Parser, report_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

__all__ = ["VERBS", "build_parser", "main"]

# One-line helps live here too, so that `vfio --help` does not import every verb; a test compares
# them with each module's HELP.
VERBS = {
    "list": "list PCI devices, what VFIO could do with them, and what else it has",
    "info": "show all about one device, and whether it can be opened",
    "bind": "bind devices to a VFIO driver, remembering the former one",
    "unbind": "give devices back to the driver that they had",
    "run": "run a command with devices that are open already, as an ordinary user",
    "doctor": "explain what stops VFIO on this machine, and the cure",
    "config": "decode a device's PCI config space",
    "read": "read registers of a device",
    "write": "write a register of a device",
    "dump": "dump a region of a device: its ROM, config space or memory",
    "reset": "reset a device's function",
    "events": "show devices come and go, errors, requests and sleep, as it happens",
    "net": "use a network interface: DHCP, ping, send, capture",
    "lab": "run a command or tests in a QEMU guest with an IOMMU",
}

EPILOG = """\
examples:
  vfio list
  vfio doctor 01:00.0
  sudo vfio bind 01:00.0 --user "$USER"
  vfio net dhcp 01:00.0

exit status: 0 fine, 1 failed, 2 usage, 77 nothing to test, 130 interrupted
"""

_SHELLS = ("bash", "zsh", "tcsh")
_SIGPIPE_STATUS = 128 + 13


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import vfiocore

        print(f"vfio {vfiocore.__version__}")
        parser.exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: the process's arguments); returns the status."""
    if sys.stdout is None:  # closed by the caller: `vfio bind 01:00.0 >&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open
    # Not list(...): once the verb "list" is imported, that name in here is its module.
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse's way out: --help, --version and usage errors
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _reader_left()
    except (CliError, OSError, ImportError) as error:
        return _failed(error)
    except RuntimeError as error:
        if not _is_lab_error(error):
            raise
        return _failed(error)
    return status


def build_parser(verbs: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser with the given verbs configured (default: all), for completion and man pages."""
    parser = Parser(
        prog="vfio",
        description="Drive devices from userspace through Linux VFIO.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument(
        "--print-completion",
        choices=_SHELLS,
        metavar="SHELL",
        help="print a completion script for " + ", ".join(_SHELLS) + " and exit",
    )
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb in VERBS if verbs is None else verbs:
        _add_verb(subparsers, verb)
    return parser


def _add_verb(subparsers: Any, verb: str) -> None:
    module = importlib.import_module(f"vfiocore.cli.{verb}")
    subparser = subparsers.add_parser(
        verb,
        help=module.HELP,
        description=module.HELP[0].upper() + module.HELP[1:] + ".",
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparser.intermixed = getattr(module, "INTERMIXED", False)
    subparser.trailing = getattr(module, "TRAILING", False)
    module.configure(subparser)
    subparser.set_defaults(run=module.run)


def _dispatch(arguments: list[str]) -> int:
    verb = next((word for word in arguments if not word.startswith("-")), None)
    if arguments and arguments[0] == verb and verb in VERBS:
        args = build_parser([verb]).parse_args(arguments)
        status: int = args.run(args)
        return status
    return _without_verb(arguments)


def _without_verb(arguments: list[str]) -> int:
    """Options of the command itself: no verb is imported, their helps come from the table."""
    parser = build_parser([])
    for action in parser._subparsers._group_actions if parser._subparsers else []:
        assert isinstance(action, argparse._SubParsersAction)
        for verb, text in VERBS.items():
            action.add_parser(verb, help=text)
    args = parser.parse_args(arguments)
    if args.print_completion:
        return _print_completion(args.print_completion)
    parser.print_help(sys.stderr)
    return 2


def _print_completion(shell: str) -> int:
    try:
        import shtab
    except ImportError:
        raise CliError(
            "shell completion needs the package shtab", hint="pip install vfiocore[cli]"
        ) from None
    print(shtab.complete(build_parser(), shell=shell))
    return 0


def _failed(error: BaseException) -> int:
    if os.environ.get("VFIOCORE_DEBUG") == "1":
        raise error
    report_error(error)
    return error.status if isinstance(error, CliError) else 1


def _is_lab_error(error: BaseException) -> bool:
    lab = sys.modules.get("vfiocore.lab")  # only a verb that uses the lab has imported it
    return lab is not None and isinstance(error, lab.LabError)


def _reader_left() -> int:
    # Python flushes stdout once more at exit: give it somewhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _SIGPIPE_STATUS
