# SPDX-License-Identifier: MIT
"""Virtual functions of an igb that is ours, too."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import vfiocore
from vfiocore import nic_vf, sriov

TOKEN = uuid.uuid4()


@contextmanager
def served(nic: vfiocore.Nic) -> Iterator[None]:
    """A thread answers the virtual functions of `nic`, until that is closed."""
    thread = threading.Thread(target=nic_vf.serve_forever, args=(nic,))
    thread.start()
    try:
        yield
    finally:
        nic.close()
        thread.join()


@contextmanager
def physical(name: str) -> Iterator[vfiocore.Device]:
    """A physical function, open, without a driver."""
    with vfiocore.open(name) as device:
        sriov.set_token(device, TOKEN)
        yield device
    sriov.disable(name)


@contextmanager
def virtual(pf: vfiocore.Device) -> Iterator[list[vfiocore.Device]]:
    """Two virtual functions of it, likewise."""
    first, second = sriov.enable(pf.name, 2)
    with (
        vfiocore.open(first, vf_token=TOKEN) as one,
        vfiocore.open(second, vf_token=TOKEN) as other,
    ):
        yield [one, other]


@contextmanager
def answering(name: str) -> Iterator[vfiocore.Nic]:
    """The NIC of a physical function, which has two virtual ones and answers them."""
    with physical(name) as pf:
        sriov.enable(name, 2)
        with pf.nic() as nic, served(nic):
            nic.wait_link(60)
            yield nic
