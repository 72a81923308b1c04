# SPDX-License-Identifier: MIT
"""Whether the code for other architectures has its barriers where they belong.

x86 cannot show a missing barrier, and an emulator does not reorder. So the code is read: a source
file is compiled with marks.h in front, disassembled, and each function followed along all its
branches. ``Rule`` says what must not be reached from where without a barrier in between.

    barriers.py COMPILER-PREFIX ARCHITECTURE      aarch64-linux-gnu- arm64
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTRY, RETURN = "entry", "return"
LOAD, LOAD32, LOAD16 = "mark_ring_load", "mark_ring_load32", "mark_ring_load16"
STORE64, STORE16 = "mark_ring_store64", "mark_ring_store16"
REGISTER_LOAD, REGISTER_STORE = "mark_register_load", "mark_register_store"

# The instruction of each barrier. What is stronger is not right either: it costs.
INSTRUCTIONS = {
    "arm64": {
        "to_device": "dmb oshst",
        "to_memory": "dmb oshst",
        "from_device": "dmb oshld",
        "from_register": "dmb oshld",
        "store_load": "dmb osh",
        "flush_wc": "dsb st",
    },
    "ppc64le": {
        "to_device": "sync",
        "to_memory": "lwsync",
        "from_device": "lwsync",
        "from_register": "sync",
        "store_load": "sync",
        "flush_wc": "sync",
    },
    "riscv64": {
        "to_device": "fence w,ow",
        "to_memory": "fence w,w",
        "from_device": "fence r,r",
        "from_register": "fence ir,ir",
        "store_load": "fence rw,rw",
        "flush_wc": "fence",  # of everything: objdump leaves out what all has
    },
}
SPELLINGS = {"hwsync": "sync", "fence iorw,iorw": "fence"}


@dataclass(frozen=True)
class Rule:
    """From @start, @end is not reached in @function without @barrier in between."""

    source: str
    function: str
    start: str
    end: str
    barrier: str


RING = "tests/cross/ring.c"
E1000E = "libvfiocore/src/nic/intel/e1000e.c"
IGB = "libvfiocore/src/nic/intel/igb.c"
ACCESS = "libvfiocore/src/device/access.c"
MMIO = "libvfiocore/src/device/mmio.c"
VIRTIO = "libvfiocore/src/nic/virtio/virtio.c"

RULES = (
    # The doorbell comes after the descriptors.
    Rule(RING, "kick_done", STORE64, REGISTER_STORE, "to_device"),
    Rule(RING, "kick_done", ENTRY, REGISTER_STORE, "to_device"),
    Rule(RING, "kick_head", ENTRY, REGISTER_STORE, "to_device"),
    Rule(RING, "kick_phase", ENTRY, REGISTER_STORE, "to_device"),
    Rule(RING, "kick_split", LOAD16, REGISTER_STORE, "to_device"),
    Rule(RING, "kick_packed", LOAD32, REGISTER_STORE, "to_device"),
    # So does the index, and the event is read after that.
    Rule(RING, "kick_split", ENTRY, STORE16, "to_memory"),
    Rule(RING, "kick_packed", ENTRY, STORE64, "to_memory"),
    Rule(RING, "kick_split", STORE16, LOAD16, "store_load"),
    Rule(RING, "kick_packed", STORE64, LOAD32, "store_load"),
    # The event is written before the last look; of a register it was read.
    Rule(RING, "arm_split", STORE16, LOAD16, "store_load"),
    Rule(RING, "arm_packed", STORE16, LOAD, "store_load"),
    Rule(RING, "arm_done", ENTRY, LOAD, "from_register"),
    Rule(RING, "arm_head", ENTRY, LOAD32, "from_register"),
    Rule(RING, "arm_phase", ENTRY, LOAD, "from_register"),
    Rule(VIRTIO, "split_rx_arm", STORE16, LOAD16, "store_load"),
    Rule(VIRTIO, "packed_rx_arm", STORE16, LOAD, "store_load"),
    # A status comes before what it covers: the rest of an entry, the buffers.
    Rule(RING, "reap_done", LOAD, RETURN, "from_device"),
    Rule(RING, "reap_head", LOAD, RETURN, "from_device"),
    Rule(RING, "reap_phase", LOAD, LOAD32, "from_device"),
    Rule(RING, "reap_phase", LOAD, RETURN, "from_device"),
    Rule(RING, "reap_split", LOAD16, LOAD32, "from_device"),
    Rule(RING, "reap_split", LOAD32, RETURN, "from_device"),
    Rule(RING, "reap_packed", LOAD, RETURN, "from_device"),
    # A register that was read comes before the look at memory that follows. A checked write may be
    # a doorbell.
    Rule(E1000E, "e1000e_rx_arm", REGISTER_LOAD, RETURN, "from_register"),
    Rule(IGB, "igb_rx_arm", REGISTER_LOAD, RETURN, "from_register"),
    Rule(MMIO, "vfc_mmio_wait32", "wait_for", RETURN, "from_register"),
    Rule(ACCESS, "region_read", "read_region", RETURN, "from_register"),
    Rule(ACCESS, "region_write", ENTRY, "write_region", "to_device"),
    Rule("examples/edu.c", "finish", REGISTER_LOAD, RETURN, "from_register"),
    Rule("examples/edu.c", "copy", ENTRY, RETURN, "to_device"),
)

# Functions stay what they are in the source, except those that it calls inline.
AS_WRITTEN = [
    "-fno-inline-functions",
    "-fno-inline-small-functions",
    "-fno-inline-functions-called-once",
    "-fno-optimize-sibling-calls",
    "-fno-ipa-icf",
    "-fno-ipa-sra",
    "-fno-ipa-cp",
    "-fno-partial-inlining",
]

FUNCTION = re.compile(r"^[0-9a-f]+ <(?!\.L)([\w.]+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*(.*?)\s*$")
RELOCATION = re.compile(r"^\s*[0-9a-f]+: R_\S+\s+([\w.]+)")
TARGET = re.compile(r"\b([0-9a-f]+) <")
CALLED = re.compile(r"<(\w+)>$")

# What ends a function (on POWER also under a condition), goes elsewhere always, or may. Calls come
# back.
CALLS = ("bl", "jal", "jalr")
RETURNS = {
    "arm64": re.compile(r"ret$"),
    "riscv64": re.compile(r"ret$"),
    "ppc64le": re.compile(r"b\w*lr[+-]?$"),
}
JUMPS = re.compile(r"(?:b|j|jr|br|bctr)$")
BRANCHES = re.compile(
    r"(?:b\.\w+|cbn?z|tbn?z|b(?:eq|ne|lt|ge|le|gt|ltu|geu|leu|gtu|dnz|dz|so|ns|un|nu)z?)[+-]?$"
)


@dataclass
class Instruction:
    address: int
    name: str
    operands: str
    symbol: str = ""

    @property
    def text(self) -> str:
        text = f"{self.name} {self.operands}".strip()
        return SPELLINGS.get(text, text)


class Function:
    """The instructions of a function, and where each may go."""

    def __init__(self, arch: str, body: list[Instruction]) -> None:
        self.arch, self.body = arch, body
        self.place = {one.address: i for i, one in enumerate(body)}

    def after(self, i: int) -> Iterator[int | None]:
        """Where control goes from there; None: out of the function."""
        one = self.body[i]
        target = TARGET.search(one.operands)
        if RETURNS[self.arch].match(one.name):
            yield None
            if one.name in ("ret", "blr"):
                return
        elif JUMPS.match(one.name):
            if not target or int(target[1], 16) not in self.place:
                raise SystemExit(f"{one.text}: where does it go?")
            yield self.place[int(target[1], 16)]
            return
        elif BRANCHES.match(one.name) and target:
            yield self.place[int(target[1], 16)]
        if i + 1 < len(self.body):
            yield i + 1

    def places(self, what: str) -> list[int]:
        if what == ENTRY:
            return [-1]
        return [i for i, one in enumerate(self.body) if one.symbol == what]

    def reaches(self, start: int, end: str, barrier: str | None) -> bool:
        """Whether @end can be reached behind @start without passing @barrier."""
        seen: set[int | None] = set()
        todo = [0] if start < 0 else list(self.after(start))
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            if at is None:
                if end == RETURN:
                    return True
            elif self.body[at].symbol == end:
                return True
            elif self.body[at].text != barrier:
                todo.extend(self.after(at))
        return False


def disassemble(prefix: str, arch: str, source: str, without: str) -> dict[str, Function]:
    """The functions of a source file."""
    # Without relaxation, RISC-V's branches have their targets in the instruction.
    extra = ["-mno-relax"] if arch == "riscv64" else []
    with tempfile.NamedTemporaryFile(suffix=".o") as out:
        command = [f"{prefix}gcc", "-std=gnu11", "-O2", *AS_WRITTEN, *extra]
        command += ["-D_GNU_SOURCE", "-Ilibvfiocore/include", "-Ilibvfiocore/src"]
        command += ["-include", "tests/cross/marks.h", f"-DWITHOUT_vfc_{without or 'none'}"]
        subprocess.run([*command, "-c", source, "-o", out.name], check=True, cwd=ROOT)
        dump = [f"{prefix}objdump", "-dr", "--no-show-raw-insn", out.name]
        text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    return parse(arch, text)


def parse(arch: str, text: str) -> dict[str, Function]:
    functions: dict[str, Function] = {}
    body: list[Instruction] = []
    for line in text.splitlines():
        if match := FUNCTION.match(line):
            body = []
            functions[match[1]] = Function(arch, body)
        elif match := RELOCATION.match(line):
            body[-1].symbol = body[-1].symbol or match[1]
        elif match := INSTRUCTION.match(line):
            operands = re.sub(r"\s*(?:#|//).*", "", match[3])
            called = CALLED.search(operands) if match[2] in CALLS else None
            symbol = called[1] if called else ""
            body.append(Instruction(int(match[1], 16), match[2], operands, symbol))
    for function in functions.values():
        function.place = {one.address: i for i, one in enumerate(function.body)}
    return functions


def broken(rule: Rule, function: Function, barrier: str) -> str:
    """What is wrong; "": nothing."""
    starts = function.places(rule.start)
    if not any(function.reaches(start, rule.end, None) for start in starts):
        return f"{rule.start} does not lead to {rule.end}: the test is out of date"
    if any(function.reaches(start, rule.end, barrier) for start in starts):
        return f"from {rule.start} to {rule.end} without {barrier} (vfc_{rule.barrier}())"
    return ""


def check(prefix: str, arch: str, without: str = "") -> list[tuple[Rule, str]]:
    """The rules that are broken, in code that lacks the barrier @without."""
    found = []
    instructions = INSTRUCTIONS[arch]
    for source in dict.fromkeys(rule.source for rule in RULES if without in ("", rule.barrier)):
        functions = disassemble(prefix, arch, source, without)
        for rule in RULES:
            if rule.source == source and without in ("", rule.barrier):
                why = broken(rule, functions[rule.function], instructions[rule.barrier])
                found += [(rule, why)] if why else []
    return found


def check_instructions(prefix: str, arch: str) -> list[str]:
    functions = disassemble(prefix, arch, RING, "")
    return [
        f"vfc_{name}() is not {instruction}"
        for name, instruction in INSTRUCTIONS[arch].items()
        if instruction not in [one.text for one in functions[f"alone_{name}"].body]
    ]


def unseen(prefix: str, arch: str) -> list[str]:
    """Rules that hold in code which lacks their barrier: those prove nothing."""
    wrong = []
    for barrier in dict.fromkeys(rule.barrier for rule in RULES):
        seen = [rule for rule, _ in check(prefix, arch, barrier)]
        wrong += [
            f"{rule.source}: {rule.function}() without vfc_{barrier}() is not seen"
            for rule in RULES
            if rule.barrier == barrier and rule not in seen
        ]
    return wrong


def main() -> int:
    prefix, arch = sys.argv[1:]
    wrong = check_instructions(prefix, arch)
    wrong += [f"{rule.source}: {rule.function}(): {why}" for rule, why in check(prefix, arch)]
    wrong += unseen(prefix, arch)
    print("\n".join(wrong) or f"{len(RULES)} rules hold on {arch}, and none without its barrier")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
