# SPDX-License-Identifier: MIT
"""The command itself: dispatch, helps, exit statuses, errors, completion, output."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

import vfiocore
from vfiocore.cli import VERBS, build_parser, main, output

FAKE = "fake:e1000e"
COMMAND = [sys.executable, "-m", "vfiocore.cli"]


def vfio(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


# --- verbs and helps ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_what_the_command_needs(verb: str) -> None:
    module = importlib.import_module(f"vfiocore.cli.{verb}")
    assert VERBS[verb] == module.HELP
    assert "examples:" in module.EPILOG
    assert f"vfio {verb}" in module.EPILOG
    assert callable(module.configure)
    assert callable(module.run)


@pytest.mark.parametrize("verb", [*VERBS, "net dhcp", "net ping", "net send", "net dump"])
def test_help_of_each_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: vfio {verb}")
    assert "examples:" in text


def test_help_imports_no_verb() -> None:
    program = (
        "import sys; from vfiocore.cli import VERBS, main; main(['--help']);"
        "print([v for v in VERBS if 'vfiocore.cli.' + v in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    shown = " ".join(done.stdout.split())
    assert all(text in shown for text in VERBS.values())


def test_list_imports_little() -> None:
    """Start-up: in an emulated guest each of these costs a tenth of a second and more."""
    program = (
        "import sys; from vfiocore.cli import main; main(['list']);"
        "print({'dataclasses', 'inspect', 'json', 'pathlib', 'rich', 'scapy', 'subprocess'}"
        " & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "set()"


def test_the_whole_parser_can_be_built() -> None:
    """For completion scripts and the man page."""
    text = build_parser().format_help()
    assert all(verb in text for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vfio {vfiocore.__version__}\n"


# --- exit statuses and errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["info"],
        ["info", "zz"],
        ["info", "01:20.0"],
        ["net"],
        ["read", FAKE, "bar9", "0"],
        ["read", FAKE, "bar0", "-4"],
        ["read", FAKE, "bar0", "x"],
        ["read", FAKE, "bar0", "0", "-w", "24"],
        ["write", FAKE, "bar0", "0", "0x100", "-w", "8"],
        ["net", "ping", FAKE, "-c", "0"],
        ["lab", "run", "--machine", "nonsense", "--", "true"],
        ["lab", "run", "--timeout", "-1", "--", "true"],
        ["read", FAKE, "bar0", "0", "-n", "0"],
    ],
)
def test_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", FAKE, "bar0", "3"]) == 1
    captured = capsys.readouterr()
    first, hint = captured.err.splitlines()
    assert first.startswith(f"vfio: {FAKE}: ")
    assert hint.startswith("vfio: hint: ")
    assert captured.out == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFIOCORE_DEBUG", "1")
    with pytest.raises(vfiocore.VfioError):
        main(["read", FAKE, "bar0", "3"])


def test_describe_error_splits_off_the_hint() -> None:
    error = vfiocore.VfioError(22, "x: failed: do that", hint="do that")
    assert output.describe_error(error) == ("x: failed", "do that")
    alone = vfiocore.VfioError(22, "do that", hint="do that")
    assert output.describe_error(alone) == ("do that", "")
    assert output.describe_error(OSError()) == ("OSError", "")
    assert output.describe_error(OSError(2, "No such file", "/x")) == ("/x: No such file", "")
    assert output.describe_error(OSError(28, "No space left")) == ("No space left", "")


def test_without_stdout() -> None:
    """As `vfio list >&-` runs it."""
    command = f"{sys.executable} -m vfiocore.cli info {FAKE} --no-open >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_missing_library_is_explained() -> None:
    done = vfio("list", VFIOCORE_LIBRARY="/nowhere/lib.so")
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert first.startswith("vfio: libvfiocore was not found; tried /nowhere/lib.so (")
    assert "VFIOCORE_LIBRARY" in hint


def test_a_lab_error_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vfiocore.cli import lab as lab_verb
    from vfiocore.lab import LabError

    def fail(_: object) -> int:
        raise LabError("there is no kernel")

    monkeypatch.setattr(lab_verb, "run", fail)
    assert main(["lab", "list"]) == 1
    assert capsys.readouterr().err == "vfio: there is no kernel\n"


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from vfiocore.cli import reset

    def fail(_: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(reset, "run", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["reset", FAKE])


def test_a_reader_that_leaves(tmp_path: Path) -> None:
    command = " ".join(COMMAND)
    script = f"{command} config {FAKE} -x | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode in (0, 141)


def test_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import os, sys; from vfiocore.cli import main;"
        "r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.exit(main(['list']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    from vfiocore.cli import reset

    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(reset, "run", interrupt)
    assert main(["reset", FAKE]) == 130


# Ctrl-C while the command waits for a frame.
PRESSED = """
import os, signal, sys, threading
from vfiocore.cli import main
from vfiocore.cli.net import dump
receive = dump._receive
def wait_and_press(nic, timeout):
    dump._receive = receive
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    return receive(nic, timeout)
dump._receive = wait_and_press
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_ends_a_capture_with_its_counts() -> None:
    pytest.importorskip("scapy")
    command = [sys.executable, "-c", PRESSED, "net", "dump", FAKE, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 frames captured, 0 missed\n"), done.stderr


def test_arguments_may_follow_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ping", FAKE, "--source", "10.0.2.15", "10.0.2.2", "-c", "2", "--dry-run"]
    assert main(["net", *words]) == 0
    assert "send 2 echo requests to 10.0.2.2 as 10.0.2.15" in capsys.readouterr().out
    assert main(["bind", "0f:00.0", "--dry-run", "0f:00.1", "0f:00.2"]) == 1  # no such device
    assert "0000:0f:00.0" in capsys.readouterr().err
    assert main(["unbind", "--dry-run"]) == 2
    assert "BDF" in capsys.readouterr().err


# --- completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert main(["--print-completion", shell]) == 0
    text = capsys.readouterr().out
    assert "doctor" in text
    assert "dhcp" in text


def test_completion_without_shtab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 1
    assert "pip install vfiocore[cli]" in capsys.readouterr().err


# --- arguments and output -----------------------------------------------------------------------


def test_bdf_takes_what_people_write() -> None:
    assert output.bdf("01:00.0") == "0000:01:00.0"
    assert output.bdf("0000:0A:1F.7") == "0000:0a:1f.7"
    assert output.bdf("10000:e1:00.0") == "10000:e1:00.0"
    assert output.bdf(FAKE) == FAKE
    for text in ("", "1:0.0", "01:00", "01:00.8", "01:20.0", "gg:00.0"):
        with pytest.raises(ArgumentTypeError):
            output.bdf(text)


def test_number_in_any_notation() -> None:
    assert [output.number(text) for text in ("10", "0x10", "0b10", "0o10")] == [10, 16, 2, 8]
    for text in ("", "-1", "0x", "1.5"):
        with pytest.raises(ArgumentTypeError):
            output.number(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (32, "32 B"),
        (4096, "4 KiB"),
        (1536, "1.5 KiB"),
        (128 << 20, "128 MiB"),
        (1 << 40, "1 TiB"),
        (1 << 70, "1048576 PiB"),
    ],
)
def test_human_size(count: int, text: str) -> None:
    assert output.human_size(count) == text


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("A", "NUMBER"), [("long cell", "1"), ("b", "1000")], right=(1,), indent=2)
    assert capsys.readouterr().out.splitlines() == [
        "  A          NUMBER",
        "  long cell       1",
        "  b            1000",
    ]


def test_hex_rows() -> None:
    assert [*output.hex_rows(bytes(range(18)), 0x100)] == [
        "100: 00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f",
        "110: 10 11",
    ]


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.paint("x", "red") == "x"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert output.paint("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("x", "red") == "x"
