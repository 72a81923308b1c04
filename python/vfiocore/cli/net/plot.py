# SPDX-License-Identifier: MIT
"""A picture of ``vfio net bench``."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from ..output import CliError

if TYPE_CHECKING:
    from .bench import Result

_COLOURS = ("#2f6fb0", "#d9822b")


def require_matplotlib() -> None:
    """Raises a clear error when it is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise CliError("--plot needs the package matplotlib", hint="pip install vfiocore[plot]")


def save(path: str, results: list[Result]) -> None:
    """Rates beside the latencies' histogram, each way in a colour of its own."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(11, 4.5), layout="constrained")
    rates, latencies = figure.subplots(1, 2, width_ratios=(1, 2))
    _draw_rates(rates, results)
    for result, colour in zip(results, _COLOURS, strict=False):
        _draw_latency(latencies, result, colour)
    latencies.set(
        xscale="log", xlabel="latency of a single frame, µs", ylabel="frames", title="Latency"
    )
    latencies.grid(alpha=0.3, which="both", axis="x")
    if any(result.latency.values for result in results):
        latencies.legend(frameon=False)
    figure.suptitle(f"vfio net bench: frames of {results[0].size} bytes")
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:  # an ending that names no format
        raise CliError(
            f"{path}: {str(error).split(' (')[0]}", hint="end it with .png, .svg or .pdf", status=2
        ) from None


def _draw_rates(axes: Any, results: list[Result]) -> None:
    names = [f"{_short(result.source)}\n→ {_short(result.target)}" for result in results]
    values = [result.rate / 1e3 for result in results]
    bars = axes.bar(range(len(results)), values, color=_COLOURS, width=0.6)
    axes.set_xticks(range(len(results)), names)
    lost = [f"{result.rate / 1e3:,.1f}\n{result.lost} lost" for result in results]
    axes.bar_label(bars, lost, padding=3)
    axes.margins(y=0.2)
    axes.set(ylabel="thousand frames a second", title="Rate")


def _short(name: str) -> str:
    return name.removeprefix("0000:")


def _draw_latency(axes: Any, result: Result, colour: str) -> None:
    buckets = result.latency.buckets()
    if not buckets:
        return
    edges = [low for low, _, _ in buckets] + [buckets[-1][1]]
    label = (
        f"{_short(result.source)} → {_short(result.target)}: "
        f"median {result.latency.quantile(0.5):.0f} µs, 99 % {result.latency.quantile(0.99):.0f} µs"
    )
    counts = [count for *_, count in buckets]
    axes.stairs(counts, edges, fill=True, alpha=0.35, color=colour)
    axes.stairs(counts, edges, color=colour, label=label, linewidth=1.5)
