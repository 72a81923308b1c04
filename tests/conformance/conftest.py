# SPDX-License-Identifier: MIT
"""One suite for every IOMMU and transport: what differs is in the tables here, nothing else may.

On the host it runs on the fake transport; in a guest of the lab on those that its kernel offers,
with an emulated 82574L, which is what the fake is a model of.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator

import pytest
from edu_engine import EDU, EDU1, NIC, WORD, Edu

import vfiocore
from vfiocore import pci
from vfiocore.lab.kmsg import Fault, KernelLog, faults
from vfiocore.lab.machines import MACHINES
from vfiocore.lab.plugin import in_guest

Differs = Callable[[str], bool]
Operation = Callable[[int, int], None]

# They need a device that does DMA on command, or a kernel that counts what is pinned.
IN_GUESTS = [
    "test_cached_dma.py",
    "test_copies.py",
    "test_dma.py",
    "test_dma_sources.py",
    "test_memlock.py",
    "test_sigkill.py",
]
collect_ignore = [] if in_guest() else IN_GUESTS

MACHINE = os.environ.get("VFIOCORE_LAB_MACHINE", "host")  # "host" is no machine

BUILT = ("group", "cdev", "compat")
TRANSPORTS = {
    "host": ("fake",),
    "intel": ("group", "group-v1"),
    "iommufd": (*BUILT, "group-v1"),
    "iommufd39": BUILT,
    "scalable": BUILT,
    "scalable39": BUILT,
    "amd": BUILT,
    "virtio": BUILT,
    "noiommu": ("noiommu", "noiommu-group"),
}

# What a machine or a transport does otherwise, and why; "*" is any of them. A test asks for it by
# the fixture `differs`, or is not for those at all: `@pytest.mark.unless("pages are not joined")`.
DIFFERENCES = {
    ("*", "cdev", "entry limit"): "iommufd has no limit on the number of mappings",
    ("*", "compat", "entry limit"): "it is iommufd that keeps the mappings",
    ("*", "cdev", "page sizes"): "an IOAS tells its alignment, not the IOMMU's page sizes",
    ("*", "fake", "limit by module parameter"): "the model's limit is a knob",
    ("*", "group", "a copy is pinned again"): "type1 pins for each container",
    ("*", "group-v1", "a copy is pinned again"): "the same",
    ("*", "compat", "a copy is pinned again"): "each container is an iommufd of its own",
    ("*", "group", "a device is not moved"): "a group has its container for as long as it is open",
    ("*", "group-v1", "a device is not moved"): "the same",
    ("*", "compat", "a device is not moved"): "the same, with iommufd behind it",
    ("*", "group", "no PASIDs"): "they came with iommufd",
    ("*", "group-v1", "no PASIDs"): "the same",
    ("*", "compat", "no PASIDs"): "they came with cdev",
    ("*", "fake", "no PASIDs"): "the model has none",
    ("amd", "*", "no PASIDs"): "QEMU 7.2's AMD-Vi has none",
    ("virtio", "*", "no PASIDs"): "virtio-iommu has none",
    ("*", "group", "all pages are dirty"): "type1 knows of what mediated devices' drivers pin",
    ("*", "group-v1", "dirty pages are not tracked"): "type1 does so in its second version",
    ("*", "cdev", "dirty pages are not tracked"): "no IOMMU that QEMU emulates notes writes",
    ("*", "compat", "dirty pages are not tracked"): "iommufd answers a container's other requests",
    ("*", "cdev", "a file for reading is written"): "IOMMU_IOAS_MAP_FILE asks not how it is open",
    ("*", "compat", "a file for reading is written"): "it is iommufd that maps files",
    ("noiommu", "*", "addresses are not chosen"): "nothing translates: it is where the memory is",
    ("noiommu", "*", "pages are not joined"): "nothing translates: what lies apart stays apart",
    ("noiommu", "*", "nothing is stopped"): "no IOMMU keeps a device from any memory",
    ("noiommu", "*", "only for root"): "so the kernel wants CAP_SYS_RAWIO",
    ("noiommu", "*", "page sizes"): "there are those of memory only",
    ("noiommu", "*", "a device is not moved"): "there is nothing to move it to",
    ("noiommu", "*", "no PASIDs"): "they are an IOMMU's",
    ("noiommu", "*", "dirty pages are not tracked"): "so is what notes writes",
    ("noiommu", "noiommu-group", "pages are not pinned"): "mlock() is what there is",
    ("amd", "*", "no fault is logged"): "QEMU 7.2's AMD-Vi writes no event",
    # DMA_FL_PTE_PRESENT in drivers/iommu/intel/iommu.c: the bit that means "read" in these tables
    ("intel", "*", "write only is readable"): "Linux 6.1 sets a bit too many in VT-d's tables",
}

# How many address bits the IOMMU translates. Of two the one depends on QEMU's version.
WIDTHS = {
    "host": (39,),
    "intel": (39,),
    "iommufd": (48,),
    "iommufd39": (39,),
    "scalable": (48,),
    "scalable39": (39,),
    "amd": (48, 64),
    "virtio": (64, 39),
}

# What lies between the windows: the interrupts' range, and on AMD HyperTransport's.
INTERRUPTS = (0xFEE00000, 0xFEEFFFFF)
HYPERTRANSPORT = (0xFD_0000_0000, 0xFF_FFFF_FFFF)
HOLES = dict.fromkeys(TRANSPORTS, (INTERRUPTS,)) | {"amd": (INTERRUPTS, HYPERTRANSPORT)}


def declared(transport: str, what: str) -> bool:
    places = [(m, t) for m in (MACHINE, "*") for t in (transport, "*")]
    return any((*place, what) in DIFFERENCES for place in places)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "unless(*what): not for transports with one of these differences"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def fits(item: pytest.Item) -> bool:
        marks = [mark for mark in item.iter_markers("unless") if isinstance(item, pytest.Function)]
        return not any(
            declared(item.callspec.params["transport"], what)  # type: ignore[attr-defined]
            for mark in marks
            for what in mark.args
        )

    dropped = [item for item in items if not fits(item)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        metafunc.parametrize("transport", TRANSPORTS[MACHINE], scope="module")


@pytest.fixture(scope="module")
def name(transport: str) -> Iterator[str]:
    """A device for that transport: the machine's first NIC, or its model."""
    if transport == "fake":
        yield "fake:e1000e"
        return
    bdf = MACHINES["intel"].device("nic0").bdf
    pci.bind(bdf)
    yield bdf
    pci.unbind(bdf)


@pytest.fixture
def differs(transport: str) -> Callable[[str], bool]:
    """Whether that is one of the declared differences of this machine and transport."""
    return lambda what: declared(transport, what)


@pytest.fixture
def device(name: str, transport: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(name, transport=transport) as device:
        assert device.transport == transport
        yield device


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu


@pytest.fixture
def width() -> tuple[int, ...]:
    """How many address bits the machine's IOMMU may have."""
    return WIDTHS[MACHINE]


@pytest.fixture
def holes() -> tuple[tuple[int, int], ...]:
    """The reserved ranges of the machine, as (first, last)."""
    return HOLES[MACHINE]


@pytest.fixture
def edu_user(ordinary_user: int, transport: str) -> Iterator[int]:
    """An ordinary user who may open the machine's first edu."""
    pci.bind(EDU, uid=ordinary_user, gid=ordinary_user)
    if transport in ("cdev", "compat"):
        os.chown("/dev/iommu", ordinary_user, ordinary_user)
    yield ordinary_user
    if transport in ("cdev", "compat"):
        os.chown("/dev/iommu", 0, 0)
    pci.unbind(EDU)


@pytest.fixture(scope="module")
def both() -> Iterator[None]:
    """Both edu, and a NIC, bound to vfio-pci."""
    names = (NIC, EDU, EDU1)
    for name in names:
        pci.bind(name)
    yield
    for name in names:
        pci.unbind(name)


@pytest.fixture
def edu(both: None, transport: str) -> Iterator[Edu]:
    """An edu with 28 address bits."""
    with vfiocore.open(EDU, transport=transport) as device:
        yield Edu(device)


@pytest.fixture
def edu1(both: None, transport: str) -> Iterator[Edu]:
    """An edu with 64 address bits, in a space of its own."""
    with vfiocore.open(EDU1, transport=transport) as device:
        yield Edu(device)


@pytest.fixture
def stopped(differs: Differs) -> Iterator[Callable[[Edu, Operation, int], bool]]:
    """Try an operation that must fail: whether the IOMMU reports this device and address.

    Tried again for a while: the kernel reports a few faults in five seconds and no more.
    """
    log = KernelLog()

    def stopped(edu: Edu, operate: Operation, iova: int) -> bool:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            operate(iova, WORD)
            if differs("no fault is logged"):
                return True
            time.sleep(0.05)
            if any(is_of(fault, edu, iova) for fault in faults(log.new())):
                return True
            time.sleep(0.45)
        return False

    yield stopped
    log.close()


def is_of(fault: Fault, edu: Edu, iova: int) -> bool:
    return (fault.bdf, fault.address & -mmap.PAGESIZE) == (
        edu.device.name,
        iova & -mmap.PAGESIZE,
    )
