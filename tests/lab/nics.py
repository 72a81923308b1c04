# SPDX-License-Identifier: MIT
"""The network interfaces of the machines, a row for each driver and kind of ring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

import vfiocore


@dataclass(frozen=True)
class Row:
    """One that the library drives; its peer is the kernel's, see `kernel_nic`."""

    device: str
    driver: str
    options: dict[str, bool] = field(default_factory=dict)  # of Device.nic()
    queues: tuple[int, ...] = ()  # how many it is opened with to see that all are used
    frames: int = 100_000  # that are sent each way
    managed: bool = True  # it can be told addresses, and to be promiscuous
    throttled: bool = False  # its emulator breaks when it is reset under traffic that interrupts

    @contextmanager
    def open(self, bdf: str) -> Iterator[vfiocore.Nic]:
        with vfiocore.open(bdf) as device, device.nic(**self.options) as nic:
            nic.wait_link(60)
            yield nic


IGB = pytest.mark.machine("igb")

# Event indices: the devices virtio and packed have them, plain has not, nor a control queue.
NICS = [
    pytest.param(
        Row("nic0", "e1000e", queues=(2,), frames=5000, throttled=True),
        id="e1000e", marks=pytest.mark.machine("intel", "iommufd"),
    ),
    pytest.param(Row("igb0", "igb", queues=(2, 3, 8)), id="igb", marks=IGB),
    pytest.param(Row("virtio", "virtio-net"), id="virtio-split", marks=IGB),
    pytest.param(Row("packed", "virtio-net", {"packed": True}), id="virtio-packed", marks=IGB),
    pytest.param(
        Row("plain", "virtio-net", managed=False),
        id="virtio-split-without-event-index", marks=IGB,
    ),
    pytest.param(
        Row("plain", "virtio-net", {"packed": True}, managed=False),
        id="virtio-packed-without-event-index", marks=IGB,
    ),
]
