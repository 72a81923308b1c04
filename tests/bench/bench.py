# SPDX-License-Identifier: MIT
"""The project's figures, one JSON line each; see ci/bench.

A figure is a pair of functions that return one measurement each, ours and the baseline's. They are
called in turn, so that a machine whose speed drifts slows both, and the medians are compared.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import python_ring
from net_figures import MACHINE, Moved, net_figures
from ring_figures import RingFigure, ring_figures

import vfiocore
from vfiocore._native.loader import lib
from vfiocore.lab.machines import MACHINES

PYTHON = sys.executable
BENCH = Path(__file__).parents[2] / "build/tests/bench"
VFIO = str(Path(sys.executable).with_name("vfio"))


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    baseline: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    rounds: int = 15
    better: str = "lower"

    def measure(self) -> dict[str, object]:
        ours, theirs = [], []
        for _ in range(self.rounds):
            ours.append(self.ours())
            theirs.append(self.theirs())
        value, base = statistics.median(ours), statistics.median(theirs)
        return {
            "name": self.name,
            "value": round(value, 4),
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_value": round(base, 4),
            "ratio": round(value / base, 3),
            "better": self.better,
        }


def run(*command: str) -> Callable[[], float]:
    """Wall time of a whole process, in milliseconds."""

    def once() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - start) * 1e3

    return once


def first_test() -> float:
    """Seconds from the command to the result of the first test in a guest, caches warm."""
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder, "test_first.py")
        test.write_text("def test_first():\n    assert True\n")
        start = time.perf_counter()
        with subprocess.Popen(
            [PYTHON, "-m", "pytest", "--lab", "intel", "-p", "no:cacheprovider", "-v", str(test)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            passed = None
            for line in process.stdout:
                if "PASSED" in line and passed is None:
                    passed = time.perf_counter() - start
        if process.returncode or passed is None:
            raise RuntimeError("the test in the guest did not pass")
        return passed


def bare_guest() -> float:
    """Seconds of a whole run of a guest that does nothing."""
    return run(VFIO, "lab", "run", "--", "true")() / 1e3


class Register:
    """One 32-bit register of the model, read by the package and by bare ctypes calls."""

    READS = 20_000

    def __init__(self) -> None:
        self.device = vfiocore.open("fake:e1000e")
        self.region = self.device.bar(0)
        # The unchecked load reads memory of our own: ctypes' cost and no more.
        self.word = ctypes.c_uint32(0)

    def time(self, call: Callable[..., object], *arguments: object) -> float:
        start = time.perf_counter()
        for _ in range(self.READS):
            call(*arguments)
        return (time.perf_counter() - start) / self.READS * 1e9

    def ours(self) -> float:
        return self.time(self.region.read32, 8)

    def checked(self) -> float:
        return self.time(lib.vfc_region_load, self.device._native(), 0, 8, 4)

    def unchecked(self) -> float:
        return self.time(lib.vfc_mmio_read32, ctypes.addressof(self.word))


class Awaited:
    """From the raise of an eventfd to the coroutine that awaits it, in us: the model's vector
    through ``wait_async()`` and ``async for``, and a bare eventfd by ``loop.add_reader``."""

    WAKES = 300

    def __init__(self) -> None:
        self.irqs = vfiocore.open("fake:e1000e").irqs("msix")

    def raised(self, fd: int, wake: Callable[[], Awaitable[object]]) -> float:
        """Time from a write by another thread: the first quartile, as in irq.c."""
        times, go = [], threading.Semaphore(0)
        started = 0.0

        def raiser() -> None:
            nonlocal started
            for _ in range(self.WAKES):
                go.acquire()
                time.sleep(0.0003)  # the event loop sleeps by then
                started = time.perf_counter()
                os.eventfd_write(fd, 1)

        async def main() -> None:
            for _ in range(self.WAKES):
                go.release()
                await wake()
                times.append(time.perf_counter() - started)

        thread = threading.Thread(target=raiser)
        thread.start()
        asyncio.run(main())
        thread.join()
        return statistics.quantiles(times, n=4)[0] * 1e6

    def one(self) -> float:
        return self.raised(self.irqs[3].fileno(), self.irqs[3].wait_async)

    def any(self) -> float:
        return self.raised(self.irqs[3].fileno(), self.irqs.__anext__)

    def bare(self) -> float:
        """What somebody would write who has nothing but an event loop."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        waiting: asyncio.Future[int] | None = None

        def ready() -> None:
            nonlocal waiting
            count = os.eventfd_read(fd)
            if waiting is not None:
                waiting.set_result(count)
                waiting = None

        async def wake() -> int:
            nonlocal waiting
            loop = asyncio.get_running_loop()
            if not registered:
                loop.add_reader(fd, ready)
                registered.append(True)
            waiting = loop.create_future()
            return await waiting

        registered: list[bool] = []
        try:
            return self.raised(fd, wake)
        finally:
            os.close(fd)


@dataclass(frozen=True)
class Compiled:
    """A figure that a program of the build measures together with its baseline."""

    name: str
    unit: str
    baseline: str
    program: str
    better: str = "lower"

    def command(self) -> list[str]:
        return [str(BENCH / self.program), self.name]

    def measure(self) -> dict[str, object]:
        line = subprocess.run(self.command(), check=True, text=True, stdout=subprocess.PIPE).stdout
        measured = json.loads(line)
        value, base = measured["value"], measured["baseline_value"]
        return {
            "name": self.name,
            "value": value,
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_value": base,
            "ratio": round(value / base, 6),
            "better": self.better,
        }


@dataclass(frozen=True)
class InGuest(Compiled):
    """One whose program speaks to a kernel and an IOMMU, by one transport."""

    program: str = "bench-map"
    what: str = "4k"
    transport: str = "cdev"
    device: str = "edu"

    def command(self) -> list[str]:
        bdf = MACHINES["iommufd"].device(self.device).bdf
        program = f"{BENCH / self.program} {self.what} {bdf} {self.transport}"
        script = f"{VFIO} bind {bdf} >&2 && exec {program}"
        return [VFIO, "lab", "run", "--machine", "iommufd", "--", "sh", "-c", script]


@dataclass(frozen=True)
class Disk(Compiled):
    """examples/nvme against the kernel's driver: the guest's own script measures both."""

    program: str = "nvme.py"

    def command(self) -> list[str]:
        ours = str(BENCH.parent / "lab/nvme")
        script = str(Path(__file__).with_name(self.program))
        disk = MACHINES["width"].device("nvme").bdf
        return [VFIO, "lab", "run", "--machine", "width", "--", PYTHON, script, ours, disk]


@dataclass(frozen=True)
class Pair(Compiled):
    """A script that runs in a guest with two network interfaces."""

    program: str = "net_in_guest.py"
    better: str = "higher"

    def command(self) -> list[str]:
        names = [MACHINES[MACHINE].device(name).bdf for name in ("e1000e0", "e1000e1")]
        bind = "".join(f"{VFIO} bind {name} >&2 && " for name in names)
        script = f"{bind}exec {PYTHON} {Path(__file__).with_name(self.program)} {' '.join(names)}"
        return [VFIO, "lab", "run", "--machine", MACHINE, "--", "sh", "-c", script]


@dataclass(frozen=True)
class Scapy(Compiled):
    """A script over our Scapy socket and over Scapy's own, in one guest."""

    program: str = "scapy_send.py"
    better: str = "higher"

    def command(self) -> list[str]:
        nic, script = MACHINES["intel"].device("nic0").bdf, Path(__file__).with_name(self.program)
        return [VFIO, "lab", "run", "--machine", "intel", "--", PYTHON, str(script), nic]


@dataclass(frozen=True)
class Model(Compiled):
    """One whose program uses the model."""

    what: str = ""

    def command(self) -> list[str]:
        return [str(BENCH / self.program), self.what, "fake:e1000e"]


def map_figures() -> list[Compiled]:
    bare = "the bare ioctls, of the same memory on the same descriptor"
    alone = "vfc_iommu_map() of each"
    return [
        *(InGuest(f"map.{what}.{transport}", "ns/map+unmap", bare, what=what, transport=transport)
          for what in ("4k", "2m") for transport in ("cdev", "group")),
        *(InGuest(f"map.batch.{what}", "ns/buffer", alone, what=what)
          for what in ("arena", "scattered")),
    ]


def iova_figures() -> list[Compiled]:
    plain = "a sorted array, "
    return [
        *(Compiled(f"iova.{pattern}.{live}", "ns/pair", plain + what, "bench-iova")
          for pattern, what in [("alloc_free", "the newest live range replaced"),
                                ("alloc_free_oldest", "the oldest live range replaced"),
                                ("alloc_free_random", "a random live range replaced"),
                                ("alloc_free_random_va", "a random one replaced, found by address")]
          for live in ("1k", "100k", "1m")),
        Compiled("iova.find_iova.100k", "ns", plain + "binary search", "bench-iova"),
        Compiled("iova.find_va.100k", "ns", plain + "linear search", "bench-iova"),
    ]


def cache_figures() -> list[Compiled]:
    find = "vfc_iommu_find_va(), "
    return [
        Compiled(f"translate.cached{suffix}", "ns/get and put", baseline, "bench-mapcache")
        for suffix, baseline in [
            ("", find + "one mapping"),
            (".256", find + "as many mappings in turn"),
            (".4096", find + "as many mappings in turn"),
            (".map", "vfc_iommu_map() and vfc_iommu_unmap() on the fake"),
        ]
    ]


def irq_figures() -> list[Figure | Compiled]:
    awaited = Awaited()
    bare = "bare read() of a blocking eventfd"
    loop = "bare loop.add_reader and os.eventfd_read"
    return [
        Compiled("irq.thread", "us", bare, "bench-irq"),
        Compiled("irq.thread_any", "us", bare, "bench-irq"),
        Compiled("irq.thread_deadline", "us", bare, "bench-irq"),
        Figure("irq.asyncio", "us", loop, awaited.one, awaited.bare, rounds=25),
        Figure("irq.asyncio_any", "us", loop, awaited.any, awaited.bare, rounds=25),
    ]


def mmio_figures() -> list[Compiled]:
    """Of the model, whose registers are memory: what is added to an access. And in a guest."""
    bare = "the bare load, vfc_mmio_read32()"
    what = ("guarded", "checked", "pread")
    return [
        *(Model(f"mmio.{way}.model", "ns/read", bare, "bench-mmio", what=way) for way in what[:2]),
        *(InGuest(f"mmio.{way}.guest", "ns/read", bare, "bench-mmio", what=way, transport="",
                  device="nic0") for way in what),
    ]


def figures() -> list[Figure | Compiled | RingFigure | Moved]:
    register = Register()
    bare = "python -c pass"
    return [
        Figure("import", "ms", bare, run(PYTHON, "-c", "import vfiocore"),
               run(PYTHON, "-c", "pass")),
        Figure("cli.list", "ms", bare, run(VFIO, "list"), run(PYTHON, "-c", "pass")),
        Figure("mmio.python", "ns/read", "bare ctypes call of vfc_region_load, the same checks",
               register.ours, register.checked),
        Figure("mmio.python.unchecked", "ns/read", "bare ctypes call of vfc_mmio_read32, no checks",
               register.ours, register.unchecked),
        *mmio_figures(),
        *iova_figures(),
        *map_figures(),
        *cache_figures(),
        *irq_figures(),
        Disk("nvme.read4k", "reads/s", "the kernel's driver, fio by io_uring, depth 32",
             better="higher"),
        *ring_figures(),
        *(Figure(**arguments) for arguments in python_ring.loopbacks()),
        Pair("python.burst256.lab", "packets/s", "the same loop in C, in the same guest"),
        Scapy("scapy.send", "packets/s", "the same script over Scapy's AF_PACKET socket"),
        *net_figures(),
        Figure("lab.first_test", "s", "vfio lab run -- true, the whole run", first_test, bare_guest,
               rounds=3),
    ]


def main(arguments: list[str]) -> int:
    prefix = arguments[0] if arguments else ""
    chosen = [figure for figure in figures() if figure.name.startswith(prefix)]
    if not chosen:
        names = ", ".join(figure.name for figure in figures())
        print(f"no figure begins with {prefix!r}; there are {names}", file=sys.stderr)
        return 2
    for figure in chosen:
        print(json.dumps(figure.measure()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
