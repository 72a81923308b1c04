# SPDX-License-Identifier: MIT
"""``vfio net``: what a network interface under VFIO can be tried with."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ..opening import add_token
from ..output import Parser, add_json, at_least, bdf, number

HELP = "use a network interface: DHCP, ping, send, capture, generate, forward, measure"

EPILOG = """\
examples:
  vfio net dhcp 01:00.0
  vfio net ping 01:00.0                     the router that DHCP tells of
  vfio net ping 01:00.0 10.0.2.2 -c 10 --write ping.pcapng
  vfio net send 01:00.0 -n 1000 --size 60
  vfio net dump 01:00.0 -w capture.pcapng --seconds 10
  vfio net generate 01:00.0 --rate 10000 --seconds 10
  vfio net forward 01:00.0 02:00.0
  vfio net bench 01:00.0 02:00.0 --plot bench.png

The device must be bound to VFIO and be one that a driver here knows. What decodes packets or files
needs the package scapy: pip install vfiocore[scapy]
"""

_DHCP = """\
examples:
  vfio net dhcp 01:00.0
  vfio net dhcp 01:00.0 --json | jq -r .lease.address
  vfio net dhcp 01:00.0 --write dhcp.pcapng
"""

_PING = """\
examples:
  vfio net ping 01:00.0                               the router of the lease
  vfio net ping 01:00.0 10.0.2.2 -c 10 -i 0.2
  vfio net ping 01:00.0 192.168.1.1 --source 192.168.1.50/24

exit status: 0 when anything was answered, 1 when nothing was
"""

_SEND = """\
examples:
  vfio net send 01:00.0 -n 1000 --size 60             test frames to everybody
  vfio net send 01:00.0 --hex ffffffffffff02000000000188b5
  vfio net send 01:00.0 --file frames.pcapng
"""

_DUMP = """\
examples:
  vfio net dump 01:00.0
  vfio net dump 01:00.0 -c 100 -w capture.pcapng
  vfio net dump 01:00.0 -q -w capture.pcapng --seconds 60

Ctrl-C ends the capture and shows the counts.
"""

_GENERATE = """\
examples:
  vfio net generate 01:00.0 --seconds 10              as fast as it goes
  vfio net generate 01:00.0 -n 100000 --rate 10000 --size 1514
  vfio net generate 01:00.0 -n 10 --dst 52:54:00:76:66:01

Ctrl-C ends it and shows the counts.
"""

_FORWARD = """\
examples:
  vfio net forward 01:00.0 02:00.0                    until Ctrl-C
  vfio net forward 01:00.0 02:00.0 --seconds 60 --json
  vfio net forward 01:00.0 02:00.0 --mtu 9000 --spin 0.001

Both ways, every frame, without copying it. Where both are on one network a frame goes in circles.
"""

_BENCH = """\
examples:
  vfio net bench 01:00.0 02:00.0
  vfio net bench 01:00.0 02:00.0 --seconds 10 --size 1514 --json
  vfio net bench 01:00.0 02:00.0 --plot bench.png     needs matplotlib: pip install vfiocore[plot]

The two are joined, by a cable or a switch. Each way in turn: first as many frames as the receiver
takes, then one at a time for the latency. exit status: 1 when nothing arrived
"""


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="net_verb", required=True, metavar="dhcp|ping|send|dump|...")
    _configure_dhcp(_add(verbs, "dhcp", "obtain an address by DHCP", _DHCP))
    ping = _add(verbs, "ping", "send ICMP echo requests", _PING)
    ping.intermixed = True
    _configure_ping(ping)
    _configure_send(_add(verbs, "send", "send frames", _SEND))
    _configure_dump(_add(verbs, "dump", "show and save received frames", _DUMP))
    _configure_generate(_add(verbs, "generate", "send test frames at a rate", _GENERATE))
    _configure_forward(_add(verbs, "forward", "pass frames between two interfaces", _FORWARD))
    _configure_bench(_add(verbs, "bench", "measure rates, loss and latency", _BENCH))


def run(args: argparse.Namespace) -> int:
    status: int = importlib.import_module(f".{args.net_verb}", __name__).run(args)
    return status


def _add(verbs: Any, name: str, text: str, epilog: str) -> Parser:
    parser: Parser = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("device", type=bdf, metavar="BDF", help="the device's PCI address")
    parser.add_argument(
        "--link-timeout",
        type=at_least(0),
        default=10.0,
        metavar="S",
        help="wait so long for the link, default: %(default)g seconds",
    )
    parser.add_argument(
        "--mtu",
        type=at_least(68, int),
        default=0,
        metavar="N",
        help="bytes behind the header that a frame may have, default: 1500",
    )
    add_token(parser)
    return parser


def _add_spin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spin",
        type=at_least(0),
        default=0.0,
        metavar="S",
        help="look so long for a frame before sleeping until an interrupt, default: %(default)g "
        "seconds, at most 1",
    )


def _add_exchange(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-t",
        "--timeout",
        type=at_least(0),
        default=15.0,
        metavar="S",
        help="wait so long for DHCP, default: %(default)g seconds",
    )
    parser.add_argument("--write", metavar="FILE", help="save both directions as pcapng")
    parser.add_argument("--dry-run", action="store_true", help="do not open the device")
    add_json(parser)


def _configure_dhcp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hostname", default="", metavar="NAME", help="tell the server this name")
    _add_exchange(parser)


def _configure_ping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address", nargs="?", metavar="ADDRESS", help="default: the router that DHCP tells of"
    )
    parser.add_argument(
        "-c", "--count", type=at_least(1, int), default=4, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=at_least(0),
        default=1.0,
        metavar="S",
        help="seconds between requests, default: %(default)g",
    )
    parser.add_argument(
        "-W",
        "--wait",
        type=at_least(0),
        default=1.0,
        metavar="S",
        help="seconds to wait for each reply, default: %(default)g",
    )
    parser.add_argument(
        "-s", "--size", type=number, default=56, metavar="N", help="bytes of payload"
    )
    parser.add_argument(
        "--source",
        metavar="ADDRESS[/PREFIX]",
        help="our address (prefix 24 by default), instead of one by DHCP",
    )
    parser.add_argument("--router", default="", metavar="ADDRESS", help="with --source")
    _add_exchange(parser)


def _configure_send(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hex", metavar="BYTES", help="the frame in hexadecimal")
    what.add_argument("--file", metavar="FILE", help="a pcap or pcapng file, or one raw frame")
    what.add_argument(
        "--size",
        type=at_least(14, int),
        default=60,
        metavar="N",
        help="bytes of a test frame (EtherType 0x88b5, to everybody), default: %(default)s",
    )
    parser.add_argument(
        "-n",
        "--count",
        type=at_least(1, int),
        default=1,
        metavar="N",
        help="send it so many times, default: %(default)s",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the frames, send nothing")
    add_json(parser)


def _configure_dump(parser: argparse.ArgumentParser) -> None:
    _add_spin(parser)
    parser.add_argument(
        "-c", "--count", type=at_least(1, int), metavar="N", help="stop after so many frames"
    )
    parser.add_argument(
        "--seconds", type=at_least(0), metavar="S", help="stop after so many seconds"
    )
    parser.add_argument("-w", "--write", metavar="FILE", help="save the frames as pcapng")
    parser.add_argument("-q", "--quiet", action="store_true", help="no line for each frame")
    parser.add_argument(
        "-p", "--no-promisc", action="store_true", help="only frames for this interface"
    )
    add_json(parser)


def _add_end(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--count", type=at_least(1, int), metavar="N", help="stop after so many frames"
    )
    parser.add_argument(
        "--seconds", type=at_least(0), metavar="S", help="stop after so many seconds"
    )


def _add_peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", type=bdf, metavar="BDF1", help="the other device's PCI address")


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        type=at_least(60, int),
        default=60,
        metavar="N",
        help="bytes of a frame without FCS, default: %(default)s",
    )


def _configure_generate(parser: argparse.ArgumentParser) -> None:
    _add_size(parser)
    parser.add_argument(
        "--rate", type=at_least(1), metavar="N", help="frames a second; default: all that fit"
    )
    parser.add_argument(
        "--dst", default="ff:ff:ff:ff:ff:ff", metavar="MAC", help="to whom, default: everybody"
    )
    _add_end(parser)
    add_json(parser)


def _configure_forward(parser: argparse.ArgumentParser) -> None:
    _add_spin(parser)
    _add_peer(parser)
    _add_end(parser)
    add_json(parser)


def _configure_bench(parser: argparse.ArgumentParser) -> None:
    _add_peer(parser)
    _add_size(parser)
    parser.add_argument(
        "--seconds",
        type=at_least(0),
        default=2.0,
        metavar="S",
        help="of full rate each way, default: %(default)g",
    )
    parser.add_argument(
        "--samples",
        type=at_least(1, int),
        default=1000,
        metavar="N",
        help="single frames for the latency each way, default: %(default)s",
    )
    parser.add_argument("--plot", metavar="FILE", help="a picture of it: .png, .svg, .pdf")
    add_json(parser)
