# SPDX-License-Identifier: MIT
"""Virtual functions (VFs) of a network interface, seen from the physical one (PF).

A VF asks its PF's driver for its address and its filters. Where that driver is ours (igb), somebody
must answer, within a second:

>>> sriov.enable(pf.name, 2)
>>> with pf.nic() as nic:
...     thread = threading.Thread(target=nic_vf.serve_forever, args=(nic,))

or a loop of the program's own, with :func:`serve` and :func:`fileno`. With the host's driver as PF
nothing is to be done. Source: vfiocore/nic_vf.h.
"""

from __future__ import annotations

import select
from ctypes import byref

from ._native.call import check, unsigned
from ._native.loader import lib
from ._native.structs import NicVfInfo
from ._octets import format_mac, mac_bytes
from ._record import Record
from .errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .nic import Nic

__all__ = ["VfInfo", "fileno", "info", "serve", "serve_forever", "set_mac"]

# Between two looks of serve_forever(), where it learns that the NIC was closed.
_LOOK_MS = 100


class VfInfo(Record):
    """A VF: whether its driver has reported since its last reset, its address, and how many of its
    messages were granted and refused since the NIC was opened."""

    active: bool
    mac: str
    granted: int
    refused: int


def serve(nic: Nic) -> int:
    """Answer the messages that wait, one of each VF at most. Return: how many.

    Raises:
        Unsupported: the NIC had no VFs when it was opened or reset, or its driver knows of none.
        DeviceBusy: VFs were made or removed since: reset the NIC.

    Source: vfc_nic_vf_serve() in vfiocore/nic_vf.h.
    """
    return check(nic._ask(lib.vfc_nic_vf_serve))


def fileno(nic: Nic) -> int:
    """The eventfd that a VF's message raises; :func:`serve` empties it. Call that once before the
    first wait.

    Source: vfc_nic_vf_fd() in vfiocore/nic_vf.h.
    """
    return check(nic._ask(lib.vfc_nic_vf_fd))


def serve_forever(nic: Nic) -> None:
    """Answer VFs, as their messages come, until the NIC is closed: for a thread of its own.

    Raises:
        As :func:`serve`.
    """
    poll = select.poll()
    try:
        poll.register(fileno(nic), select.POLLIN)
        while True:
            serve(nic)
            poll.poll(_LOOK_MS)
    except ClosedError:
        return


def info(nic: Nic, vf: int) -> VfInfo:
    """What is known of VF number ``vf``, from 0 on.

    Raises:
        OutOfRange: there is no such VF.

    Source: vfc_nic_vf_info() in vfiocore/nic_vf.h.
    """
    native = NicVfInfo.sized()
    check(nic._ask(lib.vfc_nic_vf_info, unsigned(vf, 32, "the function"), byref(native)))
    return VfInfo(
        bool(native.active), format_mac(bytes(native.mac)), native.granted, native.refused
    )


def set_mac(nic: Nic, vf: int, address: str | bytes) -> None:
    """Give a VF its address: from its next reset on, and it cannot choose another.

    Raises:
        OutOfRange: there is no such VF.
        InvalidArgument: it is not unicast, or another function's.

    Source: vfc_nic_vf_set_mac() in vfiocore/nic_vf.h.
    """
    octets = mac_bytes(address)
    check(nic._ask(lib.vfc_nic_vf_set_mac, unsigned(vf, 32, "the function"), octets))
