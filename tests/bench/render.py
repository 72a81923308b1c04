# SPDX-License-Identifier: MIT
"""Figures for the documents; see ci/bench --render.

Reads the lines of ci/bench, keeps the newest of each name in docs/bench.jsonl, and makes of all of
them docs/bench.md, a table, and docs/bench.svg, a picture of the ratios.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"

Row = dict[str, Any]

TITLES = {
    "import": "Start",
    "cli": "Start",
    "mmio": "Registers",
    "iova": "The map of IOVAs",
    "map": "Mapping memory",
    "mapcache": "The map cache",
    "translate": "The map cache",
    "irq": "Interrupts",
    "nvme": "An NVMe disk",
    "ring": "Descriptor rings, in memory",
    "python": "Python",
    "net": "Networks",
    "scapy": "Python",
    "lab": "The lab",
}

INTRODUCTION = """\
<!-- SPDX-License-Identifier: MIT -->
# Figures

Made of `bench.jsonl` by `ci/bench --render`. Each figure was measured in turn with its baseline,
and a ratio is ours to the baseline's: where less is better it should be 1 or below, where more is
better 1 or above. All ran on a virtual machine with two cores and without KVM: what was measured in
a guest was measured on an emulated processor, where only ratios and counts mean something.

![How each ratio lies to 1](bench.svg)
"""


def read(lines: Iterable[str]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for line in lines:
        row = json.loads(line)
        rows[row["name"]] = row
    return rows


def number(value: float) -> str:
    """Three digits, or all of a large number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(row: Row) -> str:
    return number(row["ratio"]) if row["ratio"] >= 0.01 else "< 0.01"


def title(row: Row) -> str:
    return TITLES.get(row["name"].split(".")[0], "Others")


def table(rows: Iterable[Row]) -> str:
    lines = ["| figure | ours | | baseline | its value | ratio |", "|---|--:|---|---|--:|--:|"]
    for row in rows:
        unit = row["unit"] + ("" if row["better"] == "lower" else ", more is better")
        lines.append(
            f"| `{row['name']}` | {number(row['value'])} | {unit} | {row['baseline']} "
            f"| {number(row['baseline_value'])} | {ratio(row)} |"
        )
    return "\n".join(lines) + "\n"


def page(rows: dict[str, Row]) -> str:
    parts = [INTRODUCTION]
    for name, group in groupby(sorted(rows.values(), key=title), title):
        parts.append(f"## {name}\n\n{table(group)}")
    return "\n".join(parts)


def good(row: Row) -> bool:
    """No worse than the baseline, but for what two runs of the same differ by."""
    times: float = row["ratio"]
    return times <= 1.05 if row["better"] == "lower" else times >= 0.95


def draw(rows: dict[str, Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "libvfiocore"  # the same picture for the same figures
    from matplotlib import pyplot

    # As times better than the baseline, so that all point the same way.
    ordered = sorted(rows.values(), key=lambda row: (title(row), row["name"]), reverse=True)
    times = [row["ratio"] if row["better"] == "higher" else 1 / row["ratio"] for row in ordered]
    figure, axes = pyplot.subplots(figsize=(9, 0.22 * len(ordered) + 1), layout="constrained")
    colors = ["tab:blue" if good(row) else "tab:orange" for row in ordered]
    axes.scatter(times, range(len(ordered)), c=colors, s=18, zorder=3)
    axes.hlines(range(len(ordered)), 1, times, colors, linewidth=1)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [row["name"] for row in ordered], fontsize=8)
    axes.set_ylim(-1, len(ordered))
    axes.set_xscale("log")
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("times better than the baseline")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    store = DOCS / "bench.jsonl"
    rows = read(store.read_text().splitlines()) if store.exists() else {}
    rows |= read(sys.stdin)
    store.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    (DOCS / "bench.md").write_text(page(rows))
    draw(rows, DOCS / "bench.svg")


if __name__ == "__main__":
    main()
