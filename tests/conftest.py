# SPDX-License-Identifier: MIT
"""A skip is not a pass: with --no-skips, which ci/test gives, it fails the run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail the run if a test is skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not session.config.getoption("no_skips") or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        names = ", ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"skipped, and --no-skips was given: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
