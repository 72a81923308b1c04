# SPDX-License-Identifier: MIT
"""What the verbs share: tables, fields, colours, JSON, error lines, argument types."""

from __future__ import annotations

import argparse
import os
import re
import sys

from vfiocore._text import plural

TYPE_CHECKING = False  # as in the rest of the package: importing typing takes 2 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TextIO

__all__ = [
    "CliError",
    "Parser",
    "add_json",
    "at_least",
    "bdf",
    "describe_error",
    "device",
    "hex_rows",
    "human_size",
    "is_fake",
    "is_pci",
    "number",
    "paint",
    "plural",
    "print_fields",
    "print_json",
    "print_table",
    "report_error",
    "rule",
]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ESCAPES = re.compile(r"(\x1b\[[0-9;]*m)")
_BDF = re.compile(r"(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")


class CliError(Exception):
    """A failure that the command itself found; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


# --- errors -------------------------------------------------------------------------------------


def describe_error(error: BaseException) -> tuple[str, str]:
    """An error's text and hint, each on one line."""
    tried = getattr(error, "tried", None)
    if isinstance(error, ImportError) and tried:
        places = (f"{path} ({why.removeprefix(f'{path}: ')})" for path, why in tried)
        advice = str(error).splitlines()[-1]
        return f"libvfiocore was not found; tried {', '.join(places)}", advice
    hint = " ".join(str(getattr(error, "hint", "") or "").split())
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and text.startswith("[Errno"):  # Python's own
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if text == hint:
        return text, ""
    if hint and text.endswith(hint):  # the library's one-line text ends with its hint
        text = text[: -len(hint)].rstrip(" :;")
    return text, hint


def report_error(error: BaseException) -> None:
    """Print ``vfio: TEXT`` and, when there is one, the hint on a line of its own."""
    text, hint = describe_error(error)
    print(f"vfio: {paint(text, 'red', stream=sys.stderr)}", file=sys.stderr)
    if hint:
        print(f"vfio: hint: {hint}", file=sys.stderr)


# --- colours and text ---------------------------------------------------------------------------


def _colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, *styles: str, stream: TextIO | None = None) -> str:
    """``text`` in the given styles when ``stream`` (default: stdout) is a terminal."""
    if not styles or not text or not _colours(stream or sys.stdout):
        return text
    codes = ";".join(_STYLES[style] for style in styles)
    return f"\x1b[{codes}m{text}\x1b[0m"


def human_size(count: int) -> str:
    """Bytes in the largest binary unit that keeps the figure exact to a tenth: ``128 KiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"


def rule(title: str) -> str:
    """A section's heading."""
    return paint(title, "bold")


# --- tables -------------------------------------------------------------------------------------


def _visible(text: str) -> int:
    return len(_ESCAPES.sub("", text))


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    indent: int = 0,
) -> None:
    """Aligned columns; those whose index is in ``right`` are aligned to the right.

    On a terminal a line that would wrap is cut in its last column.
    """
    body = [list(row) for row in rows]
    lines = [list(header), *body]
    widths = [max(_visible(line[i]) for line in lines) for i in range(len(header))]
    limit = os.get_terminal_size().columns if sys.stdout.isatty() else 0
    for index, line in enumerate(lines):
        cells = [_pad(cell, widths[i], i in right) for i, cell in enumerate(line)]
        text = _cut(" " * indent + "  ".join(cells).rstrip(), limit)
        print(paint(text, "dim") if index == 0 else text)


def _pad(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - _visible(cell))
    return blanks + cell if right else cell + blanks


def _cut(line: str, limit: int) -> str:
    if not limit or _visible(line) <= limit:
        return line
    kept, room = [], limit - 1
    for piece in _ESCAPES.split(line):
        text = piece if _ESCAPES.match(piece) else piece[:room]
        room -= _visible(text)
        kept.append(text)
    return "".join(kept) + "…"


def print_fields(pairs: Iterable[tuple[str, str]], *, indent: int = 2) -> None:
    """``name   value`` lines; a value of several lines continues under its first."""
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        first, *rest = value.split("\n")
        print(f"{' ' * indent}{paint(name.ljust(width), 'dim')}  {first}".rstrip())
        for line in rest:
            print(f"{' ' * (indent + width)}  {line}")


def hex_rows(data: bytes, base: int = 0) -> Iterable[str]:
    """A hex dump, 16 bytes a row with a gap in the middle, the offset in front."""
    digits = max(3, len(f"{base + len(data) - 1:x}"))
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        yield f"{base + at:0{digits}x}: {left}  {right}".rstrip()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import json

    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()


# --- arguments ----------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """One that can take positional arguments after options, if ``intermixed`` is set: argparse
    does not look for ``BDF [ADDRESS]`` on both sides of an option by itself. If ``trailing`` is set
    what follows ``--`` is a command."""

    intermixed = False
    trailing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.trailing:
            return self._parse_with_command([*args], namespace)
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # it calls this method in turn
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def _parse_with_command(self, args: list[str], namespace: Any) -> Any:
        end = args.index("--") if "--" in args else len(args)
        self.trailing = False
        try:
            namespace, rest = self.parse_known_args(args[:end], namespace)
        finally:
            self.trailing = True
        if not args[end + 1 :]:
            self.error("the command is missing: give it after --")
        namespace.command = args[end + 1 :]
        return namespace, rest


def add_json(parser: argparse.ArgumentParser) -> None:
    """The ``--json`` option."""
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def is_fake(name: str) -> bool:
    """Whether ``name`` is of a device modelled in this process, which sysfs does not know."""
    return name.startswith("fake:")


def bdf(text: str) -> str:
    """An argument's type: a PCI address, with the domain added when it was left out."""
    name = text.lower()
    if is_fake(text):
        return text
    if not _BDF.fullmatch(name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a PCI address such as 0000:01:00.0 or 01:00.0"
        )
    return name if name.count(":") == 2 else f"0000:{name}"


def is_pci(name: str) -> bool:
    """Whether ``name`` is a PCI address."""
    return bool(_BDF.fullmatch(name.lower()))


def device(text: str) -> str:
    """An argument's type: a device of any bus, as :func:`vfiocore.bus.info` takes it."""
    if is_fake(text) or is_pci(text):
        return bdf(text)
    from vfiocore import bus
    from vfiocore.errors import InvalidArgument, VfioError

    try:
        bus.info(text)
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(error.hint) from None
    except VfioError:
        pass  # whoever opens it says so
    return text


def number(text: str) -> int:
    """An argument's type: a number that is not negative, in any of Python's notations."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 255, 0xff or 0b11")
    return value


def at_least(minimum: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """An argument's type: a number that is ``minimum`` or more."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = minimum - 1
        if not value >= minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {minimum:g}")
        return value

    return parse
