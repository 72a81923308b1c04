# SPDX-License-Identifier: MIT
"""Every public function is in a program that makes calls fail, or in one that shows it makes none.

swept.py libvfiocore.map FOLDER: a program sweeps when it includes sweep.h or arms a failure; what
its comments and strings say does not count.
"""

import re
import sys
from pathlib import Path

NO_CALLS = "no_calls.c"


def code(path: Path) -> str:
    text = path.read_text()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def sweeps(path: Path) -> bool:
    return "sweep.h" in path.read_text() or "sys_fault_arm(" in code(path)


def called(paths: list[Path]) -> set[str]:
    return {name for path in paths for name in re.findall(r"\b(vfc_\w+)\s*\(", code(path))}


def main() -> int:
    public = set(re.findall(r"^\s*(vfc_\w+);", Path(sys.argv[1]).read_text(), flags=re.MULTILINE))
    programs = [path for path in sorted(Path(sys.argv[2]).glob("*.c")) if sweeps(path)]
    missing = sorted(public - called(programs))
    for name in missing:
        print(
            f"{name}: no program makes its calls fail, nor does {NO_CALLS} show that it makes none"
        )
    print(f"{len(public)} functions in {len(programs)} programs")
    return bool(missing or len(public) < 200 or len(programs) < 10)


if __name__ == "__main__":
    sys.exit(main())
