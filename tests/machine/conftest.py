# SPDX-License-Identifier: MIT
"""Fixtures of the tests that run on the host and start guests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from machine_helpers import VFIO, Run, Start, environment, finish, inner_pytest


@pytest.fixture
def lab_run() -> Run:
    """``vfio lab run ARGS`` to its end."""

    def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return finish([*VFIO, "lab", "run", *args], env)

    return run


@pytest.fixture
def lab_pytest(tmp_path: Path) -> Run:
    """Pytest with ``--lab intel`` on a file of that text."""

    def run(text: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return finish(inner_pytest(tmp_path, text, args), env)

    return run


@pytest.fixture
def start() -> Start:
    """Start a command in the background."""

    def run(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return run
