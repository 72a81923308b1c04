# SPDX-License-Identifier: MIT
"""Scapy and the command `vfio net` on a real wire: QEMU's network answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfiocore
from vfiocore import cli, pci

pytestmark = pytest.mark.machine("intel", "iommufd")

GATEWAY = "10.0.2.2"
OURS = "10.0.2.15"


@pytest.fixture
def nic(nic0: str) -> Iterator[vfiocore.Nic]:
    with vfiocore.open(nic0) as device, device.nic() as nic:
        nic.wait_link(60)
        yield nic


def test_scapys_functions(nic: vfiocore.Nic) -> None:
    from scapy.layers.l2 import ARP, Ether
    from scapy.sendrecv import AsyncSniffer, sniff, srp1

    from vfiocore.scapy import VfioSocket

    socket = VfioSocket(nic=nic)
    request = Ether(src=nic.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc=nic.mac, psrc=OURS, pdst=GATEWAY
    )
    answer = socket.sr1(request, timeout=60, verbose=False)
    assert answer is not None
    assert answer[ARP].psrc == GATEWAY
    answer = srp1(request, iface=socket.interface, timeout=60, verbose=False)
    assert answer is not None
    assert answer[ARP].psrc == GATEWAY

    sniffer = AsyncSniffer(opened_socket=socket, count=5)
    sniffer.start()
    for _ in range(5):  # one interrupt may announce them all
        socket.send(request)
    sniffer.join(60)
    assert sniffer.results is not None
    assert [p[ARP].psrc for p in sniffer.results if ARP in p] == [GATEWAY] * 5

    for _ in range(3):
        socket.send(request)
    assert len(sniff(opened_socket=socket, count=3, timeout=60)) == 3
    assert len(sniff(opened_socket=socket, timeout=0.2)) == 0


def test_ping_the_gateway(nic: vfiocore.Nic) -> None:
    from vfiocore.net import dhcp, ping
    from vfiocore.scapy import VfioSocket

    socket = VfioSocket(nic=nic)
    lease = dhcp(socket, nic.mac)
    assert lease.router == GATEWAY
    replies = list(ping(socket, lease, GATEWAY, count=3, interval=0.05))
    assert [reply.sequence for reply in replies if reply.rtt is not None] == [1, 2, 3]


def test_the_command_leases_pings_and_records(
    nic0: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "ping.pcapng"
    words = ["net", "ping", nic0, "-c", "2", "-i", "0.05", "--write", str(capture), "--json"]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["received"] == 2
    done = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "fields", "-e", "frame.protocols"],
        capture_output=True, text=True, check=True,
    )
    seen = done.stdout.split()
    assert sum("dhcp" in line for line in seen) == 4
    assert sum("icmp" in line for line in seen) == 4
    assert cli.main(["net", "dhcp", nic0, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lease"]["server"] == GATEWAY


def test_an_ordinary_user_pings(nic0: str, ordinary_user: int) -> None:
    """With the node handed over and memory allowed to be locked, no privilege is needed."""
    pci.bind(nic0, uid=ordinary_user, gid=ordinary_user)
    code = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 20, 64 << 20))
os.setgroups([]); os.setgid({ordinary_user}); os.setuid({ordinary_user})
from vfiocore import cli
raise SystemExit(cli.main(["net", "ping", {nic0!r}, "-c", "2", "-i", "0.05"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "10.0.2.2" in done.stdout


def test_list_info_and_doctor(nic0: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--json"]) == 0
    listed = {d["name"]: d for d in json.loads(capsys.readouterr().out)}
    assert listed[nic0]["driver"] == "vfio-pci"
    assert cli.main(["info", nic0]) == 0
    assert "MSI-X" in capsys.readouterr().out
    assert cli.main(["doctor", nic0]) == 0
    assert cli.main(["config", nic0]) == 0
