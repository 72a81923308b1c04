# SPDX-License-Identifier: MIT
"""Immutable records, such as what ``Nic.link`` returns.

Dataclasses would do the same and cost a program 15 ms at start (they import inspect), named tuples
of typing 8 ms; in an emulated guest ten times that. Type checkers see these as frozen dataclasses.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Never, dataclass_transform
else:

    def dataclass_transform(**_):
        """What the type checker needs; nothing at run time."""
        return lambda kind: kind


def _plain(value: Any) -> Any:
    """``value`` as json.dumps() takes it."""
    if isinstance(value, Record):
        return value.as_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


@dataclass_transform(frozen_default=True)
class Record:
    """Fields are the annotations of the subclass, in order; they cannot be changed."""

    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)

    if not TYPE_CHECKING:

        def __init__(self, *values, **named):
            given = dict(zip(self._fields, values, strict=False), **named)
            if len(values) > len(self._fields) or given.keys() != set(self._fields):
                raise TypeError(f"{type(self).__name__} takes the fields {self._fields}")
            self.__dict__.update(given)

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__[name] for name in self._fields))

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, nested records and enums made plain: ready for ``json.dumps``."""
        return {name: _plain(self.__dict__[name]) for name in self._fields}
