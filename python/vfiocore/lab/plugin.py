# SPDX-License-Identifier: MIT
"""The pytest plugin: ``pytest --lab NAME [-n N]`` runs tests in QEMU guests.

pytest-xdist distributes, collects and reports as always; only that each of its workers is a guest
(see launcher.py and pool.py). Without --lab, and outside of a guest, the plugin does nothing.

Within a guest a test fails when the kernel's log tells of trouble while it ran, unless it is
marked ``@pytest.mark.kernel_log(allow="regex")``.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from . import LabError, machines, pool, qemu
from .kmsg import KernelLog, unexpected

if TYPE_CHECKING:
    import execnet
    from xdist.workermanage import WorkerController

_MARKERS = (
    "machine(name, ...): run the test only on these machines of the lab",
    'kernel_log(allow="regex"): kernel messages that this test may cause',
    "lab_timeout(seconds): the time after which the test's guest is killed",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --lab and its limits."""
    group = parser.getgroup("lab", "tests in QEMU guests (vfiocore)")
    group.addoption(
        "--lab",
        metavar="NAME",
        help="run the tests in guests of this kind (see: vfio lab list); -n N boots N of them",
    )
    group.addoption(
        "--lab-timeout",
        type=float,
        default=pool.Limits.boot,
        metavar="S",
        help="seconds that a boot may take (default %(default)s)",
    )
    group.addoption(
        "--lab-test-timeout",
        type=float,
        default=pool.Limits.test,
        metavar="S",
        help="seconds without an end of a test after which its guest is killed "
        "(default %(default)s; longer in proportion where a boot takes longer than on a quiet "
        "machine)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; within a guest, watch the tests."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if in_guest():
        config.pluginmanager.register(_InGuest(), "vfiocore_lab_guest")


def in_guest() -> bool:
    """Whether this process runs in a guest of the lab."""
    return "VFIOCORE_LAB_MACHINE" in os.environ


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """With --lab: boot the guests, and make xdist's workers run in them."""
    name = config.getoption("lab")
    if not name or in_guest() or config.getoption("collectonly"):
        return (yield)
    if not config.pluginmanager.hasplugin("xdist"):
        raise pytest.UsageError("--lab needs pytest-xdist: pip install 'vfiocore[lab]'")
    try:
        plan = qemu.plan(machines.find(name))
        # Asked here and not in a thread: this may take a boot.
        qemu.dry_run(plan)
    except LabError as error:
        raise pytest.UsageError(f"--lab: {error}") from error
    limits = pool.Limits(config.getoption("lab_timeout"), config.getoption("lab_test_timeout"))
    with pool.Pool(plan, limits) as guests:
        count = _distribute(config, guests.name)
        guests.start(count)
        config.pluginmanager.register(_OnHost(guests, config), "vfiocore_lab_host")
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are for other machines."""
    name = os.environ.get("VFIOCORE_LAB_MACHINE") or config.getoption("lab")
    if not name:
        return
    others = [item for item in items if not _is_for(item, name)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _is_for(item: pytest.Item, name: str) -> bool:
    marker = item.get_closest_marker("machine")
    return marker is None or name in marker.args


@pytest.fixture(scope="session")
def lab_machine() -> machines.Machine:
    """The machine of the lab that this test runs on."""
    name = os.environ.get("VFIOCORE_LAB_MACHINE")
    if name is None:
        pytest.fail("this test runs in a guest: use pytest --lab NAME")
    return machines.find(name)


def _distribute(config: pytest.Config, socket_name: str) -> int:
    """Give xdist as many workers as -n says, each started through the launcher."""
    option = config.option
    if option.usepdb:
        raise pytest.UsageError("--pdb cannot reach into a guest: leave out --lab or --pdb")
    count = option.numprocesses or 1
    if not isinstance(count, int):  # auto, logical
        count = os.cpu_count() or 1
    python = shlex.join([sys.executable, "-m", f"{__package__}.launcher", socket_name])
    option.numprocesses = None  # else xdist would choose its own workers
    option.tx = [f"popen//python={python}"] * count
    if option.dist == "no":
        option.dist = "load"
    if option.maxworkerrestart is None:
        option.maxworkerrestart = str(4 * count)  # as xdist does with -n
    return count


class _OnHost:
    """The part in the process that distributes: guests that fail become messages."""

    def __init__(self, guests: pool.Pool, config: pytest.Config) -> None:
        self._guests = guests
        self._restarts = int(config.option.maxworkerrestart)
        self._seats: dict[str, pool.Seat] = {}
        self._failures: dict[str, str] = {}
        self._told: set[str] = set()

    def pytest_xdist_setupnodes(self) -> None:
        self._await_boot(self._guests.seats)

    def pytest_xdist_newgateway(self, gateway: execnet.Gateway) -> None:
        if self._guests.last_seat:
            self._seats[gateway.id] = self._guests.last_seat

    @pytest.hookimpl(tryfirst=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        if not error:
            return
        name = node.gateway.id
        seat = self._seats[name]
        seat.ended.wait(timeout=60)
        self._failures[name] = pool.describe(seat.error) if seat.error else str(error)
        self._restarts -= 1
        if self._restarts >= 0:
            self._await_boot(self._guests.start(1))

    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        name = report.node.gateway.id
        report.longrepr = f"{report.longrepr}\n{self._failures.get(name, '')}"
        self._told.add(name)

    def pytest_keyboard_interrupt(self) -> None:
        # Else xdist waits for workers that do not answer.
        self._guests.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._failures and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for note in self._guests.notes:
            terminalreporter.write_line(f"lab: {note}", yellow=True)
        for name, text in self._failures.items():
            if name not in self._told:
                terminalreporter.write_line(f"lab: {name}: {text}", red=True)

    def _await_boot(self, seats: list[pool.Seat]) -> None:
        for seat in seats:
            seat.booted.wait()
            if seat.error:
                story = "\n".join([*self._guests.notes, pool.describe(seat.error)])
                pytest.exit(f"lab: {story}", returncode=1)


class _InGuest:
    """The part in a guest: signs of life for the host, and the kernel's log."""

    def __init__(self) -> None:
        self._log = KernelLog()
        control = os.environ.get("VFIOCORE_LAB_CONTROL")
        self._control = int(control) if control else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        marker = item.get_closest_marker("lab_timeout")
        self._tell(f"busy {marker.args[0] if marker else 0} {item.nodeid}")
        self._log.new()
        try:
            return (yield)
        finally:
            self._tell("idle")

    def pytest_collection_finish(self) -> None:
        self._tell("idle")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        yield
        self._check(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        yield
        self._check(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        yield
        self._check(item)

    def _check(self, item: pytest.Item) -> None:
        allowed = [mark.kwargs["allow"] for mark in item.iter_markers("kernel_log")]
        messages = self._log.new()
        if bad := unexpected(messages, allowed):
            item.add_report_section("call", "kernel log", "\n".join(messages))
            pytest.fail("the kernel complained:\n" + "\n".join(bad), pytrace=False)

    def _tell(self, line: str) -> None:
        if self._control is not None:
            os.write(self._control, line.replace("\n", " ").encode() + b"\n")
