# SPDX-License-Identifier: MIT
"""Register maps as data, and the one decoder that walks them.

A layout is a table: registers by offset and width, and in each the fields by bit. Decoding reads a
copy of the bytes and gives a :class:`Structure` whose registers and fields have names.
"""

from __future__ import annotations

from errno import EBADMSG

from .errors import Malformed, Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    # What a field's number means: names by number, a format string, or a function.
    Meaning = tuple[str, ...] | dict[int, str] | str | Callable[[int], str] | None

__all__ = ["ADDRESS", "Field", "FieldValue", "Layout", "Register", "RegisterValue", "Structure"]

HEX = "{:#x}"


def ADDRESS(value: int) -> str:
    """The meaning of a field that keeps its place: the bits below it count as zero."""
    return f"{value:#x}"


class Field:
    """Bits of a register: ``width`` of them from bit ``low`` on.

    ``meaning`` turns the number into text: names by number, a format string, a function. A single
    bit without one is a flag, which is told by its name.
    """

    __slots__ = ("low", "meaning", "name", "width")

    def __init__(self, name: str, low: int, width: int = 1, meaning: Meaning = None) -> None:
        self.name = name
        self.low = low
        self.width = width
        self.meaning = meaning

    def value(self, raw: int) -> int:
        """The field's number in the register's."""
        value = raw >> self.low & (1 << self.width) - 1
        return value << self.low if self.meaning is ADDRESS else value

    def text(self, value: int) -> str:
        """The number in words; of a flag ``yes`` or ``no``."""
        meaning = self.meaning
        if meaning is None:
            return ("no", "yes")[value] if self.width == 1 else str(value)
        if callable(meaning):
            return meaning(value)
        if isinstance(meaning, str):
            return meaning.format(value)
        if isinstance(meaning, tuple):
            meaning = dict(enumerate(meaning))
        return meaning.get(value) or f"reserved ({value})"


class Register:
    """``width`` bytes at ``offset`` of a structure, little-endian, and the fields in them.

    Without fields the register is one number; ``meaning`` says how to show it.
    """

    __slots__ = ("fields", "meaning", "name", "offset", "width")

    def __init__(
        self, name: str, offset: int, width: int, *fields: Field, meaning: Meaning = HEX
    ) -> None:
        self.name = name
        self.offset = offset
        self.width = width
        self.fields = fields
        self.meaning = meaning

    def at(self, offset: int, name: str = "") -> Register:
        """The same register elsewhere: what comes in several copies."""
        return Register(name or self.name, offset, self.width, *self.fields, meaning=self.meaning)


def flags(low: int, names: str) -> tuple[Field, ...]:
    """One-bit fields from bit ``low`` on, by the words in ``names``; ``-`` leaves a bit out."""
    return tuple(Field(name, low + bit) for bit, name in enumerate(names.split()) if name != "-")


class Layout:
    """A structure as data: the registers that it always has, and those that depend on values.

    ``more`` is called with a :class:`View` and gives the latter.
    """

    __slots__ = ("more", "registers")

    def __init__(
        self, *registers: Register, more: Callable[[View], Iterable[Register]] | None = None
    ) -> None:
        self.registers = registers
        self.more = more

    def decode(self, view: View) -> list[RegisterValue]:
        """The registers of the structure at the view.

        Raises:
            Malformed: it runs past the end of its space; the hint has the offset.
        """
        return [view.register(register) for register in self._all(view)]

    def _all(self, view: View) -> Iterator[Register]:
        yield from self.registers
        if self.more:
            yield from self.more(view)


class View:
    """A structure's bytes: where it starts in a copy of config space, and where its space ends.

    ``express``, where the function's PCI Express capability is, is what some layouts depend on.
    """

    def __init__(self, space: bytes, offset: int, end: int, express: int | None = None) -> None:
        self.space = space
        self.offset = offset
        self.end = end
        self.express = express

    @property
    def bridge(self) -> bool:
        """Whether the header is a PCI bridge's (PCI-to-PCI Bridge 1.2, 3.2)."""
        return self.space[0x0E] & 0x7F == 1

    @property
    def port(self) -> int | None:
        """The device/port type (PCI Express Base 6.0, 7.5.3.2); None without that capability."""
        return None if self.express is None else self.space[self.express + 2] >> 4

    def number(self, offset: int, width: int) -> int:
        """``width`` bytes at ``offset`` from the structure's start."""
        at = self.offset + offset
        if at + width > self.end:
            text = (
                f"the structure at offset {self.offset:#x} runs past the end of its space: it has "
                f"a register at {at:#x}"
            )
            raise Malformed(EBADMSG, text, reason=Reason.MALFORMED, hint=text)
        return int.from_bytes(self.space[at : at + width], "little")

    def register(self, register: Register) -> RegisterValue:
        """A register's value."""
        raw = self.number(register.offset, register.width)
        return RegisterValue(register, self.offset + register.offset, raw)


class FieldValue:
    """A field of a register that was read: its number, and what that means."""

    __slots__ = ("field", "raw")

    def __init__(self, field: Field, raw: int) -> None:
        self.field = field
        self.raw = raw

    @property
    def text(self) -> str:
        """The number in words, such as ``"2.5 GT/s"``; ``yes`` or ``no`` for a flag."""
        return self.field.text(self.raw)

    @property
    def has_words(self) -> bool:
        """A number that has a name of its own, zero too: power state D0."""
        meaning = self.field.meaning
        return meaning is not ADDRESS and (callable(meaning) or isinstance(meaning, tuple | dict))

    @property
    def is_flag(self) -> bool:
        """One bit that is told by its name."""
        return self.field.width == 1 and self.field.meaning is None

    def __repr__(self) -> str:
        return f"<{self.field.name}: {self.text}>"


class RegisterValue:
    """A register that was read. ``value.speed`` is a field's number, ``value.fields`` has all.

    Attributes:
        name: the register's.
        at: its offset in config space, in bytes.
        size: bytes.
        raw: all of its bits.
        fields: :class:`FieldValue` by name.
    """

    def __init__(self, register: Register, offset: int, raw: int) -> None:
        self._register = register
        self.name = register.name
        self.at = offset
        self.size = register.width
        self.raw = raw
        self.fields: Mapping[str, FieldValue] = {
            field.name: FieldValue(field, field.value(raw)) for field in register.fields
        }

    @property
    def text(self) -> str:
        """A register without fields in words."""
        return Field(self.name, 0, 8 * self.size, self._register.meaning).text(self.raw)

    def __int__(self) -> int:
        return self.raw

    __index__ = __int__

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["fields"][name].raw  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(
                f"the register {self.__dict__.get('name')} has no field {name!r}"
            ) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.fields]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {value.text}" for name, value in self.fields.items())
        return f"<{self.name} {self.raw:#0{2 + 2 * self.size}x}{': ' if fields else ''}{fields}>"

    def as_dict(self) -> dict[str, Any]:
        """Offset, width, number and fields, ready for ``json.dumps``."""
        return {
            "offset": self.at,
            "size": self.size,
            "raw": self.raw,
            "fields": {
                name: {"raw": value.raw, "text": value.text} for name, value in self.fields.items()
            },
        }


class Structure:
    """What a layout made of bytes. ``structure.link_status`` is a :class:`RegisterValue`.

    Attributes:
        name: what it is, ``"PCI Express"``.
        offset: where it starts, in bytes.
        registers: :class:`RegisterValue` by name, in the order of the table.
    """

    def __init__(self, name: str, offset: int, registers: Iterable[RegisterValue]) -> None:
        self.name = name
        self.offset = offset
        self.registers: Mapping[str, RegisterValue] = {r.name: r for r in registers}

    def __getattr__(self, name: str) -> RegisterValue:
        try:
            return self.__dict__["registers"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('name')} has no register {name!r}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.registers]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.offset:#x}>"
