# SPDX-License-Identifier: MIT
"""A guest that sleeps. One of its own: its root is a share that does not survive that.

The kernel's own test of suspend (Documentation/power/basic-pm-debugging.rst, "core") goes all the
way but for the firmware: devices are suspended, the clocks stop, and after five seconds it is back.
"""

from __future__ import annotations

import sys

from machine_helpers import BOUND, VFIO, Start

CODE = """
import ctypes, time
import vfiocore
from vfiocore import EventKind

def write(name, text):
    with open("/sys/power/" + name, "w") as file:
        file.write(text)

with vfiocore.events() as stream:
    assert ctypes.CDLL(None).mlockall(1) == 0  # MCL_CURRENT: nothing is read from there any more
    write("pm_test", "core")
    write("state", "mem")
    event = stream.wait(20)
    while event.kind is not EventKind.RESUME:
        event = stream.wait(20)
    print(event.slept // 10**9, flush=True)
    time.sleep(1000)  # exiting would be talking to the share
"""


def test_a_sleep_is_told_with_its_length(start: Start) -> None:
    process = start(*VFIO, "lab", "run", "--", sys.executable, "-c", CODE)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.communicate(timeout=BOUND)
    assert int(line) >= 1
