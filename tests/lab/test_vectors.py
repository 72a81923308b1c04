# SPDX-License-Identifier: MIT
"""A device with 2048 MSI-X vectors, and a kernel that has fewer."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator

import pytest

import vfiocore

pytestmark = pytest.mark.machine("width-built")


@pytest.fixture(params=["group", "cdev"])
def device(
    request: pytest.FixtureRequest, bound: Callable[[str], str]
) -> Iterator[vfiocore.Device]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    with vfiocore.open(bound("virtio"), transport=request.param) as opened:
        yield opened
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_than_the_kernel_has(device: vfiocore.Device) -> None:
    assert device.irq_info("msix").count == 2048
    with pytest.raises(vfiocore.VfioError, match="vectors left for 2048 of them") as refused:
        device.irqs("msix")
    assert refused.value.errno == errno.ENOSPC
    with device.irqs("msix", 128) as irqs:  # nothing of the 2048 was kept
        for vector in irqs:
            vector.trigger()
        assert irqs.wait_all(60) == [1] * 128
        with pytest.raises(vfiocore.VfioError, match="vectors left") as refused:
            irqs.resize(2048)
        assert refused.value.errno == errno.ENOSPC
        assert len(irqs) == 128  # and those that there were go on
        for vector in irqs:
            vector.trigger()
        assert irqs.wait_all(60) == [1] * 128
        with pytest.raises(vfiocore.WaitTimeout):
            irqs.wait_any(0)
