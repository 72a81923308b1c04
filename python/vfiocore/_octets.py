# SPDX-License-Identifier: MIT
"""Frames and MAC addresses, in the forms in which users give them, as bytes."""

from __future__ import annotations

from .errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    Frame = bytes | bytearray | memoryview


def format_mac(address: bytes) -> str:
    """``"52:54:00:12:34:56"``."""
    return address.hex(":")


def parse_mac(text: str) -> bytes:
    """Six bytes of ``"52:54:00:12:34:56"``; ``-`` separates as well.

    Raises:
        InvalidArgument: it is no such address.
    """
    try:
        address = bytes.fromhex(text.replace("-", ":").replace(":", " "))
    except ValueError:
        address = b""
    if len(address) != 6:
        raise invalid(f"{text!r} is no MAC address such as 52:54:00:12:34:56")
    return address


def frame_bytes(frame: Frame) -> bytes:
    """A frame, or a Scapy packet, as ``bytes``; of a number, bytes() would make as many zeros."""
    if type(frame) is bytes:
        return frame
    if hasattr(frame, "__bytes__"):
        return bytes(frame)
    return memoryview(frame).tobytes()


def mac_bytes(address: str | bytes) -> bytes:
    """Six bytes of an address in either form.

    Raises:
        InvalidArgument: it is no such address.
    """
    octets = parse_mac(address) if isinstance(address, str) else frame_bytes(address)
    if len(octets) != 6:
        raise invalid(f"a MAC address has 6 bytes, not {len(octets)}")
    return octets
