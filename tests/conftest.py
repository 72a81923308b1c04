# SPDX-License-Identifier: MIT
"""A skip is not a pass: with --no-skips, which ci/test gives, it fails the run.

And for tests in guests, a user who is not root.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

# A shell starts what it puts in the background with SIGINT ignored, which programs inherit: those
# which tests interrupt would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def ordinary_user() -> int:
    """The id of a user who may read this interpreter and the project, wherever they are.

    Both may lie in a home that only its owner enters; a guest's copy of it is our own to open.
    """
    for path in (Path(sys.base_prefix), Path(sys.prefix), Path(__file__)):
        for folder in path.resolve().parents:
            folder.chmod(folder.stat().st_mode | 0o555)
    return 4242
