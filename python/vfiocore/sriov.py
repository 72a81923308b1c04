# SPDX-License-Identifier: MIT
"""Virtual functions (VFs) of a physical one (PF): made, removed, and guarded by a token.

>>> with vfiocore.open("0000:01:00.0") as pf:
...     vfiocore.sriov.set_token(pf, token := uuid.uuid4())
...     first, second = vfiocore.sriov.enable(pf.name, 2)
...     with vfiocore.open(first, vf_token=token) as vf:
...         ...

Source: vfiocore/sriov.h.
"""

from __future__ import annotations

from ctypes import byref

from ._native.call import check, encoded, native, unsigned
from ._native.loader import lib
from ._native.structs import PciBindOpts
from ._token import token_bytes
from .pci import _names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from uuid import UUID

    from .device import Device

__all__ = ["disable", "enable", "functions", "set_token"]


def enable(name: str, count: int, *, uid: int = -1, gid: int = -1) -> list[str]:
    """Make virtual functions and bind them to vfio-pci. Needs root. Return: their names.

    Args:
        name: the PF, bound to vfio-pci (whose parameter ``enable_sriov`` is on) or to a host driver
            that can do it; it may be open.
        count: at least 1, at most ``pci.info(name).sriov_total``. It has as many already: fine.
        uid, gid: give the VFs' nodes to this user and group; -1: leave them.

    Raises:
        Unsupported: no SR-IOV, or the driver does not do it.
        OutOfRange: ``count``.
        DeviceBusy: it has another number of them.
        PermissionDenied: not root.

    On failure none were made. Source: vfc_sriov_enable() in vfiocore/sriov.h.
    """
    opts = PciBindOpts.sized(uid=uid, gid=gid)
    text = encoded(name, "a device's name")
    check(lib.vfc_sriov_enable(text, unsigned(count, 32, "the count"), byref(opts)))
    return functions(name)


def disable(name: str) -> None:
    """Remove all virtual functions of a physical one; there are none: fine. Needs root.

    Raises:
        DeviceBusy: some are open; the message names them.
        PermissionDenied: not root.

    Source: vfc_sriov_disable() in vfiocore/sriov.h.
    """
    check(lib.vfc_sriov_disable(encoded(name, "a device's name")))


def functions(name: str) -> list[str]:
    """The names of the virtual functions that a physical one has, in their order.

    Raises:
        NoDevice: there is no such device.

    Source: vfc_sriov_functions() in vfiocore/sriov.h.
    """
    text = encoded(name, "a device's name")
    return _names(lambda room, count: lib.vfc_sriov_functions(text, room, count))


def set_token(device: Device, token: UUID | str) -> None:
    """Set the token that opens the virtual functions of an open physical one: ``vf_token=``.

    It may be set again at any time; it stays until the PF leaves vfio-pci. Before the first time it
    is one that nobody knows.

    Raises:
        Unsupported: the device is no PF.

    Source: vfc_sriov_set_token() in vfiocore/sriov.h.
    """
    from .device import Device

    check(lib.vfc_sriov_set_token(native(device, Device, "device"), token_bytes(token)))
