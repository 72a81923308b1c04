# SPDX-License-Identifier: MIT
"""A guest that sleeps. One of its own: its root is a share that does not survive that.

Once by the kernel's own test of suspend (Documentation/power/basic-pm-debugging.rst, "core"), which
goes all the way but for the firmware; and once for real, to S3 and back by the clock's alarm.
"""

from __future__ import annotations

import sys

from machine_helpers import BOUND, VFIO, Start

LIMIT = ("--timeout", "600")  # for a guest that does not come back

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
    event = stream.wait(300)
    while event.kind is not EventKind.RESUME:
        event = stream.wait(300)
    print(event.slept // 10**9, flush=True)
    time.sleep(1000)  # exiting would be talking to the share
"""


def test_a_sleep_is_told_with_its_length(start: Start) -> None:
    process = start(*VFIO, "lab", "run", *LIMIT, "--", sys.executable, "-c", CODE)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.communicate(timeout=BOUND)
    assert int(line) >= 1


S3 = """
import ctypes, struct, time
import vfiocore
from vfiocore import EventKind, pci

NIC = "0000:01:00.0"

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

def gateway_answers(nic):
    station = bytes.fromhex(nic.mac.replace(":", ""))
    request = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + station + bytes([10, 0, 2, 15])
    target = bytes(6) + bytes([10, 0, 2, 2])
    nic.send(b"\\xff" * 6 + station + b"\\x08\\x06" + request + target + bytes(18))
    while True:
        frame = nic.recv(300)
        if frame[12:14] == b"\\x08\\x06" and frame[28:32] == bytes([10, 0, 2, 2]):
            return True

def decodes(device):
    return bool(device.config.command & 2) and device.bar(0).read32(8) != 0xFFFFFFFF

pci.bind(NIC)
with vfiocore.open(NIC) as device, vfiocore.events() as stream, device.nic() as nic:
    buffer = device.iommu.alloc(4096)
    buffer.view()[:4] = b"kept"
    nic.wait_link(300)
    # Once before, so that all that is used later is in memory.
    assert gateway_answers(nic)
    assert decodes(device)
    nic.reset()
    nic.wait_link(300)
    assert ctypes.CDLL(None).mlockall(1) == 0  # MCL_CURRENT: nothing is read from there any more
    write("/sys/class/rtc/rtc0/wakealarm", "+3")
    write("/sys/power/state", "mem")
    event = stream.wait(300)
    while event.kind is not EventKind.RESUME:
        event = stream.wait(300)
    print("slept", event.slept // 10**9, flush=True)
    print("decodes", decodes(device), flush=True)
    nic.reset()
    nic.wait_link(300)
    print("traffic", gateway_answers(nic), bytes(buffer.view()[:4]), flush=True)
    time.sleep(1000)
"""


def test_to_s3_and_back_with_a_device_open(start: Start) -> None:
    """Registers are lost and a driver starts its device anew; interrupts, mappings and memory are
    there as before."""
    # So written it is not taken for TCG, whose kernels start at their PVH entry: woken up after
    # such a start, Linux 6.1 ends in a triple fault.
    accel = "VFIOCORE_ACCEL=accel=tcg,thread=multi"
    process = start("env", accel, *VFIO, "lab", "run", *LIMIT, "--", sys.executable, "-c", S3)
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(3)]
    process.kill()
    process.communicate(timeout=BOUND)
    assert lines[0][:1] == [b"slept"], lines
    assert int(lines[0][1]) >= 1
    assert lines[1:] == [[b"decodes", b"True"], [b"traffic", b"True", b"b'kept'"]]
