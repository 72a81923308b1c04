# SPDX-License-Identifier: MIT
"""vfiocore.net against a scripted network, and the verbs of `vfio net` on the fake device."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

scapy = pytest.importorskip("scapy")

from scapy.layers.dhcp import BOOTP, DHCP  # noqa: E402
from scapy.layers.inet import ICMP, IP  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402
from scapy.supersocket import SuperSocket  # noqa: E402
from scripted_network import MAC, ROUTER_MAC, Network  # noqa: E402

import vfiocore  # noqa: E402
from vfiocore.cli import main  # noqa: E402
from vfiocore.cli.net.dump import dump  # noqa: E402
from vfiocore.cli.net.session import Capture, tap  # noqa: E402
from vfiocore.net import (  # noqa: E402
    Host,
    Lease,
    NoAnswer,
    PingSummary,
    Refused,
    Reply,
    dhcp,
    ping,
    resolve,
)

FAKE = "fake:e1000e"
US = Host(MAC, "10.0.2.15", 24, "10.0.2.2")


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


# --- DHCP ---------------------------------------------------------------------------------------


def test_dhcp_returns_the_lease(network: Network) -> None:
    assert dhcp(network.socket, MAC, hostname="unit") == Lease(
        mac=MAC,
        address="10.0.2.15",
        prefix=24,
        router="10.0.2.2",
        dns=("10.0.2.3", "10.0.2.4"),
        domain="example.org",
        server="10.0.2.2",
        seconds=86400,
    )
    discover, request = network.seen
    assert {p[DHCP].options[0][1] for p in network.seen} == {1, 3}
    assert ("requested_addr", "10.0.2.15") in request[DHCP].options
    assert ("server_id", "10.0.2.2") in request[DHCP].options
    assert ("hostname", b"unit") in request[DHCP].options
    assert discover[BOOTP].chaddr[:6] == bytes.fromhex(MAC.replace(":", ""))
    assert discover[BOOTP].xid == request[BOOTP].xid


def test_dhcp_messages_are_as_long_as_old_servers_want(network: Network) -> None:
    dhcp(network.socket, bytes.fromhex(MAC.replace(":", "")))
    assert {len(packet[BOOTP]) for packet in network.seen} == {300}


def test_dhcp_repeats_what_got_lost(network: Network) -> None:
    network.drop = lambda packet: len(network.seen) == 1
    assert dhcp(network.socket, MAC).address == "10.0.2.15"
    assert len(network.seen) == 3


def test_dhcp_without_a_server_says_so(network: Network) -> None:
    network.drop = lambda packet: True
    with pytest.raises(NoAnswer, match="DHCPDISCOVER, sent 1 time"):
        dhcp(network.socket, MAC, timeout=0.1)


def test_dhcp_refused(network: Network) -> None:
    network.dhcp_answers[3] = 6
    with pytest.raises(Refused, match=r"10\.0\.2\.2 refused 10\.0\.2\.15"):
        dhcp(network.socket, MAC)


# --- ARP and ping -------------------------------------------------------------------------------


def test_resolve(network: Network) -> None:
    assert resolve(network.socket, US, "10.0.2.2") == ROUTER_MAC
    with pytest.raises(NoAnswer, match=r"ARP for 10\.0\.2\.77"):
        resolve(network.socket, US, "10.0.2.77", timeout=0.05)


def test_next_hop() -> None:
    assert US.next_hop("10.0.2.9") == "10.0.2.9"
    assert US.next_hop("192.0.2.1") == "10.0.2.2"
    with pytest.raises(ValueError, match="there is no router"):
        Host(MAC, "10.0.2.15").next_hop("192.0.2.1")


def test_ping_a_neighbour(network: Network) -> None:
    replies = list(ping(network.socket, US, "10.0.2.2", count=3, interval=0.01, size=20))
    assert [reply.sequence for reply in replies] == [1, 2, 3]
    assert all(reply.rtt is not None and 0 < reply.rtt < 1 for reply in replies)
    assert {(reply.source, reply.ttl, reply.size) for reply in replies} == {("10.0.2.2", 255, 28)}


def test_ping_goes_through_the_router(network: Network) -> None:
    (reply,) = ping(network.socket, US, "192.0.2.1", count=1)
    assert reply.source == "192.0.2.1"
    assert network.seen[-1].dst == ROUTER_MAC


def test_ping_answers_arp_for_our_address(network: Network) -> None:
    network.asks_arp = True
    list(ping(network.socket, US, "10.0.2.2", count=1))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and network.seen[-1].type != 0x0806:
        time.sleep(0.001)
    answer = network.seen[-1][ARP]
    assert (answer.op, answer.psrc, answer.hwsrc) == (2, "10.0.2.15", MAC)
    assert network.seen[-1].dst == ROUTER_MAC


def test_ping_counts_what_is_lost(network: Network) -> None:
    network.drop = lambda packet: ICMP in packet and packet[ICMP].seq == 2
    replies = list(ping(network.socket, US, "10.0.2.2", count=3, interval=0.0, timeout=0.5))
    assert [reply.error for reply in replies] == ["", "no answer", ""]
    total = PingSummary.of(replies)
    assert (total.sent, total.received) == (3, 2)
    assert total.loss == pytest.approx(1 / 3)


def test_ping_tells_of_icmp_errors(network: Network) -> None:
    network.unreachable = True
    (reply,) = ping(network.socket, US, "10.0.2.2", count=1)
    assert reply == Reply(1, None, "10.0.2.2", error="destination unreachable (code 1)")


def test_summary_of_nothing() -> None:
    assert PingSummary.of([]) == PingSummary(0, 0, 0.0, 0.0, 0.0)
    assert PingSummary.of([]).loss == 0


def test_tap_records_both_directions(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "both.pcapng"
    with Capture(str(file)) as capture:
        socket = tap(network.socket, capture)
        dhcp(socket, MAC)
        list(ping(socket, US, "10.0.2.2", count=1))
    assert capture.count >= 2 + 3 + 2 + 2  # DHCP out, in (one each may be unread), ARP, ICMP
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    columns = ["-T", "fields", "-e", "frame.protocols", "-e", "frame.p2p_dir"]
    output = subprocess.run(
        ["tshark", "-r", str(file), "-Y", "icmp", *columns],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert len(output.splitlines()) == 2


# --- the verbs, on the fake device whose transmitter is wired to its receiver ---------------------


def test_send_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "send", FAKE, "-n", "300", "--size", "60", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sent"], document["bytes"], document["errors"]) == (300, 18000, 0)
    assert 1 <= document["doorbells"] < 300


def test_send_hex_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    frame = "ffffffffffff02000000000188b5"
    assert main(["net", "send", FAKE, "--hex", frame, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == [frame]
    assert main(["net", "send", FAKE, "--hex", frame, "--dry-run"]) == 0
    assert "ff ff ff ff ff ff 02 00  00 00 00 01 88 b5" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["zz", "0102"])
def test_send_refuses_what_is_no_frame(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "send", FAKE, "--hex", text]) == 2
    assert capsys.readouterr().err.startswith("vfio: ")


def test_send_the_frames_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.pcapng"
    with Capture(str(file)) as capture:
        capture.add(bytes(60))
        capture.add(bytes(70))
    assert main(["net", "send", FAKE, "--file", str(file), "-n", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 260


def test_dump_writes_what_was_received(tmp_path: Path) -> None:
    frame = bytes(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / IP(dst="10.0.2.2") / ICMP())
    file = tmp_path / "dump.pcapng"
    shown: list[bytes] = []
    with (
        Capture(str(file)) as capture,
        vfiocore.open(FAKE) as device,
        device.nic(promisc=True) as nic,
    ):
        for _ in range(5):
            nic.send(frame.ljust(60, b"\0"))
        counts = dump(
            nic, show=lambda data, at: shown.append(data), capture=capture, count=5, seconds=5
        )
    assert counts == {"captured": 5, "bytes": 300, "missed": 0, "errors": 0}
    assert len(shown) == capture.count == 5
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    output = subprocess.run(
        ["tshark", "-r", str(file)], check=True, capture_output=True, text=True
    ).stdout
    assert output.count("Echo (ping) request") == 5


def test_dump_of_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.pcapng"
    assert main(["net", "dump", FAKE, "--seconds", "0.05", "-w", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"0 frames captured, 0 missed, written to {file}\n"
    assert main(["net", "dump", FAKE, "--seconds", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["captured"] == 0


def test_ping_by_the_verb(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _wire(monkeypatch, network)
    assert main(["net", "ping", FAKE, "-c", "2", "-i", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ping 10.0.2.2 from 10.0.2.15: 56 bytes of payload"
    assert lines[1].startswith("  1  64 bytes from 10.0.2.2, ttl 255, ")
    assert lines[3].startswith("2 sent, 2 received, 0 % lost; min/avg/max ")


def test_ping_that_nobody_answers_fails(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _wire(monkeypatch, network)
    network.drop = lambda packet: ICMP in packet
    line = ["net", "ping", FAKE, "10.0.2.2", "--source", "10.0.2.15", "-c", "1", "-W", "0.05"]
    assert main([*line, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["received"] == 0
    assert document["replies"][0]["error"] == "no answer"


def test_dhcp_by_the_verb(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _wire(monkeypatch, network)
    assert main(["net", "dhcp", FAKE]) == 0
    assert "lease time  86400 s (24:00:00)" in capsys.readouterr().out
    assert main(["net", "dhcp", FAKE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lease"]["dns"] == ["10.0.2.3", "10.0.2.4"]


def test_dry_runs_open_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "dhcp", "ff:1f.7", "--dry-run"]) == 0
    assert main(["net", "ping", "ff:1f.7", "10.0.2.2", "--dry-run"]) == 0
    assert "send 4 echo requests to 10.0.2.2 with an address by DHCP" in capsys.readouterr().out


def test_without_scapy_the_cure_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["net", "dhcp", FAKE]) == 1
    assert "pip install vfiocore[scapy]" in capsys.readouterr().err


def _wire(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    """Put the scripted network in the place of the socket on the device."""
    from contextlib import contextmanager

    from vfiocore.cli.net import dhcp as dhcp_verb
    from vfiocore.cli.net import ping as ping_verb

    nic = Namespace(mac=MAC, link=Namespace(up=True, speed=1000, full_duplex=True))

    @contextmanager
    def open_socket(args: Namespace) -> Iterator[tuple[Namespace, SuperSocket]]:
        yield nic, network.socket

    monkeypatch.setattr(dhcp_verb, "open_socket", open_socket)
    monkeypatch.setattr(ping_verb, "open_socket", open_socket)
