# SPDX-License-Identifier: MIT
"""Call the library: results checked, records turned into exceptions, waits that wake on Ctrl-C."""

from __future__ import annotations

import ctypes
import errno
import time
from operator import index

from ..errors import BY_REASON, ClosedError, Reason, VfioError, closed, invalid
from .loader import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Never, Self

# A signal may be delivered to another thread than the one that sleeps in C, which then does not
# wake up; and only the main thread runs Python's signal handlers. So nobody sleeps longer than
# this in one go.
SLICE_NS = 200_000_000

_MAX = {8: 0xFF, 16: 0xFFFF, 31: 0x7FFF_FFFF, 32: 0xFFFF_FFFF, 64: 0xFFFF_FFFF_FFFF_FFFF}


def _text() -> str:
    buffer = ctypes.create_string_buffer(1024)
    lib.vfc_error_text(buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def _reason(value: int) -> Reason:
    try:
        return Reason(value)
    except ValueError:  # a newer library's reason
        return Reason.NONE


def error(rc: int) -> VfioError:
    """The exception for a result of ``-errno``, from the calling thread's record."""
    record = lib.vfc_error_last().contents
    if record.code != -rc:  # no record of this failure: errno has to do
        return VfioError(-rc, f"{errno.errorcode.get(-rc, -rc)}")
    reason = _reason(record.reason)
    if reason is Reason.NONE and record.code == errno.ETIMEDOUT:
        reason = Reason.TIMEOUT
    return BY_REASON.get(reason, VfioError)(
        record.code,
        _text(),
        reason=reason,
        operation=record.operation.decode("utf-8", "replace"),
        call=record.call.decode("utf-8", "replace"),
        object=record.object.decode("utf-8", "replace"),
        iova=record.iova,
        length=record.length,
        hint=record.hint.decode("utf-8", "replace"),
    )


def check(rc: int) -> int:
    """Pass a result on, or raise the error that a negative one stands for."""
    if rc < 0:
        raise error(rc)
    return rc


def integer(value: int, what: str) -> int:
    """``value``; a ``TypeError`` that names it when it is no integer."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{what} is an int, not {type(value).__name__}") from None


def unsigned(value: int, bits: int, what: str) -> int:
    """Refuse what ctypes would silently cut off: ``value`` must fit in ``bits`` unsigned bits.
    Whatever is no integer is a ``TypeError``, which ctypes would not raise."""
    number = value if type(value) is int else integer(value, what)
    if not 0 <= number <= _MAX[bits]:
        raise invalid(f"{what} {number:#x} does not fit in {bits} bits")
    return number


def encoded(text: str, what: str) -> bytes:
    """``text`` as C takes it. A NUL would end it early, and so name something else."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    if "\0" in text:
        raise invalid(f"{what} {text!r} holds a NUL character")
    return text.encode("utf-8", "surrogateescape")


def fileno(fd: int) -> int:
    """A descriptor as C takes it. Objects that own one would close it once more: take it out of
    them (``detach()``)."""
    number = integer(fd, "a descriptor")
    if not -(2**31) <= number < 2**31:
        raise invalid(f"{number} is no descriptor")
    return number


def nanoseconds(timeout: float | None) -> int | None:
    """A timeout in seconds as nanoseconds; None stays None: without end."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float):
        raise TypeError(f"the timeout is a number or None, not {type(timeout).__name__}")
    if not timeout >= 0:
        what = "negative" if timeout < 0 else "not a number"
        raise invalid(f"the timeout {timeout} is {what}; None waits without end")
    return int(min(timeout, 1e9) * 1e9)


_leaving: list[bool] = []


def leave() -> None:
    """The interpreter exits, and what was left open is closed: threads that still wait (daemons,
    others have been joined) end, since nobody is left to be told."""
    _leaving.append(True)


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()


def wait(attempt: Callable[[int], int], timeout: float | None) -> int:
    """Wait in slices: ``attempt(nanoseconds)`` until it no longer times out or is interrupted.

    ``timeout`` in seconds; 0 looks once; None waits without end. Between slices Python runs its
    signal handlers, so that Ctrl-C ends the wait with ``KeyboardInterrupt``.
    """
    total = nanoseconds(timeout)
    deadline = None if total is None else time.monotonic_ns() + total
    left = SLICE_NS if total is None else total
    while True:
        try:
            rc = attempt(min(left, SLICE_NS))
        except ClosedError:
            if _leaving and not _in_main_thread():
                raise SystemExit from None  # which ends a thread without a word
            raise
        if rc >= 0:
            return rc
        if rc not in (-errno.ETIMEDOUT, -errno.EINTR):
            raise error(rc)
        if deadline is None:
            continue
        left = deadline - time.monotonic_ns()
        if left <= 0:
            if rc == -errno.ETIMEDOUT:
                raise error(rc)
            left = 0  # interrupted in the last moment: look once more


def uncopied(thing: object) -> Never:
    """As ``__reduce__``: a copy would close, a second time, what the original stands for."""
    raise TypeError(f"a {type(thing).__name__} stands for one open thing: no copy, no pickle")


class Closing:
    """A context manager, at whose end ``close()`` is called."""

    def close(self) -> None:
        """A second call does nothing."""
        raise NotImplementedError

    def _refuse_closed(self) -> None:
        """Raise :class:`ClosedError` when it is closed."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._refuse_closed()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class NativeObject(Closing):
    """The owner of one C object: closed once, refused afterwards.

    A subclass sets ``_handle`` when the C object exists and implements ``close()``.
    """

    __reduce__ = uncopied

    _handle: int | None = None
    _title: str = "object"

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._handle is None

    def _native(self) -> int:
        """The C object; raises :class:`ClosedError` when it is closed."""
        if self._handle is None:
            raise closed(self._title)
        return self._handle

    def _refuse_closed(self) -> None:
        self._native()


def native(thing: NativeObject, kind: type[NativeObject], what: str) -> int:
    """The C object of ``thing``. Of another kind it would be taken for what it is not."""
    if not isinstance(thing, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{what} is {article} {kind.__name__}, not {type(thing).__name__}")
    return thing._native()


def open_handle(function: Any, *arguments: Any) -> int:
    """Call an ``..._open(..., struct vfc_x **)`` and return the new object's address."""
    handle = ctypes.c_void_p()
    check(function(*arguments, ctypes.byref(handle)))
    assert handle.value is not None  # a success without an object cannot be
    return handle.value
