# SPDX-License-Identifier: MIT
"""Runs in a guest: scapy_send.py BDF. One Scapy script over our socket and over Scapy's own on the
kernel's driver, in turn; prints a line of JSON with the medians of packets a second.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scapy.arch.linux import L2Socket
from scapy.config import conf
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from vfiocore import pci
from vfiocore.scapy import VfioSocket

PACKETS, ROUNDS = 1000, 5
PACKET = Ether(dst="52:54:00:76:66:01", src="52:54:00:76:66:00", type=0x88B5) / Raw(bytes(46))


def script(socket: Any) -> float:
    """What a user writes."""
    start = time.perf_counter()
    for number in range(PACKETS):
        PACKET.load = number.to_bytes(46, "big")
        socket.send(PACKET)
    return PACKETS / (time.perf_counter() - start)


def ours(bdf: str) -> float:
    pci.bind(bdf)
    with VfioSocket(bdf) as socket:
        script(socket)
        return script(socket)


def awaited(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 20
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"no {what}")
        time.sleep(0.05)
    return found


def interface(bdf: str) -> str:
    """The kernel's, with its link up."""
    nets = Path("/sys/bus/pci/devices", bdf, "net")
    name: str = awaited(lambda: [net.name for net in nets.glob("*")], "interface")[0]
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    state = nets / name / "operstate"
    awaited(lambda: state.read_text() == "up\n", "link")
    return name


def theirs(bdf: str) -> float:
    pci.bind(bdf, driver="e1000e")
    name = interface(bdf)
    conf.ifaces.reload()  # it has a new index
    socket = L2Socket(iface=name)
    script(socket)
    rate = script(socket)
    socket.close()
    return rate


def main(bdf: str) -> None:
    subprocess.run(["modprobe", "e1000e"], check=True)

    def rates(way: Callable[[str], float]) -> float:
        rate = way(bdf)
        pci.unbind(bdf)
        return rate

    pairs = [(rates(ours), rates(theirs)) for _ in range(ROUNDS)]
    value, base = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(json.dumps({"value": value, "baseline_value": base}))


main(*sys.argv[1:])
