# SPDX-License-Identifier: MIT
"""``vfio events``: what happens to devices, a line each."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

from .opening import add_token, open_each
from .output import CliError, add_json, at_least, bdf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vfiocore import Event, Events

HELP = "show devices come and go, errors, requests and sleep, as it happens"

EPILOG = """\
examples:
  vfio events                          all PCI devices, until Ctrl-C
  vfio events 01:00.0 02:00.0          these, and what is about none (the system's sleep)
  vfio events 01:00.0 --watch          its errors, too, and the host's requests for it
  vfio events --count 1 --timeout 60   the next event; exit status 1 if there is none in a minute
  vfio events --json | jq .kind        one JSON object a line

--watch opens the devices, which nobody else may have open, and gives one back when the host wants
it (an unbind, an unplug). The number in front is seconds since boot, as in the kernel's log.
"""

INTERMIXED = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("devices", nargs="*", type=bdf, metavar="BDF", help="only of these devices")
    parser.add_argument("--watch", action="store_true", help="open the devices, for errors, too")
    parser.add_argument(
        "-n", "--count", type=at_least(1, int), metavar="N", help="end after N events"
    )
    parser.add_argument(
        "-t", "--timeout", type=at_least(0), metavar="S", help="end after S seconds"
    )
    add_token(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    import vfiocore

    if args.watch and not args.devices:
        raise CliError("--watch opens devices: name them", status=2)
    shown = 0
    with ExitStack() as stack:
        devices = [
            stack.enter_context(open_each(args, name)) for name in args.devices if args.watch
        ]
        stream = stack.enter_context(vfiocore.events())
        for device in devices:
            stream.watch(device, release=True)
        for event in _until(stream, args.timeout):
            if args.devices and event.name and event.name not in args.devices:
                continue
            _show(event, args.json)
            shown += 1
            if shown == args.count:
                return 0
    return 1 if args.count else 0


def _until(stream: Events, timeout: float | None) -> Iterator[Event]:
    from vfiocore import WaitTimeout

    end = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            event = stream.wait(None if end is None else max(end - time.monotonic(), 0))
        except WaitTimeout:
            return
        yield event


def _show(event: Event, as_json: bool) -> None:
    # At once, each: somebody may be reading a pipe.
    if not as_json:
        print(f"[{event.time / 1e9:12.6f}] {event}", flush=True)
        return
    import json

    document = {**event.as_dict(), "kind": event.kind.name.lower()}
    print(json.dumps(document, ensure_ascii=False), flush=True)
