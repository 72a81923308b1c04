# SPDX-License-Identifier: MIT
"""Lease an address by DHCP and ping the gateway, with a NIC driven from userspace.

    vfio bind 0000:01:00.0
    python ping.py 0000:01:00.0
"""

import sys

import vfiocore
from vfiocore.net import dhcp, ping
from vfiocore.scapy import VfioSocket

if len(sys.argv) != 2:
    sys.exit("usage: ping.py DEVICE (0000:01:00.0)")
with vfiocore.open(sys.argv[1]) as device, device.nic() as nic:
    nic.wait_link(5)
    socket = VfioSocket(nic=nic)
    lease = dhcp(socket, nic.mac)
    print(f"{nic.mac} leased {lease.address} from {lease.server}")
    for reply in ping(socket, lease, lease.router, count=5, interval=0.2):
        print(reply.sequence, "lost" if reply.rtt is None else f"{reply.rtt * 1e3:.2f} ms")
