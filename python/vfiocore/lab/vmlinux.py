# SPDX-License-Identifier: MIT
"""Take the ELF kernel out of a bzImage: QEMU enters it directly (PVH), without inflating it.

Inflating a stock xz kernel takes an emulated CPU three seconds; the host does it once.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zlib
from pathlib import Path

from .host import cache_dir, write_whole
from .kernels import Kernel

_XZ = b"\xfd7zXZ\x00"
_GZIP = b"\x1f\x8b"
# ELF note of CONFIG_PVH: name "Xen", type XEN_ELFNOTE_PHYS32_ENTRY (18).
_PT_NOTE = 4
_PVH_TYPE = struct.pack("<I4s", 18, b"Xen\0")


def extract(kernel: Kernel) -> Path:
    """The cached ELF file, or the image itself if it has no PVH entry or we cannot inflate it."""
    image = kernel.image.read_bytes()
    path = cache_dir() / f"vmlinux-{hashlib.sha256(image).hexdigest()[:16]}"
    if not path.exists():
        elf = _inflate(_payload(image))
        # An empty file remembers that there is nothing to gain.
        write_whole(path, elf if elf and _has_pvh(elf) else b"")
    return path if path.stat().st_size else kernel.image


def _payload(image: bytes) -> bytes:
    """The compressed kernel (kernel: Documentation/arch/x86/boot.rst, payload_offset)."""
    if image[0x202:0x206] != b"HdrS":
        return b""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return image[start : start + length]


def _inflate(payload: bytes) -> bytes:
    """The ELF file; b"" for a format the standard library lacks (lz4, zstd)."""
    if payload.startswith(_XZ):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(_GZIP):
        return zlib.decompressobj(wbits=31).decompress(payload)
    return b""


def _has_pvh(elf: bytes) -> bool:
    if elf[:4] != b"\x7fELF":
        return False
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        kind, _, offset = struct.unpack_from("<IIQ", elf, table + number * size)
        (length,) = struct.unpack_from("<Q", elf, table + number * size + 32)
        if kind == _PT_NOTE and _PVH_TYPE in elf[offset : offset + length]:
            return True
    return False
