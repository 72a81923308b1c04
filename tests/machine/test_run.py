# SPDX-License-Identifier: MIT
"""``vfio lab run``: exit status, streams, and every way in which a guest can fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine_helpers import BOUND, VFIO, Run, Start, is_gone, qemu_children, wait_for

from vfiocore.lab import GuestError, guest, kernels, machines, qemu
from vfiocore.lab.script import for_command

GUEST_FAILED = 255


def test_status_is_the_commands_own(lab_run: Run) -> None:
    assert lab_run("--", "sh", "-c", "exit 7").returncode == 7


def test_status_of_a_killed_command(lab_run: Run) -> None:
    assert lab_run("--", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_status_of_a_command_that_does_not_exist(lab_run: Run) -> None:
    done = lab_run("--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_streams_arrive_apart_and_nothing_else(lab_run: Run) -> None:
    done = lab_run("--", "sh", "-c", "echo out; echo err > /dev/stderr")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_binary_output_is_not_touched(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    file = tmp_path / "data"
    file.write_bytes(data)
    command = [*VFIO, "lab", "run", "--", "cat", str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=BOUND, check=True)
    assert done.stdout == data


def test_output_streams_while_the_command_runs(start: Start) -> None:
    process = start(*VFIO, "lab", "run", "--", "sh", "-c", "echo first; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    process.kill()
    process.communicate(timeout=BOUND)


def test_runs_here_as_root(lab_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = lab_run("--", "sh", "-c", "pwd; id -u; cat /sys/kernel/iommu_groups/0/type")
    assert done.stdout.split("\n")[:2] == [str(tmp_path), "0"]


def test_programs_are_the_hosts(lab_run: Run) -> None:
    done = lab_run("--", "sh", "-c", "readlink -f /proc/$$/exe")
    shell = shutil.which("sh")
    assert shell is not None
    assert done.stdout.strip() == str(Path(shell).resolve())


def test_the_command_itself_is_found(lab_run: Run) -> None:
    """Whoever runs .venv/bin/vfio need not have its folder on the PATH."""
    assert Path(sys.executable).with_name("vfio").exists(), "vfiocore is not installed here"
    done = lab_run("--", "vfio", "--version", PATH=os.defpath)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("vfio")


def test_where_figures_are_compared_nothing_uses_avx(lab_run: Run) -> None:
    done = lab_run("--machine", "compare", "--", "grep", "-m", "1", "flags", "/proc/cpuinfo")
    flags = done.stdout.split()
    assert "sse4_2" in flags
    assert not {"avx", "avx2", "fma", "f16c", "vaes", "vpclmulqdq"} & set(flags)


def test_only_a_share_is_written_through(lab_run: Run, tmp_path: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    private.mkdir()
    script = f"echo a > {shared}/file; echo b > {private}/file; cat {private}/file"
    done = lab_run("--share", str(shared), "--", "sh", "-c", script)
    assert done.stdout == "b\n"
    assert (shared / "file").read_text() == "a\n"
    assert list(private.iterdir()) == []


def test_dry_run_prints_qemus_command_line(lab_run: Run) -> None:
    done = lab_run("--machine", "none", "--dry-run", "--", "true")
    assert done.returncode == 0
    assert "-kernel" in done.stdout
    assert "intel-iommu" not in done.stdout


@pytest.mark.parametrize(
    ("known", "expected"), [("x-scalable-mode", "x-scalable-mode=on"), ("", ",scalable-mode=on")]
)
def test_scalable_mode_by_the_name_that_qemu_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, expected: str
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(f"#!/bin/sh\necho 'intel-iommu options:'\necho '  {known}=<bool>'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("VFIOCORE_ACCEL", "tcg")
    monkeypatch.setenv("VFIOCORE_QEMU", str(fake))
    command = " ".join(qemu.dry_run(qemu.plan(machines.find("scalable"))))
    assert expected in command


def test_trace_names_register_accesses(lab_run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    done = lab_run("--machine", "width", "--trace", str(trace), "--", "true")
    assert done.returncode == 0
    assert "memory_region_ops_write" in trace.read_text()


def test_a_panic_is_told(lab_run: Run) -> None:
    done = lab_run("--", "sh", "-c", "echo before; sleep 1; echo c > /proc/sysrq-trigger")
    assert done.returncode == GUEST_FAILED
    assert done.stdout == "before\n"
    assert "panicked: sysrq triggered crash" in done.stderr
    assert "Call Trace" in done.stderr


def test_the_time_limit_ends_the_guest(lab_run: Run) -> None:
    done = lab_run("--timeout", "2", "--", "sleep", "1000")
    assert done.returncode == GUEST_FAILED
    assert "did not end within 2 s" in done.stderr


def test_the_death_of_qemu_is_told(start: Start) -> None:
    process = start(*VFIO, "lab", "run", "--", "sh", "-c", "echo up; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    for pid in qemu_children(process.pid):
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=BOUND)
    assert process.returncode == GUEST_FAILED
    assert b"QEMU was killed by signal 9" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_qemu_outlives_its_runner(start: Start, number: signal.Signals) -> None:
    process = start(*VFIO, "lab", "run", "--", "sleep", "1000")
    wait_for(lambda: bool(qemu_children(process.pid)))
    (pid,) = qemu_children(process.pid)
    process.send_signal(number)
    process.communicate(timeout=BOUND)
    wait_for(lambda: is_gone(pid))
    assert process.returncode != 0


def test_a_guest_that_stops_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "HANG_SECONDS", 8.0)
    plan = qemu.plan(machines.find("intel"))
    script = for_command(plan, ["sleep", "1000"], Path.cwd(), "token")
    with guest.boot(plan, script) as booted:
        os.kill(booted.vm.process.pid, signal.SIGSTOP)
        with pytest.raises(GuestError, match="hangs: no sign of life"):
            _watch(booted)


def _watch(booted: guest.Guest) -> None:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        booted.receive(1.0)
        booted.check_alive()


def test_a_boot_that_hangs_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\nexec sleep 1000\n")
    fake.chmod(0o755)
    monkeypatch.setenv("VFIOCORE_ACCEL", "tcg")
    monkeypatch.setenv("VFIOCORE_QEMU", str(fake))
    reports: list[str] = []
    plan = qemu.plan(machines.find("intel"))
    with pytest.raises(GuestError, match=r"did not boot within 1 s \(2 attempts\)"):
        guest.boot(plan, "", 1.0, report=reports.append)
    assert len(reports) == 1


def test_a_kernel_that_lacks_the_drivers_is_told(lab_run: Run, tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    shutil.copy(kernels.find().image, image)
    done = lab_run("--", "true", VFIOCORE_KERNEL=str(image), VFIOCORE_ACCEL="tcg")
    assert done.returncode == GUEST_FAILED
    assert "trying again" in done.stderr
    assert "init: cannot mount" in done.stderr


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("VFIOCORE_KERNEL", "name a bzImage"), ("VFIOCORE_QEMU", "name a QEMU")],
)
def test_a_missing_part_is_named(lab_run: Run, variable: str, hint: str) -> None:
    done = lab_run("--", "true", VFIOCORE_ACCEL="tcg", **{variable: "/no/such/file"})
    assert done.returncode == 1
    assert "/no/such/file" in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_machine_is_refused(lab_run: Run) -> None:
    done = lab_run("--machine", "nonsense", "--", "true")
    assert done.returncode == 2
    assert "choose from 'intel'" in done.stderr


def test_api_returns_the_status(capfd: pytest.CaptureFixture[str]) -> None:
    assert guest.run("intel", [sys.executable, "-c", "print('hi'); raise SystemExit(3)"]) == 3
    assert capfd.readouterr().out == "hi\n"
