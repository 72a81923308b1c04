# SPDX-License-Identifier: MIT
"""What the kernel's own drivers make of network interfaces, on the other end of the wire."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vfiocore import pci


def load(module: str, driver: str) -> bool:
    """Load the kernel's driver; False: it is built in, and holds no device until it is told to."""
    if module == driver and Path(f"/sys/bus/pci/drivers/{driver}").exists():
        return False
    subprocess.run(["modprobe", module], check=True)
    return True


def net_folder(bdf: str) -> Path:
    """Where sysfs has a device's interface, once there is one."""
    end = time.monotonic() + 60
    while True:
        device = Path(f"/sys/bus/pci/devices/{bdf}")
        for folder in (device / "net", *device.glob("virtio*/net")):
            if folder.exists() and any(folder.iterdir()):
                return folder
        assert time.monotonic() < end, f"the kernel has no interface of {bdf}"
        time.sleep(0.05)


def wait_carrier(interface: str) -> None:
    """Until the kernel's interface sees its link."""
    end = time.monotonic() + 60
    while Path(f"/sys/class/net/{interface}/carrier").read_text() != "1\n":
        assert time.monotonic() < end, f"{interface} sees no link"
        time.sleep(0.05)


@contextmanager
def kernel_interface(bdf: str, driver: str = "e1000e") -> Iterator[str]:
    """What the kernel's own driver makes of a NIC: with its link up, and silent by itself."""
    module = {"virtio-pci": "virtio_net"}.get(driver, driver)
    loaded = load(module, driver)
    pci.bind(bdf, driver=driver)
    folder = net_folder(bdf)
    name = next(folder.iterdir()).name
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    wait_carrier(name)
    yield name
    if loaded:
        subprocess.run(["modprobe", "-r", module], check=True)
    pci.unbind(bdf, force=True)  # the interface may have addresses by now


@contextmanager
def raw_socket(interface: str, mtu: int = 1500) -> Iterator[socket.socket]:
    """The kernel's end of the wire."""
    subprocess.run(["ip", "link", "set", interface, "mtu", str(mtu)], check=True)
    time.sleep(0.1)
    wait_carrier(interface)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x88B5) as raw:
        raw.bind((interface, 0x88B5))
        raw.settimeout(60)
        yield raw
