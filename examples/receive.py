# SPDX-License-Identifier: MIT
"""Receive a device from examples/give.py, which had the right to open it, and use it.

python receive.py /run/my-device
"""

import socket
import sys

import vfiocore

with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(sys.argv[1])
    with vfiocore.receive(peer, timeout=10) as device, device.iommu.alloc(4096) as memory:
        config, value = device.config, device.bar(0).read32(0)
        print(
            f"{device.name}: [{config.vendor:04x}:{config.device:04x}] by {device.transport}, "
            f"register 0 is {value:#010x}, memory at IOVA {memory.iova:#x}"
        )
