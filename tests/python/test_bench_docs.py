# SPDX-License-Identifier: MIT
"""The documents' figures are those of docs/bench.jsonl, and a measurement puts its own there."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", ROOT / "tests/bench/render.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_of_the_figures(render: ModuleType) -> None:
    rows = render.read((ROOT / "docs/bench.jsonl").read_text().splitlines())
    assert (ROOT / "docs/bench.md").read_text() == render.page(rows)


def test_a_measurement_replaces_its_own_figure_only(
    render: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(name: str, value: float, better: str) -> None:
        row = {"name": name, "value": value, "unit": "ns", "baseline": "by hand",
               "baseline_value": 10.0, "ratio": value / 10, "better": better}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(row) + "\n"))
        render.main()

    monkeypatch.setattr(render, "DOCS", tmp_path)
    measured("ring.one", 20, "lower")
    measured("net.two", 12345, "higher")
    measured("ring.one", 5, "lower")
    page = (tmp_path / "bench.md").read_text()
    assert "| `ring.one` | 5 | ns | by hand | 10 | 0.5 |" in page
    assert "| `net.two` | 12,345 | ns, more is better | by hand | 10 | 1,234 |" in page
    assert page.count("ring.one") == 1
    assert "ring.one" in (tmp_path / "bench.svg").read_text()
