# SPDX-License-Identifier: MIT
"""``pytest --lab``: results come through, and a guest that fails ends the run with a reason."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from machine_helpers import BOUND, Run, Start, inner_pytest, is_gone, qemu_children, wait_for

GOOD = "def test_good(): pass\n"


def test_results_come_through(lab_pytest: Run) -> None:
    done = lab_pytest(GOOD + "def test_bad(): assert 1 == 2\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in done.stdout
    assert "assert 1 == 2" in done.stdout


def test_two_guests_share_the_work(lab_pytest: Run) -> None:
    text = "import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_n(n): pass\n"
    done = lab_pytest(text, "-n", "2")
    assert done.returncode == 0
    assert "8 passed" in done.stdout
    assert "[gw0]" in done.stdout
    assert "[gw1]" in done.stdout


def test_a_panic_fails_its_test_and_the_rest_goes_on(lab_pytest: Run) -> None:
    text = "def test_panic(): open('/proc/sysrq-trigger', 'w').write('c')\n" + GOOD
    done = lab_pytest(text)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in done.stdout
    assert "panicked: sysrq triggered crash" in done.stdout


def test_a_test_that_hangs_is_ended(lab_pytest: Run) -> None:
    text = "import time\ndef test_hang(): time.sleep(1000)\n" + GOOD
    done = lab_pytest(text, "--lab-test-timeout", "15")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    # Longer than 15 s where a boot takes longer than on a quiet machine.
    seconds = re.search(r"test_hang did not end within (\d+) s; guest killed", done.stdout)
    assert seconds is not None, done.stdout
    assert int(seconds[1]) >= 15
    assert "1 failed, 1 passed" in done.stdout


def test_a_crash_of_the_interpreter_is_told(lab_pytest: Run) -> None:
    done = lab_pytest("import os\ndef test_abort(): os.abort()\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "ended with status 134 (signal 6)" in done.stdout


def test_a_kernel_warning_fails_its_test(lab_pytest: Run) -> None:
    line = "open('/dev/kmsg', 'w').write('<4>WARNING: a test says so\\n')"
    mark = "import pytest\n@pytest.mark.kernel_log(allow='says so')\n"
    done = lab_pytest(f"def test_warns(): {line}\n{mark}def test_allowed(): {line}\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in done.stdout
    assert "the kernel complained" in done.stdout


def test_tests_for_other_machines_are_left_out(lab_pytest: Run) -> None:
    text = f"import pytest\n@pytest.mark.machine('none')\ndef test_other(): pass\n{GOOD}"
    done = lab_pytest(text)
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    assert "test_other" not in done.stdout


def test_a_guest_that_cannot_boot_ends_the_run(lab_pytest: Run, tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    fake.chmod(0o755)
    done = lab_pytest(GOOD, VFIOCORE_QEMU=str(fake), VFIOCORE_ACCEL="tcg")
    assert done.returncode == 1
    assert "QEMU ended with status 3" in done.stdout
    assert "no such luck" in done.stdout
    assert "boot 1 of 2 failed" in done.stdout


def test_a_missing_kernel_is_a_usage_error(lab_pytest: Run) -> None:
    done = lab_pytest(GOOD, VFIOCORE_KERNEL="/no/such/file")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "name a bzImage" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_qemu_outlives_pytest(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    text = "import time\ndef test_long(): time.sleep(1000)\n"
    process = start(*inner_pytest(tmp_path, text, ["-n", "2"]))
    wait_for(lambda: len(qemu_children(process.pid)) == 2)
    pids = qemu_children(process.pid)
    process.send_signal(number)
    process.communicate(timeout=BOUND)
    wait_for(lambda: all(is_gone(pid) for pid in pids))
    assert process.returncode != 0
