# SPDX-License-Identifier: MIT
"""``vfio net dhcp``: obtain an address."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..output import paint, print_fields, print_json
from .session import lease, open_socket

if TYPE_CHECKING:
    from vfiocore import Nic
    from vfiocore.net import Lease


def run(args: argparse.Namespace) -> int:
    if args.dry_run:
        return dry_run(args, "send DHCPDISCOVER and DHCPREQUEST and show the lease")
    with open_socket(args) as (nic, socket):
        started = time.monotonic()
        given = lease(args, nic, socket)
        took = time.monotonic() - started
        link = link_json(nic)
    if args.json:
        print_json({"name": args.device, "link": link, "lease": asdict(given), "seconds": took})
        return 0
    print(f"{args.device}: leased {paint(given.address, 'bold')} in {1e3 * took:.0f} ms")
    print_fields(_fields(given, link))
    return 0


def dry_run(args: argparse.Namespace, action: str) -> int:
    """Say what would be done."""
    if args.json:
        print_json({"name": args.device, "dry_run": True, "action": action})
    else:
        print(f"would open {args.device}, wait for its link, {action}")
    return 0


def link_json(nic: Nic) -> dict[str, Any]:
    """The state of the link."""
    link = nic.link
    return {"up": bool(link.up), "speed": link.speed, "full_duplex": bool(link.full_duplex)}


def _fields(lease: Lease, link: dict[str, Any]) -> list[tuple[str, str]]:
    none = paint("none", "dim")
    duplex = "full" if link["full_duplex"] else "half"
    pairs = [
        ("address", f"{lease.address}/{lease.prefix}"),
        ("router", lease.router or none),
        ("DNS", " ".join(lease.dns) or none),
        ("server", lease.server),
        ("lease time", _duration(lease.seconds)),
        ("MAC", lease.mac),
        ("link", f"{link['speed']} Mbit/s, {duplex} duplex"),
    ]
    if lease.domain:
        pairs.insert(3, ("domain", lease.domain))
    return pairs


def _duration(seconds: int) -> str:
    if seconds >= 0xFFFFFFFF:  # RFC 2131 section 3.3
        return "for ever"
    hours, rest = divmod(seconds, 3600)
    return f"{seconds} s ({hours}:{rest // 60:02}:{rest % 60:02})"
