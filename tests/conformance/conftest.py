# SPDX-License-Identifier: MIT
"""One suite for every transport: what differs is in DIFFERENCES, and nothing else may.

On the host it runs on the fake transport; in a guest of the lab on those that its kernel offers,
with an emulated 82574L, which is what the fake is a model of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import vfiocore
from vfiocore import pci
from vfiocore.lab.machines import MACHINES
from vfiocore.lab.plugin import in_guest

# It needs a device that does DMA on command.
collect_ignore = [] if in_guest() else ["test_dma.py"]

# By machine; "host" is no machine.
TRANSPORTS = {
    "host": ["fake"],
    "intel": ["group", "group-v1"],
    "iommufd": ["group", "group-v1", "cdev", "compat"],
}

# What a transport cannot do, and why. A test asks for it by the fixture `differs`.
DIFFERENCES = {
    ("cdev", "entry limit"): "iommufd has no limit on the number of mappings",
    ("compat", "entry limit"): "it is iommufd that keeps the mappings",
    ("fake", "limit by module parameter"): "the model's limit is a knob",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        machine = metafunc.config.getoption("lab") if in_guest() else "host"
        metafunc.parametrize("transport", TRANSPORTS[machine], scope="module")


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
    """Whether that is one of the declared differences of the transport."""
    return lambda what: (transport, what) in DIFFERENCES


@pytest.fixture
def device(name: str, transport: str) -> Iterator[vfiocore.Device]:
    with vfiocore.open(name, transport=transport) as device:
        assert device.transport == transport
        yield device


@pytest.fixture
def iommu(device: vfiocore.Device) -> vfiocore.Iommu:
    return device.iommu
