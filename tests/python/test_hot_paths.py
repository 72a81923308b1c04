# SPDX-License-Identifier: MIT
"""What a burst is made of, in the machine code: docs/design.md tells why memcpy() is not in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

FUNCTION = re.compile(r"^[0-9a-f]+ <(\w*(?:burst|clean|refill)\w*)>:\n((?:.+\n)+)", re.M)
COPIES = re.compile(r"<mem(?:cpy|set|move)[^>]*>")


def test_no_burst_calls_the_c_librarys_copy(root: Path) -> None:
    library = root / "build" / "libvfiocore" / "libvfiocore.so.0"
    words = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
    code = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout
    functions = {found[1]: found[2] for found in FUNCTION.finditer(code)}
    assert {"vfc_nic_rx_burst", "vfc_nic_tx_burst", "igb_tx_clean", "split_rx_refill"} <= set(
        functions
    )
    assert not [name for name, body in functions.items() if COPIES.search(body)]
