# SPDX-License-Identifier: MIT
"""lspci's fields and ours, compared.

A word that lspci did not print is not compared; what was, is counted, so that a test can tell that
it compared something.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from lspci_flags import CARDBUS, FLAGS, HEADER, Key
from lspci_values import CONVERSIONS, SCALED, VALUES
from vfiocore.config import ConfigSpace
from vfiocore.registers import Structure

# --- reading lspci ------------------------------------------------------------------------------


class Section:
    """The header, or one capability: what lspci says of it on one line, blanks single."""

    def __init__(self, title: str, offset: int = 0) -> None:
        self.offset = offset
        self.text = title
        self._channel = ""

    def add(self, line: str) -> None:
        words = " ".join(line.split())
        # The lines of a virtual channel repeat their names: say whose they are.
        found = re.match(r"(VC\d+):", words)
        if found:
            self._channel = found[1]
        elif self._channel and line.startswith("\t\t\t"):
            words = f"{self._channel} {words}"
        self.text += " " + words


def parse(output: str) -> dict[str, list[Section]]:
    """Sections by device, the header first."""
    devices: dict[str, list[Section]] = {}
    sections: list[Section] = []
    for line in output.splitlines():
        if not line.strip():
            continue
        start = re.match(r"\tCapabilities: \[([0-9a-f]+)(?: v\d+)?\] ?(.*)", line)
        if not line[0].isspace():
            sections = devices.setdefault(line.split()[0], [])
            sections.append(Section(line.strip()))
        elif start:
            sections.append(Section(start[2], int(start[1], 16)))
        elif line.startswith("\t") and not line.startswith("\t\t") and len(sections) > 1:
            sections[0].add(line)  # a line of the header's behind the capabilities
        else:
            sections[-1].add(line)
    return devices


def run(*words: str) -> dict[str, list[Section]]:
    """lspci's numbers of all devices, or of a dump with ``-F FILE``."""
    done = subprocess.run(
        ["lspci", "-vvv", "-n", *words], stdout=subprocess.PIPE, check=True, errors="replace"
    )
    return parse(done.stdout)


def dump(space: bytes, path: Path) -> Path:
    """Config space in the form that ``lspci -F`` reads."""
    rows = (f"{at:02x}: {space[at : at + 16].hex(' ')}\n" for at in range(0, len(space), 16))
    path.write_text("00:00.0 Device\n" + "".join(rows))
    return path


# --- comparing ----------------------------------------------------------------------------------


class Comparison:
    """Fields that were compared, and those that differ."""

    def __init__(self) -> None:
        self.fields: set[str] = set()
        self.count = 0
        self.different: list[str] = []

    def take(self, key: Key, where: str, structure: Structure, section: Section) -> None:
        """Compare all that the tables know of one section."""
        self._flags(key, where, structure, section.text)
        for pattern, targets in VALUES.get(key, ()):
            found = re.search(pattern, section.text)
            for text, target in zip(found.groups(), targets.split(), strict=True) if found else ():
                if text is not None or target.endswith("prefetchable"):
                    self._value(key, where, structure, text, target)

    def _note(self, key: Key, where: str, ours: object, theirs: object, name: str) -> None:
        self.count += 1
        self.fields.add(f"{key[0]:x}{'e' if key[1] else ''}.{name}")
        if ours != theirs:
            self.different.append(f"{where} {name}: {ours!r}, lspci: {theirs!r}")

    def _flags(self, key: Key, where: str, structure: Structure, text: str) -> None:
        markers = FLAGS.get(key, {})
        starts = [(text.find(marker), marker) for marker in markers]
        places = sorted((at, marker) for at, marker in starts if at >= 0)
        for place, (at, marker) in enumerate(places):
            end = places[place + 1][0] if place + 1 < len(places) else len(text)
            register, words = markers[marker]
            for word in words.split():
                name, _, field = word.partition("=")
                found = re.search(_token(name), text[at:end])
                if found:
                    theirs = int((found[1] == "+") is not field.startswith("!"))
                    field = field.removeprefix("!")
                    ours = getattr(getattr(structure, register), field)
                    self._note(key, where, ours, theirs, f"{register}.{field}")

    def _value(self, key: Key, where: str, structure: Structure, text: str, target: str) -> None:
        place, _, conversion = target.partition(":")
        name, _, field = place.partition(".")
        if name.startswith("subsystem_") and name not in structure.registers:
            return  # a bridge's stands in a capability, which has a section of its own
        register = structure.registers[name]
        theirs = CONVERSIONS[conversion](text)
        ours: int | str = register.fields[field].raw if field else register.raw
        scale, factors = SCALED.get((key, place), ("", ()))
        if scale:
            ours = register.fields[field].raw * factors[register.fields[scale].raw]
        elif isinstance(theirs, str):
            ours = register.fields[field].text
        elif name == "class":
            ours = register.raw >> 8
        self._note(key, where, ours, theirs, place)


def _token(name: str) -> str:
    """``Name+`` or ``Name-``, where ``Name`` is no part of a longer word."""
    return r"(?<![\w<>.-])" + re.escape(name) + r":?([+-])(?=[\s,;)]|$)"


def compare(space: ConfigSpace, sections: list[Section], result: Comparison) -> None:
    """All of a function: the header, and each capability with the section at its offset."""
    where = sections[0].text.split()[0]
    cardbus = space.header.header_type.kind == 2
    result.take(CARDBUS if cardbus else HEADER, where, space.header, sections[0])
    capabilities = {c.offset: c for c in space.capabilities}
    theirs = {section.offset: section for section in sections[1:]}
    missing = capabilities.keys() ^ theirs.keys()
    if missing:
        result.different.append(f"{where}: only one has capabilities at {sorted(missing)}")
    for offset in capabilities.keys() & theirs.keys():
        found = capabilities[offset]
        key = (found.id, found.capability.extended)
        result.take(key, f"{where} {found.name}", found, theirs[offset])
