# SPDX-License-Identifier: MIT
"""Processes that the tests fork off."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def in_child(run: Callable[[], None], user: int | None = None) -> None:
    """Run it in a child of ours, as that user."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            if user is not None:
                os.setgid(user)
                os.setuid(user)
            run()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not go on with the tests
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
