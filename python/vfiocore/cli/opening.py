# SPDX-License-Identifier: MIT
"""How the verbs open devices: with the token that guards virtual functions, where it was given."""

from __future__ import annotations

import argparse

from .output import is_fake, is_pci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from uuid import UUID

    from vfiocore import Device, Iommu

__all__ = ["add_token", "open_device", "open_each", "token"]


def token(text: str) -> UUID:
    """An argument's type."""
    from uuid import UUID

    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no UUID; one looks like 2ab74924-c335-45f4-9b16-8569e5b08258"
        ) from None


def add_token(parser: argparse.ArgumentParser) -> None:
    """The option of every verb that opens a device."""
    parser.add_argument(
        "--vf-token",
        metavar="UUID",
        type=token,
        help="what opens a virtual function whose physical one is bound to vfio-pci, and that one "
        "while they are open; see `vfio sriov`",
    )


def open_device(args: argparse.Namespace) -> Device:
    """The verb's one device."""
    import vfiocore

    return vfiocore.open(args.device, vf_token=args.vf_token)


def open_each(args: argparse.Namespace, name: str, iommu: Iommu | None = None) -> Device:
    """One of a verb's devices: the token is for those that are, or can have, virtual functions."""
    import vfiocore

    guarded = args.vf_token is not None and _guarded(name)
    return vfiocore.open(name, iommu=iommu, vf_token=args.vf_token if guarded else None)


def _guarded(name: str) -> bool:
    from vfiocore import pci

    if is_fake(name) or not is_pci(name):
        return is_fake(name)
    info = pci.info(name)
    return bool(info.physfn or info.sriov_total)
