# SPDX-License-Identifier: MIT
"""A call into C that tells of its progress, and that any exception may end."""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int, c_uint64, c_void_p, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native.structs import MapOpts

    # Bytes done, bytes in all; something true: stop.
    Progress = Callable[[int, int], object]

# vfc_map_progress
_Callback = CFUNCTYPE(c_int, c_void_p, c_uint64, c_uint64)


def with_progress(
    call: Callable[[], int],
    undo: Callable[[int], None],
    opts: MapOpts,
    progress: Progress,
) -> int:
    """``call()``, which takes ``opts`` to C, with ``progress(done, length)`` after each piece.

    C works in a thread of its own, and waits for the answer after each piece. In the caller's
    thread a signal's exception could strike at the first instruction of a callback, where nothing
    can catch it: ctypes would print and forget it. Here it strikes where we wait, the piece that
    is being mapped is the last, and all of it is undone before the exception goes on.
    """
    from contextlib import suppress
    from queue import SimpleQueue
    from threading import Thread

    told: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
    answers: SimpleQueue[bool] = SimpleQueue()
    results: list[int] = []
    failures: list[BaseException] = []

    def step(_: int, done: int, length: int) -> int:
        told.put((done, length))
        return answers.get()

    callback = _Callback(step)
    opts.progress = cast(callback, c_void_p)

    def work() -> None:
        try:
            results.append(call())
        except BaseException as failure:  # noqa: BLE001 - raised again, in the other thread
            failures.append(failure)
        told.put(None)

    worker = Thread(target=work, name="vfiocore map")
    try:
        worker.start()
        while (at := told.get()) is not None:
            answers.put(bool(progress(*at)))
        worker.join()
    except BaseException:
        while worker.is_alive():  # whatever comes, what it has mapped is still to be undone
            with suppress(BaseException):
                answers.put(True)
                worker.join()
        for result in results:  # the exception came too late to stop it
            undo(result)
        raise
    for failure in failures:
        raise failure
    return results[0]
