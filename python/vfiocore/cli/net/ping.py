# SPDX-License-Identifier: MIT
"""``vfio net ping``: ICMP echo."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..output import CliError, paint, print_json
from .dhcp import dry_run
from .session import lease, open_socket

if TYPE_CHECKING:
    from scapy.supersocket import SuperSocket

    from vfiocore import Nic
    from vfiocore.net import Host, PingSummary, Reply


def run(args: argparse.Namespace) -> int:
    if args.dry_run:
        source = f"as {args.source}" if args.source else "with an address by DHCP"
        target = args.address or "its router"
        return dry_run(args, f"send {args.count} echo requests to {target} {source}")
    with open_socket(args) as (nic, socket):
        host = _host(args, nic, socket)
        address = _target(args, host)
        replies = _exchange(args, socket, host, address)
    return _report(args, host, address, replies)


def _host(args: argparse.Namespace, nic: Nic, socket: SuperSocket) -> Host:
    from vfiocore.net import Host

    if not args.source:
        return lease(args, nic, socket)
    address, _, prefix = args.source.partition("/")
    _check_address(address)
    if prefix and not (prefix.isdecimal() and int(prefix) <= 32):
        raise CliError(f"{args.source!r}: the prefix is a number from 0 to 32", status=2)
    return Host(nic.mac, address, int(prefix or 24), args.router)


def _target(args: argparse.Namespace, host: Host) -> str:
    address: str = args.address or host.router
    if not address:
        raise CliError("there is no router to ping", hint="name an ADDRESS")
    _check_address(address)
    try:
        host.next_hop(address)
    except ValueError as error:
        raise CliError(str(error), hint="name one with --router") from None
    return address


def _check_address(text: str) -> None:
    from ipaddress import AddressValueError, IPv4Address

    try:
        IPv4Address(text)
    except AddressValueError:
        raise CliError(f"{text!r} is not an IPv4 address", status=2) from None


def _exchange(
    args: argparse.Namespace, socket: SuperSocket, host: Host, address: str
) -> list[Reply]:
    from vfiocore.net import ping

    replies: list[Reply] = []
    if not args.json:
        print(f"ping {paint(address, 'bold')} from {host.address}: {args.size} bytes of payload")
    answers = ping(
        socket,
        host,
        address,
        count=args.count,
        interval=args.interval,
        timeout=args.wait,
        size=args.size,
    )
    with suppress(KeyboardInterrupt):  # the summary of what was seen is still wanted
        for reply in answers:
            replies.append(reply)
            if not args.json:
                print(_line(reply), flush=True)
    return replies


def _line(reply: Reply) -> str:
    if reply.rtt is None:
        source = f"{reply.source}: " if reply.source else ""
        return paint(f"{reply.sequence:3}  {source}{reply.error}", "yellow")
    return (
        f"{reply.sequence:3}  {reply.size} bytes from {reply.source}, "
        f"ttl {reply.ttl}, {1e3 * reply.rtt:.3f} ms"
    )


def _report(args: argparse.Namespace, host: Host, address: str, replies: list[Reply]) -> int:
    from vfiocore.net import PingSummary

    total = PingSummary.of(replies)
    if args.json:
        print_json(
            {
                "name": args.device,
                "source": host.address,
                "address": address,
                "replies": [asdict(reply) for reply in replies],
                "summary": {**asdict(total), "loss": total.loss},
            }
        )
    else:
        print(_summary(total))
    return 0 if total.received else 1


def _summary(total: PingSummary) -> str:
    text = f"{total.sent} sent, {total.received} received, {100 * total.loss:.0f} % lost"
    if not total.received:
        return paint(text, "red")
    times = (1e3 * value for value in (total.minimum, total.average, total.maximum))
    return f"{text}; min/avg/max {'/'.join(f'{value:.3f}' for value in times)} ms"
