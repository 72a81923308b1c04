# SPDX-License-Identifier: MIT
"""``vfio net send``: frames out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..output import CliError, hex_rows, plural, print_json
from .session import experiment, open_nic, progress, require_scapy

if TYPE_CHECKING:
    from vfiocore import Nic

_PCAP_MAGIC = (
    bytes.fromhex("d4c3b2a1"),
    bytes.fromhex("a1b2c3d4"),
    bytes.fromhex("4d3cb2a1"),
    bytes.fromhex("a1b23c4d"),
    bytes.fromhex("0a0d0d0a"),
)
_LOCAL_MAC = bytes.fromhex("020000000001")
_ETHERNET_HEADER = 14
_SHOWN = 8
_BURST = 64
_DRAIN_SECONDS = 5.0


def run(args: argparse.Namespace) -> int:
    frames = _frames(args)
    if args.dry_run:
        return _show(args, frames)
    with open_nic(args) as nic:
        if not (args.hex or args.file):
            frames = [experiment(args.size, nic.mac_bytes)]
        started = time.monotonic()
        sent = _send(nic, frames, args.count)
        took = time.monotonic() - started
        errors = nic.stats.tx_errors
    _report(args, sent, took, errors)
    return 1 if errors else 0


def _frames(args: argparse.Namespace) -> list[bytes]:
    if args.hex:
        frames = [_from_hex(args.hex)]
    elif args.file:
        frames = _from_file(Path(args.file))
    else:
        frames = [experiment(args.size, _LOCAL_MAC)]
    short = next((frame for frame in frames if len(frame) < _ETHERNET_HEADER), None)
    if short is not None or not frames:
        what = f"a frame of {plural(len(short), 'byte')}" if short is not None else "no frame"
        raise CliError(f"there is {what}: an Ethernet header has 14", status=2)
    return frames


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise CliError("--hex takes pairs of hexadecimal digits", status=2) from None


def _from_file(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data[:4] not in _PCAP_MAGIC:
        return [data]
    require_scapy()
    from scapy.utils import RawPcapReader

    with RawPcapReader(str(path)) as reader:
        return [bytes(data) for data, _ in reader]


def _send(nic: Nic, frames: list[bytes], count: int) -> dict[str, int]:
    """Send all, and wait until the device has taken them from memory."""
    total, size = len(frames) * count, sum(map(len, frames)) * count
    doorbells, done = nic.stats.tx_doorbells, 0
    while done < total:
        burst = [frames[i % len(frames)] for i in range(done, min(done + _BURST, total))]
        sent = nic.send_many(burst)
        if not sent:  # the ring is full
            nic.drain(_DRAIN_SECONDS)
        done += sent
        progress(f"{done} of {total} frames")
    nic.drain(_DRAIN_SECONDS)
    progress("")
    return {"frames": total, "bytes": size, "doorbells": nic.stats.tx_doorbells - doorbells}


def _show(args: argparse.Namespace, frames: list[bytes]) -> int:
    total = len(frames) * args.count
    if args.json:
        listed = [frame.hex() for frame in frames]
        print_json({"name": args.device, "dry_run": True, "sent": total, "frames": listed})
        return 0
    print(f"would send {plural(total, 'frame')} through {args.device}")
    for frame in frames[:_SHOWN]:
        print(f"{len(frame)} bytes")
        for row in hex_rows(frame):
            print(f"  {row}")
    if len(frames) > _SHOWN:
        print(f"and {len(frames) - _SHOWN} more")
    return 0


def _report(args: argparse.Namespace, sent: dict[str, int], took: float, errors: int) -> None:
    if args.json:
        print_json(
            {
                "name": args.device,
                "dry_run": False,
                "sent": sent["frames"],
                "bytes": sent["bytes"],
                "doorbells": sent["doorbells"],
                "errors": errors,
                "seconds": took,
            }
        )
        return
    rate = f"{sent['frames'] / took:,.0f} frames/s" if took else ""
    print(
        f"{args.device}: {plural(sent['frames'], 'frame')}, {sent['bytes']} bytes "
        f"in {1e3 * took:.1f} ms, {rate}"
    )
    if errors:
        print(f"{plural(errors, 'frame')} could not be sent")
